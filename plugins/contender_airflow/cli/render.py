"""How ``contender run`` shows a run: its progress, its result, its failures. From plain values to text; no decisions.

What the other commands print is in their own modules, such as ``show``; they share ``plain``, ``cost_words`` and
``to_the_minute``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from contender.documents.cost import Costs
from contender.words import counted, duration, metric_score

if TYPE_CHECKING:
    from rich.console import Console

    from contender.run.status import Progress

_STYLES = {
    "success": "green",
    "passed": "green",
    "failed": "red",
    "running": "yellow",
    "up_for_retry": "yellow",
    "undecided": "yellow",
    "awaiting_input": "magenta",
}
_ENDED = ("success", "skipped", "removed")
# The state of a mapped task as a whole: the first of these that any of its instances is in.
_LOUDEST = (
    "failed",
    "upstream_failed",
    "up_for_retry",
    "awaiting_input",
    "running",
    "restarting",
    "deferred",
    "queued",
)


@dataclass(frozen=True)
class TaskLine:
    """One task of the run; a mapped task is one line."""

    task: str
    state: str
    seconds: float | None = None
    #: Of a mapped task: how many of its instances have ended, and how many there are.
    instances: tuple[int, int] | None = None


@dataclass(frozen=True)
class Failure:
    """One task that failed, and why."""

    task: str
    map_index: int
    tries: int
    message: str
    log: str | None


def summarise(
    instances: Sequence[dict[str, Any]], order: Sequence[str], *, now: datetime | None = None
) -> list[TaskLine]:
    """One line per task, in the order of the pipeline."""
    by_task: dict[str, list[dict[str, Any]]] = {}
    for instance in instances:
        by_task.setdefault(instance["task_id"], []).append(instance)
    known = [task for task in order if task in by_task]
    unknown = [task for task in by_task if task not in order]
    return [_line(task, by_task[task], now or datetime.now(UTC)) for task in known + unknown]


def _line(task: str, instances: list[dict[str, Any]], now: datetime) -> TaskLine:
    states = [instance["state"] or "waiting" for instance in instances]
    mapped = any(instance["map_index"] >= 0 for instance in instances)
    return TaskLine(
        task=task,
        state=_overall(states),
        seconds=_seconds(instances, now),
        instances=(sum(state in _ENDED for state in states), len(states)) if mapped else None,
    )


def _overall(states: list[str]) -> str:
    if all(state == states[0] for state in states):
        return states[0]
    loudest = next((state for state in _LOUDEST if state in states), None)
    if loudest is not None:
        return loudest
    return "success" if all(state in _ENDED for state in states) else "running"


def _seconds(instances: list[dict[str, Any]], now: datetime) -> float | None:
    starts = [datetime.fromisoformat(it["start_date"]) for it in instances if it["start_date"]]
    if not starts:
        return None
    ends = [datetime.fromisoformat(it["end_date"]) if it["end_date"] else now for it in instances if it["start_date"]]
    return (max(ends) - min(starts)).total_seconds()


class Screen:
    """Where ``contender run`` shows what happens: a table that is redrawn on a terminal, plain lines anywhere else."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._shown: dict[str, tuple[str, str]] = {}

    def note(self, text: str) -> None:
        """Print one line; where lines are kept, with the time (UTC)."""
        stamp = "" if self._console.is_terminal else f"{datetime.now(UTC):%H:%M:%S} "
        plain(self._console, f"{stamp}{text}")

    @contextmanager
    def live(self) -> Iterator[None]:
        """In here ``update`` redraws a table in place, if there is a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=4) as self._live:
            yield

    def update(self, lines: Sequence[TaskLine], trials: Progress | None) -> None:
        """Show which tasks and trials are done."""
        sweeping = _last_mapped(lines)
        details = [_detail(line, trials if line is sweeping else None) for line in lines]
        if self._live is not None:
            self._live.update(_task_table(lines, details))
            return
        for line, detail in zip(lines, details, strict=True):
            if line.state != "waiting" and self._shown.get(line.task) != (line.state, detail):
                self._shown[line.task] = (line.state, detail)
                self.note(f"{line.task}: {line.state}{f' ({detail})' if detail else ''}")

    def show_result(self, outcome: Any, *, seconds: float, own: bool, url: str) -> None:
        """The decision and what it rests on, from what ``announce`` returned: the run's Outcome as JSON."""
        if not isinstance(outcome, dict) or "sentence" not in outcome:
            self.note(f"done in {duration(seconds)}; the run announced no decision")
            return
        self._console.print()
        plain(self._console, str(outcome["sentence"]), "bold")
        self._console.print(_outcome_table(outcome, seconds))
        for text in outcome.get("attention") or ():
            plain(self._console, f"data: {text}", "yellow")
        for name in ("report", "mlflow_url"):
            if outcome.get(name):
                plain(self._console, f"{name.removesuffix('_url')}: {outcome[name]}")
        ui = "`make up` (or `contender up`) opens the Airflow and MLflow UIs" if own else f"Airflow: {url}"
        plain(self._console, f"{ui}\n{_next_move(outcome)}")

    def show_failures(self, dag_id: str, failures: Sequence[Failure], *, decided: bool = False) -> None:
        """Which tasks failed, why, and what to do. Of a run that was decided only notices failed."""
        self._console.print()
        if not failures:
            plain(
                self._console,
                f"{dag_id} failed, but none of its tasks did: it ran into its time limit or was marked as failed",
            )
        for failure in failures[:5]:
            index = f"[{failure.map_index}]" if failure.map_index >= 0 else ""
            plain(
                self._console,
                f"{dag_id} failed in {failure.task}{index} (try {failure.tries}): {failure.message}",
                "red",
            )
            if failure.log is not None:
                plain(self._console, f"  log: {failure.log}")
        if len(failures) > 5:
            plain(self._console, f"  and {len(failures) - 5} more")
        if decided:
            plain(
                self._console,
                "the decision stands; next: correct the receiver, and clear its task to send the notice again",
            )
        else:
            plain(self._console, "next: correct the cause and run it again; trials that finished are not repeated")


