"""What is on record of a snapshot's columns, and what changed from one to another."""
