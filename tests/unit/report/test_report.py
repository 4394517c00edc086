"""The report: everything that decided is on it once, nothing on it is markup but ours, same input, same bytes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from builders import AS_OF, LOGISTIC, TIMED, TREE, make_run
from contender.documents.change import Change
from contender.documents.cost import Cost, Costs
from contender.documents.data import AsideLabels, CheckResult, Finding, Quarantine
from contender.documents.decision import Decision
from contender.documents.release import Recipe, TrainedOn
from contender.documents.scoreboard import Comparison, Scoreboard, Scorecard
from contender.documents.sweep import History, Plan, Point, Trial, TrialResult
from contender.judge.challenge import answer_of, ask_all, sentence
from contender.judge.contest import Contest
from contender.metrics.predictions import Predictions
from contender.report.page import setting
from contender.report.report import render
from contender.sweep.results import Round, Sweep
from contender.words import score, signed
from pages import Outline, words

if TYPE_CHECKING:
    from contender.documents.run import Run
    from contender.documents.scoreboard import Contestant, Opponent

NONE, TIMES = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
EVIL = "<script>alert('x')</script>"
GATES: list[dict[str, Any]] = [
    {"kind": "threshold", "metric": "roc_auc", "min": 0.7},
    {"kind": "beats", "opponent": "baseline"},
    {"kind": "beats", "opponent": "champion", "policy": "unless_worse", "margin": 0.005},
]
CHECKS: list[dict[str, Any]] = [
    {"expect_table_row_count_to_be_between": {"min_value": 5}},
    {"expect_column_values_to_be_between": {"column": "age", "min_value": 18, "max_value": 100}},
    {"expect_column_max_to_be_between": {"column": "income", "max_value": 10, "severity": "warning"}},
]


SPENT = Cost(cpu_seconds=31, seconds=20.5, peak_memory=410_000_000, money=0.0042, currency="EUR")
COSTS = Costs(
    run=Cost(cpu_seconds=62, seconds=40, money=0.02, currency="EUR"), sweep=SPENT, saved=Cost(cpu_seconds=3, seconds=3)
)


def a_round(
    results: list[TrialResult],
    *,
    number: int = 1,
    folds: int | None = None,
    share: float = 1.0,
    untried: tuple[str, ...] = (),
    **parts: Any,
) -> Round:
    cut = [Trial(key=key, estimator=TREE, params={}, seed=0) for key in untried]
    given = {"folds": folds, "share": share}
    trials = tuple(trial.model_copy(update=given) for trial in (*(result.trial for result in results), *cut))
    plan = Plan(round=number, trials=trials, tasks=1, may_win=folds is None, **parts)
    return Round(plan, results, untried)


@dataclass(frozen=True)
class Arguments:
    """What ``render`` takes, with every part replaceable."""

    run: Run
    decision: Decision
    contest: Contest | None
    results: list[TrialResult]
    quarantine: Quarantine
    untried: tuple[str, ...] = ()
    rungs: tuple[Round, ...] = ()
    costs: Costs = COSTS

    def page(self) -> str:
        last = a_round(self.results, number=len(self.rungs) + 1, untried=self.untried)
        sweep = Sweep([*self.rungs, last])
        return render(self.run, self.decision, self.contest, sweep, self.quarantine, self.costs)

    def short(self) -> str:
        """The page without pictures, for what does not depend on them: drawing is what takes time."""
        return replace(self, contest=None).page()

    def deciding(self, **changes: Any) -> Arguments:
        return replace(self, decision=self.decision.model_copy(update=changes))


def trial_result(
    mean: float | None, *, estimator: str = TREE, error: str = "", run_id: str = "r1", **params: Any
) -> TrialResult:
    trial = Trial(
        key=f"{estimator} {mean} {params}", estimator=estimator, params=params, seed=0, baseline=estimator == LOGISTIC
    )
    return TrialResult(
        trial=trial,
        status="failed" if mean is None else "complete",
        scores=() if mean is None else (mean - 0.01, mean + 0.01),
        mean=mean,
        std=None if mean is None else 0.01,
        seconds=1.25,
        cpu_seconds=2.5,
        peak_memory=213_000_000,
        started=AS_OF + timedelta(hours=4),
        error=error or None,
        run_id=run_id,
    )


def compared(opponent: Opponent, difference: float, rows: int = 200) -> Comparison:
    return Comparison(
        opponent=opponent,
        metric="roc_auc",
        rows=rows,
        candidate=0.8,
        other=0.8 - difference,
        difference=difference,
        low=difference - 0.01,
        high=difference + 0.01,
        confidence=0.9,
    )


def arguments(
    *, rows: int = 200, champion_rows: int | None = None, difference: float = 0.05, trials: int = 3, **parts: Any
) -> Arguments:
    run = make_run(**{"gates": GATES, "expectations": CHECKS, "data": TIMED, **parts})
    random = np.random.default_rng(0)
    target = (random.random(rows) < 0.4).astype(int)
    chance = np.clip(0.3 * target + 0.7 * random.random(rows), 0, 1)
    names: list[Contestant] = ["trivial", "baseline", "champion", "candidate"]
    predictions = {n: Predictions(np.column_stack([1 - chance, chance])) for n in names}
    fresh = np.arange(rows) < (rows if champion_rows is None else champion_rows)
    cards = tuple(
        Scorecard(
            contestant=name,
            estimator="DecisionTreeClassifier",
            rows=int(fresh.sum()) if name == "champion" else rows,
            metrics={"roc_auc": 0.84221853},
            version="7" if name == "champion" else None,
        )
        for name in names
    )
    board = Scoreboard(
        metric="roc_auc", cards=cards, comparisons=(compared("baseline", difference), compared("champion", difference))
    )
    verdicts = ask_all(run.spec.gates, board)
    answer = answer_of(verdicts)
    results = [trial_result(0.8 - place / 1000, depth=place) for place in range(trials)]
    recipe = Recipe(
        key="recipe",
        trial=results[0].trial,
        snapshot="snapshot",
        quarantine="quarantine",
        rows="all_rows",
        trained_on=TrainedOn(columns={"at": "datetime64[us]"}, through=AS_OF),
    )
    decision = Decision(
        run_id=run.id,
        outcome=answer,
        sentence=sentence(answer, verdicts, candidate="DecisionTreeClassifier", champion="7"),
        recipe=recipe,
        verdicts=verdicts,
        board=board,
        champion=1,
    )
    checks = (
        CheckResult(
            name="rows",
            column=None,
            severity="critical",
            success=True,
            unexpected=0,
            checked=12_345,
            detail="observed 12345",
        ),
        CheckResult(name="between", column="age", severity="critical", success=False, unexpected=2, checked=12_345),
        CheckResult(
            name="max",
            column="income",
            severity="warning",
            success=False,
            unexpected=0,
            checked=12_345,
            detail="observed 987654",
        ),
    )
    quarantine = Quarantine(
        id="quarantine",
        snapshot="snapshot",
        rows={3: ("between(age)",), 9: ("between(age)", "x")},
        kept=12_343,
        structure=(
            CheckResult(
                name="varies",
                column="plan",
                severity="warning",
                success=False,
                unexpected=0,
                checked=12_345,
                detail="has one value only",
            ),
        ),
        checks=checks,
    )
    return Arguments(run, decision, Contest(board, target, predictions, fresh), results, quarantine)


@pytest.fixture(scope="module")
def page() -> str:
    return arguments().page()


@pytest.mark.parametrize(("difference", "badge"), [(0.05, "promote"), (-0.05, "keep"), (0.005, "undecided")])
def test_the_decision_is_the_headline_with_its_badge(difference: float, badge: str) -> None:
    given = arguments(difference=difference)
    outline = Outline(given.short())
    assert outline.texts["h1"] == [given.decision.sentence]
    assert [attrs["class"] for tag, attrs in outline.found if "badge" in (attrs.get("class") or "")] == [
        f"badge {badge}"
    ]


def test_an_evaluation_says_that_it_could_not_promote() -> None:
    outline = Outline(arguments().deciding(outcome="keep", evaluation_only=True).short())
    assert {"keep", "evaluation only"} <= set(outline.texts["span"])


LOST = Change(
    kind="scale", column="charges", words="decimal points lost? 46 % of the values are above 118.8", weight=1.0
)
MOVED = Change(kind="new_category", column="plan", words="new: 'gold' (120 rows)", weight=0.31)
FEWER = Change(kind="volume", column=None, words="1,500 rows, 3,000 before", weight=0.5)


def test_what_changed_since_the_champions_data_stands_in_its_order_and_the_alarming_on_top() -> None:
    text = arguments().deciding(champion_snapshot="before", changes=(LOST, FEWER, MOVED)).short()
    section = text[text.index("<h2>What changed since") : text.index("<h2>Sweep")]
    assert re.findall(r'role="rowheader">(.*?)</th>', section) == ["charges", "all rows", "plan"]
    assert re.findall(r"status failed\">(.*?)</td>", section) == ["scale"]
    assert re.findall(r"width: (\d+)%", section) == ["100", "50", "31"]
    assert "new: &#39;gold&#39; (120 rows)" in section
    alarm = text[: text.index("<h2>Gates")]
    assert "The data may be broken." in alarm
    assert alarm.count("<li>") == 1
    assert "may be broken" not in arguments().deciding(champion_snapshot="before", changes=(MOVED,)).short()


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ({"champion": None}, ""),
        ({}, "what its data looked like is not on record"),
        ({"champion_snapshot": "snapshot"}, "the champion was made from the same snapshot"),
        ({"champion_snapshot": "before"}, "Nothing that is more than chance."),
    ],
)
def test_no_change_says_why_there_is_none(known: dict[str, Any], says: str) -> None:
    text = words(arguments().deciding(**known).short())
    assert says in text
    assert ("What changed since" in text) == bool(says)


def test_changes_that_are_not_shown_are_counted_without_a_column() -> None:
    more = Change(kind="more", column=None, words="and 7 smaller changes", weight=0.0)
    text = arguments().deciding(champion_snapshot="before", changes=(MOVED, more)).short()
    assert re.findall(r'role="rowheader">(.*?)</th>', text[text.index("<h2>What changed") :]) == ["plan", ""]
    assert "and 7 smaller changes" in text


def test_every_gate_stands_there_once_with_a_word_and_the_numbers(page: str) -> None:
    table = page[page.index("<h2>Gates") : page.index("<h2>Scorecards")]
    gates = re.findall(r'role="rowheader">(.*?)</th>', table)
    assert gates == [gate.label.replace(">", "&gt;") for gate in arguments().run.spec.gates]
    assert len(re.findall(r"✓</span> passed", table)) == len(GATES)
    assert re.findall(r'data-name="observed">(.*?)<', table) == ["0.8422", "+0.0500", "+0.0500"]
    required = ["&gt;= 0.7", "shown above 0", "difference &gt;= -0.005"]
    assert re.findall(r'data-name="required">(.*?)<', table) == required


def test_the_page_is_well_formed_and_labelled(page: str) -> None:
    outline = Outline(page)
    tags = Counter(tag for tag, _ in outline.found)
    assert tags["h1"] == 1
    assert all(attrs.get("scope") for tag, attrs in outline.found if tag == "th")
    assert tags["svg"] == tags["figure"] == tags["figcaption"] == 6
    assert all(attrs["role"] == "img" and attrs["aria-label"] for tag, attrs in outline.found if tag == "svg")


def test_the_page_needs_nothing_but_itself(page: str) -> None:
    outline = Outline(page)
    assert not {tag for tag, _ in outline.found} & {"script", "link", "iframe", "object", "img", "base"}
    assert not re.findall(r"https?://|@import|url\((?!#)", page)
    assert all(str(attrs["xlink:href"]).startswith("#") for _, attrs in outline.found if "xlink:href" in attrs)


def test_a_link_to_another_page_opens_it_beside_this_one_which_mlflow_shows_in_a_frame(page: str) -> None:
    """A sandboxed frame may not show the other page in its own place: it would go blank."""
    links = [attrs for tag, attrs in Outline(page).found if tag == "a" and not str(attrs["href"]).startswith("#")]
    assert [(link["href"], link["target"], link["rel"]) for link in links] == [("checks.html", "_blank", "noopener")]


def test_ids_are_unique_and_everything_referred_to_exists(page: str) -> None:
    ids = Counter(attrs["id"] for _, attrs in Outline(page).found if "id" in attrs)
    assert set(ids.values()) == {1}
    assert set(re.findall(r'(?:url\(|href=")#([^)"]+)', page)) <= set(ids)


def test_what_people_and_data_wrote_is_text() -> None:
    given = arguments(description=EVIL, owner=EVIL, reason=EVIL, gates=[{**GATES[0], "metric": EVIL}])
    trial = Trial(key="k", estimator=f"a.{EVIL}", params={EVIL: EVIL}, seed=0)
    failed = trial_result(None, estimator=EVIL, error=EVIL)
    won = trial_result(0.9).model_copy(update={"trial": trial})
    other = trial_result(0.8).model_copy(update={"trial": trial.model_copy(update={"key": "l", "params": {EVIL: 1}})})
    card = Scorecard(contestant="candidate", estimator=EVIL, rows=1, metrics={EVIL: 1.0})
    board = Scoreboard(metric=EVIL, cards=(card,), absent={"champion": EVIL})
    changes = (Change(kind="scale", column=EVIL, words=EVIL, weight=1.0),)
    check = CheckResult(name=EVIL, column=EVIL, severity=EVIL, success=False, unexpected=1, checked=9, detail=EVIL)
    quarantine = Quarantine(id=EVIL, snapshot=EVIL, rows={0: (EVIL,)}, checks=(check, check, check))
    leak = Finding(kind=EVIL, columns=(EVIL,), evidence=EVIL, policy="drop")
    quarantine = quarantine.model_copy(update={"findings": (leak,), "dropped": (EVIL,)})
    decision = given.decision.model_copy(
        update={
            "sentence": EVIL,
            "verdicts": ask_all(given.run.spec.gates, board),
            "board": board,
            "recipe": given.decision.recipe.model_copy(update={"trial": trial}),
            "champion_snapshot": EVIL,
            "changes": changes,
        }
    )
    evil = replace(given, decision=decision, results=[won, other, failed], quarantine=quarantine).page()
    assert "<script" not in evil
    assert evil.count("&lt;script&gt;alert(") > 20
    assert not {tag for tag, _ in Outline(evil).found} & {"script"}


def test_the_same_arguments_give_the_same_bytes(page: str) -> None:
    assert arguments().page() == page


def test_a_truncated_sweep_is_labelled() -> None:
    text = words(replace(arguments(), untried=("a", "b")).short())
    assert "truncated sweep" in text
    assert "The budget of 1h ended before 2 of 5 planned trials were tried" in text


def test_a_whole_sweep_is_not_called_truncated(page: str) -> None:
    assert "truncated" not in words(page)


def test_trials_are_counted_and_those_of_earlier_runs_named() -> None:
    failed = [trial_result(None, error=f"ValueError: {place} of 9 rows") for place in range(3)]
    results = [trial_result(0.9), trial_result(0.8, run_id="earlier"), *failed]
    text = words(replace(arguments(), results=results, untried=("u",)).short())
    assert "6 trials planned (grid): 2 complete, 3 failed, 1 untried. 1 reused from earlier runs." in text
    assert f"saved by reuse 3.0 s 3.0 s {NONE}" in text
    assert f"3 {TIMES} DecisionTreeClassifier: ValueError: 0 of 9 rows" in text


def test_what_it_cost_is_told_of_the_trials_and_of_the_run_so_far(page: str) -> None:
    text = words(page)
    assert "trials 31 s 20 s 410 MB run, until it was judged" in text
    assert f"run, until it was judged 1 min 2 s 40 s {NONE}" in text
    assert "saved by reuse" not in text


def test_with_a_price_it_is_told_in_money_too() -> None:
    text = words(arguments(cost={"per_cpu_hour": 0.05, "currency": "EUR"}).short())
    assert "trials 31 s 20 s 410 MB <0.01 EUR" in text


def test_every_round_has_its_line_and_the_point_it_started_from() -> None:
    lost = [trial_result(0.7, depth=9), trial_result(None, error="ValueError: no such depth", depth=-1)]
    warm = History(warm=(Point(candidate=1, params={"max_depth": 3}),))
    rung = a_round(lost, folds=2, untried=("u",), history=warm)
    halving = {"strategy": {"kind": "halving", "trials": 4, "rounds": 2}}
    given = arguments(sweep=halving, split={"gate": "14d", "folds": 5})
    text = words(replace(given, rungs=(rung,)).short())
    assert "6 trials planned (halving, 2 rounds): 4 complete, 1 failed, 1 untried." in text
    assert "1 2 of 5 3 1 1 1 0 5.0 s 2 5 of 5 3 3 0 0 0 7.5 s" in text
    assert "Started from the last run's best: DecisionTreeClassifier (max_depth=3)." in text
    assert f"1 {TIMES} DecisionTreeClassifier: ValueError: no such depth" in text
    assert "depth=9" not in text
    text = words(replace(given, rungs=(a_round(lost, folds=1, share=5 / 27),)).short())
    assert "1 1 of 5, 18.5 % of the rows 2 1 1 0 0" in text


def test_a_winner_that_ten_baselines_beat_is_in_the_table() -> None:
    given = arguments()
    better = [trial_result(0.9 + place / 1000, estimator=LOGISTIC, C=place) for place in range(12)]
    page = replace(given, results=[*given.results, *better]).page()
    ranks = re.findall(r'<td class="number">(\d+)</td>\n<th scope="row">(.*?)</th>', page)
    assert [rank for rank, _ in ranks] == [*map(str, range(1, 11)), "13"]
    assert [name for _, name in ranks if "★" in name] == ["DecisionTreeClassifier ★ candidate"]


def test_a_trial_shows_its_parameters_its_scores_and_their_spread(page: str) -> None:
    assert "DecisionTreeClassifier depth=1 0.7990 ± 0.01000 1.2 2.5 213 MB 0.7890 0.8090" in words(page)


def test_the_data_are_told_by_counts_and_never_by_a_value(page: str) -> None:
    text = words(page)
    assert "12,343 kept, 2 of 12,345 quarantined" in text
    assert f"2 {TIMES} between(age)" in text
    assert "between min_value=18, max_value=100 age critical ✗ failed 2 12,345" in text
    assert "observed 12345" in text
    assert "varies plan warning ✗ failed has one value only 0 12,345" in text
    assert "987654" not in page


def test_labels_of_rows_that_are_set_aside_are_compared_with_those_of_the_kept_ones() -> None:
    given = arguments()
    labels = tuple(
        AsideLabels(reason=reason, rows=65, aside=0.277, kept=0.023, apart=apart)
        for reason, apart in (("between(age)", True), ("x", False))
    )
    text = words(replace(given, quarantine=given.quarantine.model_copy(update={"labels": labels})).short())
    assert f"2 {TIMES} between(age): 27.7% positive against 2.3%, more than chance: such rows come in service" in text
    assert f"1 {TIMES} x: 27.7% positive against 2.3% " in text


def test_a_score_too_good_to_be_true_stands_at_the_top() -> None:
    given = arguments()
    assert "beyond what is plausible" not in words(given.short())
    cards = tuple(card.model_copy(update={"metrics": {"roc_auc": 0.9971}}) for card in given.decision.board.cards)
    board = given.decision.board.model_copy(update={"cards": cards})
    assert "The candidate's roc_auc 0.9971 is too good to be true: does a column know the answer?" in words(
        given.deciding(board=board).short()
    )


def test_without_expectations_it_says_that_no_value_was_checked() -> None:
    given = arguments(expectations=[])
    bare = given.quarantine.model_copy(update={"checks": ()})
    assert "declares no expectations: no value was checked" in words(replace(given, quarantine=bare).short())


def test_suspected_leaks_have_a_section_with_their_evidence_and_what_was_done(page: str) -> None:
    assert "Suspected leaks" not in words(page)
    given = arguments()
    told = Finding(
        kind="near_perfect", columns=("status", "state"), evidence="reaches ROC AUC 0.993 alone", policy="warn"
    )
    copies = Finding(kind="duplicates", columns=(), evidence="40.0% of the rows that judge", policy="warn")
    numbers = Finding(kind="id_like", columns=("number",), evidence="is different in every row", policy="drop")

    def section(**found: Any) -> str:
        text = words(replace(given, quarantine=given.quarantine.model_copy(update=found)).short())
        return text[text.index("Suspected leaks") : text.index("Gates")]

    text = section(findings=(told, copies))
    assert "Nothing was done about it; the numbers below may flatter." in text
    assert "status, state near perfect reaches ROC AUC 0.993 alone warn" in text
    assert "rows duplicates 40.0% of the rows that judge warn" in text
    text = section(findings=(told, numbers), dropped=("number",))
    assert "No features in this run: number." in text


def test_the_window_and_the_gate_rows_are_told(page: str) -> None:
    text = words(page)
    assert "2026-01-01 <= at < 2026-03-02" in text
    assert "at from 2026-02-02 on, the newest 28d: 200 rows" in text


def test_without_a_time_column_the_share_is_told() -> None:
    assert "a share of 0.2 by hash of id, the same in every run" in words(arguments(data={}).short())


def test_a_champion_that_may_judge_on_fewer_rows_is_pointed_out(page: str) -> None:
    note = "these lines are not on the same rows"
    assert note not in words(page)
    text = words(arguments(champion_rows=50).page())
    assert note in text
    assert "The champion is not drawn: only 50 of these rows are new to it." in text


def test_a_model_decided_on_before_says_so_and_shows_no_contest() -> None:
    page = arguments().deciding(outcome="keep", same_model=True, champion=None).short()
    outline = Outline(page)
    assert "Nothing was judged today" in words(page)
    assert "From the run that made this model" in words(page)
    assert outline.texts["h2"] == ["Gates", "Scorecards", "Sweep", "Recipe of the candidate", "Data checks"]
    assert "svg" not in outline.texts


def test_a_gate_without_an_answer_shows_none() -> None:
    given = arguments()
    board = Scoreboard(metric="roc_auc", cards=given.decision.board.cards, absent={"champion": "no champion yet"})
    verdicts = ask_all(given.run.spec.gates, board)
    text = words(given.deciding(board=board, verdicts=verdicts).page())
    assert f"{NONE} not applicable no champion yet {NONE} difference >= -0.005" in text
    assert "No comparison with the champion: no champion yet." in text
    assert "1 passed, 1 undecided, 1 not applicable" in text


def test_a_large_sweep_on_many_rows_stays_a_page_that_can_be_mailed() -> None:
    assert len(arguments(rows=20_000, trials=2_000).page().encode()) < 600_000


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.84221853, "0.8422"),
        (-54.96948, "-54.97"),
        (123_456.7, "123,500"),
        (1_234.5, "1,234"),
        (0.99999, "1.000"),
        (-0.0059273, "-0.005927"),
        (0.0, "0"),
        (1.5e-9, "1.500e-09"),
        (None, NONE),
    ],
)
def test_scores_have_four_significant_digits(number: float | None, text: str) -> None:
    assert score(number) == text


def test_differences_have_a_sign() -> None:
    assert [signed(0.1), signed(-0.1), signed(0.0), signed(None)] == ["+0.100", "-0.100", "0", NONE]


def test_a_long_setting_is_cut() -> None:
    assert setting(("a", 0.123456)) == "a, 0.1235"
    assert len(setting("x" * 10_000)) == 301
