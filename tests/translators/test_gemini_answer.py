"""Gemini answers, whole and streamed, both ways, and errors, lists and schemas: literal wires."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests import lawful
from translators import gemini
from translators.codec import Seed, Traits, Wire
from translators.events import Event, Failure, Finish, PartDelta, PartEnd, PartStart, Start, UsageUpdate, fold, unfold
from translators.gemini.dialect import for_gemini, from_openapi
from translators.model import (
    ApiError,
    Blob,
    Citation,
    Image,
    ModelInfo,
    Reasoning,
    Refusal,
    Request,
    Response,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    UpstreamFault,
    Usage,
)

SEED = Seed("a" * 24, 1)
ASKED = Request(model="asked", reasoning=Reasoning("auto", None, True))
SIGNED = {"gemini": {"signature": "c2ln"}}
ARRAY_BODY = b'{"contents": [{"parts": [{"text": "Hi"}]}]}'
ARRAY = gemini.parse_request(Wire("/v1/models/asked:streamGenerateContent", ARRAY_BODY))


def chunk(*parts: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "m", "responseId": "r", **more}


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in chunks)


def events(stream: bytes, step: int = 0, traits: Traits | None = None) -> list[Event]:
    decoder = gemini.decoder(SEED, traits or Traits())
    step = step or len(stream)
    found = [event for at in range(0, len(stream), step) for event in decoder.feed(stream[at : at + step])]
    found += decoder.feed(b"")
    lawful.check(found)
    return found


def read(*chunks: Any) -> Response:
    return fold(events(sse(*chunks)))


def failure(found: list[Event]) -> ApiError:
    end = found[-1]
    assert isinstance(end, Failure)
    return end.error


def body(value: Any) -> Response:
    return gemini.parse_response(json.dumps(value).encode(), SEED)


THOUGHT = {"text": "Plan", "thought": True}
CALL = {"functionCall": {"name": "f", "args": {"n": "é"}}, "thoughtSignature": "c2ln"}
USAGE = {
    "promptTokenCount": 10, "cachedContentTokenCount": 4, "toolUsePromptTokenCount": 2, "candidatesTokenCount": 5,
    "thoughtsTokenCount": 3, "totalTokenCount": 20,
}  # fmt: skip

# ------------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize("step", [0, 1, 7])
def test_a_turn(step: int) -> None:
    stream = sse(
        chunk(THOUGHT), chunk({"text": "He"}), chunk({"text": "llo"}),
        chunk(CALL, {"functionCall": {"id": "x", "name": "g"}}, finish="STOP", usageMetadata=USAGE),
    )  # fmt: skip
    response = fold(events(stream, step))
    usage = Usage(8, 4, 0, 5, 3, raw=USAGE)
    assert response == Response(
        (
            Thinking("Plan"), Text("Hello"), ToolCall("call_" + "a" * 24, "f", '{"n": "\\u00e9"}', extra=SIGNED),
            ToolCall("x", "g", "{}"),
        ),
        "tool_call", "r", "m", usage,
    )  # fmt: skip


def test_a_whole_answer_and_an_array_are_read_like_a_stream() -> None:
    parts = [THOUGHT, {"text": "Hello"}, CALL]
    whole = chunk(*parts, finish="STOP", usageMetadata=USAGE)
    streamed = read(whole)
    assert body(whole) == streamed == body([chunk(parts[0]), chunk(*parts[1:], finish="STOP", usageMetadata=USAGE)])
    assert fold(events(json.dumps([whole]).encode(), 3)) == streamed


def test_odd_chunks() -> None:
    response = read(
        {"usageMetadata": {"promptTokenCount": 10}, "responseId": "r"}, chunk({"text": "ab"}),
        {"candidates": [{"content": {"role": "model"}, "groundingMetadata": {}}]},
        chunk({"text": "", "thoughtSignature": "c2ln"}, finish="STOP"), chunk({"text": ""}, finish="STOP"),
        {"candidates": [{"index": 1, "content": {"parts": [{"text": "another answer"}]}}]},
    )  # fmt: skip
    assert response.parts == (Text("ab", extra=SIGNED),) and response.reason == "end"


def test_a_signature_alone_is_kept_on_an_empty_text() -> None:
    found = read(chunk({"text": "", "thoughtSignature": "c2ln"}, finish="STOP")).parts
    assert found == (Text("", extra={"gemini": {"signature": "c2ln"}}),)


@pytest.mark.parametrize(
    ("said", "reason"),
    [("STOP", "end"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("CONTINUATION", "length"),
     ("OTHER", "other"), ("NEW_ONE", "other"), ("MALFORMED_FUNCTION_CALL", "other")],
)  # fmt: skip
def test_reasons(said: str, reason: str) -> None:
    assert read(chunk({"text": "x"}, finish=said)).reason == reason
    assert body(chunk({"text": "x"}, finish=said)).reason == reason


def test_a_malformed_call_without_content_is_an_error() -> None:
    found = chunk(finish="MALFORMED_FUNCTION_CALL")
    assert failure(events(sse(found))).code == "MALFORMED_FUNCTION_CALL"
    with pytest.raises(UpstreamFault):
        body(found)


def test_a_blocked_prompt() -> None:
    response = body({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}})
    assert (response.reason, response.detail) == ("content_filter", "the prompt was blocked: SAFETY")
    assert response.usage is not None and response.usage.input == 3


def test_a_cut_stream_and_an_error_inside() -> None:
    assert failure(events(sse(chunk({"text": "x"})))).kind == "disconnected"
    assert isinstance(events(sse(chunk({"text": "x"})), traits=Traits(lenient_end=True))[-1], Finish)
    error = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    for wrong in (error, [error]):
        found = failure(events(sse(chunk({"text": "x"}), wrong)))
        assert (found.status, found.kind, found.message) == (503, "overloaded", "busy")
    with pytest.raises(UpstreamFault):
        body([error])


def test_an_error_without_data_is_read_too() -> None:
    own = gemini.encoder(ASKED, SEED).encode(Failure(ApiError(503, "overloaded", "busy")))
    pretty = json.dumps({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}, indent=1).encode()
    for said in (own, pretty):
        for step in (0, 1):
            found = failure(events(sse(chunk({"text": "x"})) + said, step))
            assert (found.status, found.kind, found.message) == (503, "overloaded", "busy")


def test_what_is_no_answer() -> None:
    with pytest.raises(msgspec.DecodeError):
        body({"hello": 1})
    with pytest.raises(msgspec.DecodeError):
        gemini.parse_response(b"<html>", SEED)


def test_sources_count_characters_here_and_bytes_there() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 3, "endIndex": 6, "text": "é!"}, "groundingChunkIndices": [0]},
        ],
    }
    whole = chunk({"text": "é é! x"}, finish="STOP")
    whole["candidates"][0]["groundingMetadata"] = grounding
    (part,) = body(whole).parts
    assert part == Text("é é! x", (Citation("https://a.example", "A", "é!", 2, 4),))
    again = json.loads(gemini.render_response(body(whole), ASKED, SEED))
    assert again["candidates"][0]["groundingMetadata"] == grounding


def test_what_google_ran_and_drew() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    response = body(chunk(code, {"inlineData": {"mimeType": "image/png", "data": "_w"}}, finish="STOP"))
    assert response.parts == (
        ServerTool("code_execution", "call", "", "[code: 1]", {"gemini": code}), Image(Blob("image/png", data="/w==")),
    )  # fmt: skip
    again = json.loads(gemini.render_response(response, ASKED, SEED))["candidates"][0]["content"]["parts"]
    assert again == [code, {"inlineData": {"mimeType": "image/png", "data": "/w=="}}]


# ------------------------------------------------------------------------------------------------ writing

TURN = Response(
    (Thinking("Plan"), Text("Hi", extra=SIGNED), ToolCall("a", "f", '{"n": 1}', extra=SIGNED), ToolCall("b", "g", "")),
    "tool_call", "up-1", "up", Usage(6, 4, 0, 5, 3),
)  # fmt: skip
RENDERED_USAGE = {
    "promptTokenCount": 10, "candidatesTokenCount": 5, "cachedContentTokenCount": 4, "thoughtsTokenCount": 3,
    "totalTokenCount": 18,
}  # fmt: skip


def parts_of(asked: Request, response: Response) -> Any:
    return json.loads(gemini.render_response(response, asked, SEED))["candidates"][0]


def test_a_whole_answer() -> None:
    assert json.loads(gemini.render_response(TURN, ASKED, SEED)) == {
        "candidates": [{
            "content": {"role": "model", "parts": [
                {"text": "Plan", "thought": True},
                {"text": "Hi", "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "a", "name": "f", "args": {"n": 1}}, "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "b", "name": "g", "args": {}}},
            ]},
            "finishReason": "STOP",
            "index": 0,
        }],
        "usageMetadata": RENDERED_USAGE, "modelVersion": "asked", "responseId": "up-1",
    }  # fmt: skip


def encode(asked: Request, response: Response) -> bytes:
    encoder = gemini.encoder(asked, SEED)
    return b"".join(map(encoder.encode, unfold(response)))


def test_a_stream_is_data_lines_with_crlf_and_nothing_else() -> None:
    stream = encode(ASKED, TURN)
    frames = stream.split(b"\r\n\r\n")
    assert frames.pop() == b"" and all(frame.startswith(b"data: {") and b"\n" not in frame for frame in frames)
    chunks = [json.loads(frame.removeprefix(b"data: ")) for frame in frames]
    assert [one["candidates"][0].get("finishReason") for one in chunks] == [None] * 3 + ["STOP"]
    assert chunks[-1]["usageMetadata"] == RENDERED_USAGE
    assert all((one["modelVersion"], one["responseId"]) == ("asked", "up-1") for one in chunks)
    assert [one["candidates"][0]["content"]["parts"] for one in chunks] == [
        [{"text": "Plan", "thought": True}],
        [{"text": "Hi"}],
        [{"text": "", "thoughtSignature": "c2ln"}],
        [
            {"functionCall": {"id": "a", "name": "f", "args": {"n": 1}}, "thoughtSignature": "c2ln"},
            {"functionCall": {"id": "b", "name": "g", "args": {}}},
        ],
    ]


def test_calls_stand_together_in_the_last_chunk_or_before_what_follows_them() -> None:
    """Google's SDK runs the functions that the last chunk of a stream calls, and no others."""
    calls = (ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}"))
    shapes = [{"functionCall": {"id": call.id, "name": call.name, "args": {}}} for call in calls]

    def parts(*said: Any, end: Event) -> list[Any]:
        encoder = gemini.encoder(ASKED, SEED)
        wire = b"".join(map(encoder.encode, [*unfold(Response(said))[:-1], end]))
        frames = [json.loads(line.removeprefix(b"data: ")) for line in wire.splitlines() if line]
        return [one["candidates"][0]["content"]["parts"] if "candidates" in one else "error" for one in frames]

    assert parts(Text("Hi"), *calls, end=Finish("tool_call")) == [[{"text": "Hi"}], shapes]
    assert parts(*calls, Text("Hi"), end=Finish("end")) == [shapes, [{"text": "Hi"}], [{"text": ""}]]
    assert parts(*calls, end=Failure(ApiError(500, "server", "gone"))) == [shapes, "error"]


