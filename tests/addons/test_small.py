"""The small endpoints in a real mitmdump: embeddings, counts, kept answers, model lists, probes, asked by the SDKs."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest
from google import genai
from mitmproxy import http
from mitmproxy import io as mitm_io

from tests.harness import Conn, Proxy, Seen, Upstream, proxy, serving

VECTORS = [[0.5, -0.25], [1.0, 0.125]]
PROTOCOLS = ("openai-chat", "openai-responses", "anthropic", "gemini", "ollama")
EMBED = {"openai-chat": "/v1/embeddings", "gemini": "/v1beta/models/{}:embedContent", "ollama": "/api/embed"}


def serve(conn: Conn, seen: Seen) -> None:
    """All five protocols, at one address each (`/PROTOCOL/…`)."""
    protocol, path = seen.path[1:].partition("/")[0], seen.path
    if "limited" in path or b'"limited"' in seen.body:
        conn.json({"error": {"message": "slow down", "type": "rate_limit_error"}}, 429, {"retry-after": "60"})
    elif "counts_not" in path or b"counts_not" in seen.body:
        conn.json({"error": {"message": "no such path"}}, 404)
    elif "embed" in path.lower():
        conn.json(vectors(protocol, seen))
    elif "count_tokens" in path or path.endswith("/input_tokens"):
        conn.json({"input_tokens": 4242})
    elif "countTokens" in path:
        conn.json({"totalTokens": 4242})
    elif "/responses/resp_" in path:
        kept(conn, seen)
    elif path.endswith("/responses/compact"):
        item = {"id": "cmp_1", "type": "compaction", "encrypted_content": "c2VhbGVk"}
        usage = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
        conn.json({"id": "resp_c", "object": "response.compaction", "created_at": 1, "output": [item], "usage": usage})
    elif b'"summary"' in seen.body or b'"cut-off"' in seen.body:
        message = {"role": "assistant", "content": "All was built."}
        choice = {"index": 0, "message": message, "finish_reason": "stop" if b'"summary"' in seen.body else "length"}
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        conn.json({"id": "c", "object": "chat.completion", "created": 1, "choices": [choice], "usage": usage})
    else:
        conn.json({"error": {"message": f"what is {path}?"}}, 400)


def vectors(protocol: str, seen: Seen) -> Any:
    body = seen.json
    count = len(body["requests"]) if "requests" in body else 1
    count = len(body["input"]) if isinstance(body.get("input"), list) else count
    made = VECTORS[:count]
    match protocol:
        case "gemini":
            usage = {"usageMetadata": {"promptTokenCount": 7}}
            rows = [{"values": vector} for vector in made]
            return {**usage, **({"embeddings": rows} if "requests" in body else {"embedding": rows[0]})}
        case "ollama":
            return {"embeddings": made, "prompt_eval_count": 7, "model": "x"}
    rows = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(made)]
    return {"object": "list", "data": rows, "model": "x", "usage": {"prompt_tokens": 7, "total_tokens": 7}}


def kept(conn: Conn, seen: Seen) -> None:
    if seen.method == "DELETE":
        conn.json({"id": "resp_1", "object": "response", "deleted": True})
    elif "input_items" in seen.path:
        conn.json({"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None})
    elif "stream=true" in seen.path:
        conn.stream()
        done = {"type": "response.completed", "sequence_number": 1, "response": stored("completed")}
        conn.chunk(f"event: response.completed\ndata: {json.dumps(done)}\n\n")
        conn.end()
    else:
        conn.json(stored("cancelled" if seen.path.endswith("/cancel") else "completed"))


def stored(status: str) -> dict[str, Any]:
    usage = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
    return {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "output": [], "usage": usage}


upstream = serving(serve)


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flows") / "flows"


@pytest.fixture(scope="module")
def link(upstream: Upstream, flows: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    segment = {"anthropic": "/v1", "gemini": "/v1beta", "ollama": "/api"}
    settings = {
        "auth": {"mode": "none"},
        "upstreams": {
            protocol: {
                "protocol": protocol,
                "base_url": f"{upstream.url}/{protocol}{segment.get(protocol, '/v1')}",
                "api_key": {"value": f"key-of-{protocol}"},
            }
            for protocol in PROTOCOLS
        },
        "models": {
            "first": "openai-chat/gpt-4o",
            "my-embeddings": {"target": "ollama/nomic-embed-text", "params": {"update": {"truncate": True}}},
            "tuned": {"target": "anthropic/claude-sonnet-5-5", "params": {"update": {"temperature": 1}}},
            "either": ["anthropic/claude-sonnet-5-5", "gemini/gemini-embedding-001"],
            "plan-b": ["openai-chat/limited", "ollama/all-minilm"],
            "private": ["openai-chat/gpt-4o", "anthropic/claude-sonnet-5-5"],
        },
    }
    arguments = ("-w", f"+{flows}")
    with proxy(tmp_path_factory.mktemp("small"), settings, arguments=arguments) as running:
        yield running


def last_flow(flows: Path, id: str) -> http.HTTPFlow:
    with flows.open("rb") as file:
        found = [flow for flow in mitm_io.FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]
    return next(flow for flow in found if flow.metadata.get("llm_link", {}).get("id") == id)


def google(link: Proxy) -> Any:
    return genai.Client(api_key="x", http_options={"base_url": link.url})


# ------------------------------------------------------------------------------------------------ embeddings


@pytest.mark.parametrize("target", ["openai-chat", "openai-responses", "gemini", "ollama"])
def test_openais_client_makes_vectors(link: Proxy, upstream: Upstream, target: str) -> None:
    client = openai.OpenAI(base_url=f"{link.url}/v1", api_key="x", max_retries=0)
    made = client.embeddings.create(model=f"{target}/e", input=["one", "two"])
    assert [row.embedding for row in made.data] == VECTORS and made.usage.prompt_tokens == 7
    plain = client.embeddings.create(model=f"{target}/e", input="one", encoding_format="float", dimensions=2)
    assert plain.data[0].embedding == VECTORS[0]
    seen = upstream.seen[-1]
    assert seen.path.startswith(f"/{target}/v1") or target == "ollama"
    key = seen.headers["x-goog-api-key"] if target == "gemini" else seen.headers["authorization"]
    assert key.endswith(f"key-of-{target}")


@pytest.mark.parametrize("target", ["openai-chat", "gemini", "ollama"])
def test_googles_client_makes_vectors(link: Proxy, target: str) -> None:
    client = google(link)
    made = client.models.embed_content(model=f"{target}/e", contents=["one", "two"])
    assert [row.values for row in made.embeddings] == VECTORS


@pytest.mark.parametrize("target", ["openai-responses", "gemini", "ollama"])
def test_ollamas_client_makes_vectors(link: Proxy, target: str) -> None:
    client = ollama.Client(host=link.url)
    made = client.embed(model=f"{target}/e", input=["one", "two"])
    assert made.embeddings == VECTORS and made.prompt_eval_count == 7
    if target != "ollama":  # whose upstream here has the newer endpoint only
        assert client.embeddings(model=f"{target}/e", prompt="one").embedding == VECTORS[0]


def test_facts_of_an_exchange_with_vectors(link: Proxy, flows: Path) -> None:
    body = {"content": {"parts": [{"text": "one"}]}, "taskType": "CLUSTERING"}
    answer = httpx.post(f"{link.url}/v1beta/models/first:embedContent", json=body)
    assert answer.json()["embedding"] == {"values": VECTORS[0]}
    assert answer.headers["x-llm-link-upstream"] == "openai-chat/gpt-4o"
    assert answer.headers["x-llm-link-warnings"] == "taskType=dropped"
    record = last_flow(flows, answer.headers["x-llm-link-request-id"]).metadata["llm_link"]
    assert record["usage"]["input"] == 7 and record["client"]["purpose"] == "embed"


def test_params_of_a_target_act_on_what_it_is_sent(link: Proxy, upstream: Upstream) -> None:
    assert httpx.post(f"{link.url}/v1/embeddings", json={"model": "my-embeddings", "input": "x"}).status_code == 200
    assert upstream.seen[-1].json == {"model": "nomic-embed-text", "input": "x", "truncate": True}


@pytest.mark.parametrize(("client", "place"), [
    ("openai-chat", ("error", "message")), ("gemini", ("error", "message")), ("ollama", ("error",)),
])  # fmt: skip
def test_anthropic_has_no_vectors(link: Proxy, client: str, place: tuple[str, ...]) -> None:
    body = {"model": "anthropic/claude", "input": "x", "content": {"parts": [{"text": "x"}]}}
    answer = httpx.post(link.url + EMBED[client].format("anthropic%2Fclaude"), json=body)
    value = answer.json()
    for name in place:
        value = value[name]
    assert answer.status_code == 501 and "'anthropic'" in value and "embeddings" in value


def test_the_next_target_is_asked_for_vectors(link: Proxy) -> None:
    for model, tries in (("either", "1"), ("plan-b", "2")):  # one cannot, one is limited
        answer = httpx.post(f"{link.url}/v1/embeddings", json={"model": model, "input": "x"})
        assert answer.json()["data"][0]["embedding"] == VECTORS[0]
        assert answer.headers["x-llm-link-attempts"] == tries


def test_errors_have_the_clients_shape(link: Proxy) -> None:
    answer = httpx.post(f"{link.url}/api/embed", json={"model": "gemini/limited", "input": "x"})
    assert answer.status_code == 429 and "slow down" in answer.json()["error"]
    answer = httpx.post(f"{link.url}/v1beta/models/gemini%2Fe:batchEmbedContents", json={"requests": 5})
    assert answer.status_code == 400 and answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    answer = httpx.post(f"{link.url}/v1/embeddings", json={"model": "gemini/e", "input": [[1, 2]]})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "input"


# ------------------------------------------------------------------------------------------------ counting


SAID = "word " * 200
COUNTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "anthropic": (
        "/v1/messages/count_tokens",
        {"model": "{}", "messages": [{"role": "user", "content": SAID}]},
        "input_tokens",
    ),
    "gemini": ("/v1beta/models/{}:countTokens", {"contents": [{"parts": [{"text": SAID}]}]}, "totalTokens"),
    "openai-responses": ("/v1/responses/input_tokens", {"model": "{}", "input": SAID}, "input_tokens"),
}


def count(link: Proxy, client: str, model: str) -> httpx.Response:
    path, body, _ = COUNTS[client]
    named = {name: model if value == "{}" else value for name, value in body.items()}
    return httpx.post(link.url + path.format(model.replace("/", "%2F")), json=named)


@pytest.mark.parametrize("client", COUNTS)
@pytest.mark.parametrize("target", PROTOCOLS)
def test_the_upstream_counts_where_it_can(link: Proxy, upstream: Upstream, client: str, target: str) -> None:
    answer, field = count(link, client, f"{target}/m"), COUNTS[client][2]
    assert answer.status_code == 200
    if target in COUNTS:
        assert answer.json()[field] == 4242 and "x-llm-link-warnings" not in answer.headers
        assert SAID in upstream.seen[-1].body.decode() and b"max_tokens" not in upstream.seen[-1].body
    else:
        assert 200 <= answer.json()[field] <= 600
        assert answer.headers["x-llm-link-warnings"] == "input_tokens=estimated"


@pytest.mark.parametrize("client", COUNTS)
@pytest.mark.parametrize("target", COUNTS)
def test_an_upstream_that_does_not_count_after_all(link: Proxy, client: str, target: str) -> None:
    answer = count(link, client, f"{target}/counts_not")
    assert answer.status_code == 200 and 200 <= answer.json()[COUNTS[client][2]] <= 600
    assert count(link, client, f"{target}/limited").status_code == 429


def test_nobody_else_sees_a_prompt_that_the_first_target_cannot_count(link: Proxy, upstream: Upstream) -> None:
    before = len(upstream.seen)
    assert count(link, "anthropic", "private").headers["x-llm-link-warnings"] == "input_tokens=estimated"
    assert len(upstream.seen) == before


def test_a_count_has_no_settings_of_an_answer(link: Proxy, upstream: Upstream) -> None:
    assert count(link, "anthropic", "tuned").json() == {"input_tokens": 4242}
    assert "temperature" not in upstream.seen[-1].json


def test_what_cannot_be_translated_is_still_counted(link: Proxy) -> None:
    image = {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": SAID}, image]}]
    answer = httpx.post(f"{link.url}/v1/messages/count_tokens", json={"model": "gemini/m", "messages": messages})
    assert answer.status_code == 200 and answer.headers["x-llm-link-warnings"] == "input_tokens=estimated"


def test_the_sdks_count(link: Proxy) -> None:
    messages: Any = [{"role": "user", "content": SAID}]
    ant = anthropic.Anthropic(base_url=link.url, api_key="x", max_retries=0)
    assert ant.messages.count_tokens(model="gemini/m", messages=messages).input_tokens == 4242
    oai = openai.OpenAI(base_url=f"{link.url}/v1", api_key="x", max_retries=0)
    assert oai.responses.input_tokens.count(model="anthropic/m", input=SAID).input_tokens == 4242
    client = google(link)
    assert client.models.count_tokens(model="openai-responses/m", contents=SAID).total_tokens == 4242


# ------------------------------------------------------------------------------------------------ kept answers


def test_kept_answers_are_the_upstreams(link: Proxy, upstream: Upstream, flows: Path) -> None:
    oai = openai.OpenAI(base_url=f"{link.url}/v1", api_key="x", max_retries=0)
    assert oai.responses.retrieve("resp_1").status == "completed"
    assert upstream.seen[-1].path == "/openai-responses/v1/responses/resp_1"
    assert upstream.seen[-1].headers["authorization"] == "Bearer key-of-openai-responses"
    assert oai.responses.cancel("resp_1").status == "cancelled"
    assert oai.responses.input_items.list("resp_1", limit=2).data == []
    assert upstream.seen[-1].path == "/openai-responses/v1/responses/resp_1/input_items?limit=2"
    oai.responses.delete("resp_1")
    assert upstream.seen[-1].method == "DELETE"
    events = list(oai.responses.retrieve("resp_1", stream=True))
    assert [event.type for event in events] == ["response.completed"]
    answer = httpx.get(f"{link.url}/responses/resp_1")
    assert last_flow(flows, answer.headers["x-llm-link-request-id"]).metadata["llm_link"]["usage"] is None


def test_nothing_is_kept_without_such_an_upstream(tmp_path: Path) -> None:
    settings = {
        "auth": {"mode": "none"},
        "upstreams": {"only": {"protocol": "openai-chat", "base_url": "http://127.0.0.1:9/v1"}},
        "models": {"*": "only/*"},
    }
    with proxy(tmp_path, settings) as running:
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
            answer = httpx.request(method, f"{running.url}/v1/responses/resp_1{path}")
            assert answer.status_code == 404 and "kept" in answer.json()["error"]["message"]


def test_compaction_by_the_upstream(link: Proxy, upstream: Upstream, flows: Path) -> None:
    body = b'{"model": "openai-responses/m",  "input": []}'
    answer = httpx.post(f"{link.url}/v1/responses/compact", content=body)
    assert answer.json()["output"][0]["encrypted_content"] == "c2VhbGVk"
    assert upstream.seen[-1].body == body.replace(b"openai-responses/m", b"m")
    record = last_flow(flows, answer.headers["x-llm-link-request-id"]).metadata["llm_link"]
    assert (record["usage"]["input"], record["usage"]["output"]) == (9, 3)


def test_compaction_by_a_summary(link: Proxy, upstream: Upstream) -> None:
    oai = openai.OpenAI(base_url=f"{link.url}/v1", api_key="x", max_retries=0)
    said: Any = [{"role": "user", "content": "Build it."}, {"role": "assistant", "content": "Done: it is built."}]
    made = oai.responses.compact(model="openai-chat/summary", input=said)
    assert made.object == "response.compaction" and [item.type for item in made.output] == ["compaction"]
    assert (made.usage.input_tokens, made.usage.output_tokens) == (9, 3)
    assert "Build it." in upstream.seen[-1].body.decode() and upstream.seen[-1].json["messages"][-1]["role"] == "user"
    # given back, it is the summary in words
    count = oai.responses.input_tokens.count
    count(model="anthropic/m", input=[made.output[0].to_dict(), {"role": "user", "content": "Go on."}])  # type: ignore
    assert "All was built." in upstream.seen[-1].body.decode()
    answer = httpx.post(f"{link.url}/v1/responses/compact", json={"model": "openai-chat/cut-off", "input": "Hi"})
    assert answer.status_code == 502 and "not whole" in answer.json()["error"]["message"]


# ------------------------------------------------------------------------------------------------ probes and lists


def talk(link: Proxy, *requests: str) -> list[bytes]:
    """Raw requests on one connection; the heads of the answers, and what stood after them."""
    with socket.create_connection(("127.0.0.1", link.port), timeout=10) as sock:
        out = []
        for request in requests:
            sock.sendall(request.replace("\n", "\r\n").encode())
            got = b""
            while b"\r\n\r\n" not in got:
                got += sock.recv(65536)
            length = int(re.search(rb"content-length: (\d+)", got)[1])  # type: ignore[index]
            while not request.startswith("HEAD") and len(got.partition(b"\r\n\r\n")[2]) < length:
                got += sock.recv(65536)
            out.append(got)
        return out


@pytest.mark.parametrize("path", ["/", "/api/hello", "/api/tags", "/v1/models", "/nothing", "/api/version", "/health"])
def test_an_answer_to_head_has_no_body(link: Proxy, path: str) -> None:
    head = f"HEAD {path} HTTP/1.1\nHost: 127.0.0.1\n\n"
    first, second = talk(link, head, "GET /health HTTP/1.1\nHost: 127.0.0.1\n\n")
    assert first.endswith(b"\r\n\r\n")
    assert second.startswith(b"HTTP/1.1 200") and second.endswith(b'{"status":"ok"}')


UPGRADE = "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZQ==\n"


@pytest.mark.parametrize(("path", "status"), [
    ("/v1/responses", 426), ("/openai/v1/responses?model=m", 426), ("/responses", 426), ("/v1/ws", 400),
])  # fmt: skip
def test_no_websocket_of_responses_and_none_with_a_bad_key(link: Proxy, path: str, status: int) -> None:
    request = f"GET {path} HTTP/1.1\nHost: 127.0.0.1\n{UPGRADE}\n"
    first, second = talk(link, request, "GET /health HTTP/1.1\nHost: 127.0.0.1\n\n")
    assert first.startswith(f"HTTP/1.1 {status}".encode()) and b'{"error":' in first
    assert second.startswith(b"HTTP/1.1 200")


def test_ollamas_client_looks_around(link: Proxy) -> None:
    client = ollama.Client(host=link.url)
    models = client.list().models
    assert {model.model for model in models} >= {"first", "my-embeddings"}
    assert len({model.digest for model in models}) == len(models)
    assert all(model.details and model.details.family and model.modified_at for model in models)
    shown = client.show("first")
    assert shown.capabilities == ["completion", "tools", "vision"] and shown.modelinfo is not None
    architecture = shown.modelinfo["general.architecture"]
    assert shown.modelinfo[f"{architecture}.context_length"] == 128000
    assert client.show("my-embeddings").capabilities == ["embedding"]
    assert client.show("my-embeddings:latest").capabilities == ["embedding"]
    assert client.show("gemini/any").capabilities is not None
    assert httpx.get(f"{link.url}/api/show/gemini/any").json()["details"]["family"] == "gemini"
    assert client.ps().models == []
    version = httpx.get(f"{link.url}/api/version").json()["version"]
    assert [int(part) for part in version.split(".")] >= [0, 13, 4]
    for body, status in (({}, 400), ({"name": "no-such"}, 404)):
        assert httpx.post(f"{link.url}/api/show", json=body).status_code == status


def test_openais_client_finds_models_with_slashes(link: Proxy) -> None:
    client = openai.OpenAI(base_url=f"{link.url}/v1", api_key="x", max_retries=0)
    assert "first" in [model.id for model in client.models.list()]
    assert client.models.retrieve("openai-chat/vendor/some:model").id == "openai-chat/vendor/some:model"
    assert httpx.get(f"{link.url}/v1/models/openai-chat/vendor/x").json()["owned_by"] == "openai-chat"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such")


def test_anthropics_client_pages(link: Proxy) -> None:
    client = anthropic.Anthropic(base_url=link.url, api_key="x", max_retries=0)
    everything = [model.id for model in client.models.list(limit=1000)]
    assert [model.id for model in client.models.list(limit=2)] == everything and len(everything) > 4
    page = client.models.list(limit=2, after_id=everything[1])
    assert [model.id for model in page.data] == everything[2:4] and page.has_more
    assert (page.first_id, page.last_id) == (everything[2], everything[3])
    assert client.models.retrieve(everything[0]).id == everything[0]
    headers = {"anthropic-version": "2023-06-01"}
    wrong = httpx.get(f"{link.url}/v1/models?limit=x", headers=headers)
    assert wrong.status_code == 400 and wrong.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_googles_client_pages(link: Proxy, version: str) -> None:
    client = genai.Client(api_key="x", http_options={"base_url": link.url, "api_version": version})
    everything = [model.name for model in client.models.list(config={"page_size": 1000})]
    assert [model.name for model in client.models.list(config={"page_size": 2})] == everything and len(everything) > 4
    assert everything[0] == "models/first"
    one = client.models.get(model="models/first")
    assert one.input_token_limit == 128000 and "generateContent" in (one.supported_actions or [])
    assert "embedContent" in (client.models.get(model="my-embeddings").supported_actions or [])
    assert client.models.get(model="gemini/a/b").name == "models/gemini/a/b"
    answer = httpx.post(f"{link.url}/{version}/models/first:doSomethingElse", json={})
    assert answer.status_code == 404 and answer.json()["error"]["status"] == "NOT_FOUND"
