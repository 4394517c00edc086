"""The worked examples of CONTRIBUTING.md, each put into a copy of the package and used in a fresh process."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from documentation import ROOT

pytestmark = pytest.mark.integration

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
EXAMPLES = dict(re.findall(r"^### A (\w+)\n(.*?)(?=^###|\Z)", PAGE, flags=re.DOTALL | re.MULTILINE))
PIPELINE: dict[str, Any] = {
    "data": {"source": {"kind": "csv", "uri": "/lake/"}, "target": "churned", "positive": "yes"},
    "sweep": {
        "metric": "roc_auc",
        "candidates": [
            {"estimator": "sklearn.linear_model.LogisticRegression", "params": {"C": {"log_uniform": [0.01, 100]}}},
            {"estimator": "sklearn.tree.DecisionTreeClassifier", "params": {"max_depth": {"int_uniform": [1, 9]}}},
        ],
    },
    "gates": [{"kind": "threshold", "metric": "roc_auc", "min": 0.6}],
}
USED = """
import json, sys
from datetime import UTC, datetime
import contender
from contender.check import check_libraries
from contender.schema import yaml_schema
from contender.spec.explain import explain
from contender.spec.loading import load_spec
assert contender.__file__.startswith(sys.argv[1]), contender.__file__
spec = load_spec(sys.argv[2])
check_libraries(spec)
told = {"explained": [sentence for _, sentence in explain(spec, datetime(2026, 3, 2, tzinfo=UTC))]}
told["kinds"] = [one["properties"]["kind"]["const"] for one in yaml_schema()["$defs"].values() if "kind" in one.get("properties", {})]
"""
ASKED = {
    "gate": """
from contender.documents.scoreboard import Scoreboard
from contender.judge.gates import GateEvidence
board = Scoreboard(metric="roc_auc", cards=())
[gate] = spec.gates
verdicts = [gate.ask(board)]
for model in (b"small", b"l" * 60_000_000):
    evidence = GateEvidence(board=board, rows=None, target=None, candidate=None, fresh=None, champion=None, model=model)
    answered = board.model_copy(update={"answers": {gate.key: gate.measure(evidence, "gates.0")}})
    verdicts.append(gate.ask(answered))
told["answer"] = [[verdict.status, verdict.reason] for verdict in verdicts]
""",
    "source": """
from contender.data.reading.request import ReadRequest, Window
window = Window("at", datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 4, tzinfo=UTC), datetime(2026, 1, 9, tzinfo=UTC))
source = spec.data.source.model_copy(update={"uri": sys.argv[3]})
found = source.read(ReadRequest(window=window, exclude=frozenset(["note"]), types={"age": "integer"}))
told["answer"] = {
    "rows": [[str(row["at"]), row["age"], row["churned"]] for row in found.table.to_pylist()],
    "columns": found.table.column_names,
    "files": [file.uri.rpartition("/")[2] for file in found.files],
    "left_out": sorted(found.left_out),
    "unread": {name: cells.cells.to_pylist() for name, cells in found.unread.items()},
}
""",
    "strategy": """
from contender.documents.sweep import History
points = spec.sweep.strategy.propose(spec.sweep.candidates, 7, History())
told["answer"] = [[point.candidate, point.params] for point in points]
""",
    "receiver": """
from contender.spec.receivers import Notice
told["answer"] = spec.notify[0].notifier_for(Notice(kind="decided", pipeline="p", run_id="r", sentence="keep: " + "x" * 5_000))
""",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package and its contract tests, with every example put in as the page says."""
    copy = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "include", copy / "include", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "contracts", copy / "tests" / "contracts")
    shutil.copy(ROOT / "tests" / "conftest.py", copy / "tests")
    for example in EXAMPLES.values():
        for path, below, code in re.findall(
            r"^```python\n# (\S+\.py)(?:, (\w+))?\n(.*?)^```$", example, flags=re.DOTALL | re.MULTILINE
        ):
            file = copy / path
            file.write_text(joined(file.read_text(), below, code) if file.exists() else code)
    return copy


def joined(text: str, below: str, code: str) -> str:
    """A file with an example's lines in it: imports, then a member of the union, a class above it, or lines of a list."""
    imports = "".join(re.findall(r"^from contender.*\n", code, flags=re.MULTILINE))
    rest = code.replace(imports, "").strip("\n")
    text = re.sub(r"^from contender", f"{imports}from contender", text, count=1, flags=re.MULTILINE)
    if below:
        return once(rf"^{below}\b.* = [\[{{]\n", lambda start: f"{start}{rest}\n", text)
    union = re.match(r"(Any\w+) = Annotated\[\s*(.*), Field", rest)
    if union is None:
        return once(r"^Any\w+ = Annotated", lambda start: f"{rest}\n\n\n{start}", text)
    [there] = re.findall(rf"^{union[1]} = Annotated\[\s*([^,]*), Field", text, flags=re.MULTILINE)
    [new] = {*union[2].split(" | ")} - {*there.split(" | ")}
    return text.replace(there, f"{there} | {new}")


