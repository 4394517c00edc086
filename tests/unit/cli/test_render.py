"""What is shown, from plain values."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from contender.run.status import Progress
from contender_airflow.cli.render import Failure, Screen, TaskLine, cost_words, summarise

NOW = datetime(2026, 11, 23, 5, 0, 10, tzinfo=UTC)


def instance(task: str, state: str | None, *, index: int = -1, end: str | None = None) -> dict[str, Any]:
    started = None if state is None else "2026-11-23T05:00:00Z"
    return {"task_id": task, "map_index": index, "state": state, "start_date": started, "end_date": end}


def screen() -> tuple[Screen, io.StringIO]:
    text = io.StringIO()
    return Screen(Console(file=text, width=200)), text


def test_tasks_stand_in_the_order_of_the_pipeline() -> None:
    lines = summarise([instance("train", None), instance("extra", None), instance("plan", None)], ("plan", "train"))
    assert [line.task for line in lines] == ["plan", "train", "extra"]


def test_a_running_task_counts_up_and_an_ended_one_does_not() -> None:
    lines = summarise(
        [instance("plan", "success", end="2026-11-23T05:00:04Z"), instance("train", "running")], (), now=NOW
    )
    assert [line.seconds for line in lines] == [4.0, 10.0]


def test_a_mapped_task_is_one_line_with_its_shards() -> None:
    states = ("success", "running", None)
    [line] = summarise([instance("train", state, index=i) for i, state in enumerate(states)], (), now=NOW)
    assert line == TaskLine(task="train", state="running", seconds=10.0, instances=(1, 3))


def test_one_failed_shard_is_the_state_of_the_task() -> None:
    states = ("success", "failed", "running")
    [line] = summarise([instance("train", state, index=i) for i, state in enumerate(states)], ())
    assert line.state == "failed"


def test_without_a_terminal_only_changes_are_printed() -> None:
    shown, text = screen()
    for done in (0, 0, 1):
        shown.update([TaskLine("plan", "success"), TaskLine("train", "running", instances=(0, 2))], Progress(8, done))
    shown.update([TaskLine("plan", "success"), TaskLine("challenge", "waiting")], None)
    told = [line.split(" ", 1)[1] for line in text.getvalue().splitlines()]
    assert told == [
        "plan: success",
        "train: running (0 of 2 tasks, 0 of 8 trials)",
        "train: running (0 of 2 tasks, 1 of 8 trials)",
    ]


OUTCOME = {
    "pipeline": "churn",
    "sentence": "keep: the champion [version 3] stays",
    "metric": "roc_auc",
    "champion": {"version": "3", "value": 0.81, "since": "2026-11-16"},
    "candidate": {"estimator": "LogisticRegression", "value": 0.80, "rows": 1},
    "baseline": None,
    "previous_champion": None,
    "verdicts": [{"gate": "beats champion", "status": "failed", "reason": "0.80 [0.79, 0.81] against 0.81"}],
    "trials": {"planned": 16, "completed": 15, "reused": 4, "failed": 1},
    "report": "/home/a [draft]/report.html",
    "mlflow_url": None,
}


def test_the_closing_table_starts_with_the_decision_and_holds_the_evidence() -> None:
    shown, text = screen()
    shown.show_result(OUTCOME, seconds=61.23, own=True, url="http://127.0.0.1:8080")
    told = text.getvalue()
    assert told.strip().startswith("keep: the champion [version 3] stays")
    for part in (
        "version 3, ROC AUC 0.8100",
        "LogisticRegression, ROC AUC 0.8000 on 1 row",
        "0.80 [0.79, 0.81] against 0.81",
    ):
        assert part in told
    assert "16 planned, 15 completed, 4 reused, 1 failed" in told
    assert "report: /home/a [draft]/report.html" in told
    assert "1 min 1 s" in told
    assert "contender status churn" in told


def test_a_run_after_which_no_model_serves_ends_with_the_next_move() -> None:
    shown, text = screen()
    kept = {"sentence": "keep: there is still no champion; roc_auc >= 0.85: 0.8280", "champion": None}
    shown.show_result({**OUTCOME, **kept}, seconds=1, own=True, url="")
    end = text.getvalue().strip().splitlines()[-1]
    assert end.startswith("no model serves yet. next: read why in the report, edit pipelines/churn.yaml")
    assert end.endswith("then `contender run churn`")
    shown.show_result({**OUTCOME, **kept, "evaluation_only": True}, seconds=1, own=True, url="")
    assert text.getvalue().strip().splitlines()[-1].startswith("next: `contender status churn`")


COST = {
    "run": {"cpu_seconds": 123, "seconds": 65, "peak_memory": 410_000_000, "money": 0.0123, "currency": "EUR"},
    "sweep": {"cpu_seconds": 100, "seconds": 50},
    "saved": {"cpu_seconds": 34, "seconds": 30},
}


def test_what_it_cost_and_what_reuse_saved_is_one_line() -> None:
    shown, text = screen()
    shown.show_result({**OUTCOME, "cost": COST}, seconds=1, own=True, url="")
    spent = "2 min 3 s CPU, 1 min 5 s wall, 410 MB peak, 0.01 EUR"
    assert f"{spent}; 4 of 16 trials reused, which saved 34 s CPU" in text.getvalue()
    assert cost_words({"cost": COST, "trials": {"planned": 16, "reused": 0}}) == spent
    assert cost_words(OUTCOME) == ""


def test_what_looks_odd_in_the_data_is_said_although_the_run_went_on() -> None:
    shown, text = screen()
    odd = "5 of 7,043 rows are set aside (age is not a number: 5, the first at [a].csv:17)"
    shown.show_result({**OUTCOME, "attention": (odd,)}, seconds=1, own=True, url="")
    assert f"data: {odd}" in text.getvalue()


def test_a_run_that_announced_nothing_is_said_to_have() -> None:
    shown, text = screen()
    shown.show_result(None, seconds=1, own=True, url="")
    assert "announced no decision" in text.getvalue()


def test_a_failure_names_task_reason_log_and_what_to_do() -> None:
    shown, text = screen()
    shown.show_failures(
        "churn__training", [Failure("train", 3, 2, "ValueError: [0] is bad", "/logs/[x]/attempt=2.log")]
    )
    told = text.getvalue()
    assert "churn__training failed in train[3] (try 2): ValueError: [0] is bad" in told
    assert "/logs/[x]/attempt=2.log" in told
    assert "next:" in told


def test_a_failure_without_a_failed_task_is_told_too() -> None:
    shown, text = screen()
    shown.show_failures("churn__training", [])
    assert "time limit" in text.getvalue()
