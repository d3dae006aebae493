"""Usage: rows on their way to the store, in it, and out of it as sums; with real files, a real proxy that is killed,
and a real Redis protocol server where one is installed."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from addons.catalog import LongPrice, Model, catalogue
from addons.pricing import dollars
from addons.settings import load
from addons.store import Damaged, StoreError
from addons.store import usage_writer as writing
from addons.store.keys import ClientKeys
from addons.store.usage import SqliteUsage
from addons.store.usage_redis import RedisUsage
from addons.store.usage_row import Row
from addons.store.usage_writer import UsageWriter
from tests.addons.test_store_use import llm_link
from tests.harness import Conn, Proxy, Seen, Upstream, free_port, proxy, serving
from translators.model import Usage

T0 = 1_893_456_000.0  # 2030-01-01, UTC


def row(n: int = 0, **changed: Any) -> Row:
    base = Row(
        id=f"x{n}", started=T0 + n, client="team", app="", namespace="default", protocol="anthropic",
        purpose="generate", model="claude-x", upstream="u", upstream_protocol="openai-chat", upstream_model="m",
        attempts=1, status=200, outcome="ok", streamed=1, input=10, cache_read=20, cache_write=0, output=5, reasoning=2,
        estimated=0, cost=0.5, first=0.2, total=1.0,
    )  # fmt: skip
    return base._replace(**changed)


ROWS = [
    row(0),
    row(1, client="guest", upstream_model="n", cost=None),
    row(2, outcome="overloaded", status=529, attempts=3, cost=None, first=None, total=3.0)._replace(
        input=None, cache_read=None, cache_write=None, output=None, reasoning=None
    ),
    row(3, outcome="cancelled", started=T0 + 86400),
]


# ------------------------------------------------------------------------------------------------ the database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage" / "llm-link.db"


def test_what_is_written_adds_up(path: Path) -> None:
    store = SqliteUsage(path)
    store.write(ROWS)
    store.write(ROWS[:1])  # the same exchange is one row
    (whole,) = store.sums((), None, None)
    assert whole == {
        "requests": 4, "errors": 1, "cancelled": 1, "attempts": 6, "input": 30, "cache_read": 60, "cache_write": 0,
        "output": 15, "reasoning": 6, "cost": 1.0, "unpriced": 1, "first": pytest.approx(0.2), "total": 1.5,
    }  # fmt: skip
    by_client = store.sums(["client"], None, None)
    assert [(found["client"], found["requests"]) for found in by_client] == [("guest", 1), ("team", 3)]
    both = store.sums(["model", "outcome"], None, None)
    assert [(found["model"], found["outcome"]) for found in both] == [
        ("m", "cancelled"), ("m", "ok"), ("m", "overloaded"), ("n", "ok"),
    ]  # fmt: skip
    assert store.sums([], T0 + 1, T0 + 3)[0]["requests"] == 2
    assert store.sums(["day"], T0 + 1e6, None) == [] and store.sums((), T0 + 1e6, None) == []
    assert len(store.sums(["day"], None, None)) == 2
    store.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_several_processes_make_and_write_one_file(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from addons.store.usage import SqliteUsage;"
        "from tests.addons.test_usage import row;"
        "s = SqliteUsage(Path(sys.argv[1])); [s.write([row(i, id=f'{sys.argv[2]}-{i}')]) for i in range(40)]"
    )
    import sys

    argv = [sys.executable, "-c", code, str(path)]
    running = [subprocess.Popen([*argv, str(n)], stderr=subprocess.PIPE, cwd=Path.cwd()) for n in range(3)]
    assert [process.communicate()[1] for process in running] == [b""] * 3
    assert SqliteUsage(path).sums((), None, None)[0]["requests"] == 120


def broken_header(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def broken_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 * 2 : 4096 * 3] = b"\xff" * 4096
    path.write_bytes(data)


@pytest.mark.parametrize("break_it", [broken_header, broken_page])
def test_a_damaged_database_is_named_and_left_as_it_is(path: Path, break_it: Callable[[Path], None]) -> None:
    store = SqliteUsage(path)
    store.write([row(n) for n in range(500)])
    store.close()
    break_it(path)
    before = path.read_bytes()
    with pytest.raises(Damaged, match=r"llm-link\.db: is damaged and is left as it is \(.+\); move it away"):
        SqliteUsage(path).write(ROWS)
    assert path.read_bytes() == before


def test_what_is_not_ours(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE music (x)")
    with sqlite3.connect(tmp_path / "later.db") as later:
        later.execute("PRAGMA user_version = 99")
    for name in ("other.db", "later.db"):
        with pytest.raises(StoreError, match="is no usage database of LLM Link, or one of a later version"):
            SqliteUsage(tmp_path / name)
    with pytest.raises(StoreError, match="there is no usage yet"):
        SqliteUsage(tmp_path / "none.db", create=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used: "):
        SqliteUsage(tmp_path / "file" / "x.db")
    assert not (tmp_path / "none.db").exists()


# ------------------------------------------------------------------------------------------------ the writer


class Kept:
    """A store in memory, which can be made to fail or to wait."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.batches = 0
        self.fails = 0
        self.error: type[StoreError] = StoreError
        self.gate = threading.Event()
        self.gate.set()

    def write(self, rows: Sequence[Row]) -> None:
        self.gate.wait(10)
        if self.fails:
            self.fails -= 1
            raise self.error("it is away")
        self.rows += rows
        self.batches += 1

    def close(self) -> None:
        self.gate.set()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.setattr(writing, "RETRY", (0.02,))
    monkeypatch.setattr(logging.getLogger("llm_link"), "propagate", True)
    yield Kept()


