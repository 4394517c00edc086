"""Freezing a run: whatever the trigger form sends, the answer is a resolved run or an error that starts with conf."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import make_spec
from contender.errors import ConfigError
from contender.run.code import installed_code
from contender.run.freeze import freeze_run, parse_as_of, resolve, safe_id
from contender.store.local import LocalStore
from contender.store.runs import attempts, let_count

if TYPE_CHECKING:
    from pathlib import Path

    from contender.spec.pipeline import PipelineSpec

REQUESTED = datetime(2026, 3, 2, 3, tzinfo=UTC)
DAY = datetime(2026, 3, 2, tzinfo=UTC)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_a_run_names_the_installation_that_froze_it(spec: PipelineSpec, store: LocalStore, tmp_path: Path) -> None:
    stores = store, store, LocalStore(tmp_path / "other")
    asked: dict[str, Any] = {"conf": {}, "requested": REQUESTED, "by": "ada"}
    one, again, other = (freeze_run(at, spec, run_id=f"r{n}", **asked).store for n, at in enumerate(stores))
    assert one == again != other
    assert len(one) == 32


def test_an_empty_conf_asks_for_the_pipeline_as_it_is_today(spec: PipelineSpec) -> None:
    assert resolve(spec, {}, requested=REQUESTED) == (spec, DAY, True, "")


def test_a_form_that_was_left_as_it_is_changes_nothing(spec: PipelineSpec) -> None:
    form = {path: spec.override_schema(path)["default"] for path in spec.overridable if path != "as_of"}
    conf = {"as_of": None, "promote": True, "reason": None, **form}
    assert resolve(spec, conf, requested=REQUESTED) == (spec, DAY, True, "")


def test_the_default_as_of_is_the_requests_day_in_utc(spec: PipelineSpec) -> None:
    late_in_new_york = datetime.fromisoformat("2026-03-01T22:30:00-05:00")
    assert resolve(spec, {}, requested=late_in_new_york)[1] == DAY


def test_a_pipeline_may_look_from_a_fixed_day_and_a_conf_from_another(spec: PipelineSpec) -> None:
    fixed = spec.model_copy(update={"as_of": date(2026, 1, 5)})
    assert resolve(fixed, {}, requested=REQUESTED)[1] == datetime(2026, 1, 5, tzinfo=UTC)
    assert resolve(fixed, {"as_of": "2026-02-02"}, requested=REQUESTED)[1] == datetime(2026, 2, 2, tzinfo=UTC)
    later = spec.model_copy(update={"as_of": date(2027, 1, 1)})
    with pytest.raises(ConfigError, match=r"^as_of: 2027-01-01.* is in the future"):
        resolve(later, {}, requested=REQUESTED)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-03-02", DAY),
        ("2026-03-02T06:00:00", DAY + timedelta(hours=6)),
        ("2026-03-02T06:00:00+02:00", DAY + timedelta(hours=4)),
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_an_as_of_is_a_day_or_a_moment(written: str, moment: datetime) -> None:
    assert parse_as_of(written) == moment


@pytest.mark.parametrize(
    "value",
    [
        "2026-02-31",
        "26-03-02",
        "20260302",
        "yesterday",
        "{{ ds }}",
        "$(id)",
        "2026-03-02\n; rm",
        20260302,
        True,
        ["2026"],
        "9999-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+01:00",
    ],
)
def test_what_is_no_moment_is_no_as_of(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^conf\.as_of: got .*, expected a date such as 2026-03-02"):
        parse_as_of(value)


@pytest.mark.parametrize(
    ("conf", "error"),
    [
        ([], """conf: expected an object such as {"as_of": "2026-03-02"}, got list"""),
        ("promote", """conf: expected an object such as {"as_of": "2026-03-02"}, got str"""),
        (None, """conf: expected an object such as {"as_of": "2026-03-02"}, got NoneType"""),
        ({"promot": True}, "conf.promot: this pipeline does not allow it. Did you mean 'promote'?"),
        ({"promote": "true"}, "conf.promote: expected true or false, got 'true'"),
        ({"promote": None}, "conf.promote: expected true or false, got 'None'"),
        ({"reason": 5}, "conf.reason: expected text of at most 2000 characters"),
        ({"reason": "x" * 2_001}, "conf.reason: expected text of at most 2000 characters"),
        ({"as_of": "2026-03-03"}, "conf.as_of: 2026-03-03T00:00:00+00:00 is in the future (the run was requested at 2026-03-02T03:00:00+00:00)"),
        ({"as_of": "1969-12-31"}, "conf.as_of: got 1969-12-31T00:00:00+00:00, expected a day in 1970 or later"),
        ({"sweep.budget": "0s"}, "conf.sweep.budget: must be longer than nothing, got '0s'"),
        ({"sweep.budget": "$(id)"}, "conf.sweep.budget: got '$(id)', expected a duration such as 365d, 12h, 20m or 1d12h"),
        ({"sweep.budget": "200000d"}, "conf.sweep.budget: got '200000d', expected at most 36525d"),
        ({"sweep.strategy.trials": "5"}, "conf.sweep.strategy.trials: should be a valid integer, got '5'"),
        ({"sweep.strategy.trials": True}, "conf.sweep.strategy.trials: should be a valid integer, got 'True'"),
        ({"sweep.strategy.trials": 10**30}, f"conf.sweep.strategy.trials: should be less than or equal to 1000, got '{10**30}'"),
        ({"sweep.strategy.trials": {"a": 1}}, "conf.sweep.strategy.trials: should be a valid integer, got an object"),
        ({"sweep.strategy.trials": 1}, "conf.sweep: strategy random: 1 trials cannot cover 2 candidates; raise trials"),
        ({"data.source.scenario": "{{ 7*7 }}"}, "conf.data.source.scenario: should be 'none', 'covariate', 'concept', 'schema' or 'broken', got '{{ 7*7 }}'"),
        ({"sweep.strategy.trials": float("nan")}, "conf: expected plain JSON with finite numbers"),
        ({"sweep.budget": nested(100_000)}, "conf: expected plain JSON with finite numbers"),
        ({"sweep.budget": "\ud800"}, "conf: expected plain JSON with finite numbers"),
        ({"sweep.budget": DAY}, "conf: expected plain JSON with finite numbers"),
        ({"sweep.budget": "x" * 70_000}, "conf: got 70019 bytes, expected at most 65536"),
    ],
)  # fmt: skip
def test_a_conf_that_does_not_fit_is_refused_by_its_key(spec: PipelineSpec, conf: Any, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(spec, conf, requested=REQUESTED)
    assert str(caught.value) == error


def test_a_deeply_nested_conf_is_refused(spec: PipelineSpec) -> None:
    with pytest.raises(ConfigError, match=r"^conf: expected plain text, nested at most 40 levels"):
        resolve(spec, {"sweep.strategy.trials": nested(900)}, requested=REQUESTED)


@pytest.mark.parametrize(
    "key",
    [
        "name",
        "sweep.candidates",
        "sweep.candidates.0.estimator",
        "gates",
        "owner",
        "force_promote",
        "password",
        "token",
    ],
)
def test_a_conf_never_changes_what_the_pipeline_does_not_allow(spec: PipelineSpec, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^conf\.{key}: this pipeline does not allow it\.") as caught:
        resolve(spec, {key: "hunter2"}, requested=REQUESTED)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("metric", ["os.system", "mypkg.metrics.profit", "."])
def test_a_trigger_never_names_code(metric: str) -> None:
    """Not even where the metric is the trigger's to choose."""
    allowed = make_spec(overridable=["sweep.metric"])
    assert resolve(allowed, {"sweep.metric": "accuracy"}, requested=REQUESTED)[0].sweep.metric == "accuracy"
    with pytest.raises(ConfigError, match=rf"^conf\.sweep\.metric: got '{metric}', which is imported; what"):
        resolve(allowed, {"sweep.metric": metric}, requested=REQUESTED)