def test_what_python_takes_for_a_line_end_is_escaped() -> None:
    """Google's SDK reads a stream with `splitlines`."""
    text = "a\u2028b\u2029c\x85d\x0be\u001cf\n"
    call = ToolCall("i", "f", json.dumps({"p": text}, ensure_ascii=False))
    encoder = gemini.encoder(ASKED, SEED)
    events_ = [*unfold(Response((Text(text), call), model=text, detail=text)), Failure(ApiError(500, "server", text))]
    wire = b"".join(map(encoder.encode, events_)).decode()
    read = [json.loads(line.removeprefix("data: ")) for line in wire.splitlines() if line]
    parts = [one["candidates"][0]["content"]["parts"][0] for one in read[:2]]
    assert parts == [{"text": text}, {"functionCall": {"id": "i", "name": "f", "args": {"p": text}}}]
    assert read[1]["candidates"][0]["finishMessage"] == text and read[2]["error"]["message"] == text


def test_a_stream_can_be_read_again() -> None:
    again = fold(events(encode(ASKED, TURN)))
    assert (again.parts[:2], again.reason) == (TURN.parts[:2], "tool_call")
    assert again.usage is not None and (again.usage.prompt, again.usage.completion) == (10, 8)


def test_without_alt_sse_a_stream_is_one_array() -> None:
    encoder = gemini.encoder(ARRAY, SEED)
    assert encoder.content_type == "application/json"
    assert [len(one["candidates"]) for one in json.loads(encode(ARRAY, TURN))] == [1] * 3
    failed = encoder.encode(PartStart(0, Text(""))) + encoder.encode(PartDelta(0, "x"))
    failed += encoder.encode(Failure(ApiError(503, "overloaded", "busy")))
    assert json.loads(failed)[-1]["error"]["status"] == "UNAVAILABLE"


