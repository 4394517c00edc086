"""The user's own gates: what evidence they get, and that only a valid answer counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from builders import AS_OF, TIMED, make_run, make_table
from contender.data.rows import Rows, as_frame
from contender.data.snapshot import canonical
from contender.documents.columns import Column
from contender.documents.scoreboard import GateAnswer, Scoreboard
from contender.errors import ConfigError
from contender.judge.contest import Contest, with_gate_answers
from contender.judge.gates import GateEvidence
from contender.metrics.predictions import Predictions
from ownpkg import importable, write_package

if TYPE_CHECKING:
    from pathlib import Path

BOARD = Scoreboard(metric="roc_auc", cards=())


def rows_of(*functions: str, **arguments: Any) -> Rows:
    gates = [{"kind": "custom", "function": f"mypkg.gates.{name}", "arguments": arguments} for name in functions]
    run = make_run(
        data=TIMED, split={"gate": "14d"}, as_of=AS_OF, gates=[{"kind": "threshold", "metric": "r", "min": 0}, *gates]
    )
    frame = as_frame(canonical(make_table(200), run.spec.data), run.spec.data.id)
    target = (frame["y"] == "yes").to_numpy().astype("int64")
    return Rows(run=run, frame=frame, columns=(Column(name="x", type="number"),), target=target, labels=("no", "yes"))


def contest_on(rows: Rows, *, champion: bool = True, regression: bool = False) -> Contest:
    count = len(rows.split.gate)
    one = np.linspace(0, 1, count)
    values = one if regression else np.column_stack([1 - one, one])
    predictions: dict[Any, Predictions] = {"candidate": Predictions(values)}
    if champion:
        predictions["champion"] = Predictions(1 - values)
    return Contest(BOARD, rows.target[rows.split.gate], predictions, np.arange(count) % 2 == (0 if champion else 2))


LOOK = """
    SEEN = []

    def look(evidence):
        SEEN.append(evidence)
        evidence.candidate[:] = 0.0
        evidence.target[:] = 9
        return {"passed": True, "reason": "looked"}
    """


def looked(tmp_path: Path, rows: Rows, contest: Contest) -> GateEvidence:
    with importable(write_package(tmp_path, gates=LOOK)):
        with_gate_answers(contest, rows)
        import mypkg.gates  # type: ignore[import-not-found]

        [evidence] = mypkg.gates.SEEN
        assert isinstance(evidence, GateEvidence)
        return evidence


def test_a_gate_sees_the_gate_rows_and_what_was_predicted_for_them(tmp_path: Path) -> None:
    rows = rows_of("look")
    contest = contest_on(rows)
    evidence = looked(tmp_path, rows, contest)
    assert evidence.board == BOARD
    assert evidence.rows["id"].tolist() == rows.frame["id"].iloc[rows.split.gate].tolist()
    assert {"y", "at", "region"} <= set(evidence.rows.columns)
    assert evidence.champion is not None
    assert evidence.champion == pytest.approx(1 - np.linspace(0, 1, len(contest.target))[evidence.fresh])
    assert evidence.fresh.sum() == len(evidence.champion) < len(contest.target)


def test_a_gate_that_overwrites_its_evidence_changes_nothing_else(tmp_path: Path) -> None:
    rows = rows_of("look")
    contest = contest_on(rows)
    evidence = looked(tmp_path, rows, contest)
    assert set(evidence.target) == {9}
    assert set(contest.target) == {0, 1}
    assert contest.predictions["candidate"].values[-1, 1] == 1.0


def test_numbers_are_shown_as_they_were_predicted(tmp_path: Path) -> None:
    rows = rows_of("look")
    evidence = looked(tmp_path, rows, contest_on(rows, champion=False, regression=True))
    assert evidence.candidate.shape == evidence.target.shape
    assert evidence.champion is None


def test_every_custom_gate_answers_for_itself(tmp_path: Path) -> None:
    rows = rows_of("sane", "raises")
    gates = "def sane(evidence):\n    return {'passed': True, 'reason': 'a'}\ndef raises(evidence):\n    return {'passed': False, 'reason': 'b'}\n"
    with importable(write_package(tmp_path, gates=gates)):
        judged = with_gate_answers(contest_on(rows), rows)
    verdicts = [gate.ask(judged.board) for gate in rows.run.spec.gates[1:]]
    assert [(verdict.status, verdict.reason) for verdict in verdicts] == [("passed", "a"), ("failed", "b")]


def test_without_custom_gates_nothing_changes() -> None:
    rows = rows_of()
    contest = contest_on(rows)
    assert with_gate_answers(contest, rows) is contest


PROPER = [
    ("{'passed': True, 'reason': 'fine'}", GateAnswer(passed=True, reason="fine")),
    ("{'passed': np.float64(1) > 2, 'reason': 'x', 'observed': np.float64(1)}", GateAnswer(passed=False, reason="x", observed=1)),
    ("{'passed': True, 'reason': 'x', 'observed': np.int64(3), 'required': 2}", GateAnswer(passed=True, reason="x", observed=3, required=2)),
    ("GateAnswer(passed=True, reason='x')", GateAnswer(passed=True, reason="x")),
]  # fmt: skip


@pytest.mark.parametrize(("given", "answer"), PROPER)
def test_an_answer_is_a_dict_or_the_model_itself(tmp_path: Path, given: str, answer: GateAnswer) -> None:
    code = f"import numpy as np\nfrom contender.documents.scoreboard import GateAnswer\ndef gate(evidence):\n    return {given}\n"
    rows = rows_of("gate")
    with importable(write_package(tmp_path, gates=code)):
        judged = with_gate_answers(contest_on(rows), rows)
    assert list(judged.board.answers.values()) == [answer]


@pytest.mark.parametrize(
    "given",
    [
        "None", "True", "(True, 'fine')", "'passed'", "{}", "{'passed': True}", "{'reason': 'x'}", "{'passed': 1, 'reason': 'x'}",
        "{'passed': 'yes', 'reason': 'x'}", "{'passed': True, 'reason': ''}", "{'passed': None, 'reason': 'x'}",
        "{'passed': True, 'reason': 'x', 'observed': float('nan')}", "{'passed': True, 'reason': 'x', 'observed': '3'}",
        "{'passed': True, 'reason': 'x', 'why': 'y'}", "{'passed': evidence.candidate > 0, 'reason': 'x'}",
    ],
)  # fmt: skip
def test_an_invalid_answer_is_an_error_and_never_a_pass(tmp_path: Path, given: str) -> None:
    rows = rows_of("gate")
    with (
        importable(write_package(tmp_path, gates=f"def gate(evidence):\n    return {given}\n")),
        pytest.raises(
            ConfigError, match=r"^gates\.1: mypkg\.gates\.gate gave no answer \(.*\); expected a dict such as"
        ),
    ):
        with_gate_answers(contest_on(rows), rows)
