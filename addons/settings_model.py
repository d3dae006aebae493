"""The shape of the config file: one frozen pydantic model for each map of it, with the documented defaults.

Only shapes and types are checked here. What needs the environment, the catalogue or another key of the file (an env
name, an upstream of a target, a base URL) is checked in `settings`, where the shapes become the live configuration.
Types are strict: `attempts: "3"` is an error, since a number in quotes is more often a slip than a wish. A key with
nothing after it counts as not given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    Strict,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from .settings_yaml import Document, Problem, SettingsError

Protocol = Literal["openai-chat", "openai-responses", "anthropic", "gemini", "ollama"]
AuthMode = Literal["none", "proxy_key", "client_key"]
Input = Literal["text", "image", "pdf", "audio", "video", "file"]
Level = Literal["debug", "info", "warning", "error"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
LEVELS: tuple[Level, ...] = get_args(Level)

_SIZE = re.compile(r"(\d{1,15})(?:\.(\d{1,6}))?\s*([KMGT]i?)?B?", re.IGNORECASE)
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([A-Za-z0-9._-]*)):(\d{1,5})")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def parse_size(value: Any) -> Any:
    """`64MiB`, `64 KB`, `512` and 512 as a number of bytes."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError("expected a size such as 512, 64KiB or 64MiB")
    whole, part, unit = match.groups()
    scale = _UNITS[(unit or "").lower()]
    return int(whole) * scale + (int(part) * scale // 10 ** len(part) if part else 0)


class Listen(NamedTuple):
    """Where we listen; `host` "": none was named."""

    host: str
    port: int


def parse_address(value: Any) -> Listen:
    """`127.0.0.1:8080`, `[::1]:8080`, and `:8080` or `8080` where no host is named."""
    text = f":{value}" if isinstance(value, int) and not isinstance(value, bool) else value
    match = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
    if match is None or not 0 < int(match[3]) < 65536:
        raise ValueError("expected HOST:PORT, such as 127.0.0.1:8080")
    return Listen(match[1] or match[2] or "", int(match[3]))


Flag = Annotated[bool, Strict()]
Count = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, ge=1)]
Seconds = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Size = Annotated[int, BeforeValidator(parse_size), Field(strict=True, ge=1)]
SizeOrNone = Annotated[int, BeforeValidator(parse_size), Field(strict=True, ge=0)]
Name = Annotated[str, Field(min_length=1, max_length=256)]


class Part(BaseModel):
    """One map of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _given(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


class SecretRef(Part):
    """A secret by one of three ways. It is never part of a message or a repr."""

    env: Name | None = None
    value: SecretStr | None = None
    store: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _never_bare(cls, data: Any) -> Any:
        if isinstance(data, str):
            raise ValueError("write {env: NAME} or {value: SECRET}, not the secret alone")
        return data

    @model_validator(mode="after")
    def _one_way(self) -> SecretRef:
        if len(self.model_fields_set & {"env", "value", "store"}) != 1:
            raise ValueError("needs exactly one of env, value and store")
        if self.value is not None and not self.value.get_secret_value():
            raise ValueError("the value is empty")
        return self


class Rate(Part):
    requests_per_minute: Count = 0
    tokens_per_minute: Count = 0
    concurrent: Count = 0


class KeyPart(SecretRef):
    label: Name | None = None
    models: tuple[Name, ...] | None = None
    rate: Rate = Rate()


class AuthPart(Part):
    mode: AuthMode | None = None
    keys: tuple[KeyPart, ...] = ()


class Params(Part):
    """Changes to the upstream's own wire names, in the order update, add, rename, delete."""

    update: dict[str, Any] = {}
    add: dict[str, Any] = {}
    rename: dict[str, str] = {}
    delete: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.update or self.add or self.rename or self.delete)


class Timeout(Part):
    """Seconds; 0: none."""

    connect: Seconds = 10
    first_byte: Seconds = 120
    idle: Seconds = 300
    total: Seconds = 0


class ModelLimits(Part):
    context_window: Positive | None = None
    max_output_tokens: Positive | None = None


class ToolSurface(Part):
    parallel: Flag | None = None
    search: Flag | None = None


class Surface(Part):
    """What the model can take; None: as the catalogue says."""

    input: Annotated[tuple[Input, ...], Field(min_length=1)] | None = None
    tools: ToolSurface = ToolSurface()

    @field_validator("input")
    @classmethod
    def _no_duplicates(cls, kinds: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if kinds and len(set(kinds)) != len(kinds):
            raise ValueError("names a kind twice")
        return kinds


class UpstreamPart(Part):
    provider: Name | None = None  # NAME or NAME:REGION of the catalogue
    protocol: Protocol | None = None
    base_url: Name | None = None
    api_key: SecretRef | None = None
    api_keys: Annotated[tuple[SecretRef, ...], Field(min_length=1)] | None = None
    headers: dict[str, str] = {}
    params: Params = Params()
    proxy: Name | None = None
    timeout: Timeout = Timeout()
    limits: ModelLimits = ModelLimits()
    surface: Surface = Surface()
    rate: Rate = Rate()


class TargetPart(Part):
    target: Name  # UPSTREAM/MODEL
    params: Params = Params()
    weight: Positive = 1

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {"target": data} if isinstance(data, str) else data


class ModelPart(Part):
    """What stands behind one client-visible name: a target, a list of them, or a map with either."""

    targets: Annotated[tuple[TargetPart, ...], Field(min_length=1)]
    choose: Literal["order", "round_robin", "least_busy", "weighted", "fastest", "cheapest"] = "order"
    params: Params = Params()

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"targets": [data]}
        if isinstance(data, list):
            return {"targets": data}
        if isinstance(data, dict) and "target" in data and "targets" not in data:
            single = {key: value for key, value in data.items() if key != "choose"}
            return {"targets": [single], **{key: data[key] for key in data if key == "choose"}}
        return data