def test_thoughts_are_shown_only_where_they_were_asked_for() -> None:
    for asked in (Request(), Request(reasoning=Reasoning("high")), Request(reasoning=Reasoning("high", None, False))):
        assert "thought" not in parts_of(asked, TURN)["content"]["parts"][0]
        assert b"Plan" not in encode(asked, TURN)


def test_an_error_in_a_stream_is_bare_json_on_a_line_of_its_own() -> None:
    encoder = gemini.encoder(ASKED, SEED)
    said = encoder.encode(Failure(ApiError(429, "rate_limit", "slow", retry_after=1.5)))
    assert said.startswith(b'\n{"error":') and said.endswith(b"}\n")
    error = json.loads(said)["error"]
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")


def test_keep_alive_is_a_blank_line() -> None:
    assert gemini.keep_alive() == b"\r\n"


def test_arguments_that_are_no_object() -> None:
    def finish(arguments: str, reason: Any = "tool_call") -> Any:
        response = Response((ToolCall("a", "f", arguments),), reason)
        assert json.loads(encode(ASKED, response).rpartition(b"data: ")[2])["candidates"][0]["finishReason"] == (
            parts_of(ASKED, response)["finishReason"]
        )
        return parts_of(ASKED, response)

    cut = finish('{"path": "a')
    assert cut["finishReason"] == "MALFORMED_FUNCTION_CALL" and cut["content"]["parts"] == []
    assert finish('{"path": "a', "length")["finishReason"] == "MAX_TOKENS"
    assert finish("null")["content"]["parts"][0]["functionCall"]["args"] == {}
    assert finish("[1]")["content"]["parts"][0]["functionCall"]["args"] == {"input": [1]}


