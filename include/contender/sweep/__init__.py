"""From a search space to scored trials: space, strategies, plans of rounds, trials and their records."""
