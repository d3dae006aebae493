"""One exchange while it lives, and its record in `flow.metadata["llm_link"]`: plain values, no credential.

The live objects (bridge, answer, the request to send) belong to the exchange and go when the flow ends; the record is
what views, saved flows and later features read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from pydantic import SecretStr

from addons.apps import App
from addons.choosing import Board
from addons.credentials import MASKED, Taken, scrub
from addons.marks import Marks
from addons.memory import ClientMemory
from addons.rates import Meters, Pass
from addons.routing import Router, Target
from addons.settings import Settings
from addons.surfaces import Surface
from translators.answer import Answer
from translators.bridge import Bridge
from translators.codec import Codec, Seed, Wire
from translators.embed import EmbedRequest, estimated
from translators.model import ApiError, BadRequest, ErrorKind, Request, Usage
from translators.policy import Loss
from translators.tokens import estimate

if TYPE_CHECKING:
    from addons.ruleset import Ruled

METADATA = "llm_link"
VERSION = 1


class Reply(msgspec.Struct, frozen=True):
    """What the client gets, in one piece."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wait(msgspec.Struct, frozen=True):
    """Nothing to send yet: ask again after so many seconds."""

    seconds: float


class Outgoing(msgspec.Struct, frozen=True):
    """One attempt, ready to be sent: where to, and what."""

    scheme: str
    host: str
    port: int
    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    connect_timeout: float  # seconds; 0: none
    first_byte_timeout: float
    idle_timeout: float
    total_timeout: float
    via: tuple[Literal["http", "tcp"], tuple[str, int]] | None = None  # an egress proxy: its kind and address
    login: SecretStr | None = None  # what a SOCKS proxy is told, user:password


class Capture:
    """A bounded copy of what passed: the beginning, and the size of all. `marks`: when each piece did, where somebody
    will look at it."""

    def __init__(self, limit: int, marks: Marks | None = None) -> None:
        self._left = limit
        self._pieces: list[bytes] = []
        self.size = 0
        self.marks = marks

    def add(self, data: bytes, at: float) -> None:
        """`at`: now, monotonic."""
        self.size += len(data)
        if self.marks is not None:
            self.marks.add(self.size, at)
        if self._left > 0 and data:
            piece = data[: self._left]
            self._pieces.append(piece)
            self._left -= len(piece)

    def kept_alive(self, at: float) -> None:
        """Something passed that is no part of the answer."""
        if self.marks is not None:
            self.marks.add(self.size, at)

    @property
    def data(self) -> bytes:
        if len(self._pieces) > 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0] if self._pieces else b""

    def passed(self, began: float) -> str:
        return self.marks.text(began) if self.marks is not None else ""

    def scrub(self, secrets: Sequence[str]) -> None:
        self._pieces = [scrub(self.data, secrets)]


class Attempt:
    """One request to one target."""

    def __init__(self, target: Target, bridge: Bridge | None, outgoing: Outgoing | None, received: Capture) -> None:
        self.target, self.bridge, self.outgoing = target, bridge, outgoing
        self.answer: Answer | None = None
        self.started = time.time()
        self.headers_at: float | None = None
        self.ended_at: float | None = None
        self.status: int | None = None
        self.response_headers: dict[str, str] = {}
        self.received = received
        self.error: ApiError | None = None
        self.settled = False  # its target's standing knows how it ended
        self.passed: Pass | None = None  # through the limits of its upstream
        self.told = False  # rules know of its error
        self.onward = False  # one of them says where to go on, whatever the error is

    def record(self, capture: int, began: float) -> dict[str, Any]:
        out = self.outgoing
        return {
            "upstream": self.target.upstream.name,
            "protocol": self.target.upstream.protocol,
            "model": self.target.model,
            "request": None
            if out is None
            else {
                "method": out.method,
                "url": f"{out.scheme}://{out.host}:{out.port}{out.path}",
                "headers": [[k.decode("latin-1"), _shown(k, v)] for k, v in out.headers],
                "body": out.body[:capture],
                "size": len(out.body),
            },
            "response": None
            if self.status is None
            else {
                "status": self.status,
                "headers": [[k, v] for k, v in self.response_headers.items()],
                "body": self.received.data,
                "size": self.received.size,
                "marks": self.received.passed(began),
            },
            "error": None if self.error is None else _plain_error(self.error),
            "started": self.started,
            "headers_at": self.headers_at,
            "ended": self.ended_at,
        }


def _shown(name: bytes, value: bytes) -> str:
    return "***" if name.lower() in MASKED else value.decode("utf-8", "replace")


