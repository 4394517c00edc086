"""From predictions to a decision: metrics, comparison, gates, report."""
