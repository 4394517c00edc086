"""From verdicts to a decision and the sentence that people read first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contender.judge.gates import AnyGate
    from contender.judge.scorecard import Scoreboard, Verdict

Answer = Literal["promote", "keep", "undecided"]


def ask_all(gates: Sequence[AnyGate], board: Scoreboard) -> tuple[Verdict, ...]:
    """Every gate's verdict, in order, exactly one each."""
    return tuple(gate.ask(board) for gate in gates)


def outcome(verdicts: Sequence[Verdict]) -> Answer:
    """One no keeps the champion; without a no, one doubt leaves it undecided; else the candidate is promoted."""
    statuses = {verdict.status for verdict in verdicts}
    if "failed" in statuses:
        return "keep"
    if "undecided" in statuses:
        return "undecided"
    return "promote"


def sentence(answer: Answer, verdicts: Sequence[Verdict], *, candidate: str, champion: str | None) -> str:
    """The decision in words, with the reason that settled it."""
    serving = f"version {champion} stays champion" if champion is not None else "there is still no champion"
    if answer == "promote":
        won = "the first champion" if champion is None else f"it takes the title from version {champion}"
        proof = next((v.reason for v in reversed(verdicts) if v.status == "passed"), "no gate applied")
        return (
            f"promote: {candidate} is {won} ({proof})"
            if champion is None
            else f"promote: {candidate} passed every gate, {won} ({proof})"
        )
    status = "failed" if answer == "keep" else "undecided"
    reason = "; ".join(f"{v.gate}: {v.reason}" for v in verdicts if v.status == status)
    return f"{answer}: {serving}; {reason}"
