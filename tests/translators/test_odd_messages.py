"""Conversations as they should not be, and what each target makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .pairs import CLIENTS, losses, refused, sent

PNG = "iVBORw0KGgo="
EMPTY: dict[str, dict[str, Any]] = {
    "cc": {"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}]},
    "rs": {"input": ""},
    "an": {"messages": [{"role": "user", "content": ""}]},
    "gm": {"contents": [{"role": "user", "parts": [{"text": ""}]}]},
    "ol": {"messages": [{"role": "user", "content": ""}]},
}


@pytest.mark.parametrize("upstream", CLIENTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_conversation_without_a_word_is_one_still(client: str, upstream: str) -> None:
    if client != upstream:
        body = sent(f"{client}-{upstream}", EMPTY[client])
        turns = next(body[name] for name in ("messages", "input", "contents") if name in body)
        assert [turn["role"] for turn in turns] == ["user"] and turns[0] != {"role": "user"}


def test_nothing_at_all_is_a_mistake() -> None:
    assert refused("gm-cc", {"contents": []}).param == "contents"
    assert refused("rs-cc", {"input": []}).param == "input"
    assert refused("cc-an", {"messages": []}).param == "messages"
    assert refused("an-cc", {"messages": []}).param == "messages"
    assert sent("rs-cc", {"input": [], "instructions": "Be brief."})["messages"][0]["content"] == "Be brief."


def test_a_second_user_is_told_apart() -> None:
    talk = [{"role": "user", "name": name, "content": name[0]} for name in ("bob", "amy", "bob")]
    for upstream in ("rs", "an", "gm", "ol"):
        text = json.dumps(sent(f"cc-{upstream}", {"messages": talk}))
        assert '"amy: a"' in text and "bob:" not in text
        assert losses(f"cc-{upstream}", {"messages": talk})["messages.name"] == "w/w/w"
        alone = {"messages": talk[:1]}
        assert losses(f"cc-{upstream}", alone)["messages.name"] == "i/i/i"
        assert "bob" not in json.dumps(sent(f"cc-{upstream}", alone))


def test_a_longer_conversation_of_two_users_begins_as_the_shorter_one() -> None:
    talk: list[dict[str, Any]] = []
    before: list[Any] = []
    for name in ("bob", "amy", "eve", "bob"):
        talk += [{"role": "user", "name": name, "content": "x"}, {"role": "assistant", "content": "y"}]
        made = sent("cc-an", {"messages": talk})["messages"]
        assert made[: len(before)] == before
        before = made


def test_a_name_goes_before_what_is_no_text_and_behind_results() -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    talk = [{"role": "user", "name": "bob", "content": "x"}, {"role": "user", "name": "amy", "content": [picture]}]
    (turn,) = sent("cc-an", {"messages": talk})["messages"]
    assert [block.get("text") for block in turn["content"]] == ["x", "amy:", None]


@pytest.mark.parametrize(
    "said",
    ["Be brief.", {"parts": [{"text": "Be brief."}]}, {"role": "system", "parts": {"text": "Be brief."}},
     [{"text": "Be brief."}], ["Be brief."], [{"parts": [{"text": "Be brief."}]}], {"text": "Be brief."}],
)  # fmt: skip
@pytest.mark.parametrize("name", ["systemInstruction", "system_instruction"])
def test_a_gemini_client_says_its_instruction_in_many_ways(name: str, said: Any) -> None:
    assert sent("gm-an", {name: said})["system"] == "Be brief."


def test_a_picture_among_the_instructions_leaves_a_mark() -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    talk = [{"role": "system", "content": [{"type": "text", "text": "A"}, picture]}, {"role": "user", "content": "u"}]
    assert sent("cc-gm", {"messages": talk})["systemInstruction"]["parts"] == [{"text": "A\n\n[image]"}]


def test_what_the_assistant_began_is_not_continued_everywhere() -> None:
    talk = {"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "pre"}]}
    assert losses("cc-rs", talk) == {"messages": "r/w/w"}
    assert losses("cc-gm", talk) == {"messages": "w/w/w"}
    assert losses("cc-ol", talk) == losses("cc-an", talk) == {}
    assert sent("cc-rs", talk)["input"][-1]["role"] == "assistant"


@pytest.mark.parametrize(("client", "body"), [
    ("cc", {"n": 2}), ("gm", {"generationConfig": {"candidateCount": 2}}),
])  # fmt: skip
def test_only_one_answer_is_translated(client: str, body: dict[str, Any]) -> None:
    for upstream in CLIENTS:
        if upstream != client:
            assert refused(f"{client}-{upstream}", body).code == "unsupported_translation"
            assert '"n"' not in json.dumps(sent(f"{client}-{upstream}", body, "max_compat"))


# ------------------------------------------------------------------------------------------------ results

URL = f"data:image/png;base64,{PNG}"
SPELT: list[Any] = [
    [{"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": URL}],
    [{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": URL}}],
    {"content": [{"type": "text", "text": "t"}, {"type": "image", "data": PNG, "mimeType": "image/png"}]},
    [{"type": "text", "text": "t"},
     {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}],
]  # fmt: skip


def history(client: str, output: str) -> dict[str, Any]:
    """A call and its result, whose text is `output`."""
    user = {"role": "user", "content": "u"}
    if client == "rs":
        call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
        return {"input": [user, call, {"type": "function_call_output", "call_id": "c", "output": output}]}
    if client == "an":
        use = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
        result = {"type": "tool_result", "tool_use_id": "c", "content": output}
        return {"messages": [user, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    talk = [user, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c", "content": output}]
    return {"messages": talk}


@pytest.mark.parametrize("spelt", SPELT)
@pytest.mark.parametrize("client", ["rs", "cc", "an"])
def test_a_picture_in_the_text_of_a_result_is_a_picture(client: str, spelt: Any) -> None:
    body = history(client, json.dumps(spelt))
    upstream = "an" if client != "an" else "rs"
    made = json.dumps(sent(f"{client}-{upstream}", body))
    assert PNG in made and "input_image" in made if upstream == "rs" else '"media_type": "image/png"' in made
    assert '\\"type\\"' not in made, "none of it is left as text"


@pytest.mark.parametrize("text", [
    json.dumps([{"type": "text", "text": "data:image/png"}]), '[{"type": "made_up", "x": "data:image/png"}]',
    "data:image/png;base64,AAAA", '{"a": "data:image/png;base64,AAAA"}',
    '[{"type":"input_image","image_url":"data:image/',
])  # fmt: skip
def test_other_texts_stay_what_they_are(text: str) -> None:
    messages = sent("rs-cc", history("rs", text))["messages"]
    assert messages[-1] == {"role": "tool", "tool_call_id": "c", "content": text}
