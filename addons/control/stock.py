"""What the control surface puts into the store and says of it: providers with their keys, and keys issued to clients.

A key that is stored is never said back; one that is issued is shown once.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from addons.control.shapes import Address, Asked, Key, Said, Text

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
