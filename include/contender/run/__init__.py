"""A run apart from the work of its steps: freezing, doing each step once, slots, costs, outcome and status."""
