"""The fuzzer in its short form, and that it would notice."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from scripts import fuzz
from scripts.fuzz_corpus import CLIENT_KEY, HEAVY
from scripts.fuzz_input import Case, Drawer
from scripts.fuzz_wire import Answer, Upstream, Wrong, read_answer


def test_the_proxy_stays_up() -> None:
    tally = fuzz.measure(2000, 1)
    assert tally.faults == [], tally.log[-3000:]
    assert tally.sent == 2000 and tally.good == tally.batches == 2
    assert {kind for kind, _ in tally.statuses} >= {*HEAVY, "good", "bad head", "odd path", "raw bytes", "service"}


def test_a_seed_says_the_same_things() -> None:
    first, second, other = (list(Drawer(number).cases(150)) for number in (3, 3, 4))
    assert first == second != other
    assert len(Counter(case.kind for case in first)) > 8


def test_what_is_drawn_leaves_the_pool_as_it_is() -> None:
    drawer = Drawer(5)
    before = repr(drawer.values)
    for _ in range(3000):
        drawer.values_changed()
    assert repr(drawer.values) == before



@pytest.mark.parametrize(("protocol", "status", "kind", "body", "why"), [
    ("ollama", 400, "application/json", b'{"error":"no"}', ""),
    ("anthropic", 400, "application/json", b'{"error":"no"}', "out of shape"),
    ("", 404, "application/json", b'{"error":"no"}', ""),
    ("ollama", 502, "application/json", b'{"error":"LLM Link failed"}', "of ours"),
    ("ollama", 501, "application/json", b'{"error":"not built"}', ""),
    ("ollama", 400, "text/plain", b"no", "out of shape"),
    ("ollama", 400, "text/html", b"<p>", "out of shape"),
    ("ollama", 200, "application/json", b"{", "out of shape"),
    ("ollama", 200, "application/x-ndjson", b'{"done":false}\n', "out of shape"),
    ("ollama", 400, "application/json", b'{"error":"' + CLIENT_KEY.encode() + b'"}', "a key came out"),
])  # fmt: skip
def test_the_judge(protocol: str, status: int, kind: str, body: bytes, why: str) -> None:
    found = fuzz.fault(Case("x", b"", protocol), Answer(status, {"content-type": kind}, body))
    assert why in found and bool(found) == bool(why)


@pytest.mark.parametrize("data", [
    b"HTTP/1.1 200 OK\r\nx y: z\r\ncontent-length: 0\r\n\r\n", b"HTTP/2 200\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: a\rb\r\n\r\n",
])  # fmt: skip
async def test_what_is_no_http_is_noticed(data: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    with pytest.raises(Wrong):
        await read_answer(reader, head=False)


def test_the_upstream_notices_what_it_must_not_get() -> None:
    head = b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1:1\r\n\r\n"
    for bad, body in ((head, CLIENT_KEY.encode()), (head.replace(b"127.0.0.1", b"evil"), b"{}"), (head, b"{")):
        upstream = Upstream()
        upstream.answer(bad, body)
        assert len(upstream.wrong) >= 1
    fine = Upstream()
    assert b"message" in fine.answer(head, b"{}") and not fine.wrong