def _next_move(outcome: dict[str, Any]) -> str:
    """What to type next; a run after which no model serves yet says how one will."""
    name = outcome["pipeline"]
    if outcome.get("champion") is None and not outcome.get("evaluation_only"):
        return (
            f"no model serves yet. next: read why in the report, edit pipelines/{name}.yaml (its gates were measured on the "
            f"columns of the day it was written: `contender init` with --force measures anew), then `contender run {name}`"
        )
    return f"next: `contender status {name}`, `contender ledger {name}`"


def _last_mapped(lines: Sequence[TaskLine]) -> TaskLine | None:
    """The mapped task that runs now: the line that shows the trials."""
    mapped = [line for line in lines if line.instances is not None]
    return next((line for line in mapped if line.state != "success"), mapped[-1] if mapped else None)


def _detail(line: TaskLine, trials: Progress | None) -> str:
    parts = [] if line.instances is None else [f"{line.instances[0]} of {counted(line.instances[1], 'task')}"]
    if trials is not None:
        parts.append(f"{trials.done:,} of {counted(trials.planned, 'trial')}")
    return ", ".join(parts)


def _task_table(lines: Sequence[TaskLine], details: Sequence[str]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for line, detail in zip(lines, details, strict=True):
        elapsed = "" if line.seconds is None else duration(line.seconds)
        table.add_row(line.task, _coloured(line.state), elapsed, detail)
    return table


def _outcome_table(outcome: dict[str, Any], seconds: float) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    metric = outcome.get("metric") or "metric"
    for name in ("champion", "candidate", "baseline", "previous_champion"):
        if (contestant := outcome.get(name)) is not None:
            table.add_row(name.replace("_", " "), _contestant(contestant, metric))
    for verdict in outcome.get("verdicts") or ():
        table.add_row(f"gate {verdict['gate']}", f"{_coloured(verdict['status'])}  {escape(str(verdict['reason']))}")
    if trials := outcome.get("trials"):
        table.add_row("trials", ", ".join(f"{count} {what}" for what, count in trials.items()))
    if cost := cost_words(outcome):
        table.add_row("cost", cost)
    table.add_row("elapsed", duration(seconds))
    return table


def cost_words(outcome: dict[str, Any]) -> str:
    """What a run cost, and what it saved by reusing trials; empty when that is not known."""
    if not outcome.get("cost"):
        return ""
    costs, trials = Costs.model_validate(outcome["cost"]), outcome.get("trials") or {}
    reused = f"; {trials['reused']:,} of {counted(trials['planned'], 'trial')} reused" if trials.get("reused") else ""
    return costs.run.words + reused + (f", which saved {duration(costs.saved.cpu_seconds)} CPU" if reused else "")


def _contestant(contestant: dict[str, Any], metric: str) -> str:
    value, rows = contestant.get("value"), contestant.get("rows")
    on = f" on {counted(rows, 'row')}" if rows else ""
    parts = [
        f"version {contestant['version']}" if contestant.get("version") else "",
        str(contestant.get("estimator") or ""),
        f"{metric_score(metric, value)}{on}" if isinstance(value, int | float) else "",
        f"since {to_the_minute(contestant['since'])}" if contestant.get("since") else "",
    ]
    return escape(", ".join(part for part in parts if part))


def plain(console: Console, text: str, style: str | None = None) -> None:
    """Print text as it is: no markup in paths and messages, and no line breaks of rich's own."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def to_the_minute(moment: str | datetime) -> str:
    """``2026-03-02 06:00 UTC``."""
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{moment.astimezone(UTC) if moment.tzinfo else moment:%Y-%m-%d %H:%M} UTC"


def _coloured(state: str) -> str:
    style = _STYLES.get(state, "dim")
    return f"[{style}]{escape(state)}[/{style}]"