class Retry(Part):
    attempts: Positive = 3
    statuses: tuple[Annotated[int, Field(strict=True, ge=400, le=599)], ...] = (408, 429, 500, 502, 503, 504, 529)
    cooldown: Seconds = 30
    max_wait: Seconds = 5


class Limits(Part):
    """Bytes."""

    request_body: Size = 64 << 20
    sse_frame: Size = 8 << 20
    error_body: SizeOrNone = 64 << 10
    capture: SizeOrNone = 1 << 20
    rate: Rate = Rate()


class Keep(Part):
    exchanges: Count = 2000
    bytes: SizeOrNone = 256 << 20


class RulePart(Part):
    path: Name
    required: Flag = False

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {"path": data} if isinstance(data, str) else data


class Usage(Part):
    store: Name | None = None  # None: llm-link.db beside the config file, and off without one

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {"store": "off"} if data in ("off", False) else data

    @field_validator("store")
    @classmethod
    def _known(cls, store: str | None) -> str | None:
        if store not in (None, "off") and not re.fullmatch(r"sqlite:.+|rediss?://.+", store):
            raise ValueError("expected sqlite:FILE, redis://…, or off")
        return store


class StorePart(Part):
    path: Name | None = None  # None: the user's own
    secret: SecretRef | None = None


class Cors(Part):
    origins: tuple[str, ...] = ()

    @field_validator("origins")
    @classmethod
    def _exact(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s*?#@]+", origin):
                raise ValueError(f"{origin!r} is no origin; expected SCHEME://HOST[:PORT]")
        return tuple(origin.lower() for origin in origins)


class Control(Part):
    enabled: Flag = True
    keys: tuple[SecretRef, ...] = ()


class Logging(Part):
    level: Level = "info"
    format: Literal["text", "json"] = "text"
    file: Name | None = None


class File(Part):
    """The whole config file."""

    listen: Annotated[Listen, PlainValidator(parse_address)] | None = None
    policy: Literal["strict", "balanced", "max_compat"] = "balanced"
    auth: AuthPart | None = None
    upstreams: dict[Name, UpstreamPart] = {}
    models: dict[Name, ModelPart] | None = None
    addressing: Flag | None = None  # None: true where only loopback is served
    retry: Retry = Retry()
    limits: Limits = Limits()
    keep: Keep = Keep()
    keepalive: Seconds = 10
    keepalive_early: Seconds = 0
    rules: tuple[RulePart, ...] = ()
    usage: Usage = Usage()
    store: StorePart = StorePart()
    cors: Cors = Cors()
    control: Control = Control()
    logging: Logging = Logging()


def check(document: Document) -> File:
    """The file's values in their shapes. Raises `SettingsError` with everything that does not fit."""
    try:
        return File.model_validate(document.values)
    except ValidationError as error:
        raise SettingsError(_problem(document, details) for details in error.errors(include_url=False)) from None


# What pydantic finds, in the words of someone who writes YAML. {…}: its own figures.
_REASONS = {
    "missing": "is required",
    "bool_type": "expected true or false",
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "dict_type": "expected a map",
    "model_type": "expected a map",
    "model_attributes_type": "expected a map",
    "tuple_type": "expected a list",
    "literal_error": "expected one of {expected}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "string_too_short": "is empty",
    "string_too_long": "is longer than {max_length} characters",
    "too_short": "needs at least {min_length}",
}


def _problem(document: Document, details: ErrorDetails) -> Problem:
    path = tuple(step for step in details["loc"] if step != "[key]")
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        reason = "unknown key" + did_you_mean(str(path[-1]), _keys_at(path[:-1]))
    elif kind == "value_error":
        reason = str(context["error"])
    elif kind == "string_type" and isinstance(details["input"], (int, float)):
        reason = "expected text: put it in quotes"
    else:
        reason = _REASONS[kind].format(**context) if kind in _REASONS else details["msg"]
    problem = document.problem(path, reason)
    if kind != "missing":
        return problem
    key = f"{problem.key}.{path[-1]}" if document.locate(path)[0] else str(path[-1])
    return Problem(problem.file, problem.line, key, reason)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean X?)`, or what there is where nothing is near."""
    names = sorted(known)
    near = get_close_matches(word, names, 1)
    if near:
        return f" (did you mean {near[0]}?)"
    return f"; there is {', '.join(names[:20])}" + (", …" if len(names) > 20 else "") if names else ""


def _keys_at(path: Iterable[str | int]) -> tuple[str, ...]:
    """The keys that the map at this path may have."""
    here: Any = File
    for step in path:
        if _is_part(here):
            here = _inner(here.model_fields[step].annotation)
        else:
            here = _inner(get_args(here)[-1 if get_origin(here) is dict else 0])
    return tuple(here.model_fields) if _is_part(here) else ()


def _inner(annotation: Any) -> Any:
    """A type without `Annotated` and `| None`."""
    while get_origin(annotation) in (Annotated, Union, UnionType):
        annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
    return annotation


def _is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Part)
