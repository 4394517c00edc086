"""``make bench``: what Contender costs, as ratios measured in one run. Never a test: machines differ and are noisy."""
