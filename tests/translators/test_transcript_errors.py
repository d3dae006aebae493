"""Errors on the wire: `errors/PROTOCOL.json` holds each kind of `neutral.json` as this protocol says it.

`read` tells what of it the protocol cannot say. `seen.json` are bodies that providers were seen to send.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.strategies import SEED
from tests.transcribed import ROOT, wire
from translators import CODECS
from translators.bridge import Bridge
from translators.codec import DEFAULT_TRAITS, Codec
from translators.model import ApiError

ERRORS: dict[str, dict[str, Any]] = json.loads((ROOT / "errors" / "neutral.json").read_bytes())
SEEN: list[dict[str, Any]] = json.loads((ROOT / "errors" / "seen.json").read_bytes())
SAID: dict[str, dict[str, Any]] = {name: json.loads((ROOT / "errors" / f"{name}.json").read_bytes()) for name in CODECS}

EACH = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
EACH_ERROR = pytest.mark.parametrize("name", ERRORS)


def error(name: str, codec: Codec) -> tuple[int, dict[str, str], bytes]:
    said = SAID[codec.NAME][name]
    return said["status"], said["headers"], msgspec.json.encode(said["body"])


def facts(codec: Codec, status: int, headers: dict[str, str], body: bytes, names: Any) -> dict[str, Any]:
    found = json.loads(msgspec.json.encode(codec.parse_error(status, headers, body)))
    return {name: found.get(name) for name in names}


@EACH
@EACH_ERROR
def test_an_error_is_read(name: str, codec: Codec) -> None:
    status, headers, body = error(name, codec)
    id = headers.get("request-id") or headers.get("x-request-id")
    expected = {**ERRORS[name], **SAID[codec.NAME][name].get("read", {}), "status": status, "request_id": id}
    assert facts(codec, status, headers, body, expected) == expected


@EACH
@EACH_ERROR
def test_an_error_is_written(name: str, codec: Codec) -> None:
    status, headers, body = error(name, codec)
    neutral = msgspec.convert({"status": status, "message": "m", "request_id": "req_1", **ERRORS[name]}, ApiError)
    got = codec.render_error(neutral)
    assert (got[0], got[1], json.loads(got[2])) == (status, headers, json.loads(body))


@EACH
@EACH_ERROR
def test_an_error_from_every_protocol(name: str, codec: Codec) -> None:
    """What an upstream says reaches the client as its own protocol says it, less what the upstream could not say."""
    for upstream in CODECS.values():
        read = upstream.parse_error(*error(name, upstream))
        got = codec.render_error(replace(read, request_id="req_1", code=None, param=None))  # its own words
        if "read" not in SAID[upstream.NAME][name]:
            status, headers, body = error(name, codec)
            assert (got[0], got[1], json.loads(got[2])) == (status, headers, json.loads(body)), upstream.NAME
        else:
            assert facts(codec, *got, ["kind"])["kind"] in (read.kind, ERRORS[name]["kind"], "server"), upstream.NAME


@EACH_ERROR
def test_an_error_through_a_bridge(name: str) -> None:
    """No byte goes to the client: the error is a value, with which another target may be tried; between two of one
    protocol its own words are kept."""
    for client, upstream in ((client, upstream) for client in CODECS.values() for upstream in CODECS.values()):
        status, headers, body = error(name, upstream)
        for streamed in (True, False):
            said = wire("plain-text", client, stream=streamed)
            made = Bridge(
                client, upstream, said, client.parse_request(said), model="m", stream=streamed, traits=DEFAULT_TRAITS,
                policy="balanced", seed=SEED,
            )  # fmt: skip
            answer = made.answer(status, headers)
            out = answer.feed(body[:7]) + answer.feed(body[7:]) + answer.feed(b"")
            assert (out, answer.head, answer.crash, answer.done) == (b"", None, None, True)
            assert answer.error == upstream.parse_error(status, headers, body)
            assert (answer.reply is None) == (client is not upstream)
            if answer.reply is not None:
                assert (answer.reply[0], answer.reply[2]) == (status, body)


@pytest.mark.parametrize("case", SEEN, ids=[f"{case['protocol']}-{case['name']}" for case in SEEN])
def test_an_error_that_was_seen(case: dict[str, Any]) -> None:
    body = case["body"] if isinstance(case["body"], str) else json.dumps(case["body"])
    headers, expected = case.get("headers", {}), case["expected"]
    assert facts(CODECS[case["protocol"]], case["status"], headers, body.encode(), expected) == expected
