"""The neutral model: everything that one of the five protocols can say, in the words of none of them.

A conversation is a list of messages, a message is a list of parts. Values are frozen, so that a part may be shared
between a history and its rendering; only `Request` is mutable, because rules edit it. Tool arguments stay the JSON text
that was on the wire: partial JSON can be represented, and nothing is re-serialised on its way through.

`extra` is keyed by protocol name and is the one place for facts that only that protocol understands (signatures, cache
marks, beta fields). They are handed back when the same protocol is rendered, and to nobody else.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

Extra = dict[str, dict[str, Any]]
Role = Literal["system", "developer", "user", "assistant"]


class Value(Struct, frozen=True, omit_defaults=True):
    """Base of the immutable values."""


# ------------------------------------------------------------------------------------------------ parts


class Citation(Value, frozen=True):
    """Where a stretch of text comes from. `start`, `end` count characters in the part's text; None: the whole part."""

    url: str | None = None
    title: str | None = None
    text: str | None = None
    start: int | None = None
    end: int | None = None
    extra: Extra = {}


class Logprob(Value, frozen=True):
    """A token that was written, and how likely it was. `bytes`: of its UTF-8, where the provider said them, since one
    token may be a piece of a character; `top`: the likeliest tokens of its place, without a `top` of their own."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[Logprob, ...] = ()


class Text(Value, frozen=True, tag="text"):
    text: str
    citations: tuple[Citation, ...] = ()
    cache: str | None = None  # a cache breakpoint after this part: its time to live ("5m", "1h", …), "" for the default
    extra: Extra = {}
    logprobs: tuple[Logprob, ...] = ()  # of an answer whose client asked for them


class Thinking(Value, frozen=True, tag="thinking"):
    """Reasoning. `redacted`: there is only the opaque token in `extra`. `summary`: a digest, not the raw thought."""

    text: str
    redacted: bool = False
    summary: bool = False
    extra: Extra = {}


class Refusal(Value, frozen=True, tag="refusal"):
    text: str
    extra: Extra = {}


class Blob(Value, frozen=True):
    """Where the bytes of an image, a sound or a file are: exactly one of `data` (base64), `url`, `file_id`, `text`."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    text: str | None = None


class Image(Value, frozen=True, tag="image"):
    blob: Blob
    detail: str | None = None
    cache: str | None = None
    extra: Extra = {}


class Audio(Value, frozen=True, tag="audio"):
    blob: Blob
    transcript: str | None = None
    extra: Extra = {}


class File(Value, frozen=True, tag="file"):
    """A document. `name` is its title or file name; `citations`: the model shall cite it."""

    blob: Blob
    name: str | None = None
    context: str | None = None
    citations: bool = False
    cache: str | None = None
    extra: Extra = {}


class ToolCall(Value, frozen=True, tag="tool_call"):
    """`arguments` is JSON text (`custom`: the raw text of a freeform tool). It may be partial, or no JSON at all."""

    id: str
    name: str
    arguments: str = ""
    custom: bool = False
    namespace: str | None = None
    cache: str | None = None
    extra: Extra = {}


class ToolResult(Value, frozen=True, tag="tool_result"):
    """The answer to one call. `parts` hold text, images and files; `name` is the tool's, where the protocol gave it."""

    id: str
    parts: tuple[Part, ...] = ()
    name: str | None = None
    error: bool = False
    custom: bool = False
    cache: str | None = None
    extra: Extra = {}


class ServerTool(Value, frozen=True, tag="server_tool"):
    """A call that the provider ran itself, or its result. `family` is web_search, web_fetch, code_execution, …;
    `text` says in words what happened, for those who cannot replay `raw`."""

    family: str
    phase: Literal["call", "result"]
    id: str = ""
    text: str = ""
    extra: Extra = {}


class Opaque(Value, frozen=True, tag="opaque"):
    """A block of one protocol that no other has: carried, and given back to that protocol as it was."""

    protocol: str
    kind: str
    raw: Any
    text: str = ""


Part = Text | Thinking | Refusal | Image | Audio | File | ToolCall | ToolResult | ServerTool | Opaque


