"""Stop it, change it, let it go: requests and answers held by mitmproxy's filter, streams held by us, all of it in a
real mitmweb, by its API."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import brotli
import httpx
import pytest
import zstandard

from tests.harness import Conn, Proxy, Seen, Upstream, config
from tests.mitmweb import Flow, Web, ended, mitmweb, until

ASK = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
OPERATOR = "stopped by the operator"


def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'id': 'c', 'object': 'chat.completion.chunk', 'created': 1, 'choices': [choice]})}\n\n"


class Model:
    """Says Hello; a stream stops after the first word until it is let go. `pour`: bytes of text after it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.go, self.pour, self.poured, self.hang = threading.Event(), 0, 0, False

    def __call__(self, conn: Conn, seen: Seen) -> None:
        if self.hang:
            self.go.wait(20)
        if not seen.json.get("stream"):
            text = json.dumps(seen.json["messages"][-1]["content"])
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            conn.json({"id": "c", "object": "chat.completion", "created": 1, "model": "x", "choices": [choice]})
            return
        conn.stream()
        conn.chunk(chunk({"role": "assistant", "content": "Hel"}))
        self.go.wait(20)
        while self.poured < self.pour:
            conn.chunk(chunk({"content": "x" * 60_000}))
            self.poured += 60_000
        conn.chunk(chunk({"content": "lo"}) + chunk({}, "stop") + "data: [DONE]\n\n")
        conn.end()


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


@pytest.fixture(scope="module")
def upstream(model: Model) -> Iterator[Upstream]:
    server = Upstream(model)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Web]:
    settings = config(upstream, keepalive=0.2)
    settings["models"]["other"] = "u0/another"
    settings["upstreams"]["patient"] = dict(settings["upstreams"]["u0"])
    settings["models"]["long"] = "patient/m"
    settings["upstreams"]["u0"]["timeout"] = {"idle": 0.5, "total": 1.5}
    with mitmweb(tmp_path_factory.mktemp("web"), settings) as web:
        yield web


@pytest.fixture
def web(shared: Web, upstream: Upstream, model: Model) -> Iterator[Web]:
    shared.options(intercept=None)
    shared.clear()
    upstream.seen.clear()
    upstream.gone.clear()
    model.reset()
    yield shared
    model.go.set()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(4)
    yield pool
    pool.shutdown(wait=False)  # a stream that a failed test left paused would be read for ever


def ask(link: Proxy, path: str = "/v1/messages", **more: Any) -> httpx.Response:
    return httpx.post(f"{link.url}{path}", json={**ASK, **more}, timeout=20)


def stopped(web: Web) -> Flow:
    return web.flow(when=lambda flow: flow["intercepted"])


def resume(web: Web, flow: Flow) -> None:
    web.call("POST", f"/flows/{flow['id']}/resume")


def edit(web: Web, flow: Flow, message: str, content: str) -> None:
    web.call("PUT", f"/flows/{flow['id']}", json={message: {"content": content}})


# ------------------------------------------------------------------------------------------ requests


def test_a_request_is_stopped_before_translation_and_edited_as_the_clients_own(
    web: Web, upstream: Upstream, pool: ThreadPoolExecutor
) -> None:
    web.options(intercept="~q")
    answer = pool.submit(ask, web.link)
    flow = stopped(web)
    assert not upstream.seen and json.loads(web.body(flow)) == ASK
    body = {**ASK, "model": "other", "messages": [{"role": "user", "content": "Grüß Gott"}]}
    edit(web, flow, "request", json.dumps(body, ensure_ascii=False))
    resume(web, flow)
    assert "Grüß Gott" in json.loads(answer.result().json()["content"][0]["text"])
    assert upstream.seen[0].json["model"] == "another"
    assert answer.result().headers["x-llm-link-upstream"] == "u0/another"


CODINGS = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstandard.compress}


