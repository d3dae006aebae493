"""Fields that only one protocol has: no other target loses one of them in silence."""

from __future__ import annotations

from typing import Any

import pytest

from .pairs import CLIENTS, bridge, losses, refused, sent

FOREIGN: list[tuple[str, dict[str, Any], str, str]] = [
    ("cc", {"prediction": {"type": "content", "content": "x"}}, "prediction", "w/w/w"),
    ("cc", {"moderation": {"model": "m"}}, "moderation", "r/w/i"),
    ("cc", {"prompt_cache_retention": "24h"}, "prompt_cache_retention", "i/i/i"),
    ("cc", {"made_up": 1}, "made_up", "r/w/w"),
    ("rs", {"conversation": "conv_1"}, "conversation", "r/r/r"),
    ("rs", {"prompt": {"id": "pmpt_1"}}, "prompt", "r/r/r"),
    ("rs", {"context_management": [{"type": "compaction"}]}, "context_management", "r/w/i"),
    ("rs", {"include": ["reasoning.encrypted_content"]}, "include", "i/i/i"),
    ("an", {"mcp_servers": [{"type": "url", "name": "n", "url": "u"}]}, "mcp_servers", "r/r/w"),
    ("an", {"context_management": {"edits": []}}, "context_management", "r/w/i"),
    ("an", {"container": "c"}, "container", "r/w/i"),
    ("an", {"diagnostics": {"previous_message_id": None}}, "diagnostics", "i/i/i"),
    ("an", {"output_config": {"task_budget": {"type": "tokens", "total": 5}}}, "output_config.task_budget", "r/w/i"),
    ("gm", {"cachedContent": "cachedContents/1"}, "cachedContent", "r/r/r"),
    ("gm", {"safety_settings": [{"category": "X", "threshold": "OFF"}]}, "safetySettings", "w/w/w"),
    ("gm", {"generationConfig": {"continuation_token": "t"}}, "generationConfig.continuationToken", "r/r/r"),
    ("gm", {"generationConfig": {"speechConfig": {}}}, "generationConfig.speechConfig", "r/w/w"),
    ("gm", {"toolConfig": {"retrievalConfig": {"latLng": {}}}}, "toolConfig.retrievalConfig", "r/w/w"),
    ("ol", {"keep_alive": "5m"}, "keep_alive", "i/i/i"),
    ("ol", {"options": {"num_ctx": 2048, "mirostat": 1}}, "options", "i/i/i"),
]
_SHARED = ("moderation", "prompt_cache_retention")  # what OpenAI's two protocols both have


@pytest.mark.parametrize("upstream", CLIENTS)
@pytest.mark.parametrize(("client", "body", "path", "rule"), FOREIGN)
def test_a_foreign_field_is_a_loss(client: str, upstream: str, body: dict[str, Any], path: str, rule: str) -> None:
    if client == upstream:
        return
    if path in _SHARED and (client, upstream) == ("cc", "rs"):
        assert sent("cc-rs", body)[path] == body[path]
    else:
        assert losses(f"{client}-{upstream}", body)[path] == rule


def test_what_says_nothing_is_no_loss() -> None:
    assert "speed" not in losses("an-cc", {"speed": "standard"})
    assert losses("ol-cc", {"prompt": "Hi", "messages": None}, "/api/generate") == {}


BYPASS: list[dict[str, Any]] = [{"raw": True}, {"context": [1]}, {"suffix": "x"}, {"template": "{{ .Prompt }}"}]


@pytest.mark.parametrize("upstream", ["cc", "rs", "an", "gm"])
@pytest.mark.parametrize("field", BYPASS)
def test_what_bypasses_the_chat_is_refused_unless_all_losses_are_taken(upstream: str, field: dict[str, Any]) -> None:
    pair, body, (name,) = f"ol-{upstream}", {"prompt": "Hi", **field}, field
    error = refused(pair, body, path="/api/generate")
    assert error.param == name and error.code == "unsupported_translation"
    made = bridge(pair, body, "max_compat", "/api/generate")
    assert [loss.path for loss in made.warnings] == [name]


# ------------------------------------------------------------------------------------------------ tools


def test_what_only_one_protocol_says_of_a_tool_is_a_loss() -> None:
    tool = {"name": "f", "input_schema": {"type": "object"}, "defer_loading": True, "input_examples": [{}]}
    for upstream in ("cc", "rs", "gm", "ol"):
        found = losses(f"an-{upstream}", {"tools": [{**tool, "allowed_callers": ["code_execution_20260120"]}]})
        assert found["tools[0].defer_loading"] == found["tools[0].input_examples"] == "i/i/i"
        assert found["tools[0].allowed_callers"] == "r/w/i"
        found = losses(f"an-{upstream}", {"tools": [{**tool, "allowed_callers": ["direct"]}]})
        assert "tools[0].allowed_callers" not in found
    declared = {"type": "function", "name": "f", "parameters": {"type": "object"}, "async": True}
    for upstream in ("cc", "an", "gm", "ol"):
        assert losses(f"rs-{upstream}", {"tools": [declared]})["tools[0].async"] == "i/i/i"
    google = {"functionDeclarations": [{"name": "f", "behavior": "BLOCKING", "responseJsonSchema": {}}]}
    for upstream in ("cc", "rs", "an", "ol"):
        found = losses(f"gm-{upstream}", {"tools": [google]})
        assert found["tools[0].behavior"] == found["tools[0].responseJsonSchema"] == "i/i/i"


# ------------------------------------------------------------------------------------------------ no answer wanted


@pytest.mark.parametrize("upstream", ["cc", "rs", "an", "gm"])
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_a_model_is_loaded_without_asking_anybody(upstream: str, path: str) -> None:
    assert bridge(f"ol-{upstream}", {"messages": [], "prompt": ""}, "strict", path).idle
    assert not bridge("ol-ol", {"messages": []}, path=path).idle  # a server of Ollama's really loads it


def test_a_cache_is_filled_where_the_target_has_one() -> None:
    body = {"max_tokens": 0}
    made = sent("an-rs", body, "strict")
    assert made["prompt_cache_options"] == {"prewarm": True} and "max_output_tokens" not in made
    for upstream in ("cc", "gm", "ol"):
        assert refused(f"an-{upstream}", body).param == "max_tokens"
        made_up = bridge(f"an-{upstream}", body, "max_compat")
        assert made_up.idle and [loss.code for loss in made_up.warnings] == ["emulated"]
