"""JSON Schema dialects: what is changed for a target, and what is left as it was."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest

from translators.folding import fold_root
from translators.model import BadRequest
from translators.schema import ensure_object, for_structured_output, strip

A = {"type": "string"}
B = {"type": "integer"}


@pytest.mark.parametrize(("schema", "expected"), [
    (None, {"type": "object", "properties": {}}),
    ({}, {"type": "object", "properties": {}}),
    ({"properties": {"a": A}}, {"properties": {"a": A}, "type": "object"}),
    ({"type": ["object", "null"], "properties": {"a": A}}, {"type": "object", "properties": {"a": A}}),
    ({"type": "object", "properties": None}, {"type": "object", "properties": {}}),
])
def test_every_tool_takes_an_object(schema: Any, expected: Any) -> None:
    if schema is not None and schema.get("properties") is None and "properties" in schema:
        schema = {key: value for key, value in schema.items() if key != "properties"}
    assert ensure_object(schema) == expected


def test_a_good_schema_stays_the_same_object() -> None:
    schema = {"$schema": "x", "type": "object", "properties": {"a": A}, "required": ["a"]}
    assert ensure_object(schema) is schema
    assert fold_root(schema) == (schema, False) and fold_root(schema)[0] is schema
    closed = {"type": "object", "properties": {"a": A}, "additionalProperties": False}
    assert for_structured_output(closed)[0] is closed
    assert strip(schema, ["title"]) is schema


@pytest.mark.parametrize(("schema", "folded"), [
    # a choice among sets of properties: none of them can be required any more
    ({"type": "object", "properties": {"c": A}, "required": ["c"], "anyOf": [
        {"properties": {"a": A}, "required": ["a"]}, {"properties": {"b": B}, "required": ["b"]}]},
     {"type": "object", "properties": {"c": A, "a": A, "b": B}, "required": ["c"],
      "description": "Give at least one of these sets of properties: (a); (b)."}),
    # what every branch requires stays required
    ({"description": "D", "oneOf": [
        {"type": "object", "properties": {"k": A, "a": A}, "required": ["k", "a"]},
        {"type": "object", "properties": {"k": A}, "required": ["k"]}]},
     {"description": "D\n\nGive exactly one of these sets of properties: (k, a); (k).", "type": "object",
      "properties": {"k": A, "a": A}, "required": ["k"]}),
    # all branches count
    ({"allOf": [{"properties": {"a": A}, "required": ["a"]}, {"properties": {"b": B}, "required": ["b"]}]},
     {"type": "object", "properties": {"a": A, "b": B}, "required": ["a", "b"]}),
    # one property, two meanings
    ({"anyOf": [{"properties": {"a": A}}, {"properties": {"a": B}}]},
     {"type": "object", "properties": {"a": {"anyOf": [A, B]}}}),
    # references
    ({"$defs": {"X": {"type": "object", "properties": {"a": A}, "required": ["a"]}}, "$ref": "#/$defs/X"},
     {"$defs": {"X": {"type": "object", "properties": {"a": A}, "required": ["a"]}}, "type": "object",
      "properties": {"a": A}, "required": ["a"]}),
    ({"anyOf": [{"$ref": "#/definitions/X"}, {"$ref": "#/nowhere"}], "definitions": {"X": {"properties": {"a": A}}}},
     {"definitions": {"X": {"properties": {"a": A}}}, "type": "object", "properties": {"a": A}}),
    # unions inside unions
    ({"anyOf": [{"oneOf": [{"properties": {"a": A}}, {"properties": {"b": B}}]}, {"type": "null"}]},
     {"type": "object", "properties": {"a": A, "b": B}}),
    ({"type": "object", "anyOf": []}, {"type": "object"}),
    ({"type": "object", "anyOf": [True, "x"]}, {"type": "object"}),
])
def test_folding_the_root(schema: Any, folded: Any) -> None:
    before = copy.deepcopy(schema)
    found, changed = fold_root(schema)
    assert changed and found == folded
    assert schema == before


def test_a_reference_that_leads_to_itself_ends() -> None:
    schema = {"$ref": "#/$defs/X", "$defs": {"X": {"$ref": "#/$defs/X", "properties": {"a": A}}}}
    assert fold_root(schema)[0]["properties"] == {"a": A}
    node = {"anyOf": [{"properties": {"a": A}}, {"$ref": "#/$defs/Not"}, {"$ref": "#/$defs/Node"}]}
    tree = {"$ref": "#/$defs/Node", "$defs": {"Node": node, "Not": {"properties": {"not": {"$ref": "#/$defs/Node"}}}}}
    assert fold_root(tree)[0]["properties"] == {"a": A, "not": {"$ref": "#/$defs/Node"}}


def test_a_union_that_branches_without_end_takes_no_time() -> None:
    names = [f"D{n}" for n in range(60)]
    every = {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in names]}
    began = time.process_time()
    fold_root({**every, "$defs": dict.fromkeys(names, every)})
    assert time.process_time() - began < 0.5


def test_strip_works_at_every_level_but_not_on_names() -> None:
    schema = {
        "$schema": "s", "title": "T", "type": "object",
        "properties": {"title": {"type": "array", "items": {"title": "x", "anyOf": [{"title": "y"}, A]}}, "b": B},
        "$defs": {"D": {"title": "z", "type": "object"}}, "required": ["title"],
    }
    before = copy.deepcopy(schema)
    assert strip(schema, ["title", "$schema"]) == {
        "type": "object", "properties": {"title": {"type": "array", "items": {"anyOf": [{}, A]}}, "b": B},
        "$defs": {"D": {"type": "object"}}, "required": ["title"],
    }
    assert schema == before


def test_structured_output() -> None:
    schema = {
        "$schema": "s", "type": "object", "description": "Root", "properties": {
            "n": {"type": "integer", "minimum": 1, "maximum": 9, "description": "A number"},
            "when": {"type": "string", "format": "date-time"},
            "mail": {"type": "string", "format": "regex", "pattern": "^a"},
            "list": {"type": "array", "minItems": 1, "maxItems": 5, "items": {"oneOf": [A, B]}},
            "many": {"type": "array", "minItems": 3},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "kind": {"enum": ["x", "y"], "default": "x"}, "one": {"const": 1}, "minimum": A,
        }, "required": ["n"],
    }
    before = copy.deepcopy(schema)
    found, removed = for_structured_output(schema)
    assert found == {
        "type": "object", "description": "Root", "properties": {
            "n": {"type": "integer", "description": "A number\n\n{minimum: 1, maximum: 9}"},
            "when": {"type": "string", "format": "date-time"},
            "mail": {"type": "string", "description": '{format: "regex", pattern: "^a"}'},
            "list": {"type": "array", "minItems": 1, "items": {"anyOf": [A, B]}, "description": "{maxItems: 5}"},
            "many": {"type": "array", "description": "{minItems: 3}"},
            "map": {"type": "object", "additionalProperties": False,
                    "description": '{additionalProperties: {"type":"string"}}'},
            "kind": {"enum": ["x", "y"], "description": '{default: "x"}'}, "one": {"const": 1}, "minimum": A,
        }, "required": ["n"], "additionalProperties": False,
    }
    assert removed == [
        "minimum", "maximum", "format", "pattern", "maxItems", "minItems", "additionalProperties", "default",
    ]
    assert schema == before
    assert for_structured_output(found) == (found, [])


def test_a_schema_without_end_is_refused() -> None:
    deep: dict[str, Any] = {"type": "object", "minimum": 1}
    for _ in range(400):
        deep = {"type": "object", "properties": {"a": deep}}
    for change in (lambda: for_structured_output(deep), lambda: strip(deep, ["minimum"])):
        with pytest.raises(BadRequest):
            change()
    union: dict[str, Any] = {"properties": {"a": A}}
    for _ in range(400):
        union = {"anyOf": [union]}
    assert fold_root(union)[0]["type"] == "object"


@pytest.mark.parametrize("junk", [
    {"anyOf": 5}, {"properties": [], "anyOf": [{"properties": 5}]}, {"required": 5, "allOf": [{"required": "x"}]},
    {"$ref": 5}, {"$ref": "#/a/b", "a": []}, {"items": True, "minItems": "x"},
    {"description": 5, "oneOf": [{"required": [1]}]},
])
def test_junk_does_not_break_it(junk: Any) -> None:
    ensure_object(fold_root(junk)[0])
    for_structured_output(junk)
    strip(junk, ["x"])
