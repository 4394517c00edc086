"""The run's report, the page that people open first: the decision, its reasons and its evidence, in one file.

It decides nothing and shows no row of the data: of checks and quarantine only rules and counts, of columns what the
documents hold (quantiles, ends, and names of frequent values). The template escapes all text; the only markup that
passes through it is that of ``plots``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from contender.data.split import gate_start
from contender.documents.cost import money
from contender.frozen import format_duration
from contender.metrics.plausible import too_good_candidate
from contender.report.evidence import look_tables, prices
from contender.report.page import moment, page_environment, rows, setting, settings
from contender.report.plots import ENOUGH_ROWS, GateComparison, Plot, contest_plots, forest, parameter_plot, sweep_plot
from contender.run.costs import cost_of
from contender.sweep.results import is_reused, ranked
from contender.words import duration, mean_words, memory, metric_label, metric_name, own_direction, score, signed

if TYPE_CHECKING:
    from contender.documents.cost import Cost, Costs
    from contender.documents.data import CheckResult, Quarantine
    from contender.documents.decision import Decision
    from contender.documents.run import Run
    from contender.documents.scoreboard import Verdict
    from contender.documents.sweep import TrialResult
    from contender.judge.contest import Contest
    from contender.judge.gates import AnyGate
    from contender.spec.data import Expectation
    from contender.sweep.results import Sweep

TOP_TRIALS = 10
_MOST_REASONS = 10
_MOST_LOUD = 5  # changes of the data that stand at the top of the page
_ORDER = ("candidate", "champion", "proven", "baseline", "trivial")


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
        costs: of the run up to the challenge.
    """
    from markupsafe import Markup

    results = sweep.results
    environment = page_environment()
    environment.filters.update(score=score, signed=signed, setting=setting, settings=settings, metric=metric_name)
    environment.filters.update(duration=duration, memory=memory, money=money)
    environment.filters["own"] = lambda value, metric: None if value is None else own_direction(metric, value)
    environment.filters["picture"] = lambda plot: Markup(plot.svg)  # noqa: S704 - from plots, its texts escaped
    board = decision.board
    return environment.get_template("report.html.j2").render(
        run=run,
        spec=run.spec,
        decision=decision,
        board=board,
        contest=contest,
        headline=decision.sentence,
        gates=[(verdict, *gate.numbers(verdict)) for gate, verdict in _gates_with_verdicts(run, decision)],
        tally=Counter(verdict.status.replace("_", " ") for verdict in decision.verdicts),
        cards=sorted(board.cards, key=lambda card: _ORDER.index(card.contestant)),
        metrics=list(dict.fromkeys(name for card in board.cards for name in card.metrics)),
        plots=_plots(run, decision, contest, results),
        left_out=contest is not None and "champion" in contest.predictions and contest.fresh.sum() < ENOUGH_ROWS,
        sweep=sweep.counts(run),
        rounds=[(one.plan, one.counts(run), cost_of(one.own(run), None)) for one in sweep.rounds],
        warm=_warm_points(run, sweep),
        spent=_cost_lines(costs, sweep.counts(run)),
        trials=_top_trials(run, results, decision.recipe.trial.key),
        failures=_failures([*sweep.rungs, *results]),
        data=_data_facts(run, contest, quarantine),
        suspected=quarantine.findings,
        dropped=quarantine.dropped,
        checks=_checks(run, quarantine),
        loud=[change for change in decision.changes if change.loud][:_MOST_LOUD],
        set_aside=Counter(why for whys in quarantine.rows.values() for why in whys).most_common(_MOST_REASONS),
        labels=_labels(run, quarantine),
        looks=look_tables(run, decision),
        prices=prices(run, decision),
        too_good=too_good_candidate(board),
        trained=_trained_on(decision),
        code=run.code.fingerprint[:12] + (f", commit {run.code.commit[:8]}" if run.code.commit else ""),
        budget=format_duration(run.spec.sweep.budget),
    )


def _gates_with_verdicts(run: Run, decision: Decision) -> list[tuple[AnyGate, Verdict]]:
    """Each gate with its verdict, in the order of the YAML."""
    return list(zip(run.spec.gates, decision.verdicts, strict=True))


