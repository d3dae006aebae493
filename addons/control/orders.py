"""What the control surface is told to change in the running proxy, and what it says of that: keys and
models, namespaces, and who may call."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from addons.control.shapes import Address, Asked, Key, Said, Text

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
