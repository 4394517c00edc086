"""The challenger: which recipe goes on asking for the title, and what a run adds to what was seen of it.

An undecided candidate stays the challenger: its recipe is fitted anew each week and meets the rows that are new since the
last look, and what all looks say together is judged (``stats.spending``). Where time does not order the rows, the same
rows judge every week, so nothing adds up and there is no challenger.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from contender.canonical import content_key
from contender.documents.challenger import Challenger, Charge, Former, Look
from contender.judge.looking import look_at
from contender.stats.budget import error_for, used
from contender.store.runs import decisions_before
from contender.sweep.results import best

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from contender.data.rows import Rows
    from contender.documents.run import Run
    from contender.documents.scoreboard import Scoreboard
    from contender.documents.sweep import Trial, TrialResult
    from contender.judge.contest import Contest
    from contender.spec.pipeline import PipelineSpec
    from contender.store.base import ArtifactStore
    from contender.store.ledger import Ledger

_YEAR, _DAY = timedelta(days=365), timedelta(days=1)
_MOST_LOOKS = 52  # in a patience
_CONFIDENCE = 0.95  # that this week's winner is better than the challenger, by which it takes its place


@dataclass(frozen=True)
class Previous:
    """What the run before left: the challenger that goes on, if one does, and what those that ended have used up.

    Attributes:
        champion: the number of the ledger entry of the champion that is challenged; None without one.
        former: what was seen of the champion before, beside one that may have been replaced since.
    """

    champion: int | None = None
    challenger: Challenger | None = None
    charged: tuple[Charge, ...] = ()
    former: Former | None = None


def previous(run: Run, store: ArtifactStore, ledger: Ledger) -> Previous:
    """The challenger that goes on: undecided in the last decision, against today's champion, on the same terms."""
    entry = ledger.champion()
    champion = None if entry is None else entry.number
    last = next((one for one in decisions_before(run, store, ledger) if not one.same_model), None)
    if last is None:
        return Previous(champion)
    return left_by(last.board, run.spec, champion, undecided=last.outcome == "undecided")


def left_by(board: Scoreboard, spec: PipelineSpec, champion: int | None, *, undecided: bool) -> Previous:
    """What a decision on this board leaves to the next run.

    Args:
        champion: the number of the ledger entry of the champion whom the next run finds.
        undecided: whether it was; else its challenger has ended.
    """
    found, charged = board.challenger, board.charged
    if found is None or (undecided and (found.champion, found.terms) == (champion, _terms(spec))):
        return Previous(champion, found, charged, board.former)
    return Previous(champion, None, _with_charge(charged, found), board.former)


def nominated(results: Iterable[TrialResult], winner: TrialResult, challenger: Challenger | None) -> TrialResult:
    """The trial whose recipe is the candidate: the challenger's, unless the sweep's winner is clearly better in the folds.

    It is not in the results when the sweep dropped it or the YAML no longer has it.
    """
    if challenger is None:
        return winner
    key = _recipe(challenger.trial)
    mine = best(one for one in results if _recipe(one.trial) == key)
    return winner if mine is None or _clearly_better(winner, mine) else mine


def with_looks(contest: Contest, rows: Rows, trial: Trial, before: Previous) -> Contest:
    """The contest, its board completed with the challenger that the candidate is, and with what this run saw of it."""
    going, charged = asking(rows.run.spec, rows.run.as_of, trial, before)
    if going is not None:
        look: Look | str = contest.board.absent.get("champion", "")
        if "champion" in contest.predictions:
            ours, theirs = contest.predictions["candidate"], contest.predictions["champion"]
            metrics = sorted(_metrics(rows.run.spec))
            look = look_at(
                contest,
                rows,
                ours,
                theirs,
                opponent="champion",
                new=contest.fresh,
                metrics=metrics,
                looks=going.looks,
                apart=_DAY if going.patience is None else going.patience / _MOST_LOOKS,
            )
        going = going.model_copy(update={"unseen": look}) if isinstance(look, str) else looked(going, look)
    board = contest.board.model_copy(update={"challenger": going, "charged": charged})
    return replace(contest, board=board)


def asking(
    spec: PipelineSpec, as_of: datetime, trial: Trial, before: Previous
) -> tuple[Challenger | None, tuple[Charge, ...]]:
    """The challenger as which this trial's recipe asks, the one that goes on or a new one, and what is charged by now.

    It is None without a champion, without a gate that asks for evidence against it, and where time does not order the rows.
    """
    known, charged = before.challenger, before.charged
    asked = before.champion is not None and spec.data.time is not None and bool(_metrics(spec))
    going = known if asked and known is not None and _recipe(known.trial) == _recipe(trial) else None
    if known is not None and going is None:
        charged = _with_charge(charged, known)
    charged = tuple(one for one in charged if one.through > as_of - _YEAR)
    if going is not None:
        return going.model_copy(update={"trial": trial}), charged
    if not asked or before.champion is None:
        return None, charged
    new = Challenger(
        trial=trial,
        champion=before.champion,
        terms=_terms(spec),
        error=error_for(spec.challenger.false_promotions_per_year, sum(one.error for one in charged)),
        patience=spec.challenger.patience,
    )
    return new, charged


def looked(challenger: Challenger, look: Look) -> Challenger:
    """The challenger after one look more."""
    return challenger.model_copy(update={"unseen": "", "looks": (*challenger.looks, look)})


def _metrics(spec: PipelineSpec) -> set[str]:
    """What a look must hold."""
    return {metric or spec.sweep.metric for gate in spec.gates for metric in gate.adds_up}


def _with_charge(charged: tuple[Charge, ...], ended: Challenger) -> tuple[Charge, ...]:
    if not ended.looks:
        return charged
    share = None if ended.patience is None else ended.share
    return (*charged, Charge(through=ended.looks[-1].through, error=used(ended.error, share)))


def _terms(spec: PipelineSpec) -> str:
    """What is asked, of which rows: a challenger that is asked something else begins anew."""
    asked = spec.model_dump(mode="json", include={"data", "split", "gates", "refit", "challenger"})
    return content_key([asked, spec.sweep.metric])


def _recipe(trial: Trial) -> str:
    """The identity of a trial's recipe, whatever the rows."""
    return content_key([trial.estimator, trial.pipeline, trial.params, trial.own])


def _clearly_better(one: TrialResult, other: TrialResult) -> bool:
    """Whether a trial is better in the folds by more than chance, which training rows in common make larger than it seems.

    The corrected resampled t-test of Nadeau and Bengio (Inference for the generalization error, Machine Learning 2003).
    """
    from scipy.stats import t as student

    if len(one.scores) != len(other.scores) or one.trial.key == other.trial.key:
        return one.trial.key != other.trial.key
    gains = np.array(one.scores) - np.array(other.scores)
    folds = len(gains)
    error = gains.std(ddof=1) * (1 / folds + 1 / (folds - 1)) ** 0.5
    return bool(gains.mean() > student.ppf(_CONFIDENCE, folds - 1) * error)
