"""From data to a first YAML, for ``contender init``.

All guesses are made here, once, and each is reported with its evidence; a run guesses nothing.
"""
