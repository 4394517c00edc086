"""Searches compared with random draws of equal CPU time: our strategies, scikit-learn's halving and plain Optuna.

A problem is a table with folds, and candidates whose scores differ over their ranges. Every score comes from real fits
of the sweep's Evaluator on one thread. A fit (one point on one fold) runs once and is then looked up; each search that
uses it is charged its CPU seconds. scikit-learn's halving does its own fits. What random draws find at a cost is the
distribution over a thousand orders of one pool, because one order says little. The pool is what the first rounds of
halving draw over all seeds, so both sides have the same draws.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import statistics
import sys
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import optuna
import pandas as pd
from sklearn import datasets
from sklearn.calibration import CalibratedClassifierCV
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - the next line needs it
from sklearn.model_selection import HalvingRandomSearchCV, KFold
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from bench.rows import CORES, Row
from contender.documents.sweep import History, Point, Trial, Tried
from contender.sweep.model import build_model
from contender.sweep.space import CandidateSpec, Choice, IntUniform, LogUniform, Uniform, at_share, distributions
from contender.sweep.strategies import HalvingStrategy, RandomStrategy, TpeStrategy
from contender.sweep.trial import Evaluator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TRIALS, ROWS, FOLDS = 60, 3_000, 5
ORDERS = 1_000  # of the pool of draws
# One seed of scikit-learn's halving, because it does its own fits, which are never looked up.
SEEDS = {"halving": 20, "tpe": 10, "Optuna": 10, "scikit-learn halving": 1}
BOOSTING = {
    "learning_rate": {"log_uniform": [0.01, 0.6]}, "max_leaf_nodes": {"int_uniform": [3, 63]},
    "min_samples_leaf": {"int_uniform": [2, 102]}, "max_iter": 40, "early_stopping": False,
}  # fmt: skip
NETWORK = {
    "learning_rate_init": {"log_uniform": [1e-4, 0.1]}, "alpha": {"log_uniform": [1e-5, 1]},
    "hidden_layer_sizes": 50, "max_iter": 20,
}  # fmt: skip
CLASSIFIERS = [
    {"estimator": "sklearn.linear_model.LogisticRegression", "params": {"C": {"log_uniform": [1e-4, 1e3]}}, "baseline": True},
    {"estimator": "sklearn.ensemble.HistGradientBoostingClassifier", "params": BOOSTING},
    {"estimator": "sklearn.neural_network.MLPClassifier", "params": NETWORK},
]  # fmt: skip
REGRESSORS = [
    {"estimator": "sklearn.linear_model.Ridge", "params": {"alpha": {"log_uniform": [1e-3, 1e3]}}, "baseline": True},
    {"estimator": "sklearn.ensemble.HistGradientBoostingRegressor", "params": BOOSTING},
    {"estimator": "sklearn.neural_network.MLPRegressor", "params": NETWORK},
]


class Fit(NamedTuple):
    """The key of a fit: a point on one fold, with a share of that fold's training rows."""

    point: bytes
    fold: int
    share: float


