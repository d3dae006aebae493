"""Frames are the same at any chunking, and the server-sent events are read as WHATWG says."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lawful import chunks, each_byte
from translators.framing import ArrayFramer, Frame, Framer, FrameTooLarge, LineFramer, SseFramer, WholeFrames, sse


def frames(framer: Framer, pieces: list[bytes]) -> list[Frame]:
    out = [frame for piece in pieces for frame in framer.feed(piece)]
    return out + framer.end()


def oracle(data: bytes) -> list[Frame]:
    """Server-sent events line by line, as the standard tells it; an unfinished event at the end counts."""
    lines = re.split(rb"\r\n|\n|\r", data.removeprefix(b"\xef\xbb\xbf"))
    out: list[Frame] = []
    event: str | None = None
    texts: list[bytes] = []
    for line in [*lines, b""]:
        name, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if not line:
            if texts:
                out.append(Frame(event, b"\n".join(texts)))
            event, texts = None, []
        elif name == b"data":
            texts.append(value)
        elif name == b"event":
            event = value.decode("utf-8", "replace")
    return out


SSE = [
    (b"data: {}\n\n", [Frame(None, b"{}")]),
    (b"data: {}\r\n\r\n", [Frame(None, b"{}")]),
    (b"data: {}\r\r", [Frame(None, b"{}")]),
    (b"data: {}\r\n\n", [Frame(None, b"{}")]),
    (b"event: ping\r\ndata: {}\r\n\r\n", [Frame("ping", b"{}")]),
    (b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", [Frame(None, b"a\nb"), Frame(None, b"c")]),
    (b"data:{}\n\n", [Frame(None, b"{}")]),
    (b"data:  x\n\n", [Frame(None, b" x")]),
    (b"\xef\xbb\xbfdata: {}\n\n", [Frame(None, b"{}")]),
    (b"data: 1\n\n\xef\xbb\xbfdata: 2\n\n", [Frame(None, b"1")]),  # a mark in the middle is part of a field's name
    (b": a comment\n\ndata: 1\n\n:\n\n", [Frame(None, b"1")]),
    (b": a comment\ndata: 1\n: another\n\n", [Frame(None, b"1")]),
    (b"data: a\ndata: b\n\n", [Frame(None, b"a\nb")]),
    (b"data: a\ndata\ndata: b\n\n", [Frame(None, b"a\n\nb")]),
    (b"event: ping\ndata: {}\n\n", [Frame("ping", b"{}")]),
    (b"data: {}\nevent: ping\n\n", [Frame("ping", b"{}")]),
    (b"event:ping\ndata:{}\n\n", [Frame("ping", b"{}")]),
    (b"event: ping\n\n", []),  # no data, no event
    (b"event: a\n\ndata: 1\n\n", [Frame(None, b"1")]),  # and its name is forgotten
    (b"id: 7\nretry: 10\ndata: 1\n\n", [Frame(None, b"1")]),
    (b"data: 1\n\n\n\n\ndata: 2\n\n", [Frame(None, b"1"), Frame(None, b"2")]),
    (b"data: 1\n\ndata: 2", [Frame(None, b"1"), Frame(None, b"2")]),  # the last blank line is missing
    (b"data: 1\n\ndata: 2\n", [Frame(None, b"1"), Frame(None, b"2")]),
    (b"datax: 1\n\n", []),
    (b"data: a:b\n\n", [Frame(None, b"a:b")]),
    ("data: \u2028é😀\n\n".encode(), [Frame(None, "\u2028é😀".encode())]),
    (b"data: \xff\n\n", [Frame(None, b"\xff")]),
    (b"event: \xff\ndata: 1\n\n", [Frame("\ufffd", b"1")]),
    (b"data: \n\n", [Frame(None, b"")]),
    (b"", []),
    (b"\n\n\n", []),
]


@pytest.mark.parametrize(("data", "expected"), SSE)
def test_server_sent_events(data: bytes, expected: list[Frame]) -> None:
    assert oracle(data) == expected
    assert frames(SseFramer(), [data]) == expected
    assert frames(SseFramer(), list(each_byte(data))) == expected


_LINE = st.sampled_from(
    [b"data: {}", b"data:1", b"data", b"event: e", b"event:e", b": c", b"id: 1", b"", b"", b"x", "data: é😀".encode()]
)
_STREAM = st.lists(st.tuples(_LINE, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=14).map(
    lambda lines: b"".join(line + end for line, end in lines)
)
_CUTS = st.lists(st.integers(0, 120), max_size=12)


@given(_STREAM, st.booleans(), _CUTS)
def test_any_split_of_a_stream_gives_the_frames_of_the_standard(data: bytes, mark: bool, cuts: list[int]) -> None:
    data = b"\xef\xbb\xbf" + data if mark else data
    assert frames(SseFramer(), list(chunks(data, cuts))) == oracle(data)


@given(st.binary(max_size=80), _CUTS)
def test_junk_is_framed_alike_at_any_split(data: bytes, cuts: list[int]) -> None:
    for framer in (SseFramer, LineFramer, ArrayFramer):
        assert frames(framer(), list(chunks(data, cuts))) == frames(framer(), [data])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}\n\n \n{"b":2}', [b'{"a":1}', b'{"b":2}']),
        (b"\n\n", []),
        (b"", []),
    ],
)
def test_lines(data: bytes, expected: list[bytes]) -> None:
    assert [frame.data for frame in frames(LineFramer(), [data])] == expected
    assert [frame.data for frame in frames(LineFramer(), list(each_byte(data)))] == expected


_VALUE = st.recursive(
    st.none() | st.integers() | st.text(alphabet='ab"\\[]{}é😀', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('x"\\{]', max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(st.text(max_size=3), _VALUE, max_size=3), max_size=4), st.booleans(), _CUTS)
def test_the_elements_of_an_array_come_one_by_one(values: list[object], pretty: bool, cuts: list[int]) -> None:
    data = json.dumps(values, indent=1 if pretty else None, ensure_ascii=False).encode()
    assert [json.loads(frame.data) for frame in frames(ArrayFramer(), list(chunks(data, cuts)))] == values


def test_a_lone_object_counts_as_one_element() -> None:
    assert frames(ArrayFramer(), [b' {"error": {"code": 429}} ']) == [Frame(None, b'{"error": {"code": 429}}')]


def test_an_element_comes_as_soon_as_it_is_complete() -> None:
    framer = ArrayFramer()
    assert framer.feed(b'[{"a":"}') == []
    assert framer.feed(b'"}') == [Frame(None, b'{"a":"}"}')]
    assert framer.feed(b',\r\n{"b":2}') == [Frame(None, b'{"b":2}')]


def test_a_frame_comes_with_its_last_byte() -> None:
    framer = SseFramer()
    assert framer.feed(b"data: 1\r\n\r") == [Frame(None, b"1")]
    assert framer.feed(b"\ndata: 2\n") == []
    assert framer.feed(b"\n") == [Frame(None, b"2")]


@pytest.mark.parametrize("framer", [SseFramer(64), LineFramer(64), ArrayFramer(64)])
def test_an_unfinished_frame_is_limited(framer: Framer) -> None:
    framer.feed(b'{"data: ' + b"x" * 40)
    with pytest.raises(FrameTooLarge):
        for _ in range(3):
            framer.feed(b"x" * 20)


@pytest.mark.parametrize("framer", [SseFramer(64), LineFramer(64)])
def test_the_limit_holds_in_one_chunk_too(framer: Framer) -> None:
    with pytest.raises(FrameTooLarge):
        framer.feed(b"data: " + b"x" * 100)


def test_many_frames_in_one_chunk_are_no_long_frame() -> None:
    assert len(SseFramer(64).feed(b"data: x\n\n" * 100)) == 100


def test_a_long_frame_in_small_pieces_costs_linear_time() -> None:
    framer = SseFramer()
    for _ in range(20_000):  # quadratic searching would take minutes
        framer.feed(b"x" * 100)
    assert frames(framer, [b"\ndata: 1\n\n"]) == [Frame(None, b"1")]


def test_writing_an_event() -> None:
    assert sse(b"{}") == b"data: {}\n\n"
    assert sse(b"{}", "ping") == b"event: ping\ndata: {}\n\n"
    assert frames(SseFramer(), [sse(b"{}", "ping")]) == [Frame("ping", b"{}")]


# ------------------------------------------------------------------------------------------------ bytes that go through

_SSE_BYTES = st.lists(
    st.sampled_from([b"data: a", b"event: b", b"\n", b"\n\n", b"\r\n", b"\r\n\r\n", b"\r", b"x"])
).map(b"".join)


@given(_SSE_BYTES.filter(lambda data: data.strip()[:1] not in (b"[", b"{")), st.lists(st.integers(0, 60), max_size=8))
def test_bytes_go_through_as_they_are_and_end_where_a_frame_ends(data: bytes, cuts: list[int]) -> None:
    whole, out = WholeFrames("sse"), b""
    for piece in chunks(data, cuts):
        out += (said := whole.feed(piece))
        assert not said or out.endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))
        assert data.startswith(out)
        assert whole.held == len(data[: len(out) + whole.held]) - len(out)
    assert out + whole.rest() == data
    assert not any(mark in whole.rest() for mark in (b"\n\n", b"\r\n\r\n", b"\r\r"))


@pytest.mark.parametrize("array", [b'[{"a": 1},', b'  {"a": 1}'])
def test_a_json_array_passes_at_once(array: bytes) -> None:
    whole = WholeFrames("sse")
    assert whole.feed(array) == array and whole.feed(b"\n{") == b"\n{" and whole.rest() == b""


def test_lines_are_whole_at_their_end() -> None:
    whole = WholeFrames("lines")
    assert [whole.feed(piece) for piece in (b'{"a"', b":1}\n{", b"}\n", b"\n")] == [b"", b'{"a":1}\n', b"{}\n", b"\n"]
