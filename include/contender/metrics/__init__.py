"""Scores of stored predictions: the scorers, the check of their names, and their ranges. Intervals are in ``stats``."""
