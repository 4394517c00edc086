"""The challenge: names the candidate, fits it and its opponents, asks the gates, and decides.

It scores in ``contest`` and stores nothing: ``contender.pipeline`` writes the Decision and promotes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from contender.canonical import content_key
from contender.documents.decision import Decision
from contender.documents.release import Adopted, Recipe
from contender.documents.run import Run
from contender.documents.scoreboard import Contestant, Scoreboard, Verdict
from contender.documents.sweep import Trial, TrialResult
from contender.judge.challenger import Previous, nominated, with_looks
from contender.judge.contest import (
    Contest,
    Entrant,
    hold_contest,
    knows_nothing,
    with_absent,
    with_gate_answers,
    with_overrides,
)
from contender.judge.former import advice, with_former
from contender.judge.gates import BASELINE_STANDS
from contender.release.bundle import UnreadableRelease, read_release
from contender.store.ledger import Ledger, shown_version
from contender.store.runs import counted_run, inputs_of, standing_decision
from contender.sweep.model import build_model
from contender.sweep.planning import check_same_code
from contender.sweep.results import best, no_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contender.backends import Backends
    from contender.data.rows import Rows
    from contender.judge.gates import AnyGate
    from contender.judge.title import Title
    from contender.store.base import ArtifactStore

Answer = Literal["promote", "keep", "undecided"]
Fit = Callable[[Trial, Any, Any], Any]

_logger = logging.getLogger(__name__)
_NOTHING_ELSE = "no other gate asks anything of a first model, so add a threshold"
_NEXT = "Next: loosen that gate in the YAML if this is good enough, else give the model better features or more rows"


def fit_trial(trial: Trial, features: Any, target: Any) -> Any:
    """A trial's model, fitted."""
    return build_model(trial.estimator, trial.params, trial.seed, pipeline=trial.pipeline).fit(features, target)


@dataclass(frozen=True)
class ChallengeResult:
    """A decision, and the contest that it rests on; None where the model is known from an earlier run."""

    decision: Decision
    contest: Contest | None

    def served(self, rows: Rows) -> Any:
        """The model to promote: the recipe fitted on all rows or, with ``refit: train_rows``, the very one that was judged."""
        recipe = self.decision.recipe
        if recipe.rows == "train_rows" and self.contest is not None:
            return self.contest.model
        return fit_trial(recipe.trial, rows.features, rows.target)


def recipe_of(
    run: Run,
    store: ArtifactStore,
    rows: Rows,
    results: Sequence[TrialResult],
    rungs: Sequence[TrialResult] = (),
    previous: Previous = Previous(),  # noqa: B008 - frozen
) -> Recipe:
    """The recipe of the best trial; of the baseline's only when no other candidate was tried (but see ``decide``).

    A challenger that the best trial is not clearly better than goes on.

    Args:
        rungs: results of trials that were trained in part; they cannot win, but they count as tried.

    Raises:
        BackendError: no trial that could win completed, and the machine ended some.
        DataRejected: every one failed or was cut.
    """
    challengers = [result for result in (*rungs, *results) if not result.trial.baseline]
    winner = best(results, baseline=False if challengers else None)
    if winner is None:
        reasons = sorted({result.error for result in challengers if result.error})[:5]
        why = "; ".join(reasons) or "the budget ended before the others; raise sweep.budget"
        raise no_result(f"no trial but the baseline's completed: {why}", challengers)
    return _recipe(run, store, rows, nominated(results, winner, previous.challenger).trial)


def _recipe(run: Run, store: ArtifactStore, rows: Rows, trial: Trial) -> Recipe:
    inputs = inputs_of(run, store)
    parts: dict[str, Any] = {
        "trial": trial,
        "snapshot": inputs.snapshot.id,
        "quarantine": inputs.quarantine.id,
        "rows": run.spec.refit_rows,
        "trained_on": rows.trained_on,
    }
    recipe = Recipe(key="", **parts)
    return recipe.model_copy(update={"key": content_key(recipe.model_dump(mode="json", exclude={"key"}))})


