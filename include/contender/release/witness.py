"""What MLflow was told of a ledger's head: a store cannot say that its newest entries are missing.

The witness is a tag of the pipeline's experiment, with the number and the digest of the newest entry. It may be behind
(a task was killed before it told), but never ahead of the ledger.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from contender.errors import BackendError
from contender.store.base import installation, known_installation
from contender.store.ledger import Ledger
from contender.tracking import models

if TYPE_CHECKING:
    from contender.backends import Backends

_TAG = "contender.ledger."  # and the installation: others on the same MLflow have ledgers of their own
_TOLD = re.compile(r"([0-9]{1,8}):([0-9a-f]{64})")


def open_ledger(backends: Backends, pipeline: str) -> Ledger:
    """The pipeline's ledger, which is compared with its witness whenever it is read.

    Its methods raise BackendError when the newest entries are missing.
    """
    return Ledger(backends.store, pipeline, witness=lambda ledger: _compare(backends, ledger))


def tell(backends: Backends, ledger: Ledger) -> None:
    """Tell MLflow of the ledger's head, unless it knows of it or of a newer one. Idempotent."""
    entries = ledger.entries()
    if not entries:
        return
    head, tag = entries[-1], _tag(installation(backends.store))
    seen = _told(backends, ledger.pipeline, tag)
    if seen is None or seen[0] < head.number:
        models.tag_experiment(backends.tracking, ledger.pipeline, tag, f"{head.number}:{head.digest}")


def _compare(backends: Backends, ledger: Ledger) -> None:
    known = known_installation(backends.store)
    tag = "" if known is None else _tag(known)
    seen = _told(backends, ledger.pipeline, tag) if tag else None
    if seen is None:
        return
    number, digest = seen
    if number > len(ledger.entries()):
        ledger.read_on()  # another process may have appended since the ledger was read
    entries = ledger.entries()
    if number > len(entries):
        found = f"ends with entry {len(entries)}" if entries else "is empty"
    elif entries[number - 1].digest != digest:
        found = f"has another entry {number}"
    else:
        return
    msg = (
        f"{ledger.pipeline}: the ledger {found}, but MLflow was told of entry {number} ({digest[:12]}): the newest entries "
        "were removed, or the store was restored from an older backup. Restore them before anything is decided; if they "
        f"are lost for good, delete the tag {tag} of the MLflow experiment {ledger.pipeline}, and the ledger goes "
        "on from where it ends"
    )
    raise BackendError(msg)


def _told(backends: Backends, pipeline: str, tag: str) -> tuple[int, str] | None:
    """Number and digest of the newest entry that MLflow was told of."""
    told = _TOLD.fullmatch(models.experiment_tags(backends.tracking, pipeline).get(tag, ""))
    return None if told is None else (int(told[1]), told[2])


def _tag(installation_id: str) -> str:
    return f"{_TAG}{installation_id[:12]}"