@pytest.mark.parametrize(
    ("reason", "said"),
    [("end", "STOP"), ("length", "MAX_TOKENS"), ("stop_sequence", "STOP"), ("refusal", "SAFETY"),
     ("content_filter", "SAFETY"), ("context_window", "MAX_TOKENS"), ("pause", "OTHER"), ("other", "STOP")],
)  # fmt: skip
def test_reasons_out(reason: Any, said: str) -> None:
    response = Response((Refusal("no"),), reason, detail="why")
    candidate = parts_of(ASKED, response)
    assert (candidate["finishReason"], candidate["finishMessage"]) == (said, "why")
    assert candidate["content"]["parts"] == [{"text": "no"}]


def test_usage_is_known_at_the_end() -> None:
    encoder = gemini.encoder(ASKED, SEED)
    assert encoder.encode(Start("i", "m", Usage(3))) == encoder.encode(UsageUpdate(Usage(3, output=2))) == b""
    assert encoder.encode(PartStart(0, Text(""))) == encoder.encode(PartEnd(0)) == b""
    last = json.loads(encoder.encode(Finish()).removeprefix(b"data: "))
    assert last["usageMetadata"] == {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}


# ------------------------------------------------------------------------------------------------ errors


def error_body(message: str, status: str, *details: Any) -> bytes:
    return json.dumps({"error": {"code": 1, "message": message, "status": status, "details": list(details)}}).encode()


@pytest.mark.parametrize(
    ("status", "raw", "kind", "wait"),
    [
        (429, error_body("slow", "RESOURCE_EXHAUSTED", {"retryDelay": "46s"}), "rate_limit", 46.0),
        (429, error_body("x", "RESOURCE_EXHAUSTED", {"violations": [{"quotaId": "RequestsPerDay"}]}), "billing", None),
        (429, error_body("You exceeded your current quota", "RESOURCE_EXHAUSTED",
                         {"violations": [{"quotaId": "RequestsPerMinute"}]}, {"retryDelay": "40s"}), "rate_limit", 40),
        (429, error_body("You exceeded your current quota", "RESOURCE_EXHAUSTED"), "billing", None),
        (400, error_body("bad key", "INVALID_ARGUMENT", {"reason": "API_KEY_INVALID"}), "auth", None),
        (400, error_body("The input token count (9) exceeds the maximum number of tokens allowed (8).", "X"),
         "context_too_long", None),
        (503, b"[" + error_body("busy", "UNAVAILABLE") + b"]", "overloaded", None),
        (404, b"<html><title>Not here</title></html>", "not_found", None),
        (500, b"", "server", None),
    ],
)  # fmt: skip
def test_errors_in(status: int, raw: bytes, kind: str, wait: float | None) -> None:
    error = gemini.parse_error(status, {}, raw)
    assert (error.status, error.kind, error.retry_after) == (status, kind, wait)


