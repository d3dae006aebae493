"""Tool arguments as they really come, and when a fragmented one is complete."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators.arguments import JsonWatch, as_object, is_object

TABLE: list[tuple[str, Any, bool]] = [
    ("", {}, True),
    ("  \n", {}, True),
    ("{}", {}, True),
    (' {"a": 1}\n', {"a": 1}, True),
    ('{"a":"😀\u2028"}', {"a": "😀\u2028"}, True),
    ("null", {}, False),
    ('""', {}, False),
    ('" "', {}, False),
    ('"{\\"a\\":1}"', {"a": 1}, False),  # JSON in a JSON string
    ('"text"', {"input": "text"}, False),
    ("7", {"input": 7}, False),
    ("[1]", {"input": [1]}, False),
    ("true", {"input": True}, False),
    ('{"a":1}{"b":2}', {"a": 1}, False),  # several objects in a row
    ('{"a":1} and so on', {"a": 1}, False),
    (r'{"a":"\ud83d"}', {"a": "\ufffd"}, True),
    (r'{"a":"\ud83d"}{}', {"a": "\ufffd"}, False),
    (r'"{\"a\":\"\\ud83d\"}"', {"input": r'{"a":"\ud83d"}'}, False),
    ('{"a":NaN}{}', {"input": '{"a":NaN}{}'}, False),
    ('{"a":"tr', {"input": '{"a":"tr'}, False),  # cut off
    ("ls -la", {"input": "ls -la"}, False),
    ("{'a': 1}", {"input": "{'a': 1}"}, False),
    ("[" * 5000, {"input": "[" * 5000}, False),
    ("\ud83d", {"input": "\ufffd"}, False),  # half of a pair, which no wire can say
    ('{"a":"\ud83d"}', {"a": "\ufffd"}, True),
]


@pytest.mark.parametrize(("text", "expected", "fine"), TABLE)
def test_arguments_as_an_object(text: str, expected: Any, fine: bool) -> None:
    raw, was = as_object(text)
    assert (json.loads(bytes(raw)), was) == (expected, fine)


_GOOD = [text for text, _, fine in TABLE if fine and text.strip() and "\\ud83d" not in ascii(text)]


@pytest.mark.parametrize("text", _GOOD)
def test_an_object_keeps_its_bytes(text: str) -> None:
    assert bytes(as_object(text)[0]) == text.strip().encode()


def test_is_object() -> None:
    assert is_object('{"a":1}') and is_object(" {} ")
    assert not any(map(is_object, ["", "null", "[]", '"{}"', '{"a":1', "{}{}", "\ud83d"]))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\{}[]\n😀', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('k"\\}', max_size=3), inner, max_size=3),
    max_leaves=8,
)
_WHOLE = st.one_of(
    st.dictionaries(st.text('k"\\}', max_size=3), _JSON, max_size=3),
    st.lists(_JSON, max_size=3),
    st.text(alphabet='a"\\{}[]😀', max_size=8),
)


@given(_WHOLE, st.sampled_from(["", " ", "\n\t"]), st.integers(1, 4))
def test_the_watch_knows_the_last_character_of_a_value(value: Any, before: str, size: int) -> None:
    text = before + json.dumps(value, ensure_ascii=False)
    watch = JsonWatch()
    for start in range(0, len(text), size):
        assert not watch.complete
        watch.feed(text[start : start + size])
    assert watch.complete and not watch.empty


def test_the_watch_says_how_much_belongs_to_the_value() -> None:
    watch = JsonWatch()
    assert [watch.feed(text) for text in ('{"a', '}":1', '} {"b"', "x")] == [3, 4, 1, 0]


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_the_watch_sees_that_there_is_nothing_yet(text: str) -> None:
    watch = JsonWatch()
    watch.feed(text)
    assert watch.empty and not watch.complete


@pytest.mark.parametrize("text", ["{", '{"a"', '{"a":"}', '{"a":"\\"}', "[[]", '"abc', "12"])
def test_the_watch_waits_for_the_end(text: str) -> None:
    watch = JsonWatch()
    watch.feed(text)
    assert not watch.complete and not watch.empty
