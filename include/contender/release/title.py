"""The champion's title. The ledger records who holds it, MLflow's alias ``champion`` follows the ledger.

``take`` is the only function that changes the champion; promotion, rollback and adoption all call it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from contender.errors import BackendError, ConfigError, Conflict, did_you_mean
from contender.release import registry, verify, witness
from contender.release.bundle import manifest_hash
from contender.store.ledger import shown_version
from contender.tracking import models

if TYPE_CHECKING:
    from typing import Literal

    from contender.backends import Backends
    from contender.store.ledger import Evidence, Ledger, LedgerEntry

_SHORTEST_HASH = 8  # characters of a release's hash that a user must give at least
_TRIES = 10


def take(
    backends: Backends,
    ledger: Ledger,
    *,
    kind: Literal["promotion", "rollback", "adoption"],
    run_id: str,
    as_of: datetime | None,
    by: str,
    reason: str,
    evidence: Evidence,
    expected: LedgerEntry | None,
    description: str = "",
    number: str | None = None,
) -> LedgerEntry:
    """Make a release the champion: register it, verify it in a fresh process, append to the ledger, set the alias.

    Args:
        run_id: the run that made the release.
        expected: the champion that the decision was made against; None when there was none.
        description: shown with the version in MLflow, when it is registered now.
        number: the version of MLflow that has the release's files already. When a user adopts it, the alias may point
            at it.

    Raises:
        BackendError: the release is not in the store or does not verify; the champion does not change.
        ConfigError: it does not verify, and a retry cannot help.
        Conflict: the champion changed meanwhile, or the alias was set outside Contender.
    """
    refuse_foreign_alias(backends, ledger, adopting=number if kind == "adoption" else None)
    pipeline = ledger.pipeline
    release = manifest_hash(backends, pipeline, run_id)
    version = registry.version_of(backends, pipeline, run_id, release, number=number, description=description)
    verify.verify_version(backends, pipeline, run_id, version)
    models.check_may_set_alias(backends.tracking, pipeline)
    # Ledger before alias: the entry decides. A crash in between leaves an old alias, which ``project_alias`` mends.
    entry = ledger.append(
        kind=kind,
        version=version,
        release=release,
        run_id=run_id,
        as_of=as_of,
        at=datetime.now(UTC),
        by=by,
        reason=reason,
        evidence=evidence,
        expected=expected,
    )
    project_alias(backends, ledger, verified=version)
    return entry


def rollback(backends: Backends, pipeline: str, *, version: str, reason: str, by: str) -> LedgerEntry:
    """Make an earlier champion the champion again. Run again it sets an alias that could not be set before.

    Args:
        version: the number of a version of MLflow, the run that made the release, or the beginning of its hash.

    Raises:
        ConfigError: it never served, serves now, or could be one of several; or no reason is given.
        BackendError, Conflict: see ``take``; or its release changed since it served.
    """
    ledger = witness.open_ledger(backends, pipeline)
    champion = ledger.champion()
    earlier = _served(backends, ledger, version)
    if champion is not None and champion.release == earlier.release:
        if project_alias(backends, ledger):  # an earlier try may have ended between ledger and alias
            return champion
        shown = shown_version(backends.store, champion)
        msg = f"{pipeline}: version {shown} is the champion already (since {champion.at:%Y-%m-%d %H:%M} UTC)"
        raise ConfigError(msg)
    if not reason.strip():
        msg = "rollback: give a reason; it stays in the ledger"
        raise ConfigError(msg)
    if earlier.run_id is None or manifest_hash(backends, pipeline, earlier.run_id) != earlier.release:
        msg = f"{pipeline}: the release of version {earlier.version} is not the one that the ledger names"
        raise BackendError(msg)
    return take(
        backends,
        ledger,
        kind="rollback",
        run_id=earlier.run_id,
        as_of=earlier.as_of,
        by=by,
        reason=reason,
        evidence=earlier.evidence,
        expected=champion,
        number=earlier.version,
    )


def _served(backends: Backends, ledger: Ledger, named: str) -> LedgerEntry:
    """The newest entry of the release that a user names.

    Raises:
        ConfigError: no release that served is called so, or several are.
    """
    served = {one.release: one for one in ledger.entries() if one.takes_title and one.release is not None}
    tags = models.version_tags(backends.tracking, ledger.pipeline, named) if named.isdecimal() else None
    now = None if tags is None else registry.entry_of(backends, ledger, named, tags.get(models.RELEASE))
    called: dict[str | None, LedgerEntry] = {} if now is None else {now.release: now}
    for entry in ledger.entries():
        if entry.release in served and named in (entry.version, entry.run_id if entry.takes_title else None):
            called[entry.release] = served[entry.release]
    called |= {
        release: entry
        for release, entry in served.items()
        if named == shown_version(backends.store, entry) or _begins(release, named)
    }
    if not called:
        names = [str(shown_version(backends.store, entry)) for entry in served.values()]
        msg = f"{ledger.pipeline}: version {named!r} never served." + did_you_mean(named, names)
        raise ConfigError(msg)
    if len(called) > 1 or (tags is not None and now is None):
        listed = "; ".join(f"{one.run_id} ({one.kind} of {one.at:%Y-%m-%d %H:%M} UTC)" for one in called.values())
        stranger = "" if now is not None or tags is None else f" MLflow's version {named} now is none of them."
        msg = (
            f"{ledger.pipeline}: version {named} can be read in more than one way, because versions were deleted in MLflow. "
            f"Releases that had this number: {listed}.{stranger} Name the run instead of the version"
        )
        raise ConfigError(msg)
    return next(iter(called.values()))


def _begins(release: str | None, named: str) -> bool:
    return release is not None and len(named) >= _SHORTEST_HASH and release.startswith(named)


def refuse_foreign_alias(backends: Backends, ledger: Ledger, *, adopting: str | None = None) -> None:
    """Refuse to go on when the champion alias was set outside Contender: such an alias is never moved.

    Args:
        adopting: the version that a user adopts; the alias may point at it.

    Raises:
        Conflict: the alias points at a version that is no release which the ledger knows.
    """
    pointed = models.champion_version(backends.tracking, ledger.pipeline)
    if pointed is None or pointed[0] == adopting or registry.entry_of(backends, ledger, *pointed) is not None:
        return
    ledger.reread()  # another process may have promoted since the ledger was read
    if registry.entry_of(backends, ledger, *pointed) is None:
        msg = (
            f"{ledger.pipeline}: somebody else set the alias champion (to version {pointed[0]}); Contender does not move it. "
            f"To let that version defend its title: contender adopt {ledger.pipeline} --version {pointed[0]}. "
            "Or remove the alias in MLflow to let Contender set its own"
        )
        raise Conflict(msg)


def project_alias(backends: Backends, ledger: Ledger, *, verified: str | None = None) -> bool:
    """Point MLflow's alias at the ledger's champion and tell MLflow of the head. Idempotent; whether the alias was set.

    A version that was deleted in MLflow is registered again. The ledger is read on after the alias was set, and the
    alias set again when the champion has changed: of several processes the last to set it has seen the head.

    Args:
        verified: a version that this process has verified. Any other is verified before the alias points at it.

    Raises:
        BackendError: the champion's release is not in the store or does not verify.
        Conflict: the alias was set outside Contender, or the champion changed too often.
    """
    changed = False
    for _ in range(_TRIES):
        witness.tell(backends, ledger)
        champion = ledger.champion()
        if champion is None or champion.release is None:
            return changed
        refuse_foreign_alias(backends, ledger)
        version = registry.version_of_entry(backends, champion)
        if models.champion_alias(backends.tracking, ledger.pipeline) == version:
            return changed
        if version != verified:
            verify.verify_version(backends, ledger.pipeline, str(champion.run_id), version)
        models.set_champion_alias(backends.tracking, ledger.pipeline, version)
        changed = True
        if not ledger.read_on():
            return changed
    msg = f"{ledger.pipeline}: the champion changes faster than the alias can follow; try again"
    raise Conflict(msg)
