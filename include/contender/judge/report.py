"""The page people open first: whether the title changes and why, and what that rests on, in one self-contained file.

Says what was decided; computes nothing that decides. Never shows a row of the data: of checks and quarantine only rules
and counts, of columns what the documents say (quantiles, ends, and names of frequent values). The template escapes all
text; the only markup that passes through it is our own pictures.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from contender.cost import cost_of, duration, memory, money
from contender.data.split import gate_start
from contender.frozen import format_duration
from contender.judge.gates import BeatsGate, CustomGate, ThresholdGate
from contender.judge.plots import ENOUGH_ROWS, Bout, Plot, contest_plots, forest, parameter_plot, sweep_plot
from contender.judge.scorecard import metric_label
from contender.sweep.results import is_reused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from jinja2 import Environment

    from contender.cost import Cost, Costs
    from contender.documents import CheckResult, Decision, Quarantine, Run, TrialResult
    from contender.judge.contest import Contest
    from contender.judge.gates import AnyGate
    from contender.judge.scorecard import Verdict
    from contender.spec import Expectation
    from contender.sweep.results import Sweep

TOP_TRIALS = 10
_MOST_REASONS = 10
_MOST_LOUD = 5
_LONGEST = 300  # characters of one value, so that a parameter or an error cannot fill the page
_ORDER = ("candidate", "champion", "baseline", "trivial")
_DIGITS = 4


def render(
    run: Run,
    decision: Decision,
    contest: Contest | None,
    sweep: Sweep,
    quarantine: Quarantine,
    costs: Costs,
) -> str:
    """The report as HTML. The same arguments give the same bytes.

    Args:
        contest: None when the model was decided on before (``decision.same_model``).
        costs: up to the challenge.
    """
    from markupsafe import Markup

    results = sweep.results
    environment = page_environment()
    environment.filters.update(score=score, signed=signed, setting=setting, settings=settings, metric=metric_label)
    environment.filters.update(duration=duration, memory=memory, money=money)
    environment.filters["picture"] = lambda plot: Markup(plot.svg)  # noqa: S704 - drawn by us, its texts escaped there
    board = decision.board
    return environment.get_template("report.html.j2").render(
        run=run,
        spec=run.spec,
        decision=decision,
        board=board,
        contest=contest,
        headline=decision.sentence.removeprefix(f"{decision.outcome}: "),
        gates=[(verdict, *_numbers(gate, verdict)) for gate, verdict in _asked(run, decision)],
        tally=Counter(verdict.status.replace("_", " ") for verdict in decision.verdicts),
        cards=sorted(board.cards, key=lambda card: _ORDER.index(card.contestant)),
        metrics=list(dict.fromkeys(name for card in board.cards for name in card.metrics)),
        plots=_plots(run, decision, contest, results),
        left_out=contest is not None and "champion" in contest.predictions and contest.fresh.sum() < ENOUGH_ROWS,
        sweep=sweep.counts(run),
        rounds=[(one.plan, one.counts(run), cost_of(one.own(run), None)) for one in sweep.rounds],
        warm=_warm(run, sweep),
        spent=_spent(costs, sweep.counts(run)),
        trials=_top(run, results, decision.recipe.trial.key),
        failures=_failures([*sweep.rungs, *results]),
        data=_data(run, contest, quarantine),
        suspected=quarantine.findings,
        dropped=quarantine.dropped,
        checks=_checks(run, quarantine),
        loud=[change for change in decision.changes if change.loud][:_MOST_LOUD],
        set_aside=Counter(why for whys in quarantine.rows.values() for why in whys).most_common(_MOST_REASONS),
        trained=_trained(decision),
        code=run.code.fingerprint[:12] + (f", commit {run.code.commit[:8]}" if run.code.commit else ""),
        budget=format_duration(run.spec.sweep.budget),
    )


def page_environment() -> Environment:
    """What our pages are made with: all text is escaped, and a name that is not there is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("contender", "judge"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(rows=rows, moment=moment)
    return environment


def score(number: float | None) -> str:
    """Four significant digits, written as people write them: 0.8422, 54.97, 123,500."""
    if number is None:
        return "\N{EN DASH}"
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    places = _DIGITS - 1 - int(f"{number:.{_DIGITS - 1}e}".partition("e")[2])  # of the rounded number: 0.99999 is 1.000
    return f"{number:.3e}" if places > 2 * _DIGITS else f"{round(number, places):,.{max(0, places)}f}"


def signed(number: float | None) -> str:
    """A difference of scores."""
    return f"+{score(number)}" if number is not None and number > 0 else score(number)


def rows(number: int) -> str:
    """A number of rows: 12,345."""
    return f"{number:,}"


def moment(when: datetime) -> str:
    """A day, with the time of day if there is one; UTC, as everything stored is."""
    return f"{when:%Y-%m-%d}" if (when.hour, when.minute, when.second) == (0, 0, 0) else f"{when:%Y-%m-%d %H:%M} UTC"


def setting(value: Any) -> str:
    """A parameter's or argument's value, bounded."""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = ", ".join(map(setting, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def settings(params: Mapping[str, Any]) -> str:
    """Parameters in a line."""
    return ", ".join(f"{name}={setting(value)}" for name, value in params.items()) or "as they are"


def _asked(run: Run, decision: Decision) -> list[tuple[AnyGate, Verdict]]:
    """Every gate with its verdict, in the YAML's order."""
    return list(zip(run.spec.gates, decision.verdicts, strict=True))


def _numbers(gate: AnyGate, verdict: Verdict) -> tuple[str, str]:
    """What was observed and what would have been enough, in the gate's own terms."""
    if isinstance(gate, ThresholdGate):
        return score(verdict.observed), gate.label.removeprefix(metric_label(gate.metric)).strip()
    if isinstance(gate, CustomGate):
        return score(verdict.observed), score(verdict.required)
    least = 0.0 if not gate.margin else gate.margin if gate.policy == "superior" else -gate.margin
    what = "difference >=" if gate.policy == "unless_worse" else "interval above"
    return signed(verdict.observed), f"{what} {least:g}"


def _plots(
    run: Run, decision: Decision, contest: Contest | None, results: list[TrialResult]
) -> dict[str, tuple[Plot, ...]]:
    """The pictures of each section; none when nothing was judged today."""
    if contest is None:
        return {"forest": (), "contest": (), "sweep": ()}
    bouts = []
    for gate, verdict in _asked(run, decision):
        if isinstance(gate, BeatsGate):
            comparison = decision.board.comparison(gate.opponent, gate.metric or decision.board.metric)
            if comparison is not None:
                bouts.append(Bout(comparison, verdict, gate.policy.replace("_", " ")))
    trial, metric = decision.recipe.trial, metric_label(run.spec.sweep.metric)
    sweep = (
        sweep_plot(results, trial.key, metric),
        parameter_plot(results, trial.estimator, trial.key, metric),
    )
    compared = forest(bouts)
    return {
        "forest": () if compared is None else (compared,),
        "contest": contest_plots(contest),
        "sweep": tuple(plot for plot in sweep if plot is not None),
    }


def _spent(costs: Costs, trials: dict[str, int]) -> list[tuple[str, Cost]]:
    """The lines of the cost."""
    saved = [("saved by reuse", costs.saved)] if trials.get("reused") else []
    return [("trials", costs.sweep), ("run, until it was judged", costs.run), *saved]


def _warm(run: Run, sweep: Sweep) -> list[tuple[str, str]]:
    """The points of an earlier run that the first round started from: label and parameters."""
    points = sweep.rounds[0].plan.history.warm if sweep.rounds else ()
    return [(run.spec.sweep.candidates[point.candidate].label, settings(point.params)) for point in points]


class _Row(NamedTuple):
    """A line of the trials' table."""

    rank: int
    result: TrialResult
    won: bool
    reused: bool


def _top(run: Run, results: list[TrialResult], winner: str) -> list[_Row]:
    """The best trials, and the winner's wherever it stands: a better baseline does not become the candidate."""
    complete = [result for result in results if result.mean is not None]
    ranked = sorted(complete, key=lambda result: (-(result.mean or 0.0), result.trial.key))
    table = [
        _Row(rank, result, result.trial.key == winner, is_reused(run, result))
        for rank, result in enumerate(ranked, start=1)
    ]
    return [row for row in table if row.rank <= TOP_TRIALS or row.won]


def _failures(results: list[TrialResult]) -> list[tuple[str, int, str]]:
    """Distinct reasons, most frequent first, with how many trials of which estimators. Those that differ in numbers only
    are one; the first speaks for them.
    """
    found: dict[str, list[TrialResult]] = defaultdict(list)
    for result in results:
        if result.status == "failed":
            found[re.sub(r"\d+", "0", result.error or "no reason given")].append(result)
    alike = sorted(found.values(), key=lambda failed: -len(failed))[:_MOST_REASONS]
    return [
        (setting(failed[0].error), len(failed), ", ".join(sorted({result.trial.label for result in failed})))
        for failed in alike
    ]


def _data(run: Run, contest: Contest | None, quarantine: Quarantine) -> list[tuple[str, str]]:
    """What went in."""
    data, aside = run.spec.data, len(quarantine.rows)
    facts = []
    if data.time is not None and data.window is not None:
        start, end = run.as_of - data.window, run.as_of - data.label_delay
        facts.append(("Window", f"{moment(start)} <= {data.time} < {moment(end)}"))
        judging = f"{data.time} from {moment(gate_start(run))} on, the newest {format_duration(run.spec.gate_span)}"
    else:
        judging = f"a share of {run.spec.gate_share:g} by hash of {data.id or 'the row'}, the same in every run"
    if quarantine.kept is not None:
        kept = rows(quarantine.kept)
        facts.append(("Rows", f"{kept} kept, {rows(aside)} of {rows(quarantine.kept + aside)} quarantined"))
    if contest is not None:
        judging += f": {rows(len(contest.target))} rows"
    if contest is not None and contest.board.returning is not None:
        facts.append(
            ("Returning", f"{contest.board.returning:.1%} of the gate rows are about an id that was trained on")
        )
    return [*facts, ("Gate rows", judging), ("Snapshot", quarantine.snapshot[:12]), ("Quarantine", quarantine.id[:12])]


def _trained(decision: Decision) -> str:
    """Which rows the model has seen when it serves."""
    recipe = decision.recipe
    what = "all kept rows" if recipe.rows == "all_rows" else "all rows but the gate's"
    through = recipe.trained_on.through
    return what if through is None else f"{what}, up to {moment(through)}"


def _checks(run: Run, quarantine: Quarantine) -> list[tuple[CheckResult, str, str]]:
    """Every check, its rule, and what was found. An observed number of a column could be one of its values: left out."""
    declared = zip(run.spec.expectations, quarantine.checks, strict=True)
    return [
        *((check, "", check.detail) for check in quarantine.structure),
        *((check, _rule(expectation), check.detail if check.column is None else "") for expectation, check in declared),
    ]


def _rule(expectation: Expectation) -> str:
    arguments = expectation.arguments
    return ", ".join(f"{name}={setting(argument)}" for name, argument in arguments.items() if name != "column")
