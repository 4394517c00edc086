"""The challenge: who is the candidate, who are its opponents, and what the gates say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contender.canonical import content_key
from contender.data.split import trained_on
from contender.documents import Adopted, Decision, Quarantine, Recipe, Run, Snapshot, TrialResult
from contender.errors import DataRejected
from contender.judge.contest import Champion, Contest, hold_contest
from contender.judge.custom import with_answers
from contender.judge.decide import ask_all, outcome, sentence
from contender.judge.scorecard import Contestant, Verdict
from contender.release import load_release, read_release
from contender.store.base import require_document
from contender.store.ledger import Ledger, LedgerEntry
from contender.sweep.model import build_model
from contender.sweep.planning import check_same_code
from contender.sweep.results import best

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contender.backends import Backends
    from contender.data.rows import Rows
    from contender.documents import Trial
    from contender.store.base import ArtifactStore


@dataclass(frozen=True)
class Judged:
    """A decision with what it rests on."""

    decision: Decision
    contest: Contest
    candidate: Any

    def refit(self, features: Any, target: Any) -> Any:
        """The same recipe fitted on these rows."""
        return _fit(self.decision.recipe.trial, features, target)


def recipe_of(
    run: Run, store: ArtifactStore, rows: Rows, results: Sequence[TrialResult], rungs: Sequence[TrialResult] = ()
) -> Recipe:
    """The winner's recipe. The baseline is there to be beaten: it wins only when nothing else was tried.

    Args:
        rungs: those that were only trained in part; they cannot win, but they were tried.

    Raises:
        DataRejected: no trial that could win completed.
    """
    challengers = [result for result in (*rungs, *results) if not result.trial.baseline]
    winner = best(results, baseline=False if challengers else None)
    if winner is None:
        reasons = sorted({result.error for result in challengers if result.error})[:5]
        why = "; ".join(reasons) or "the budget ended before the others; raise sweep.budget"
        raise DataRejected(f"sweep: no trial but the baseline's completed: {why}")
    parts: dict[str, Any] = {
        "trial": winner.trial,
        "snapshot": require_document(store, run.key("snapshot.json"), Snapshot).id,
        "quarantine": require_document(store, run.key("quarantine.json"), Quarantine).id,
        "rows": run.spec.refit_rows,
        "trained_on": trained_on(run, rows.frame),
    }
    recipe = Recipe(key="", **parts)
    return recipe.model_copy(update={"key": content_key(recipe.model_dump(mode="json", exclude={"key"}))})


def same_model(run: Run, backends: Backends, recipe: Recipe, champion: LedgerEntry | None) -> Decision | None:
    """The decision when this very model was decided on before: it serves, or people took the title from it."""
    entries = Ledger(backends.store, run.pipeline).entries()
    for entry in reversed(entries):
        if entry.kind != "promotion" or entry.run_id is None:
            continue
        release = read_release(backends, run.pipeline, entry.run_id)
        if isinstance(release.recipe, Adopted) or release.recipe.key != recipe.key:
            continue
        serving = champion is not None and champion.version == entry.version
        if serving:
            why = f"version {entry.version} was made by this recipe (same rows, parameters, seed and code)"
        else:
            taken = next(e for e in entries if e.number > entry.number and e.kind != "keep")
            why = (
                f"version {entry.version} was made by this recipe and lost the title on {taken.at:%Y-%m-%d} "
                f"({taken.kind}: {taken.reason})"
            )
        before = require_document(backends.store, f"{run.pipeline}/runs/{entry.run_id}/decision.json", Decision)
        verdicts = tuple(Verdict(gate=g.label, status="not_applicable", reason="same model") for g in run.spec.gates)
        return Decision(
            run_id=run.id,
            outcome="keep",
            sentence=f"keep ({'same model' if serving else 'same model as before'}): {why}",
            evaluation_only=_evaluation_only(run, champion) is not None,
            same_model=True,
            recipe=recipe,
            verdicts=verdicts,
            board=before.board,
            champion=None if champion is None else champion.number,
        )
    return None


def judge(
    run: Run, backends: Backends, rows: Rows, results: list[TrialResult], recipe: Recipe, entry: LedgerEntry | None
) -> Judged:
    """Fit candidate and baselines on the sweep rows, score everyone on the gate rows, ask every gate, decide.

    Raises:
        ConfigError: the user's own gate or metric raised something or gave no answer.
        Conflict: the code behind the candidate changed since its trial.
    """
    sweep = rows.split.sweep
    features, target = rows.features.iloc[sweep], rows.target[sweep]
    check_same_code(run, [result.trial for result in results])
    candidate = _fit(recipe.trial, features, target)
    contestants: dict[Contestant, tuple[str, Any]] = {"candidate": (recipe.trial.label, candidate)}
    reference = best(results, baseline=True)
    if reference is not None:
        fitted = candidate if reference.trial.key == recipe.trial.key else _fit(reference.trial, features, target)
        contestants["baseline"] = (reference.trial.label, fitted)
    contestants["trivial"] = ("always the same answer", _trivial(run, features, target))
    contest = with_answers(hold_contest(rows, contestants, _champion(backends, run, entry)), rows)
    verdicts = ask_all(run.spec.gates, contest.board)
    answer = outcome(verdicts)
    version = None if entry is None else entry.version
    words = sentence(answer, verdicts, candidate=recipe.trial.label, champion=version)
    only = _evaluation_only(run, entry)
    if only is not None:
        words = f"keep: evaluation only ({only}); the gates say {words}"
    decision = Decision(
        run_id=run.id,
        outcome="keep" if only is not None else answer,
        sentence=words,
        evaluation_only=only is not None,
        recipe=recipe,
        verdicts=verdicts,
        board=contest.board,
        champion=None if entry is None else entry.number,
    )
    return Judged(decision, contest, candidate)


def _evaluation_only(run: Run, champion: LedgerEntry | None) -> str | None:
    """Why this run may not promote, if it may not: it was asked not to, or it looks at the past."""
    if not run.promote:
        return "promote: false"
    if champion is not None and champion.as_of is not None and run.as_of < champion.as_of:
        return f"as_of {run.as_of:%Y-%m-%d} is before the champion's {champion.as_of:%Y-%m-%d}"
    return None


def _champion(backends: Backends, run: Run, entry: LedgerEntry | None) -> Champion | None:
    if entry is None or entry.version is None or entry.run_id is None:
        return None
    release = read_release(backends, run.pipeline, entry.run_id)
    return Champion(entry.version, release, load_release(backends, release))


def _fit(trial: Trial, features: Any, target: Any) -> Any:
    return build_model(trial.estimator, trial.params, trial.seed, pipeline=trial.pipeline).fit(features, target)


def _trivial(run: Run, features: Any, target: Any) -> Any:
    from sklearn.dummy import DummyClassifier, DummyRegressor

    dummy = DummyClassifier(strategy="prior") if run.spec.data.classification else DummyRegressor(strategy="mean")
    return dummy.fit(features, target)