def _plain_error(error: ApiError) -> dict[str, Any]:
    return {"status": error.status, "kind": error.kind, "message": error.message, "retry_after": error.retry_after}


class Exchange:
    """One request of a client, all attempts to answer it, and what came of it."""

    def __init__(
        self, settings: Settings, surface: Surface, codec: Codec, seed: Seed, taken: Taken, board: Board, meters: Meters
    ) -> None:
        self.settings, self.surface, self.codec, self.seed, self.taken = settings, surface, codec, seed, taken
        self.board, self.meters = board, meters
        self.passed: Pass | None = None  # through the limits of its key and client
        self.started, self.began = time.time(), time.monotonic()
        self.watched = False  # somebody will look at it
        self.showing = False  # a viewer will see it soon
        self.show_in = 0.2  # seconds from then
        self.app: App | None = None  # the client's program, where it is known
        self.conversation: dict[str, Any] | None = None  # its place in one; {}: it has none
        self.wire = Wire("/")
        self.fields: Sequence[tuple[bytes, bytes]] = ()  # the client's header fields, redacted
        self.model = ""
        self.stream = False
        self.asked: Any = None  # what the client asks for in neutral words, once somebody has to read it
        self.targets: list[Target] = []
        self.tried = 0  # how many of the targets
        self.again: Target | None = None  # the one to try once more, after a wait
        self.attempts: list[Attempt] = []
        self.memory: ClientMemory | None = None  # what the client could not carry
        self.forget = False  # opaque tokens are not given back: the upstream refused one
        self.head_at: float | None = None
        self.ended_at: float | None = None
        self.status: int | None = None
        self.sent = Capture(settings.limits.capture)
        self.error: ApiError | None = None
        self.cost: float | None = None  # US dollars, once it is over and where prices are known
        self.cancelled = False
        self.caller = ""  # the label of the key that let it in
        self.stopped = False  # the operator killed it
        self.edited = False  # an answer in one piece: the operator or a script changed it
        self.streaming = False
        self.router: Router | None = None
        # What rules read and edit; docs/rules.md is about these.
        self.ruled: Ruled | None = None  # None: there are no rules
        self.response: Any = None  # the whole answer; one that a rule puts here before it was asked for is the answer
        self.notes: dict[str, Any] = {}  # a rule's own, from one hook to the next
        self.rewritten: Any = None  # the request as rules left it, where one changed it
        self.unreadable: BadRequest | None = None  # why there is no neutral request
        self._request: Any = None
        self._asked_model = ""  # as the client's neutral request names it
        self._snapshots: tuple[bytes, bytes] | None = None  # of `_request`: as the client sent it, and as it is good

    # ---- for rules

    @property
    def request(self) -> Any:
        """What the client asks for in neutral words: a `Request`, or an `EmbedRequest`. Edit it, or set another one.
        Raises `BadRequest` where the client's body cannot be read."""
        if self._request is None:
            try:
                self._request = self.question_codec.parse_request(self.wire)
            except BadRequest as error:
                self.unreadable = error
                raise
            snapshot = msgspec.json.encode(self._request)
            self._asked_model = self._request.model
            self._snapshots = (snapshot, snapshot)
        return self._request

    @request.setter
    def request(self, request: Any) -> None:
        _ = self.request  # what it was is compared with
        self._request = request

    @property
    def protocol(self) -> str:
        """The client's protocol."""
        return self.codec.NAME

    @property
    def purpose(self) -> str:
        """What the request is for: `generate`, `count_tokens`, `embed`, `compact` or `stored`."""
        return self.surface.purpose

    @property
    def headers(self) -> Mapping[str, str]:
        """The client's, names in lower case, credentials redacted."""
        return self.wire.headers

    def resolve(self, name: str) -> list[Target]:
        """The targets of a name of `models`, or of `UPSTREAM/MODEL`. Raises `BadRequest` for one that is not known."""
        assert self.router is not None
        return [*self.router.named(name).targets]

    def refuse(self, message: str, status: int = 403, kind: ErrorKind = "permission") -> None:
        """Let the client have an error in its protocol's shape; nothing is sent."""
        self.error = ApiError(status, kind, message)

    def settle_request(self) -> tuple[bytes, bytes]:
        """Take what a rule left in `request`: it before and after, as JSON, equal where nothing changed. Raises where
        it is no request any more."""
        if self._snapshots is None:
            return b"", b""
        first, before = self._snapshots
        kind = EmbedRequest if self.purpose == "embed" else Request
        if not isinstance(self._request, kind):
            raise TypeError(f"exchange.request must be a {kind.__name__}, not {type(self._request).__name__}")
        after = msgspec.json.encode(self._request)
        if after != before:
            self._request = msgspec.json.decode(after, type=kind)
            self._snapshots = first, after
            self.rewritten = None if after == first else self._request
        return before, after

    def undo_request(self) -> None:
        """What a rule began to change before it failed is as it was."""
        if self._snapshots is not None:
            kind = EmbedRequest if self.purpose == "embed" else Request
            self._request = msgspec.json.decode(self._snapshots[1], type=kind)
            self.rewritten = None if self.rewritten is None else self._request

    @property
    def wanted_model(self) -> str:
        """The model that is asked for: the client's, unless a rule named another."""
        changed = self.rewritten is not None and self._request.model != self._asked_model
        return self._request.model if changed else self.model

    # ---- what it is

    @property
    def question_codec(self) -> Any:
        """What reads the client's body, and writes what is asked there."""
        return self.codec.SERVICES.get(self.surface.purpose, self.codec)

    def watch(self) -> None:
        """Somebody will look at it: keep when its pieces passed."""
        self.watched, self.sent.marks = True, Marks()

    def capture(self) -> Capture:
        """For the answer of an attempt."""
        return Capture(self.settings.limits.capture, Marks() if self.watched else None)

    @property
    def begins_early(self) -> float:
        """After how many silent seconds a head and a keep-alive go out; 0: they wait for the upstream."""
        return self.settings.keepalive_early if self.streams else 0

    @property
    def streams(self) -> bool:
        """Whether the client is to get a stream."""
        return self.stream and self.surface.purpose in ("generate", "stored")

    @property
    def attempt(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def warnings(self) -> Sequence[Loss]:
        attempt = self.attempt
        if attempt is None or attempt.bridge is None:
            return ()
        late = attempt.answer.warnings if attempt.answer is not None else []
        return [*attempt.bridge.warnings, *late]

    @property
    def tokens_used(self) -> int | None:
        usage = self.usage
        return None if usage is None else usage.prompt + usage.completion

    def prompt_tokens(self) -> int:
        """What the prompt has at most; 0: it cannot be read, which is for others to say."""
        if self.surface.purpose == "stored":
            return 0
        try:
            asked = self.rewritten or self.asked or self.question_codec.parse_request(self.wire)
        except BadRequest:
            return 0
        return estimated(asked).input if isinstance(asked, EmbedRequest) else estimate(asked)

    @property
    def usage(self) -> Usage | None:
        answer = self.attempts[-1].answer if self.attempts else None
        return answer.usage if answer is not None else None

    @property
    def _credential(self) -> str:
        """Where the client presented its key: a header, `?key`, or "" for nowhere."""
        presented, origin = self.taken.presented, self.taken.origin
        return presented[0][0] if presented else origin.credential if origin is not None else ""

    def losses(self) -> list[Loss]:
        attempt = self.attempt
        if attempt is None or attempt.bridge is None:
            return []
        late = attempt.answer.losses if attempt.answer is not None else []
        return [*attempt.bridge.losses, *late]

    def record(self) -> dict[str, Any]:
        """The exchange as plain values: what `flow.metadata` holds."""
        capture = self.settings.limits.capture
        usage, origin, passed = self.usage, self.taken.origin, self.sent.passed(self.began)
        return {
            "version": VERSION,
            "id": self.seed.id,
            "client": {
                "protocol": self.codec.NAME,
                "purpose": self.surface.purpose,
                "model": self.model,
                "stream": self.stream,
                "app": None if self.app is None else self.app.name,
                "credential": self._credential,
                "owner": "" if self.memory is None else self.memory.owner,
            },
            "replays": None if origin is None else origin.record(),
            "attempts": [attempt.record(capture, self.began) for attempt in self.attempts],
            "warnings": [[loss.path, loss.code, loss.why] for loss in self.warnings],
            "rules": None if self.ruled is None else self.ruled.record(capture),
            "losses": [[loss.path, loss.code, loss.why] for loss in self.losses()],
            "status": self.status,
            "error": None if self.error is None else _plain_error(self.error),
            "cancelled": self.cancelled,
            "stopped": self.stopped,
            "edited": self.edited,
            "sent": {"body": self.sent.data, "size": self.sent.size, "streamed": self.streaming, "marks": passed},
            "conversation": self.conversation or None,
            "cost": self.cost,
            "timings": {"started": self.started, "head": self.head_at, "ended": self.ended_at},
            "usage": None
            if usage is None
            else {
                "input": usage.input,
                "cache_read": usage.cache_read,
                "cache_write": usage.cache_write,
                "output": usage.output,
                "reasoning": usage.reasoning,
                "estimated": usage.estimated,
            },
        }
