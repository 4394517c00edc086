"""What every member of a family keeps. Members are taken from the unions: a new one is covered by its example alone."""

from __future__ import annotations

import importlib
import json
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contender.canonical import canonical_json
from contender.data.sources import AnySource, CsvSource, DemoSource, ParquetSource, SqlSource
from contender.documents.scoreboard import Comparison, GateAnswer, Opponent, Scoreboard, Scorecard, Verdict
from contender.frozen import Frozen
from contender.judge.challenge import ask_all
from contender.judge.gates import AnyGate, BeatsGate, CustomGate, Gate, ThresholdGate
from contender.spec.receivers import (
    AnyReceiver,
    EmailReceiver,
    Kind,
    Notice,
    NotifierReceiver,
    SlackReceiver,
    WebhookReceiver,
)
from contender.sweep.space import Choice, IntUniform, LogUniform, Parameter, Uniform
from contender.sweep.strategies import AnyStrategy, GridStrategy, HalvingStrategy, RandomStrategy, TpeStrategy

FAMILIES: dict[str, Any] = {
    "source": AnySource, "strategy": AnyStrategy, "gate": AnyGate, "parameter": Parameter, "receiver": AnyReceiver,
}  # fmt: skip
METHODS = {
    "source": "read",
    "strategy": "propose",
    "gate": "ask",
    "parameter": "distribution",
    "receiver": "notifier_for",
}

# At least one YAML form of every member. A gate's examples ask for more, never for less: see the rising candidate.
EXAMPLES: dict[type[Frozen], list[dict[str, Any]]] = {
    ParquetSource: [{"kind": "parquet", "uri": "/lake"}],
    CsvSource: [{"kind": "csv", "uri": "/lake", "delimiter": ";", "types": {"age": "number"}}],
    SqlSource: [
        {"kind": "sql", "conn_id": "shop_db", "table": "orders"},
        {"kind": "sql", "conn_id": "shop_db", "query": "SELECT *\nFROM orders" + 99 * " JOIN customers"},
    ],
    DemoSource: [
        {"kind": "demo"},
        {"kind": "demo", "scenario": "concept", "onset": "2026-03-02"},
        {"kind": "demo", "world": "bikes"},
    ],
    GridStrategy: [{"kind": "grid"}],
    RandomStrategy: [{"kind": "random"}, {"kind": "random", "trials": 9}],
    HalvingStrategy: [{"kind": "halving"}, {"kind": "halving", "trials": 40, "rounds": 4, "factor": 2}],
    TpeStrategy: [{"kind": "tpe"}, {"kind": "tpe", "trials": 30, "rounds": 3}],
    ThresholdGate: [{"kind": "threshold", "metric": "roc_auc", "min": 0.7}],
    BeatsGate: [
        {"kind": "beats", "opponent": opponent, "policy": policy, "margin": margin}
        for opponent in get_args(BeatsGate.model_fields["opponent"].annotation)
        for policy in ("superior", "non_inferior", "unless_worse")
        for margin in (0, 0.05)
    ],
    CustomGate: [{"kind": "custom", "function": "mypkg.gates.enough", "arguments": {"least": 0.7}}],
    Choice: [{"choice": [1, 2.5, "a", None, True, [3, 4]]}],
    Uniform: [{"uniform": [0, 1]}],
    LogUniform: [{"log_uniform": [0.001, 10]}],
    IntUniform: [{"int_uniform": [2, 9]}, {"int_uniform": [0, 10_000]}],
    EmailReceiver: [
        {"kind": "email", "to": "a@example.com"},
        {"kind": "email", "to": ["a@example.com", "b@example.com"], "conn_id": "mail", "on": ["failed"]},
    ],
    SlackReceiver: [{"kind": "slack", "conn_id": "chat"}],
    WebhookReceiver: [{"kind": "webhook", "conn_id": "deploy", "on": ["promoted"]}],
    NotifierReceiver: [
        {
            "kind": "notifier",
            "notifier": "airflow.providers.http.notifications.HttpNotifier",
            "arguments": {"http_conn_id": "pager", "json": {"summary": "{text}", "links": ["{text}", 1, None]}},
        }
    ],
}


def members(family: Any) -> list[type[Frozen]]:
    """The models in a union, an annotated one, or a union of one; what is no model (a constant) has no contract."""
    if get_origin(family) is Annotated:
        return members(get_args(family)[0])
    if isinstance(family, type):
        return [family] if issubclass(family, Frozen) else []
    return [member for part in get_args(family) for member in members(part)]


MEMBERS = [(family, member) for family, union in FAMILIES.items() for member in members(union)]
FORMS = [(family, member, form) for family, member in MEMBERS for form in EXAMPLES.get(member, [])]
GATES: list[Any] = [member.model_validate(form) for family, member, form in FORMS if family == "gate"]
SOURCES: list[Any] = [member.model_validate(form) for family, member, form in FORMS if family == "source"]
RECEIVERS: list[Any] = [member.model_validate(form) for family, member, form in FORMS if family == "receiver"]

