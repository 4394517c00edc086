"""From a search space to scored trials: space, strategies, shards, trials."""
