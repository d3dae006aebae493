"""The translation as a library: a request, an answer or a stream of one protocol as another one's, without a network.

    from llm_link.translators.offline import translate_request

    translation = translate_request("anthropic", "openai-chat", body, model="glm-4.6")
    translation.wire                  # what goes upstream: path (after its base URL), headers, body
    translation.response(answer)      # what the client gets for the upstream's whole answer
    translation.stream().feed(data)   # the same for a stream, as it comes

Protocols are named as everywhere: `openai-chat`, `openai-responses`, `anthropic`, `gemini`, `ollama`. Nothing here does
I/O, reads a clock or draws a number: the ids and times of an answer come from `seed`.

What is wrong with a request, and what the policy refuses, is a `BadRequest` whose `error` names the JSON path. What is
wrong with an answer is never an exception: it is an error in the client's shape, as it would be on the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from . import CODECS
from .answer import Answer
from .bridge import Bridge
from .codec import DEFAULT_TRAITS, Codec, Seed, Traits, Wire
from .events import Event, unfold
from .findings import Pair
from .framing import FRAME_LIMIT
from .model import ApiError, BadRequest, Reason, Request, Response, Usage
from .policy import POLICIES, Loss, Policy
from .whole import written

__all__ = [
    "ApiError", "BadRequest", "Loss", "Reply", "Seed", "Stream", "Traits", "Translation", "Usage", "Wire",
    "render_error", "translate_request", "translate_response", "translate_stream",
]  # fmt: skip

SEED = Seed("0" * 24, 0)

# Where each protocol's clients ask for an answer, when only a body is given.
_PATHS = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "ollama": "/api/chat",
}
_GEMINI = {False: "/v1beta/models/{}:generateContent", True: "/v1beta/models/{}:streamGenerateContent?alt=sse"}

Body = bytes | str | Mapping[str, Any]


class Reply(Struct, frozen=True):
    """What the client gets, in one piece. `usage`: tokens, in disjoint counters; `error`: where it is one; `losses`:
    what could not be said in the client's protocol."""

    status: int
    headers: dict[str, str]
    body: bytes
    usage: Usage | None = None
    error: ApiError | None = None
    losses: tuple[Loss, ...] = ()

    @property
    def json(self) -> Any:
        """The body as plain values. Raises `msgspec.DecodeError` where it is a stream."""
        return msgspec.json.decode(self.body)


class Stream:
    """An answer that comes in pieces. `status` and `headers` are the client's; they hold once `feed` gave something."""

    def __init__(self, answer: Answer, client: Codec) -> None:
        self._answer, self._client = answer, client
        self._refused: tuple[int, dict[str, str], bytes] | None = None

    def feed(self, data: bytes) -> bytes:
        """The upstream's next bytes, however they are cut, to the client's; b"" is the end. An upstream's error before
        anything else becomes a whole answer with the error's own status."""
        out = self._answer.feed(data)
        if self._answer.error is None or self._refused is not None:
            return out
        self._refused = self._answer.reply or self._client.render_error(self._answer.error)
        return self._refused[2]

    @property
    def status(self) -> int:
        """0: not known yet."""
        if self._refused is not None:
            return self._refused[0]
        return self._answer.head.status if self._answer.head is not None else 0

    @property
    def headers(self) -> dict[str, str]:
        if self._refused is not None:
            return self._refused[1]
        return self._answer.head.headers if self._answer.head is not None else {}

    @property
    def error(self) -> ApiError | None:
        """How the upstream failed, before the answer began or in the middle of it."""
        return self._answer.error or self._answer.failure

    @property
    def usage(self) -> Usage | None:
        """Tokens, in disjoint counters; None: not said yet."""
        return self._answer.usage

    @property
    def losses(self) -> tuple[Loss, ...]:
        return tuple(self._answer.losses)


class Translation:
    """A request for an upstream, and the way back for what the upstream answers.

    `wire` goes upstream: its path continues the base URL, as in `https://api.example.com/v1` + `/chat/completions`.
    `losses` are all that the other protocol cannot say, `warnings` those that the policy tells the client. `idle`: the
    answer is known to be empty (an Ollama client loads a model), so that no upstream needs to be asked: `empty`."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self.wire: Wire = bridge.wire
        self.losses: tuple[Loss, ...] = tuple(bridge.losses)
        self.warnings: tuple[Loss, ...] = tuple(bridge.warnings)
        self.idle: bool = bridge.idle

    def empty(self) -> Reply:
        """The answer to a request that asks for none."""
        reason: Reason = "length" if self._bridge.as_asked().max_output == 0 else "end"
        head, body = written(self._bridge, unfold(Response(reason=reason, usage=Usage())), {})
        return Reply(head.status, head.headers, body, Usage())

    @property
    def json(self) -> Any:
        """The body of `wire` as plain values."""
        return msgspec.json.decode(self.wire.body)

    def response(self, body: Body, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
        """The upstream's whole answer as the client's. Where the client asked for a stream, it is one."""
        return _reply(self._bridge, body, status, headers)

    def stream(self, status: int = 200, headers: Mapping[str, str] | None = None) -> Stream:
        """For an answer that comes in pieces. Where the client asked for no stream, all comes at the end."""
        return Stream(self._bridge.answer(status, _lower(headers)), self._bridge.client)

    def stream_of(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The same for pieces that are there already, or come one by one."""
        return _fed(self.stream(), pieces)


