"""As a script for bash: the client's request by curl, to the byte but for a line end."""

from __future__ import annotations

import base64
import secrets
from shlex import quote

from addons.export.asked import HERE, KEY, URL, Asked

_KEY = f"${{{KEY}:-none}}"


def curl(asked: Asked) -> str:
    credential = asked.record.client.credential
    path, query = asked.path, ""
    if credential == "?key":
        query = ("&" if "?" in path else "?") + f"key={_KEY}"
    words = [f"curl --silent --show-error --no-buffer --request {quote(asked.method)}"]
    words.append(f'"${{{URL}:-{HERE}}}"{quote(path)}' + (f'"{query}"' if query else ""))
    kind = next((value for name, value in asked.headers if name.lower() == "content-type"), "application/json")
    program = [(name, value) for name, value in asked.headers if name.lower() in ("user-agent", "accept")]
    headers = [("content-type", kind), *program, *asked.said]
    words += [f"--header {quote(f'{name}: {value}')}" for name, value in headers]
    if credential and credential != "?key":
        scheme = "Bearer " if credential == "authorization" else ""
        words.append(f'--header "{credential}: {scheme}{_KEY}"')
    lines = ["#!/usr/bin/env bash", f"# {URL}: where LLM Link or the provider is; {KEY}: the key to present there."]
    if not asked.body:
        return "\n".join([*lines, " \\\n  ".join(words), ""])
    words.append("--data-binary @-")
    return "\n".join([*lines, *_with_body(" \\\n  ".join(words), asked.body), ""])


def _with_body(command: str, body: bytes) -> list[str]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # a shell cannot hold it
        return [f"base64 --decode <<'END' | {command}", base64.encodebytes(body).decode().rstrip("\n"), "END"]
    end = "JSON"
    while end in text.split("\n"):
        end = f"JSON_{secrets.token_hex(4)}"
    return [f"{command} <<'{end}'", text, end]
