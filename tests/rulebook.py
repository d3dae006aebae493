"""For tests of rules: an upstream that speaks any protocol, and clients of all five that say a text and read one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
from msgspec.structs import replace

from tests.harness import Conn, Proxy, Script, Seen
from translators import CODECS
from translators.codec import Seed, Wire
from translators.events import Fold, unfold
from translators.model import Request, Response, Text, Usage
from translators.pretty import part_text

_CLIENT = httpx.Client()  # making one takes longer than to ask
SEED = Seed("a" * 24, 1)
USAGE = Usage(input=7, output=3)
PATHS = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/{model}:{verb}",
    "ollama": "/api/chat",
}


def path_of(protocol: str, model: str, stream: bool) -> str:
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return PATHS[protocol].format(model=model.replace("/", "%2F"), verb=verb)


def speaking(protocol: str, reply: Callable[[Request], Response]) -> Script:
    """An upstream of that protocol; `reply` makes the answer of what was asked."""
    codec = CODECS[protocol]

    def script(conn: Conn, seen: Seen) -> None:
        if "/embeddings" in seen.path:
            vector = {"object": "embedding", "index": 0, "embedding": [0.5]}
            conn.json({"object": "list", "data": [vector], "model": "e", "usage": {"prompt_tokens": 1}})
            return
        wire = Wire(seen.path, seen.body, seen.headers)
        asked = codec.parse_request(wire)
        stream = codec.peek(wire)[1]
        response = replace(reply(asked), id="up_1", model="upstream-model")
        if not stream:
            conn.whole(codec.render_response(response, asked, SEED), 200, {"content-type": "application/json"})
            return
        encoder = codec.encoder(asked, SEED)
        conn.stream(headers={"content-type": encoder.content_type})
        for event in unfold(response):
            if out := encoder.encode(event):
                conn.chunk(out)
        conn.end()

    return script


def said(asked: Request) -> str:
    """The words of a request."""
    return "\n".join(part_text(part) for message in asked.messages for part in message.parts)


def echo(asked: Request) -> Response:
    return Response((Text(f"you said {said(asked)}"),), usage=USAGE)


def body_of(protocol: str, request: Request) -> dict[str, Any]:
    """What a client of a protocol sends."""
    return json.loads(CODECS[protocol].render_request(request).wire.body)  # type: ignore[no-any-return]


def ask(link: Proxy, protocol: str, request: Request, **more: Any) -> httpx.Response:
    body = {**body_of(protocol, request), **more}
    if protocol == "ollama":
        body["stream"] = request.stream
    return _CLIENT.post(link.url + path_of(protocol, request.model, request.stream), json=body, timeout=20)


def post(link: Proxy, path: str, body: dict[str, Any]) -> httpx.Response:
    return _CLIENT.post(link.url + path, json=body, timeout=20)


def read(protocol: str, stream: bool, answer: httpx.Response) -> Response:
    """The neutral answer that a client got."""
    assert answer.status_code == 200, answer.text
    if not stream:
        return CODECS[protocol].parse_response(answer.content, SEED)
    fold = Fold()
    decoder = CODECS[protocol].decoder(SEED)
    for event in [*decoder.feed(answer.content), *decoder.feed(b"")]:
        fold.add(event)
    assert fold.failure is None, fold.failure
    return fold.response


def text_of(response: Response) -> str:
    return "\n".join(part_text(part) for part in response.parts)
