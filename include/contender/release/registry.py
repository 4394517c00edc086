"""Which version of MLflow's registered model a release is, and how it comes back when somebody deleted it there.

The store is the truth: a release that MLflow has no version of is registered from its files in the store. Versions are
recognised by the release's hash, never by their number. The number that people see is written beside the release.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from contender.canonical import content_key, sha256
from contender.documents.release import Adopted
from contender.errors import BackendError
from contender.release.bundle import UnreadableRelease, model_files, put_files, read_release
from contender.store.ledger import show_version
from contender.tracking import models
from contender.tracking.foreign import ADOPTED
from contender.tracking.runs import RUN

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.documents.release import Release
    from contender.store.ledger import Ledger, LedgerEntry


def version_of(
    backends: Backends, pipeline: str, run_id: str, release: str, *, number: str | None = None, description: str = ""
) -> str:
    """The version that is this release, registered (again) when MLflow has none.

    Args:
        run_id: the run that made the release.
        release: the hash of its manifest.
        number: the version that is it, unless its files are others: of one that bears no tag of ours yet.
        description: shown with a version that is registered now.

    Raises:
        BackendError: there is no such version, and the release cannot be read or is another one than expected.
    """
    version = models.version_of(backends.tracking, pipeline, release)
    if version is None:
        manifest = read_release(backends, pipeline, run_id, expected=release)
        if number is not None and _holds(backends, number, manifest):
            models.mark(backends.tracking, pipeline, number, release)
            version = number
        else:
            version = _register(backends, manifest, release, description)
    return version


def version_of_entry(backends: Backends, entry: LedgerEntry) -> str:
    """``version_of`` for the release that a ledger entry gave the title to; its number is then the one that is shown.

    Raises:
        BackendError: see ``version_of``.
    """
    if entry.run_id is None or entry.release is None:
        msg = f"{entry.pipeline}: ledger entry {entry.number} names no release"
        raise BackendError(msg)
    version = version_of(backends, entry.pipeline, entry.run_id, entry.release, number=entry.version)
    show_version(backends.store, entry, version)
    return version


def entry_of_version(backends: Backends, ledger: Ledger, version: str) -> LedgerEntry | None:
    """The newest entry that gave the title to what this version of MLflow holds; None: there is none, or no version."""
    tags = models.version_tags(backends.tracking, ledger.pipeline, version)
    return None if tags is None else entry_of(backends, ledger, version, tags.get(models.RELEASE))


def entry_of(backends: Backends, ledger: Ledger, version: str, tagged: str | None) -> LedgerEntry | None:
    """The newest entry that gave the title to what this version of MLflow holds; None: it never served.

    Args:
        tagged: the release that the version is tagged as.
    """
    served = [entry for entry in reversed(ledger.entries()) if entry.takes_title and entry.release is not None]
    if tagged is not None:
        return next((entry for entry in served if entry.release == tagged), None)
    for entry in served:  # an earlier Contender set no tag on a version that was adopted
        if entry.kind == "adoption" and entry.version == version and entry.run_id is not None:
            with suppress(UnreadableRelease):
                release = read_release(backends, ledger.pipeline, entry.run_id, expected=entry.release)
                if _holds(backends, version, release):
                    models.mark(backends.tracking, ledger.pipeline, version, str(entry.release))
                    return entry
    return None


def _holds(backends: Backends, version: str, release: Release) -> bool:
    """Whether a version of MLflow has the release's files, byte for byte."""
    if models.version_tags(backends.tracking, release.pipeline, version) is None:
        return False
    with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
        folder = models.fetch_version(backends.tracking, release.pipeline, version, Path(scratch))
        return {name: sha256(content) for name, content in model_files(folder).items()} == release.files


def _register(backends: Backends, release: Release, digest: str, description: str) -> str:
    tags = {RUN: release.run_id, "contender.as_of": release.as_of.isoformat()}
    adopted = isinstance(release.recipe, Adopted)
    if adopted:
        tags = {ADOPTED: content_key(release.files), "contender.adopted_from": release.model}
        description = description or f"adopted from {release.model}"
    model_id = release.model
    # An adopted model is copied: its original may be overwritten. So is one of our own that was deleted in MLflow.
    if adopted or not models.is_logged(backends.tracking, model_id):
        with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
            folder = put_files(backends, release, Path(scratch))
            kept = {models.RELEASE: digest, **tags}
            model_id = models.log_copy(backends.tracking, release.pipeline, folder, tags=kept, kind=_flavor(release))
    return models.register(
        backends.tracking, release.pipeline, model_id, release=digest, tags=tags, description=description
    )


def _flavor(release: Release) -> str:
    return release.recipe.estimator.partition(".")[0] if isinstance(release.recipe, Adopted) else "sklearn"
