"""A pipeline in words: what it will read, train, ask and promote, when, and whom it tells."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

from contender.frozen import format_duration
from contender.judge.gates import CustomGate, ThresholdGate
from contender.judge.ranges import always_met
from contender.judge.scorecard import metric_label
from contender.loading import ALWAYS_OVERRIDABLE
from contender.spec import LeakKind

if TYPE_CHECKING:
    from contender.judge.gates import AnyGate
    from contender.spec import DataSpec, LeakSpec, PipelineSpec


def explain(spec: PipelineSpec, now: datetime) -> tuple[tuple[str, str], ...]:
    """Pairs of a word and a sentence, in the order of a run."""
    return (
        ("reads", _reads(spec.data)),
        ("predicts", _predicts(spec)),
        ("checks", _checks(spec)),
        ("suspects", _suspects(spec.leaks)),
        ("judges", _judges(spec)),
        ("tries", _tries(spec)),
        *([("costs", f"{spec.cost.per_cpu_hour:g} {spec.cost.currency} for an hour of CPU time")] if spec.cost else []),
        *(("asks", _asks(spec, gate)) for gate in spec.gates),
        ("promotes", _promotes(spec)),
        ("keeps", "if a gate says no: the champion serves on, no version is made, and the reason is on record"),
        ("runs", _runs(spec, now)),
        ("tells", _tells(spec)),
        ("changes", f"by trigger: {', '.join(dict.fromkeys((*spec.overridable, *ALWAYS_OVERRIDABLE)))}"),
    )


def undemanding(spec: PipelineSpec) -> tuple[str, ...]:
    """The gates that every model passes, each located and in words."""
    return tuple(
        f"gates.{number}: every model passes {gate.label}; it asks nothing"
        for number, gate in enumerate(spec.gates)
        if isinstance(gate, ThresholdGate) and always_met(gate)
    )


def _reads(data: DataSpec) -> str:
    source = f"{data.source.kind} {' '.join(data.source.uri.split())[:200]}"
    if data.time is None or data.window is None:
        return f"{source}: all rows"
    until = f" until {format_duration(data.label_delay)} before" if data.label_delay else ""
    return f"{source}: rows with {data.time} from {format_duration(data.window)} before the day it looks from{until}"


def _predicts(spec: PipelineSpec) -> str:
    data = spec.data
    what = data.target if data.positive is None else f"whether {data.target} is {data.positive!r}"
    kind = "regression" if data.positive is None else "classification"
    return f"{what} ({kind}) from all columns but {', '.join(sorted(spec.non_features))}"


def _checks(spec: PipelineSpec) -> str:
    data = spec.data
    asked = [f"at least {data.min_rows} rows"]
    asked += [f"the newest within {format_duration(data.freshness)} of the window's end"] if data.freshness else []
    asked += [f"{100 * data.label_coverage:g}% with a label"] if data.label_coverage else []
    asked += ["no infinite number", _count(len(spec.expectations), "expectation")]
    warning = sum(expectation.severity == "warning" for expectation in spec.expectations)
    told = f"{warning} of them only told, not enforced; " if warning else ""
    limit = (
        f"more than {100 * spec.quarantine.max_share:g}% of the rows fail"
        if spec.quarantine.max_share
        else "a row fails"
    )
    return f"{_and(asked)}; {told}a run stops before training when {limit}"


def _suspects(leaks: LeakSpec) -> str:
    done = {"stop": "the run stops", "drop": "those columns are left out", "warn": "it is only said"}
    kinds = {policy: [kind for kind in get_args(LeakKind) if leaks.policy_of(kind) == policy] for policy in done}
    told = [f"{done[policy]} for {_and(found)}" for policy, found in kinds.items() if found]
    allowed = f"; never {_and([*leaks.allow])}" if leaks.allow else ""
    return f"leaks: {'; '.join(told)}{allowed}"


def _judges(spec: PipelineSpec) -> str:
    others = f"rows more than {format_duration(spec.embargo)} older" if spec.embargo else "the others"
    folds = f"{others} train, cross-validated in {spec.split.folds} folds"
    if spec.data.time is not None:
        return f"on the newest {format_duration(spec.gate_span)}; {folds}"
    by = spec.data.id or "its content"
    return f"on {100 * spec.gate_share:g}% of the rows, every week the same (by a hash of {by}); {folds}"


def _tries(spec: PipelineSpec) -> str:
    sweep = spec.sweep
    names = [f"{one.label} (the baseline)" if one.baseline else one.label for one in sweep.candidates]
    sizes = sweep.strategy.sizes(sweep.candidates)
    even = len(sizes) > 1 and len(set(sizes)) == 1
    trials = f"{len(sizes)} rounds of {_count(sizes[0], 'trial')}" if even else _count(sizes[-1], "trial")
    before = "" if even else "".join(f"{size}, then " for size in sizes[:-1])
    return (
        f"{before}{trials} ({sweep.strategy.kind}) of {_and(names)} for the greatest {metric_label(sweep.metric)}, "
        f"training for at most {format_duration(sweep.budget)}"
    )


def _asks(spec: PipelineSpec, gate: AnyGate) -> str:
    if isinstance(gate, ThresholdGate):
        bounds = [f"at least {gate.min:g}"] if gate.min is not None else []
        bounds += [f"at most {gate.max:g}"] if gate.max is not None else []
        whom = " on rows of new entities" if gate.entities == "new_only" else ""
        return f"is {metric_label(gate.metric)}{whom} {_and(bounds)}?"
    if isinstance(gate, CustomGate):
        return f"does {gate.label} say yes?"
    baseline = f"the baseline {spec.baseline.label}" if spec.baseline else "the baseline"
    other = {"champion": "the champion", "baseline": baseline, "trivial": "a constant guess"}[gate.opponent]
    metric, by = metric_label(gate.metric or spec.sweep.metric), f" by more than {gate.margin:g}" if gate.margin else ""
    question = {
        "superior": f"is it proved better than {other}{by} on {metric}?",
        "non_inferior": f"is it proved not worse than {other}{by} on {metric}?",
        "unless_worse": f"is its {metric} not seen worse than that of {other}{by}? (no proof: for few rows)",
    }[gate.policy]
    first = "; not asked of the first model" if gate.opponent == "champion" else ""
    return f"{question} On {gate.min_rows} or more rows that neither was trained on{first}"


def _promotes(spec: PipelineSpec) -> str:
    rows = "fitted again on all rows" if spec.refit_rows == "all_rows" else "as fitted without the rows that judge"
    return f"if every gate says yes: the model, {rows}, as models:/{spec.name}@champion"


def _runs(spec: PipelineSpec, now: datetime) -> str:
    fixed = f"; it looks from {spec.as_of} unless told" if spec.as_of else ""
    if spec.schedule is None:
        return f"only by hand{fixed}"
    from croniter import croniter

    following = croniter(spec.schedule, now.astimezone(UTC)).get_next(datetime)
    return f"at {spec.schedule} (cron, UTC), next on {following:%A %Y-%m-%d at %H:%M}{fixed}"


def _tells(spec: PipelineSpec) -> str:
    late = f"a run is late after {format_duration(spec.deadline)}"
    if not spec.notify:
        return f"nobody (notify is empty); {late}"
    return "; ".join([*(f"{one.kind}: what is {_and([*one.on])}" for one in spec.notify), late]).replace("_", " ")


def _and(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
