"""A request in neutral words as YAML, for people who edit it, and back into the words of its own protocol.

Data that nobody reads or edits (images, files) stands there as a reference, and is put back.
"""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from translators import CODECS
from translators.codec import DEFAULT_TRAITS, Codec, Rendered, Traits
from translators.custom import Customs
from translators.model import Request

# What the provider of each protocol takes of its own: a request is written in its own words here.
OWN_TRAITS = dict.fromkeys(CODECS, DEFAULT_TRAITS) | {
    "openai-chat": Traits(custom_tools=True),
    "openai-responses": Traits(custom_tools=True, prefill=False),
}
_LONG = 2000  # characters of data


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stand as such."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def to_yaml(request: Request) -> str:
    kept: list[str] = []
    plain = _refer(msgspec.to_builtins(request), kept)
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def from_yaml(text: str, before: Request) -> Request:
    """`before`: what the text was made of. Raises `ValueError` that says what is wrong, and where."""
    kept: list[str] = []
    _refer(msgspec.to_builtins(before), kept)
    try:
        return msgspec.convert(_restore(yaml.safe_load(text), kept), Request)
    except yaml.YAMLError as error:
        raise ValueError(f"this is no YAML: {error}") from None
    except msgspec.ValidationError as error:
        raise ValueError(f"this is no request: {error}") from None


def in_own_words(codec: Codec, request: Request) -> Rendered:
    """Raises `BadRequest` for what the protocol cannot say."""
    traits = OWN_TRAITS[codec.NAME]
    freeform = codec.CUSTOM_TOOLS and traits.custom_tools
    return codec.render_request(request if freeform else Customs(request).wrap(request), traits)


def _refer(value: Any, kept: list[str]) -> Any:
    if isinstance(value, dict):
        out = {}
        for name, item in value.items():
            if name == "data" and isinstance(item, str) and len(item) > _LONG:
                kept.append(item)
                out[name] = _reference(len(kept), item)
            else:
                out[name] = _refer(item, kept)
        return out
    return [_refer(item, kept) for item in value] if isinstance(value, list | tuple) else value


def _reference(number: int, data: str) -> str:
    return f"(data {number}, {len(data)} characters)"


def _restore(value: Any, kept: list[str]) -> Any:
    if isinstance(value, dict):
        return {name: _restore(item, kept) for name, item in value.items()}
    if isinstance(value, list):
        return [_restore(item, kept) for item in value]
    if isinstance(value, str) and value.startswith("(data "):
        return next((data for n, data in enumerate(kept, 1) if value == _reference(n, data)), value)
    return value
