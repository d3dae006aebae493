"""Gemini's two dialects of JSON Schema: the subset that its JSON-Schema fields take, and OpenAPI's, which its clients
may speak too.

As in `schema` nothing is changed in place, and the keys keep their order, unless `propertyOrdering` asks for another.
"""

from __future__ import annotations

from typing import Any

from ..folding import Folder
from ..schema import SILENT, Schema, check_depth, described, inside, properties_of, required_of, text_of

# What its JSON-Schema fields take. What is not here moves into the description.
_GEMINI = frozenset({
    "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems", "minItems",
    "maxItems", "minimum", "maximum", "anyOf", "properties", "additionalProperties", "required", "propertyOrdering",
})
# keywords with another name there: the value stays
_GEMINI_RENAMED = {
    "oneOf": "anyOf", "definitions": "$defs", "exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum",
}
_GEMINI_SILENT = SILENT | {"default", "examples", "example", "deprecated", "readOnly", "writeOnly"}
_OLD_DEFS, _NEW_DEFS = "#/definitions/", "#/$defs/"


def for_gemini(schema: Schema) -> tuple[Schema, list[str]]:
    """The schema in the subset of Gemini's JSON-Schema fields, and the keywords that had to go.

    const becomes an enum of one, allOf is merged, oneOf is anyOf, and a $ref stands alone. Constraints that the subset
    lacks (pattern, minLength, …) move into the description. The same object where nothing had to change."""
    removed: dict[str, None] = {}
    folder = Folder(schema)

    def narrow(value: Any, depth: int) -> Any:
        if not isinstance(value, dict):
            return {} if value is True else value
        check_depth(depth)
        value = _possible(value, removed)
        return inside(_for_gemini(value, folder, removed), lambda inner: narrow(inner, depth + 1))

    return narrow(schema, 0), list(removed)


def _for_gemini(schema: Schema, folder: Folder, removed: dict[str, None]) -> Schema:
    """One level of it."""
    if "allOf" in schema:
        schema = _without_all_of(schema, folder)
    if _GEMINI.issuperset(schema) and not any(key in schema for key in ("$ref", "enum", "required")):
        return schema
    out: Schema = {}
    moved: Schema = {}
    for key, value in schema.items():
        new = _GEMINI_RENAMED.get(key, key)
        if key == "const":
            _put_enum(out, [value], moved)
        elif key == "enum" and isinstance(value, list):
            _put_enum(out, value, moved)
        elif new != key and isinstance(value, bool):
            moved[key] = value  # draft 4: it sharpens `minimum`
        elif key == "$ref" and isinstance(value, str):
            out[key] = value.replace(_OLD_DEFS, _NEW_DEFS, 1) if value.startswith(_OLD_DEFS) else value
        elif new in _GEMINI:
            out.setdefault(new, value)
        elif key not in _GEMINI_SILENT:
            moved[key] = value
    _only_known_required(out)
    if moved:
        removed.update(dict.fromkeys(moved))
        out["description"] = described(text_of(out.get("description")), moved)
    if "$ref" in out and len(out) > 1 and not out.keys() <= {"$ref", "$defs"}:
        reference = out.pop("$ref")
        out.setdefault("anyOf", [{"$ref": reference}])
    return schema if out == schema else out


def _possible(schema: Schema, removed: dict[str, None]) -> Schema:
    """Without properties that nothing can be (`false`), for which Gemini has no words: they are not there then."""
    properties = properties_of(schema)
    if False not in properties.values():
        return schema
    removed["false"] = None
    return {**schema, "properties": {name: inner for name, inner in properties.items() if inner is not False}}


def _put_enum(out: Schema, values: list[Any], moved: Schema) -> None:
    """An enum of texts or numbers. None is said by the type already; other values only in words."""
    plain = [value for value in values if value is not None and value != ""]
    if plain and all(isinstance(value, str | int | float) and not isinstance(value, bool) for value in plain):
        out["enum"] = plain
    elif plain:
        moved["enum"] = values


def _only_known_required(out: Schema) -> None:
    """Gemini refuses to require what is not among the properties."""
    if "required" not in out or "properties" not in out:
        return
    known = [name for name in required_of(out) if name in properties_of(out)]
    if known != out["required"]:
        out["required"] = known
    if not known:
        del out["required"]


def _without_all_of(schema: Schema, folder: Folder) -> Schema:
    out = {key: value for key, value in schema.items() if key != "allOf"}
    found = schema["allOf"]
    branches = [branch for branch in found if isinstance(branch, dict)] if isinstance(found, list) else []
    if len(branches) == 1 and branches[0].keys() == {"$ref"}:
        return {**out, **branches[0]}
    if any("properties" in branch or "$ref" in branch or branch.get("type") == "object" for branch in branches):
        return folder.all_of(out, branches)
    for branch in branches:
        out = {**branch, **out}
    return out


# the other direction: OpenAPI's dialect, in which Gemini's clients may speak

_OPENAPI_NAMES = {
    "any_of": "anyOf", "min_items": "minItems", "max_items": "maxItems", "min_length": "minLength",
    "max_length": "maxLength", "min_properties": "minProperties", "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering", "additional_properties": "additionalProperties", "defs": "$defs",
    "ref": "$ref",
}
_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})


def from_openapi(schema: Schema) -> Schema:
    """JSON Schema for a schema of Gemini's OpenAPI dialect: types in lower case, `nullable` as a type, counts that
    are texts as numbers. A schema that is JSON Schema already passes."""
    made: Schema = _from_openapi(schema, 0)
    return made


def _from_openapi(schema: Any, depth: int) -> Any:
    if not isinstance(schema, dict):
        return schema
    check_depth(depth)
    out: Schema = {}
    for key, value in schema.items():
        name = str(_OPENAPI_NAMES.get(key, key))
        if name == "type":
            _put_type(out, value)
        elif name in _COUNTS and isinstance(value, str) and value.isdigit():
            out[name] = int(value)  # Google's JSON writes long integers as texts
        elif name == "example":
            out["examples"] = [value]
        elif name not in ("nullable", "propertyOrdering") and not (name == "format" and value == "enum"):
            out[name] = value
    _order_properties(out, schema.get("propertyOrdering") or schema.get("property_ordering"))
    if schema.get("nullable") is True:
        _allow_null(out)
    return inside(out, lambda inner: _from_openapi(inner, depth + 1))


def _put_type(out: Schema, said: Any) -> None:
    if isinstance(said, list):
        out["type"] = [item.lower() if isinstance(item, str) else item for item in said]
    elif isinstance(said, str) and said.upper() != "TYPE_UNSPECIFIED":
        out["type"] = said.lower()


def _order_properties(out: Schema, order: Any) -> None:
    """The order in which the model shall write; other dialects go by the order of the keys."""
    found = properties_of(out)
    if isinstance(order, list) and found:
        first = [name for name in order if isinstance(name, str) and name in found]
        out["properties"] = {name: found[name] for name in dict.fromkeys([*first, *found])}


def _allow_null(out: Schema) -> None:
    said = out.get("type")
    if isinstance(said, str) and said != "null":
        out["type"] = [said, "null"]
    if isinstance(out.get("enum"), list) and None not in out["enum"]:
        out["enum"] = [*out["enum"], None]
    if isinstance(out.get("anyOf"), list) and {"type": "null"} not in out["anyOf"]:
        out["anyOf"] = [*out["anyOf"], {"type": "null"}]
