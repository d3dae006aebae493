"""The shapes at the edges: one HTTP message, what a target takes, and what a codec offers.

A codec is a module with the names of `Codec`. `parse_*` takes a wire in, `render_*` puts one out, `decoder` and
`encoder` are for streams.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from .carry import Places
from .events import Event
from .model import ApiError, ModelInfo, Request, Response
from .policy import Loss
from .stream import StreamDecoder


class Wire(Struct, frozen=True):
    """One HTTP request less the HTTP library. `path` is with the query, relative to the base URL when it is rendered;
    header names are lower case."""

    path: str
    body: bytes = b""
    headers: dict[str, str] = {}
    method: str = "POST"


class Seed(Struct, frozen=True):
    """Where ids and times come from, so that a transcript is reproducible to the byte.

    `id`: 24 characters of `[a-z0-9]`, unique to the exchange; `created`: Unix seconds."""

    id: str
    created: int

    def item(self, prefix: str, n: int) -> str:
        """The id of the nth thing of a kind in this exchange."""
        return f"{prefix}{self.id}{n:02d}" if n else f"{prefix}{self.id}"


class Rendered(Struct, frozen=True):
    wire: Wire
    losses: Sequence[Loss] = ()


class Traits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one target takes: the quirks of a provider and a model, as data (rows of `configs/providers.yaml`).

    The defaults are what an unknown server of the protocol most likely takes."""

    context_window: int = 0  # tokens; 0: unknown
    max_output: int = 0
    input: tuple[str, ...] = ("text", "image", "pdf", "audio")
    # Fields of the neutral request that this target refuses or ignores; also `call_id` (ids of calls), `image_url`
    # (pictures by their address) and `detail` (of a picture).
    drop: tuple[str, ...] = ()
    call_id_length: int = 0  # ids of calls are exactly so many letters and digits; 0: as the protocol has them
    efforts: tuple[str, ...] = ()  # the efforts it knows, least first; (): all of the protocol's
    reasoning: str = ""  # how reasoning is asked for; "": the protocol's own way. The codecs list their styles
    replay: str = ""  # where it wants earlier reasoning back: a field of the assistant message; "": nowhere
    replay_lost: str = ""  # what stands there for a tool call whose reasoning got lost, where it must not be missing
    parallel_tools: bool = True
    search: bool = True  # searches the web, reads pages and runs code by itself, where its protocol has that
    strict_tools: bool = True
    custom_tools: bool = False  # takes freeform tools, where its protocol has them
    structured: bool = True  # takes a JSON Schema for its answer
    structured_tools: bool = True  # takes a form of its answer beside functions
    cache_marks: bool = False  # takes cache breakpoints of its protocol (Anthropic always does)
    system_role: str = "system"  # what an OpenAI-shaped server calls the operator's messages
    mid_system: bool = True  # takes such messages in the middle of a conversation
    max_tokens_field: str = "max_tokens"
    stream_usage: bool = True  # knows `stream_options.include_usage`
    think_tags: bool = False  # puts its thoughts into the text, between <think> and </think>
    lenient_end: bool = False  # may end a stream without saying that it is over
    prefill: bool = True  # continues an assistant message that comes last
    forced_tools: bool = True  # takes a forced tool while it thinks
    version: str = ""  # the protocol's version header, where it has one
    embedding: bool = False  # makes embeddings, and no answers
    count_tokens: bool = True  # has an endpoint that counts the tokens of a request


DEFAULT_TRAITS = Traits()


class Encoder(Protocol):
    """Neutral events to the bytes of one streamed answer. `encode` may return b"" where there is nothing to say yet."""

    content_type: str

    def encode(self, event: Event) -> bytes: ...

    def keep_alive(self) -> bytes:
        """What shows a waiting client that all is well, between two events; b"" where its protocol has nothing."""


ErrorReply = tuple[int, dict[str, str], bytes]  # status, headers, body


