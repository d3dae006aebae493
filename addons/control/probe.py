"""Whether a provider takes a key: the provider itself is asked.

Its models are listed, which costs nothing. Some list them for everybody, so the list is asked for without the key too;
where that works as well, and where there is no list, the cheapest answer is asked for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import httpx

from addons.catalog import is_loopback
from addons.credentials import FORMS, scrub
from addons.settings_upstream import Upstream
from translators import CODECS

SECONDS = 20.0
MOST = 4 << 20  # bytes of an answer that are read

Status = Literal["valid", "invalid", "error"]

_LISTS = {
    "openai-chat": "/models",
    "openai-responses": "/models",
    "anthropic": "/models?limit=1000",
    "gemini": "/models?pageSize=1000",
    "ollama": "/tags",
}
_HELLO = [{"role": "user", "content": "hi"}]
_REFUSED = frozenset((401, 403))
_NO_LIST = frozenset((404, 405, 410, 501))
# What a provider says to a request that it does not like, once it has taken the key.
_TAKEN = frozenset((200, 201, 400, 404, 422, 429))


class Verdict(NamedTuple):
    """`models`: id, name and description of each that the provider lists."""

    status: Status
    message: str
    models: tuple[tuple[str, str, str], ...] = ()


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class _Failed(Exception):
    """The provider could not be asked; the text says why."""


async def ask(upstream: Upstream, model: str = "") -> Verdict:
    """Asks an upstream whether it takes its (first) key. `model`: for the answer that may have to be asked for."""
    proxy = upstream.proxy
    through = None
    if proxy is not None:
        user, _, password = proxy.login.get_secret_value().partition(":") if proxy.login else ("", "", "")
        through = httpx.Proxy(f"{proxy.scheme}://{proxy.host}:{proxy.port}", auth=(user, password) if user else None)
    try:
        async with asyncio.timeout(2 * SECONDS), httpx.AsyncClient(
            timeout=SECONDS, trust_env=False, proxy=through
        ) as client:
            return await _Probe(upstream, client).verdict(model)
    except _Failed as failed:
        return Verdict("error", str(failed))
    except (httpx.HTTPError, ValueError, OSError, ImportError) as error:
        reason = scrub(str(error), _secrets(upstream)) or type(error).__name__
        return Verdict("error", f"{upstream.root} could not be asked: {reason}")


def _secrets(upstream: Upstream) -> list[str]:
    return [key.get_secret_value() for key in upstream.keys]


class _Probe:
    def __init__(self, upstream: Upstream, client: httpx.AsyncClient) -> None:
        self._upstream, self._client = upstream, client
        self._codec = CODECS[upstream.protocol]

    async def verdict(self, model: str) -> Verdict:
        listed = await self._send("GET", _LISTS[self._upstream.protocol])
        if listed.status in _REFUSED:
            return self._invalid("Failed to list models", listed)
        if listed.status not in (200, *_NO_LIST):
            return Verdict("error", f"models could not be listed: {self._said(listed)}")
        models = _models(listed.body) if listed.status == 200 else ()
        if listed.status == 200 and await self._needs_key():
            return Verdict("valid", "API key is valid", models)
        return await self._cheapest(model, models)

    async def _needs_key(self) -> bool:
        """Whether the list is for those with a key only, or nobody needs one."""
        without = await self._send("GET", _LISTS[self._upstream.protocol], key=False)
        return without.status in _REFUSED

    async def _cheapest(self, model: str, models: tuple[tuple[str, str, str], ...]) -> Verdict:
        upstream = self._upstream
        if models and is_loopback(upstream.host):
            return Verdict("valid", "this server asks for no key to list its models", models)
        if not model and models:
            model = models[0][0]
        if not model:
            return Verdict("error", "the provider lists no models; name one, so that it can be asked for an answer")
        path, body = _question(upstream.protocol, upstream.backend(model))
        answer = await self._send("POST", path, body=body)
        if answer.status in _REFUSED:
            return self._invalid("The provider refuses the key", answer)
        if answer.status not in _TAKEN:
            return Verdict("error", f"the provider did not say: {self._said(answer)}")
        return Verdict("valid", "API key is valid", models)

    def _invalid(self, what: str, answer: _Answer) -> Verdict:
        return Verdict("invalid", f"{what}: {self._said(answer)}")

    def _said(self, answer: _Answer) -> str:
        error = self._codec.parse_error(answer.status, answer.headers, answer.body)
        return f"{answer.status} {scrub(error.message, _secrets(self._upstream))[:300]}"

    async def _send(self, method: str, path: str, *, key: bool = True, body: Any = None) -> _Answer:
        upstream = self._upstream
        headers = {**self._codec.HEADERS, **dict(upstream.headers), "accept-encoding": "identity"}
        if key and upstream.keys:
            form = FORMS.get(upstream.auth, self._codec.credential)
            name, value = form(upstream.keys[0].get_secret_value())
            headers[name] = value
        content = None if body is None else json.dumps(body)
        request = self._client.build_request(method, f"{upstream.root}{path}", headers=headers, content=content)
        response = await self._client.send(request, stream=True)
        try:
            data = bytearray()
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > MOST:
                    raise _Failed(f"{upstream.root} answers with more than {MOST >> 20} MiB")
        finally:
            await response.aclose()
        return _Answer(response.status_code, dict(response.headers), bytes(data))


def _question(protocol: str, model: str) -> tuple[str, Any]:
    """The path and body of the smallest request."""
    if protocol == "gemini":
        said = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 1}}
        return f"/models/{quote(model, safe='')}:generateContent", said
    return {
        "openai-chat": ("/chat/completions", {"model": model, "messages": _HELLO, "max_tokens": 1}),
        "openai-responses": ("/responses", {"model": model, "input": "hi", "max_output_tokens": 16}),
        "anthropic": ("/messages", {"model": model, "messages": _HELLO, "max_tokens": 1}),
        "ollama": ("/chat", {"model": model, "messages": _HELLO, "stream": False, "options": {"num_predict": 1}}),
    }[protocol]


def _models(body: bytes) -> tuple[tuple[str, str, str], ...]:
    """The models of a list in any of the five shapes; () where it is none of them."""
    try:
        document = json.loads(body)
    except ValueError:
        return ()
    rows = document if isinstance(document, list) else None
    if isinstance(document, dict):
        rows = next((document[key] for key in ("data", "models") if isinstance(document.get(key), list)), None)
    found = []
    for row in rows or ():
        if isinstance(row, dict) and isinstance(id := row.get("id") or row.get("name"), str):
            id = id.removeprefix("models/")
            name = next((row[key] for key in ("display_name", "displayName") if isinstance(row.get(key), str)), id)
            found.append((id, name, str(row.get("description") or "")[:500]))
    return tuple(found)