def test_errors_out() -> None:
    status, headers, raw = gemini.render_error(ApiError(429, "rate_limit", "slow", retry_after=1.2))
    assert (status, headers["retry-after"]) == (429, "2")
    assert json.loads(raw) == {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2s"}]}}
    status, _, raw = gemini.render_error(ApiError(529, "overloaded", "busy"))
    assert (status, json.loads(raw)["error"]["status"]) == (503, "UNAVAILABLE")
    assert gemini.render_error(ApiError(405, "invalid_request", "x"))[0] == 405
    _, _, raw = gemini.render_error(ApiError(402, "billing", "pay", retry_after=9))
    (detail,) = json.loads(raw)["error"]["details"]
    assert "PerDay" in detail["violations"][0]["quotaId"], "so the CLI does not try again"
    _, _, raw = gemini.render_error(ApiError(400, "context_too_long", "too much", tokens=(9, 8)))
    message = json.loads(raw)["error"]["message"]
    assert message == "The input token count (9) exceeds the maximum number of tokens allowed (8)."


def test_models() -> None:
    model = ModelInfo("a/b", "AB", context_window=9, max_output=5, reasoning=True)
    row = json.loads(gemini.render_model(model))
    assert json.loads(gemini.render_models([model])) == {"models": [row]}
    assert (row["name"], row["displayName"], row["inputTokenLimit"], row["outputTokenLimit"], row["thinking"]) == (
        "models/a/b", "AB", 9, 5, True,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ schemas


def test_a_schema_that_gemini_takes_stays_itself() -> None:
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"], "enum": ["x"]}}, "required": ["a"]}
    made, removed = for_gemini(schema)
    assert made is schema and removed == []


def test_a_rich_schema_for_gemini() -> None:
    schema = {
        "$schema": "x", "type": "object", "required": ["a", "gone"],
        "properties": {
            "a": {"const": 1}, "b": {"type": ["string", "null"], "enum": ["x", None]},
            "c": {"$ref": "#/definitions/p", "description": "d"}, "d": {"oneOf": [{"type": "string"}]},
            "e": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 2},
            "f": {"allOf": [{"$ref": "#/definitions/p"}]},
            "g": {"allOf": [{"properties": {"x": {}}, "required": ["x"]}, {"properties": {"y": {}}}]},
            "h": True, "i": {"enum": [True]},
        },
        "definitions": {"p": {"type": "object", "patternProperties": {"x": {}}}},
    }  # fmt: skip
    made, removed = for_gemini(schema)
    assert made == {
        "type": "object", "required": ["a"],
        "properties": {
            "a": {"enum": [1]}, "b": {"type": ["string", "null"], "enum": ["x"]},
            "c": {"description": "d", "anyOf": [{"$ref": "#/$defs/p"}]}, "d": {"anyOf": [{"type": "string"}]},
            "e": {"type": "number", "minimum": 0, "description": "{multipleOf: 2}"}, "f": {"$ref": "#/$defs/p"},
            "g": {"type": "object", "properties": {"x": {}, "y": {}}, "required": ["x"]},
            "h": {}, "i": {"description": "{enum: [true]}"},
        },
        "$defs": {"p": {"type": "object", "description": '{patternProperties: {"x":{}}}'}},
    }  # fmt: skip
    assert removed == ["multipleOf", "enum", "patternProperties"]


def test_openapi_becomes_json_schema() -> None:
    assert from_openapi({
        "type": "OBJECT", "propertyOrdering": ["b", "a"], "required": ["a"],
        "properties": {
            "a": {"type": "STRING", "nullable": True, "enum": ["x"], "format": "enum"},
            "b": {"type": "ARRAY", "min_items": "1", "items": {"any_of": [{"type": "INTEGER"}]}},
            "type": {"type": "TYPE_UNSPECIFIED", "example": 1},
        },
    }) == {
        "type": "object", "required": ["a"],
        "properties": {
            "b": {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "integer"}]}},
            "a": {"type": ["string", "null"], "enum": ["x", None]},
            "type": {"examples": [1]},
        },
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------ odd spellings