each_member = pytest.mark.parametrize(("family", "member"), MEMBERS, ids=[member.__name__ for _, member in MEMBERS])
each_form = pytest.mark.parametrize(
    ("family", "member", "form"), FORMS, ids=[f"{member.__name__}-{json.dumps(form)}" for _, member, form in FORMS]
)
each_gate = pytest.mark.parametrize("gate", GATES, ids=[gate.label for gate in GATES])
each_source = pytest.mark.parametrize("source", SOURCES, ids=[source.words[:40] for source in SOURCES])
each_receiver = pytest.mark.parametrize("receiver", RECEIVERS, ids=[repr(receiver) for receiver in RECEIVERS])


def test_every_family_has_members() -> None:
    assert all(members(union) for union in FAMILIES.values())
    assert {member for _, member in MEMBERS} == set(EXAMPLES)


@each_member
def test_a_member_has_an_example_here(family: str, member: type[Frozen]) -> None:
    assert EXAMPLES.get(member), f"add a YAML form of {member.__name__} to EXAMPLES"


@each_member
def test_a_member_explains_itself_and_its_method(family: str, member: type[Frozen]) -> None:
    assert vars(member).get("__doc__")
    assert member.model_json_schema()["description"]
    assert getattr(member, METHODS[family]).__doc__


@each_member
def test_a_member_is_named_by_one_word_of_its_own(family: str, member: type[Frozen]) -> None:
    if family == "parameter":
        [word] = member.model_fields
    else:
        annotation = member.model_fields["kind"].annotation
        assert get_origin(annotation) is Literal
        [word] = get_args(annotation)
    twins = [form for other, _, form in FORMS if other == family for name in (form.get("kind"), *form) if name == word]
    assert all(form in EXAMPLES[member] for form in twins)


@each_form
def test_a_member_reads_back_as_it_was_written(family: str, member: type[Frozen], form: dict[str, Any]) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(FAMILIES[family])
    made = adapter.validate_json(json.dumps(form), strict=True)
    assert type(made) is member
    assert adapter.validate_json(adapter.dump_json(made), strict=True) == made
    assert canonical_json(made.model_dump(mode="json"))


