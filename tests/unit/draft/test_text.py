"""The YAML of a draft reads back as the draft, whatever its columns are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contender.draft.proposal import Proposal
from contender.draft.text import render
from contender.spec.loading import parse_spec

NAME = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


def proposal(name: str, reason: str) -> Proposal:
    document: dict[str, Any] = {
        "description": f"Predicts {name}",
        "schedule": "0 3 * * 1",
        "data": {
            "source": {"kind": "csv", "uri": "/data/a.csv", "types": {name: "text"}, "levels": {name: [name]}},
            "target": "y",
            "positive": name,
            "exclude": [name],
            "columns": {name: "text"},
        },
        "expectations": [{"expect_column_values_to_be_in_set": {"column": name, "value_set": [name]}}],
        "quarantine": {"max_share": 0.02},
        "split": {"gate": 0.2, "folds": 5},
        "sweep": {
            "metric": "roc_auc",
            "strategy": {"kind": "random", "trials": 2},
            "budget": "10m",
            "candidates": [{"estimator": "sklearn.linear_model.LogisticRegression", "params": {"C": 1}}],
        },
        "gates": [{"kind": "threshold", "metric": "roc_auc", "min": 0.5}],
        "overridable": ["as_of"],
    }
    why = dict.fromkeys(("quarantine", "split", "sweep.budget", "gates.0"), reason)
    return Proposal("odd", document, why | {"data.positive": reason, "expectations": reason}, {name: reason})


@given(name=NAME, reason=st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_name_and_any_comment_reads_back(name: str, reason: str) -> None:
    made = proposal(name, reason)
    assert made.spec == parse_spec(render(made).encode(), Path("odd.yaml"))


@pytest.mark.parametrize(
    "sign", ["\u0085", "\u2028", "\u2029", "\ufeff", "\x07", "\x7f", "\n", '"', "\\", "#", ": ", "\U000e0001"]
)
def test_signs_that_yaml_takes_for_line_ends_are_escaped(sign: str) -> None:
    made = proposal(f"a{sign}b", f"because of a{sign}b")
    assert parse_spec(render(made).encode(), Path("odd.yaml")).data.exclude == (f"a{sign}b",)
