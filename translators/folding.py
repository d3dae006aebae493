"""A schema without unions and references at its root, which some targets refuse there."""

from __future__ import annotations

from typing import Any

from .schema import DEPTH, Schema, properties_of, required_of, text_of

_UNIONS = ("anyOf", "oneOf", "allOf")


def fold_root(schema: Schema) -> tuple[Schema, bool]:
    """The schema without anyOf, oneOf, allOf and $ref at its root, which Anthropic refuses there, and whether it had
    one. The branches become one object: all their properties, required what every branch requires (of allOf: what one
    does). What is lost by it is said in the description."""
    if not any(key in schema for key in _UNIONS) and "$ref" not in schema:
        return schema, False
    return Folder(schema).folded(schema, frozenset(), 0), True


class Folder:
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
            out["description"] = "\n\n".join(filter(None, [text_of(out.get("description")), *notes]))
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
    properties = dict(properties_of(one))
    for name, inner in properties_of(two).items():
        both = name in properties and properties[name] != inner
        properties[name] = {"allOf" if key == "allOf" else "anyOf": [properties[name], inner]} if both else inner
    out = {**two, **one, "properties": properties}
    required = _required(one, two, every=key == "allOf")
    out.pop("required", None)
    if required:
        out["required"] = required
    return out


def _required(one: Schema, two: Schema, *, every: bool) -> list[str]:
    first, second = required_of(one), required_of(two)
    if every:
        return list(dict.fromkeys([*first, *second]))
    return [name for name in first if name in second]


def _lost(key: str, shapes: list[Schema]) -> str:
    """The rule that folding a union loses, in words."""
    sets = [", ".join(required_of(shape)) for shape in shapes]
    if not any(sets):
        return ""
    count = "exactly one" if key == "oneOf" else "at least one"
    return f"Give {count} of these sets of properties: " + "; ".join(f"({names})" for names in sets if names) + "."
