"""JSON Schema for those who do not take all of it.

Schemas come from strangers (MCP servers, frameworks), so they are taken as they are, and changed only as far as a
target demands. Nothing here changes its argument: what comes back is the same object where nothing had to change. All
keep the order of the keys, which is the order in which a model writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from .model import BadRequest

Schema = dict[str, Any]

DEPTH = 100  # levels of a schema that are followed

# where schemas stand inside a schema
_BY_NAME = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")

_encode = msgspec.json.Encoder().encode


def ensure_object(schema: Schema | None) -> Schema:
    """A schema whose root is an object with properties, as every provider wants it of a tool."""
    if schema and schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        return schema
    return {**(schema or {}), "type": "object", "properties": properties_of(schema or {})}


def properties_of(schema: Schema) -> Any:
    """Its properties by name; none where there is no such object."""
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


def required_of(schema: Schema) -> list[str]:
    """The names that it requires."""
    found = schema.get("required")
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def text_of(value: Any) -> str:
    """The value if it is a text, else none."""
    return value if isinstance(value, str) else ""


# ------------------------------------------------------------------------------------------------ walking


def inside(schema: Schema, change: Callable[[Any], Any]) -> Schema:
    """The schema with `change` applied to each schema directly in it."""
    out: Schema | None = None
    for key, value in schema.items():
        new = value
        if key in _BY_NAME and isinstance(value, dict):
            new = _kept(value, {name: change(inner) for name, inner in value.items()})
        elif key in _LISTED and isinstance(value, list):
            items = [change(inner) for inner in value]
            new = value if all(a is b for a, b in zip(items, value, strict=True)) else items
        elif key in _SINGLE and isinstance(value, dict):
            new = change(value)
        if new is not value:
            out = dict(schema) if out is None else out
            out[key] = new
    return schema if out is None else out


def _kept(old: Schema, new: Schema) -> Schema:
    return old if all(new[name] is old[name] for name in old) else new


def check_depth(depth: int) -> None:
    """Raises `BadRequest` beyond the levels that are followed."""
    if depth > DEPTH:
        raise BadRequest(f"a JSON schema is nested more than {DEPTH} levels deep", "tools")


def strip(schema: Schema, keys: Iterable[str]) -> Schema:
    """The schema without some keywords, at every level. Properties of such a name stay."""
    unwanted = frozenset(keys)

    def clean(value: Any, depth: int) -> Any:
        if not isinstance(value, dict):
            return value
        check_depth(depth)
        if not unwanted.isdisjoint(value):
            value = {key: inner for key, inner in value.items() if key not in unwanted}
        return inside(value, lambda inner: clean(inner, depth + 1))

    cleaned: Schema = clean(schema, 0)
    return cleaned


# ------------------------------------------------------------------------------------------------ structured output

_TAKEN = frozenset({
    "type", "enum", "const", "$ref", "description", "title", "properties", "required", "items", "anyOf", "allOf",
    "$defs", "definitions", "additionalProperties",
})
SILENT = frozenset({"$schema", "$id", "$comment"})  # say nothing about the value
_FORMATS = frozenset({
    "date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid",
})


def for_structured_output(schema: Schema) -> tuple[Schema, list[str]]:
    """The schema in the subset that Anthropic guarantees, and the keywords that had to go.

    Objects are closed, oneOf is anyOf, and what is not in the subset (minimum, pattern, …) moves into the description,
    where the model still reads it."""
    removed: dict[str, None] = {}

    def narrow(value: Any, depth: int) -> Any:
        if not isinstance(value, dict):
            return {} if value is True else value
        check_depth(depth)
        return inside(_narrowed(value, removed), lambda inner: narrow(inner, depth + 1))

    return narrow(schema, 0), list(removed)


def _narrowed(schema: Schema, removed: dict[str, None]) -> Schema:
    """One level of it."""
    is_object = schema.get("type") == "object" or "properties" in schema
    if _TAKEN.issuperset(schema) and (not is_object or schema.get("additionalProperties") is False):
        return schema
    out: Schema = {}
    moved: Schema = {}
    for key, value in schema.items():
        if key == "oneOf":
            out.setdefault("anyOf", value)
        elif key == "additionalProperties" and is_object:
            if isinstance(value, dict) and value:
                moved[key] = value
        elif _is_taken(key, value):
            out[key] = value
        elif key not in SILENT:
            moved[key] = value
    if is_object:
        out["additionalProperties"] = False
    if moved:
        removed.update(dict.fromkeys(moved))
        out["description"] = described(text_of(out.get("description")), moved)
    return out


def _is_taken(key: str, value: Any) -> bool:
    if key == "format":
        return isinstance(value, str) and value in _FORMATS
    return key in _TAKEN or (key == "minItems" and value in (0, 1))


def described(description: str, moved: Schema) -> str:
    """The description with the keywords that had to go, where the model still reads them."""
    said = ", ".join(f"{key}: {_encode(value).decode()}" for key, value in moved.items())
    return f"{description}\n\n{{{said}}}" if description else f"{{{said}}}"


# ------------------------------------------------------------------------------------------------ OpenAI

_NO_SCHEMA = frozenset({"properties", "enum", "const", "default", "examples"})


def is_strict(schema: Any) -> bool:
    """Whether a schema is in the subset that OpenAI can enforce: every object closed, every property required."""
    if isinstance(schema, list):
        return all(map(is_strict, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict):
        required = schema.get("required", [])
        if schema.get("additionalProperties") is not False or not isinstance(required, list):
            return False
        if len(required) != len(properties) or not all(name in required for name in properties):
            return False
        if not all(map(is_strict, properties.values())):
            return False
    elif schema.get("type") == "object":
        return False
    return all(is_strict(value) for key, value in schema.items() if key not in _NO_SCHEMA)