def test_as_of_is_refused_where_the_pipeline_does_not_allow_it() -> None:
    with pytest.raises(ConfigError, match=r"^conf\.as_of: this pipeline does not allow it; add as_of to overridable"):
        resolve(make_spec(overridable=[]), {"as_of": "2026-03-01"}, requested=REQUESTED)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=10)
    | st.dates().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["as_of", "promote", "reason", "sweep.strategy.trials", "sweep.budget", "data.source.scenario"])


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS | st.text(max_size=8), JSON, max_size=3) | JSON)
def test_any_conf_is_a_resolved_run_or_an_error_that_starts_with_conf(spec: PipelineSpec, conf: Any) -> None:
    try:
        resolved, as_of, promote, reason = resolve(spec, conf, requested=REQUESTED)
    except ConfigError as error:
        assert all(line.startswith("conf") for line in str(error).splitlines())  # noqa: PT017
        return
    assert resolved.model_copy(update={"sweep": spec.sweep, "data": spec.data}) == spec
    assert as_of <= REQUESTED
    assert isinstance(promote, bool)
    assert isinstance(reason, str)


def test_a_run_is_frozen_anew_until_an_attempt_counts_and_keeps_what_it_was_asked_then(
    store: LocalStore, spec: PipelineSpec
) -> None:
    asked: dict[str, Any] = {"run_id": "manual__1", "requested": REQUESTED, "by": "ada"}
    first = freeze_run(store, spec, conf={"sweep.strategy.trials": 4, "reason": "why not"}, **asked)
    assert (first.spec.sweep.strategy.trials, first.reason, first.by, first.as_of) == (4, "why not", "ada", DAY)
    mended = freeze_run(store, make_spec(name="churn", owner="ada"), conf={}, **asked)
    assert (mended.attempt, mended.spec.owner) == (2, "ada")
    assert let_count(mended, store) == mended
    assert freeze_run(store, spec, conf={"nonsense": 1}, **asked) == mended
    assert let_count(first, store) == mended  # one that was believed dead
    assert attempts(store, "churn", "manual__1") == [first, mended]


