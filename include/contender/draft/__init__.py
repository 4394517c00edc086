"""From data to a first YAML, for ``contender init``: look at it, say what was seen, and write down what a run needs.

Everything that has to be guessed is guessed here, once, with its evidence; a run guesses nothing.
"""