class Message(Value, frozen=True):
    """One turn. Tool results stand in user messages, before other content of that turn."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None
    extra: Extra = {}


# ------------------------------------------------------------------------------------------------ tools and settings


class Tool(Value, frozen=True, tag="tool"):
    """A tool that the client runs. `schema` is JSON Schema (None: no parameters); `grammar` marks a freeform tool."""

    name: str
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    custom: bool = False
    grammar: dict[str, Any] | None = None
    namespace: str | None = None
    cache: str | None = None
    extra: Extra = {}


class HostedTool(Value, frozen=True, tag="hosted_tool"):
    """A tool that the provider runs: web_search, web_fetch, code_execution, …, or one whose schema only that
    protocol knows. `name` is what the model calls it; `raw` the declaration."""

    family: str
    name: str
    protocol: str
    raw: dict[str, Any]


class ToolChoice(Value, frozen=True):
    """`named`: one of `names` must be called; `allowed`: only those may be, and with `required` one must."""

    kind: Literal["auto", "none", "required", "named", "allowed"]
    names: tuple[str, ...] = ()
    required: bool = False


Effort = Literal["off", "minimal", "low", "medium", "high", "xhigh", "max", "auto"]
EFFORTS: tuple[str, ...] = ("off", "minimal", "low", "medium", "high", "xhigh", "max")


class Reasoning(Value, frozen=True):
    """How much to think. `budget` is in tokens, where the client gave one; `visible`: False hides the thoughts."""

    effort: Effort
    budget: int | None = None
    visible: bool | None = None
    summary: str | None = None
    extra: Extra = {}


class Format(Value, frozen=True):
    """The form of the answer: free text, any JSON object, or JSON by a schema. `bare`: the schema is a list of words,
    and the answer one of them, without quotes."""

    kind: Literal["text", "json", "schema"] = "text"
    schema: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None
    bare: bool = False


class Request(Struct, omit_defaults=True):
    """What a client asks for. Fields that it left out are None or empty, never a default of some protocol."""

    model: str = ""
    messages: list[Message] = []
    tools: list[Tool | HostedTool] = []
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    max_tool_calls: int | None = None
    reasoning: Reasoning | None = None
    format: Format = Format()
    verbosity: str | None = None
    max_output: int | None = None  # tokens, reasoning included
    stop: list[str] = []
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: int | None = None  # how many alternatives a token; None: no log probabilities at all
    n: int = 1
    modalities: list[str] = []
    user: str | None = None
    safety_id: str | None = None
    metadata: dict[str, Any] | None = None
    tier: str | None = None
    store: bool | None = None
    previous_id: str | None = None
    background: bool | None = None
    truncation: str | None = None
    cache_key: str | None = None
    stream: bool = False
    include_usage: bool = False  # a streamed answer ends with the usage, where the protocol leaves the choice
    extra: Extra = {}


# ------------------------------------------------------------------------------------------------ answers


class Usage(Value, frozen=True):
    """Tokens, in disjoint counters: their sum is what was billed. `output` is without `reasoning`, `input` without
    the cached tokens; `cache_write_1h` is the part of `cache_write` kept for an hour. `raw`: as the provider said."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    cache_write_1h: int = 0
    estimated: bool = False
    raw: dict[str, Any] = {}

    @property
    def prompt(self) -> int:
        """All input tokens, cached or not."""
        return self.input + self.cache_read + self.cache_write

    @property
    def completion(self) -> int:
        """All output tokens, reasoning included."""
        return self.output + self.reasoning


Reason = Literal[
    "end", "length", "stop_sequence", "tool_call", "refusal", "content_filter", "pause", "context_window", "other"
]

ErrorKind = Literal[
    "invalid_request",
    "unsupported",
    "context_too_long",
    "auth",
    "permission",
    "billing",
    "not_found",
    "conflict",
    "too_large",
    "rate_limit",
    "overloaded",
    "timeout",
    "server",
    "refused",
    "disconnected",
    "not_built",
]


class ApiError(Value, frozen=True):
    """Trouble as a value. `status` is HTTP's, as the upstream or we said it; `retry_after` is in seconds;
    `param` is the JSON path of the field to blame; `tokens` are (prompt, limit) where known."""

    status: int
    kind: ErrorKind
    message: str
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    tokens: tuple[int, int] | None = None
    request_id: str | None = None


class BadRequest(Exception):
    """The client's mistake, or what the target cannot do: a 4xx that names the place. `path` is a JSON path."""

    def __init__(
        self, message: str, path: str | None = None, *, status: int = 400, kind: ErrorKind = "invalid_request",
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.error = ApiError(status, kind, message, code, path)


class UpstreamFault(Exception):
    """An answer that says it is one, and is an error: HTTP 200 with an error object in its body."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


class Response(Value, frozen=True):
    """A whole answer: what a stream of events folds into."""

    parts: tuple[Part, ...] = ()
    reason: Reason = "end"
    id: str = ""
    model: str = ""
    usage: Usage | None = None
    stop_sequence: str | None = None
    detail: str | None = None
    extra: Extra = {}


class ModelInfo(Value, frozen=True):
    """A row of a model list. Sizes in tokens, 0: unknown; `created` in Unix seconds."""

    id: str
    name: str = ""
    owner: str = ""
    created: int = 0
    context_window: int = 0
    max_output: int = 0
    tools: bool = True
    vision: bool = False
    reasoning: bool = False
    embedding: bool = False  # makes embeddings, and no answers
