"""The contest: every contestant scored on the gate rows, and the comparisons that the gates ask for.

Candidate and baselines are recipes, fitted anew at each step of the walk over the gate (``judge.walk``); the champion is the
model that serves, scored only on rows that it was not trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from contender.data.rows import as_features
from contender.data.split import returning, was_held_out
from contender.documents.release import Release
from contender.documents.scoreboard import Comparison, Contestant, Opponent, Scoreboard, Scorecard, WalkStep
from contender.errors import DataRejected
from contender.judge.comparing import compared, measured, metrics_of
from contender.judge.gates import NO_CHAMPION, Gate, GateEvidence
from contender.judge.walk import Step, steps
from contender.metrics.predictions import Predictions
from contender.telling import raised
from contender.words import percent, score

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from contender.data.rows import Rows
    from contender.documents.release import Recipe


# The way out where the champion can never be scored again; see ``judge.overrides``.
OVERRIDE = "contender override {name} --reason WHY --by APPROVER --expires DATE, then start a new run"


@dataclass(frozen=True)
class Champion:
    """A model that serves or served, as it enters the contest: with the title, or as the last that took it on evidence."""

    version: str
    release: Release
    model: Any

    @classmethod
    def unreleased(cls, version: str, rows: Rows, recipe: Recipe, model: Any) -> Champion:
        """A model that would have been released by the run of these rows, for a contest that nobody acts on."""
        run = rows.run
        release = Release(
            pipeline=run.pipeline,
            run_id=run.id,
            as_of=run.as_of,
            recipe=recipe,
            code=run.code,
            model="",
            features=rows.columns,
            labels=rows.labels,
            files={},
            golden="",
        )
        return cls(version, release, model)


@dataclass(frozen=True)
class Entrant:
    """A recipe in the contest: it is fitted anew at each step of the walk.

    Attributes:
        label: the estimator, as shown to people.
        fit: from features and target to a fitted model.
    """

    label: str
    fit: Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Contest:
    """The scoreboard and what it was computed from, on n gate rows.

    Attributes:
        target: shape (n,); predictions: shape (n, ...) each.
        fresh: which rows the champion was not trained on, shape (n,); all False without a champion that can predict.
        model: the candidate as it was fitted for the newest gate rows.
        champion_trained: the moment before which the rows lie that the champion was trained on, where time decides.
    """

    board: Scoreboard
    target: np.ndarray
    predictions: dict[Contestant, Predictions]
    fresh: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    model: Any = None
    champion_trained: datetime | None = None


def hold_contest(
    rows: Rows,
    entrants: dict[Contestant, Entrant],
    champion: Champion | None,
    why_none: str = NO_CHAMPION,
    *,
    proven: Champion | None = None,
) -> Contest:
    """Score every contestant and compare the candidate with each opponent that a gate asks about.

    Args:
        entrants: the candidate always, baseline and trivial if they take part.
        champion: scored only on gate rows that are newer than, or were held out from, what it was trained on.
        why_none: why there is no champion to score.
        proven: the last champion that took the title on evidence, unless it serves; scored on rows new to both.

    Raises:
        DataRejected: the candidate cannot be fitted, or its predictions cannot be scored.
    """
    spec = rows.run.spec
    gate = rows.split.gate
    target, groups = rows.target[gate], rows.groups[gate]
    trained = None if champion is None else champion.release.recipe.trained_on
    walk = steps(rows, trained)
    predictions, absent, model = _walked(rows, walk, entrants)
    new: dict[Contestant, np.ndarray] = dict.fromkeys(predictions, np.ones(len(gate), dtype=bool))  # rows that judge
    served: dict[Contestant, Champion | None] = {"champion": champion, "proven": proven}
    absent |= _serving(rows, served, predictions, new)
    if champion is None:
        absent["champion"] = why_none
    fresh = new.get("champion", np.zeros(len(gate), dtype=bool))
    uncompared: dict[Opponent, dict[str, str]] = {}
    metrics = metrics_of(spec)
    known = _returning(rows, walk)
    cards, comparisons = [], []
    for name, predicted in predictions.items():
        judged, serving = new[name], served.get(name)
        scored = measured(predicted, metrics, target, judged, groups)
        cards.append(
            Scorecard(
                **dict(scored),
                contestant=name,
                estimator=entrants[name].label if serving is None else serving.release.recipe.label,
                version=None if serving is None else serving.version,
                new_entities=None if known is None else measured(predicted, metrics, target, judged & ~known, groups),
            )
        )
        if name != "candidate":
            met, why = compared(rows, name, predictions["candidate"], predicted, judged)
            comparisons += met
            if why:
                uncompared[name] = why
                absent[name] = next(iter(why.values()))
    board = Scoreboard(
        metric=spec.sweep.metric,
        cards=tuple(cards),
        comparisons=tuple(comparisons),
        of_champion=_of_champion(rows, predictions, fresh),
        absent=absent,
        uncompared=uncompared,
        returning=None if known is None else float(known.mean()),
        walk=tuple(WalkStep(through=one.through, trained=len(one.train), judged=len(one.judge)) for one in walk),
    )
    return Contest(board, target, predictions, fresh, model, None if trained is None else trained.through)


def _serving(
    rows: Rows,
    served: dict[Contestant, Champion | None],
    predictions: dict[Contestant, Predictions],
    new: dict[Contestant, np.ndarray],
) -> dict[Opponent, str]:
    """Add what champion and proven predict, and the rows that are new to each and those before; why one has none."""
    absent: dict[Opponent, str] = {}
    unseen = np.ones(len(rows.split.gate), dtype=bool)
    for name, one in served.items():
        if one is None:
            break
        try:
            predictions[name] = champion_predictions(one, rows)
        except MemoryError:  # the machine's: a retry may help
            raise
        except Exception as error:  # noqa: BLE001 - an old model may raise anything on new data; it is then absent
            absent["champion" if name == "champion" else "proven"] = _cannot_predict(rows.run.spec.name, one, error)
            break
        trained = one.release.recipe.trained_on
        unseen = new[name] = unseen & was_held_out(rows.frame.iloc[rows.split.gate], trained)
    return absent


def _of_champion(rows: Rows, predictions: dict[Contestant, Predictions], fresh: np.ndarray) -> tuple[Comparison, ...]:
    """The champion compared with what the gates compare the candidate with, on the rows that are new to it."""
    found: list[Comparison] = []
    others: tuple[Opponent, ...] = ("baseline", "trivial")
    for other in others:
        if "champion" in predictions and other in predictions:
            found += compared(rows, other, predictions["champion"], predictions[other], fresh)[0]
    return tuple(found)


def _walked(
    rows: Rows, walk: tuple[Step, ...], entrants: dict[Contestant, Entrant]
) -> tuple[dict[Contestant, Predictions], dict[Opponent, str], Any]:
    """Every entrant's predictions on the gate rows, why one has none, and the candidate's newest model."""
    found: dict[Contestant, Predictions] = {}
    absent: dict[Opponent, str] = {}
    model: Any = None
    for name, entrant in entrants.items():
        # A constant that moved from step to step would rank the rows.
        taken = walk if name != "trivial" else (Step(walk[0].train, np.arange(len(rows.split.gate)), walk[0].through),)
        try:
            found[name], last = _walk_of(rows, taken, entrant)
        except MemoryError:  # the machine's: a retry may help
            raise
        except Exception as error:  # noqa: BLE001 - a model may raise anything on rows that it has not seen
            if name == "candidate":
                msg = f"the candidate {entrant.label} cannot be judged: {raised(error)}"
                raise DataRejected(msg) from None
            absent[name] = f"{entrant.label} cannot be judged: {raised(error)}"
            continue
        model = last if name == "candidate" else model
    return found, absent, model


def _walk_of(rows: Rows, walk: tuple[Step, ...], entrant: Entrant) -> tuple[Predictions, Any]:
    """An entrant's predictions on the gate rows, each by the model of its step, and the newest of these models."""
    classes = rows.run.spec.data.classification
    gate, model, said = rows.split.gate, None, []
    for step in walk:
        model = entrant.fit(rows.features.iloc[step.train], rows.target[step.train])
        said.append((step.judge, Predictions.of(model, rows.features.iloc[gate[step.judge]], classification=classes)))
    return Predictions.joined(said), model


