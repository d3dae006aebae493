"""The record of an exchange as views read it. A record may come from a file that an older or a newer version wrote, or
that somebody made by hand: what is missing has a default, what is unknown is passed over, what is wrong raises.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

Headers = list[tuple[str, str]]


class Message(Struct):
    """What passed between the client and us. `first`: the request's method and path, or the answer's status."""

    first: str = ""
    headers: Headers = []
    body: bytes = b""


class Client(Struct):
    protocol: str = ""
    purpose: str = "generate"
    model: str = ""
    stream: bool = False
    credential: str = ""


class Sent(Struct):
    """A request to an upstream. `size` is the body's own, of which the record holds the beginning."""

    method: str = ""
    url: str = ""
    headers: Headers = []
    body: bytes = b""
    size: int = 0


class Received(Struct):
    status: int = 0
    headers: Headers = []
    body: bytes = b""
    size: int = 0
    marks: str = ""


class Fault(Struct):
    status: int = 0
    kind: str = ""
    message: str = ""
    retry_after: float | None = None


class Attempt(Struct):
    upstream: str = ""
    protocol: str = ""
    model: str = ""
    request: Sent | None = None
    response: Received | None = None
    error: Fault | None = None
    started: float = 0.0
    headers_at: float | None = None
    ended: float | None = None


class Answered(Struct):
    """What the client got."""

    body: bytes = b""
    size: int = 0
    streamed: bool = False
    marks: str = ""


class Timings(Struct):
    started: float = 0.0
    head: float | None = None
    ended: float | None = None


class Tokens(Struct):
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    estimated: bool = False

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write

    @property
    def completion(self) -> int:
        return self.output + self.reasoning


class Turn(Struct):
    """The place of an exchange in its conversation. `known`: how many of its messages the turn before had too."""

    id: str = ""
    number: int = 1
    known: int = 0
    previous: str = ""
    session: str = ""


class Did(Struct):
    """What rules did to one thing. `before`, `after`: JSON, cut where it was long, or a list of addresses."""

    by: list[str] = []
    before: Any = b""
    after: Any = b""


class Report(Struct):
    """A rule that failed."""

    rule: str = ""
    hook: str = ""
    at: str = ""
    why: str = ""


class Rules(Struct):
    request: Did | None = None
    targets: Did | None = None
    events: Did | None = None
    response: Did | None = None
    error: Did | None = None
    answer: Did | None = None
    reports: list[Report] = []


class Replays(Struct):
    """What a replay replays: a flow, and with which changes. `beside`: the flow that it is compared with."""

    flow: str = ""
    id: str = ""
    beside: str = ""
    target: str = ""
    model: str = ""
    policy: str = ""


class Record(Struct):
    version: int = 1
    id: str = ""
    client: Client = msgspec.field(default_factory=Client)
    attempts: list[Attempt] = []
    warnings: list[tuple[str, str, str]] = []
    losses: list[tuple[str, str, str]] = []
    status: int | None = None
    error: Fault | None = None
    cancelled: bool = False
    sent: Answered = msgspec.field(default_factory=Answered)
    timings: Timings = msgspec.field(default_factory=Timings)
    usage: Tokens | None = None
    cost: float | None = None  # US dollars
    conversation: Turn | None = None
    rules: Rules | None = None
    replays: Replays | None = None

    @property
    def attempt(self) -> Attempt | None:
        """The last one."""
        return self.attempts[-1] if self.attempts else None


class Shown(Struct):
    """What a view is made of. `path`: the client's, without prefixes; `request`: what it sent, as it came;
    `response`: what it got, where there is anything yet."""

    record: Record
    path: str
    request: Message
    response: Message | None = None


def read(found: Any) -> Record:
    """Raises `ValueError`."""
    if not isinstance(found, dict):
        raise ValueError("this is no exchange of LLM Link")
    try:
        return msgspec.convert(found, Record)
    except msgspec.ValidationError as error:
        raise ValueError(f"the record of this exchange cannot be read: {error}") from None
