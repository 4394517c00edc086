"""The title as a contest sees it: who holds it, loaded and checked, and who held it last on evidence."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from contender.errors import ContenderError
from contender.judge.contest import OVERRIDE, Champion
from contender.judge.gates import NO_CHAMPION
from contender.judge.overrides import standing
from contender.release.bundle import UnreadableRelease, load_release, read_release
from contender.store.ledger import shown_version

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.documents.run import Run
    from contender.store.ledger import Ledger, LedgerEntry

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Title:
    """Who holds the title.

    Attributes:
        number, version, as_of: of the champion's entry in the ledger; None where nobody holds it.
        champion: it, as it enters the contest; None where nobody does, or it cannot be loaded (``why_none``).
        former: the one that held it before, and the number of its entry; None without one, or where time does not order the rows.
        proven: the last champion that took the title on evidence, if a gate asks for it and it no longer serves.
        overridden: gates, by label, that an override settles if they cannot be asked.
    """

    number: int | None = None
    version: str | None = None
    as_of: datetime | None = None
    champion: Champion | None = None
    why_none: str = NO_CHAMPION
    former: Champion | None = None
    former_number: int | None = None
    proven: Champion | None = None
    overridden: dict[str, str] = field(default_factory=dict)


def title_of(run: Run, backends: Backends, ledger: Ledger) -> Title:
    """The title as the ledger has it."""
    entry = ledger.champion()
    champion, why_none = _loaded(backends, run, entry)
    before = _before(ledger, entry) if run.spec.data.time is not None else None
    return Title(
        number=None if entry is None else entry.number,
        version=None if entry is None else shown_version(backends.store, entry),
        as_of=None if entry is None else entry.as_of,
        champion=champion,
        why_none=why_none,
        former=_old(backends, run, before, "the former champion does not look on"),
        former_number=None if before is None else before.number,
        proven=_proven(backends, run, ledger, entry),
        overridden=standing(ledger, datetime.now(UTC)),
    )


def _loaded(backends: Backends, run: Run, entry: LedgerEntry | None) -> tuple[Champion | None, str]:
    """The champion, or why it is not in the contest: a release that cannot be read must not stop every later run."""
    if entry is None or entry.version is None or entry.run_id is None:
        return None, NO_CHAMPION
    version = str(shown_version(backends.store, entry))
    try:
        release = read_release(backends, run.pipeline, entry.run_id, expected=entry.release)
        return Champion(version, release, load_release(backends, release)), NO_CHAMPION
    except UnreadableRelease as error:
        why = str(error)
    except ContenderError:
        raise
    except Exception as error:  # noqa: BLE001 - an old pickle may raise anything under other versions of the libraries
        why = f"it does not load here ({type(error).__name__})"
    return None, (
        f"version {version} cannot be judged: {why}. Restore it, or give the title to a model that can be read: "
        f"contender rollback {run.pipeline} --to VERSION, or contender adopt {run.pipeline} --version VERSION; or, when it "
        f"shall be replaced without being compared: {OVERRIDE.format(name=run.pipeline)}"
    )


def _proven(backends: Backends, run: Run, ledger: Ledger, champion: LedgerEntry | None) -> Champion | None:
    """The last champion that took the title on evidence, if a gate asks for it, it no longer serves and can be loaded."""
    asked = any(opponent == "proven" for gate in run.spec.gates for opponent, _ in gate.opponents)
    entry = ledger.proven()
    if not asked or entry is None or champion is None or entry.release == champion.release:
        return None
    return _old(backends, run, entry, "losses are not held against the last champion that took the title on evidence")


def _before(ledger: Ledger, champion: LedgerEntry | None) -> LedgerEntry | None:
    """The entry of the champion before today's."""
    titles = (one for one in reversed(ledger.entries()) if one.takes_title and one.version is not None)
    return next((one for one in titles if champion is not None and one.release != champion.release), None)


def _old(backends: Backends, run: Run, entry: LedgerEntry | None, otherwise: str) -> Champion | None:
    """An earlier champion, if it can be loaded; else the log says what comes of that."""
    if entry is None:
        return None
    found, why = _loaded(backends, run, entry)
    if found is None:
        _logger.warning("%s: %s", otherwise, why)
    return found
