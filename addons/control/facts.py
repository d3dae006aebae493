"""What the control surface says of the running proxy: what there is, and the numbers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from addons.control.shapes import Said

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
