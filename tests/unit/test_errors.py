"""One root, few branches; each says whether a retry helps."""

from __future__ import annotations

import re

import pytest

from contender.errors import ContenderError, did_you_mean

BRANCHES = ContenderError.__subclasses__()


def test_the_branches_are_all_there_is_and_say_after_how_long_a_retry_helps() -> None:
    assert {branch.__name__: branch.retry_seconds for branch in BRANCHES} == {
        "ConfigError": None,
        "DataUnavailable": 30,
        "DataRejected": None,
        "BackendError": 5,
        "Conflict": None,
    }


@pytest.mark.parametrize("branch", BRANCHES)
def test_the_docstring_says_whether_a_retry_helps(branch: type[ContenderError]) -> None:
    helps = branch("x").retryable
    assert helps is (branch.retry_seconds is not None)
    assert ("A retry can help." in str(branch.__doc__)) is helps
    assert bool(re.search(r"A retry (of the task )?does not help;", str(branch.__doc__))) is not helps


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
