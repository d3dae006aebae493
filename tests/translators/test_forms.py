"""Schemas of tools and of answers, as each target takes them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.strategies import SEED
from translators import CODECS
from translators.events import PartDelta, fold, unfold
from translators.model import Response, Text, Usage

from .pairs import CLIENTS, bridge, losses, refused, sent

OBJECT: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def tool(schema: Any, name: str = "f") -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def form(schema: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}


# ------------------------------------------------------------------------------------------------ answers


@pytest.mark.parametrize("wanted", [form(OBJECT), {"response_format": {"type": "json_object"}}])
def test_before_gemini_3_a_form_and_functions_do_not_go_together(wanted: dict[str, Any]) -> None:
    body = {**wanted, "tools": [tool(OBJECT)]}
    made = sent("cc-gm", body, structured_tools=False)
    assert "generationConfig" not in made and "JSON" in made["systemInstruction"]["parts"][-1]["text"]
    assert losses("cc-gm", body, structured_tools=False)["response_format"] == "r/w/w"
    made = sent("cc-gm", body, "strict")
    assert made["generationConfig"]["responseMimeType"] == "application/json" and "systemInstruction" not in made
    made = sent("cc-gm", wanted, "strict", structured_tools=False)
    assert made["generationConfig"]["responseMimeType"] == "application/json"


# ------------------------------------------------------------------------------------------------ tools


@pytest.mark.parametrize("root", [
    {"anyOf": [OBJECT, {"type": "object", "properties": {"b": {"type": "string"}}}]},
    {"oneOf": [OBJECT, {"type": "object", "properties": {"b": {"type": "string"}}}], "type": "object"},
    {"allOf": [OBJECT, {"properties": {"b": {"type": "string"}}}]},
    {"$ref": "#/$defs/N", "$defs": {"N": {**OBJECT, "properties": {**OBJECT["properties"], "b": {"type": "string"}}}}},
])  # fmt: skip
def test_a_root_that_is_no_plain_object_is_folded(root: dict[str, Any]) -> None:
    for upstream in ("gm", "an"):
        made = sent(f"cc-{upstream}", {"tools": [tool(root)]})["tools"][0]
        schema = made["input_schema"] if upstream == "an" else made["functionDeclarations"][0]["parametersJsonSchema"]
        assert schema["type"] == "object" and set(schema["properties"]) == {"a", "b"}
        assert not {"anyOf", "oneOf", "allOf", "$ref"} & schema.keys()


NOTHING: list[Any] = [None, {}, {"type": "object"}, {"type": "object", "properties": None}, {"$schema": "x"}]


@pytest.mark.parametrize("schema", NOTHING)
@pytest.mark.parametrize("upstream", ["rs", "an", "gm", "ol"])
def test_a_tool_without_parameters_has_an_empty_object(upstream: str, schema: Any) -> None:
    made = sent(f"cc-{upstream}", {"tools": [tool(schema)]})["tools"][0]
    made = made.get("functionDeclarations", [made])[0]
    made = made.get("function", made)
    names = ("parameters", "input_schema", "parametersJsonSchema")
    found = next((made[name] for name in names if name in made), {"type": "object", "properties": {}})
    assert found["type"] == "object" and found["properties"] == {}


def test_a_property_that_nothing_can_be_is_not_there_for_gemini() -> None:
    properties = {"yes": True, "no": False, "a": {"type": "string"}}
    schema = {"type": "object", "properties": properties, "required": ["no", "a"]}
    made = sent("cc-gm", {"tools": [tool(schema)]})["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]
    assert made["properties"] == {"yes": {}, "a": {"type": "string"}} and made["required"] == ["a"]


def test_a_schema_without_end_is_refused_and_one_that_leads_back_is_not() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(150):
        deep = {"type": "array", "items": deep}
    assert refused("cc-gm", {"tools": [tool({"type": "object", "properties": {"a": deep}})]}).status == 400
    tree = {"$defs": {"N": {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}}}, "$ref": "#/$defs/N"}
    for upstream in ("rs", "an", "gm", "ol"):
        assert sent(f"cc-{upstream}", {"tools": [tool(tree)]})["tools"]


def test_settings_of_reasoning_that_only_one_protocol_has() -> None:
    body = {"reasoning": {"effort": "high", "mode": "pro", "context": "all_turns"}}
    for upstream in ("cc", "an", "gm", "ol"):
        found = losses(f"rs-{upstream}", body)
        assert found["reasoning.mode"] == "w/w/w" and found["reasoning.context"] == "i/i/i"


# ------------------------------------------------------------------------------------------------ roots

LIST: dict[str, Any] = {"type": "array", "items": {"$ref": "#/$defs/N"}, "$defs": {"N": {"type": "string"}}}
WORDS = {"type": "STRING", "enum": ["A", "B"]}
ENUM = {"generationConfig": {"responseMimeType": "text/x.enum", "responseSchema": WORDS}}
WORD = {"type": "object", "properties": {"value": {"type": "string", "enum": ["A", "B"]}}, "required": ["value"],
        "additionalProperties": False}  # fmt: skip


def answer(pair: str, body: dict[str, Any], text: str, stream: bool) -> str:
    """What the client reads where the upstream says `text`, in two pieces."""
    client, upstream = (CODECS[CLIENTS[name]] for name in pair.split("-"))
    made = bridge(pair, body)
    made.stream = stream
    said = Response((Text(text),), model="real", usage=Usage(1, output=1))
    encoder = upstream.encoder(upstream.parse_request(made.wire), SEED)
    start, first, last, *rest = unfold(said)
    half = len(text) // 2
    assert isinstance(last, PartDelta)
    events = [start, first, PartDelta(0, text[:half]), PartDelta(0, text[half:]), *rest]
    reading = made.answer(200, {"content-type": encoder.content_type})
    out = reading.feed(b"".join(map(encoder.encode, events))) + reading.feed(b"")
    if not stream:
        (part,) = client.parse_response(out, SEED).parts
    else:
        decoder = client.decoder(SEED)
        (part,) = fold([*decoder.feed(out), *decoder.feed(b"")]).parts
    assert isinstance(part, Text)
    return part.text


@pytest.mark.parametrize("stream", [True, False])
def test_a_list_is_asked_for_inside_an_object(stream: bool) -> None:
    body = {"output_config": {"format": {"type": "json_schema", "schema": LIST}}}
    for upstream in ("cc", "rs"):
        made = sent(f"an-{upstream}", body, "strict")
        schema = (made["response_format"]["json_schema"] if upstream == "cc" else made["text"]["format"])["schema"]
        assert schema["type"] == "object" and schema["properties"]["value"]["type"] == "array"
        assert schema["$defs"] == LIST["$defs"] and "$defs" not in schema["properties"]["value"]
        assert answer(f"an-{upstream}", body, '{"value": ["é", "b"]}', stream) == '["é","b"]'
        assert answer(f"an-{upstream}", body, "Sorry, no.", stream) == "Sorry, no."
    assert sent("cc-an", form(LIST))["output_config"]["format"]["schema"]["type"] == "array"


@pytest.mark.parametrize("stream", [True, False])
def test_a_word_of_a_list_comes_bare(stream: bool) -> None:
    for upstream in ("cc", "rs", "an", "ol"):
        assert answer(f"gm-{upstream}", ENUM, '{"value": "A"}', stream) == "A"
        assert losses(f"gm-{upstream}", ENUM)["generationConfig.responseJsonSchema"] == "r/i/i"
    assert sent("gm-ol", ENUM)["format"] == WORD


def test_objects_stay_as_they_are() -> None:
    for schema in (OBJECT, {"properties": {}}, {"$ref": "#/$defs/N", "$defs": {"N": OBJECT}}):
        made = sent("an-cc", {"output_config": {"format": {"type": "json_schema", "schema": schema}}})
        assert made["response_format"]["json_schema"]["schema"] == schema
