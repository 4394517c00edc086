"""A year of weekly contests in a simulated world: what the judge promotes, and how good what serves is on the next week's rows.

It is the product's own snapshot, split, contest and gates; left out are Airflow, MLflow and the sweep: the week's recipe
is fixed, or the best of three draws from the pipeline's own candidates on the newest fold. Left out, too, are the baseline that takes the
candidate's place and the comparison with the last champion on evidence. The same seed gives the same year.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from sklearn.model_selection import ParameterSampler
from threadpoolctl import threadpool_limits

from bench.rows import Row
from contender.data.checks.expectations import Checked
from contender.data.checks.quarantine import set_aside
from contender.data.rows import Rows, as_features, load_rows
from contender.data.snapshot import take_snapshot
from contender.demo import WORLDS
from contender.documents.release import Recipe
from contender.documents.run import Run
from contender.documents.sweep import Trial
from contender.judge.challenge import answer_of, ask_all
from contender.judge.contest import Champion, Entrant, hold_contest
from contender.metrics.predictions import Predictions
from contender.run.code import installed_code
from contender.spec.loading import load_spec
from contender.store.base import write_document
from contender.store.local import LocalStore
from contender.sweep.model import build_model
from contender.sweep.space import distributions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contender.spec.pipeline import PipelineSpec

PIPELINES = Path(__file__).parent.parent / "dags" / "pipelines"
WORLD = {"churn": "churn", "bike_demand": "bikes"}
FIRST = datetime(2026, 2, 2, tzinfo=UTC)
ONSET = date(2026, 2, 15)
SMALL: dict[str, Any] = {"max_iter": 60, "max_leaf_nodes": 15, "early_stopping": False}


@dataclass(frozen=True)
class Setting:
    """What kind of year it is.

    Attributes:
        pipeline: one of the shipped ones, whose gates are asked.
        recipes: ``same``: one recipe all year; ``different``: each week has its own.
        policy: of the gate against the champion; None: as shipped.
    """

    pipeline: str
    scenario: Literal["none", "concept"] = "none"
    recipes: Literal["same", "different"] = "same"
    policy: str | None = None
    seed: int = 0
    weeks: int = 26


@dataclass(frozen=True)
class Week:
    """One contest, and the skill on the following week's rows of what serves then and of a model that is refitted always.

    Attributes:
        difference: candidate minus champion on the rows new to both; None without a champion.
    """

    number: int
    outcome: str
    difference: float | None
    champion: float | None
    always: float
    failed: tuple[str, ...]


def spec_of(setting: Setting, folder: Path) -> PipelineSpec:
    """The shipped pipeline in this world, with a plain sweep."""
    spec = load_spec(PIPELINES / f"{setting.pipeline}.yaml")
    source = spec.data.source.model_copy(
        update={
            "uri": str(folder),
            "seed": setting.seed,
            "scenario": setting.scenario,
            "onset": None if setting.scenario == "none" else ONSET.isoformat(),
        }
    )
    gates = spec.gates
    if setting.policy is not None:
        gates = tuple(
            gate.model_copy(
                update={"policy": setting.policy, "margin": 0.0 if setting.policy == "superior" else gate.margin}
            )
            if gate.kind == "beats" and gate.opponent == "champion"
            else gate
            for gate in gates
        )
    return spec.model_copy(update={"data": spec.data.model_copy(update={"source": source}), "gates": gates})


def year(setting: Setting) -> list[Week]:
    """Hold a contest every week; the first champion is the first candidate that passes."""
    with tempfile.TemporaryDirectory(prefix="contender-year-") as scratch, threadpool_limits(1):
        spec, store = spec_of(setting, Path(scratch) / "demo"), LocalStore(Path(scratch) / "store")
        serving: Champion | None = None
        found = []
        for number in range(setting.weeks):
            run = _run(spec, number)
            rows = _rows(run, store)
            trial = _trial(rows, setting, number)
            fit = partial(_fit, trial)
            entrants: dict[Any, Entrant] = {
                "candidate": Entrant(trial.label, fit),
                "baseline": Entrant("baseline", partial(_fit, _baseline(spec))),
            }
            board = hold_contest(rows, entrants, serving).board
            verdicts = ask_all(spec.gates, board)
            refitted = fit(rows.features, rows.target)
            newest = Champion.unreleased(str(number + 1), rows, _recipe(rows, trial), refitted)
            met = board.comparison("champion", spec.sweep.metric)
            if (outcome := answer_of(verdicts)) == "promote":
                serving = newest
            ahead = _next_week(run, setting)
            found.append(
                Week(
                    number,
                    outcome,
                    None if met is None else met.difference,
                    None if serving is None else _skill(serving, ahead, rows),
                    _skill(newest, ahead, rows),
                    tuple(one.gate for one in verdicts if one.status in ("failed", "undecided")),
                )
            )
        return found


def years(settings: Sequence[Setting], workers: int = 2) -> list[list[Week]]:
    """Several years side by side, in the order of the settings."""
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(year, settings))


def seeds(setting: Setting, count: int) -> list[Setting]:
    """The same kind of year with seeds 0, 1, ..."""
    return [replace(setting, seed=seed) for seed in range(count)]


def _run(spec: PipelineSpec, number: int) -> Run:
    as_of = FIRST + timedelta(weeks=number)
    return Run(id=f"w{number:02}", spec=spec, as_of=as_of, started=as_of, code=installed_code())


def _rows(run: Run, store: LocalStore) -> Rows:
    snapshot = take_snapshot(run, store)
    write_document(store, run.key("snapshot.json"), snapshot)
    write_document(store, run.key("quarantine.json"), set_aside(snapshot, Checked((), {})))
    return load_rows(run, store)


def _of(estimator: str, params: dict[str, Any], seed: int) -> Trial:
    return Trial(key=f"{estimator} {params}", estimator=estimator, params=params, seed=seed)


def _fit(trial: Trial, features: Any, target: Any) -> Any:
    return build_model(trial.estimator, trial.params, trial.seed).fit(features, target)


def _baseline(spec: PipelineSpec) -> Trial:
    linear = "LogisticRegression" if spec.data.classification else "Ridge"
    return _of(f"sklearn.linear_model.{linear}", {"max_iter": 1_000} if spec.data.classification else {}, spec.seed)


def _trial(rows: Rows, setting: Setting, number: int) -> Trial:
    """The week's recipe."""
    kind = "Classifier" if rows.run.spec.data.classification else "Regressor"
    boosting = f"sklearn.ensemble.HistGradientBoosting{kind}"
    if setting.recipes == "same":
        return _of(boosting, SMALL, setting.seed)
    tuned = next(one for one in rows.run.spec.sweep.candidates if one.estimator == boosting)
    sampled = ParameterSampler(distributions(tuned.params), 3, random_state=1_000 * setting.seed + number)
    drawn = [_of(boosting, {"early_stopping": False, **params}, setting.seed) for params in sampled]
    train, test = rows.folds[-1]
    sweep, metric = rows.split.sweep, rows.run.spec.sweep.metric
    classes = rows.run.spec.data.classification

    def score(trial: Trial) -> float:
        model = _fit(trial, rows.features.iloc[sweep[train]], rows.target[sweep[train]])
        said = Predictions.of(model, rows.features.iloc[sweep[test]], classification=classes)
        return said.number(metric, rows.target[sweep[test]])

    return max(drawn, key=score)


