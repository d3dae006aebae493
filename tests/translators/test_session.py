"""The session of a client becomes the key under which OpenAI looks for a prompt that it has read before."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translators.session import session_of

from .pairs import sent

ID = "3f0c1d5e-0000-4000-8000-000000000001"


@pytest.mark.parametrize(("user", "session"), [
    (json.dumps({"device_id": "d", "account_uuid": "", "session_id": ID}), ID),
    (f"user_abc_account__session_{ID}", ID),
    ("somebody", None), (None, None), ("", None), ("{", None), ('{"session_id": 5}', None), ("{}", None),
])  # fmt: skip
def test_a_session(user: str | None, session: str | None) -> None:
    assert session_of(user) == session


def test_it_is_the_same_on_every_turn_and_a_key_of_the_clients_own_counts() -> None:
    body: dict[str, Any] = {"metadata": {"user_id": json.dumps({"session_id": ID})}}
    assert sent("an-rs", body)["prompt_cache_key"] == ID
    assert sent("an-cc", body, cache_marks=True)["prompt_cache_key"] == ID
    assert "prompt_cache_key" not in sent("an-cc", body)
    assert "prompt_cache_key" not in sent("an-rs", body, drop=("cache_key",))
    assert sent("cc-rs", {"user": body["metadata"]["user_id"], "prompt_cache_key": "own"})["prompt_cache_key"] == "own"