def same_model(run: Run, backends: Backends, ledger: Ledger, recipe: Recipe) -> Decision | None:
    """Keep, without a contest, when this recipe was promoted before (it serves, or lost the title since). Else None.

    An earlier release that cannot be read is told in the log and passed over.
    """
    entries, champion = ledger.entries(), ledger.champion()
    for entry in reversed(entries):
        if entry.kind != "promotion" or entry.run_id is None:
            continue
        try:
            release = read_release(backends, run.pipeline, entry.run_id, expected=entry.release)
        except UnreadableRelease as error:
            _logger.warning("whether ledger entry %d was made by this recipe is unknown: %s", entry.number, error)
            continue
        if isinstance(release.recipe, Adopted) or release.recipe.key != recipe.key:
            continue
        serving = champion is not None and champion.release == entry.release
        version = shown_version(backends.store, entry)
        if serving:
            why = f"version {version} was made by this recipe (same rows, parameters, seed and code)"
        else:
            # A keep moves no title, so the first other entry after the promotion took it.
            taken = next(e for e in entries if e.number > entry.number and e.takes_title)
            why = (
                f"version {version} was made by this recipe and lost the title on {taken.at:%Y-%m-%d} "
                f"({taken.kind}: {taken.reason})"
            )
        kept = "No champion" if champion is None else f"Kept version {shown_version(backends.store, champion)}"
        promoted = counted_run(backends.store, run.pipeline, entry.run_id)
        before = None if promoted is None else standing_decision(promoted, backends.store)
        verdicts = tuple(Verdict(gate=g.label, status="not_applicable", reason="same model") for g in run.spec.gates)
        return Decision(
            run_id=run.id,
            outcome="keep",
            sentence=f"{kept} (same model{'' if serving else ' as before'}): {why}",
            evaluation_only=_evaluation_only_reason(run, None if champion is None else champion.as_of) is not None,
            same_model=True,
            recipe=recipe,
            verdicts=verdicts,
            board=Scoreboard(metric=run.spec.sweep.metric, cards=()) if before is None else before.decision.board,
            champion=None if champion is None else champion.number,
        )
    return None


def decide(
    run: Run,
    store: ArtifactStore,
    rows: Rows,
    results: Sequence[TrialResult],
    recipe: Recipe,
    title: Title,
    previous: Previous = Previous(),  # noqa: B008 - frozen
    *,
    known: Callable[[Recipe], Decision | None] = lambda _: None,
    fit: Fit = fit_trial,
) -> ChallengeResult:
    """Score every contestant on the gate rows, ask every gate, decide.

    A baseline that is not beaten is the better model to serve: then it is the candidate, of which every other gate is asked.
    Where a champion serves, a doubt does not change the candidate, or it would be another one every week.

    Args:
        title: who holds it; see ``judge.title``.
        known: the decision on a recipe that was promoted before, of which no contest is held.
        fit: fits a trial's model to features and target.

    Raises:
        ConfigError: the user's own gate or metric raised something or gave no answer.
        Conflict: the code behind the candidate changed since its trial.
        DataRejected: the candidate cannot be fitted or judged.
    """
    check_same_code(run, [result.trial for result in results])

    def held(candidate: Trial, baseline: Trial | None, unbeaten: str = "") -> tuple[Contest, tuple[Verdict, ...]]:
        entrants: dict[Contestant, Entrant] = {"candidate": Entrant(candidate.label, partial(fit, candidate))}
        if baseline is not None and baseline.key != candidate.key:
            entrants["baseline"] = Entrant(baseline.label, partial(fit, baseline))
        entrants["trivial"] = Entrant("always the same answer", partial(_fit_trivial, run))
        contest = hold_contest(rows, entrants, title.champion, title.why_none, proven=title.proven)
        if candidate.baseline:
            why = BASELINE_STANDS + unbeaten
            contest = with_absent(contest, "baseline", why if _ask_more(run.spec.gates) else f"{_NOTHING_ELSE}: {why}")
        contest = with_former(with_looks(contest, rows, candidate, previous), rows, title, previous.former)
        contest = with_overrides(with_gate_answers(contest, rows), title.overridden)
        return contest, ask_all(run.spec.gates, contest.board)

    simple = best(results, baseline=True)
    contest, verdicts = held(recipe.trial, None if simple is None else simple.trial)
    unbeaten = unbeaten_by(run.spec.gates, verdicts, contest.board, first=title.number is None)
    if simple is not None and unbeaten is not None:
        unbeaten = f", as {recipe.trial.label} is not shown better: {unbeaten}"
        recipe = _recipe(run, store, rows, simple.trial)
        before = known(recipe)
        if before is not None:
            return ChallengeResult(before, None)
        contest, verdicts = held(simple.trial, None, unbeaten)
    answer = answer_of(verdicts)
    doubt = knows_nothing(contest, rows) if title.number is None and answer == "promote" else None
    answer = "undecided" if doubt is not None else answer
    words = sentence(answer, verdicts, candidate=recipe.trial.label, champion=title.version)
    if doubt is not None:
        words = f"Undecided, no champion yet: every gate passed, but {doubt}. Next: give the model better features or more rows"
    advised = advice(contest.board, title.version) if answer != "promote" else None
    if advised is not None:
        words += f". {advised[0].upper()}{advised[1:]}"
    if unbeaten is not None:
        words += f" ({BASELINE_STANDS}{unbeaten})"
    barred = _evaluation_only_reason(run, title.as_of)
    if barred is not None:
        words = f"Evaluation only ({barred}); the gates say: {words}"
    decision = Decision(
        run_id=run.id,
        outcome="keep" if barred is not None else answer,
        sentence=words,
        evaluation_only=barred is not None,
        recipe=recipe,
        verdicts=verdicts,
        board=contest.board,
        champion=title.number,
        proved=shown_better(run.spec.gates, verdicts, contest.board),
    )
    return ChallengeResult(decision, contest)


