"""How good a search is for the CPU time it takes: our strategies, scikit-learn's halving and plain Optuna, beside draws.

A problem is a table with folds and held-out rows, and candidates whose scores differ over their ranges. Every score comes
from a real fit of the sweep's Evaluator on one thread, and whoever asks for it pays the CPU seconds that it took; of a
seed's searches the second that asks for the same fit looks it up. scikit-learn's halving fits by itself.
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
from sklearn.model_selection import HalvingRandomSearchCV, KFold, train_test_split
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from bench.rows import CORES, Row
from contender.documents import Trial
from contender.sweep.model import build_model
from contender.sweep.scoring import score
from contender.sweep.space import CandidateSpec, Choice, IntUniform, LogUniform, Uniform, at_share, distributions
from contender.sweep.strategies import MAX_TRIALS, HalvingStrategy, History, Point, RandomStrategy, TpeStrategy, Tried
from contender.sweep.trial import Evaluator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SEEDS, TRIALS, ROWS, FOLDS = 10, 60, 4_000, 5
FEW_SEEDS = 1  # of the search that does its own fits
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


@dataclass
class Problem:
    """A table to be searched on, with what its fits have shown and cost so far.

    Attributes:
        known: mean score (None: it failed) and CPU seconds, by point and share.
    """

    name: str
    features: pd.DataFrame
    target: np.ndarray
    classification: bool
    known: dict[tuple[bytes, float], tuple[float | None, float]] = field(default_factory=dict)
    held_out_known: dict[bytes, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = np.arange(len(self.target))
        self.sweep, self.held_out = train_test_split(rows, test_size=0.3, random_state=0)
        self.metric = "neg_log_loss" if self.classification else "r2"
        forms = CLASSIFIERS if self.classification else REGRESSORS
        self.candidates = [CandidateSpec.model_validate_json(json.dumps(form)) for form in forms]
        self.folds = KFold(FOLDS, shuffle=True, random_state=0)
        features, target = self.features.iloc[self.sweep], self.target[self.sweep]
        folds = list(self.folds.split(features))
        self.evaluator = Evaluator(features, target, folds, self.metric, self.classification)

    def tried(self, point: Point) -> tuple[float | None, float]:
        """The mean score of a point at its share, greater is better, and the CPU seconds that it costs."""
        if (point.key, point.share) not in self.known:
            candidate = self.candidates[point.candidate]
            params, folds, share = at_share(candidate, point.params, point.share, FOLDS)
            trial = Trial(key="", estimator=candidate.path, params=params, seed=0, folds=folds, share=share)
            result = self.evaluator.run(trial)
            self.known[point.key, point.share] = (result.mean, result.cpu_seconds)
        return self.known[point.key, point.share]

    def held_out_score(self, point: Point) -> float:
        """The score, on rows that the search has not seen, of the point's model fitted on all that it has."""
        if point.key not in self.held_out_known:
            model = build_model(self.candidates[point.candidate].path, point.params, 0)
            model.fit(self.features.iloc[self.sweep], self.target[self.sweep])
            unseen, truth = self.features.iloc[self.held_out], self.target[self.held_out]
            self.held_out_known[point.key] = score(self.metric, model, unseen, truth)
        return self.held_out_known[point.key]


class Figure(NamedTuple):
    """What a search cost in CPU seconds, and the score of its choice beside that of the best draw at this cost:
    cross-validated, and on held-out rows.
    """

    problem: str
    search: str
    seed: int
    seconds: float
    score: tuple[float, float]
    held_out: tuple[float, float]


@dataclass
class Search:
    """What a search has found at a cost: the best whole trial after so many CPU seconds, each time it got better."""

    seconds: float = 0.0
    best: list[tuple[float, float, Point]] = field(default_factory=list)

    def add(self, point: Point, value: float | None, seconds: float) -> None:
        """One more trial."""
        self.seconds += seconds
        if value is not None and point.share == 1 and (not self.best or value > self.best[-1][1]):
            self.best.append((self.seconds, value, point))

    def at(self, seconds: float) -> tuple[float, Point]:
        """The best value that was known after so many CPU seconds (at least the first), and its point."""
        known = [
            (value, point) for number, (spent, value, point) in enumerate(self.best) if spent <= seconds or not number
        ]
        return known[-1]


def ours(problem: Problem, strategy: Any, seed: int) -> Search:
    """A strategy of ours, round by round; the time to propose counts."""
    found, history = Search(), History()
    for _ in range(strategy.rounds):
        began = time.process_time()
        points = strategy.propose(problem.candidates, seed, history)
        found.seconds += time.process_time() - began
        done = []
        for number in np.random.default_rng(seed).permutation(len(points)):  # proposed candidate by candidate
            value, seconds = problem.tried(points[number])
            found.add(points[number], value, seconds)
            done.append(Tried(point=points[number], value=value))
        history = History(rounds=(*history.rounds, tuple(done)))
    return found