def _returning(rows: Rows, walk: tuple[Step, ...]) -> np.ndarray | None:
    """Which gate rows are about an id that their step's model was trained on; shape (n,). None without an id."""
    known = np.zeros(len(rows.split.gate), dtype=bool)
    for step in walk:
        found = returning(rows.run, rows.frame, step.train, rows.split.gate[step.judge])
        if found is None:
            return None
        known[step.judge] = found
    return known


def _cannot_predict(pipeline: str, champion: Champion, error: Exception) -> str:
    why = raised(error).removeprefix("DataRejected: ")  # ours is a sentence by itself
    return (
        f"version {champion.version} cannot predict on today's data: {why}; mend the data, or give "
        f"the title to a version that can (contender rollback {pipeline} --to VERSION, or contender adopt "
        f"{pipeline} --version VERSION), or, when it shall be replaced without being compared: "
        f"{OVERRIDE.format(name=pipeline)}"
    )


def champion_predictions(champion: Champion, rows: Rows) -> Predictions:
    """The champion's predictions on the gate rows.

    Raises:
        DataRejected: it was trained for another target, or its columns are missing.
    """
    release = champion.release
    if release.labels != rows.labels:
        msg = f"it was made to tell {release.labels} apart, today's target takes {rows.labels}"
        raise DataRejected(msg)
    features = as_features(rows.frame, release.features).iloc[rows.split.gate]
    return Predictions.of(champion.model, features, classification=release.labels is not None)


