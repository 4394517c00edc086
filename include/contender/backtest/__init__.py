"""Past weeks replayed: what would have served, and how good it would have been, by each way of deciding."""
