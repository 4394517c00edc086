"""What a user's own code may import, and nothing heavy with it."""

from __future__ import annotations

import contender


def test_what_is_public_is_there_and_says_what_it_is() -> None:
    assert sorted(contender.__all__) == contender.__all__
    assert all(getattr(contender, name).__doc__ for name in contender.__all__)


def test_every_branch_of_the_errors_is_public() -> None:
    assert {kind.__name__ for kind in contender.ContenderError.__subclasses__()} <= set(contender.__all__)
