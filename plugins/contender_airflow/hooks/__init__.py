"""Connections to what a step works with."""
