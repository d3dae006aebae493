"""Each rule of configs/rules, in a real proxy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.harness import ROOT, Proxy, Upstream, proxy
from tests.rulebook import ask, echo, read, speaking, text_of
from translators.model import Message, Reasoning, Request, Response, Text

RULES = ROOT / "configs" / "rules"


@contextlib.contextmanager
def ruled(
    tmp: Path, *names: str, reply: Callable[[Request], Response] = echo, protocol: str = "openai-chat"
) -> Iterator[tuple[Proxy, Upstream]]:
    server = Upstream(speaking(protocol, reply))
    upstream = {"protocol": protocol, "base_url": server.url + "/v1" * protocol.startswith("openai")}
    settings = {
        "auth": {"mode": "none"},
        "upstreams": {"u": upstream, "large": upstream},
        "models": {"m": "u/small", "n": "u/n"},
        "rules": [str(RULES / name) for name in names],
    }
    with proxy(tmp, settings) as link:
        yield link, server
        assert "Error" not in link.log and "cannot be loaded" not in link.log, link.log
    server.stop()


def request(said: str = "Hi", **more: object) -> Request:
    return Request("m", [Message("user", (Text(said),))], max_output=64, **more)  # type: ignore[arg-type]


def test_force_temperature(tmp_path: Path) -> None:
    with ruled(tmp_path, "force_temperature.py") as (link, server):
        for client in ("openai-chat", "anthropic", "gemini"):
            ask(link, client, request(temperature=1.5))
            assert server.seen[-1].json["temperature"] == 0.2
        thinks = request(reasoning=Reasoning("high"))
        assert text_of(read("openai-chat", False, ask(link, "openai-chat", thinks))) == "you said Hi"
        assert "temperature" not in server.seen[-1].json
