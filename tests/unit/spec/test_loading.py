"""From a YAML file to a spec: whatever the file holds, the answer is a spec or an error that says where."""

from __future__ import annotations

import json
import os
import re
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import make_spec
from contender.errors import ConfigError
from contender.spec.loading import MAX_BYTES, load_spec, override
from contender.spec.pipeline import PipelineSpec

if TYPE_CHECKING:
    from collections.abc import Callable

Edit = tuple[str, str]

SMALL = """
data: {source: {kind: parquet, uri: /lake}, target: y, positive: "yes"}
sweep:
  metric: roc_auc
  candidates:
    - estimator: sklearn.svm.SVC
      params: {C: X}
  strategy: {kind: random}
gates:
  - {kind: threshold, metric: roc_auc, min: 0.5}
"""


@pytest.fixture
def edited(shipped: Path, tmp_path: Path) -> Callable[..., Path]:
    """The shipped pipeline with some of its text replaced."""
    text = shipped.read_text()

    def edit(*edits: Edit) -> Path:
        changed = text
        for old, new in edits:
            assert changed.count(old) >= 1, old
            changed = changed.replace(old, new, 1)
        path = tmp_path / "churn.yaml"
        path.write_text(changed)
        return path

    return edit


def refusal(path: Path) -> str:
    """The error without the folder, whose every line must name the file and a line in it."""
    with pytest.raises(ConfigError) as caught:
        load_spec(path)
    lines = str(caught.value).splitlines()
    assert all(re.match(rf"{re.escape(str(path))}:[1-9]\d*: |{re.escape(str(path))}:\d+:\d+: ", line) for line in lines)
    assert len(lines) <= 8
    assert all(len(line) < 900 for line in lines)
    return str(caught.value).replace(f"{path.parent}/", "")


