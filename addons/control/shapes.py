"""What the control surface says and takes, as pydantic models: its OpenAPI document is made of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

Key = Annotated[str, Field(min_length=1, max_length=4096, json_schema_extra={"format": "password"})]
Text = Annotated[str, Field(min_length=1, max_length=256)]
Address = Annotated[str, Field(min_length=1, max_length=2048)]


class Said(BaseModel):
    """A part of an answer."""


class Asked(BaseModel):
    """A part of a request: what is not known is an error, and a number in quotes is none."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


# ---------------------------------------------------------------------------------------------- errors


class ErrorPart(Said):
    type: str
    message: str
    field: str | None = Field(None, description="which field of the request is wrong, as a path")


class Error(Said):
    """The shape of every error."""

    type: Literal["error"] = "error"
    error: ErrorPart
    current_revision: str | None = Field(None, description="with 412 only: the revision that there is; null: none")


# ---------------------------------------------------------------------------------------------- what there is


class Health(Said):
    status: Literal["ok"] = "ok"
    instance_id: int = Field(description="unix time of the start: another one after a restart")
    pid: int
    provider: str | None
    model: str | None


class ModelRow(Said):
    id: str
    name: str
    description: str
    supports_tools: bool
    context_length: int = Field(description="tokens; 0: unknown")


class ProviderRow(Said):
    name: str
    title: str
    protocols: list[str]
    configured: bool = Field(description="whether an upstream in use is this provider")
    has_key: bool = Field(description="whether a key for it is there, in the config, the store or the environment")
    key_env: list[str]
    default_model: str
    models: list[ModelRow]


class Endpoint(Said):
    path: str
    enabled: bool
    auth_required: bool


class Info(Said):
    service: Literal["llm-link"] = "llm-link"
    version: str
    current_provider: str | None
    current_model: str | None
    supported_providers: list[ProviderRow]
    api_endpoints: dict[str, Endpoint]


class UpstreamRow(Said):
    name: str
    provider: str | None
    protocol: str
    base_url: str
    has_api_key: bool
    keys: int
    proxy: str | None = Field(description="the egress proxy, without its login")


class RouteRow(Said):
    name: str
    targets: list[str]
    choose: str


class Current(Said):
    provider: str | None
    model: str | None
    has_api_key: bool
    has_base_url: bool = Field(description="whether its address is another than the catalogue's")
    supports_hot_reload: Literal[True] = True
    policy: str
    auth_mode: str
    config_file: str | None
    revision: str
    changed_by_api: list[str] = Field(description="the keys of the config that the API has set over the file")
    upstreams: list[UpstreamRow]
    models: list[RouteRow]


# ---------------------------------------------------------------------------------------------- numbers


class Times(Said):
    """Seconds; null: nothing was measured yet."""

    p50: float | None
    p95: float | None
    p99: float | None
    count: int


class UpstreamHealth(Said):
    name: str
    namespace: str
    protocol: str
    address: str
    status: Literal["ok", "failing", "cooling", "unused"]
    cooldown_seconds: float
    in_flight: int
    first_byte_seconds: float | None
    silent_failures: int


class Point(Said):
    """One point of the charts."""

    time: int
    requests: int
    errors: int
    input: int
    output: int
    first_p50: float | None = Field(description="seconds, of those of the last 2048 exchanges that ended then")
    total_p50: float | None
    total_p95: float | None


class ExchangeRow(Said):
    id: str
    link: str | None = Field(description="the exchange in mitmweb, where it runs")
    started: float
    protocol: str
    namespace: str
    model: str
    target: str
    status: int | None
    streamed: bool
    cancelled: bool
    attempts: int
    first_seconds: float | None
    seconds: float
    tokens: dict[str, int]
    cost: float | None
    warnings: int
    error: str


class LiveRow(Said):
    id: str
    link: str | None
    started: float
    protocol: str
    namespace: str
    model: str
    target: str
    attempts: int
    streamed: bool
    bytes: int
    seconds: float


