"""The uncertainty of a difference of two models: its error and interval, and what a gate can find. No gates here."""
