"""What is exported runs: the scripts by bash and Python against a real proxy, the transcripts in our own tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from addons.export import FORMATS, Asked, ExportError
from addons.export.redact import secrets, texts
from addons.views.record import Record
from tests import forked, transcribed
from tests.harness import ROOT, Conn, Seen, Upstream, clean_environ, config, serving
from tests.mitmweb import Web, ended, mitmweb, until
from tests.translators import test_transcripts
from translators import CODECS

KEY = "sk-client-0123456789abcdef"
HI = [{"role": "user", "content": 'It\'s "quoted" $HOME `x` \\ Grüße\nJSON\nend'}]
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}

# protocol -> path, headers, body
ASKS: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "anthropic": (
        "/v1/messages",
        {"x-api-key": KEY, "anthropic-version": "2023-06-01", "anthropic-beta": "context-1m-2025-08-07"},
        {"model": "m", "max_tokens": 50, "messages": HI, "system": "Be terse.", "top_k": 3, "stream": True,
         "tools": [{"name": "look", "input_schema": TOOL}]},
    ),
    "openai-chat": (
        "/openai/v1/chat/completions",
        {"authorization": f"Bearer {KEY}"},
        {"model": "m", "messages": HI, "temperature": 0.5, "verbosity": "low", "unheard_of": {"a": [None, True]}},
    ),
    "openai-responses": (
        "/v1/responses",
        {"authorization": f"Bearer {KEY}"},
        {"model": "m", "input": HI, "stream": True, "store": False, "instructions": "Be terse."},
    ),
    "gemini": (
        f"/v1beta/models/m:streamGenerateContent?alt=sse&key={KEY}",
        {},
        {"contents": [{"role": "user", "parts": [{"text": "Grüße"}]}], "generationConfig": {"temperature": 0.5},
         "systemInstruction": {"parts": [{"text": "Be terse."}]}},
    ),
    "ollama": ("/api/chat", {"authorization": f"Bearer {KEY}"}, {"model": "m", "messages": HI, "think": True}),
}  # fmt: skip
EACH = pytest.mark.parametrize("protocol", list(ASKS))


def answer(conn: Conn, seen: Seen) -> None:
    head = {"id": "c", "created": 1, "model": "x"}
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    if not seen.json.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
        conn.json({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        return
    conn.stream()
    for delta, finish in (({"role": "assistant", "content": "Hello"}, None), ({}, "stop")):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        conn.chunk(f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n")
    last = {**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}
    conn.chunk(f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n")
    conn.end()


upstream = serving(answer)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Web]:
    settings = config(upstream, auth={"mode": "proxy_key", "keys": [{"value": KEY}]})
    with mitmweb(tmp_path_factory.mktemp("web"), settings) as web:
        yield web


Write = Callable[[str, str], Path]


@pytest.fixture
def write(shared: Web, upstream: Upstream, tmp_path: Path) -> Write:
    """Asks in a protocol, and writes the flow down in a format: the file."""
    shared.clear()
    upstream.seen.clear()

    def write(protocol: str, form: str) -> Path:
        path, headers, body = ASKS[protocol]
        assert httpx.post(shared.link.url + path, headers=headers, json=body, timeout=10).status_code == 200
        flow, out = shared.flow(when=ended), tmp_path / f"out.{form}"
        said = shared.command("llm.export", f"@{flow['id']}", form, str(out))
        assert str(out) in said
        texts = [file.read_text() for file in ([out] if out.is_file() else out.iterdir())]
        assert KEY not in "".join(texts)
        assert form in ("report", "redacted") or "***" not in "".join(texts)
        return out

    return write


def run(shared: Web, *command: str) -> str:
    environ = {**clean_environ(), "LLM_LINK_URL": shared.link.url, "LLM_LINK_API_KEY": KEY, "HOME": "/nowhere"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@EACH
def test_curl_sends_it_again(shared: Web, upstream: Upstream, write: Write, protocol: str) -> None:
    said = run(shared, "bash", str(write(protocol, "curl")))
    assert "Hello" in said
    first, again = upstream.seen
    assert again.body.rstrip(b"\n") == first.body
    own = {"content-length": first.headers["content-length"], "accept-encoding": first.headers["accept-encoding"]}
    assert {**again.headers, **own} == first.headers


@EACH
def test_the_sdk_sends_it_again(shared: Web, upstream: Upstream, write: Write, protocol: str) -> None:
    said = run(shared, sys.executable, str(write(protocol, "python")))
    assert "Hello" in said
    first, again = upstream.seen
    assert again.json == first.json


@EACH
def test_a_transcript_is_a_case_of_our_tests(write: Write, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(protocol, "transcript")
    monkeypatch.setattr(transcribed, "ROOT", folder.parent)
    transcribed.load.cache_clear()
    for codec in CODECS.values():
        for test in (
            test_transcripts.test_the_request_is_read,
            test_transcripts.test_the_request_is_written,
            test_transcripts.test_the_answer_is_read,
            test_transcripts.test_the_answer_is_written,
            test_transcripts.test_the_stream_is_read_whole_and_byte_by_byte,
            test_transcripts.test_the_stream_is_written_to_the_byte,
        ):
            test(folder.name, codec)
    transcribed.load.cache_clear()
    said = json.loads((folder / "exchange.json").read_text())
    assert said["response"]["parts"] == [{"type": "text", "text": "Hello"}]


def test_a_report_holds_both_sides_and_no_secret(write: Write, upstream: Upstream) -> None:
    said = write("anthropic", "report").read_text()
    for text in ("/v1/messages", "u0/model-0", "top_k", "Be terse.", "chat.completion.chunk", "## What the client got"):
        assert text in said, text
    assert "key-0" not in said


def test_a_redacted_report_has_no_texts(write: Write) -> None:
    said = write("anthropic", "redacted").read_text()
    assert "Be terse" not in said and "quoted" not in said and "Hello" not in said
    for text in ('"max_tokens": 50', '"role": "user"', "[9 characters]", '"finish_reason": "stop"', "top_k"):
        assert text in said, text


def llm_link(*words: str) -> subprocess.CompletedProcess[str]:
    return forked.llm_link(*words, cwd=ROOT, environ=clean_environ())


def test_a_saved_file_is_written_by_the_command_line(shared: Web, upstream: Upstream, tmp_path: Path) -> None:
    shared.clear()
    upstream.seen.clear()
    for protocol in ("anthropic", "openai-chat"):
        path, headers, body = ASKS[protocol]
        httpx.post(shared.link.url + path, headers=headers, json=body, timeout=10)
    shared.flow(1, when=ended)
    flows = tmp_path / "flows"
    flows.write_bytes(shared.call("GET", "/flows/dump").content)
    listed = llm_link("export", str(flows)).stdout.splitlines()
    assert "anthropic" in listed[-2] and "openai-chat" in listed[-1] and "u0/model-0" in listed[-1]
    number = listed[-2].split()[0]
    script = tmp_path / "again.sh"
    script.write_text(llm_link("export", str(flows), "curl", "--number", number).stdout)
    assert "Hello" in run(shared, "bash", str(script)) and upstream.seen[2].body == upstream.seen[0].body
    said = llm_link("export", str(flows), "transcript", "-o", str(tmp_path / "case"))
    assert said.returncode == 0 and (tmp_path / "case" / "exchange.json").exists()
    for words, code, why in (
        (("transcript",), 2, "name it with --output"),
        (("curl", "-n", "99"), 2, "none with the number 99"),
        (("pdf",), 2, "pdf"),
    ):
        done = llm_link("export", str(flows), *words)
        assert (done.returncode, why in done.stderr) == (code, True), done.stderr
    assert llm_link("export", str(tmp_path / "nothing")).returncode == 2


def test_what_cannot_be_written_is_said(shared: Web, tmp_path: Path) -> None:
    shared.clear()
    httpx.get(f"{shared.link.url}/v1/models", headers={"authorization": f"Bearer {KEY}"}, timeout=10)
    flow = f"@{shared.flow(when=ended)['id']}"
    for form, why in (("python", "no SDK has a call"), ("transcript", "asks no model"), ("pdf", "is none of curl")):
        with pytest.raises(AssertionError, match=why):
            shared.command("llm.export", flow, form, str(tmp_path / "out"))
    with pytest.raises(AssertionError, match="No such file"):
        shared.command("llm.export", flow, "curl", str(tmp_path / "no" / "such" / "out"))


def test_a_body_that_is_no_text(tmp_path: Path) -> None:
    """From a flow that was none of ours: bash gets it to the byte too."""
    body = bytes(range(256))
    seen = Upstream(lambda conn, seen: conn.json({}))
    asked = Asked("POST", "/x", [("X-Odd", "it's")], body, Record())
    script = tmp_path / "curl.sh"
    script.write_text(FORMATS["curl"](asked)[""])
    subprocess.run(["bash", script], env={**os.environ, "LLM_LINK_URL": seen.url}, check=True, timeout=30)
    assert until(lambda: seen.seen, "nothing came")[0].body == body and seen.seen[0].headers["x-odd"] == "it's"
    for form in ("python", "transcript"):
        with pytest.raises(ExportError):
            FORMATS[form](asked)
    seen.stop()


HIDDEN = [
    "sk-ant-" + "api03-" + "Ab1_" * 6,
    "sk-" + "proj-Ab1_" + "cdef" * 5,
    "AIza" + "SyA1234567890abcdefghijklmno",
    "ghp_" + "0123456789abcdefghijklmnopqrstuvwxyz",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "xoxb-" + "123456789012-abcdefghijkl",
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0In0.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("secret", HIDDEN)
def test_what_looks_like_a_key_is_hidden(secret: str) -> None:
    assert secrets(f'{{"say": "my key is {secret}, ok?"}}') == '{"say": "my key is ***, ok?"}'
    assert secret not in secrets(f"Authorization: Bearer {secret}\napi_key={secret}&x=1")


def test_what_is_no_key_stays() -> None:
    text = "a task-oriented skill, sk-ipping, tokens: 31, the secret of life, risk-averse-and-cautious-people"
    assert secrets(text) == text


def test_the_texts_of_a_stream_are_hidden_and_its_structure_stays() -> None:
    said = texts('event: x\ndata: {"type":"text","text":"Hello you"}\n\ndata: [DONE]\n\n: a secret remark\n')
    assert "Hello" not in said and "remark" not in said
    assert "event: x" in said and '{"type": "text", "text": "[9 characters]"}' in said and "data: [DONE]" in said