class Service(Protocol):
    """An endpoint of a protocol beside the generation of answers: one question, one answer in one piece.

    What is asked and answered are neutral values: `Request` and `Count`, `EmbedRequest` and `Embeddings`."""

    def parse_request(self, wire: Wire, /) -> Any:
        """Raises `BadRequest` with the JSON path of what is wrong."""

    def render_request(self, asked: Any, traits: Traits, /) -> Rendered: ...

    def parse_response(self, body: bytes, /) -> Any:
        """Raises `msgspec.DecodeError` where the body is no answer."""

    def render_response(self, result: Any, asked: Any, seed: Seed, /) -> bytes: ...


class Codec(Protocol):
    """One protocol, as client and as upstream."""

    NAME: str
    SERVICES: Mapping[str, Service]  # by purpose; where two protocols share an endpoint, it is the same object
    # The request headers that a pass-through of this protocol must not lose or needs by default, with those defaults.
    HEADERS: Mapping[str, str]
    TOOL_NAME: re.Pattern[str]  # what a tool may be called
    TOOL_NAME_LENGTH: int
    CALL_ID: re.Pattern[str]
    CUSTOM_TOOLS: bool  # whether the protocol has freeform tools (`Traits.custom_tools`: whether the target does)
    STOP: bool  # whether a request can name stop sequences
    OBJECT_ROOTS: bool  # whether the schema of an answer must be an object's
    PREWARM: bool  # whether a request can ask for a prompt to be read and nothing to be written
    STREAM: Literal["sse", "lines"]  # how its streams are framed
    CARRIES: Places  # where its clients keep opaque tokens and send them back
    TOKENS: frozenset[str]  # the facts in `extra` without which its upstreams do not take a turn back

    def claims(self, method: str, path: str) -> bool:
        """Whether this request generates an answer in this protocol. `path` is without prefixes and query."""

    def parse_request(self, wire: Wire) -> Request:
        """Raises `BadRequest` with the JSON path of what is wrong."""

    def render_request(self, request: Request, traits: Traits = DEFAULT_TRAITS) -> Rendered:
        """Pure, deterministic and append-only: the same history renders to the same bytes on each turn."""

    def parse_response(self, body: bytes, seed: Seed, traits: Traits = DEFAULT_TRAITS) -> Response:
        """A whole answer. Raises `msgspec.DecodeError` where the body is none."""

    def render_response(self, response: Response, asked: Request, seed: Seed) -> bytes: ...

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ApiError: ...

    def render_error(self, error: ApiError) -> ErrorReply: ...

    def refusal(self, error: ApiError) -> Response | None:
        """A prompt that was refused, as the answer that says so; None where the protocol has an error for it."""

    def peek(self, wire: Wire) -> tuple[str, bool]:
        """The model's name ("" where there is none) and whether a stream is asked for, without reading the rest.

        Raises `BadRequest` where the body is no JSON object."""

    def relay(self, wire: Wire, purpose: str, model: str) -> Wire:
        """A client's request for an upstream of the same protocol: the path that the purpose (`generate`, or one of
        `SERVICES`) has there, relative to its base, the client's query, and the model's name replaced; all other
        bytes as they are. Raises `BadRequest` where the body is no JSON object."""

    def decoder(self, seed: Seed, traits: Traits = DEFAULT_TRAITS) -> StreamDecoder: ...

    def encoder(self, asked: Request, seed: Seed) -> Encoder: ...

    def render_models(self, models: Sequence[ModelInfo], query: str = "") -> bytes:
        """The list, or the page of it that the client's query asks for. Raises `BadRequest`."""

    def render_model(self, model: ModelInfo) -> bytes: ...

    def keep_alive(self) -> bytes:
        """The same for a stream whose bytes go through."""

    def credential(self, key: str) -> tuple[str, str]:
        """The header in which this protocol's upstreams take a key."""


