"""Freezing a Run: what a DAG run is asked to do is resolved by its first task (defaults < YAML < conf).

Each execution of that task is an attempt that freezes the YAML anew, until ``validate`` has passed one of them.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from contender.canonical import canonical_json, sha256
from contender.documents.run import Run
from contender.errors import ConfigError
from contender.run.code import installed_code
from contender.spec.loading import ALWAYS_OVERRIDABLE, override
from contender.store.base import installation, put_document_if_absent
from contender.store.runs import attempt_numbers, counted_run

if TYPE_CHECKING:
    from contender.spec.pipeline import PipelineSpec
    from contender.store.base import ArtifactStore

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=-]{0,120}")
# As Airflow names runs: kind, moment in UTC, and for a run without a logical date some random letters.
_ORDINARY = re.compile(r"[a-z_]{1,24}__\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00(_[A-Za-z0-9]{1,20})?")
_MADE = re.compile(r"r.*-([0-9a-f]{8}|[0-9a-f]{32})")  # what ``safe_id`` makes of other ids
_RESERVED = ("as_of", *ALWAYS_OVERRIDABLE)  # keys of the conf that are not settings of the spec
_REASON_LENGTH = 2_000  # characters; it is stored in the ledger
_CONF_LENGTH = 64 * 1024  # bytes of JSON


def safe_id(run_id: str) -> str:
    """An orchestrator's run id as one segment of a key; no two ids have the same one.

    An id of ordinary characters is its own, unless it looks like one that was made here: a typed id must not take the
    place of a coming run. Any other id is told in ordinary characters with a hash: 8 hex digits where Airflow named the
    run, because its ids then differ without it, and 32 where a person did, who could search for an equal one.
    """
    if _SAFE.fullmatch(run_id) and ".." not in run_id and not _MADE.fullmatch(run_id):
        return run_id
    readable = re.sub(r"[^A-Za-z0-9_=-]+", "-", run_id).strip("-")[:80]
    digits = 8 if _ORDINARY.fullmatch(run_id) else 32
    return f"r{readable}-{sha256(run_id.encode(errors='surrogatepass'))[:digits]}"


def freeze_run(
    store: ArtifactStore, spec: PipelineSpec, *, run_id: str, conf: Any, requested: datetime, by: str
) -> Run:
    """Freeze what this run is asked to do as a new attempt, or read the attempt that counts once there is one.

    So a mended YAML and a mended source are read when the first task is cleared, and change nothing after ``validate``.

    Args:
        conf: trigger conf; may set as_of, promote, reason, and the settings that the spec makes overridable.
        requested: when the run was requested; midnight (UTC) of its day is the default as_of.
        by: the user who requested it.

    Raises:
        ConfigError: a key of the conf is not allowed, or its value is invalid.
    """
    name = safe_id(run_id)
    counted = counted_run(store, spec.name, name)
    if counted is not None:
        return counted
    resolved, as_of, promote, reason = resolve(spec, conf, requested=requested)
    run = Run(
        id=name,
        spec=resolved,
        as_of=as_of,
        promote=promote,
        reason=reason,
        by=by,
        started=datetime.now(UTC),
        code=installed_code(),
        store=installation(store),
    )
    # Two tasks of one run may freeze it at the same time; each has an attempt of its own.
    begun = attempt_numbers(store, spec.name, name)
    numbered = (run.model_copy(update={"attempt": number}) for number in count(max(begun, default=0) + 1))
    return next(one for one in numbered if put_document_if_absent(store, one.key("run.json"), one))


def resolve(spec: PipelineSpec, conf: Any, *, requested: datetime) -> tuple[PipelineSpec, datetime, bool, str]:
    """The spec, as_of, promote and reason of a run with this conf.

    Raises:
        ConfigError: see ``freeze_run``.
    """
    conf = _plain_json(conf)
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


def _plain_json(conf: Any) -> dict[str, Any]:
    """The conf, if it is an object of plain JSON of bounded size."""
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
        ConfigError: the text has another form, or no such day exists.
    """
    try:
        # ``fromisoformat`` alone would also accept 20260302 and week dates.
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