@each_form
def test_a_member_refuses_a_setting_it_does_not_know(family: str, member: type[Frozen], form: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(FAMILIES[family]).validate_json(json.dumps({**form, "unheard_of": 1}), strict=True)


@each_form
def test_a_member_cannot_be_changed(family: str, member: type[Frozen], form: dict[str, Any]) -> None:
    made = member.model_validate(form)
    for name in member.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(made, name, getattr(made, name))


@each_source
def test_a_source_says_on_one_bounded_line_what_it_reads(source: Any) -> None:
    assert source.words.startswith(f"{source.kind} {source.location[:8]}")
    assert source.words.isprintable()
    assert len(source.words) < 220


@each_source
def test_no_trigger_chooses_where_a_source_reads(source: Any) -> None:
    named = set(type(source).model_fields)
    assert source.location_fields
    assert named & {"uri", "conn_id", "table", "query", "roots"} <= source.location_fields <= named
    for name in named:
        value = getattr(source, name)
        if name in source.location_fields:
            with pytest.raises(ValueError, match="would let a trigger read from anywhere"):
                source.limits(name)
            with pytest.raises(ValueError, match="would let a trigger read from anywhere"):
                source.check_override(name, value)
        else:
            assert source.limits(name) == {}
            source.check_override(name, value)


@each_source
def test_a_widened_source_reads_from_the_same_place(source: Any) -> None:
    wider = source.widened(exact=("y",), text=("id",))
    assert type(wider) is type(source)
    assert wider.words == source.words
    assert wider.widened(exact=("y",), text=("id",)) == wider
    assert type(wider).model_validate(wider.model_dump()) == wider


@each_gate
@pytest.mark.parametrize("value", [0.5, 0.69, 0.7, 0.72, 0.76, 0.9])
@pytest.mark.parametrize("by", [0.01, 0.05, 5, 1_000])
def test_a_gate_that_a_trigger_made_stricter_passes_nothing_that_it_did_not_pass(
    gate: Any, value: float, by: float
) -> None:
    for name, way in gate.stricter.items():
        declared = getattr(gate, name)
        if declared is None:
            continue
        changed = declared + by if way == "up" else max(0, declared - by)
        kind = type(declared)
        gate.check_override(name, kind(changed))
        stricter = gate.model_copy(update={name: kind(changed)})
        assert stricter.ask(board(value)).status != "passed" or gate.ask(board(value)).status == "passed"
        weaker = declared - by if way == "up" else declared + by
        with pytest.raises(ValueError, match=f"weaker than the pipeline's {declared:g}; .* stricter: at (least|most)"):
            gate.check_override(name, kind(weaker) if kind(weaker) != declared else declared - 1)


@each_gate
def test_a_gate_lets_no_trigger_touch_what_it_asks(gate: Any) -> None:
    for name in set(type(gate).model_fields) - set(gate.stricter):
        with pytest.raises(ValueError, match=rf"can be made stricter by a trigger, not {name}"):
            gate.limits(name)


def board(value: float, *, rows: int = 500, metric: str = "roc_auc") -> Scoreboard:
    """A candidate with this value on every metric that the examples name, against opponents at 0.7."""
    comparisons = tuple(
        Comparison(
            opponent=opponent, metric=metric, rows=rows, candidate=value, other=0.7, difference=value - 0.7,
            low=value - 0.72, high=value - 0.68, confidence=0.95,
        )
        for opponent in get_args(Opponent)
    )  # fmt: skip
    cards = [("candidate", value)] + [(opponent, 0.7) for opponent in get_args(Opponent)]
    return Scoreboard(
        metric="roc_auc",
        cards=tuple(Scorecard(contestant=who, estimator="A", rows=rows, metrics={metric: v}) for who, v in cards),  # type: ignore[arg-type]
        comparisons=comparisons,
        answers={
            gate.key: GateAnswer(passed=value >= 0.7, reason=f"it is {value:.4f}", observed=value, required=0.7)
            for gate in GATES
            if type(gate).measure is not Gate.measure and metric == "roc_auc"
        },
    )


def poisoned() -> Scoreboard:
    """Numbers that are not finite, smuggled past validation."""
    nan = float("nan")
    made = board(0.9)
    return made.model_copy(
        update={
            "cards": tuple(card.model_copy(update={"metrics": {"roc_auc": nan}}) for card in made.cards),
            "comparisons": tuple(
                one.model_copy(update={"difference": nan, "low": nan, "high": nan}) for one in made.comparisons
            ),
            "answers": {key: answer.model_copy(update={"observed": nan}) for key, answer in made.answers.items()},
        }
    )


ABSENT = Scoreboard(metric="roc_auc", cards=(), absent=dict.fromkeys(get_args(Opponent), "it could not be scored"))
EMPTY = Scoreboard(metric="roc_auc", cards=())


@each_gate
def test_a_gate_answers_with_one_verdict_that_says_why(gate: Any) -> None:
    for value in (0.2, 0.7, 0.95):
        [verdict] = ask_all([gate], board(value))
        assert isinstance(verdict, Verdict)
        assert verdict.gate == gate.label != ""
        assert verdict.observed is not None
        assert verdict.required is not None
        assert f"{value:.4f}" in verdict.reason


@each_gate
def test_a_gate_is_pure(gate: Any) -> None:
    asked = board(0.75)
    before, itself = asked.model_dump_json(), gate.model_dump_json()
    assert gate.ask(asked) == gate.ask(asked) == gate.ask(board(0.75))
    assert (asked.model_dump_json(), gate.model_dump_json()) == (before, itself)


@each_gate
@pytest.mark.parametrize("missing", [EMPTY, ABSENT, board(0.99, metric="another")], ids=["empty", "absent", "another"])
def test_a_gate_never_passes_on_a_number_that_is_missing(gate: Any, missing: Scoreboard) -> None:
    verdict = gate.ask(missing)
    assert verdict.status in ("failed", "undecided")
    assert verdict.observed is None
    assert verdict.reason


@each_gate
def test_a_gate_never_passes_on_a_number_that_is_not_finite(gate: Any) -> None:
    try:
        status = gate.ask(poisoned()).status
    except ValidationError:
        status = "no verdict"
    assert status != "passed"


@each_gate
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_a_better_candidate_never_gets_a_worse_verdict(gate: Any, values: list[float]) -> None:
    ranks = [["failed", "undecided", "passed"].index(gate.ask(board(value)).status) for value in sorted(values)]
    assert ranks == sorted(ranks)


@each_gate
def test_every_gate_can_be_passed_and_failed(gate: Any) -> None:
    assert gate.ask(board(1.0)).status == "passed"
    assert gate.ask(board(0.0)).status == "failed"


NOTICES = [
    Notice(kind=kind, pipeline="churn", run_id="r1", sentence="it said: {{ 1 }} <&>\n" + 999 * "x", version="3", url="http://u")
    for kind in get_args(Kind)
]  # fmt: skip


@each_receiver
def test_a_receiver_names_a_notifier_and_what_it_takes(receiver: Any) -> None:
    for notice in NOTICES:
        path, arguments = receiver.notifier_for(notice)
        module, _, name = path.rpartition(".")
        notifier = getattr(importlib.import_module(module), name)(**arguments)
        assert callable(notifier.notify)
        assert receiver.notifier_for(notice) == (path, json.loads(json.dumps(arguments)))
        assert "it said" in json.dumps(arguments)


@each_receiver
def test_a_receiver_is_told_the_first_notice_that_it_wants_and_no_other(receiver: Any) -> None:
    assert [notice.kind for notice in NOTICES if receiver.choose([notice])] == [
        kind for kind in get_args(Kind) if kind in receiver.on
    ]
    assert receiver.choose(NOTICES).kind in receiver.on
    assert receiver.choose([]) is None
