"""Log probabilities in answers: what each protocol says of a token, whole and streamed, and where texts are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.genai.types import GenerateContentResponse
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from ollama import ChatResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response as OpenAIResponse
from openai.types.responses import ResponseTextDeltaEvent, ResponseTextDoneEvent

from tests import lawful
from tests.dialects import DIALECTS, Dialect
from tests.strategies import SEED, TEXT
from translators import CODECS, logprobs
from translators.bridge import Bridge
from translators.codec import DEFAULT_TRAITS, Codec, Traits, Wire
from translators.events import Event, Finish, PartDelta, PartEnd, PartStart, Start, fold, unfold
from translators.model import BadRequest, Format, Logprob, Message, Refusal, Request, Response, Text, Thinking, ToolCall
from translators.stops import StopCutter

CHAT, RESPONSES, GEMINI, OLLAMA = (
    CODECS[name] for name in ("openai-chat", "openai-responses", "gemini", "ollama")
)
SAYING = [dialect for dialect in DIALECTS.values() if dialect.name != "anthropic"]
EACH = pytest.mark.parametrize("dialect", SAYING, ids=[dialect.name for dialect in SAYING])
KINDS = ("text/event-stream", "application/json", "application/x-ndjson")
SSE, JSON, LINES = ({"content-type": kind} for kind in KINDS)

ASKED = Request(model="m", stream=True, logprobs=1)


def token(text: str, number: float, *top: Logprob, bytes: bool = True) -> Logprob:
    return Logprob(text, number, tuple(text.encode()) if bytes else None, top)


def bare(tokens: tuple[Logprob, ...]) -> tuple[Logprob, ...]:
    """Without bytes, of which Gemini has none."""
    return tuple(replace(one, bytes=None, top=bare(one.top)) for one in tokens)


HI = (token("Hé", -0.25, token("Hé", -0.25), token("Yo", -3.0)), token("!", -1.0))
ENTRY = {
    "token": "Hé", "logprob": -0.25, "bytes": [72, 195, 169], "top_logprobs": [
        {"token": "Hé", "logprob": -0.25, "bytes": [72, 195, 169]}, {"token": "Yo", "logprob": -3, "bytes": [89, 111]}],
}  # fmt: skip
ENTRIES = [ENTRY, {"token": "!", "logprob": -1.0, "bytes": [33], "top_logprobs": []}]
GOOGLE = {
    "chosenCandidates": [{"token": "Hé", "tokenId": 7, "logProbability": -0.25}, {"token": "!", "logProbability": -1}],
    "topCandidates": [{"candidates": [{"token": "Hé", "logProbability": -0.25},
                                      {"token": "Yo", "tokenId": 8, "logProbability": -3}]}, {}],
}  # fmt: skip
EMPTY = {"token": "Hé", "logprob": -0.25}


def whole(codec: Codec, body: Any, traits: Traits = DEFAULT_TRAITS) -> tuple[Any, ...]:
    return codec.parse_response(json.dumps(body).encode(), SEED, traits).parts


def streamed(codec: Codec, frames: list[Any], traits: Traits = DEFAULT_TRAITS) -> list[Event]:
    before, after = (b"", b"\n") if codec is OLLAMA else (b"data: ", b"\n\n")
    decoder = codec.decoder(SEED, traits)
    events = [event for frame in frames for event in decoder.feed(before + json.dumps(frame).encode() + after)]
    events += decoder.feed(b"")
    assert decoder.crash is None
    lawful.check(events)
    assert isinstance(events[-1], Finish), events[-1]
    return events


# ------------------------------------------------------------------------------------------------ laws

TOKENS = st.lists(
    st.builds(token, TEXT, st.floats(-99, 0), st.builds(token, TEXT, st.floats(-99, 0))), min_size=1, max_size=3
).map(tuple)


@st.composite
def answers(draw: st.DrawFn) -> Response:
    tokens = draw(TOKENS)
    parts = (Text("".join(one.token for one in tokens), logprobs=tokens),)
    calls = (ToolCall("call_0", "f", "{}"),) if draw(st.booleans()) else ()
    return Response((*parts, *calls), "tool_call" if calls else "end", "", "m")


@given(response=answers())
def test_a_stream_holds_what_the_whole_does(response: Response) -> None:
    lawful.check(unfold(response))
    assert fold(unfold(response)) == response


@EACH
@given(response=answers())
def test_what_was_said_of_tokens_comes_back(dialect: Dialect, response: Response) -> None:
    codec = dialect.codec
    (want, *_) = response.parts
    assert isinstance(want, Text)
    tokens = bare(want.logprobs) if codec is GEMINI else want.logprobs
    (got, *_) = codec.parse_response(codec.render_response(response, ASKED, SEED), SEED).parts
    assert isinstance(got, Text) and (got.text, got.logprobs) == (want.text, tokens)
    encoder, decoder = codec.encoder(ASKED, SEED), codec.decoder(SEED)
    events = [event for said in unfold(response) for event in decoder.feed(encoder.encode(said) or b"\n\n")]
    events += decoder.feed(b"")
    lawful.check(events)
    (got, *_) = fold(events).parts
    assert isinstance(got, Text) and (got.text, got.logprobs) == (want.text, tokens)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@given(response=answers())
def test_who_did_not_ask_is_told_nothing(dialect: Dialect, response: Response) -> None:
    """The bytes are those of the same answer without them."""
    codec, asked = dialect.codec, replace(ASKED, logprobs=None)
    plain = replace(response, parts=tuple(
        replace(part, logprobs=()) if isinstance(part, Text) else part for part in response.parts
    ))  # fmt: skip
    assert codec.render_response(response, asked, SEED) == codec.render_response(plain, asked, SEED)
    one, other = codec.encoder(asked, SEED), codec.encoder(asked, SEED)
    assert b"".join(map(one.encode, unfold(response))) == b"".join(map(other.encode, unfold(plain)))


# ------------------------------------------------------------------------------------------------ read


def test_chat_is_read() -> None:
    choice = {"message": {"content": "Hé!"}, "logprobs": {"content": ENTRIES, "refusal": None}}
    assert whole(CHAT, {"choices": [choice]}) == (Text("Hé!", logprobs=HI),)

    def chunk(content: str, entries: Any) -> Any:
        return {"id": "c", "choices": [{"delta": {"content": content}, "logprobs": {"content": entries}}]}

    last = {"choices": [{"delta": {}, "logprobs": None, "finish_reason": "stop"}]}
    events = streamed(CHAT, [chunk("", None), chunk("Hé", ENTRIES[:1]), chunk("!", ENTRIES[1:]), last])
    assert [event for event in events if isinstance(event, PartDelta)] == [
        PartDelta(0, "Hé", HI[:1]), PartDelta(0, "!", HI[1:]),
    ]  # fmt: skip
    late = streamed(CHAT, [chunk("Hé!", []), chunk("", ENTRIES), last])
    assert fold(late).parts == (Text("Hé!", logprobs=HI),)


def test_chat_tokens_of_thoughts_are_not_the_texts() -> None:
    thought = {"token": "hm", "logprob": -1, "bytes": None, "top_logprobs": []}
    choice = {"message": {"reasoning_content": "hm", "content": "Hé!"}, "logprobs": {"content": [thought, *ENTRIES]}}
    assert whole(CHAT, {"choices": [choice]}) == (Thinking("hm"), Text("Hé!", logprobs=HI))
    tagged = {"message": {"content": "<think>hm</think>Hé!"}, "logprobs": {"content": [thought, *ENTRIES]}}
    assert whole(CHAT, {"choices": [tagged]}, Traits(think_tags=True)) == (Thinking("hm"), Text("Hé!", logprobs=HI))
    frames = [
        {"id": "c", "choices": [{"delta": delta, "logprobs": {"content": entries}, "finish_reason": reason}]}
        for delta, entries, reason in (
            ({"content": "<think>hm"}, [thought], None), ({"content": "</think>"}, [thought], None),
            ({"content": "Hé"}, ENTRIES[:1], None), ({"content": "!"}, ENTRIES[1:], "stop"),
        )
    ]  # fmt: skip
    (_, text) = fold(streamed(CHAT, frames, Traits(think_tags=True))).parts
    assert isinstance(text, Text) and text.logprobs[-2:] == HI
    decoder = CHAT.decoder(SEED)
    thinks = {"choices": [{"delta": {"reasoning_content": "hm"}, "logprobs": {"content": [thought]}}]}
    for _ in range(2):
        decoder.feed(b"data: " + json.dumps(thinks).encode() + b"\n\n")
    assert [(loss.path, loss.code) for loss in decoder.losses] == [("logprobs", "dropped")]


def test_a_call_that_follows_gives_its_tokens_to_nobody() -> None:
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    frames = [
        {"id": "c", "choices": [{"delta": {"content": "Hé!"}, "logprobs": {"content": ENTRIES}}]},
        {"choices": [{"delta": {"tool_calls": [call]}, "logprobs": {"content": ENTRIES}, "finish_reason": "stop"}]},
    ]
    assert fold(streamed(CHAT, frames)).parts == (Text("Hé!", logprobs=HI), ToolCall("a", "f", "{}"))


def test_tokens_of_a_refusal_are_told_to_be_lost() -> None:
    decoder = CHAT.decoder(SEED)
    choice = {"delta": {"refusal": "No."}, "logprobs": {"content": None, "refusal": ENTRIES}, "finish_reason": "stop"}
    events = decoder.feed(b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n")
    events += decoder.feed(b"")
    lawful.check(events)
    assert fold(events).parts == (Refusal("No."),)
    assert [(loss.path, loss.code) for loss in decoder.losses] == [("logprobs", "dropped")]


def test_responses_are_read_without_doubling() -> None:
    part = {"type": "output_text", "text": "Hé!", "annotations": [], "logprobs": ENTRIES}
    item = {"type": "message", "id": "i", "role": "assistant", "content": [part]}
    body = {"id": "r", "object": "response", "status": "completed", "output": [item]}
    assert whole(RESPONSES, body) == (Text("Hé!", logprobs=HI),)
    place = {"output_index": 0, "content_index": 0, "item_id": "i"}
    deltas = [
        {"type": "response.output_text.delta", **place, "delta": "Hé", "logprobs": ENTRIES[:1]},
        {"type": "response.output_text.delta", **place, "delta": "!", "logprobs": ENTRIES[1:]},
    ]
    ends = [
        {"type": "response.output_text.done", **place, "text": "Hé!", "logprobs": ENTRIES},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": body},
    ]
    want = (Text("Hé!", logprobs=HI),)
    assert fold(streamed(RESPONSES, [*deltas, *ends])).parts == want
    assert fold(streamed(RESPONSES, [deltas[0], *ends])).parts == want
    plain = [{**delta, "logprobs": []} for delta in deltas]
    for rest in (ends, ends[1:], ends[2:]):  # known by the end only
        assert fold(streamed(RESPONSES, [*plain, *rest])).parts == want
    assert fold(streamed(RESPONSES, ends[1:])).parts == want


@pytest.mark.parametrize("snaky", [False, True])
def test_gemini_is_read(snaky: bool) -> None:
    result: Any = GOOGLE
    if snaky:
        text = json.dumps(GOOGLE).replace("logProbability", "log_probability").replace("tokenId", "token_id")
        result = json.loads(text.replace("chosenC", "chosen_c").replace("topC", "top_c"))
    name = "logprobs_result" if snaky else "logprobsResult"

    def chunk(text: str, **more: Any) -> Any:
        model = "model_version" if snaky else "modelVersion"
        return {"candidates": [{"content": {"parts": [{"text": text}] if text else []}, **more}], model: "m"}

    want = (Text("Hé!", logprobs=bare(HI)),)
    body = chunk("Hé!", finishReason="STOP", **{name: result})
    assert whole(GEMINI, body) == want
    assert fold(streamed(GEMINI, [body])).parts == want
    late = [chunk("Hé"), chunk("!"), chunk("", finishReason="STOP", **{name: result})]
    assert fold(streamed(GEMINI, late)).parts == want


def test_ollama_is_read() -> None:
    body = {"model": "m", "message": {"content": "Hé!"}, "done": True, "done_reason": "stop", "logprobs": ENTRIES}
    assert whole(OLLAMA, body) == (Text("Hé!", logprobs=HI),)
    lines = [
        {"model": "m", "message": {"content": "", "thinking": "hm"}, "done": False, "logprobs": [EMPTY]},
        {"model": "m", "message": {"content": "Hé"}, "done": False, "logprobs": ENTRIES[:1]},
        {"model": "m", "response": "!", "done": False, "logprobs": ENTRIES[1:]},
        {"model": "m", "message": {"content": ""}, "done": True, "done_reason": "stop"},
    ]
    assert fold(streamed(OLLAMA, lines)).parts == (Thinking("hm"), Text("Hé!", logprobs=HI))


@pytest.mark.parametrize("odd", [
    1, "x", {}, [1], [{}], [{"token": "a"}], [{"token": 1, "logprob": 1}], [{"token": "a", "logprob": None}],
])  # fmt: skip
def test_odd_statistics_cost_nobody_his_answer(odd: Any) -> None:
    assert logprobs.read(odd) == ()
    for value in (odd, {"content": odd}, {"chosenCandidates": odd, "topCandidates": odd}):
        choice = {"message": {"content": "Hi"}, "logprobs": value}
        assert whole(CHAT, {"choices": [choice]}) == (Text("Hi"),)
        candidate = {"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP", "logprobsResult": value}
        assert whole(GEMINI, {"candidates": [candidate]}) == (Text("Hi"),)
        assert whole(OLLAMA, {"message": {"content": "Hi"}, "done": True, "logprobs": value}) == (Text("Hi"),)
        content = [{"type": "output_text", "text": "Hi", "logprobs": value}]
        assert whole(RESPONSES, {"output": [{"type": "message", "content": content}]}) == (Text("Hi"),)


# ------------------------------------------------------------------------------------------------ written


def test_bytes_that_are_not_known_are_filled_where_they_must_be_there() -> None:
    plain = Response((Text("Hé!", logprobs=bare(HI)),))
    answer = OpenAIResponse.model_validate_json(RESPONSES.render_response(plain, ASKED, SEED))
    (item,) = answer.output
    assert item.type == "message" and item.content[0].type == "output_text" and item.content[0].logprobs is not None
    assert [one.model_dump() for one in item.content[0].logprobs] == ENTRIES
    chat = ChatCompletion.model_validate_json(CHAT.render_response(plain, ASKED, SEED))
    assert chat.choices[0].logprobs is not None and chat.choices[0].logprobs.content is not None
    assert [one.bytes for one in chat.choices[0].logprobs.content] == [None, None]


def test_googles_and_ollamas_types_read_what_is_written() -> None:
    response = Response((Text("Hé!", logprobs=HI),))
    google = GenerateContentResponse.model_validate_json(GEMINI.render_response(response, ASKED, SEED))
    assert google.candidates and (result := google.candidates[0].logprobs_result) is not None
    assert [(one.token, one.log_probability) for one in result.chosen_candidates or ()] == [("Hé", -0.25), ("!", -1.0)]
    assert [len(place.candidates or ()) for place in result.top_candidates or ()] == [2, 0]
    ollama = ChatResponse.model_validate_json(OLLAMA.render_response(response, ASKED, SEED))
    assert [(one.token, one.logprob) for one in ollama.logprobs or ()] == [("Hé", -0.25), ("!", -1.0)]


def test_a_responses_stream_says_them_with_the_words_and_at_the_end() -> None:
    encoder = RESPONSES.encoder(ASKED, SEED)
    said = [Start("r", "m"), PartStart(0, Text("")), PartDelta(0, "Hé", HI[:1]), PartDelta(0, "!"),
            PartDelta(0, "", HI[1:]), PartEnd(0), Finish()]  # fmt: skip
    frames = b"".join(map(encoder.encode, said)).split(b"\n\n")
    events = [json.loads(frame.partition(b"data: ")[2]) for frame in frames if frame]
    deltas = [ResponseTextDeltaEvent.model_validate(e) for e in events if e["type"] == "response.output_text.delta"]
    assert [(e.delta, len(e.logprobs)) for e in deltas] == [("Hé", 1), ("!", 0), ("", 1)]
    (done,) = (ResponseTextDoneEvent.model_validate(e) for e in events if e["type"] == "response.output_text.done")
    assert [one.token for one in done.logprobs] == ["Hé", "!"]
    assert events[-1]["response"]["output"][0]["content"][0]["logprobs"] == ENTRIES


# ------------------------------------------------------------------------------------------------ pairs


def through(client: Codec, upstream: Codec, answer: bytes, kind: dict[str, str], **asked: Any) -> bytes:
    request = Request("asked", [Message("user", (Text("Hi"),))], logprobs=1, **asked)
    wire = client.render_request(request).wire
    stream = request.stream
    bridge = Bridge(
        client, upstream, wire, client.parse_request(wire), model="real", stream=stream, traits=DEFAULT_TRAITS,
        policy="strict", seed=SEED,
    )  # fmt: skip
    reply = bridge.answer(200, kind)
    out = reply.feed(answer) + reply.feed(b"")
    assert reply.head is not None and reply.crash is None and reply.error is None
    return out


GOOGLES = json.dumps({"candidates": [
    {"content": {"parts": [{"text": "Hé!"}]}, "finishReason": "STOP", "logprobsResult": GOOGLE}
]}).encode()  # fmt: skip
OLLAMAS = json.dumps(
    {"model": "m", "message": {"content": "Hé!"}, "done": True, "done_reason": "stop", "logprobs": ENTRIES}
).encode()


@pytest.mark.parametrize(("upstream", "body", "kind"), [
    (GEMINI, GOOGLES, JSON), (OLLAMA, OLLAMAS, JSON),
], ids=["gemini", "ollama"])  # fmt: skip
def test_openais_client_gets_them_from_others(upstream: Codec, body: bytes, kind: dict[str, str]) -> None:
    answer = ChatCompletion.model_validate_json(through(CHAT, upstream, body, kind))
    found = answer.choices[0].logprobs
    assert found is not None and found.content is not None
    assert [(one.token, one.logprob) for one in found.content] == [("Hé", -0.25), ("!", -1.0)]
    assert [(one.token, one.logprob) for one in found.content[0].top_logprobs] == [("Hé", -0.25), ("Yo", -3.0)]


@pytest.mark.parametrize(("upstream", "body", "kind"), [
    (GEMINI, b"data: " + GOOGLES + b"\r\n\r\n", SSE), (OLLAMA, OLLAMAS + b"\n", LINES),
], ids=["gemini", "ollama"])  # fmt: skip
def test_openais_client_gets_them_in_a_stream(upstream: Codec, body: bytes, kind: dict[str, str]) -> None:
    frames = through(CHAT, upstream, body, kind, stream=True).removesuffix(b"data: [DONE]\n\n").split(b"\n\n")
    chunks = [ChatCompletionChunk.model_validate_json(frame.removeprefix(b"data: ")) for frame in frames if frame]
    found = [one for chunk in chunks for choice in chunk.choices if choice.logprobs and choice.logprobs.content
             for one in choice.logprobs.content]  # fmt: skip
    assert [(one.token, one.logprob, len(one.top_logprobs)) for one in found] == [("Hé", -0.25, 2), ("!", -1.0, 0)]


# ------------------------------------------------------------------------------------------------ where texts are cut


def cut(stop: str, *deltas: PartDelta) -> list[tuple[str, list[str]]]:
    cutter = StopCutter([stop])
    events: list[Event] = [PartStart(0, Text("")), *deltas, PartEnd(0)]
    out = [found for event in events for found in cutter(event)]
    return [(event.text, [one.token for one in event.logprobs]) for event in out if isinstance(event, PartDelta)]


def said(text: str, *tokens: str) -> PartDelta:
    return PartDelta(0, text, tuple(token(one, -1.0) for one in tokens))


def test_a_token_goes_out_with_the_last_of_its_characters() -> None:
    assert cut("END", said("one E", "one", " E"), said("gg", "gg")) == [("one ", ["one"]), ("Egg", [" E", "gg"])]
    assert cut("END", said("one E", "one", " E"), said("ND two", "ND", " two")) == [("one ", ["one"])]
    assert cut("END", said("a E", "a", " E")) == [("a ", ["a"]), ("E", [" E"])]
    assert cut("END", said("ab"), said("", "a", "b"), said("c", "c")) == [("ab", []), ("c", ["a"]), ("", ["b", "c"])]


def test_a_value_taken_out_of_an_object_has_other_tokens() -> None:
    """Which is told, and not asked of the upstream."""
    form = Format("schema", {"type": "array", "items": {"type": "string"}})
    wire = Wire("/v1beta/models/m:generateContent", GEMINI.render_request(
        Request("m", [Message("user", (Text("Hi"),))], logprobs=1)).wire.body)  # fmt: skip
    asked = replace(GEMINI.parse_request(wire), format=form)

    def bridge(policy: Any) -> Bridge:
        return Bridge(
            GEMINI, CHAT, wire, asked, model="real", stream=False, traits=DEFAULT_TRAITS, policy=policy, seed=SEED
        )

    balanced = bridge("balanced")
    assert "logprobs" not in json.loads(balanced.wire.body)
    assert [loss.code for loss in balanced.warnings if "ogprobs" in loss.path] == ["dropped"]
    with pytest.raises(BadRequest) as refused:
        bridge("strict")
    assert "ogprobs" in str(refused.value.error.param)