class Totals(Said):
    requests: int
    errors: int
    cancelled: int
    failovers: int
    attempts: int
    tokens: dict[str, int]
    cache_hit_ratio: float | None = Field(description="cached input tokens of all input tokens")
    cost: float = Field(description="US dollars, where the catalogue has prices")
    unpriced: int = Field(description="exchanges with tokens for which there is no price")


class Stats(Said):
    time: float
    version: str
    instance_id: int
    uptime_seconds: float
    in_flight: int
    mitmweb: str | None
    totals: Totals
    first: Times
    total: Times
    slot_seconds: int
    slots: list[Point] = Field(description="the last half hour; a time with no exchange has no point")
    upstreams: list[UpstreamHealth]
    live: list[LiveRow]
    recent: list[ExchangeRow] = Field(description="the newest first")


# ---------------------------------------------------------------------------------------------- changing it


class KeyAsked(Asked):
    """A provider (of the catalogue or the store) or an upstream, by name, and its key."""

    provider: Text
    api_key: Key
    base_url: Address | None = Field(None, description="where, if not at the provider's own address")


class ModelKeyAsked(KeyAsked):
    model: Text | None = None


class KeyUpdate(KeyAsked):
    persist: bool = Field(False, description="also write it to the config file, the key to the encrypted store")


class Switch(Asked):
    provider: Text
    model: Text | None = Field(None, description="for all names; else the provider's own for each")
    api_key: Key | None = Field(None, description="else the one that is configured, stored, or in the environment")
    base_url: Address | None = Field(None, description="needs an api_key beside it")
    persist: bool = False


class ListedModel(Said):
    id: str
    name: str
    description: str


class Checked(Said):
    """`invalid`: the provider refuses the key; `error`: it could not be asked, or did not say."""

    status: Literal["valid", "invalid", "error"]
    message: str
    models: list[ListedModel] = Field(description="what the provider lists, where the key is valid")


class KeyChecked(Checked):
    provider: str
    supports_hot_reload: Literal[True] = True


class CommandLine(Said):
    provider: str
    model: str
    base_url: str | None = None


class Prepared(Said):
    status: Literal["success"] = "success"
    message: str
    restart_required: Literal[True] = True
    current_instance_id: int
    env_vars: dict[str, None] = Field(description="the variables to set; a key is never said back")
    cli_args: CommandLine


class Updated(Said):
    status: Literal["success"] = "success"
    message: str
    provider: str
    restart_required: Literal[False] = False
    persisted: Literal["no", "file", "store"] = Field(description="where the change is kept")


class Switched(Updated):
    model: str


# ---------------------------------------------------------------------------------------------- namespaces


class NamespaceRow(Said):
    namespace: str
    revision: str
    upstream_count: int
    model_alias_count: int


class AdminState(Said):
    namespaces: list[NamespaceRow]


class Availability(Said):
    status: Literal["available", "unavailable"]
    reason: str | None


class NamespaceUpstream(Said):
    name: str
    api_root: str
    fixed_upstream_format: str
    supported_formats: list[str]
    availability: Availability
    has_api_key: bool
    proxy_source: Literal["upstream", "none"]
    proxy_mode: Literal["proxy", "direct"]
    proxy_url: str | None


class NamespaceState(Said):
    namespace: str
    revision: str
    config: dict[str, Any] = Field(description="in the shape of the config file, without keys")
    upstreams: list[NamespaceUpstream]


class NamespaceChange(Asked):
    if_revision: str | None = Field(None, description="the revision in use; null or absent: there is none yet")
    config: dict[str, Any] = Field(
        description="upstreams, models, policy, addressing, retry, limits, keepalive, keepalive_early: as in the file"
    )


class Applied(Said):
    namespace: str
    revision: str
    status: Literal["applied"] = "applied"


class Dropped(Said):
    deleted: str


class ShownKey(Said):
    source: Literal["inline", "env", "store", "none"]
    configured: bool = True
    redacted: bool = True
    env_name: str | None = None
    label: str | None = None


class AuthConfig(Said):
    configured: bool
    mode: str
    proxy_key: ShownKey
    keys: list[ShownKey]