def test_a_conf_that_does_not_fit_leaves_nothing_behind(store: LocalStore, spec: PipelineSpec) -> None:
    with pytest.raises(ConfigError):
        freeze_run(store, spec, run_id="r1", conf={"as_of": "2027-01-01"}, requested=REQUESTED, by="ada")
    assert store.children("") == []


@pytest.mark.parametrize("run_id", ["manual__1", "r1", "2026-03-02", "a=b"])
def test_an_ordinary_run_id_stays_as_it_is(run_id: str) -> None:
    assert safe_id(run_id) == run_id


ORDINARY_IDS = st.builds(
    "{}__{}{}+00:00{}".format,
    st.sampled_from(["scheduled", "manual", "backfill", "asset_triggered"]),
    st.datetimes(datetime(2024, 1, 1), datetime(2099, 1, 1)).map(lambda at: at.isoformat(timespec="seconds")),
    st.sampled_from(["", ".000001", ".123456"]),
    st.sampled_from(["", "_aB3dEfGh", "_00"]),
)
RUN_IDS = st.one_of(st.text(min_size=1, max_size=300), ORDINARY_IDS, st.text("r-._:+ 0aé", min_size=1, max_size=12))


@settings(max_examples=400)
@given(st.lists(RUN_IDS, min_size=1, max_size=6))
def test_any_run_id_is_one_path_segment_of_its_own_and_so_is_whatever_was_made_of_one(typed: list[str]) -> None:
    """A typed id that looks like what a coming scheduled run gets is made into another one."""
    known = {*typed, *map(safe_id, typed), *(safe_id(safe_id(run_id)) for run_id in typed)}
    for run_id in known:
        assert len(safe_id(run_id)) <= 121
        assert set(safe_id(run_id)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.=-")
        assert ".." not in safe_id(run_id)
    assert len({safe_id(run_id) for run_id in known}) == len(known)


@settings(max_examples=200)
@given(ORDINARY_IDS, ORDINARY_IDS)
def test_ids_of_airflow_differ_before_their_short_hash(first: str, second: str) -> None:
    assert (safe_id(first)[:-9] == safe_id(second)[:-9]) == (first == second)


@pytest.mark.parametrize(
    ("run_id", "kept"),
    [
        ("scheduled__2026-03-02T03:00:00+00:00", "rscheduled__2026-03-02T03-00-00-00-00-a330a0bc"),
        (
            "manual__2026-03-02T10:11:12.123456+00:00_aB3dEfGh",
            "rmanual__2026-03-02T10-11-12-123456-00-00_aB3dEfGh-16f3f455",
        ),
    ],
)
def test_what_airflow_calls_runs_is_stored_under_the_name_of_earlier_versions(run_id: str, kept: str) -> None:
    assert safe_id(run_id) == kept


@pytest.mark.parametrize("run_id", ["../../etc/passwd", "scheduled__2026-03-02T03:00:00+00:00", "a/b", "..", "x" * 300])
def test_an_unusual_run_id_is_a_key_of_the_store(store: LocalStore, spec: PipelineSpec, run_id: str) -> None:
    run = freeze_run(store, spec, run_id=run_id, conf={}, requested=REQUESTED, by="ada")
    assert store.keys("churn") == [f"churn/runs/{run.id}/attempts/1/run.json"]


def test_the_codes_fingerprint_is_the_same_in_another_process() -> None:
    script = (
        "import json; from contender.run.code import installed_code; print(json.dumps(installed_code().model_dump()))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == installed_code.__wrapped__().model_dump()
    assert set(installed_code().versions) == {"numpy", "pandas", "scikit-learn", "scipy", "skrub"}