def plain_optuna(problem: Problem, seed: int) -> Search:
    """Optuna's TPE as it comes, one trial after the other."""
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
        value, seconds = problem.tried(point)
        found.add(point, value, seconds)
        return math.nan if value is None else value

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=TRIALS)
    return found


def sklearn_halving(problem: Problem, seed: int) -> Search:
    """scikit-learn's HalvingRandomSearchCV with as many draws, the same factor and as many rounds."""
    models = [build_model(candidate.path, {}, 0) for candidate in problem.candidates]
    spaces = []
    for candidate, model in zip(problem.candidates, models, strict=True):
        inside = "estimator__" if isinstance(model[-1], CalibratedClassifierCV) else ""
        drawn = distributions(candidate.params)
        spaces.append(
            {"model": [model]} | {f"model__{model.steps[-1][0]}__{inside}{name}": drawn[name] for name in drawn}
        )
    search = HalvingRandomSearchCV(
        Pipeline([("model", models[0])]), spaces, n_candidates=TRIALS, factor=3, min_resources=len(problem.sweep) // 9,
        scoring=problem.metric, cv=problem.folds, refit=False, random_state=seed,
    )  # fmt: skip
    began = time.process_time()
    search.fit(problem.features.iloc[problem.sweep], problem.target[problem.sweep])
    seconds = time.process_time() - began
    number = next(n for n, model in enumerate(models) if type(model[-1]) is type(search.best_params_["model"][-1]))
    chosen = {name.rpartition("__")[2]: value for name, value in search.best_params_.items() if name != "model"}
    point, found = Point(candidate=number, params=chosen), Search()
    found.add(point, problem.tried(point)[0], seconds)
    return found


OURS = ("halving", "tpe")
SEARCHES: dict[str, Callable[[Problem, int], Search]] = {
    "halving": lambda problem, seed: ours(problem, HalvingStrategy(kind="halving", trials=TRIALS), seed),
    "tpe": lambda problem, seed: ours(problem, TpeStrategy(kind="tpe", trials=TRIALS), seed),
    "Optuna": plain_optuna,
    "scikit-learn halving": sklearn_halving,
}


def problems() -> list[Problem]:
    """scikit-learn's own tables; with real ones in the folder ``CONTENDER_DATA`` these in the place of the made-up ones."""
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
    """Every seed of every search on one problem, in a process of its own."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    problem = next(one for one in problems() if one.name == name)
    figures = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(SEEDS):
            kinds = [kind for kind in SEARCHES if kind != "scikit-learn halving" or seed < FEW_SEEDS]
            found = {kind: SEARCHES[kind](problem, seed) for kind in kinds}
            drawn, trials = Search(), TRIALS
            while drawn.seconds < max(search.seconds for search in found.values()) and trials <= MAX_TRIALS:
                drawn = ours(problem, RandomStrategy(trials=trials), seed)
                trials += TRIALS
            for kind, search in found.items():
                (value, point), (other, draw) = search.at(search.seconds), drawn.at(search.seconds)
                held_out = (problem.held_out_score(point), problem.held_out_score(draw))
                figures.append(Figure(name, kind, seed, search.seconds, (value, other), held_out))
                print(*figures[-1], file=sys.stderr, flush=True)
    return figures


def median(figures: Sequence[Figure], side: Literal[0, 1]) -> float:
    """Over the seeds, of the search's scores or of the draws'."""
    return statistics.median(one.score[side] for one in figures)


def in_words(figures: Sequence[Figure]) -> str:
    """How one search did on one problem."""
    seconds = statistics.median(one.seconds for one in figures)
    better, same, held_out = (
        sum(map(of, figures))
        for of in (
            lambda one: one.score[0] > one.score[1],
            lambda one: one.score[0] == one.score[1],
            lambda one: one.held_out[0] > one.held_out[1],
        )
    )
    return (
        f"{figures[0].search} {median(figures, 0):.5f} in {seconds:.0f} s (draws {median(figures, 1):.5f}; better in {better}, equal in {same} of "
        f"{len(figures)} seeds, better held out in {held_out})"
    )


def measure(root: Path) -> Row:
    """All problems side by side; every figure is left in ``search.json``."""
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
    beaten = sum(median(by[n, kind], 0) > median(by[n, kind], 1) for n in names for kind in OURS)
    return Row(
        name="search",
        value=beaten,
        unit=f"of {len(OURS) * len(names)}: {' and '.join(OURS)}, on each of {len(names)} tables",
        against=f"as many CPU seconds of draws: the median over {SEEDS} seeds of the best mean score is greater",
        limit=len(OURS) * len(names),
        better="higher",
        ok=beaten == len(OURS) * len(names),
        how=f"{TRIALS} trials, medians: "
        + "; ".join(f"{n}: " + ", ".join(in_words(by[n, kind]) for kind in SEARCHES) for n in names),
    )