class AuthState(Said):
    revision: str
    config: AuthConfig


class AuthApplied(AuthState):
    status: Literal["applied"] = "applied"


class AuthKey(Asked):
    inline: Key | None = None
    value: Key | None = Field(None, description="the same as inline")
    env: Text | None = Field(None, description="a variable that the config file uses already")
    label: Text | None = None
    models: list[Text] | None = None


class AuthAsked(Asked):
    mode: Literal["none", "proxy_key", "client_key", "client_provider_key"]
    proxy_key: AuthKey | None = None
    keys: list[AuthKey] | None = Field(None, max_length=1000)


class AuthChange(Asked):
    if_revision: str | None = None
    config: AuthAsked


# ---------------------------------------------------------------------------------------------- the store


class ProviderFields(Asked):
    kind: Text | None = Field(None, description="a protocol, openai-compatible, or a provider of the catalogue")
    provider: Text | None = Field(None, description="NAME or NAME:REGION of the catalogue, which says all else")
    base_url: Address | None = Field(None, description="needs an api_key beside it, where it is a new one")
    default_model: Text | None = None
    models: list[Text] | None = Field(None, max_length=1000)
    api_key: Key | None = Field(None, description="stored encrypted, and never said back")
    api_key_env: Text | None = Field(None, description="a variable that the config file uses already")
    enabled: bool | None = None


class ProviderAsked(ProviderFields):
    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]


class StoredRow(Said):
    name: str
    kind: str
    provider: str | None = None
    base_url: str
    default_model: str | None = None
    models: list[str]
    api_key_env: str | None = None
    enabled: bool
    has_encrypted_api_key: bool


class StoredProvider(StoredRow):
    warning: str | None = Field(None, description="why it is stored and not in use, where that is so")


class ProviderList(Said):
    data: list[StoredRow]


class Deleted(Said):
    deleted: str


class ImportAsked(Asked):
    providers: list[ProviderAsked] | None = Field(None, max_length=1000)
    text: Annotated[str, Field(max_length=1 << 20)] | None = Field(None, description="the text of a file")
    file: Annotated[str, Field(max_length=256)] = Field("", description="its name: the ending says what it is")


def import_form(value: Any) -> str:
    """Which of the three forms of an import a body has."""
    if isinstance(value, list):
        return "rows"
    return "row" if isinstance(value, dict) and "name" in value else "import"


Import = Annotated[
    Annotated[ImportAsked, Tag("import")]
    | Annotated[list[ProviderAsked], Field(max_length=1000), Tag("rows")]
    | Annotated[ProviderAsked, Tag("row")],
    Discriminator(import_form),
]


class Imported(Said):
    imported: int
    names: list[str]
    notes: list[str]
    warning: str | None


class TokenAsked(Asked):
    ttl_hours: Annotated[float, Field(gt=0, le=1_000_000, strict=False)] | None = Field(
        24, description="null: until it is revoked"
    )
    label: Annotated[str, Field(max_length=100)] = ""
    models: list[Text] | None = Field(None, min_length=1, max_length=1000, description="globs; null: all")
    requests_per_minute: Annotated[int, Field(ge=0, le=1 << 31)] = 0
    tokens_per_minute: Annotated[int, Field(ge=0, le=1 << 31)] = 0
    concurrent: Annotated[int, Field(ge=0, le=1 << 31)] = 0
    account: None = Field(None, description="there are no accounts here")


class Token(Said):
    id: str
    token: str = Field(description="shown this once")
    ttl_hours: float | None
    label: str
    account: None = None
    warning: str | None = Field(None, description="why the key is not asked for, where that is so")


class TokenRow(Said):
    id: str
    label: str
    issued_at: int
    expires_at: int | None
    revoked: bool
    state: Literal["valid", "expired", "revoked"]
    models: list[str] | None
    account: None = None


class TokenList(Said):
    data: list[TokenRow]


class TokenRevoke(Asked):
    id: Text


class TokenRevoked(Said):
    revoked: str
