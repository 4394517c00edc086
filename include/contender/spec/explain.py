"""A pipeline in words, as ``contender check`` prints it: what it reads, tries, asks, promotes and tells, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

from contender.frozen import format_duration
from contender.spec.data import LeakKind
from contender.spec.loading import ALWAYS_OVERRIDABLE
from contender.words import counted, listed, metric_label

if TYPE_CHECKING:
    from contender.spec.data import DataSpec, LeakSpec
    from contender.spec.pipeline import PipelineSpec


def explain(spec: PipelineSpec, now: datetime) -> tuple[tuple[str, str], ...]:
    """The pipeline as pairs of a verb and the rest of its sentence, in the order of a run."""
    return (
        ("reads", _reads(spec.data)),
        ("predicts", _predicts(spec)),
        ("checks", _checks(spec)),
        ("suspects", _suspects(spec.leaks)),
        ("judges", _judges(spec)),
        ("tries", _tries(spec)),
        *([("costs", f"{spec.cost.per_cpu_hour:g} {spec.cost.currency} for an hour of CPU time")] if spec.cost else []),
        *(("asks", gate.question(spec)) for gate in spec.gates),
        ("promotes", _promotes(spec)),
        ("keeps", "if a gate says no: the champion serves on, no version is made, and the reason is on record"),
        ("runs", _runs(spec, now)),
        ("tells", _tells(spec)),
        ("changes", f"by trigger: {', '.join(dict.fromkeys((*spec.overridable, *ALWAYS_OVERRIDABLE)))}"),
    )


def gates_without_effect(spec: PipelineSpec) -> tuple[str, ...]:
    """A located warning for each gate that every model passes."""
    return tuple(
        f"gates.{number}: every model passes {gate.label}; it asks nothing"
        for number, gate in enumerate(spec.gates)
        if gate.always_passes()
    )


def _reads(data: DataSpec) -> str:
    if data.time is None or data.window is None:
        return f"{data.source.words}: all rows"
    until = f" until {format_duration(data.label_delay)} before" if data.label_delay else ""
    span = f"from {format_duration(data.window)} before the day it looks from{until}"
    return f"{data.source.words}: rows with {data.time} {span}"


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
    asked += ["no infinite number", counted(len(spec.expectations), "expectation")]
    warning = sum(expectation.severity == "warning" for expectation in spec.expectations)
    told = f"{warning} of them only told, not enforced; " if warning else ""
    limit = (
        f"more than {100 * spec.quarantine.max_share:g}% of the rows fail"
        if spec.quarantine.max_share
        else "a row fails"
    )
    return f"{listed(asked)}; {told}a run stops before training when {limit}"


def _suspects(leaks: LeakSpec) -> str:
    done = {"stop": "the run stops", "drop": "those columns are left out", "warn": "it is only said"}
    kinds = {policy: [kind for kind in get_args(LeakKind) if leaks.policy_of(kind) == policy] for policy in done}
    told = [f"{done[policy]} for {listed(found)}" for policy, found in kinds.items() if found]
    allowed = f"; never {listed([*leaks.allow])}" if leaks.allow else ""
    return f"leaks: {'; '.join(told)}{allowed}"


def _judges(spec: PipelineSpec) -> str:
    others = f"rows more than {format_duration(spec.embargo)} older" if spec.embargo else "the others"
    folds = f"{others} train, cross-validated in {spec.split.folds} folds"
    if spec.data.time is not None:
        return f"on the newest {format_duration(spec.gate_span)}; {folds}"
    by = spec.data.id or "its features"
    return f"on {100 * spec.gate_share:g}% of the rows, every week the same (by a hash of {by}); {folds}"


def _tries(spec: PipelineSpec) -> str:
    sweep = spec.sweep
    names = [f"{one.label} (the baseline)" if one.baseline else one.label for one in sweep.candidates]
    sizes = sweep.strategy.sizes(sweep.candidates)
    even = len(sizes) > 1 and len(set(sizes)) == 1
    trials = f"{len(sizes)} rounds of {counted(sizes[0], 'trial')}" if even else counted(sizes[-1], "trial")
    before = "" if even else "".join(f"{size}, then " for size in sizes[:-1])
    return (
        f"{before}{trials} ({sweep.strategy.kind}) of {listed(names)} for the greatest {metric_label(sweep.metric)}, "
        f"training for at most {format_duration(sweep.budget)}"
    )


def _promotes(spec: PipelineSpec) -> str:
    rows = "fitted again on all rows" if spec.refit_rows == "all_rows" else "as fitted without the rows that judge"
    return f"if every gate says yes: the model, {rows}, as models:/{spec.name}@champion"


def _runs(spec: PipelineSpec, now: datetime) -> str:
    fixed = f"; it looks from {spec.as_of} unless told" if spec.as_of else ""
    if spec.schedule is None:
        return f"only by hand{fixed}"
    from croniter import croniter

    following = croniter(spec.schedule, now.astimezone(UTC)).get_next(datetime)
    return f"{_cron_in_words(spec.schedule)} (UTC), next on {following:%A %Y-%m-%d at %H:%M}{fixed}"


def _cron_in_words(schedule: str) -> str:
    """``at 03:00, only on Monday (0 3 * * 1)``; ``@weekly`` and its like are left as they are."""
    from cron_descriptor import Options, get_description

    if schedule.startswith("@"):
        return schedule
    words = get_description(schedule, Options(use_24hour_time_format=True))
    return f"{words[0].lower()}{words[1:]} ({schedule})"


def _tells(spec: PipelineSpec) -> str:
    late = f"a run is late after {format_duration(spec.deadline)}"
    if not spec.notify:
        return f"nobody (notify is empty); {late}"
    return "; ".join([*(f"{one.kind}: what is {listed([*one.on])}" for one in spec.notify), late]).replace("_", " ")
