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

_UNIONS = ("anyOf", "oneOf", "allOf")

_encode = msgspec.json.Encoder().encode


def ensure_object(schema: Schema | None) -> Schema:
    """A schema whose root is an object with properties, as every provider wants it of a tool."""
    if schema and schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        return schema
    return {**(schema or {}), "type": "object", "properties": _properties(schema or {})}


def _properties(schema: Schema) -> Any:
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


# ------------------------------------------------------------------------------------------------ walking


def _inside(schema: Schema, change: Callable[[Any], Any]) -> Schema:
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


def _too_deep(depth: int) -> None:
    if depth > DEPTH:
        raise BadRequest(f"a JSON schema is nested more than {DEPTH} levels deep", "tools")


def strip(schema: Schema, keys: Iterable[str]) -> Schema:
    """The schema without some keywords, at every level. Properties of such a name stay."""
    unwanted = frozenset(keys)

    def clean(value: Any, depth: int) -> Any:
        if not isinstance(value, dict):
            return value
        _too_deep(depth)
        if not unwanted.isdisjoint(value):
            value = {key: inner for key, inner in value.items() if key not in unwanted}
        return _inside(value, lambda inner: clean(inner, depth + 1))

    cleaned: Schema = clean(schema, 0)
    return cleaned


# ------------------------------------------------------------------------------------------------ a root without unions


def fold_root(schema: Schema) -> tuple[Schema, bool]:
    """The schema without anyOf, oneOf, allOf and $ref at its root, which Anthropic refuses there, and whether it had
    one. The branches become one object: all their properties, required what every branch requires (of allOf: what one
    does). What is lost by it is said in the description."""
    if not any(key in schema for key in _UNIONS) and "$ref" not in schema:
        return schema, False
    return _Folder(schema).folded(schema, frozenset(), 0), True


