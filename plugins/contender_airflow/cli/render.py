"""What the command line shows: live progress, the closing table, tables of the other commands. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from contender.cost import Costs, duration

if TYPE_CHECKING:
    from rich.console import Console

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
# What a mapped task is as a whole: the first of these that any of its shards is.
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
    """One task of the run: a mapped one counts as one, with its shards."""

    task: str
    state: str
    seconds: float | None = None
    shards: tuple[int, int] | None = None


@dataclass(frozen=True)
class Trials:
    """How far the sweep is."""

    planned: int
    done: int


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
        shards=(sum(state in _ENDED for state in states), len(states)) if mapped else None,
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
    """Where ``contender run`` shows what happens: a table that lives on a terminal, plain lines anywhere else."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._shown: dict[str, tuple[str, str]] = {}

    def note(self, text: str) -> None:
        """One thing worth knowing."""
        stamp = "" if self._console.is_terminal else f"{datetime.now(UTC):%H:%M:%S} "
        self._plain(f"{stamp}{text}")

    @contextmanager
    def live(self) -> Iterator[None]:
        """While in here, ``update`` redraws a table in place if there is a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=4) as self._live:
            yield

    def update(self, lines: Sequence[TaskLine], trials: Trials | None) -> None:
        """Show where the run is."""
        sweeping = _last_mapped(lines)
        details = [_detail(line, trials if line is sweeping else None) for line in lines]
        if self._live is not None:
            self._live.update(_task_table(lines, details))
            return
        for line, detail in zip(lines, details, strict=True):
            if line.state != "waiting" and self._shown.get(line.task) != (line.state, detail):
                self._shown[line.task] = (line.state, detail)
                self.note(f"{line.task}: {line.state}{f' ({detail})' if detail else ''}")

    def outcome(self, outcome: Any, *, seconds: float, own: bool, url: str) -> None:
        """The closing table of a run that succeeded."""
        if not isinstance(outcome, dict) or "sentence" not in outcome:
            self.note(f"done in {seconds:.1f} s; the run announced no decision")
            return
        self._console.print()
        self._console.print(f"[bold]{escape(str(outcome['sentence']))}[/bold]", soft_wrap=True)
        self._console.print(_outcome_table(outcome, seconds))
        for text in outcome.get("attention") or ():
            self._plain(f"data: {text}", "yellow")
        for name in ("report", "mlflow_url"):
            if outcome.get(name):
                self._plain(f"{name.removesuffix('_url')}: {outcome[name]}")
        ui = "`make up` (or `contender up`) opens the Airflow and MLflow UIs" if own else f"Airflow: {url}"
        again = f"next: `contender status {outcome['pipeline']}`, `contender ledger {outcome['pipeline']}`"
        self._plain(f"{ui}\n{again}")

    def failed(self, dag_id: str, failures: Sequence[Failure], *, decided: bool = False) -> None:
        """Which tasks failed and why, and what to do; a run that was decided only failed to tell of it."""
        self._console.print()
        if not failures:
            self._plain(
                f"{dag_id} failed, but none of its tasks did: it ran into its time limit or was marked as failed"
            )
        for failure in failures[:5]:
            shard = f"[{failure.map_index}]" if failure.map_index >= 0 else ""
            self._plain(f"{dag_id} failed in {failure.task}{shard} (try {failure.tries}): {failure.message}", "red")
            if failure.log is not None:
                self._plain(f"  log: {failure.log}")
        if len(failures) > 5:
            self._plain(f"  and {len(failures) - 5} more")
        if decided:
            self._plain("the decision stands; next: correct the receiver, and clear its task to send the notice again")
        else:
            self._plain("next: correct the cause and run it again; trials that finished are not repeated")

    def _plain(self, text: str, style: str | None = None) -> None:
        """Text that may hold anything: paths and messages are neither markup, nor cut."""
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _last_mapped(lines: Sequence[TaskLine]) -> TaskLine | None:
    """The task whose shards are at work now, where the trials are counted."""
    mapped = [line for line in lines if line.shards is not None]
    return next((line for line in mapped if line.state != "success"), mapped[-1] if mapped else None)


def _detail(line: TaskLine, trials: Trials | None) -> str:
    parts = [] if line.shards is None else [f"{line.shards[0]} of {line.shards[1]} shards"]
    if trials is not None:
        parts.append(f"{trials.done} of {trials.planned} trials")
    return ", ".join(parts)


def _task_table(lines: Sequence[TaskLine], details: Sequence[str]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for line, detail in zip(lines, details, strict=True):
        elapsed = "" if line.seconds is None else f"{line.seconds:.1f} s"
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
    table.add_row("elapsed", f"{seconds:.1f} s")
    return table


def cost_words(outcome: dict[str, Any]) -> str:
    """What a run cost, and what the trials that it found done saved; empty when that is not known."""
    if not outcome.get("cost"):
        return ""
    costs, trials = Costs.model_validate(outcome["cost"]), outcome.get("trials") or {}
    reused = f"; {trials['reused']} of {trials['planned']} trials reused" if trials.get("reused") else ""
    return costs.run.words + reused + (f", which saved {duration(costs.saved.cpu_seconds)} CPU" if reused else "")


def _contestant(contestant: dict[str, Any], metric: str) -> str:
    value = contestant.get("value")
    parts = [
        f"version {contestant['version']}" if contestant.get("version") else "",
        str(contestant.get("estimator") or ""),
        f"{metric} {value:.4f}{_on(contestant)}" if isinstance(value, int | float) else "",
        f"since {to_the_minute(contestant['since'])}" if contestant.get("since") else "",
    ]
    return escape(", ".join(part for part in parts if part))


def _on(contestant: dict[str, Any]) -> str:
    return f" on {contestant['rows']:,} rows" if contestant.get("rows") else ""


def to_the_minute(moment: str | datetime) -> str:
    """``2026-03-02 06:00 UTC``."""
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{moment.astimezone(UTC) if moment.tzinfo else moment:%Y-%m-%d %H:%M} UTC"


def _coloured(state: str) -> str:
    style = _STYLES.get(state, "dim")
    return f"[{style}]{escape(state)}[/{style}]"