def piece(*values: Any, more: bool = True, **call: Any) -> dict[str, Any]:
    given = {**call, **({"partialArgs": list(values)} if values else {}), **({"willContinue": True} if more else {})}
    return chunk({"functionCall": given})


def put(path: str, more: bool = False, **value: Any) -> dict[str, Any]:
    return {"jsonPath": path, **value, **({"willContinue": True} if more else {})}


def test_arguments_that_come_in_pieces_are_put_together() -> None:
    pieces = [
        piece(name="f", id="c1"),
        piece(put("$.city", True, stringValue="Bos")),
        piece(put("$.city", stringValue="ton"), put("$.days[0]", numberValue=3), put("$.days[1]", numberValue=4)),
        piece(put("$['a b'].deep", boolValue=True), put("$.none", nullValue="NULL_VALUE")),
        piece(more=False),
        piece(put("$.x", stringValue="y"), more=False, name="g", id="c2"),
        chunk(finish="STOP"),
    ]
    first, second = read(*pieces).parts
    assert isinstance(first, ToolCall) and isinstance(second, ToolCall)
    expected = {"city": "Boston", "days": [3, 4], "a b": {"deep": True}, "none": None}
    assert (first.id, first.name, json.loads(first.arguments)) == ("c1", "f", expected)
    assert (second.id, second.name, json.loads(second.arguments)) == ("c2", "g", {"x": "y"})
    assert fold(events(sse(*pieces), 3)).parts == (first, second)


def test_a_call_that_stops_growing_is_told_as_far_as_it_came() -> None:
    cut = read(piece(name="f", id="c"), piece(put("$.a", True, stringValue="b")), chunk(finish="MAX_TOKENS"))
    assert cut.reason == "length" and cut.parts == (ToolCall("c", "f", '{"a":"b"}'),)
    renewed = read(piece(name="f", id="c"), chunk({"functionCall": {"name": "g", "id": "d"}}, finish="STOP"))
    assert renewed.parts == (ToolCall("c", "f", "{}"), ToolCall("d", "g", "{}"))


@pytest.mark.parametrize("path", ["$", "", "$.a[999999]", "$.a..b", "$[0]", "$.s.t", "a.b", "$.a[x]"])
def test_pieces_without_a_place_are_left_out_and_told_of(path: str) -> None:
    stream = sse(
        piece(put("$.s", stringValue="x"), name="f", id="c"), piece(put(path, stringValue="y"), more=False),
        chunk(finish="STOP"),
    )  # fmt: skip
    decoder = gemini.decoder(SEED, Traits())
    (call,) = fold(decoder.feed(stream) + decoder.feed(b"")).parts
    assert isinstance(call, ToolCall) and json.loads(call.arguments)["s"] == "x"
    assert [loss.code for loss in decoder.losses] == ["dropped"]


def test_answers_in_the_other_spelling_are_read() -> None:
    part = {"function_call": {"name": "f", "args": {"user_key": 1}}, "thought_signature": "c2ln"}
    candidate = {"content": {"role": "model", "parts": [part]}, "finish_reason": "STOP"}
    snaky = {
        "candidates": [candidate], "usage_metadata": {"prompt_token_count": 4, "candidates_token_count": 2},
        "model_version": "m", "response_id": "r",
    }  # fmt: skip
    for response in (body(snaky), read(snaky), read({"candidates": []}, snaky)):
        (call,) = response.parts
        assert isinstance(call, ToolCall) and json.loads(call.arguments) == {"user_key": 1} and call.extra == SIGNED
        assert response.reason == "tool_call" and response.usage is not None
        assert (response.usage.prompt, response.usage.completion) == (4, 2)
    blocked = body({"prompt_feedback": {"block_reason": "SAFETY"}})
    assert blocked.reason == "content_filter"


def test_of_several_candidates_the_first_is_taken_and_it_is_said() -> None:
    two = chunk({"text": "A"}, finish="STOP")
    two["candidates"].append({**two["candidates"][0], "index": 1})
    decoder = gemini.decoder(SEED, Traits())
    response = fold(decoder.feed(sse(two)) + decoder.feed(b""))
    assert response.parts == (Text("A"),) and [loss.code for loss in decoder.losses] == ["dropped"]
