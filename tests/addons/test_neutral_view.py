"""The neutral request as YAML: read, edited and put back, as mitmproxy's console does it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from mitmproxy import contentviews
from mitmproxy.contentviews import InteractiveContentview, Metadata
from mitmproxy.test import taddons, tflow

from addons.views.edit import NeutralView
from tests.transcribed import NAMES, PATHS, wire
from translators import CODECS
from translators.codec import Codec

PREFIX = {
    "openai-chat": "/v1", "openai-responses": "/openai/v1", "anthropic": "/v1", "gemini": "/v1beta", "ollama": "/api",
}  # fmt: skip
EACH = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)


def stopped(codec: Codec, body: bytes, stream: bool = True) -> Metadata:
    """What mitmproxy hands a view for the request of a flow."""
    flow = tflow.tflow()
    flow.request.method, flow.request.path = "POST", PREFIX[codec.NAME] + PATHS[codec.NAME][stream]
    flow.request.content = body
    return Metadata(flow=flow, http_message=flow.request)


def shown(codec: Codec, body: bytes) -> str:
    return NeutralView().prettify(body, stopped(codec, body))


@EACH
@pytest.mark.parametrize("name", NAMES)
def test_an_unchanged_text_leaves_the_body_as_it_is(name: str, codec: Codec) -> None:
    body = wire(name, codec).body
    said = shown(codec, body)
    assert NeutralView().reencode(said, stopped(codec, body)) == body
    assert isinstance(yaml.safe_load(said)["messages"], list)


@EACH
def test_an_edit_is_said_in_the_clients_own_words(codec: Codec) -> None:
    body = wire("one-tool", codec).body
    plain = yaml.safe_load(shown(codec, body))
    plain["messages"][0]["parts"][0]["text"] = "Grüße\naus Köln\n"
    plain["temperature"] = 0.25
    got = NeutralView().reencode(yaml.safe_dump(plain), stopped(codec, body))
    again = yaml.safe_load(shown(codec, got))
    assert again["messages"][0]["parts"][0]["text"] == "Grüße\naus Köln\n" and again["temperature"] == 0.25
    before, after = json.loads(body), json.loads(got)
    assert set(before) <= set(after) and "Grüße" in got.decode()


def test_a_model_that_stands_in_the_path_is_changed_there() -> None:
    codec, body = CODECS["gemini"], wire("plain-text", CODECS["gemini"]).body
    metadata = stopped(codec, body)
    text = shown(codec, body).replace("model: m\n", "model: other\n").replace("stream: true\n", "")
    NeutralView().reencode(text, metadata)
    assert metadata.http_message.path == "/v1beta/models/other:generateContent"  # type: ignore[union-attr]


def test_texts_stand_line_by_line_and_data_is_kept_out() -> None:
    image = "aGVsbG8g" * 1000
    part = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": image}}
    content: list[Any] = [{"type": "text", "text": "one\ntwo\n"}, part]
    ask = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": content}]}
    codec, body = CODECS["anthropic"], json.dumps(ask).encode()
    said = shown(codec, body)
    assert "text: |\n" in said and "      one\n      two\n" in said and len(said) < 1000
    got = json.loads(NeutralView().reencode(said.replace("two", "three"), stopped(codec, body)))
    assert got["messages"][0]["content"] == [{"type": "text", "text": "one\nthree\n"}, part]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("model: m", "model: [", "no YAML"),
        ("max_output: 1000", "max_output: many", r"no request: .*max_output"),
        ("role: user", "role: nobody", r"no request: .*role"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_changed(old: str, new: str, why: str) -> None:
    codec, body = CODECS["anthropic"], wire("plain-text", CODECS["anthropic"]).body
    with pytest.raises(ValueError, match=why):
        NeutralView().reencode(shown(codec, body).replace(old, new), stopped(codec, body))


def test_other_messages_are_not_for_it() -> None:
    flow = tflow.tflow(resp=True)
    for message in (flow.request, flow.response):
        with pytest.raises(ValueError, match="request"):
            NeutralView().prettify(b"{}", Metadata(flow=flow, http_message=message))


def test_mitmproxy_takes_it_for_one_that_edits() -> None:
    assert isinstance(NeutralView(), InteractiveContentview)
    codec, body = CODECS["anthropic"], wire("plain-text", CODECS["anthropic"]).body
    metadata = stopped(codec, body)
    flow, message = metadata.flow, metadata.http_message
    assert flow is not None and message is not None
    contentviews.registry.register(NeutralView())
    with taddons.context():
        said = contentviews.prettify_message(message, flow, "LLM Neutral")
        assert said.view_name == "LLM Neutral" and said.syntax_highlight == "yaml"
        got = contentviews.reencode_message(said.text.replace("Hi", "Ho"), message, flow, "LLM Neutral")
    assert json.loads(got)["messages"] == [{"role": "user", "content": "Ho"}]
