"""Validation: structural checks, Great Expectations, and the quarantine of rows that fail."""
