"""Leak detection: columns that give the target away, and rows that are on both sides of the split."""
