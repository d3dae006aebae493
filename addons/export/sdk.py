"""As a Python program for the official SDK of the client's protocol. What a field of the request is called there is in
tables; what an SDK has no name for goes beside it (`extra_body`), so that an older or a newer one runs it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pprint import pformat
from typing import Any

from addons.export.asked import HERE, KEY, URL, Asked, ExportError

_FIELDS = {
    "openai-chat": frozenset(
        "frequency_penalty logit_bias logprobs max_completion_tokens max_tokens messages metadata model n"
        " parallel_tool_calls presence_penalty reasoning_effort response_format seed service_tier stop store stream"
        " stream_options temperature tool_choice tools top_logprobs top_p user".split()
    ),
    "openai-responses": frozenset(
        "include input instructions max_output_tokens metadata model parallel_tool_calls previous_response_id reasoning"
        " service_tier store stream temperature text tool_choice tools top_p truncation user".split()
    ),
    "anthropic": frozenset(
        "max_tokens messages metadata model stop_sequences stream system thinking tool_choice tools".split()
    ),
    "ollama": frozenset("format keep_alive messages model options stream think tools".split()),
    "embeddings": frozenset("dimensions encoding_format input model user".split()),
}

# protocol, purpose -> what is called, where its path ends, and which fields it knows by name
_OPENAI = {
    ("openai-chat", "generate"): ("chat.completions.create", "/chat/completions", "openai-chat"),
    ("openai-responses", "generate"): ("responses.create", "/responses", "openai-responses"),
    ("openai-chat", "embed"): ("embeddings.create", "/embeddings", "embeddings"),
    ("anthropic", "generate"): ("messages.create", "/v1/messages", "anthropic"),
    ("anthropic", "count_tokens"): ("messages.count_tokens", "/v1/messages/count_tokens", "anthropic"),
}

_PRINT_STREAM = """for event in answer:
    print(event.model_dump_json(exclude_none=True))
"""
_PRINT = "print(answer.model_dump_json(exclude_none=True, indent=2))\n"


def python(asked: Asked) -> str:
    """Raises `ExportError` for a request that no SDK makes."""
    surface = asked.surface
    write: Callable[[Asked], str] | None = _SPECIAL.get((surface.protocol, surface.purpose))
    if (surface.protocol, surface.purpose) in _OPENAI:
        write = _with_extra_body
    if write is None:
        raise ExportError(f"no SDK has a call for {asked.method} {asked.path}; curl can send it")
    return write(asked)


def _with_extra_body(asked: Asked) -> str:
    """OpenAI's SDK, and Anthropic's, which is made in the same way."""
    surface = asked.surface
    call, end, names = _OPENAI[surface.protocol, surface.purpose]
    package, kind = ("anthropic", "Anthropic") if surface.protocol == "anthropic" else ("openai", "OpenAI")
    fields = asked.fields
    known = {name: value for name, value in fields.items() if name in _FIELDS[names]}
    more = {
        "extra_body": {name: value for name, value in fields.items() if name not in known},
        "extra_headers": _headers(asked, ("anthropic-version",)),
        "extra_query": _query(asked.path),
    }
    arguments = _arguments({**known, **{name: value for name, value in more.items() if value}})
    base = f"{_url()} + {_before(asked.path, end)!r}"
    lines = [
        "import os",
        "",
        f"import {package}",
        "",
        f"client = {package}.{kind}(base_url={base}, api_key={_key()}, max_retries=0, timeout=600)",
        f"answer = client.{call}(\n{arguments})",
        _PRINT_STREAM if fields.get("stream") else _PRINT,
    ]
    return "\n".join(lines)


def _gemini(asked: Asked) -> str:
    """Google's SDK takes the body as it is, beside what it insists on."""
    fields, name = asked.fields, asked.surface.name
    found = re.match(r"(.*)/(v1(?:beta)?)/models/", asked.path)
    if found is None:
        raise ExportError(f"{asked.path} is no path of Google's SDK")
    streamed = ":streamGenerateContent" in asked.path
    options = {"extra_body": {key: value for key, value in fields.items() if key != "contents"}}
    if headers := _headers(asked):
        options["headers"] = headers
    rest = "".join(f", {key}={_value(value, 8)}" for key, value in options.items() if value)
    call = "generate_content_stream" if streamed else "generate_content"
    lines = [
        "import os",
        "",
        "from google import genai",
        "from google.genai import types",
        "",
        f"base = {_url()} + {found[1]!r}",
        f"http = types.HttpOptions(base_url=base, api_version={found[2]!r})",
        f"client = genai.Client(api_key={_key()}, http_options=http)",
        f"answer = client.models.{call}(",
        f"    model={name!r},",
        f"    contents={_value(fields.get('contents', []), 4)},",
        f"    config=types.GenerateContentConfig(http_options=types.HttpOptions(api_version={found[2]!r}{rest})),",
        ")",
        _PRINT_STREAM if streamed else _PRINT,
    ]
    return "\n".join(lines)


def _ollama(asked: Asked) -> str:
    """Ollama's SDK takes nothing that it does not know; what that is, is said in the program."""
    fields = asked.fields
    end = "/api/chat"
    if asked.path.partition("?")[0].endswith("/api/generate"):
        raise ExportError("a request to /api/generate is written by curl alone")
    known = {name: value for name, value in fields.items() if name in _FIELDS["ollama"]}
    known.setdefault("stream", True)  # as the server has it; the SDK has it otherwise
    left = [name for name in fields if name not in known]
    lines = [
        "import os",
        "",
        "import ollama",
        "",
        *([f"# The SDK cannot say: {', '.join(left)}"] if left else []),
        f"headers = {{'authorization': 'Bearer ' + {_key()}}}",
        f"client = ollama.Client(host={_url()} + {_before(asked.path, end)!r}, headers=headers)",
        f"answer = client.chat(\n{_arguments(known)})",
        _PRINT_STREAM if known["stream"] else _PRINT,
    ]
    return "\n".join(lines)


_SPECIAL: dict[tuple[str, str], Callable[[Asked], str]] = {
    ("gemini", "generate"): _gemini,
    ("ollama", "generate"): _ollama,
}


def _url() -> str:
    return f"os.environ.get({URL!r}, {HERE!r})"


def _key() -> str:
    return f"os.environ.get({KEY!r}, 'none')"


def _before(path: str, end: str) -> str:
    """What stands before the part of the path that an SDK adds by itself."""
    bare = path.partition("?")[0]
    if not bare.endswith(end):
        raise ExportError(f"{bare} is no path of this SDK")
    return bare[: -len(end)]


def _headers(asked: Asked, known: Iterable[str] = ()) -> dict[str, str]:
    return {name.lower(): value for name, value in asked.said if name.lower() not in known}


def _query(path: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in path.partition("?")[2].split("&") if pair]
    return {name: value for name, _, value in pairs}


def _arguments(values: dict[str, Any]) -> str:
    return "".join(f"    {name}={_value(value, 4)},\n" for name, value in values.items())


def _value(value: Any, indent: int) -> str:
    text = pformat(value, width=100, sort_dicts=False)
    return text.replace("\n", "\n" + " " * indent)