@dataclass
class Problem:
    """A table to search on, with the results and costs of its fits so far.

    Attributes:
        known: score (None: it failed) and CPU seconds of each fit so far.
    """

    name: str
    features: pd.DataFrame
    target: np.ndarray
    classification: bool
    known: dict[Fit, tuple[float | None, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.metric = "neg_log_loss" if self.classification else "r2"
        forms = CLASSIFIERS if self.classification else REGRESSORS
        self.candidates = [CandidateSpec.model_validate_json(json.dumps(form)) for form in forms]
        self.folds = KFold(FOLDS, shuffle=True, random_state=0)
        folds = list(self.folds.split(self.features))
        self.evaluators = [
            Evaluator(self.features, self.target, [fold], self.metric, self.classification) for fold in folds
        ]

    def tried(self, point: Point) -> tuple[float | None, dict[Fit, float]]:
        """The mean score of a point at its share, greater is better, and the CPU seconds of each of its fits."""
        candidate = self.candidates[point.candidate]
        part = at_share(candidate, point.params, point.share, FOLDS)
        trial = Trial(key="", estimator=candidate.path, params=part.params, seed=0, share=part.share)
        scores, cost = [], {}
        for fold in range(FOLDS - (part.folds or FOLDS), FOLDS):
            fit = Fit(point.key, fold, part.share)
            if fit not in self.known:
                result = self.evaluators[fold].run(trial)
                self.known[fit] = (result.mean, result.cpu_seconds)
            value, cost[fit] = self.known[fit]
            if value is None:
                return None, cost
            scores.append(value)
        return statistics.mean(scores), cost


class Figure(NamedTuple):
    """The cost of a search in CPU seconds and its best mean score, compared with draws of the same cost.

    ``draws`` is the median of the draws' best scores over their orders; ``beaten`` is the share of the orders that
    found less than the search, ties counted half.
    """

    problem: str
    search: str
    seed: int
    seconds: float
    score: float
    draws: float
    beaten: float


@dataclass
class Search:
    """The cost of a search so far, in CPU seconds, and the best mean score of its whole trials."""

    seconds: float = 0.0
    best: float = -math.inf
    paid: set[Fit] = field(default_factory=set, repr=False)

    def add(self, point: Point, value: float | None, cost: Mapping[Fit, float]) -> None:
        """Add a trial. Its fits are charged unless this search has paid for them already."""
        self.seconds += sum(cost[fit] for fit in cost if fit not in self.paid)
        self.paid |= cost.keys()
        if value is not None and point.share == 1:
            self.best = max(self.best, value)


def found_by_draws(pool: Sequence[tuple[float | None, Mapping[Fit, float]]], seconds: float) -> np.ndarray:
    """The best score within so many CPU seconds (at least one trial), for each of ``ORDERS`` orders of the pool."""
    scores = np.array([-math.inf if value is None else value for value, _ in pool])
    cost = np.array([sum(took.values()) for _, took in pool])
    order = np.random.default_rng(0).permuted(np.tile(np.arange(len(pool)), (ORDERS, 1)), axis=1)
    paid = np.cumsum(cost[order], axis=1) <= seconds
    paid[:, 0] = True
    best: np.ndarray = np.where(paid, scores[order], -math.inf).max(axis=1)
    return best


def ours(problem: Problem, strategy: Any, seed: int) -> Search:
    """Run one of our strategies, round by round. The CPU time of proposing is charged."""
    found, history = Search(), History()
    for _ in range(strategy.rounds):
        began = time.process_time()
        points = strategy.propose(problem.candidates, seed, history)
        found.seconds += time.process_time() - began
        done = []
        # Shuffled, because points are proposed candidate by candidate.
        for number in np.random.default_rng(seed).permutation(len(points)):
            value, cost = problem.tried(points[number])
            found.add(points[number], value, cost)
            done.append(Tried(point=points[number], value=value))
        history = History(rounds=(*history.rounds, tuple(done)))
    return found


def plain_optuna(problem: Problem, seed: int) -> Search:
    """Run Optuna's TPE with its defaults, one trial after the other."""
    found = Search()

    def objective(trial: optuna.Trial) -> float:
        number = trial.suggest_categorical("candidate", range(len(problem.candidates)))
        params: dict[str, Any] = {}
        for name, declared in problem.candidates[number].params.items():
            match declared:
                case Choice(choice=values):
                    params[name] = values[trial.suggest_categorical(f"{number}.{name}", range(len(values)))]
                case IntUniform(int_uniform=(first, last)):
                    params[name] = trial.suggest_int(f"{number}.{name}", first, last)
                case Uniform(uniform=(low, high)):
                    params[name] = trial.suggest_float(f"{number}.{name}", low, high)
                case LogUniform(log_uniform=(low, high)):
                    params[name] = trial.suggest_float(f"{number}.{name}", low, high, log=True)
                case constant:
                    params[name] = constant
        point = Point(candidate=number, params=params)
        value, cost = problem.tried(point)
        found.add(point, value, cost)
        return math.nan if value is None else value

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=TRIALS)
    return found


def sklearn_halving(problem: Problem, seed: int) -> Search:
    """Run scikit-learn's HalvingRandomSearchCV with as many draws, the same factor and as many rounds as ours."""
    models = [build_model(candidate.path, {}, 0) for candidate in problem.candidates]
    spaces = []
    for candidate, model in zip(problem.candidates, models, strict=True):
        inside = "estimator__" if isinstance(model[-1], CalibratedClassifierCV) else ""
        drawn = distributions(candidate.params)
        spaces.append(
            {"model": [model]} | {f"model__{model.steps[-1][0]}__{inside}{name}": drawn[name] for name in drawn}
        )
    search = HalvingRandomSearchCV(
        Pipeline([("model", models[0])]), spaces, n_candidates=TRIALS, factor=3, min_resources=len(problem.target) // 9,
        scoring=problem.metric, cv=problem.folds, refit=False, random_state=seed,
    )  # fmt: skip
    began = time.process_time()
    search.fit(problem.features, problem.target)
    seconds = time.process_time() - began
    number = next(n for n, model in enumerate(models) if type(model[-1]) is type(search.best_params_["model"][-1]))
    chosen = {name.rpartition("__")[2]: value for name, value in search.best_params_.items() if name != "model"}
    point, found = Point(candidate=number, params=chosen), Search(seconds)
    found.add(point, problem.tried(point)[0], {})
    return found


OURS = ("halving", "tpe")
SEARCHES: dict[str, Callable[[Problem, int], Search]] = {
    "halving": lambda problem, seed: ours(problem, HalvingStrategy(kind="halving", trials=TRIALS), seed),
    "tpe": lambda problem, seed: ours(problem, TpeStrategy(kind="tpe", trials=TRIALS), seed),
    "Optuna": plain_optuna,
    "scikit-learn halving": sklearn_halving,
}


def problems() -> list[Problem]:
    """The problems: digits, and the real tables in the folder ``CONTENDER_DATA``, or generated ones without it."""
    digits, eights = datasets.load_digits(return_X_y=True, as_frame=True)
    found = [Problem("digits", digits, (eights == 8).to_numpy().astype(int), classification=True)]
    data = Path(os.environ.get("CONTENDER_DATA") or "nowhere")
    if not data.exists():
        made = {"classes": datasets.make_classification(ROWS, 20, n_informative=8, flip_y=0.05, class_sep=0.7, random_state=0),
                "rings": datasets.make_gaussian_quantiles(n_samples=ROWS, n_features=8, n_classes=2, random_state=0),
                "friedman": datasets.make_friedman1(ROWS, 12, noise=1.0, random_state=0)}  # fmt: skip
        for name, (features, target) in made.items():
            frame = pd.DataFrame(features, columns=[f"x{n}" for n in range(features.shape[1])])
            found.append(Problem(name, frame, target, classification=name != "friedman"))
        return found
    telco = pd.read_csv(data / "telco_churn" / "Telco-Customer-Churn.csv").sample(ROWS, random_state=0)
    telco["TotalCharges"] = pd.to_numeric(telco["TotalCharges"], errors="coerce")
    churned = (telco.pop("Churn") == "Yes").to_numpy().astype(int)
    found.append(Problem("telco_churn", telco.drop(columns="customerID"), churned, classification=True))
    bikes = pd.read_csv(data / "bike_sharing" / "hour.csv").sample(ROWS, random_state=0)
    rented = bikes.pop("cnt").to_numpy(dtype=float)
    bikes = bikes.drop(columns=["instant", "dteday", "casual", "registered"])
    found.append(Problem("bike_sharing", bikes, rented, classification=False))
    taxi = pd.read_parquet(min((data / "nyc_green_taxi").glob("*.parquet")))
    start, end = taxi.pop("lpep_pickup_datetime"), taxi.pop("lpep_dropoff_datetime")
    taxi = (
        taxi.assign(minutes=(end - start).dt.total_seconds() / 60)
        .query("0 < minutes < 120")
        .sample(ROWS, random_state=0)
    )
    minutes = np.log(taxi.pop("minutes").to_numpy(dtype=float))
    taxi = taxi.select_dtypes("number").drop(columns="ehail_fee", errors="ignore")
    found.append(Problem("nyc_green_taxi", taxi, minutes, classification=False))
    return found


def compare(name: str) -> list[Figure]:
    """Run every seed of every search on one problem."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    problem = next(one for one in problems() if one.name == name)
    found: list[tuple[str, int, Search]] = []
    pool = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(max(SEEDS.values())):
            drawn = RandomStrategy(trials=TRIALS).propose(problem.candidates, seed, History())
            pool += [problem.tried(point) for point in drawn]
            for kind, search in SEARCHES.items():
                if seed < SEEDS[kind]:
                    found.append((kind, seed, search(problem, seed)))
                    print(name, *found[-1], file=sys.stderr, flush=True)
    figures = []
    for kind, seed, one in found:
        draws = found_by_draws(pool, one.seconds)
        beaten = np.mean((draws < one.best) + (draws == one.best) / 2)
        figures.append(Figure(name, kind, seed, one.seconds, one.best, float(np.median(draws)), float(beaten)))
    return figures


def median(figures: Sequence[Figure], side: Literal["seconds", "score", "draws"]) -> float:
    """The median over the seeds."""
    return statistics.median(getattr(one, side) for one in figures)


def in_words(figures: Sequence[Figure]) -> str:
    """The result of one search on one problem."""
    beaten = statistics.mean(one.beaten for one in figures)
    return (
        f"{figures[0].search} {median(figures, 'score'):.5f} in {median(figures, 'seconds'):.0f} s "
        f"(draws {median(figures, 'draws'):.5f}; above {100 * beaten:.0f} % of them)"
    )


def measure(root: Path) -> Row:
    """Run all problems, each in its own process; all figures are written to ``search.json``."""
    names = [problem.name for problem in problems()]
    with multiprocessing.get_context("spawn").Pool(CORES, maxtasksperchild=1) as pool:
        figures = [one for found in pool.map(compare, names, chunksize=1) for one in found]
    root.mkdir(parents=True, exist_ok=True)
    (root / "search.json").write_text(json.dumps([one._asdict() for one in figures], indent=1))
    by = {
        (n, kind): [one for one in figures if (one.problem, one.search) == (n, kind)]
        for n in names
        for kind in SEARCHES
    }
    beaten = sum(median(by[n, kind], "score") > median(by[n, kind], "draws") for n in names for kind in OURS)
    return Row(
        name="search",
        value=beaten,
        unit=f"of {len(OURS) * len(names)}: {' and '.join(OURS)}, on each of {len(names)} tables",
        against=f"as many CPU seconds of draws: the median over {SEEDS['tpe']} or more seeds of the best mean score is greater",
        limit=len(OURS) * len(names),
        better="higher",
        ok=beaten == len(OURS) * len(names),
        how=f"{TRIALS} trials, medians: "
        + "; ".join(f"{n}: " + ", ".join(in_words(by[n, kind]) for kind in SEARCHES) for n in names),
    )
