"""Who holds the title: the ledger says it, MLflow's alias repeats it, a rollback gives it back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from contender import release as releases
from contender.errors import BackendError, ConfigError, Conflict, did_you_mean
from contender.store.ledger import Ledger
from contender.tracking import models

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.store.ledger import LedgerEntry


def rollback(backends: Backends, pipeline: str, *, version: str, reason: str, by: str) -> LedgerEntry:
    """Give the title back to a version that held it: verified again, entered in the ledger, alias last.

    Raises:
        ConfigError: the version never served, or serves now.
        BackendError: it does not verify any more.
        Conflict: the champion changed meanwhile.
    """
    ledger = Ledger(backends.store, pipeline)
    entries = ledger.entries()
    served = {entry.version: entry for entry in entries if entry.kind != "keep" and entry.version is not None}
    champion = ledger.champion()
    if version not in served:
        msg = f"{pipeline}: version {version!r} never served." + did_you_mean(version, [str(v) for v in served])
        raise ConfigError(msg)
    if champion is not None and champion.version == version:
        msg = f"{pipeline}: version {version} is the champion already (since {champion.at:%Y-%m-%d %H:%M} UTC)"
        raise ConfigError(msg)
    if not reason.strip():
        msg = "rollback: give a reason; it stays in the ledger"
        raise ConfigError(msg)
    refuse_foreign_alias(backends, pipeline)
    earlier = served[version]
    if earlier.run_id is None or releases.manifest_hash(backends, pipeline, earlier.run_id) != earlier.release:
        msg = f"{pipeline}: the release of version {version} is not the one that the ledger names"
        raise BackendError(msg)
    releases.verify_version(backends, pipeline, earlier.run_id, version)
    entry = ledger.append(
        kind="rollback",
        version=version,
        release=earlier.release,
        run_id=earlier.run_id,
        as_of=earlier.as_of,
        at=datetime.now(UTC),
        by=by,
        reason=reason,
        evidence=earlier.evidence,
        expected=champion,
    )
    project_alias(backends, pipeline)
    return entry


def refuse_foreign_alias(backends: Backends, pipeline: str, *, adopting: str | None = None) -> None:
    """An alias that Contender did not set is never moved.

    Args:
        adopting: the version that a user adopts; the alias may be on it.

    Raises:
        Conflict: the champion alias points at a version that the ledger does not know.
    """
    pointed = models.champion_alias(backends.tracking, pipeline)
    known = {entry.version for entry in Ledger(backends.store, pipeline).entries()} | {adopting}
    if pointed is not None and pointed not in known:
        msg = (
            f"{pipeline}: somebody else set the alias champion (to version {pointed}); Contender does not move it. "
            f"To let that version defend its title: contender adopt {pipeline} --version {pointed}. "
            "Or remove the alias in MLflow to let Contender set its own"
        )
        raise Conflict(msg)


def project_alias(backends: Backends, pipeline: str) -> None:
    """Make the registry's alias say what the ledger's head says."""
    champion = Ledger(backends.store, pipeline).champion()
    if champion is None or champion.version is None:
        return
    refuse_foreign_alias(backends, pipeline)
    if models.champion_alias(backends.tracking, pipeline) != champion.version:
        models.set_champion_alias(backends.tracking, pipeline, champion.version)
