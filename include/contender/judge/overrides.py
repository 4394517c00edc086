"""Overrides: a person answers for a gate that cannot be asked of today's champion, for a while, in the ledger.

A champion that needs a column which is no longer there can never be compared again, so that without an override no model
could ever follow it. An override lets nothing pass that could be asked: as soon as the champion can be scored, the gate
judges as always (``documents.scoreboard.Scoreboard.cannot_score``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contender.documents.run import Run, run_key
from contender.errors import ConfigError, did_you_mean
from contender.release import witness
from contender.store.base import read_document
from contender.store.ledger import Override
from contender.store.runs import standing_end

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from contender.backends import Backends
    from contender.store.base import ArtifactStore
    from contender.store.ledger import Ledger, LedgerEntry


def override(
    backends: Backends,
    pipeline: str,
    *,
    gates: Sequence[str] = (),
    reason: str,
    by: str,
    expires: datetime,
    now: datetime,
) -> LedgerEntry:
    """Enter an override into the ledger: the next run asks these gates again.

    Args:
        gates: labels; none: every gate that was undecided about the champion in the last run that came to a decision.
        by: who approves it.

    Raises:
        ConfigError: there is no champion, no such gate, or none that was undecided; the reason or the approver is missing,
            or it would have expired already.
        Conflict: the champion changed meanwhile.
    """
    ledger = witness.open_ledger(backends, pipeline)
    champion = ledger.champion()
    if champion is None:
        raise ConfigError(f"{pipeline}: there is no champion, so no gate has to be overridden")
    for name, text in (("--reason", reason), ("--by", by)):
        if not text.strip():
            raise ConfigError(f"override: give {name}; it stays in the ledger")
    if expires <= now:
        raise ConfigError(f"override: it would have expired on {expires:%Y-%m-%d %H:%M} UTC; give a later --expires")
    open_ = _undecided(backends.store, pipeline)
    for label in gates:
        if label not in open_:
            hint = did_you_mean(label, open_, listed="Undecided about the champion")
            raise ConfigError(
                f"{pipeline}: the last decision left no gate {label!r} undecided about the champion." + hint
            )
    if not open_:
        msg = (
            f"{pipeline}: the last decision left no gate undecided about the champion; an override settles only a gate that "
            "cannot be asked, and never lets a model pass one that can"
        )
        raise ConfigError(msg)
    entry = ledger.append(
        kind="override",
        version=None,
        release=None,
        run_id=None,
        as_of=None,
        at=now,
        by=" ".join(by.split()),
        reason=" ".join(reason.split()),
        expected=champion,
        override=Override(gates=tuple(gates or open_), champion=champion.number, expires=expires),
    )
    witness.tell(backends, ledger)
    return entry


def standing(ledger: Ledger, now: datetime) -> dict[str, str]:
    """The overrides that hold for today's champion, the newest one for each gate: by label, as a sentence."""
    champion = ledger.champion()
    found: dict[str, str] = {}
    for entry in ledger.entries():
        given = entry.override
        if given is None or champion is None or given.champion != champion.number or given.expires <= now:
            continue
        words = f"overridden by {entry.by} until {given.expires:%Y-%m-%d %H:%M} UTC ({entry.reason})"
        found |= dict.fromkeys(given.gates, words)
    return found


def _undecided(store: ArtifactStore, pipeline: str) -> list[str]:
    """The gates that the last decided run left undecided about the champion, by label."""
    decided: list[tuple[tuple[datetime, datetime], list[str]]] = []
    for run_id in store.children(f"{pipeline}/runs"):
        outcome = standing_end(store, pipeline, run_id).outcome
        run = read_document(store, run_key(pipeline, run_id, "run.json"), Run)
        if outcome is None or run is None or not outcome.verdicts:
            continue
        about = {gate.label for gate in run.spec.gates if any(who == "champion" for who, _ in gate.opponents)}
        labels = [one.gate for one in outcome.verdicts if one.status == "undecided" and one.gate in about]
        decided.append(((run.started, run.as_of), labels))
    return max(decided, key=lambda one: one[0])[1] if decided else []