def once(pattern: str, made: Any, text: str) -> str:
    done, times = re.subn(pattern, lambda match: made(match[0]), text, flags=re.MULTILINE)
    assert times == 1, pattern
    return done


def used(tree: Path, family: str, data: Path | None = None) -> dict[str, Any]:
    """What a fresh process says of a pipeline with the example in it."""
    [fragment] = re.findall(r"^```yaml\n(.*?)^```$", EXAMPLES[family], flags=re.DOTALL | re.MULTILINE)
    pipeline = dict(PIPELINE)
    for name, group in yaml.safe_load(fragment).items():
        pipeline[name] = {**PIPELINE[name], **group} if isinstance(group, dict) else group
    file = tree / f"{family}.yaml"
    file.write_text(yaml.safe_dump(pipeline))
    script = f"{USED}{ASKED[family]}\nprint(json.dumps(told))"
    done = run(tree, "-c", script, str(tree), str(file), *([] if data is None else [str(data)]))
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(tree / "include")}
    return subprocess.run(
        [sys.executable, *arguments], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )


def test_every_family_that_is_extended_has_an_example() -> None:
    assert set(ASKED) == set(EXAMPLES)


def test_a_gate_measures_and_answers(tree: Path) -> None:
    told = used(tree, "gate")
    assert "has the pickled model at most 50 MB?" in told["explained"]
    assert "model_size" in told["kinds"]
    assert ["failed", "passed", "failed"] == [status for status, _ in told["answer"]]
    assert told["answer"][2][1] == "the pickled model has 60.000 MB"


def test_a_source_reads_the_rows_of_a_window(tree: Path, tmp_path: Path) -> None:
    rows = [
        {"at": "2026-01-01", "age": 30, "churned": "no", "note": "a"},
        {"at": "2026-01-02", "age": 31, "churned": "yes", "note": "b"},
        {"at": "2026-01-03T23:59:59", "age": 32, "churned": "no"},
        {"at": "2026-01-04", "age": 33, "churned": "no"},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "b.jsonl").write_text('{"at": "2026-01-03", "age": "many", "churned": "yes"}\n')
    told = used(tree, "source", tmp_path)
    assert "json_lines /lake/events/: all rows" in told["explained"]
    assert "json_lines" in told["kinds"]
    assert told["answer"] == {
        "rows": [
            ["2026-01-02 00:00:00", 31, "yes"],
            ["2026-01-03 23:59:59", 32, "no"],
            ["2026-01-03 00:00:00", None, "yes"],
        ],
        "columns": ["at", "age", "churned"],
        "files": ["a.jsonl", "b.jsonl"],
        "left_out": ["note"],
        "unread": {"age": [None, None, "many"]},
    }


def test_a_strategy_proposes_points_of_the_space(tree: Path) -> None:
    told = used(tree, "strategy")
    assert any("32 trials (quasi_random)" in sentence for sentence in told["explained"])
    assert "quasi_random" in told["kinds"]
    points = told["answer"]
    depths = [params["max_depth"] for candidate, params in points if candidate == 1]
    assert [23, 9] == [sum(candidate == number for candidate, _ in points) for number in (0, 1)]
    assert sorted(depths) == list(range(1, 10))
    assert all(0.01 <= params["C"] <= 100 for candidate, params in points if candidate == 0)


def test_a_receiver_names_its_notifier(tree: Path) -> None:
    told = used(tree, "receiver")
    assert any("telegram" in sentence for sentence in told["explained"])
    assert "telegram" in told["kinds"]
    notifier, arguments = told["answer"]
    assert notifier == "airflow.providers.http.notifications.HttpNotifier"
    assert arguments["http_conn_id"] == "ml_bot"
    assert arguments["json"]["chat_id"] == -1001234567890
    assert len(arguments["json"]["text"]) == 4_096


def test_each_keeps_the_contract_of_its_family(tree: Path) -> None:
    mine = "ModelSizeGate or pickled or JsonLinesSource or QuasiRandomStrategy or TelegramReceiver or every"
    contracts = [str(tree / "tests" / "contracts" / f"test_{name}.py") for name in ("families", "strategies")]
    options = ["-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-k", mine]
    done = run(tree, "-m", "pytest", *options, *contracts)
    assert done.returncode == 0, done.stdout[-3_000:]


def test_each_is_in_the_house_style(tree: Path) -> None:
    names = re.findall(r"^# (include/\S+\.py)$", PAGE, flags=re.MULTILINE)
    new = [name for name in names if not (ROOT / name).exists()]
    assert len(new) == 3
    options = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    for command in ("check", "format"):
        done = run(tree, "-m", "ruff", command, *options, *["--check"] * (command == "format"), *new)
        assert done.returncode == 0, done.stdout
