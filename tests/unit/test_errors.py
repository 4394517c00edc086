"""One root, few branches; each says whether a retry helps."""

from __future__ import annotations

import pytest

from contender import errors
from contender.errors import ContenderError, did_you_mean


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (errors.ConfigError, False),
        (errors.DataUnavailable, True),
        (errors.DataRejected, False),
        (errors.BackendError, True),
        (errors.Conflict, False),
    ],
)
def test_every_error_says_whether_a_retry_helps(error: type[ContenderError], retryable: bool) -> None:
    assert issubclass(error, ContenderError)
    assert error.retryable is retryable
    assert "retry" in (error.__doc__ or "")


def test_the_branches_are_all_there_is() -> None:
    assert {branch.__name__ for branch in ContenderError.__subclasses__()} == {
        "ConfigError",
        "DataUnavailable",
        "DataRejected",
        "BackendError",
        "Conflict",
    }


@pytest.mark.parametrize(
    ("word", "allowed", "hint"),
    [
        ("roc_acu", ["roc_auc", "f1"], " Did you mean 'roc_auc'?"),
        ("x", ["b", "a"], " Allowed: a, b."),
        ("x", [], ""),
        ("x", [f"n{i:02}" for i in range(13)], " Allowed: " + ", ".join(f"n{i:02}" for i in range(12)) + ", ...."),
    ],
)
def test_a_mistyped_word_gets_a_bounded_hint(word: str, allowed: list[str], hint: str) -> None:
    assert did_you_mean(word, allowed) == hint
