"""From verdicts to a decision, and the sentence that people read first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contender.documents.scoreboard import Scoreboard, Scorecard, Verdict
from contender.judge.challenge import answer_of, ask_all, sentence
from contender.judge.gates import BeatsGate, ThresholdGate

STATUSES = st.sampled_from(["passed", "failed", "undecided", "not_applicable"])


def verdict(status: str, gate: str = "g", reason: str = "because") -> Verdict:
    return Verdict.model_validate({"gate": gate, "status": status, "reason": reason})


@pytest.mark.parametrize(
    ("statuses", "answer"),
    [
        (["passed"], "promote"),
        (["passed", "not_applicable"], "promote"),
        (["passed", "undecided"], "undecided"),
        (["passed", "failed"], "keep"),
        (["undecided", "failed", "passed"], "keep"),
    ],
)
def test_one_failed_gate_keeps_and_one_undecided_gate_leaves_it_undecided(statuses: list[str], answer: str) -> None:
    assert answer_of([verdict(status) for status in statuses]) == answer


@given(st.lists(STATUSES, min_size=1), st.randoms(use_true_random=False))
def test_the_order_of_the_gates_does_not_decide(statuses: list[str], chance: object) -> None:
    shuffled = statuses.copy()
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert answer_of([verdict(status) for status in statuses]) == answer_of([verdict(status) for status in shuffled])


@given(st.lists(STATUSES))
def test_a_failed_or_undecided_gate_never_promotes(statuses: list[str]) -> None:
    promoted = answer_of([verdict(status) for status in statuses]) == "promote"
    assert promoted == (not {"failed", "undecided"} & set(statuses))


def test_every_gate_is_asked_once_and_in_order() -> None:
    gates = [
        ThresholdGate(kind="threshold", metric="roc_auc", min=0.9),
        BeatsGate(kind="beats", opponent="champion"),
        ThresholdGate(kind="threshold", metric="roc_auc", min=0.5),
    ]
    card = Scorecard(contestant="candidate", estimator="A", rows=9, metrics={"roc_auc": 0.8})
    verdicts = ask_all(gates, Scoreboard(metric="roc_auc", cards=(card,), absent={"champion": "no champion yet"}))
    assert [found.gate for found in verdicts] == [gate.label for gate in gates]
    assert [found.status for found in verdicts] == ["failed", "not_applicable", "passed"]


PASSED, FAILED, DOUBT = (
    verdict("passed", "a", "0.8 on 9 rows"),
    verdict("failed", "b", "too low"),
    verdict("undecided", "c", "few"),
)
NEXT = "Next: loosen that gate in the YAML if this is good enough, else give the model better features or more rows"
FIRST = verdict("not_applicable", "d", "no champion yet")


@pytest.mark.parametrize(
    ("verdicts", "champion", "words"),
    [
        ([PASSED, FIRST], None, "promote: Tree is the first champion (0.8 on 9 rows)"),
        ([FIRST], None, "promote: Tree is the first champion (no gate applied)"),
        ([PASSED], "3", "promote: Tree passed every gate, it takes the title from version 3 (0.8 on 9 rows)"),
        ([PASSED, FAILED, DOUBT], "3", "keep: version 3 stays champion; b: too low"),
        ([FAILED, FAILED], None, f"keep: there is still no champion; b: too low; b: too low. {NEXT}"),
        ([PASSED, DOUBT], None, f"undecided: there is still no champion; c: few. {NEXT}"),
        ([PASSED, DOUBT], "3", "undecided: version 3 stays champion; c: few"),
    ],
)
def test_a_decision_is_a_sentence_with_its_reason(verdicts: list[Verdict], champion: str | None, words: str) -> None:
    assert sentence(answer_of(verdicts), verdicts, candidate="Tree", champion=champion) == words
