"""The uncertainty of a difference of two models: bootstrap intervals and statistical power. No gates, no metrics."""
