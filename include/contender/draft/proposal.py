"""The draft: a spec from the data and the roles of its columns, each choice with its reason."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from contender.data.checks.structure import unsure_split
from contender.data.leaks.guard import judge_findings
from contender.draft.expected import expectations_for
from contender.draft.trying import LINEAR, TREES, Tried, leaves_for, rows_of, try_as_names, try_out
from contender.errors import DataRejected
from contender.frozen import format_duration
from contender.metrics.plausible import too_good
from contender.spec.data import DataSpec
from contender.spec.pipeline import PipelineSpec
from contender.stats.budget import looks_to_prove
from contender.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contender.data.rows import Rows
    from contender.documents.data import Finding, Quarantine
    from contender.documents.scoreboard import Comparison
    from contender.draft.asking import Talk
    from contender.draft.reading import Reading
    from contender.draft.roles import Roles

METRICS = {True: ("roc_auc", "roc_auc"), False: ("neg_root_mean_squared_error", "r2")}
FORESTS = {True: "sklearn.ensemble.RandomForestClassifier", False: "sklearn.ensemble.RandomForestRegressor"}
_OLD = timedelta(days=14)  # data that ended longer ago are looked at from their end
_GATE_ROWS = 1_000
_EXPECTED = 100  # features that get expectations: with thousands a run checks for minutes, and no user reads the YAML
_PATIENCE = 13  # weeks, as ``challenger.patience`` has it
_SOON = 4  # weeks in which a gain must mostly be proved, so that the champion does not grow old meanwhile
_CORES = 2  # assumed for the expected training time


@dataclass
class Proposal:
    """A document for the YAML.

    Attributes:
        why: the comments beside settings, by dotted path.
        excluded: the comments beside excluded columns.
    """

    name: str
    document: dict[str, Any]
    why: dict[str, str] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)

    @property
    def spec(self) -> PipelineSpec:
        """The document as a spec."""
        return PipelineSpec.model_validate_json(json.dumps({"name": self.name, **self.document}), strict=True)


def propose(name: str, reading: Reading, roles: Roles, talk: Talk, *, now: datetime) -> Proposal:
    """Draft all settings of a pipeline, and try them on the data.

    Raises:
        DataRejected: no model can be trained or judged on these data.
    """
    proposal = Proposal(name, {}, excluded=dict(roles.exclude))
    classification = roles.positive is not None
    metric, floor = METRICS[classification]
    proposal.document = {
        "description": f"Predicts {roles.target}",
        "schedule": "0 3 * * 1",
        "data": _data(reading, roles, proposal.excluded),
        "split": {"folds": 2},
        "sweep": {"metric": metric, "candidates": [{"estimator": LINEAR[classification]}]},
        "gates": [{"kind": "threshold", "metric": floor, "min": 0}],
        "overridable": ["as_of", "sweep.strategy.trials", "sweep.budget"],
    }
    as_of = (
        _time(proposal, reading, roles, talk, now)
        if roles.time
        else datetime.combine(now.date(), datetime.min.time(), UTC)
    )
    if not roles.time:
        proposal.document["split"]["gate"] = 0.2
        proposal.why["split"] = "a fifth of the rows, always the same ones, judges" + (
            f"; all rows of one {roles.id} are on one side" if roles.id else ""
        )
    rows, looked = _look(proposal, reading, roles, as_of, talk)
    before = proposal.spec, looked
    if len(rows.frame) < DataSpec.model_fields["min_rows"].default:
        proposal.document["data"]["min_rows"] = max(2, len(rows.frame) // 2)
        proposal.why["data.min_rows"] = "half of what is there; so few rows decide little"
    _take_as_names(proposal, _fold(proposal, rows), reading, roles, talk, metric)
    if roles.names:
        rows, looked = _look(proposal, reading, roles, as_of, talk)
        before = proposal.spec, looked
    _expect(proposal, rows, roles, talk)
    rows, quarantine = _look(proposal, reading, roles, as_of, talk, before=before)
    talk.seen += unsure_split(quarantine)
    _allow(proposal, rows, len(quarantine.rows), talk)
    rows = _fold(proposal, rows)
    tried = try_out(rows, metric, floor)
    _sweep(proposal, rows, tried, classification=classification)
    _gates(proposal, rows, tried, talk, metric=metric, floor=floor)
    return proposal


def _look(
    proposal: Proposal,
    reading: Reading,
    roles: Roles,
    as_of: datetime,
    talk: Talk,
    before: tuple[PipelineSpec, Quarantine] | None = None,
) -> tuple[Rows, Quarantine]:
    """The rows that the first run trains and judges on, and its quarantine: every column that it would drop or stop for
    is left out before, so that what the draft measures is what the run measures.

    Raises:
        DataRejected: no column is left, or the run would stop for rows that repeat.
    """
    while True:
        rows, quarantine = rows_of(proposal.spec, as_of, reading.connect, before=before)
        found = [one for one in quarantine.findings if one.columns and one.policy != "warn"]
        if not found:
            judge_findings(quarantine)
            return rows, quarantine
        for one in found:
            if one.kind == "entity" and roles.id is None:
                _name_the_entity(proposal, reading, roles, one, talk)
            elif roles.id not in one.columns:
                _leave_out(proposal, one, talk)
        if not set(rows.features) - {*proposal.excluded, roles.id}:
            raise DataRejected("no column is left to learn from; each is an id, empty or gives the target away")


def _name_the_entity(proposal: Proposal, reading: Reading, roles: Roles, found: Finding, talk: Talk) -> None:
    """Make a column that rows which train and rows which judge share the id: all rows of one are then on one side."""
    [roles.id] = found.columns
    _declare_anew(proposal, reading, roles)
    proposal.why["data.id"] = found.evidence
    proposal.why["split"] += f"; all rows of one {roles.id} are on one side"
    talk.say(f"{roles.id!r} is the id: {found.evidence}; all rows of one stay together")


def _declare_anew(proposal: Proposal, reading: Reading, roles: Roles) -> None:
    """Write the part about the data for roles that changed; what was settled about the time stays."""
    settled = ("window", "label_delay", "min_rows")
    before = {key: value for key, value in proposal.document["data"].items() if key in settled}
    proposal.document["data"] = _data(reading, roles, proposal.excluded) | before


def _take_as_names(proposal: Proposal, rows: Rows, reading: Reading, roles: Roles, talk: Talk, metric: str) -> None:
    """Declare columns of whole numbers text where models learn more from them as names than as amounts."""
    found = try_as_names(rows, metric)
    if not found.columns:
        return
    roles.names = list(found.columns)
    _declare_anew(proposal, reading, roles)
    gained = f"a plain linear model reaches {metric} {found.linear:.4g} instead of {found.linear_before:.4g}"
    gained += f", boosted trees {found.trees:.4g} instead of {found.trees_before:.4g}"
    proposal.why["data.columns"] = f"whole numbers that are names, not amounts: with them as text {gained} (in a fold)"
    talk.say(f"{', '.join(map(repr, roles.names))}: whole numbers taken as names, not as amounts: {gained}")


def _leave_out(proposal: Proposal, found: Finding, talk: Talk) -> None:
    useless = found.kind == "id_like"
    names = f"{', '.join(map(repr, found.columns))} {'are' if len(found.columns) > 1 else 'is'} left out"
    for name in found.columns:
        proposal.excluded[name] = found.evidence if useless else f"LEAK: {found.evidence}"
    talk.say(
        f"{names}: it {found.evidence}"
        if useless
        else f"LEAK: {names}: {found.evidence}. Put back what is known before the target is"
    )
    data = proposal.document["data"]
    data["exclude"] = [*proposal.excluded]
    if "expectations" in proposal.document:
        proposal.document["expectations"] = [
            one
            for one in proposal.document["expectations"]
            if not {arguments.get("column") for arguments in one.values()} & set(found.columns)
        ]


def _fold(proposal: Proposal, rows: Rows) -> Rows:
    """Set the folds: as many as the size asks for, fewer when a class is too rare for them.

    Raises:
        DataRejected: even two folds, or the rows that judge, do not hold both classes.
    """
    count = most = 5 if len(rows.split.sweep) < 100_000 else 3
    while True:
        proposal.document["split"]["folds"] = count
        folded = replace(rows, run=rows.run.model_copy(update={"spec": proposal.spec}))
        try:
            folded.check_roles()
            break
        except DataRejected:
            if count == 2:
                raise
            count -= 1
    if count < most:
        proposal.why["split.folds"] = (
            f"; {count} folds, because {count + 1} would leave one without rows of both classes"
        )
    return folded


def _data(reading: Reading, roles: Roles, excluded: Iterable[str]) -> dict[str, Any]:
    classes = () if roles.positive is None else (roles.target,)
    as_text = (*roles.names, *(() if roles.id is None else (roles.id,)))
    source = reading.source.widened(exact=classes, text=as_text)
    data: dict[str, Any] = {"source": source.model_dump(mode="json", exclude_defaults=True), "target": roles.target}
    if roles.derive:
        data["derive"] = {name: {"minutes": list(pair)} for name, pair in roles.derive.items()}
    data |= {
        key: value for key, value in (("positive", roles.positive), ("id", roles.id), ("time", roles.time)) if value
    }
    # A column that ``derive`` needs is read all the same; exclude keeps it out of the features.
    wanted: dict[str, str] = {**reading.columns, **dict.fromkeys(roles.names, "text")}
    columns = {name: kind for name, kind in wanted.items() if name not in excluded}
    if columns:
        data["columns"] = columns
    data["exclude"] = list(excluded)
    return data


def _time(proposal: Proposal, reading: Reading, roles: Roles, talk: Talk, now: datetime) -> datetime:
    """Set window, gate and as_of of data with a time column.

    Returns:
        The as_of to try the draft with.
    """
    times = reading.table[roles.time].drop_null().cast(pa.timestamp("us"), safe=False)
    moments = np.sort(times.cast(pa.int64()).to_numpy())
    few = len(moments) // 1_000 + 1  # a thousandth of the rows at each end may be strays
    first, last = _moment(moments[min(few, len(moments) - 1)]), _moment(moments[-min(few + 1, len(moments))])
    room = (last - first) * 0.05  # rows beyond the room are strays; without any the window ends at the outermost rows
    first, last = max(first - room, _moment(moments[0])), min(last + room, _moment(moments[-1]))
    strays = int(((moments < _microseconds(first)) | (moments > _microseconds(last))).sum())
    end = last.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    old = now - end > _OLD
    as_of = end if old else now.replace(hour=0, minute=0, second=0, microsecond=0)
    days = max(2, math.ceil((as_of - first) / timedelta(days=1)))
    inside = moments[(moments >= _microseconds(first)) & (moments < _microseconds(as_of))]
    enough = (
        (_microseconds(as_of) - inside[-min(_GATE_ROWS, len(inside) // 4) - 1]) / 86_400e6 if len(inside) > 40 else 1
    )
    gate = min(max(28, math.ceil(enough)), max(1, int(days * 0.3)))
    proposal.document["data"] |= {"window": f"{days}d", "label_delay": "0d"}
    proposal.document["split"]["gate"] = f"{gate}d"
    proposal.why |= {
        "data.time": "says which rows judge and is no feature: a model that needs the hour or the weekday needs a column of it",
        "data.window": f"the data reaches from {first:%Y-%m-%d} to {last:%Y-%m-%d}; shorten it to forget what is old",
        "data.label_delay": f"how long it takes until {roles.target} is known; rows younger than that are not read",
        "split": f"the newest {gate} days judge",
    }
    talk.say(
        f"label_delay is 0d: it is assumed that {roles.target} is known at once; say in the YAML how long it takes"
    )
    if old:
        proposal.document["as_of"] = as_of.date().isoformat()
        proposal.why["as_of"] = f"the data ends on {last:%Y-%m-%d}; remove this line once new rows arrive"
        talk.say(
            f"the data ends on {last:%Y-%m-%d}, so runs look from {as_of:%Y-%m-%d}; remove as_of once new rows arrive"
        )
    if strays:
        talk.say(f"{strays} rows lie far outside the time from {first:%Y-%m-%d} to {last:%Y-%m-%d} and are not read")
    return as_of


def _expect(proposal: Proposal, rows: Rows, roles: Roles, talk: Talk) -> None:
    data = proposal.document["data"]
    keys = [name for name in (roles.id, roles.time) if name is not None]
    features = [name for name in rows.features if name not in data["exclude"]]
    if len(features) > _EXPECTED:
        rest = (
            f"the first {_EXPECTED} of {len(features)} features have expectations; add those that matter of the others"
        )
        proposal.why["expectations"] = rest
        talk.say(rest)
        features = features[:_EXPECTED]
    unique = roles.id if roles.id is not None and rows.frame[roles.id].is_unique else None
    made, widened = expectations_for(rows.frame, rows.target, names=features, target=roles.target, unique=unique)
    made[1:1] = [{"expect_column_values_to_not_be_null": {"column": name}} for name in keys]
    proposal.document["expectations"] = made
    for name, reason in widened.items():
        proposal.why[f"expect_column_values_to_be_between.{name}"] = f"wide: {reason}"
    if widened:
        names = ", ".join(map(repr, [*widened][:5])) + (", ..." if len(widened) > 5 else "")
        talk.say(
            f"rare values far from the others carry labels that are not like theirs in {names}: the ranges are so wide that they "
            "stay, see expectations"
        )


def _allow(proposal: Proposal, rows: Rows, set_aside: int, talk: Talk) -> None:
    share = set_aside / (len(rows.frame) + set_aside)
    allowed = max(0.02, math.ceil(200 * share) / 100)
    proposal.document["quarantine"] = {"max_share": allowed}
    proposal.why["quarantine"] = "rows that break an expectation are set aside; more than this share stops the run"
    if set_aside:
        proposal.why["quarantine"] += f" (today {share:.2%})"
        talk.say(f"{set_aside} rows ({share:.2%}) lie far outside the others and are set aside, see expectations")


def _sweep(proposal: Proposal, rows: Rows, tried: Tried, *, classification: bool) -> None:
    count = len(rows.split.sweep)
    strength: dict[str, Any] = (
        {"C": {"log_uniform": [0.001, 100]}, "max_iter": 1000}
        if classification
        else {"alpha": {"log_uniform": [0.001, 1000]}}
    )
    linear: dict[str, Any] = {"estimator": LINEAR[classification], "params": strength}
    boosted = {
        "learning_rate": {"log_uniform": [0.02, 0.3]},
        "max_leaf_nodes": {"choice": leaves_for(count)},
        "max_iter": {"int_uniform": [50, 300]},
    }
    candidates = [linear, {"estimator": TREES[classification], "params": boosted}]
    if count < 10_000:  # with more rows a forest takes longer than the other candidates together
        forest = {
            "n_estimators": 200,
            "min_samples_leaf": {"choice": [1, 3, 10]},
            "max_features": {"choice": [0.3, 0.6, 1.0]},
        }
        candidates.append({"estimator": FORESTS[classification], "params": forest})
    trials = 24 if count < 20_000 else 16 if count < 200_000 else 10
    if tried.trees_minus_linear is not None and tried.trees_minus_linear.low > 0:
        linear["baseline"] = True
        proposal.why["sweep.baseline"] = "what a plain linear model reaches; the others must prove that they are better"
    folds = proposal.document["split"]["folds"]
    seconds = trials * folds * tried.seconds * max(1.0, count / tried.fitted) / _CORES
    proposal.document["sweep"] |= {
        "strategy": {"kind": "random", "trials": trials},
        "budget": format_duration(timedelta(minutes=max(10, 5 * math.ceil(seconds / 60)))),
        "candidates": candidates,
    }
    proposal.why["sweep.budget"] = (
        f"a training task stops here; about {max(1, round(seconds / 60))} minutes are expected on {_CORES} cores"
    )


def _gates(proposal: Proposal, rows: Rows, tried: Tried, talk: Talk, *, metric: str, floor: str) -> None:
    nothing = 0.5 if metric == "roc_auc" else 0.0
    least = math.floor(100 * (nothing + 0.8 * (tried.floor - nothing))) / 100
    if tried.floor <= nothing + 0.01:
        talk.say(
            f"plain models reach {floor} {tried.floor:.3f}, which is no better than guessing: are the features the right ones?"
        )
        least = nothing
    if (flattering := too_good(floor, tried.floor)) is not None:
        talk.say(f"plain models' {flattering}")
    gain, gain_words = 0.01, "1 point of roc_auc"
    if metric != "roc_auc":
        gain, gain_words = 0.01 * max(abs(tried.score), 1e-12), "1 % of the error"
    gate_rows = len(rows.split.gate)
    timed = rows.run.spec.data.time is not None
    new_rows = max(2, round(gate_rows * 7 / (rows.run.spec.gate_span / timedelta(days=1)))) if timed else gate_rows
    weeks = _weeks_to_prove(gain, tried.trees_minus_alike, new_rows, looks=_PATIENCE if timed else 1)
    margin = 0.005 if metric == "roc_auc" else float(f"{gain:.2g}")
    policy: dict[str, Any] = (
        {"policy": "superior"} if weeks is not None and weeks <= _SOON else {"policy": "unless_worse", "margin": margin}
    )
    opponent = "baseline" if "sweep.baseline" in proposal.why else "trivial"
    proposal.document["gates"] = [
        {"kind": "threshold", "metric": floor, "min": least},
        {"kind": "beats", "opponent": opponent},
        {"kind": "beats", "opponent": "champion", **policy},
    ]
    sweep_rows = len(rows.split.sweep)
    part = "" if tried.fitted == sweep_rows else f" of {sweep_rows:,}"
    measured = f"fitted on {tried.fitted:,}{part} rows and scored on the {gate_rows:,} that judge"
    words = f"with {new_rows:,} rows{' new each week' if timed else ''} a true gain of {gain_words} is " + (
        "seldom proved" + (f" within {_PATIENCE} weeks" if timed else "")
        if weeks is None
        else f"mostly proved within {counted(weeks, 'week')}"
        if timed
        else "mostly proved"
    )
    proposal.why |= {
        "gates.0": f"plain models reach {tried.floor:.3f} today, {measured}; below this something is broken",
        "gates.1": "proved better than "
        + (
            "the plain linear model"
            if opponent == "baseline"
            else "guessing; boosted trees were not surely better than a linear model"
        ),
        "gates.2": f"{words} (measured between two boosted models), so "
        + (
            "proof is asked for"
            if policy["policy"] == "superior"
            else f"no proof is asked for: the challenger must only not be worse by more than {margin:g}"
        ),
    }
    talk.say(f"{words}; the champion's gate is {policy['policy']}")
    talk.say(f"plain models, {measured}: boosted trees {floor} {tried.trees:.4f}, linear {tried.linear:.4f}")


def _weeks_to_prove(gain: float, alike: Comparison | None, new_rows: int, *, looks: int) -> int | None:
    """After how many weekly looks ``superior`` proves a gain in every second case; None when it takes longer."""
    if alike is None or alike.error is None:
        return None
    if alike.error <= 0:  # the two models never differed: any gain would show
        return 1
    return looks_to_prove(gain, error=alike.error * (alike.rows / new_rows) ** 0.5, looks=looks)


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def _microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)
