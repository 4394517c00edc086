"""The champion's title. The ledger records who holds it, MLflow's alias ``champion`` follows the ledger.

``take`` is the only function that changes the champion; promotion, rollback and adoption all call it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from contender.errors import BackendError, ConfigError, Conflict, did_you_mean
from contender.release import verify
from contender.release.bundle import manifest_hash
from contender.store.ledger import Ledger
from contender.tracking import models

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from contender.backends import Backends
    from contender.store.ledger import Evidence, LedgerEntry


def take(
    backends: Backends,
    ledger: Ledger,
    *,
    kind: Literal["promotion", "rollback", "adoption"],
    run_id: str,
    version: Callable[[str], str],
    as_of: datetime | None,
    by: str,
    reason: str,
    evidence: Evidence,
    expected: LedgerEntry | None,
    adopting: str | None = None,
) -> LedgerEntry:
    """Make a release the champion: register it, verify it in a fresh process, append to the ledger, set the alias.

    Args:
        run_id: the run that made the release.
        version: gives the registered model's version for the hash of the manifest, created when it is missing.
        expected: the champion that the decision was made against; None when there was none.
        adopting: the version that a user adopts; the alias may point at it already.

    Raises:
        BackendError: the release is not in the store or does not verify; the champion does not change.
        ConfigError: it does not verify, and a retry cannot help.
        Conflict: the champion changed meanwhile, or the alias was set outside Contender.
    """
    refuse_foreign_alias(backends, ledger, adopting=adopting)
    release = manifest_hash(backends, ledger.pipeline, run_id)
    number = version(release)
    verify.verify_version(backends, ledger.pipeline, run_id, number)
    # Ledger before alias: the entry decides. A crash in between leaves an old alias, which ``project_alias`` mends.
    entry = ledger.append(
        kind=kind,
        version=number,
        release=release,
        run_id=run_id,
        as_of=as_of,
        at=datetime.now(UTC),
        by=by,
        reason=reason,
        evidence=evidence,
        expected=expected,
    )
    project_alias(backends, ledger)
    return entry


def rollback(backends: Backends, pipeline: str, *, version: str, reason: str, by: str) -> LedgerEntry:
    """Make an earlier champion the champion again.

    Raises:
        ConfigError: the version never served, or serves now; or no reason is given.
        BackendError, Conflict: see ``take``; or its release changed since it served.
    """
    ledger = Ledger(backends.store, pipeline)
    champion = ledger.champion()
    served = {entry.version: entry for entry in ledger.entries() if entry.kind != "keep" and entry.version is not None}
    if version not in served:
        msg = f"{pipeline}: version {version!r} never served." + did_you_mean(version, [str(v) for v in served])
        raise ConfigError(msg)
    if champion is not None and champion.version == version:
        msg = f"{pipeline}: version {version} is the champion already (since {champion.at:%Y-%m-%d %H:%M} UTC)"
        raise ConfigError(msg)
    if not reason.strip():
        msg = "rollback: give a reason; it stays in the ledger"
        raise ConfigError(msg)
    earlier = served[version]
    changed = f"{pipeline}: the release of version {version} is not the one that the ledger names"
    if earlier.run_id is None:
        raise BackendError(changed)

    def version_if_unchanged(release: str) -> str:
        if release != earlier.release:
            raise BackendError(changed)
        return version

    return take(
        backends,
        ledger,
        kind="rollback",
        run_id=earlier.run_id,
        version=version_if_unchanged,
        as_of=earlier.as_of,
        by=by,
        reason=reason,
        evidence=earlier.evidence,
        expected=champion,
    )


def refuse_foreign_alias(backends: Backends, ledger: Ledger, *, adopting: str | None = None) -> None:
    """Refuse to go on when the champion alias was set outside Contender: such an alias is never moved.

    Args:
        adopting: the version that a user adopts; the alias may point at it.

    Raises:
        Conflict: the alias points at a version that the ledger does not know.
    """
    pointed = models.champion_alias(backends.tracking, ledger.pipeline)
    if pointed in (None, adopting, *_versions(ledger)):
        return
    ledger.reread()  # another process may have promoted since the ledger was read
    if pointed not in _versions(ledger):
        msg = (
            f"{ledger.pipeline}: somebody else set the alias champion (to version {pointed}); Contender does not move it. "
            f"To let that version defend its title: contender adopt {ledger.pipeline} --version {pointed}. "
            "Or remove the alias in MLflow to let Contender set its own"
        )
        raise Conflict(msg)


def project_alias(backends: Backends, ledger: Ledger) -> None:
    """Point MLflow's alias at the ledger's champion, if it does not yet. Idempotent.

    Raises:
        Conflict: the alias was set outside Contender.
    """
    champion = ledger.champion()
    if champion is None or champion.version is None:
        return
    refuse_foreign_alias(backends, ledger)
    if models.champion_alias(backends.tracking, ledger.pipeline) != champion.version:
        models.set_champion_alias(backends.tracking, ledger.pipeline, champion.version)


def _versions(ledger: Ledger) -> set[str | None]:
    return {entry.version for entry in ledger.entries()}