@pytest.mark.parametrize("coding", list(CODINGS))
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_an_edited_body_keeps_its_content_encoding(
    web: Web, upstream: Upstream, pool: ThreadPoolExecutor, coding: str, path: str
) -> None:
    web.options(intercept="~q")
    packed = CODINGS[coding](json.dumps(ASK).encode())
    headers = {"content-encoding": coding, "content-type": "application/json"}
    answer = pool.submit(httpx.post, web.link.url + path, content=packed, headers=headers, timeout=20)
    flow = stopped(web)
    edit(web, flow, "request", json.dumps({**ASK, "messages": [{"role": "user", "content": "Edited " * 9}]}))
    resume(web, flow)
    assert answer.result().status_code == 200
    assert upstream.seen[0].json["messages"][-1]["content"] == "Edited " * 9
    assert upstream.seen[0].headers["content-length"] == str(len(upstream.seen[0].body))
    assert "content-encoding" not in upstream.seen[0].headers


def test_an_edit_that_is_no_json_is_the_clients_400(web: Web, upstream: Upstream, pool: ThreadPoolExecutor) -> None:
    web.options(intercept="~q")
    answer = pool.submit(ask, web.link)
    flow = stopped(web)
    edit(web, flow, "request", '{"model": ')
    resume(web, flow)
    assert answer.result().status_code == 400 and not upstream.seen
    assert answer.result().json()["error"]["type"] == "invalid_request_error"


def test_a_key_that_the_user_puts_in_is_masked(web: Web, upstream: Upstream, pool: ThreadPoolExecutor) -> None:
    web.options(intercept="~q")
    answer = pool.submit(ask, web.link)
    flow = stopped(web)
    headers = [["content-type", "application/json"], ["x-api-key", "sk-operator-987654"]]
    web.call("PUT", f"/flows/{flow['id']}", json={"request": {"headers": headers}})
    resume(web, flow)
    assert answer.result().status_code == 200
    assert ["x-api-key", "***"] in web.flow(when=ended)["request"]["headers"]
    assert "sk-operator" not in repr(web.saved()[0].metadata)


# ------------------------------------------------------------------------------------------ answers


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_a_whole_answer_is_stopped_and_edited(web: Web, pool: ThreadPoolExecutor, path: str) -> None:
    web.options(intercept="~s")
    answer = pool.submit(ask, web.link, path)
    flow = stopped(web)
    assert not answer.done()
    text = web.body(flow, "response").decode()
    edit(web, flow, "response", text.replace("Hi", "Höflich und länger"))
    resume(web, flow)
    assert "Höflich und länger" in json.dumps(answer.result().json(), ensure_ascii=False)
    record = until(lambda: web.saved()[0].metadata["llm_link"], "no record")
    assert record["edited"] and "Höflich" in record["sent"]["body"].decode()


def test_a_filter_for_answers_stops_a_stream_at_its_beginning_once(
    web: Web, pool: ThreadPoolExecutor, model: Model
) -> None:
    web.options(intercept="~s")
    model.go.set()
    answer = pool.submit(ask, web.link, stream=True)
    flow = stopped(web)
    time.sleep(0.3)
    assert not answer.done()
    resume(web, flow)
    assert answer.result(10).text.count("event: message_stop") == 1
    assert ended(web.flow())


# ------------------------------------------------------------------------------------------ streams


class Reader:
    """Reads a streamed answer in a thread."""

    def __init__(self, web: Web, pool: ThreadPoolExecutor, path: str = "/v1/messages", **more: Any) -> None:
        self.text = ""
        self.leave = threading.Event()
        self.done: Future[None] = pool.submit(self._read, web.link.url + path, {**ASK, "stream": True, **more})

    def _read(self, url: str, body: dict[str, Any]) -> None:
        with httpx.stream("POST", url, json=body, timeout=20) as answer:
            for piece in answer.iter_text():
                self.text += piece
                if self.leave.is_set():
                    return

    def has(self, text: str, count: int = 1) -> None:
        until(lambda: self.text.count(text) >= count, f"{text!r} never came: {self.text}")


def pause(web: Web) -> Flow:
    flow = web.flow(when=lambda flow: flow.get("response"))
    web.command("llm.pause", f"@{flow['id']}")
    return stopped(web)


