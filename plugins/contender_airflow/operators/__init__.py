"""The seven steps as operators: each a shell round one function of ``contender.pipeline``."""
