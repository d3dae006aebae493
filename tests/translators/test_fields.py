"""Losses in the client's own words."""

from __future__ import annotations

from typing import Any

import pytest

from .pairs import losses

SAID: list[tuple[str, dict[str, Any], str]] = [
    ("cc-an", {"service_tier": "flex"}, "service_tier"),
    ("cc-ol", {"parallel_tool_calls": False, "tools": [{"type": "function", "function": {"name": "f"}}]},
     "parallel_tool_calls"),
    ("cc-an", {"response_format": {"type": "json_object"}}, "response_format"),
    ("cc-gm", {"safety_identifier": "s"}, "safety_identifier"),
    ("cc-an", {"prompt_cache_key": "k"}, "prompt_cache_key"),
    ("rs-an", {"text": {"format": {"type": "json_object"}}}, "text.format"),
    ("rs-an", {"text": {"verbosity": "low"}}, "text.verbosity"),
    ("an-gm", {"metadata": {"user_id": "u"}}, "metadata.user_id"),
    ("an-cc", {"stop_sequences": ["a", "b", "c", "d", "e"]}, "stop_sequences"),
    ("gm-an", {"generationConfig": {"seed": 1}}, "generationConfig.seed"),
    ("gm-cc", {"generationConfig": {"topK": 1}}, "generationConfig.topK"),
    ("gm-rs", {"generationConfig": {"candidateCount": 2}}, "generationConfig.candidateCount"),
    ("ol-an", {"options": {"repeat_penalty": 1.1}}, "options.repeat_penalty"),
    ("ol-rs", {"options": {"stop": ["x"]}}, "options.stop"),
]  # fmt: skip


@pytest.mark.parametrize(("pair", "body", "path"), SAID)
def test_a_loss_has_the_name_that_the_client_wrote(pair: str, body: dict[str, Any], path: str) -> None:
    assert path in losses(pair, body)
