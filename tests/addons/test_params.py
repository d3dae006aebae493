"""`params`: the four steps, their order, and that the rest of the body keeps its bytes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.params import changes
from addons.settings_model import Params
from translators.body import replace, top_level


def change(body: dict[str, Any], *params: dict[str, Any]) -> dict[str, Any]:
    """A body after its params, over the bytes, as an attempt does it."""
    raw = json.dumps(body).encode()
    done = replace(raw, changes([Params(**one) for one in params], top_level(raw)))
    result: dict[str, Any] = json.loads(done)
    return result


# body, params, body
CASES = [
    ({"a": 1}, [{}], {"a": 1}),
    ({"a": 1}, [{"update": {"a": 2, "b": 3}}], {"a": 2, "b": 3}),
    ({"a": 1}, [{"add": {"a": 2, "b": 3}}], {"a": 1, "b": 3}),
    ({"a": None}, [{"add": {"a": 2}}], {"a": 2}),
    ({"a": 0}, [{"add": {"a": 2}}], {"a": 0}),
    ({"a": 1, "c": 3}, [{"rename": {"a": "b"}}], {"c": 3, "b": 1}),
    ({"a": 1, "b": 2}, [{"rename": {"a": "b"}}], {"b": 1}),
    ({"c": 1}, [{"rename": {"a": "b"}}], {"c": 1}),
    ({"a": 1}, [{"rename": {"a": "a"}}], {"a": 1}),
    ({"a": 1}, [{"rename": {"a": "b", "b": "c"}}], {"c": 1}),
    ({"a": {"x": [1, 2]}}, [{"rename": {"a": "b"}}], {"b": {"x": [1, 2]}}),
    ({"a": 1, "b": 2}, [{"delete": ["a", "gone"]}], {"b": 2}),
    ({"a": None}, [{"delete": ["a"]}], {}),
    ({"a": 1}, [{"update": {"a": None, "b": None}}], {"a": None, "b": None}),
    ({"a": 1}, [{"update": {"a": None}, "add": {"a": 5}}], {"a": None}),
    # the order: update, add, rename, delete
    ({"a": 1}, [{"update": {"a": 2}, "add": {"b": 3}, "rename": {"a": "c"}, "delete": ["b"]}], {"c": 2}),
    ({}, [{"update": {"x": 1}, "rename": {"x": "y"}, "delete": ["y"]}], {}),
    ({}, [{"add": {"x": 1}, "rename": {"x": "y"}}], {"y": 1}),
    ({"temperature": 0.9, "seed": 5, "max_completion_tokens": 50, "user": "me"},
     [{"update": {"temperature": 0.25, "fresh": 1}, "add": {"top_p": 0.5, "seed": 99},
       "rename": {"max_completion_tokens": "max_tokens", "fresh": "renamed"}, "delete": ["user", "renamed"]}],
     {"temperature": 0.25, "seed": 5, "top_p": 0.5, "max_tokens": 50}),
    # the upstream's, then the target's
    ({"a": 1}, [{"update": {"a": 2}}, {"update": {"a": 3}}], {"a": 3}),
    ({"a": 1}, [{"delete": ["a"]}, {"add": {"a": 3}}], {"a": 3}),
    ({"a": 1}, [{"rename": {"a": "b"}}, {"rename": {"b": "c"}}], {"c": 1}),
    ({"a": 1}, [{"rename": {"a": "b"}}, {"delete": ["a"]}], {"b": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "params", "result"), CASES)
def test_a_change(body: dict[str, Any], params: list[dict[str, Any]], result: dict[str, Any]) -> None:
    assert change(body, *params) == result


def test_without_params_nothing_is_done() -> None:
    assert changes((), {"a": 1}) == {}


def test_the_rest_keeps_its_bytes() -> None:
    body = b'{ "model" : "m", "temperature":1.0 ,"deep":{"n": 1e2, "u":"\\u00e9"} }'
    changed = replace(body, changes([Params(update={"temperature": 0.5})], top_level(body)))
    assert changed == b'{ "model" : "m", "temperature":0.5 ,"deep":{"n": 1e2, "u":"\\u00e9"} }'


def test_a_renamed_value_keeps_its_bytes() -> None:
    body = b'{"stop":["\\u0041", 1.0]}'
    assert replace(body, changes([Params(rename={"stop": "end"})], top_level(body))) == b'{"end":["\\u0041", 1.0]}'


NAMES = st.sampled_from(["a", "b", "c", "d"])
VALUES = st.none() | st.integers(0, 3)


@given(
    st.dictionaries(NAMES, VALUES),
    st.dictionaries(NAMES, VALUES),
    st.dictionaries(NAMES, VALUES),
    st.dictionaries(NAMES, NAMES),
    st.lists(NAMES),
)
def test_the_steps_one_after_the_other(
    body: dict[str, Any], update: dict[str, Any], add: dict[str, Any], rename: dict[str, str], delete: list[str]
) -> None:
    """The law, said with dicts: a null of the client is as if absent, a null of the config is a value."""
    null = object()
    said = {name: value for name, value in body.items() if value is not None}
    said |= {name: null if value is None else value for name, value in update.items()}
    said = {**{name: null if value is None else value for name, value in add.items()}, **said}
    for old, new in rename.items():
        if old in said:
            said[new] = said.pop(old)
    expected = {name: None if value is null else value for name, value in said.items() if name not in delete}
    found = change(body, {"update": update, "add": add, "rename": rename, "delete": tuple(delete)})
    untouched = {name for name, value in body.items() if value is None and name not in expected}
    assert {name: value for name, value in found.items() if name not in untouched} == expected
