"""One mitmdump and one upstream of five tongues for all the tests here, and the clients before them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import httpx2
import ollama
import openai
import pytest
from google import genai
from google.genai import _api_client
from google.genai import types as gm

from tests.addons.sdks import stub
from tests.addons.sdks.clients import ChatClient, ClaudeClient, Client, ResponsesClient
from tests.addons.sdks.clients_native import GeminiClient, OllamaClient
from tests.addons.sdks.recorder import Recorder, recording
from tests.addons.sdks.said import PROTOCOLS
from tests.harness import Proxy, Upstream, proxy

SHORT = dict(zip(PROTOCOLS, ("cc", "rs", "an", "gm", "ol"), strict=True))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that has a client meets each of them, one that has an upstream each of those, but for the protocols that
    cannot say its thing at all: `@pytest.mark.without(client=[...], upstream=[...])`."""
    mark = metafunc.definition.get_closest_marker("without")
    for name in ("client", "upstream"):
        if name in metafunc.fixturenames:
            without = mark.kwargs.get(name, ()) if mark else ()
            metafunc.parametrize(name, [one for one in PROTOCOLS if one not in without], indirect=name == "client")


@pytest.fixture(scope="package")
def provider() -> Iterator[Upstream]:
    server = Upstream(stub.play)
    yield server
    server.stop()


@pytest.fixture(scope="package")
def link(tmp_path_factory: pytest.TempPathFactory, provider: Upstream) -> Iterator[Proxy]:
    base = {name: provider.url + ("/v1" if name.startswith("openai") else "") for name in PROTOCOLS}
    config: dict[str, Any] = {
        "auth": {"mode": "none"},
        "upstreams": {
            short: {"protocol": name, "base_url": base[name], "api_key": {"value": f"key-{short}"}}
            for name, short in SHORT.items()
        },
        "models": {f"{short}_*": f"{short}/*" for short in SHORT.values()},
        "retry": {"attempts": 1},
    }
    config["models"] |= {f"{short}_text": f"{short}/{short}_text" for short in SHORT.values()}
    with proxy(tmp_path_factory.mktemp("sdks"), config) as running:
        yield running


@pytest.fixture(scope="package")
def clients(link: Proxy) -> dict[str, Client]:
    strict: Any = {"api_key": "dummy", "max_retries": 0, "_strict_response_validation": True}
    oai = openai.OpenAI(base_url=link.url + "/v1", **strict)
    events, google, llama = Recorder(), Recorder(), Recorder()
    http = httpx2.Client(transport=recording(httpx2, events))
    streaming = openai.OpenAI(base_url=link.url + "/v1", api_key="dummy", max_retries=0, http_client=http)
    library: Any = vars(_api_client).get("httpx2", httpx)  # what Google's SDK uses from its third version on
    options = gm.HttpOptions(base_url=link.url, httpx_client=library.Client(transport=recording(library, google)))
    found: list[Client] = [
        ChatClient(oai),
        ResponsesClient(oai, streaming, events),
        ClaudeClient(anthropic.Anthropic(base_url=link.url, **strict)),
        GeminiClient(genai.Client(api_key="dummy", http_options=options), google),
        OllamaClient(ollama.Client(link.url, transport=recording(httpx, llama), trust_env=False), llama),
    ]
    return {client.name: client for client in found}


@pytest.fixture
def client(request: pytest.FixtureRequest, clients: dict[str, Client]) -> Client:
    return clients[request.param]
