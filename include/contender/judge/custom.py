"""The user's own gates: what they are shown, and what becomes of their answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from contender.errors import ConfigError
from contender.judge.gates import CustomGate
from contender.judge.scorecard import GateAnswer, Scoreboard
from contender.owncode import import_path, in_words

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from contender.data.rows import Rows
    from contender.judge.contest import Contest
    from contender.judge.metrics import Predictions


@dataclass(frozen=True)
class GateEvidence:
    """What a custom gate's function gets as its first argument; all of it copies, the function's to change.

    Attributes:
        board: every contestant's metrics on the gate rows and the comparisons, as the other gates see them.
        rows: the gate rows with all columns of the snapshot, those that are no features too; n rows.
        target: shape (n,); 1 is the positive class, or the numbers themselves.
        candidate: shape (n,); the probability of the positive class, or the predicted numbers.
        fresh: shape (n,); the rows that the champion was not trained on, on which alone it may be compared.
        champion: like ``candidate``, on the fresh rows only, shape (fresh.sum(),); None without a champion to compare.
    """

    board: Scoreboard
    rows: pd.DataFrame
    target: np.ndarray
    candidate: np.ndarray
    fresh: np.ndarray
    champion: np.ndarray | None


def with_answers(contest: Contest, rows: Rows) -> Contest:
    """The contest with the answers of the run's custom gates on its board.

    Raises:
        ConfigError: a function raised something, or gave no answer; located. Never a silent pass.
    """
    answers = {
        gate.key: _answer(gate, number, _evidence(contest, rows))
        for number, gate in enumerate(rows.run.spec.gates)
        if isinstance(gate, CustomGate)
    }
    return replace(contest, board=contest.board.model_copy(update={"answers": answers})) if answers else contest


def _evidence(contest: Contest, rows: Rows) -> GateEvidence:
    champion = contest.predictions.get("champion")
    fresh = contest.fresh.copy()
    return GateEvidence(
        board=contest.board,
        rows=rows.frame.iloc[rows.split.gate].reset_index(drop=True),
        target=contest.target.copy(),
        candidate=_plain(contest.predictions["candidate"]),
        fresh=fresh,
        champion=None if champion is None or not fresh.any() else _plain(champion)[fresh],
    )


def _plain(predictions: Predictions) -> np.ndarray:
    values = predictions.values
    return (values[:, 1] if values.ndim == 2 else values).copy()


def _answer(gate: CustomGate, number: int, evidence: GateEvidence) -> GateAnswer:
    place = f"gates.{number}"
    function = import_path(gate.function, f"{place}.function", kind="function")
    try:
        given = function(evidence, **gate.arguments)
    except Exception as error:  # the user's own code may raise anything
        msg = f"{place}: {gate.function} raised {in_words(error)}"
        raise ConfigError(msg) from error
    if isinstance(given, GateAnswer):
        return given
    try:
        return GateAnswer.model_validate({name: _native(value) for name, value in dict(given).items()}, strict=True)
    except (TypeError, ValueError, ValidationError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else f"got a {type(given).__name__}"
        msg = (
            f"{place}: {gate.function} gave no answer ({why}); expected a dict such as "
            "{'passed': False, 'reason': 'profit 310 is below 500', 'observed': 310.0, 'required': 500.0}, "
            "the last two if there are such numbers"
        )
        raise ConfigError(msg) from None


def _native(value: Any) -> Any:
    """NumPy's True is what comparing its numbers gives; it is no Python bool."""
    return value.item() if hasattr(value, "item") else value
