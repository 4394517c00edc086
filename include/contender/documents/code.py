"""The code that made a document, as runs, trials and releases record it. It is computed in ``run.code``."""

from __future__ import annotations

from contender.frozen import Frozen


class Code(Frozen):
    """A fingerprint of Contender's own source, and the versions of what it ran with.

    ``lock`` is a hash of all installed distributions. It shows whether anything was different; nothing depends on it.
    """

    fingerprint: str
    python: str
    versions: dict[str, str]
    commit: str | None = None
    lock: str | None = None