def _evaluation_only_reason(run: Run, champion: datetime | None) -> str | None:
    """Why this run may not promote: it was asked not to, or it looks at the past. None when it may."""
    if not run.promote:
        return "promote: false"
    if champion is not None and run.as_of < champion:
        return f"as_of {run.as_of:%Y-%m-%d} is before the champion's {champion:%Y-%m-%d}"
    return None


def shown_better(gates: Sequence[AnyGate], verdicts: Sequence[Verdict], board: Scoreboard) -> bool | None:
    """Whether the candidate is shown better than the champion on a metric of its gates; None when they were not compared.

    By looks, too, of which the last alone may show nothing.
    """
    metrics = {metric or board.metric for gate in gates for who, metric in gate.opponents if who == "champion"}
    met = [board.comparison("champion", metric) for metric in sorted(metrics)]
    if not all(met) or not met:
        return None
    superior = any(
        gate.kind == "beats"
        and gate.policy == "superior"
        and gate.opponent == "champion"
        and verdict.status == "passed"
        for gate, verdict in zip(gates, verdicts, strict=True)
    )
    return superior or any(one.low > 0 for one in met if one is not None)


def _fit_trivial(run: Run, features: Any, target: Any) -> Any:
    from sklearn.dummy import DummyClassifier, DummyRegressor

    dummy = DummyClassifier(strategy="prior") if run.spec.data.classification else DummyRegressor(strategy="mean")
    return dummy.fit(features, target)


def ask_all(gates: Sequence[AnyGate], board: Scoreboard) -> tuple[Verdict, ...]:
    """Every gate's verdict, in order, exactly one each.

    A gate that the champion would not pass either does not protect it: a candidate that beats the champion is excused.
    """
    verdicts = [gate.ask(board) for gate in gates]
    against = [v for gate, v in zip(gates, verdicts, strict=True) if "champion" in dict(gate.opponents)]
    if against and all(verdict.status == "passed" for verdict in against):
        verdicts = [_excused(gate, verdict, board) for gate, verdict in zip(gates, verdicts, strict=True)]
    return tuple(verdicts)


def unbeaten_by(gates: Sequence[AnyGate], verdicts: Sequence[Verdict], board: Scoreboard, *, first: bool) -> str | None:
    """Why the baseline is the better model to serve than the candidate; None when it is beaten, or nobody asked.

    Args:
        first: no champion serves; then a candidate that is not shown better has nothing for it that is simpler.
    """
    enough = ("failed", "undecided") if first else ("failed",)
    if not _ask_more(gates):
        return None
    for gate, verdict in zip(gates, verdicts, strict=True):
        met = any(who == "baseline" and board.comparison(who, metric or board.metric) for who, metric in gate.opponents)
        if met and verdict.status in enough:
            return verdict.reason
    return None


def _ask_more(gates: Sequence[AnyGate]) -> bool:
    """Whether something is asked of a first model besides that it beats the baseline."""
    return any(gate.asks_first_model and "baseline" not in dict(gate.opponents) for gate in gates)


def _excused(gate: AnyGate, verdict: Verdict, board: Scoreboard) -> Verdict:
    missed = gate.missed_by_champion(board) if verdict.status in ("failed", "undecided") else None
    if missed is None:
        return verdict
    return verdict.model_copy(
        update={"status": "not_applicable", "reason": f"{verdict.reason}; {missed}", "excused": True}
    )


def answer_of(verdicts: Sequence[Verdict]) -> Answer:
    """``keep`` if a gate failed, else ``undecided`` if one is undecided, else ``promote``."""
    statuses = {verdict.status for verdict in verdicts}
    if "failed" in statuses:
        return "keep"
    if "undecided" in statuses:
        return "undecided"
    return "promote"


def sentence(answer: Answer, verdicts: Sequence[Verdict], *, candidate: str, champion: str | None) -> str:
    """The decision in words, with the last gate that passed, or every gate that failed or is undecided.

    A promotion is still to come when this is said. Without a champion no model serves, so the sentence ends with the next move.
    """
    if answer == "promote":
        proof = next((v.reason for v in reversed(verdicts) if v.status == "passed"), "no gate applied")
        excused = "".join(f"; neither of them passes {v.gate}: {v.reason}" for v in verdicts if v.excused)
        over = "as the first champion" if champion is None else f"over version {champion}"
        return f"Promote {candidate} {over}: {proof}{excused}"
    status = "failed" if answer == "keep" else "undecided"
    # A reason that speaks of the candidate needs no name of the gate.
    reasons = [
        v.reason if v.reason.startswith("the candidate") else f"{v.gate}: {v.reason}"
        for v in verdicts
        if v.status == status
    ]
    begins = {
        ("keep", True): f"Kept version {champion}",
        ("keep", False): "No champion yet",
        ("undecided", True): f"Undecided, version {champion} stays champion",
        ("undecided", False): "Undecided, no champion yet",
    }[answer, champion is not None]
    return f"{begins}: {'; '.join(reasons)}" + ("" if champion is not None else f". {_NEXT}")
