"""The limits: what counts, for how long, and what a client is told when one is reached."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.credentials import take
from addons.rates import MOST, SPAN, Limited, Meters, Window, client_of
from addons.settings_model import Rate
from tests.harness import Conn, Proxy, Seen, Upstream, proxy


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meters(clock: Clock) -> Meters:
    return Meters(clock)


def enter(meters: Meters, tokens: int = 0, who: str = "a", **rate: int) -> Any:
    return meters.enter([(("key", who), "this key", Rate(**rate))], lambda: tokens)


def test_requests_count_for_a_minute(meters: Meters, clock: Clock) -> None:
    for _ in range(3):
        enter(meters, requests_per_minute=3).leave(10)
        clock.now += 10
    with pytest.raises(Limited, match="3 requests per minute for this key") as reached:
        enter(meters, requests_per_minute=3)
    assert reached.value.error.status == 429 and reached.value.error.retry_after == pytest.approx(30)
    clock.now += 30
    enter(meters, requests_per_minute=3)
    with pytest.raises(Limited):
        enter(meters, requests_per_minute=3)


def test_one_subject_does_not_count_for_another(meters: Meters) -> None:
    enter(meters, requests_per_minute=1)
    enter(meters, who="b", requests_per_minute=1)


def test_what_is_running_counts_until_it_ends(meters: Meters) -> None:
    first = enter(meters, concurrent=2)
    enter(meters, concurrent=2)
    with pytest.raises(Limited, match="2 concurrent requests"):
        enter(meters, concurrent=2)
    first.leave(None)
    first.leave(None)  # no matter
    enter(meters, concurrent=2)
    with pytest.raises(Limited):
        enter(meters, concurrent=2)


def test_tokens_are_taken_as_estimated_and_corrected_to_what_was_used(meters: Meters, clock: Clock) -> None:
    first = enter(meters, 700, tokens_per_minute=1000)
    with pytest.raises(Limited, match="1000 tokens per minute"):
        enter(meters, 400, tokens_per_minute=1000)
    first.leave(500)
    second = enter(meters, 400, tokens_per_minute=1000)
    clock.now += 30
    second.leave(900)
    with pytest.raises(Limited) as reached:
        enter(meters, 300, tokens_per_minute=1000)
    assert 30 <= reached.value.error.retry_after <= 60


def test_a_prompt_larger_than_the_limit_is_let_in_alone(meters: Meters) -> None:
    enter(meters, 5000, tokens_per_minute=1000)
    with pytest.raises(Limited):
        enter(meters, 1, tokens_per_minute=1000)


def test_a_refused_request_counts_for_none_of_its_subjects(meters: Meters) -> None:
    both = [
        (("key", "k"), "this key", Rate(requests_per_minute=5)),
        (("client", "c"), "this client", Rate(concurrent=1)),
    ]
    meters.enter(both, lambda: 0)
    for _ in range(9):
        with pytest.raises(Limited, match="this client"):
            meters.enter(both, lambda: 0)
    for _ in range(4):
        meters.enter(both[:1], lambda: 0)


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 50)), max_size=60), st.integers(0, 200))
def test_a_window_holds_what_the_last_minute_brought(steps: list[tuple[float, int]], room: int) -> None:
    window, now, said = Window(), 5000.0, []
    for seconds, amount in steps:
        now += seconds
        window.add(now, amount)
        said.append((int(now), amount))
    recent = sum(amount for at, amount in said if at > int(now) - SPAN)
    window.advance(now)
    assert window.total == recent
    wait = window.wait(now, room)
    assert (wait == 0) == (recent <= room)
    window.advance(now + wait + 0.001)
    assert window.total <= room


def test_the_headers_are_those_of_the_clients_protocol(meters: Meters) -> None:
    enter(meters, requests_per_minute=1)
    with pytest.raises(Limited) as reached:
        enter(meters, requests_per_minute=1)
    chat = reached.value.headers("openai-chat", 1_700_000_000)
    assert chat["x-ratelimit-limit-requests"] == "1" and chat["x-ratelimit-reset-requests"] == "60s"
    claude = reached.value.headers("anthropic", 1_700_000_000)
    assert claude["anthropic-ratelimit-requests-remaining"] == "0"
    assert claude["anthropic-ratelimit-requests-reset"] == "2023-11-14T22:14:20Z"
    assert reached.value.headers("gemini", 1) == {}


def test_keys_that_clients_make_up_do_not_fill_the_memory(meters: Meters, clock: Clock) -> None:
    for n in range(2 * MOST):
        enter(meters, who=str(n), requests_per_minute=9).leave(0)
        clock.now += 0.1
    assert len(meters._meters) <= MOST


def test_a_client_is_its_credential_or_its_address_and_neither_is_kept() -> None:
    def of(key: str, peer: str) -> str:
        return client_of(take([(b"x-api-key", key.encode())] if key else [], "/"), peer)

    assert of("secret-1", "10.0.0.1") == of("secret-1", "10.0.0.2") != of("secret-2", "10.0.0.1")
    assert of("", "10.0.0.1") != of("", "10.0.0.2")
    assert "secret" not in of("secret-1", "")


# ------------------------------------------------------------------------------------------------ through a real proxy


class Model:
    """Answers at once, but for the model `slow`, which waits."""

    def __init__(self) -> None:
        self.go, self.busy = threading.Event(), threading.Event()

    def __call__(self, conn: Conn, seen: Seen) -> None:
        if seen.json["model"] == "slow":
            self.busy.set()
            self.go.wait(30)
        message = {"role": "assistant", "content": "Hello"}
        usage = {"prompt_tokens": 400, "completion_tokens": 600, "total_tokens": 1000}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        conn.json(
            {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}
        )


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Proxy]:
    upstream = Upstream(model)
    one = {"protocol": "openai-chat", "base_url": upstream.url + "/v1", "api_key": {"value": "k"}}
    keys = [
        {"value": "key-few", "label": "few", "rate": {"requests_per_minute": 2}},
        {"value": "key-tokens", "rate": {"tokens_per_minute": 1500}},
        {"value": "key-free"},
    ]
    document = {
        "auth": {"mode": "proxy_key", "keys": keys},
        "upstreams": {"wide": one, "narrow": {**one, "rate": {"concurrent": 1}}},
        "models": {"slow": "narrow/slow", "narrow": "narrow/m", "spill": ["narrow/m", "wide/m"], "m": "wide/m"},
        "retry": {"max_wait": 0},
    }
    with proxy(tmp_path_factory.mktemp("rates"), document) as running:
        yield running
    upstream.stop()


def ask(link: Proxy, key: str, model: str = "m", path: str = "/v1/messages") -> httpx.Response:
    body = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
    return httpx.post(link.url + path, json=body, headers={"x-api-key": key}, timeout=60)


def test_a_key_that_asks_too_often_is_told_when_to_come_again(link: Proxy) -> None:
    assert [ask(link, "key-few").status_code for _ in range(2)] == [200, 200]
    reached = ask(link, "key-few")
    assert reached.status_code == 429 and reached.json()["error"]["type"] == "rate_limit_error"
    assert 0 < int(reached.headers["retry-after"]) <= 61
    assert reached.headers["anthropic-ratelimit-requests-limit"] == "2"
    assert "few" in reached.json()["error"]["message"] and "key-few" not in reached.text
    chat = ask(link, "key-few", path="/v1/chat/completions")
    assert chat.status_code == 429 and chat.json()["error"]["code"] == "rate_limit_exceeded"
    assert ask(link, "key-free").status_code == 200


def test_tokens_that_were_used_count(link: Proxy) -> None:
    codes = [ask(link, "key-tokens").status_code for _ in range(3)]
    assert codes == [200, 200, 429], "1000 each, and 1500 are allowed: the second one is still let in"


def test_a_full_upstream_is_passed_over_or_the_client_is_told(link: Proxy, model: Model) -> None:
    slow = threading.Thread(target=lambda: ask(link, "key-free", "slow"))
    slow.start()
    assert model.busy.wait(30)
    spilled, full = ask(link, "key-free", "spill"), ask(link, "key-free", "narrow")
    model.go.set()
    slow.join(30)
    assert spilled.status_code == 200 and spilled.headers["x-llm-link-upstream"] == "wide/m"
    assert full.status_code == 429 and "upstream 'narrow'" in full.json()["error"]["message"]
    assert ask(link, "key-free", "narrow").status_code == 200, "there is room again"
