"""A folder with every kind of bad pipeline in it: each is a DAG that says what is wrong, and the good one is as alone."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from contender_airflow.dags import build_dags

SPAN = "  window: 120d"
BAD = {
    "empty": "",
    "comments": "# nothing here\n",
    "tab": "data:\n\ttarget: y\n",
    "twice": "owner: a\nowner: b\n",
    "object": '!!python/object/apply:os.system ["touch {trace}"]\n',
    "laughs": "a: &a [x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n",
    "deep": "[" * 10_000,
    "huge": "#" * 50_000_000,
    "documents": "{good}\n---\n{good}",
    "latin": b"owner: caf\xe9\n",
    "binary": bytes(range(256)),
}
# What is wrong in an otherwise good pipeline, by what replaces what.
EDITS = {
    "key": ("owner:", "onwer:"),
    "missing": ("  target: churned\n", ""),
    "type": ("trials: 4", "trials: four"),
    "truth": ("baseline: true", "baseline: on"),
    "sexagesimal": ("trials: 4", "trials: 1:30"),
    "underscored": ("trials: 4", "trials: 1_0"),
    "not_a_number": ("min: 0.6", "min: .nan"),
    "infinite": ("min: 0.6", "min: -.inf"),
    "folds": ("folds: 3", "folds: 0"),
    "no_trials": ("trials: 4", "trials: 0"),
    "negative_trials": ("trials: 4", "trials: -1"),
    "no_budget": ("  metric: roc_auc\n", "  metric: roc_auc\n  budget: 0s\n"),
    "negative_window": (SPAN, "  window: -5d"),
    "no_window": (SPAN, "  window: 0d"),
    "ages": (SPAN, "  window: 999999999d"),
    "no_choice": ("{log_uniform: [0.01, 10]}", "{choice: []}"),
    "same_choice": ("{log_uniform: [0.01, 10]}", "{choice: [1, 2, 1]}"),
    "cron": ("owner:", "schedule: 0 3 * *\nowner:"),
    "seconds": ("owner:", "schedule: 0 0 3 * * 1\nowner:"),
    "reboot": ("owner:", 'schedule: "@reboot"\nowner:'),
    "february": ("owner:", "schedule: 0 3 30 2 *\nowner:"),
    "timezone": ("owner:", "timezone: Mars/Phobos\nowner:"),
    "alias": ("owner:", "alias: latest\nowner:"),
    "bucket": ("{kind: demo, rows: 40}", '{kind: parquet, uri: "s3://"}'),
    "climbing": ("{kind: demo, rows: 40}", '{kind: parquet, uri: "s3://a/../b"}'),
    "etc": ("{kind: demo, rows: 40}", '{kind: csv, uri: "file:///etc"}'),
    "metadata": ("{kind: demo, rows: 40}", '{kind: csv, uri: "http://169.254.169.254/"}'),
    "secret": ("{kind: demo, rows: 40}", '{kind: csv, uri: "https://bob:hunter2@lake/x"}'),
    "database": ("{kind: demo, rows: 40}", '{kind: sql, table: t, conn_id: "postgresql://bob:hunter2@db/x"}'),
    "webhook": ("owner:", "notify: [{kind: webhook, conn_id: 'https://hooks.example/T0/hunter2'}]\nowner:"),
}  # fmt: skip
NAMES = ("Upper", "a b", "a.b", "a%b", "a:b", "..", "line\nbreak", "emoji\U0001f600", "x" * 200)


@pytest.mark.timeout(60)
def test_every_bad_pipeline_says_where_and_the_good_one_is_as_alone(pipelines: Path, tmp_path: Path) -> None:
    good = (pipelines / "small.yaml").read_text()
    alone = build_dags(pipelines)["small__training"]
    trace = tmp_path / "executed"
    for name, content in BAD.items():
        text = (
            content
            if isinstance(content, bytes)
            else content.replace("{good}", good).replace("{trace}", str(trace)).encode()
        )
        (pipelines / f"{name}.yaml").write_bytes(text)
    for name, (old, new) in EDITS.items():
        assert old in good, name
        (pipelines / f"{name}.yaml").write_text(good.replace(old, new, 1))
    for name in NAMES:
        (pipelines / f"{name}.yaml").write_text(good)
    before = {path: path.stat().st_mtime_ns for path in pipelines.iterdir()}

    started = time.monotonic()
    dags = build_dags(pipelines)
    took = time.monotonic() - started

    assert {path: path.stat().st_mtime_ns for path in pipelines.iterdir()} == before
    assert not trace.exists()
    assert took < 20
    assert len(dags) == 1 + len(BAD) + len(EDITS) + len(NAMES)
    healthy = [dag for dag in dags.values() if "broken" not in dag.tags]
    assert [(dag.dag_id, dag.task_ids, dag.doc_md) for dag in healthy] == [(alone.dag_id, alone.task_ids, alone.doc_md)]
    for name in (*BAD, *EDITS):
        docs = dags[f"{name}__training"].doc_md or ""
        assert f"{pipelines}/{name}.yaml:" in docs, docs[:300]
        assert len(docs) < 5_000
        assert "hunter2" not in docs


@pytest.mark.parametrize("estimator", ["os.system", "os.abort", "subprocess.Popen", "builtins.exec", "sys.exit"])
def test_what_is_no_estimator_is_refused_and_nothing_of_it_runs(pipelines: Path, estimator: str) -> None:
    """Its module may be imported, as that of a DAG file may; it is not called, and at parse not even imported."""
    path = pipelines / "small.yaml"
    path.write_text(path.read_text().replace("sklearn.linear_model.LogisticRegression", estimator))
    assert "broken" not in build_dags(pipelines)["small__training"].tags
    check = [str(Path(sys.executable).parent / "contender"), "check", str(path)]
    done = subprocess.run(check, cwd=pipelines, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    line = next(number for number, text in enumerate(path.read_text().splitlines(), 1) if estimator in text)
    assert f"{path}:{line}: sweep.candidates.0" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
