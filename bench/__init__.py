"""``make bench``: what Contender costs, mostly as ratios in one run. Never a test: machines differ and are noisy."""