def test_a_paused_stream_says_that_it_lives_and_goes_on_where_it_was(
    web: Web, pool: ThreadPoolExecutor, model: Model
) -> None:
    reader = Reader(web, pool)
    reader.has("Hel")
    flow = pause(web)
    model.go.set()
    reader.has("event: ping", reader.text.count("event: ping") + 9)  # longer than `idle` and `total` allow
    assert '"lo"' not in reader.text
    resume(web, flow)  # mitmweb's own button
    reader.done.result(10)
    assert '"lo"' in reader.text and "message_stop" in reader.text and "error" not in reader.text
    assert ended(web.flow())


def test_a_command_resumes(web: Web, pool: ThreadPoolExecutor, model: Model) -> None:
    reader = Reader(web, pool, "/v1/chat/completions")
    reader.has("Hel")
    flow = pause(web)
    model.go.set()
    web.command("llm.resume", f"@{flow['id']}")
    reader.done.result(10)
    assert reader.text.endswith("data: [DONE]\n\n")


def test_what_is_held_is_bounded(web: Web, pool: ThreadPoolExecutor, model: Model) -> None:
    model.pour = 64 << 20
    reader = Reader(web, pool, model="long")
    reader.has("Hel")
    flow = pause(web)
    model.go.set()
    until(lambda: model.poured >= 1 << 20, "the upstream was not read from")
    seen = -1
    while seen != model.poured:  # until the upstream gets nothing more rid of
        seen = model.poured
        time.sleep(0.4)
    assert seen < 16 << 20
    model.pour = seen
    resume(web, flow)
    reader.done.result(20)
    assert reader.text.count("x") >= seen and '"lo"' in reader.text


def test_a_client_that_leaves_a_paused_stream_ends_it(
    web: Web, pool: ThreadPoolExecutor, model: Model, upstream: Upstream
) -> None:
    reader = Reader(web, pool)
    reader.has("Hel")
    pause(web)
    reader.leave.set()
    reader.done.result(10)
    model.go.set()
    flow = web.flow(when=lambda flow: not flow["intercepted"] and flow.get("error"))
    assert web.saved()[0].metadata["llm_link"]["cancelled"] and flow["error"]


# ------------------------------------------------------------------------------------------ kills

KILLS = ["POST /flows/{}/kill", "DELETE /flows/{}"]


def kill(web: Web, how: str, flow: Flow) -> None:
    method, _, path = how.partition(" ")
    web.call(method, path.format(flow["id"]))


@pytest.mark.parametrize("how", KILLS)
@pytest.mark.parametrize("where", ["~q", "~s"])
def test_a_stopped_flow_that_is_killed_ends_in_the_clients_shape(
    web: Web, upstream: Upstream, pool: ThreadPoolExecutor, how: str, where: str
) -> None:
    web.options(intercept=where)
    answer = pool.submit(ask, web.link)
    kill(web, how, stopped(web))
    assert answer.result(10).status_code == 403
    error = answer.result().json()["error"]
    assert error["type"] == "permission_error" and OPERATOR in error["message"]
    assert len(upstream.seen) == (where == "~s")


@pytest.mark.parametrize("how", KILLS)
def test_a_flow_that_waits_for_its_upstream_can_be_killed(
    web: Web, upstream: Upstream, model: Model, pool: ThreadPoolExecutor, how: str
) -> None:
    model.hang = True
    answer = pool.submit(ask, web.link)
    until(lambda: upstream.seen, "nothing was sent")
    kill(web, how, web.flow())
    assert answer.result(10).status_code == 403 and OPERATOR in answer.result().text
    again = pool.submit(ask, web.link)
    model.go.set()
    assert again.result(10).status_code == 200


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("how", KILLS)
def test_a_running_stream_that_is_killed_ends_with_an_error_in_it(
    web: Web, pool: ThreadPoolExecutor, how: str, held: bool, upstream: Upstream, model: Model
) -> None:
    reader = Reader(web, pool)
    reader.has("Hel")
    flow = pause(web) if held else web.flow(when=lambda flow: flow.get("response"))
    kill(web, how, flow)
    reader.done.result(10)
    assert "event: error" in reader.text and OPERATOR in reader.text
    model.go.set()
    if "POST" in how:
        record = web.saved()[0].metadata["llm_link"]
        assert record["stopped"] and not record["cancelled"] and record["error"]["kind"] == "permission"
