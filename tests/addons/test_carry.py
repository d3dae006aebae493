"""Reasoning tokens through a real mitmdump: over a restart, remembered, refused, out of the client's own protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.harness import Conn, Proxy, Seen, Upstream, proxy

SIGNATURE = "RXJzdHViU2lnLzEyMys0NTY3ODkwYWJjZGVmZw=="
THOUGHT = {"type": "thinking", "thinking": "  Look at a.py first.\n", "signature": SIGNATURE}
CALL = {"type": "tool_use", "id": "toolu_01AbCdEfGhIjKlMnOpQr", "name": "shell", "input": {"command": "ls"}}
USER = "Fix the bug"
KEYS = [{"value": "first-key"}, {"value": "second-key"}]


def anthropic(conn: Conn, seen: Seen) -> None:
    """Thinks and calls; where it gets results, it is done. A model called `picky` takes no signature back."""
    body = seen.json
    answered = "tool_result" in str(body["messages"])
    if body["model"] == "picky" and SIGNATURE in str(body["messages"]):
        error = {"type": "invalid_request_error", "message": "messages.1: Invalid `signature` in `thinking` block"}
        conn.json({"type": "error", "error": error}, 400)
        return
    content: list[Any] = [{"type": "text", "text": "Fixed."}] if answered else [THOUGHT, CALL]
    conn.json(
        {
            "id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": content,
            "stop_reason": "end_turn" if answered else "tool_use", "stop_sequence": None,
            "usage": {"input_tokens": 9, "output_tokens": 2},
        }
    )  # fmt: skip


def responses(conn: Conn, seen: Seen) -> None:
    said = [{"type": "output_text", "text": "Hi", "annotations": []}]
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": said}
    conn.json({"id": "resp_1", "object": "response", "status": "completed", "output": [message]})


def config(thinker: Upstream, other: Upstream) -> dict[str, Any]:
    ups = {
        "an": {"protocol": "anthropic", "base_url": thinker.url, "api_key": {"value": "key-a"}},
        "rs": {"protocol": "openai-responses", "base_url": other.url + "/v1", "api_key": {"value": "key-b"}},
    }
    models = {"m": "an/thinker", "other": "an/another", "picky": "an/picky", "rs": "rs/real"}
    return {"auth": {"mode": "proxy_key", "keys": KEYS}, "upstreams": ups, "models": models}


def ask(running: Proxy, path: str, body: dict[str, Any], key: str = "first-key") -> httpx.Response:
    answer = httpx.post(running.url + path, json=body, headers={"authorization": f"Bearer {key}"}, timeout=20)
    assert answer.status_code == 200, answer.text
    return answer


TOOL = {"name": "shell", "parameters": {"type": "object", "properties": {"command": {"type": "string"}}}}


def respond(running: Proxy, items: list[Any], model: str = "m") -> Any:
    """As Codex asks."""
    tools = [{"type": "function", **TOOL}]
    asked = {"model": model, "input": items, "tools": tools, "store": False, "reasoning": {"effort": "high"}}
    return ask(running, "/v1/responses", asked)


def chat(running: Proxy, messages: list[Any], model: str = "m", key: str = "first-key") -> httpx.Response:
    tools = [{"type": "function", "function": TOOL}]
    asked = {"model": model, "messages": messages, "tools": tools, "reasoning_effort": "high"}
    return ask(running, "/v1/chat/completions", asked, key)


def last_turn(seen: Seen) -> list[Any]:
    said = [message["content"] for message in seen.json["messages"] if message["role"] == "assistant"]
    return list(said[-1])


def test_a_signature_survives_a_restart_in_the_hands_of_the_client(tmp_path: Path) -> None:
    thinker, other = Upstream(anthropic), Upstream(responses)
    items: list[Any] = [{"type": "message", "role": "user", "content": USER}]
    with proxy(tmp_path, config(thinker, other)) as running:
        output = respond(running, items).json()["output"]
        items += output
        made = next(item for item in output if item["type"] == "function_call")
        items.append({"type": "function_call_output", "call_id": made["call_id"], "output": "a.py"})
    with proxy(tmp_path, config(thinker, other)) as running:
        respond(running, items)
        assert last_turn(thinker.seen[-1]) == [THOUGHT, CALL]
        respond(running, items, "other")  # another model never sees it
        assert SIGNATURE not in thinker.seen[-1].body.decode() and b"px1." not in thinker.seen[-1].body
        assert last_turn(thinker.seen[-1]) == [CALL]

        answer = respond(running, items, "picky")  # its token: it has to come from there
        assert answer.headers["x-llm-link-attempts"] == "1"

        respond(running, items, "rs")  # the client's own protocol: the bytes go through, but for our mark
        kinds = [item["type"] for item in other.seen[-1].json["input"]]
        assert kinds == ["message", "function_call", "function_call_output"] and b"px1." not in other.seen[-1].body


def test_a_chat_client_is_remembered_and_a_refused_token_is_left_out(tmp_path: Path) -> None:
    thinker = Upstream(anthropic)
    with proxy(tmp_path, config(thinker, Upstream(responses))) as running:
        for model in ("m", "picky"):
            messages: list[Any] = [{"role": "user", "content": USER}]
            said = chat(running, messages, model).json()["choices"][0]["message"]
            calls = said["tool_calls"]
            messages.append({"role": "assistant", "content": None, "tool_calls": calls})
            messages.append({"role": "tool", "tool_call_id": calls[0]["id"], "content": "a.py"})
            answer = chat(running, messages, model)
            assert answer.json()["choices"][0]["message"]["content"] == "Fixed."
            if model == "m":
                assert last_turn(thinker.seen[-1]) == [THOUGHT, CALL]
                chat(running, messages, model, "second-key")  # another client
                assert last_turn(thinker.seen[-1]) == [CALL]
            else:
                assert answer.headers["x-llm-link-attempts"] == "2"
                assert last_turn(thinker.seen[-2]) == [THOUGHT, CALL] and last_turn(thinker.seen[-1]) == [CALL]
        assert "first-key" not in running.log and SIGNATURE not in running.log
