"""Pieces of an answer that one read brought are handed on as one, with nothing lost, moved or mixed up."""

from __future__ import annotations

from typing import Any

import pytest
from mitmproxy.proxy.commands import Command, Log
from mitmproxy.proxy.events import DataReceived
from mitmproxy.proxy.layers.http import ReceiveHttp, ResponseData, ResponseEndOfMessage
from mitmproxy.test.tflow import tserver_conn

from addons.gateway import Joined


class Inner:
    def __init__(self, commands: list[Command]) -> None:
        self.commands = commands

    def handle_event(self, event: Any) -> Any:
        yield from self.commands


def piece(stream: int, data: bytes) -> ReceiveHttp:
    return ReceiveHttp(ResponseData(stream, data))


def end(stream: int) -> ReceiveHttp:
    return ReceiveHttp(ResponseEndOfMessage(stream))


def said(commands: list[Command]) -> list[Any]:
    return [
        (command.event.stream_id, getattr(command.event, "data", None)) if isinstance(command, ReceiveHttp) else command
        for command in commands
    ]


LOG = Log("between")
CASES: list[tuple[list[Command], list[Any]]] = [
    ([], []),
    ([piece(1, b"a")], [(1, b"a")]),
    ([piece(1, b"a"), piece(1, b"b"), end(1)], [(1, b"ab"), (1, None)]),
    ([piece(1, b"a"), piece(3, b"b"), piece(1, b"c")], [(1, b"a"), (3, b"b"), (1, b"c")]),
    ([piece(1, b"a"), end(1), piece(3, b"b"), piece(3, b"c")], [(1, b"a"), (1, None), (3, b"bc")]),
    ([piece(1, b"a"), LOG, piece(1, b"b")], [(1, b"a"), LOG, (1, b"b")]),
]


@pytest.mark.parametrize(("given", "wanted"), CASES)
def test_pieces_are_joined_in_their_order(given: list[Command], wanted: list[Any]) -> None:
    joined = Joined(Inner(given))  # type: ignore[arg-type]
    assert said([*joined.handle_event(DataReceived(tserver_conn(), b""))]) == wanted
