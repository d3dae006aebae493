"""A small request of one protocol's client, as an upstream of another one gets it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.strategies import SEED
from translators import CODECS
from translators.bridge import Bridge
from translators.codec import Traits, Wire
from translators.model import ApiError, BadRequest
from translators.policy import POLICIES, action

CLIENTS = {
    "cc": "openai-chat",
    "rs": "openai-responses",
    "an": "anthropic",
    "gm": "gemini",
    "ol": "ollama",
}
_PATHS = {"gm": "/v1beta/models/m:generateContent"}
_SMALL: dict[str, dict[str, Any]] = {
    "cc": {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    "rs": {"model": "m", "input": "Hi"},
    "an": {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]},
    "gm": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
    "ol": {"model": "m", "stream": False, "messages": [{"role": "user", "content": "Hi"}]},
}


def bridge(pair: str, body: dict[str, Any], policy: Any = "balanced", path: str = "", **traits: Any) -> Bridge:
    """`pair`: client and upstream, as in "cc-an"."""
    client, upstream = pair.split("-")
    wire = Wire(path or _PATHS.get(client, "/"), json.dumps({**_SMALL[client], **body}).encode())
    codec = CODECS[CLIENTS[client]]
    return Bridge(
        codec, CODECS[CLIENTS[upstream]], wire, codec.parse_request(wire), model="real", stream=False,
        traits=Traits(**traits), policy=policy, seed=SEED,
    )  # fmt: skip


def sent(pair: str, body: dict[str, Any], policy: Any = "balanced", path: str = "", **traits: Any) -> dict[str, Any]:
    """The body that the upstream gets."""
    made: dict[str, Any] = json.loads(bridge(pair, body, policy, path, **traits).wire.body)
    return made


def losses(pair: str, body: dict[str, Any], path: str = "", **traits: Any) -> dict[str, str]:
    """What was lost, by its path: the actions of the three policies, as in "r/w/i"."""
    try:
        found = bridge(pair, body, "max_compat", path, **traits).losses
    except BadRequest as error:
        return {error.error.param or "": "r/r/r"}
    return {loss.path: "/".join(action(loss, policy)[0] for policy in POLICIES) for loss in found}


def refused(pair: str, body: dict[str, Any], policy: Any = "balanced", path: str = "", **traits: Any) -> ApiError:
    with pytest.raises(BadRequest) as caught:
        bridge(pair, body, policy, path, **traits)
    return caught.value.error