def test_rows_are_written_in_batches_and_all_at_the_end(kept: Kept) -> None:
    writer = UsageWriter(lambda: kept)  # type: ignore[arg-type, return-value]
    for n in range(1200):
        writer.put(row(n))
    writer.close()
    assert [found.id for found in kept.rows] == [f"x{n}" for n in range(1200)]
    assert kept.batches <= 4 and writer.dropped == 0


def test_a_store_that_is_away_is_tried_again(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    kept.fails = 3
    writer = UsageWriter(lambda: kept)  # type: ignore[arg-type, return-value]
    writer.put(row(0))
    end = time.monotonic() + 10
    while not kept.rows and time.monotonic() < end:
        time.sleep(0.01)
    writer.close()
    assert len(kept.rows) == 1
    assert caplog.messages == ["usage is not kept: it is away", "usage is kept again"]


def test_what_does_not_fit_is_dropped_counted_and_said(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writing, "QUEUE", 10)
    monkeypatch.setattr(writing, "LINGER", 0.0)
    kept.gate.clear()
    writer = UsageWriter(lambda: kept)  # type: ignore[arg-type, return-value]
    for n in range(50):  # never waits
        writer.put(row(n))
    kept.gate.set()
    writer.close()
    assert writer.dropped >= 30 and len(kept.rows) == 50 - writer.dropped == writer.written
    assert f"usage: {writer.dropped} rows were dropped" in caplog.messages


def test_a_damaged_store_is_not_tried_again(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    kept.fails, kept.error = 1, Damaged
    writer = UsageWriter(lambda: kept)  # type: ignore[arg-type, return-value]
    writer.put(row(0))
    end = time.monotonic() + 10
    while not writer.dropped and time.monotonic() < end:
        time.sleep(0.01)
    writer.put(row(1))
    writer.close()
    assert kept.rows == [] and writer.dropped == 2 and caplog.messages[0] == "usage is not kept: it is away"


def test_the_end_does_not_wait_for_a_store_that_is_away(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "RETRY", (3600.0,))
    kept.fails = 10**6
    writer = UsageWriter(lambda: kept)  # type: ignore[arg-type, return-value]
    for n in range(2000):
        writer.put(row(n))
    writer.close()
    assert writer._thread is not None and not writer._thread.is_alive() and kept.rows == []


# ------------------------------------------------------------------------------------------------ cost


def test_cost() -> None:
    usage = Usage(input=1_000_000, cache_read=2_000_000, cache_write=1_000_000, output=500_000, reasoning=500_000)
    assert dollars(Model(id="m", price=(2, 8)), usage) == pytest.approx(2 * 4 + 8)
    assert dollars(Model(id="m", price=(2, 8), cache_price=(0.2, 2.5)), usage) == pytest.approx(2 + 0.4 + 2.5 + 8)
    row = Model(id="m", price=(2, 8), cache_price=(0.2, 2.5), cache_hour_price=4, long_price=LongPrice(4_000_000, 2, 3))
    hours = Usage(input=1_000_000, cache_write=1_000_000, cache_write_1h=400_000, output=1_000_000)
    assert dollars(row, hours) == pytest.approx(2 + 0.6 * 2.5 + 0.4 * 4 + 8)
    assert dollars(row, usage) == pytest.approx(2 + 0.4 + 2.5 + 8)  # as long as may be
    more = Usage(input=1_000_001, cache_read=2_000_000, cache_write=1_000_000)
    assert dollars(row, more) == pytest.approx((2 + 0.4 + 2.5) * 2, rel=1e-5)
    assert dollars(Model(id="m"), usage) is None and dollars(None, usage) is None


def test_prices_of_the_catalogue_make_sense() -> None:
    """A slip of a digit is found: output costs more than input, cached input less, written input a little more."""
    priced = [model for row in catalogue().providers.values() for model in row.models if model.price]
    assert len(priced) > 30
    for model in priced:
        assert model.price is not None and 0 < model.price[0] < model.price[1] < 200, model
        fresh = model.price[0]
        read, write = model.cache_price or (fresh, fresh)
        assert read <= fresh <= write <= 1.25 * fresh + 1e-9, model
        assert model.cache_hour_price is None or write < model.cache_hour_price <= 2 * fresh, model


# ------------------------------------------------------------------------------------------------ the settings


LOCAL = "upstreams: {a: {provider: local}}\n"


@pytest.mark.parametrize(
    ("text", "store"),
    [
        (LOCAL, "sqlite:{folder}/llm-link.db"),
        (LOCAL + "usage: {store: 'sqlite:deep/u.db'}", "sqlite:{folder}/deep/u.db"),
        (LOCAL + "usage: {store: 'sqlite:/elsewhere/u.db'}", "sqlite:/elsewhere/u.db"),
        (LOCAL + "usage: off", "off"),
        (LOCAL + "usage: {store: 'redis://h:1/0'}", "redis://h:1/0"),
    ],
)
def test_where_usage_is_kept(tmp_path: Path, text: str, store: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    settings = load(tmp_path / "c.yaml", {})
    assert settings.usage.store == store.format(folder=tmp_path) and settings.warnings == ()


def test_without_a_config_file_it_is_off(tmp_path: Path) -> None:
    assert load(None, {}, serve={"provider": "local"}, cwd=tmp_path).usage.store == "off"


# ------------------------------------------------------------------------------------------------ the proxy


def answer(conn: Conn, seen: Seen) -> None:
    asked = seen.json
    if asked["model"] == "broken":
        conn.json({"error": {"message": "no", "type": "server_error"}}, 500)
        return
    usage = {
        "prompt_tokens": 30, "completion_tokens": 7, "total_tokens": 37,
        "prompt_tokens_details": {"cached_tokens": 20}, "completion_tokens_details": {"reasoning_tokens": 2},
    }  # fmt: skip
    base = {"id": "c", "created": 1, "model": asked["model"]}
    if not asked.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
        conn.json({**base, "object": "chat.completion", "choices": [choice], "usage": usage})
        return
    conn.stream()
    choice = {"index": 0, "delta": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
    for chunk in ({"choices": [choice]}, {"choices": [], "usage": usage}):
        conn.chunk(f"data: {json.dumps({**base, 'object': 'chat.completion.chunk', **chunk})}\n\n")
    conn.chunk("data: [DONE]\n\n")
    conn.end()


upstream = serving(answer)


def document(upstream: Upstream, **more: Any) -> dict[str, Any]:
    return {
        "auth": {"mode": "none"},
        "upstreams": {"u": {"protocol": "openai-chat", "base_url": f"{upstream.url}/v1", "api_key": {"value": "k"}}},
        "models": {"*": "u/*"},
        "retry": {"attempts": 1},
        **more,
    }


def ask(link: Proxy, model: str = "gpt-4o", stream: bool = False, **headers: str) -> int:
    body = {"model": model, "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "x"}]}
    return httpx.post(f"{link.url}/v1/messages", json=body, headers=headers, timeout=10).status_code


def rows_in(path: Path, count: int) -> list[dict[str, Any]]:
    """All rows, once there are so many."""
    end = time.monotonic() + 15
    while True:
        found: list[dict[str, Any]] = []
        if path.exists():
            with sqlite3.connect(path) as database:
                database.row_factory = sqlite3.Row
                try:
                    found = [dict(one) for one in database.execute("SELECT * FROM exchanges ORDER BY started")]
                except sqlite3.OperationalError:  # not made yet
                    found = []
        if len(found) >= count:
            return found
        assert time.monotonic() < end, f"{len(found)} rows of {count}"
        time.sleep(0.05)


def test_a_row_an_exchange(tmp_path: Path, upstream: Upstream) -> None:
    keys = ClientKeys(tmp_path / "p.keys.db")
    token = keys.issue("laptop")[1].get_secret_value()
    auth = {"auth": {"mode": "proxy_key"}, "store": {"path": "p.db"}}
    with proxy(tmp_path, document(upstream, **auth)) as link:
        assert ask(link, **{"x-api-key": token, "x-client": "claude-code"}) == 200
        assert ask(link, stream=True, **{"x-api-key": token}) == 200
        assert ask(link, "broken", **{"x-api-key": token}) == 500
        assert ask(link, **{"x-api-key": "wrong"}) == 401
        httpx.get(f"{link.url}/v1/models", headers={"x-api-key": token}, timeout=10)
        first, second, third = rows_in(tmp_path / "llm-link.db", 3)
        assert "usage" not in link.log
    expected = {
        "client": "laptop", "app": "claude-code", "namespace": "default", "protocol": "anthropic", "model": "gpt-4o",
        "purpose": "generate", "upstream": "u", "upstream_protocol": "openai-chat", "upstream_model": "gpt-4o",
        "attempts": 1, "status": 200, "outcome": "ok", "streamed": 0, "input": 10, "cache_read": 20, "cache_write": 0,
        "output": 5, "reasoning": 2, "estimated": 0,
    }  # fmt: skip
    assert {name: first[name] for name in expected} == expected
    assert first["cost"] == pytest.approx((10 * 2.5 + 20 * 1.25 + 7 * 10) / 1e6)
    assert abs(first["started"] - time.time()) < 60 and 0 < first["first"] <= first["total"] < 10
    assert (second["streamed"], second["output"], second["app"]) == (1, 5, "")
    assert third["outcome"] != "ok" and third["status"] == 500 and third["output"] is None and third["cost"] is None
    with sqlite3.connect(tmp_path / "llm-link.db") as database:
        assert database.execute("SELECT count(*) FROM exchanges").fetchone() == (3,)


def test_a_killed_proxy_leaves_its_rows(tmp_path: Path, upstream: Upstream) -> None:
    path = tmp_path / "llm-link.db"
    with proxy(tmp_path, document(upstream)) as link:
        for _ in range(10):
            ask(link)
        rows_in(path, 10)
        ask(link)
        os.kill(link.process.pid, signal.SIGKILL)
        link.process.wait(10)
    with proxy(tmp_path, document(upstream)) as link:
        ask(link)
        found = rows_in(path, 11)
        assert "usage" not in link.log
    assert len(found) in (11, 12)  # the last before the end may be lost
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_last_rows_are_written_at_the_end(tmp_path: Path, upstream: Upstream) -> None:
    with proxy(tmp_path, document(upstream)) as link:
        for _ in range(5):
            ask(link)
    assert len(rows_in(tmp_path / "llm-link.db", 5)) == 5


def test_a_damaged_database_does_not_stop_the_proxy(tmp_path: Path, upstream: Upstream) -> None:
    broken_header(tmp_path / "llm-link.db")
    before = (tmp_path / "llm-link.db").read_bytes()
    with proxy(tmp_path, document(upstream)) as link:
        assert ask(link) == 200
        link.wait_log("usage is not kept: ")
        link.wait_log("llm-link.db: is damaged and is left as it is")
        assert ask(link) == 200
    assert (tmp_path / "llm-link.db").read_bytes() == before


def test_another_store_after_a_reload(tmp_path: Path, upstream: Upstream) -> None:
    with proxy(tmp_path, document(upstream)) as link:
        ask(link)
        assert link.config is not None
        link.config.write_text(json.dumps(document(upstream, usage={"store": "sqlite:other.db"})))
        link.wait_log("the changed config is in use")
        ask(link)
        assert len(rows_in(tmp_path / "llm-link.db", 1)) == 1
        assert len(rows_in(tmp_path / "other.db", 1)) == 1


# ------------------------------------------------------------------------------------------------ the command line


@pytest.fixture
def reported(tmp_path: Path) -> Path:
    config = tmp_path / "c.yaml"
    config.write_text(LOCAL)
    store = SqliteUsage(tmp_path / "llm-link.db")
    now = time.time()
    store.write([found._replace(started=now - 60 * n) for n, found in enumerate(ROWS)])
    store.write([row(9, started=now - 40 * 86400)])
    store.close()
    return config


def test_the_table(reported: Path, tmp_path: Path) -> None:
    done = llm_link(tmp_path, "usage", "--config", reported, "--by", "client")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert done.returncode == 0 and lines[0][:3] == ["client", "requests", "errors"]
    assert [line[0] for line in lines[1:3]] == ["guest", "team"] and lines[3][:3] == ["in", "all", "4"]
    assert "without 1 requests to models that the catalogue has no price of" in done.stdout


def test_json(reported: Path, tmp_path: Path) -> None:
    done = llm_link(tmp_path, "usage", "--json", "--by", "outcome", LLM_LINK_CONFIG=str(reported))
    found = json.loads(done.stdout)
    assert [one["outcome"] for one in found["data"]] == ["cancelled", "ok", "overloaded"]
    assert found["sum"]["requests"] == 4 and found["by"] == ["outcome"]
    more = json.loads(llm_link(tmp_path, "usage", "--json", "--since", "90d", "-c", reported).stdout)
    assert more["sum"]["requests"] == 5
    none = json.loads(llm_link(tmp_path, "usage", "--json", "--since", "2001-01-01", "--until", "2002-01-01", "-c",
                               reported).stdout)  # fmt: skip
    assert none["data"] == [] and none["sum"] is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--by", "moon"], "--by: 'moon' is unknown"),
        (["--since", "soon"], "--since: expected 7d"),
        (["--store", "mysql:x"], "--store: expected sqlite:FILE or redis://…"),
        (["--store", "sqlite:none.db"], "none.db: there is no usage yet"),
        ([], "name it with --config"),
        (["--config", "none.yaml"], "none.yaml: cannot be read"),
        (["--config", "off.yaml"], "off.yaml: usage is off"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, words: list[str], says: str) -> None:
    (tmp_path / "off.yaml").write_text("usage: off\n")
    done = llm_link(tmp_path, "usage", *words)
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1


# ------------------------------------------------------------------------------------------------ redis


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("no redis-server or valkey-server on PATH: either one, installed, runs it")
    port = free_port()
    argv = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    end = time.monotonic() + 10
    while True:
        try:
            RedisUsage(url).close()
            break
        except StoreError:
            assert time.monotonic() < end
            time.sleep(0.05)
    yield url
    server.terminate()
    server.wait(10)


def test_redis(redis_url: str) -> None:
    store = RedisUsage(redis_url)
    now = time.time()
    store.write([found._replace(started=now + n) for n, found in enumerate(ROWS)])
    assert [found["requests"] for found in store.sums(["client"], now - 60, None)] == [1, 3]
    assert store.sums((), now + 1, now + 3)[0]["requests"] == 2
    store.close()


def test_redis_that_is_not_there_is_said_without_its_password() -> None:
    with pytest.raises(StoreError, match=r"^redis://127\.0\.0\.1:\d+/0: cannot be used: ") as caught:
        RedisUsage(f"redis://user:hidden-password@127.0.0.1:{free_port()}/0")
    assert "hidden-password" not in str(caught.value)