class _Folder:
    """Folds one schema. References are followed where they do not lead back, and not for ever: schemas of filters and
    trees refer to themselves, and hostile ones could be made to branch without end."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._left = 1000  # branches that are still looked at

    def folded(self, schema: Schema, seen: frozenset[str], depth: int) -> Schema:
        out = {key: value for key, value in schema.items() if key not in _UNIONS and key != "$ref"}
        if "$ref" in schema:
            out = _merged({**out, "type": "object"}, self._branch({"$ref": schema["$ref"]}, seen, depth), "allOf")
        notes = [note for key in _UNIONS if (note := self._fold(out, key, schema.get(key), seen, depth))]
        if notes:
            out["description"] = "\n\n".join(filter(None, [_text(out.get("description")), *notes]))
        return out

    def all_of(self, rest: Schema, branches: list[Schema]) -> Schema:
        """The branches of an allOf of objects as one schema with what stood beside them."""
        out = dict(rest)
        self._fold(out, "allOf", branches, frozenset(), 0)
        return {**out, "type": "object"}

    def _fold(self, out: Schema, key: str, branches: Any, seen: frozenset[str], depth: int) -> str:
        """Merge the branches into `out`; what is then no longer demanded, in words."""
        found = branches if isinstance(branches, list) else []
        shapes = [self._branch(branch, seen, depth) for branch in found if isinstance(branch, dict)]
        if not shapes:
            return ""
        united: Schema = shapes[0]
        for shape in shapes[1:]:
            united = _merged(united, shape, key)
        out.update(_merged({**out, "type": "object"}, united, "allOf"))
        return "" if key == "allOf" else _lost(key, shapes)

    def _branch(self, branch: Schema, seen: frozenset[str], depth: int) -> Schema:
        """A branch as one object, its references followed."""
        self._left -= 1
        while isinstance(branch.get("$ref"), str):
            reference = branch["$ref"]
            target = self._resolve(reference) if reference not in seen and self._left > 0 else {}
            seen = seen | {reference}
            branch = {**target, **{key: value for key, value in branch.items() if key != "$ref"}}
            if target.get("$ref") is not None:
                branch["$ref"] = target["$ref"]
        if self._left > 0 and depth < DEPTH and any(key in branch for key in _UNIONS):
            return self.folded(branch, seen, depth + 1)
        return {key: value for key, value in branch.items() if key not in _UNIONS and key != "$ref"}

    def _resolve(self, reference: str) -> Schema:
        """What a reference within the same document leads to; nothing where it leads nowhere."""
        at: Any = self._root
        for step in filter(None, reference.removeprefix("#").split("/")):
            name = step.replace("~1", "/").replace("~0", "~")
            at = at.get(name) if isinstance(at, dict) else None
        return at if isinstance(at, dict) and at is not self._root and reference.startswith("#") else {}


def _merged(one: Schema, two: Schema, key: str) -> Schema:
    """Two object schemas as one. Of what neither says, nothing is said."""
    properties = dict(_properties(one))
    for name, inner in _properties(two).items():
        both = name in properties and properties[name] != inner
        properties[name] = {"allOf" if key == "allOf" else "anyOf": [properties[name], inner]} if both else inner
    out = {**two, **one, "properties": properties}
    required = _required(one, two, every=key == "allOf")
    out.pop("required", None)
    if required:
        out["required"] = required
    return out


def _required(one: Schema, two: Schema, *, every: bool) -> list[str]:
    first, second = _names(one), _names(two)
    if every:
        return list(dict.fromkeys([*first, *second]))
    return [name for name in first if name in second]


def _lost(key: str, shapes: list[Schema]) -> str:
    """The rule that folding a union loses, in words."""
    sets = [", ".join(_names(shape)) for shape in shapes]
    if not any(sets):
        return ""
    count = "exactly one" if key == "oneOf" else "at least one"
    return f"Give {count} of these sets of properties: " + "; ".join(f"({names})" for names in sets if names) + "."


def _names(schema: Schema) -> list[str]:
    found = schema.get("required")
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


# ------------------------------------------------------------------------------------------------ structured output

_TAKEN = frozenset({
    "type", "enum", "const", "$ref", "description", "title", "properties", "required", "items", "anyOf", "allOf",
    "$defs", "definitions", "additionalProperties",
})
_SILENT = frozenset({"$schema", "$id", "$comment"})  # say nothing about the value
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
        _too_deep(depth)
        return _inside(_narrowed(value, removed), lambda inner: narrow(inner, depth + 1))

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
        elif key not in _SILENT:
            moved[key] = value
    if is_object:
        out["additionalProperties"] = False
    if moved:
        removed.update(dict.fromkeys(moved))
        out["description"] = _described(_text(out.get("description")), moved)
    return out


def _is_taken(key: str, value: Any) -> bool:
    if key == "format":
        return isinstance(value, str) and value in _FORMATS
    return key in _TAKEN or (key == "minItems" and value in (0, 1))


def _described(description: str, moved: Schema) -> str:
    said = ", ".join(f"{key}: {_encode(value).decode()}" for key, value in moved.items())
    return f"{description}\n\n{{{said}}}" if description else f"{{{said}}}"


# ------------------------------------------------------------------------------------------------ Gemini

# What its JSON-Schema fields take. What is not here moves into the description, as above.
_GEMINI = frozenset({
    "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems", "minItems",
    "maxItems", "minimum", "maximum", "anyOf", "properties", "additionalProperties", "required", "propertyOrdering",
})
# keywords with another name there: the value stays
_GEMINI_RENAMED = {
    "oneOf": "anyOf", "definitions": "$defs", "exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum",
}
_GEMINI_SILENT = _SILENT | {"default", "examples", "example", "deprecated", "readOnly", "writeOnly"}
_OLD_DEFS, _NEW_DEFS = "#/definitions/", "#/$defs/"


def for_gemini(schema: Schema) -> tuple[Schema, list[str]]:
    """The schema in the subset of Gemini's JSON-Schema fields, and the keywords that had to go.

    const becomes an enum of one, allOf is merged, oneOf is anyOf, and a $ref stands alone. Constraints that the subset
    lacks (pattern, minLength, …) move into the description. The same object where nothing had to change."""
    removed: dict[str, None] = {}
    folder = _Folder(schema)

    def narrow(value: Any, depth: int) -> Any:
        if not isinstance(value, dict):
            return {} if value is True else value
        _too_deep(depth)
        value = _possible(value, removed)
        return _inside(_for_gemini(value, folder, removed), lambda inner: narrow(inner, depth + 1))

    return narrow(schema, 0), list(removed)


def _for_gemini(schema: Schema, folder: _Folder, removed: dict[str, None]) -> Schema:
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
        out["description"] = _described(_text(out.get("description")), moved)
    if "$ref" in out and len(out) > 1 and not out.keys() <= {"$ref", "$defs"}:
        reference = out.pop("$ref")
        out.setdefault("anyOf", [{"$ref": reference}])
    return schema if out == schema else out


def _possible(schema: Schema, removed: dict[str, None]) -> Schema:
    """Without properties that nothing can be (`false`), for which Gemini has no words: they are not there then."""
    properties = _properties(schema)
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
    known = [name for name in _names(out) if name in _properties(out)]
    if known != out["required"]:
        out["required"] = known
    if not known:
        del out["required"]


def _without_all_of(schema: Schema, folder: _Folder) -> Schema:
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
    _too_deep(depth)
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
    return _inside(out, lambda inner: _from_openapi(inner, depth + 1))


def _put_type(out: Schema, said: Any) -> None:
    if isinstance(said, list):
        out["type"] = [item.lower() if isinstance(item, str) else item for item in said]
    elif isinstance(said, str) and said.upper() != "TYPE_UNSPECIFIED":
        out["type"] = said.lower()


def _order_properties(out: Schema, order: Any) -> None:
    """The order in which the model shall write; other dialects go by the order of the keys."""
    found = _properties(out)
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