def translate_request(
    client: str,
    upstream: str,
    request: Wire | Body,
    *,
    model: str = "",
    stream: bool = False,
    traits: Traits = DEFAULT_TRAITS,
    policy: Policy = "balanced",
    seed: Seed = SEED,
) -> Translation:
    """A client's request as the upstream's.

    `request`: its body (bytes, text or values), or all of it as a `Wire`, whose path and headers count too. `model`:
    the model at the upstream; "": as the client named it. `stream` is for bodies of `gemini` alone, whose paths say it;
    the others say it in the body. `traits`: what the target takes (`catalogue().traits(...)` knows).

    Raises `BadRequest` where the request is wrong or the policy refuses what would be lost, `ValueError` for a protocol
    or a policy that there is not."""
    ours, theirs = _codec(client), _codec(upstream)
    if policy not in POLICIES:
        raise ValueError(f"there is no policy {policy!r}; there is {', '.join(POLICIES)}")
    wire = request if isinstance(request, Wire) else Wire(_path(client, model, stream), _bytes(request))
    named, streamed = ours.peek(wire)
    asked = None if ours.NAME == theirs.NAME else ours.parse_request(wire)
    bridge = Bridge(
        ours, theirs, wire, asked, model=model or named, stream=streamed, traits=traits, policy=policy, seed=seed
    )
    return Translation(bridge)


def translate_response(
    client: str,
    upstream: str,
    body: Body,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    model: str = "",
    traits: Traits = DEFAULT_TRAITS,
    seed: Seed = SEED,
) -> Reply:
    """An upstream's whole answer, or its error, as the client's, where the request is not known.

    `model`: the name that the client reads; "": the upstream's. With the request at hand, `Translation.response` knows
    more: names of tools that were shortened, what was asked for. Raises `ValueError` for an unknown protocol."""
    return _reply(_Unasked(_codec(client), _codec(upstream), model, False, traits, seed), body, status, headers)


def translate_stream(
    client: str,
    upstream: str,
    pieces: Iterable[bytes],
    *,
    model: str = "",
    traits: Traits = DEFAULT_TRAITS,
    seed: Seed = SEED,
) -> Iterator[bytes]:
    """An upstream's stream as the client's, where the request is not known. `pieces` may be cut anywhere; none of
    those that come out is empty. Raises `ValueError` at once for an unknown protocol."""
    pair = _Unasked(_codec(client), _codec(upstream), model, True, traits, seed)
    return _fed(Stream(Answer(pair, 200, {}), pair.client), pieces)


def render_error(client: str, error: ApiError) -> Reply:
    """An error as the client's protocol says it: `render_error("anthropic", bad_request.error)`."""
    status, headers, body = _codec(client).render_error(error)
    return Reply(status, headers, body, error=error)


class _Unasked:
    """What an answer has to know of its exchange, where nobody knows what was asked."""

    heard = False
    plain_deltas = True
    take: Callable[[str], object] | None = None
    frame_limit = FRAME_LIMIT

    def __init__(self, client: Codec, upstream: Codec, model: str, stream: bool, traits: Traits, seed: Seed) -> None:
        self.client, self.upstream, self.stream, self.traits, self.seed = client, upstream, stream, traits, seed
        self.same = self.relay = client.NAME == upstream.NAME
        self._model = model

    def as_asked(self) -> Request:
        return Request(model=self._model, stream=self.stream)

    def transform(self, events: Sequence[Event]) -> Sequence[Event]:
        return events


def _codec(name: str) -> Codec:
    if name not in CODECS:
        raise ValueError(f"there is no protocol {name!r}; there is {', '.join(CODECS)}")
    return CODECS[name]


def _path(client: str, model: str, stream: bool) -> str:
    return _GEMINI[stream].format(quote(model or "model", safe="")) if client == "gemini" else _PATHS[client]


def _bytes(body: Body) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else msgspec.json.encode(body)


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}


def _reply(pair: Pair, body: Body, status: int, headers: Mapping[str, str] | None) -> Reply:
    stream = Stream(Answer(pair, status, _lower(headers)), pair.client)
    out = stream.feed(_bytes(body)) + stream.feed(b"")
    return Reply(stream.status, stream.headers, out, stream.usage, stream.error, stream.losses)


def _fed(stream: Stream, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if piece and (out := stream.feed(piece)):
            yield out
    if out := stream.feed(b""):
        yield out
