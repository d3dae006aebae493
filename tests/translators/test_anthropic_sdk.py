"""Anthropic's own SDK, in its strict mode, as the judge of what we write for its clients."""

from __future__ import annotations

from typing import Any

import anthropic as sdk
import httpx2
import pytest

from translators import anthropic
from translators.codec import Seed
from translators.events import Failure, PartDelta, PartEnd, PartStart, Start, unfold
from translators.model import ApiError, Citation, ModelInfo, Request, Response, Text, Thinking, ToolCall, Usage
from translators.tokens import Count

SEED = Seed("abcdefghijklmnopqrstuvwx", 1_700_000_000)
ASKED = Request(model="asked-for")
CALL: dict[str, Any] = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
CITED = {"type": "char_location", "cited_text": "snow", "document_index": 0, "document_title": "W",
         "start_char_index": 3, "end_char_index": 7}

ANSWERS = [
    Response((Text("Hi é 🎉"),), usage=Usage(1, output=2)),
    Response((), "length", usage=Usage(1, 2, 3, 4, 5, 1)),
    Response(
        (Thinking("plan"), Text("It snows.", (Citation(extra={"anthropic": CITED}),)),
         ToolCall("a", "x", '{"q": "é\\n", "n": [1.0, {}]}'), ToolCall("b", "y"), ToolCall("c", "z", "no object")),
        "tool_call", "chatcmpl-1", "glm", Usage(10, 5, output=3, reasoning=4),
    ),
    Response((Thinking("", True, extra={"anthropic": {"data": "d"}}), Text("x")), "stop_sequence", stop_sequence="END"),
    Response((Text("No"),), "content_filter", detail="Why."),
    Response((), "context_window"),
]


def client(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> sdk.Anthropic:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers=headers or {"content-type": "application/json"}, content=body)

    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    return sdk.Anthropic(
        api_key="k", base_url="http://sdk", http_client=transport, max_retries=0, _strict_response_validation=True
    )


def whole(response: Response) -> Any:
    return client(anthropic.render_response(response, ASKED, SEED)).messages.create(**CALL)


def streamed(response: Response) -> Any:
    encoder = anthropic.encoder(ASKED, SEED)
    wire = b"".join(map(encoder.encode, unfold(response)))
    with client(wire, headers={"content-type": encoder.content_type}).messages.stream(**CALL) as stream:
        return stream.get_final_message()


@pytest.mark.parametrize("response", ANSWERS)
@pytest.mark.parametrize("read", [whole, streamed])
def test_it_reads_what_was_meant(read: Any, response: Response) -> None:
    message = read(response)
    assert message.model == "asked-for" and message.id.startswith("msg_")
    texts = [part.text for part in response.parts if isinstance(part, Text)]
    assert [block.text for block in message.content if block.type == "text"] == texts
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [call.id for call in calls] == [part.id for part in response.parts if isinstance(part, ToolCall)]
    if response.usage is not None:
        assert message.usage.output_tokens == response.usage.completion
        assert message.usage.input_tokens == response.usage.input
        assert message.usage.cache_read_input_tokens == response.usage.cache_read


@pytest.mark.parametrize("read", [whole, streamed])
def test_a_turn_of_three_kinds(read: Any) -> None:
    message = read(ANSWERS[2])
    assert message.stop_reason == "tool_use"
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use", "tool_use"]
    assert message.content[0].thinking == "plan" and message.content[0].signature
    assert message.content[1].citations[0].cited_text == "snow"
    assert [block.input for block in message.content[2:]] == [
        {"q": "é\n", "n": [1.0, {}]}, {}, {"input": "no object"},
    ]


@pytest.mark.parametrize(("kind", "error"), [
    ("rate_limit", sdk.RateLimitError), ("auth", sdk.AuthenticationError), ("overloaded", sdk.InternalServerError),
    ("invalid_request", sdk.BadRequestError), ("not_found", sdk.NotFoundError),
])
def test_it_raises_the_right_error(kind: Any, error: type[sdk.APIStatusError]) -> None:
    status, headers, body = anthropic.render_error(ApiError(500, kind, "Why.", retry_after=3))
    with pytest.raises(error, match="Why"):
        client(body, status, headers).messages.create(**CALL)


def test_it_raises_in_the_middle_of_a_stream() -> None:
    encoder = anthropic.encoder(ASKED, SEED)
    broken = Failure(ApiError(529, "overloaded", "Busy."))
    events = [Start(), PartStart(0, Text("")), PartDelta(0, "half"), PartEnd(0), broken]
    wire = b"".join(map(encoder.encode, events))
    seen = []
    judge = client(wire, headers={"content-type": encoder.content_type})
    with pytest.raises(sdk.APIStatusError, match="Busy"), judge.messages.stream(**CALL) as stream:
        seen.extend(stream.text_stream)
    assert seen == ["half"]


def test_lists_and_counts() -> None:
    page = client(anthropic.render_models([ModelInfo("a", created=5), ModelInfo("b", max_output=9)])).models.list()
    assert [(model.id, model.max_tokens) for model in page] == [("a", None), ("b", 9)]
    assert client(anthropic.render_model(ModelInfo("a"))).models.retrieve("a").id == "a"
    count = anthropic.counting.render_response(Count(7), ASKED, SEED)
    counted = client(count).messages.count_tokens(model="m", messages=CALL["messages"])
    assert counted.input_tokens == 7
