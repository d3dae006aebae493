"""The bench's own parts: a load that is counted right, answers that are whole, and a table that knows its goals."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from scripts import bench
from scripts import bench_load as load
from scripts import bench_wire as wire
from scripts.bench_house import stub
from translators import CODECS
from translators.bridge import Bridge
from translators.codec import DEFAULT_TRAITS, Seed, Wire
from translators.events import Finish, PartDelta


@pytest.mark.parametrize("protocol", list(wire.BODIES))
def test_the_load_counts_whole_answers(protocol: str) -> None:
    with stub() as port:
        for model, count in (("x-plain-0", 20), ("x-burst-3", 20), ("x-alone-5", 4)):
            tally = asyncio.run(load.run(port, wire.request(protocol, model), connections=2, count=count))
            assert tally.requests == count == len(tally.first)


@pytest.mark.parametrize("protocol", list(wire.BODIES))
def test_a_bad_status_ends_the_run(protocol: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async def go() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        async with server:
            await load.run(server.sockets[0].getsockname()[1], wire.request(protocol, "x-plain-0"), count=1)

    with pytest.raises(RuntimeError, match="500"):
        asyncio.run(go())


@pytest.mark.parametrize("protocol", list(wire.BODIES))
def test_what_the_stub_says_is_its_protocol(protocol: str) -> None:
    path = wire.path_of(protocol, "m", True).encode()
    said, codec, seed = wire.voice_of(path), CODECS[protocol], Seed("a" * 24, 1)
    decoder = codec.decoder(seed)
    events = [*decoder.feed(said.begin + said.delta * 3 + said.end), *decoder.feed(b"")]
    assert sum(isinstance(event, PartDelta) for event in events) == 3
    assert isinstance(events[-1], Finish)
    assert codec.parse_response(said.whole, seed).usage.prompt == 10


@pytest.mark.parametrize("protocol", list(wire.BODIES))
def test_the_requests_are_of_the_size_that_is_asked_for(protocol: str) -> None:
    body = wire.encoded(wire.BODIES[protocol][1]("m", True, 200, 4000))
    parsed = CODECS[protocol].parse_request(Wire(wire.path_of(protocol, "m", True), body))
    assert 0.8e6 < len(body) < 1.1e6
    assert sum(message.role != "system" for message in parsed.messages) in (151, 201)


@pytest.mark.parametrize("client", list(wire.BODIES))
@pytest.mark.parametrize("upstream", list(wire.BODIES))
def test_each_pair_writes_an_event_for_each_delta(client: str, upstream: str) -> None:
    """The bench counts the deltas that it sends; none may be joined on the way, or an event would look cheap."""
    said, seed, deltas = wire.voice_of(wire.path_of(upstream, "m", True).encode()), Seed("a" * 24, 1), 50
    asked = Wire(wire.path_of(client, "m", True), wire.encoded(wire.BODIES[client][1]("m", True)))
    bridge = Bridge(
        CODECS[client], CODECS[upstream], asked, CODECS[client].parse_request(asked), model="m", stream=True,
        traits=DEFAULT_TRAITS, policy="balanced", seed=seed,
    )  # fmt: skip
    answer = bridge.answer(200, {"content-type": said.content_type.decode()})
    out = answer.feed(said.begin + said.delta * deltas + said.end) + answer.feed(b"")
    events = [*CODECS[client].decoder(seed).feed(out)]
    assert sum(isinstance(event, PartDelta) for event in events) == deltas


def test_a_missed_goal_is_said_and_strict_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [bench.Row("this", good=True), bench.Row("that", good=False), bench.Row("other")]
    monkeypatch.setattr(bench, "measure", lambda sections, scale: iter(rows))
    assert bench.main(["--json", str(tmp_path / "out.json")]) == 0
    assert bench.main(["--strict"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any("this" in line and "PASS" in line for line in lines)
    assert any("that" in line and "MISS" in line for line in lines)
    assert [row["good"] for row in json.loads((tmp_path / "out.json").read_text())] == [True, False, None]
