"""The ledger: per pipeline a numbered chain of entries, each with the hash of the one before.

Entry n+1 is written put-if-absent and holds the hash of entry n, so of two writers that read the same head one wins and
the other notices. This is the compare-and-swap that a model registry's alias lacks. What an entry means for the alias
is decided in ``release.title``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Literal

from contender.canonical import canonical_json, content_key
from contender.documents.release import Registered, release_key
from contender.errors import BackendError, Conflict
from contender.frozen import Frozen
from contender.store.base import ArtifactStore, parse_document, read_document, write_document

Kind = Literal["promotion", "keep", "rollback", "adoption", "override"]
GENESIS = "0" * 64  # ``previous`` of the first entry
_ENTRY = re.compile(r"[0-9]{8}\.json")


class Evidence(Frozen):
    """What an entry rests on: the decision's hash, and the metric on the gate rows.

    Attributes:
        proved: whether the model was shown better than the champion it replaced; None when they were not compared.
    """

    decision: str | None = None
    metric: str | None = None
    value: float | None = None
    proved: bool | None = None


class Override(Frozen):
    """What an override settles: these gates, by label, as long as this champion (by its entry's number) serves, at the latest
    until it expires.
    """

    gates: tuple[str, ...]
    champion: int
    expires: datetime


class LedgerEntry(Frozen):
    """One change of the champion, a keep, or an override: who, what, why, when, on what evidence.

    ``version`` is the champion after this entry (None: there is none). ``digest`` is the hash of all other fields;
    ``previous`` is the digest of the entry before.
    """

    number: int
    previous: str
    pipeline: str
    kind: Kind
    version: str | None
    release: str | None
    run_id: str | None
    as_of: datetime | None
    at: datetime
    by: str
    reason: str
    evidence: Evidence = Evidence()
    override: Override | None = None
    digest: str = ""

    @property
    def takes_title(self) -> bool:
        """Whether it made a champion: neither a keep nor an override does."""
        return self.kind not in ("keep", "override")

    def computed_digest(self) -> str:
        """The hash of all other fields, which ``digest`` must equal."""
        left_out: dict[str, Any] = {"digest": True}
        if self.override is None:  # entries from before it existed hash as they did
            left_out["override"] = True
        if self.evidence.proved is None:  # the same
            left_out["evidence"] = {"proved"}
        return content_key(self.model_dump(mode="json", exclude=left_out))


class Ledger:
    """One pipeline's chain, read from the store once, so that a decision and its entry rest on the same reading.

    ``append`` reads again when another writer was faster; ``reread`` and a new object do so always.

    Args:
        witness: called with the ledger after each reading; it raises when entries are missing that somebody saw.
    """

    def __init__(self, store: ArtifactStore, pipeline: str, witness: Callable[[Ledger], None] | None = None) -> None:
        self.pipeline = pipeline
        self._witness = witness
        self._store = store
        self._folder = f"{pipeline}/ledger"
        self._entries: tuple[LedgerEntry, ...] | None = None

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All entries, oldest first, the whole chain checked.

        Raises:
            BackendError: an entry is missing, changed, unreadable or out of place; the message names it. No decision is
                made on a broken chain.
        """
        if self._entries is None:
            self._entries = self._read()
            if self._witness is not None:
                try:
                    self._witness(self)
                except BaseException:
                    self.reread()  # nothing goes on with a reading that was refused
                    raise
        return self._entries or ()

    def reread(self) -> None:
        """Forget what was read: the next call reads the store again."""
        self._entries = None

    def read_on(self) -> bool:
        """Read the entries that were appended since; whether there are any. Costs one request when there is none."""
        entries = list(self.entries())
        known = len(entries)
        while True:
            key = self._key(len(entries) + 1)
            try:
                content = self._store.read(key)
            except KeyError:
                break
            self._add(entries, key, content)
        self._entries = tuple(entries)
        return len(entries) > known

    def _read(self) -> tuple[LedgerEntry, ...]:
        keys = [key for key in self._store.keys(self._folder) if _ENTRY.fullmatch(key.removeprefix(f"{self._folder}/"))]
        expected = [self._key(number) for number in range(1, len(keys) + 1)]
        if keys != expected:
            missing = next(key for key, found in zip(expected, keys, strict=True) if key != found)
            msg = f"{missing}: this ledger entry is missing; restore it before anything is decided"
            raise BackendError(msg)
        with ThreadPoolExecutor(8) as readers:  # each entry of a remote store is one request
            contents = list(readers.map(self._store.read, keys))
        entries: list[LedgerEntry] = []
        for key, content in zip(keys, contents, strict=True):
            self._add(entries, key, content)
        return tuple(entries)

    def _add(self, entries: list[LedgerEntry], key: str, content: bytes) -> None:
        entry = parse_document(content, LedgerEntry, self._store.url(key))
        self._check(entry, len(entries) + 1, entries[-1].digest if entries else GENESIS)
        entries.append(entry)

    def _check(self, entry: LedgerEntry, number: int, previous: str) -> None:
        if entry.number != number or entry.pipeline != self.pipeline:
            msg = f"{self._key(number)}: holds entry {entry.number} of {entry.pipeline}; the chain is broken"
            raise BackendError(msg)
        if entry.digest != entry.computed_digest():
            msg = f"{self._key(number)}: this ledger entry was changed after it was written; restore it"
            raise BackendError(msg)
        if entry.previous != previous:
            msg = f"{self._key(number)}: does not follow from entry {number - 1}, which was replaced; restore it"
            raise BackendError(msg)

    def champion(self) -> LedgerEntry | None:
        """The entry that made today's champion: the newest one that is neither a keep nor an override."""
        return next((entry for entry in reversed(self.entries()) if entry.takes_title), None)

    def proven(self) -> LedgerEntry | None:
        """The newest title that rests on evidence: a person gave it, nobody held it before, or the candidate was shown better."""
        titles = (entry for entry in reversed(self.entries()) if entry.takes_title)
        return next((entry for entry in titles if entry.evidence.proved is not False), None)

    def append(
        self,
        *,
        kind: Kind,
        version: str | None,
        release: str | None,
        run_id: str | None,
        as_of: datetime | None,
        at: datetime,
        by: str,
        reason: str,
        evidence: Evidence = Evidence(),  # noqa: B008 - frozen
        expected: LedgerEntry | None = None,
        override: Override | None = None,
    ) -> LedgerEntry:
        """Add an entry after the head. A run's keep on the same evidence is entered once, whoever of two tasks comes first.

        Args:
            expected: the champion's entry that the decision was made against; keeps added since then do not matter.

        Raises:
            Conflict: the champion is no longer the expected one, or another writer took the number first too often.
        """
        for _ in range(20):  # repeats when another writer took the number; after a new champion it is a Conflict
            entries, champion = self.entries(), self.champion()
            kept = [one for one in entries if one.kind == kind == "keep" and one.run_id == run_id]
            if same := [one for one in kept if one.evidence == evidence]:
                return same[0]
            if kind != "keep" and champion != expected:
                msg = (
                    f"{self.pipeline}: the champion changed while this was decided: expected version "
                    f"{expected.version if expected else None}, found {champion.version if champion else None}; "
                    "start a new run to ask the gates again"
                )
                raise Conflict(msg)
            entry = LedgerEntry(
                number=len(entries) + 1,
                previous=entries[-1].digest if entries else GENESIS,
                pipeline=self.pipeline,
                kind=kind,
                version=(champion.version if champion else None) if kind in ("keep", "override") else version,
                release=(champion.release if champion else None) if kind in ("keep", "override") else release,
                run_id=run_id,
                as_of=as_of,
                at=at,
                by=by,
                reason=reason,
                evidence=evidence,
                override=override,
            )
            entry = entry.model_copy(update={"digest": entry.computed_digest()})
            if self._store.put_if_absent(self._key(entry.number), canonical_json(entry.model_dump(mode="json"))):
                self._entries = (*entries, entry)
                return entry
            self.reread()  # another writer was first
        msg = f"{self.pipeline}: the ledger is written by too many at once; try again"
        raise Conflict(msg)

    def verify(self) -> int:
        """Read and check the whole chain again; how many entries it has.

        Raises:
            BackendError: see ``entries``.
        """
        self.reread()
        return len(self.entries())

    def _key(self, number: int) -> str:
        return f"{self._folder}/{number:08d}.json"


def shown_version(store: ArtifactStore, entry: LedgerEntry) -> str | None:
    """The number of the release's version as MLflow had it when it was last looked up there. Asks the store alone."""
    shown = None if entry.run_id is None else read_document(store, _shown_key(entry), Registered)
    return entry.version if shown is None else shown.version


def show_version(store: ArtifactStore, entry: LedgerEntry, version: str) -> None:
    """Remember the number that MLflow gave the release's version, when it is another than the one that is shown."""
    if version != shown_version(store, entry):
        write_document(store, _shown_key(entry), Registered(version=version))


def _shown_key(entry: LedgerEntry) -> str:
    return release_key(entry.pipeline, str(entry.run_id), "version.json")
