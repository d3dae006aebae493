"""Codex's own files: `config.toml` with us as its provider, and its catalogue of models.

Codex wants a whole row for each model, instructions included. The instructions are its own: the row of one of its
bundled models, as the installed program prints it, is filled with the facts of ours.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from scripts.launch_clients import KEY, USUAL_WINDOW, Facts

PROVIDER = "llm-link"
COMPACT_AT = 0.85  # of what the window leaves to the input
# What would lead Codex elsewhere.
ELSEWHERE = ("profile", "openai_base_url", "chatgpt_base_url", "oss_provider", "forced_login_method")
SIZES = ("model_context_window", "model_auto_compact_token_limit", "model_catalog_json")


def bundled(binary: str, home: Path) -> list[dict[str, Any]]:
    """The rows that the program brings; [] where it has no such command."""
    words = [binary, "debug", "models", "--bundled"]
    try:
        done = subprocess.run(
            words,
            env={"CODEX_HOME": str(home), "HOME": str(home), "PATH": node_path(binary)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
        )
        rows = json.loads(done.stdout)["models"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return []
    return [row for row in rows if isinstance(row, dict)]


def node_path(binary: str) -> str:
    """npm's program is a script of Node's: the PATH that found it finds that too."""
    return f"{Path(binary).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def compact_limit(facts: Facts) -> int:
    """After how many tokens Codex sums up, so that an answer still fits; 0: unknown."""
    reserved = min(facts.max_output, facts.context_window // 2)
    return int(COMPACT_AT * (facts.context_window - reserved))


def catalogue(rows: Sequence[dict[str, Any]], models: Sequence[Facts]) -> dict[str, Any] | None:
    """A catalogue of our models, after a bundled row whose tools every model can call; None: there is no such row."""
    plain = [row for row in rows if not row.get("use_responses_lite") and not row.get("tool_mode")]
    shown = [row for row in plain if row.get("visibility") == "list" and not row.get("auto_review_model_override")]
    if not shown:
        return None
    known = {facts.id: facts for facts in models}
    return {"models": [filled(shown[-1], facts, n) for n, facts in enumerate(known.values())]}


def filled(row: dict[str, Any], facts: Facts, place: int) -> dict[str, Any]:
    own: dict[str, Any] = {
        "slug": facts.id,
        "display_name": facts.name or facts.id,
        "description": "through LLM Link",
        "priority": place,
        "visibility": "list",
        "supported_in_api": True,
        "prefer_websockets": False,
        "input_modalities": ["text", "image"] if facts.vision else ["text"],
        "supports_parallel_tool_calls": facts.tools,
        "upgrade": None,
        "service_tiers": [],
        "additional_speed_tiers": [],
        "available_in_plans": [],
        "minimal_client_version": "0.0.1",
    }
    window = facts.context_window or USUAL_WINDOW
    own |= {"context_window": window, "max_context_window": window}
    own["auto_compact_token_limit"] = compact_limit(replace(facts, context_window=window))
    if not facts.reasoning:
        own |= {"supported_reasoning_levels": [], "default_reasoning_level": None}
    return {**{name: unnamed(value) for name, value in row.items()}, **{k: v for k, v in own.items() if k in row}}


def unnamed(value: Any) -> Any:
    """Instructions that do not say which model this is."""
    if isinstance(value, dict):
        return {name: unnamed(inner) for name, inner in value.items()}
    return (
        re.sub(r"(You are Codex[^.\n]*?) based on GPT-[\w-]+(?:\.\w+)*", r"\1", value)
        if isinstance(value, str)
        else value
    )


def provider(url: str) -> dict[str, Any]:
    return {"name": "LLM Link", "base_url": f"{url}/v1", "env_key": KEY, "wire_api": "responses"}


def config(source: Path | None, url: str, model: Facts | None, models: Path | None) -> str:
    """The user's own config with us as the provider. Raises ValueError where it cannot be read."""
    try:
        text = source.read_text("utf-8") if source is not None and source.is_file() else ""
        document = tomlkit.parse(text)
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise ValueError(str(error)) from None
    for name in (*ELSEWHERE, *SIZES, "model"):
        document.pop(name, None)
    values: dict[str, Any] = {"model_provider": PROVIDER, "check_for_update_on_startup": False}
    if model is not None:
        values["model"] = model.id
    if models is not None:
        values["model_catalog_json"] = str(models)
    elif model is not None and model.context_window:
        values |= {"model_context_window": model.context_window}
        values |= {"model_auto_compact_token_limit": compact_limit(model)}
    top = tomlkit.document()
    for name, value in values.items():
        document.pop(name, None)
        top.add(name, value)
    providers = document.setdefault("model_providers", tomlkit.table(is_super_table=True))
    if not hasattr(providers, "items"):
        raise ValueError("model_providers is no table")
    providers[PROVIDER] = provider(url)
    return tomlkit.dumps(top) + tomlkit.dumps(document)
