"""Freezing a Run: what one DAG run was asked to do, decided once, by its first task."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from datetime import UTC, date, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from sysconfig import get_path
from typing import TYPE_CHECKING, Any

from contender.canonical import canonical_json, content_key, sha256
from contender.documents import Code, Run, run_key
from contender.errors import ConfigError
from contender.loading import ALWAYS_OVERRIDABLE, override
from contender.store.base import put_document_if_absent, read_document, require_document

if TYPE_CHECKING:
    from contender.spec import PipelineSpec
    from contender.store.base import ArtifactStore

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=-]{0,120}")
_RESULT_RELEVANT = ("numpy", "pandas", "scikit-learn", "scipy", "skrub")
_RESULT_RELEVANT_SOURCE = ("data", "sweep")
_RESERVED = ("as_of", *ALWAYS_OVERRIDABLE)
_REASON_LENGTH = 2_000
_CONF_LENGTH = 64 * 1024


def safe_id(run_id: str) -> str:
    """An orchestrator's run id as one path segment; an unusual one gets a hash so that it stays its own."""
    if _SAFE.fullmatch(run_id) and ".." not in run_id:
        return run_id
    readable = re.sub(r"[^A-Za-z0-9_=-]+", "-", run_id).strip("-")[:80]
    return f"r{readable}-{sha256(run_id.encode())[:8]}"


def open_run(store: ArtifactStore, spec: PipelineSpec, *, run_id: str, conf: Any, requested: datetime, by: str) -> Run:
    """Freeze what this run is asked to do, or read what was frozen before: a cleared run asks the same again.

    Args:
        conf: trigger conf; may set as_of, promote, reason, and what the spec makes overridable.
        requested: when the run was asked for; its day's first moment (UTC) is the as_of that nobody gave.
        by: who asked.

    Raises:
        ConfigError: something in the conf is not allowed or does not fit.
    """
    name = safe_id(run_id)
    key = run_key(spec.name, name, "run.json")
    found = read_document(store, key, Run)
    if found is not None:
        return found
    resolved, as_of, promote, reason = resolve(spec, conf, requested=requested)
    run = Run(
        id=name,
        spec=resolved,
        as_of=as_of,
        promote=promote,
        reason=reason,
        by=by,
        started=datetime.now(UTC),
        code=code(),
    )
    return run if put_document_if_absent(store, key, run) else require_document(store, key, Run)


def resolve(spec: PipelineSpec, conf: Any, *, requested: datetime) -> tuple[PipelineSpec, datetime, bool, str]:
    """Spec, as_of, promote and reason of a run.

    Raises:
        ConfigError: see ``open_run``.
    """
    conf = _plain(conf)
    allowed = {key: value for key, value in conf.items() if key not in _RESERVED}
    promote = conf.get("promote", True)
    reason = "" if conf.get("reason") is None else conf["reason"]
    if not isinstance(promote, bool):
        msg = f"conf.promote: expected true or false, got {str(promote)[:60]!r}"
        raise ConfigError(msg)
    if not isinstance(reason, str) or len(reason) > _REASON_LENGTH:
        msg = f"conf.reason: expected text of at most {_REASON_LENGTH} characters"
        raise ConfigError(msg)
    requested = requested.astimezone(UTC)
    as_of = requested.replace(hour=0, minute=0, second=0, microsecond=0)
    given = conf.get("as_of")
    if given not in (None, ""):
        if "as_of" not in spec.overridable:
            msg = "conf.as_of: this pipeline does not allow it; add as_of to overridable"
            raise ConfigError(msg)
        as_of = parse_as_of(given)
    elif spec.as_of is not None:
        as_of = parse_as_of(spec.as_of.isoformat())
    if as_of > requested:
        place = "as_of" if given in (None, "") else "conf.as_of"
        msg = f"{place}: {as_of.isoformat()} is in the future (the run was requested at {requested.isoformat()})"
        raise ConfigError(msg)
    return override(spec, allowed), as_of, promote, reason


def _plain(conf: Any) -> dict[str, Any]:
    """The conf as plain JSON of a bounded size."""
    if not isinstance(conf, dict):
        msg = f'conf: expected an object such as {{"as_of": "2026-03-02"}}, got {type(conf).__name__}'
        raise ConfigError(msg)
    try:
        text = canonical_json(conf)
    except (TypeError, ValueError, RecursionError):
        msg = "conf: expected plain JSON with finite numbers"
        raise ConfigError(msg) from None
    if len(text) > _CONF_LENGTH:
        msg = f"conf: got {len(text)} bytes, expected at most {_CONF_LENGTH}"
        raise ConfigError(msg)
    plain: dict[str, Any] = json.loads(text)
    return plain


def parse_as_of(value: Any, place: str = "conf.as_of") -> datetime:
    """``2026-03-02`` or ``2026-03-02T06:00:00[+01:00]`` as UTC; without an offset it is UTC.

    Raises:
        ConfigError: it is neither, or no such day exists.
    """
    try:
        if not isinstance(value, str) or not re.match(r"\d{4}-\d{2}-\d{2}", value):
            raise ValueError(value)
        moment = datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        msg = f"{place}: got {str(value)[:60]!r}, expected a date such as 2026-03-02 or 2026-03-02T06:00:00+00:00"
        raise ConfigError(msg) from None
    if moment.date() < date(1970, 1, 1):
        msg = f"{place}: got {moment.isoformat()}, expected a day in 1970 or later"
        raise ConfigError(msg)
    return moment


@cache
def code() -> Code:
    """This installation: a hash of the source that can change a trial's number, and the versions that can."""
    root = Path(__file__).parent
    files = sorted(path for package in _RESULT_RELEVANT_SOURCE for path in (root / package).rglob("*.py"))
    sources = {path.relative_to(root).as_posix(): sha256(path.read_bytes()) for path in files}
    return Code(
        fingerprint=content_key(sources),
        python=platform.python_version(),
        versions={name: version(name) for name in _RESULT_RELEVANT},
        commit=_commit(root),
        lock=content_key(sorted(path.name for path in Path(get_path("purelib")).glob("*.dist-info"))),
    )


def _commit(root: Path) -> str | None:
    """The git commit of the clone, when this is one. For people; nothing depends on it."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "-C", str(root), "rev-parse", "HEAD"],  # noqa: S607 - fixed arguments
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