def _recipe(rows: Rows, trial: Trial) -> Recipe:
    return Recipe(key=trial.key, trial=trial, snapshot="s", quarantine="q", rows="all_rows", trained_on=rows.trained_on)


def _next_week(run: Run, setting: Setting) -> pd.DataFrame:
    """The rows that the week's champion will score, with the labels that come later."""
    source: Any = run.spec.data.source
    onset = None if source.onset is None else date.fromisoformat(source.onset)
    drop = WORLDS[WORLD[setting.pipeline]].drop
    days = [run.as_of.date() + timedelta(days=day) for day in range(7)]
    return pd.concat([drop(day, seed=setting.seed, scenario=setting.scenario, onset=onset) for day in days])


def _skill(champion: Champion, ahead: pd.DataFrame, rows: Rows) -> float:
    data = rows.run.spec.data
    numbers = ahead.select_dtypes(["int64", "bool"]).columns
    features = as_features(ahead.astype(dict.fromkeys(numbers, "float64")), champion.release.features)
    target = ahead[data.target].to_numpy()
    target = (target == data.positive).astype(int) if data.classification else target.astype(float)
    said = Predictions.of(champion.model, features, classification=data.classification)
    return said.number(rows.run.spec.sweep.metric, target)


def measure(root: Path) -> Row:
    """Candidate minus champion over half a year in which nothing changes, in standard errors; and how a change is met."""
    del root
    kinds = [Setting(name, scenario) for name in WORLD for scenario in ("none", "concept")]
    found = {kind: years(seeds(kind, 5)) for kind in kinds}
    worst, words = 0.0, []
    for kind, lived in found.items():
        met = [week.difference for one in lived for week in one if week.difference is not None]
        behind = [(week.always - week.champion) for one in lived for week in one if week.champion is not None]
        told = f"{kind.pipeline}, {kind.scenario}: promoted in {_share(lived):.0%} of the weeks"
        if kind.scenario == "none":
            apart = abs(float(np.mean(met))) / (float(np.std(met, ddof=1)) / len(met) ** 0.5)
            worst = max(worst, apart)
            told += f", {np.mean(met):+.5f} ({apart:.1f} s.e.) on the rows new to both"
        words.append(f"{told}, what serves is {np.mean(behind):.4f} behind a model that is refitted always")
    return Row(
        name="level ground", value=worst, unit="s.e.", against="no difference", limit=2.0, ok=worst <= 2.0,
        how="26 weekly contests, 5 seeds, one recipe, shipped gates; " + "; ".join(words),
    )  # fmt: skip


def _share(lived: Sequence[Sequence[Week]]) -> float:
    return float(np.mean([week.outcome == "promote" for one in lived for week in one]))
