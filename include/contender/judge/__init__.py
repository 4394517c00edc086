"""From fitted models to a decision: the contest on the gate rows, the gates, the challenge. No promotion."""
