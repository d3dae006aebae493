"""JSON bodies: errors that name the place, and changes that leave every other byte alone."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators.body import generic, peek, replace, top_level, typed, unknown, with_model
from translators.model import BadRequest

_SPACE = st.sampled_from(["", " ", "\n  ", "\t", "\r\n"])
_SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(alphabet='ab"\\{}:,\n😀é\u2028', max_size=8),
)  # fmt: skip
_VALUE = st.recursive(_SCALAR, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3))
_KEY = st.sampled_from(["model", "stream", "a", 'q"\\', "é😀", ""])


@st.composite
def _objects(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]]]:
    """The text of an object with white space anywhere, and its members as they are written."""
    members = [
        (json.dumps(key, ensure_ascii=draw(st.booleans())), json.dumps(value, ensure_ascii=draw(st.booleans())))
        for key, value in draw(st.dictionaries(_KEY, _VALUE, max_size=5)).items()
    ]

    def spaced(*pieces: str) -> str:
        return "".join(draw(_SPACE) + piece for piece in pieces) + draw(_SPACE)

    inner = ",".join(spaced(key, ":", value) for key, value in members)
    return spaced(f"{{{inner or draw(_SPACE)}}}"), members


@given(_objects(), _VALUE.filter(lambda value: value is not None))
def test_what_is_not_replaced_keeps_its_bytes(made: tuple[str, list[tuple[str, str]]], value: Any) -> None:
    text, members = made
    body = text.encode()
    for key, _ in members:
        name = json.loads(key)
        new = replace(body, {name: value})
        before, old, after = _cut(text, members, key)
        assert new == before + msgspec.json.encode(value) + after, (text, name, old)


def _cut(text: str, members: list[tuple[str, str]], wanted: str) -> tuple[bytes, str, bytes]:
    at = 0
    for key, value in members:
        at = text.index(key, at) + len(key)
        at = text.index(":", at) + 1
        at = text.index(value, at)
        if key == wanted:
            return text[:at].encode(), value, text[at + len(value) :].encode()
        at += len(value)
    raise AssertionError(wanted)


@given(_objects(), st.dictionaries(_KEY, _VALUE, max_size=3))
def test_replacing_is_setting_and_taking_out(made: tuple[str, Any], changes: dict[str, Any]) -> None:
    body = made[0].encode()
    expected = {**json.loads(body), **changes}
    expected = {k: v for k, v in expected.items() if not (k in changes and v is None)}
    new = json.loads(replace(body, changes))
    assert new == expected and list(new) == list(expected)


def test_a_new_field_comes_last_and_the_others_keep_their_values() -> None:
    assert replace(b'{"a": 1.50, "b": [1,  2]}', {"c": True}) == b'{"a":1.50,"b":[1,  2],"c":true}'


def test_a_field_that_is_taken_out() -> None:
    assert replace(b'{"a": 1.50, "b": [1,  2]}', {"a": None}) == b'{"b":[1,  2]}'
    assert replace(b'{ "a": 1 }', {"b": None}) == b'{ "a": 1 }'
    assert replace(b'{ "a": 1 }', {}) == b'{ "a": 1 }'


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"x","model":"y"}',
        b'{"model":"x","a":1,"model":"yy"}',
        b'{"a":1,"model":"xxxx","a":22,"model":"y"}',
        b'{"model":1,"model":11}',
        b'{"model":"x","mod\\u0065l":"y"}',
        b'{"model":{"z":0,"a":          1},"model":"v2","a":3}',
    ],
)
def test_a_field_that_is_there_twice_is_replaced_for_every_reader(body: bytes) -> None:
    pairs = json.loads(with_model(body, "new"), object_pairs_hook=lambda pairs: pairs)
    assert [value for name, value in pairs if name == "model"] == ["new"]


# ------------------------------------------------------------------------------------------------ errors


class _Part(msgspec.Struct):
    type: str
    text: str = ""


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] = ""


_MESSAGES = msgspec.json.Decoder(list[_Message])
_STRING = msgspec.json.Decoder(str)


@pytest.mark.parametrize(
    ("messages", "path"),
    [
        (b"7", "messages"),
        (b'[{"role":1}]', "messages[0].role"),
        (b'[{"role":"user"},{}]', "messages[1]"),
        (b'[{"role":"user","content":[{"type":"text"},{"type":null}]}]', "messages[0].content[1].type"),
        (b'[{"role":"user","content":{}}]', "messages[0].content"),
    ],
)
def test_an_error_names_the_place(messages: bytes, path: str) -> None:
    fields = top_level(b'{"messages":' + messages + b"}")
    with pytest.raises(BadRequest) as caught:
        typed(fields, "messages", _MESSAGES)
    assert caught.value.error.param == path and caught.value.error.status == 400
    assert str(caught.value).startswith(path + ":") and "$" not in str(caught.value)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'"x"', b"null", b"7", b"{", b'{"a":}', b"\xff", b'{"\xff":1}', b"{}x", b"\xef\xbb\xbf{}"]
)
def test_a_body_that_is_no_object(body: bytes) -> None:
    with pytest.raises(BadRequest, match="the request body"):
        top_level(body)


@pytest.mark.parametrize("body", [b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"[" * 100_000])
def test_a_body_that_is_nested_too_deeply(body: bytes) -> None:
    with pytest.raises(BadRequest):
        typed(top_level(body), "a", msgspec.json.Decoder(Any))


def test_null_is_as_if_it_were_not_there() -> None:
    assert list(top_level(b'{"a":null,"b":[null],"c":"null"}')) == ["b", "c"]


@pytest.mark.parametrize(
    ("json_text", "expected"),
    [
        (r'"\ud83d"', "\ufffd"),
        (r'"\ud83d tail"', "\ufffd tail"),
        (r'"\ude00"', "\ufffd"),
        (r'"\ud83d\ude00"', "😀"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd😀"),
        (r'"\ud83d\ude00\ude00"', "😀\ufffd"),
        (r'"\\ud83d \ud83d"', "\\ud83d \ufffd"),  # an escaped backslash is no escape
        (r'"\\\ud83d"', "\\\ufffd"),
        (r'"\uD83D\n"', "\ufffd\n"),
        (r'"\"\ud83d"', '"\ufffd'),
    ],
)
def test_lone_surrogates_become_a_replacement_character(json_text: str, expected: str) -> None:
    assert typed(top_level(b'{"a":' + json_text.encode() + b"}"), "a", _STRING) == expected


_PIECES = st.sampled_from([r"\ud83d", r"\ude00", "\\\\", r"\"", r"\n", "u", "d83d", "😀", r"\u0041"])


@given(st.lists(_PIECES, max_size=9))
def test_any_text_with_surrogates_can_be_read(pieces: list[str]) -> None:
    text = '"' + "".join(pieces) + '"'
    expected = json.loads(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert typed(top_level(f'{{"a":{text}}}'.encode()), "a", _STRING) == expected


def test_a_text_that_is_no_utf8_is_an_error_that_names_it() -> None:
    with pytest.raises(BadRequest) as caught:
        typed(top_level(b'{"ab":"\xff"}'), "ab", _STRING)
    assert caught.value.error.param == "ab"


def test_a_part_that_was_not_read_yet_may_be_no_text() -> None:
    with pytest.raises(BadRequest, match="not valid JSON"):
        generic(b'{"a":"\xff"}')


def test_what_a_codec_does_not_know() -> None:
    fields = top_level(b'{"model":"m","x":{"y":[1]},"z":null}')
    assert unknown(fields, frozenset({"model"})) == {"x": {"y": [1]}}
    assert generic(fields["x"]) == {"y": [1]}


# ------------------------------------------------------------------------------------------------ a first look


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"m","stream":true}', ("m", True)),
        (b'{"model":"m"}', ("m", False)),
        (b'{"stream":null,"model":null}', ("", False)),
        (b"{}", ("", False)),
        (rb'{"model":"m","messages":["\ud83d"]}', ("m", False)),
    ],
)
def test_peek(body: bytes, expected: tuple[str, bool]) -> None:
    assert peek(body) == expected


@pytest.mark.parametrize(
    ("body", "path"),
    [(b'{"model":7}', "model"), (b'{"model":"m","stream":"yes"}', "stream"), (b"[]", None), (b"", None)],
)
def test_peek_names_what_is_wrong(body: bytes, path: str | None) -> None:
    with pytest.raises(BadRequest) as caught:
        peek(body)
    assert caught.value.error.param == path


def test_the_model_is_replaced_and_nothing_else() -> None:
    body = b'{ "model" : "a/b" ,\n "messages":[{"role":"user","content":"\\u00e9 model"}]}'
    assert with_model(body, 'x"y') == body.replace(b'"a/b"', b'"x\\"y"')
