"""Requests to the hosts of providers: ours, or the host's own."""

from __future__ import annotations

import pytest

from addons.doors import own_settings, provider_at, surface_at
from addons.settings import Settings

OURS = [
    ("api.openai.com", "/v1/chat/completions", "generate", "openai-chat"),
    ("api.openai.com", "/v1/responses", "generate", "openai-responses"),
    ("api.openai.com", "/v1/embeddings", "embed", "openai-chat"),
    ("api.anthropic.com", "/v1/messages?beta=true", "generate", "anthropic"),
    ("api.anthropic.com", "/v1/messages/count_tokens", "count_tokens", "anthropic"),
    ("generativelanguage.googleapis.com", "/v1beta/models/g:streamGenerateContent?alt=sse", "generate", "gemini"),
    ("generativelanguage.googleapis.com", "/v1/models/g:generateContent", "generate", "gemini"),
    ("generativelanguage.googleapis.com", "/v1beta/openai/chat/completions", "generate", "openai-chat"),
    ("openrouter.ai", "/api/v1/chat/completions", "generate", "openai-chat"),
    ("api.groq.com", "/openai/v1/chat/completions", "generate", "openai-chat"),
    ("open.bigmodel.cn", "/api/anthropic/v1/messages", "generate", "anthropic"),
    ("open.bigmodel.cn", "/api/paas/v4/chat/completions", "generate", "openai-chat"),
    ("api.deepseek.com", "/chat/completions", "generate", "openai-chat"),
]
THEIRS = [
    ("api.anthropic.com", "/api/oauth/claude_cli/roles"),
    ("api.anthropic.com", "/v1/messages/batches"),
    ("api.anthropic.com", "/v1/chat/completions"),
    ("api.openai.com", "/v1/files"),
    ("api.openai.com", "/v1/messages"),
    ("api.openai.com", "/"),
    ("openrouter.ai", "/docs/chat/completions"),
]


@pytest.mark.parametrize(("host", "path", "purpose", "protocol"), OURS)
def test_surfaces_of_hosts(host: str, path: str, purpose: str, protocol: str) -> None:
    provider = provider_at(host)
    assert provider is not None
    found = surface_at(provider, "POST", path, {}, False)
    assert found is not None and (found.purpose, found.protocol) == (purpose, protocol)
    (upstream,) = own_settings(Settings(), host, protocol).upstreams.values()
    assert (upstream.host, upstream.port, upstream.scheme, upstream.protocol) == (host, 443, "https", protocol)


@pytest.mark.parametrize(("host", "path"), THEIRS)
def test_what_is_for_the_host_alone(host: str, path: str) -> None:
    provider = provider_at(host)
    assert provider is not None and surface_at(provider, "POST", path, {}, True) is None


def test_lists_of_models_are_ours_where_a_config_says_what_there_is() -> None:
    provider = provider_at("api.openai.com")
    assert provider is not None and surface_at(provider, "GET", "/v1/models", {}, False) is None
    found = surface_at(provider, "GET", "/v1/models", {}, True)
    assert found is not None and found.purpose == "models"
    socket = surface_at(provider, "GET", "/v1/responses", {"upgrade": "websocket"}, True)
    assert socket is not None and socket.purpose == "upgrade"
    assert surface_at(provider, "GET", "/v1/responses", {"upgrade": "websocket"}, False) is None


def test_other_hosts() -> None:
    assert provider_at("example.com") is None and provider_at("127.0.0.1") is None and provider_at("") is None