def refused(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "p.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return refusal(path)


def test_the_shipped_pipeline_loads_under_its_files_name(shipped: Path) -> None:
    made = load_spec(shipped)
    assert (made.name, made.data.positive, made.sweep.strategy.kind) == ("churn", "yes", "random")


@pytest.mark.parametrize(
    ("edits", "error"),
    [
        ([("  metric: roc_auc", "  metrix: roc_auc\n  metric: roc_auc")],
         "churn.yaml:22: sweep.metrix: unknown setting. Did you mean 'metric'?"),
        ([("owner:", "onwer:")], "churn.yaml:3: onwer: unknown setting. Did you mean 'owner'?"),
        ([("trials: 16", "trails: 16")], "churn.yaml:23: sweep.strategy.trails: unknown setting. Did you mean 'trials'?"),
        ([("min: 0.7", "mim: 0.7, min: 0.7")], "churn.yaml:35: gates.0.mim: unknown setting. Did you mean 'min'?"),
        ([("kind: random", "kind: randon")], "churn.yaml:23: sweep.strategy.kind: unknown kind 'randon'. Did you mean 'random'?"),
        ([("kind: random, ", "")],
         "churn.yaml:23: sweep.strategy.kind: required, but not there. Allowed: grid, halving, random, tpe."),
        ([("{kind: demo}", "{kind: parquet}")], "churn.yaml:6: data.source.uri: required, but not there"),
        ([("  target: churned\n", "")], "churn.yaml:5: data.target: required, but not there"),
        ([("trials: 16", "trials: ten")], "churn.yaml:23: sweep.strategy.trials: should be a valid integer, got 'ten'"),
        ([("trials: 16", 'trials: "16"')], "churn.yaml:23: sweep.strategy.trials: should be a valid integer, got '16'"),
        ([("trials: 16", "trials: true")], "churn.yaml:23: sweep.strategy.trials: should be a valid integer, got 'True'"),
        ([("trials: 16", "trials: 0")],
         "churn.yaml:23: sweep.strategy.trials: should be greater than or equal to 1, got '0'"),
        ([("folds: 5", "folds: 1e1")], "churn.yaml:20: split.folds: should be a valid integer, got '10.0'"),
        ([("owner:", '"a\\nb": 1\nowner:')],
         "churn.yaml:3: a\\nb: unknown setting. Allowed: as_of, challenger, cost, data, deadline, description, expectations, gates, leaks, notify, overridable, owner, ...."),
        ([("budget: 20m", "budget: 20")],
         "churn.yaml:24: sweep.budget: got '20', expected a duration such as 365d, 12h, 20m or 1d12h"),
        ([('positive: "yes"', "positive: true")],
         "churn.yaml:8: data.positive: should be a valid string, got 'True'; quote it to make it text"),
        ([("baseline: true", "baseline: yes")],
         "churn.yaml:28: sweep.candidates.0.baseline: should be a valid boolean, got 'yes'; write true or false"),
        ([("{max_share: 0.02}", "0.02")], "churn.yaml:19: quarantine: should be an object, got '0.02'"),
        ([("kind: random, trials: 16", "kind: random, trials: {a: 1}")],
         "churn.yaml:23: sweep.strategy.trials: should be a valid integer, got an object"),
        ([("{column: region}", "5")],
         "churn.yaml:15: expectations.1: got '5' for 'expect_column_values_to_not_be_null', expected arguments such as {column: age}"),
        ([("expect_column_values_to_not_be_null: {column: region}", '"\\r": 5')],
         "churn.yaml:15: expectations.1: got '5' for '\\r', expected arguments such as {column: age}"),
        ([("expect_column_values_to_not_be_null", "not_null")],
         "churn.yaml:15: expectations.1.name: should be text such as expect_column_values_to_not_be_null, got 'not_null'"),
        ([("severity: warning", "severity: high")],
         "churn.yaml:18: expectations.4.severity: should be 'critical' or 'warning', got 'high'"),
        ([("sklearn.linear_model.LogisticRegression", "LogisticRegression")],
         "churn.yaml:26: sweep.candidates.0.estimator: should be text such as sklearn.linear_model.LogisticRegression, got 'LogisticRegression'"),
        ([("max_iter: 1000", "max_iter: [10, 20]")],
         "churn.yaml:27: sweep.candidates.0.params.max_iter: expected a single value or one of {choice: [...]}, {uniform: [low, high]}, {log_uniform: [low, high]}, {int_uniform: [low, high]}, got '[10, 20]'"),
        ([("[50, 200]", "[200, 50]")],
         "churn.yaml:33: sweep.candidates.1.params.max_iter.int_uniform: got [200, 50], expected [low, high] with low < high"),
        ([("[7, 15, 31]", "[7, 15, 7]")],
         "churn.yaml:32: sweep.candidates.1.params.max_leaf_nodes.choice: got 7 more than once; every value is tried once"),
        ([("kind: random, trials: 16", "kind: grid")],
         "churn.yaml:21: sweep: strategy grid needs choices, but LogisticRegression.C is a range; use {choice: [...]} or random"),
        ([("gate: 28d", "gate: 170d")],
         "churn.yaml:20: split.gate: gate and embargo take the whole window; make window longer, or gate or embargo shorter"),
        ([("sweep.budget", "sweep.budgte")],
         "churn.yaml:38: overridable: no such setting 'sweep.budgte' (at 'budgte'). Did you mean 'budget'?"),
        ([("min: 0.7", "min: 0.7, max: 0.6")], "churn.yaml:35: gates.0: threshold: min 0.7 is above max 0.6, so nothing could ever pass"),
        ([("opponent: baseline", "opponent: base")],
         "churn.yaml:36: gates.1.opponent: should be 'champion', 'baseline' or 'trivial', got 'base'"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_its_line(edited: Callable[..., Path], edits: list[Edit], error: str) -> None:
    assert refusal(edited(*edits)) == error


def test_everything_that_is_wrong_is_named_at_once(edited: Callable[..., Path]) -> None:
    path = edited(("owner:", "onwer:"), ("trials: 16", "trials: ten"), ("folds: 5", "folds: 0"))
    assert [line.split(":")[1] for line in refusal(path).splitlines()] == ["20", "23", "3"]


@pytest.mark.parametrize(
    ("receiver", "explained"),
    [
        ("{kind: webhook, url: 'https://hooks.example/T0K3N'}", "notify.0.url: unknown setting. Allowed: conn_id, kind, on."),
        ("{kind: slack, conn_id: 'https://hooks.example/T0K3N'}", "notify.0.conn_id: got no connection id; expected that of an Airflow connection that holds the URL, such as slack_ml"),
        ("{kind: mail, to: a@b.c}", "notify.0.kind: unknown kind 'mail'. Did you mean 'email'?"),
        ("{kind: email, to: growth-ml}", "notify.0.to: got 'growth-ml', expected one address such as growth-ml@example.com"),
        ("{kind: email, to: [a@b.c, d]}", "notify.0.to.1: got 'd', expected one address such as growth-ml@example.com"),
        ("{kind: email, to: 5}", "notify.0.to: should be a valid array, got '5'"),
        ("{kind: slack, conn_id: chat, on: [decide]}", "notify.0.on.0: should be 'failed', 'late', 'no_data', 'decided' or 'promoted', got 'decide'"),
        ("{kind: notifier, notifier: Pager}", "notify.0.notifier: should be text such as airflow.providers.pagerduty.notifications.pagerduty.PagerdutyNotifier, got 'Pager'"),
    ],
)  # fmt: skip
def test_a_receiver_that_is_wrong_is_explained_without_a_secret(
    edited: Callable[..., Path], receiver: str, explained: str
) -> None:
    error = refusal(edited(("owner:", f"notify: [{receiver}]\nowner:")))
    assert "T0K3N" not in error
    assert explained in error


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "p.yaml:1: expected a mapping with data, sweep and gates, got an empty file"),
        ("# nothing\n", "p.yaml:1: expected a mapping with data, sweep and gates, got an empty file"),
        ("- a\n", "p.yaml:1: expected a mapping with data, sweep and gates, got a list"),
        ("text", "p.yaml:1: expected a mapping with data, sweep and gates, got a str"),
        ("data:\n\ttarget: y\n", "p.yaml:2:1: while scanning for the next token found character that cannot start any token"),
        ("data:\n  a: 1\n b: 2\n", "p.yaml:3:2: while parsing a block mapping did not find expected key"),
        ("a: 'open\n", "p.yaml:2:1: while scanning a quoted scalar found unexpected end of stream"),
        ("data: 1\nowner: a\ndata: 2\n", "p.yaml:3:1: the key 'data' stands twice"),
        ("data: {a: 1, a: 1}\n", "p.yaml:1:14: the key 'a' stands twice"),
        ("1: a\n", "p.yaml:1:1: the key 1 is not text; quote it"),
        ("? [a, b]\n: c\n", "p.yaml:1:3: the key ['a', 'b'] is not text; quote it"),
        ("a: &x [1]\nb: *x\n", "p.yaml:2:4: aliases (*name) are not supported; write the value out"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "p.yaml:2:8: aliases (*name) are not supported; write the value out"),
        ("a: !!set {b}\n", "p.yaml:1:4: tags (tag:yaml.org,2002:set) are not supported; write a plain value"),
        ("a: !secret b\n", "p.yaml:1:4: tags (!secret) are not supported; write a plain value"),
        ("a: 1\n---\nb: 2\n", "p.yaml:2:1: expected a single document in the stream but found another document"),
        ("[" * 10_000, "p.yaml:1:41: nested deeper than 40 levels"),
        ("- " * 10_000, "p.yaml:1:81: nested deeper than 40 levels"),
        ("a: .nan\n", "p.yaml:1:4: got .nan, expected a finite number"),
        ("a: [1, -.inf]\n", "p.yaml:1:8: got -.inf, expected a finite number"),
        ("a: 1e400\n", "p.yaml:1:4: got 1e400, expected a finite number"),
        ("a: 9223372036854775808\n", "p.yaml:1:4: got 9223372036854775808, expected a whole number of at most 64 bits; quote it if it is a name"),
        (f"a: -{'9' * 9_000}\n", f"p.yaml:1:4: got -{'9' * 59}, expected a whole number of at most 64 bits; quote it if it is a name"),
        (b"a: 1\nb: \xe9\n", "p.yaml:2: not UTF-8 text (byte 8); save the file as UTF-8"),
        ("a: é".encode("utf-16"), "p.yaml:1: not UTF-8 text (byte 0); save the file as UTF-8"),
        (b"a: \x00\n", "p.yaml:1: control characters are not allowed"),
        ("name: p\n", "p.yaml:1: name: the pipeline's name is the file's stem (p); remove this key"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_pipeline_is_refused_with_its_line(tmp_path: Path, content: str | bytes, error: str) -> None:
    assert refused(tmp_path, content) == error


def test_a_tag_that_would_run_a_command_does_not(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    error = refused(tmp_path, f'a: !!python/object/apply:os.system ["touch {canary}"]\n')
    assert error.startswith("p.yaml:1:4: tags (tag:yaml.org,2002:python/object/apply:os.system) are not supported")
    assert not canary.exists()


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e3", 1000.0),
        ("1e-3", 0.001),
        ("10", 10),
        ("-0.5", -0.5),
        ("1234567890123456789", 1234567890123456789),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("true", True),
        ("null", None),
        ("~", None),
        ("012", "012"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("0x1F", "0x1F"),
        ("yes", "yes"),
        ("NO", "NO"),
        ("on", "on"),
        ("2026-03-02", "2026-03-02"),
    ],
)
def test_a_plain_value_means_what_it_looks_like(tmp_path: Path, written: str, value: object) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(SMALL.replace("C: X", f"C: {written}"))
    found = load_spec(path).sweep.candidates[0].params["C"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("key", ["on", "yes", "no"])
def test_a_key_may_be_a_word_that_old_yaml_took_for_a_truth_value(tmp_path: Path, key: str) -> None:
    assert refused(tmp_path, SMALL + f"{key}: 1\n").startswith(f"p.yaml:11: {key}: unknown setting.")


@pytest.mark.parametrize("stem", ["Churn", "a b", "1st", "x" * 64, "a.b", "é", "{{ 7*7 }}", "-"])
def test_a_file_whose_stem_is_no_name_is_refused(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.yaml"
    path.write_text(SMALL)
    assert "the file's stem is the pipeline's name" in refusal(path)


def test_a_file_of_50_mib_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    with path.open("wb") as file:
        file.truncate(50 * 2**20)
    tracemalloc.start()
    try:
        assert refusal(path).startswith(f"p.yaml:1: got more than {MAX_BYTES} bytes")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.timeout(20)
def test_ten_thousand_unknown_settings_are_a_short_error(tmp_path: Path) -> None:
    assert "k0: unknown setting" in refused(tmp_path, "".join(f"k{i}: 1\n" for i in range(10_000)))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path, why in (
        (tmp_path / "missing.yaml", "No such file or directory"),
        (tmp_path / "pipe.yaml", "not a regular file"),
        (tmp_path, "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
    ):
        with pytest.raises(ConfigError, match=f"{path}: cannot be read: {why}"):
            load_spec(path)


def located_or_valid(path: Path) -> PipelineSpec | None:
    try:
        made = load_spec(path)
    except ConfigError as error:
        assert all(re.match(rf"{re.escape(str(path))}:[1-9]", line) for line in str(error).splitlines())  # noqa: PT017
        return None
    assert PipelineSpec.model_validate_json(made.model_dump_json(), strict=True) == made
    return made


anywhere = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@anywhere
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_a_spec_or_a_located_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    located_or_valid(path)


PIECES = st.sampled_from(
    [
        "",
        "null",
        "yes",
        "[]",
        "{}",
        "- ",
        ": ",
        "\n",
        "  ",
        "!!int",
        "&a ",
        "*a",
        "'",
        '"',
        "1e999",
        "-1",
        "0",
        "é",
        "\x00",
        "[[",
        "{a: b}",
        "{choice: []}",
        "{uniform: [0]}",
        "kind: grid",
        "<<: ",
        "? ",
        "| ",
        "28d",
        "#",
        "%",
        "@",
        "\\ud800",
    ]
)


@anywhere
@given(st.data())
def test_any_edit_of_a_pipeline_is_a_spec_or_a_located_error(
    shipped: Path, tmp_path: Path, data: st.DataObject
) -> None:
    text = shipped.read_text()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from([0, 1, 5, 40]))
        text = text[:start] + data.draw(PIECES) + text[start + length :]
    path = tmp_path / "churn.yaml"
    path.write_text(text, newline="")
    located_or_valid(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, inner in children for place in places(inner, (*path, name)))]


@anywhere
@given(st.data())
def test_any_value_anywhere_in_a_pipeline_is_a_spec_or_a_located_error(
    shipped: Path, tmp_path: Path, data: st.DataObject
) -> None:
    document = yaml.safe_load(shipped.read_text())
    *parents, name = data.draw(st.sampled_from(places(document)[1:]))
    target = document
    for step in parents:
        target = target[step]
    target[name] = data.draw(JSON)
    path = tmp_path / "churn.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    located_or_valid(path)


def test_conf_puts_in_what_the_pipeline_allows(spec: PipelineSpec) -> None:
    changed = override(spec, {"sweep.strategy.trials": 4, "sweep.budget": "90s", "data.source.scenario": "concept"})
    assert json.loads(changed.model_dump_json(include={"sweep": {"budget"}})) == {"sweep": {"budget": "1m30s"}}
    assert (changed.sweep.strategy.trials, changed.data.source.scenario) == (4, "concept")
    assert (
        override(changed, {"sweep.strategy.trials": 16, "sweep.budget": "20m", "data.source.scenario": "none"}) == spec
    )


GATED = {
    "gates": [
        {"kind": "threshold", "metric": "roc_auc", "min": 0.7},
        {"kind": "beats", "opponent": "baseline", "margin": 0.01},
        {"kind": "beats", "opponent": "champion", "policy": "unless_worse", "margin": 0.1},
    ],
    "overridable": ["gates.0.min", "gates.0.max", "gates.1.margin", "gates.1.min_rows", "gates.2.margin"],
}


def test_a_conf_can_make_a_gate_stricter() -> None:
    conf = {
        "gates.0.min": 0.8,
        "gates.0.max": 0.99,
        "gates.1.margin": 0.02,
        "gates.1.min_rows": 101,
        "gates.2.margin": 0,
    }
    first, second, third = override(make_spec(**GATED), conf).gates
    assert (first.min, first.max, second.margin, second.min_rows, third.margin) == (0.8, 0.99, 0.02, 101, 0)


@pytest.mark.parametrize(
    ("conf", "error"),
    [
        ({"gates.0.min": 0.69}, "conf.gates.0.min: got 0.69, which is weaker than the pipeline's 0.7; a trigger can only make a gate stricter: at least 0.7"),
        ({"gates.0.min": -1}, "conf.gates.0.min: got -1.0, which is weaker than the pipeline's 0.7; a trigger can only make a gate stricter: at least 0.7"),
        ({"gates.0.min": None}, "conf.gates.0: threshold: give min, max, or both"),
        ({"gates.0.min": None, "gates.0.max": 1}, "conf.gates.0.min: got None, which is weaker than the pipeline's 0.7; a trigger can only make a gate stricter: at least 0.7"),
        ({"gates.0.max": 0.6}, "conf.gates.0: threshold: min 0.7 is above max 0.6, so nothing could ever pass"),
        ({"gates.1.margin": 0}, "conf.gates.1.margin: got 0.0, which is weaker than the pipeline's 0.01; a trigger can only make a gate stricter: at least 0.01"),
        ({"gates.1.min_rows": 99}, "conf.gates.1.min_rows: got 99, which is weaker than the pipeline's 100; a trigger can only make a gate stricter: at least 100"),
        ({"gates.2.margin": 0.2}, "conf.gates.2.margin: got 0.2, which is weaker than the pipeline's 0.1; a trigger can only make a gate stricter: at most 0.1"),
        ({"gates.2.margin": -1}, "conf.gates.2.margin: should be greater than or equal to 0, got '-1'"),
        ({"gates.2.margin": "0"}, "conf.gates.2.margin: should be a valid number, got '0'"),
        ({"gates.2.policy": "superior"}, "conf.gates.2.policy: this pipeline does not allow it. Did you mean 'gates.2.margin'?"),
    ],
)  # fmt: skip
def test_a_conf_never_makes_a_gate_weaker(conf: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(make_spec(**GATED), conf)
    assert str(caught.value) == error


def test_a_form_left_as_it_is_changes_no_gate_and_no_path(tmp_path: Path) -> None:
    source = {"kind": "parquet", "uri": "/elsewhere/${NAME}", "roots": [str(tmp_path)]}
    paths = [*GATED["overridable"], "data.source.uri", "sweep.budget", "sweep.parallelism", "split.gate"]
    spec = make_spec(**GATED | {"overridable": paths}, data={"source": source})
    assert override(spec, {path: spec.override_schema(path)["default"] for path in paths}) == spec


def test_an_emptied_field_of_a_form_leaves_the_setting_as_it_is(tmp_path: Path) -> None:
    source = {"kind": "parquet", "uri": str(tmp_path), "roots": [str(tmp_path)]}
    spec = make_spec(data={"source": source}, overridable=["data.source.uri", "sweep.budget"])
    assert override(spec, {"data.source.uri": None, "sweep.budget": None}) == spec


@pytest.fixture
def rooted(tmp_path: Path) -> PipelineSpec:
    """A pipeline whose data path can be overridden below ``tmp_path/lake``, which a link leaves."""
    lake = tmp_path / "lake"
    (lake / "new").mkdir(parents=True)
    (tmp_path / "lake2").mkdir()
    (tmp_path / "secret").mkdir()
    (lake / "out").symlink_to(tmp_path / "secret")
    (lake / "loop").symlink_to(lake / "loop")
    source = {"kind": "parquet", "uri": str(lake), "roots": [str(lake)]}
    return make_spec(data={"source": source}, overridable=["data.source.uri"])


@pytest.mark.parametrize(
    "below", ["new", "new/../new", "new/*.parquet", "later/that/is/not/there.parquet", "**/a.parquet"]
)
def test_a_conf_can_name_another_path_below_the_roots(rooted: PipelineSpec, tmp_path: Path, below: str) -> None:
    uri = f"{tmp_path}/lake/{below}"
    assert override(rooted, {"data.source.uri": uri}).data.source.uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "//host/share",
        "{tmp}/lake/../secret",
        "{tmp}/lake2",
        "{tmp}/lake/out",
        "{tmp}/lake/out/*.parquet",
        "{tmp}/lake/*/../../secret/*.parquet",
        "{tmp}/la*/x.parquet",
        "~/x",
        "a\0b",
        "$(id)",
        "; rm -rf /",
        "`id`",
        "{tmp}/lake\n/etc/passwd",
        "{{{{ 7*7 }}}}",
        "{tmp}/lake/" + 300 * "x",
        "s3://bucket/lake",
    ],
)
def test_a_data_path_outside_the_roots_is_refused(rooted: PipelineSpec, tmp_path: Path, uri: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^conf\.data\.source\.uri: '.*' is outside the roots \[.*\]; name an absolute"
    ) as caught:
        override(rooted, {"data.source.uri": uri.format(tmp=tmp_path)})
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("uri", "error"),
    [
        ("file:///etc/passwd", "got an address (file://...), expected a local path or s3://bucket/prefix"),
        ("http://169.254.169.254/", "expected a local path or s3://bucket/prefix"),
        ("s3://key:hunter2@host/x", "got s3:// without a bucket's name"),
        ("s3://lake/sales/../x", "with .. in it, which means nothing in a bucket"),
        ("${AWS_SECRET_ACCESS_KEY}", "names an environment variable that the pipeline itself does not use"),
        ("", "should have at least 1 character, got ''"),
        ("x" * 1_001, "should have at most 1000 characters"),
        (["/etc"], "should be a valid string"),
    ],
)
def test_a_data_path_is_never_another_address_nor_a_variable(
    rooted: PipelineSpec, uri: Any, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    with pytest.raises(ConfigError) as caught:
        override(rooted, {"data.source.uri": uri})
    assert str(caught.value).startswith("conf.data.source.uri: ")
    assert error in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("uri", ["s3://lake/sales/2026", "s3://lake/sales", "s3://lake/sales/*/a.parquet"])
def test_a_conf_can_name_another_prefix_below_the_roots(uri: str) -> None:
    spec = make_spec(
        data={"source": {"kind": "parquet", "uri": "s3://lake/sales/", "roots": ["s3://lake/sales/"]}},
        overridable=["data.source.uri"],
    )
    assert override(spec, {"data.source.uri": uri}).data.source.uri == uri


@pytest.mark.parametrize(
    "uri",
    ["s3://lake/sales2", "s3://lake/", "s3://other/sales/", "/lake/sales", "s3://lake/*/x"],
)
def test_a_prefix_outside_the_roots_is_refused(uri: str) -> None:
    spec = make_spec(
        data={"source": {"kind": "parquet", "uri": "s3://lake/sales/", "roots": ["s3://lake/sales/"]}},
        overridable=["data.source.uri"],
    )
    with pytest.raises(ConfigError, match=r"is outside the roots"):
        override(spec, {"data.source.uri": uri})


def test_a_data_path_may_use_the_variables_that_the_pipeline_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE", str(tmp_path))
    spec = make_spec(
        data={"source": {"kind": "parquet", "uri": "${LAKE}/a", "roots": ["${LAKE}"]}}, overridable=["data.source.uri"]
    )
    assert override(spec, {"data.source.uri": "${LAKE}/b"}).data.source.uri == "${LAKE}/b"
    with pytest.raises(ConfigError, match="is outside the roots"):
        override(spec, {"data.source.uri": "${LAKE}/../b"})


def test_no_conf_changes_nothing(spec: PipelineSpec) -> None:
    assert override(spec, {}) == spec
