"""Content keys are the same in every process and for every order of keys."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contender.canonical import canonical_json, content_key, sha256

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("aé€😀"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=10,
)


def shuffled(value: object, chance: random.Random) -> object:
    if isinstance(value, dict):
        items = [(name, shuffled(inner, chance)) for name, inner in value.items()]
        chance.shuffle(items)
        return dict(items)
    return [shuffled(inner, chance) for inner in value] if isinstance(value, list) else value


@given(VALUES, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(value: object, chance: random.Random) -> None:
    assert canonical_json(value) == canonical_json(shuffled(value, chance))


@given(VALUES)
def test_what_was_written_reads_back(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


def test_the_form_is_fixed_to_the_byte() -> None:
    assert canonical_json({"b": [1, 2.5, None, True], "a": "é"}) == '{"a":"é","b":[1,2.5,null,true]}'.encode()
    assert content_key({}) == sha256(b"{}") == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_a_tuple_is_a_list_and_an_integer_is_no_float() -> None:
    assert content_key({"x": (1, 2)}) == content_key({"x": [1, 2]})
    assert content_key(1) != content_key(1.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [-float("inf")]])
def test_a_number_that_is_not_finite_has_no_key(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_key(value)


def test_what_has_no_json_form_has_no_key() -> None:
    with pytest.raises(TypeError):
        content_key({"when": object()})