def with_gate_answers(contest: Contest, rows: Rows) -> Contest:
    """The contest, its board completed with the answers that gates measure themselves (``Gate.measure``).

    Raises:
        ConfigError: a gate could not be measured, located; it never passes silently.
    """
    answers = {}
    for number, gate in enumerate(rows.run.spec.gates):
        if type(gate).measure is Gate.measure:  # it asks the board alone, and the evidence is a copy of all gate rows
            continue
        answer = gate.measure(_evidence(contest, rows), f"gates.{number}")
        if answer is not None:
            answers[gate.key] = answer
    return replace(contest, board=contest.board.model_copy(update={"answers": answers})) if answers else contest


def with_absent(contest: Contest, opponent: Opponent, why: str) -> Contest:
    """The contest, its board completed with why an opponent is not there."""
    return replace(contest, board=contest.board.model_copy(update={"absent": {**contest.board.absent, opponent: why}}))


def with_overrides(contest: Contest, overridden: dict[str, str]) -> Contest:
    """The contest, its board completed with the gates that an override settles (see ``judge.overrides``)."""
    return replace(contest, board=contest.board.model_copy(update={"overridden": overridden}))


def knows_nothing(contest: Contest, rows: Rows) -> str | None:
    """Why nothing shows that a classifier knows anything: its ROC AUC cannot be told from guessing. None when it can."""
    if rows.labels is None or "trivial" not in contest.predictions:
        return None
    everywhere = np.ones(len(contest.target), dtype=bool)
    candidate, trivial = contest.predictions["candidate"], contest.predictions["trivial"]
    met, why = compared(rows, "trivial", candidate, trivial, everywhere, ["roc_auc"])
    if why:
        return f"nothing shows that it knows anything: {why['roc_auc']}"
    if met[0].low > 0:
        return None
    return (
        f"it cannot be told from guessing: its ROC AUC is {score(met[0].candidate)} on {met[0].rows:,} rows "
        f"({percent(met[0].confidence)} interval {score(0.5 + met[0].low)} to {score(0.5 + met[0].high)})"
    )


def _evidence(contest: Contest, rows: Rows) -> GateEvidence:
    champion = contest.predictions.get("champion")
    fresh = contest.fresh.copy()  # as all below: the user's code may overwrite what it gets
    return GateEvidence(
        board=contest.board,
        rows=rows.frame.iloc[rows.split.gate].reset_index(drop=True),
        target=contest.target.copy(),
        candidate=_as_vector(contest.predictions["candidate"]),
        fresh=fresh,
        champion=None if champion is None or not fresh.any() else _as_vector(champion)[fresh],
        model=contest.model,
    )


def _as_vector(predictions: Predictions) -> np.ndarray:
    """A copy of the probability of the positive class, or of the predicted numbers; shape (n,)."""
    values = predictions.values
    return (values[:, 1] if values.ndim == 2 else values).copy()