def _plots(
    run: Run, decision: Decision, contest: Contest | None, results: list[TrialResult]
) -> dict[str, tuple[Plot, ...]]:
    """The pictures of each section; none without a contest."""
    if contest is None:
        return {"forest": (), "contest": (), "sweep": ()}
    asked = []
    for gate, verdict in _gates_with_verdicts(run, decision):
        comparison = gate.comparison(decision.board)
        if comparison is not None:
            asked.append(GateComparison(comparison, verdict, gate.rule))
    trial, metric = decision.recipe.trial, metric_label(run.spec.sweep.metric)
    sweep = (
        sweep_plot(results, trial.key, metric),
        parameter_plot(results, trial.estimator, trial.key, metric),
    )
    compared = forest(asked)
    return {
        "forest": () if compared is None else (compared,),
        "contest": contest_plots(contest),
        "sweep": tuple(plot for plot in sweep if plot is not None),
    }


def _cost_lines(costs: Costs, trials: dict[str, int]) -> list[tuple[str, Cost]]:
    """The lines of the cost table; savings only when trials were reused."""
    saved = [("saved by reuse", costs.saved)] if trials.get("reused") else []
    return [("trials", costs.sweep), ("run, until it was judged", costs.run), *saved]


def _warm_points(run: Run, sweep: Sweep) -> list[tuple[str, str]]:
    """The points of an earlier run that the first round started from: label and parameters."""
    points = sweep.rounds[0].plan.history.warm if sweep.rounds else ()
    return [(run.spec.sweep.candidates[point.candidate].label, settings(point.params)) for point in points]


class _TrialRow(NamedTuple):
    """A line of the table of trials."""

    rank: int
    result: TrialResult
    won: bool
    reused: bool


def _top_trials(run: Run, results: list[TrialResult], winner: str) -> list[_TrialRow]:
    """The best trials, and the winner at any rank: baselines may score better, but do not become the candidate."""
    table = [
        _TrialRow(rank, result, result.trial.key == winner, is_reused(run, result))
        for rank, result in enumerate(ranked(results), start=1)
    ]
    return [row for row in table if row.rank <= TOP_TRIALS or row.won]


def _failures(results: list[TrialResult]) -> list[tuple[str, int, str]]:
    """Distinct reasons, most frequent first: the reason, the number of trials and their models.

    Reasons that differ in digits only are one, and the first of them is shown.
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


def _data_facts(run: Run, contest: Contest | None, quarantine: Quarantine) -> list[tuple[str, str]]:
    """Window, rows, gate rows and ids of the data: name and text."""
    data, aside = run.spec.data, len(quarantine.rows)
    facts = []
    if data.time is not None and data.window is not None:
        start, end = run.as_of - data.window, run.as_of - data.label_delay
        facts.append(("Window", f"{moment(start)} <= {data.time} < {moment(end)}"))
        judging = f"{data.time} from {moment(gate_start(run))} on, the newest {format_duration(run.spec.gate_span)}"
    else:
        judging = f"a share of {run.spec.gate_share:g} by hash of {data.id or 'the features'}, the same in every run"
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


def _labels(run: Run, quarantine: Quarantine) -> dict[str, str]:
    """How the labels of rows that a check set aside compare with those of the kept rows, by check."""
    means = {
        one.reason: mean_words(one.aside, one.kept, classification=run.spec.data.classification)
        for one in quarantine.labels
    }
    apart = {one.reason for one in quarantine.labels if one.apart}
    beyond = ", more than chance: such rows come in service, and no model is trained or judged on them"
    return {reason: words + (beyond if reason in apart else "") for reason, words in means.items()}


def _trained_on(decision: Decision) -> str:
    """The rows that the serving model is trained on, in words."""
    recipe = decision.recipe
    what = "all kept rows" if recipe.rows == "all_rows" else "all rows but the gate's"
    through = recipe.trained_on.through
    return what if through is None else f"{what}, up to {moment(through)}"


def _checks(run: Run, quarantine: Quarantine) -> list[tuple[CheckResult, str, str]]:
    """Each check, its arguments and its finding; not of a column, for the number found may be one of its values."""
    declared = zip(run.spec.expectations, quarantine.checks, strict=True)
    return [
        *((check, "", check.detail) for check in quarantine.structure),
        *((check, _args(expectation), check.detail if check.column is None else "") for expectation, check in declared),
    ]


def _args(expectation: Expectation) -> str:
    arguments = expectation.arguments
    return ", ".join(f"{name}={setting(argument)}" for name, argument in arguments.items() if name != "column")
