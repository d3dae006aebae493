"""What `llm-link apps` and `apps info` say of the clients known by name, and `--list-apps` and `--app-info` too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from addons.apps import App, UnknownApp, apps, find
from scripts.terminal import fail, print_json

# protocol -> what such a client calls, below the prefix
ENDPOINTS = {
    "openai-chat": ("POST /v1/chat/completions", "GET /v1/models"),
    "openai-responses": ("POST /v1/responses", "GET /v1/models"),
    "anthropic": ("POST /v1/messages", "POST /v1/messages/count_tokens", "GET /anthropic/v1/models"),
    "gemini": ("POST /v1beta/models/MODEL:streamGenerateContent", "GET /v1beta/models"),
    "ollama": ("POST /api/chat", "POST /api/generate", "POST /api/show", "GET /api/tags", "GET /api/version"),
}
# how an app shows its key -> curl's words for it
SHOWN = {
    "bearer": '-H "Authorization: Bearer $LLM_LINK_API_KEY" ',
    "x-api-key": '-H "x-api-key: $LLM_LINK_API_KEY" ',
    "x-goog-api-key": '-H "x-goog-api-key: $LLM_LINK_API_KEY" ',
    "none": "",
}
PROBES = {
    "openai-chat": "/v1/models",
    "openai-responses": "/v1/models",
    "anthropic": "/anthropic/v1/models",
    "gemini": "/v1beta/models",
    "ollama": "/api/tags",
}


def endpoints(one: App) -> list[str]:
    return list(dict.fromkeys(line for protocol in one.protocols for line in ENDPOINTS[protocol]))


def facts(one: App) -> dict[str, Any]:
    """What a script would want to know of an app."""
    return {
        "name": one.name,
        "aliases": list(one.aliases),
        "title": one.title,
        "description": one.description,
        "port": one.port,
        "protocols": list(one.protocols),
        "base_url": f"http://127.0.0.1:{one.port}{one.prefix}",
        "auth": one.auth,
        "provider": one.provider,
        "endpoints": endpoints(one),
        "program": one.binary or None,
        "install": one.install,
        "config": one.config,
    }


def list_apps(as_json: bool = False) -> None:
    """All apps, a paragraph for each, as `--list-apps` prints them."""
    if as_json:
        print_json([facts(one) for one in apps().values()])
        return
    print("Apps that LLM Link knows:\n")
    for one in apps().values():
        also = f" (or {', '.join(one.aliases)})" if one.aliases else ""
        print(f"  {one.name}{also} - {one.description}")
        print(f"      Port: {one.port}   Protocol: {', '.join(one.protocols)}")
    print("\nHow one is used:      llm-link apps info APP")
    print("Run one right away:   llm-link launch APP --provider PROVIDER")
    print("Serve one for good:   llm-link --app APP --provider PROVIDER --api-key KEY")


def app_named(name: str) -> App:
    try:
        return find(name)
    except UnknownApp as error:
        fail(error)


def info(name: str, as_json: bool = False) -> None:
    """All that a user of the app needs to know, as `--app-info` prints it."""
    one = app_named(name)
    if as_json:
        print_json(facts(one))
        return
    for line in guide(one):
        print(line)


def guide(one: App) -> Iterator[str]:
    also = f" (or {', '.join(one.aliases)})" if one.aliases else ""
    key = "needed where the proxy was given one (--api-key or LLM_LINK_API_KEY)"
    yield f"{one.title}: {one.description}"
    yield ""
    yield f"  Name:      {one.name}{also}"
    yield f"  Port:      {one.port}"
    yield f"  Protocol:  {', '.join(one.protocols)}"
    yield f"  Base URL:  http://127.0.0.1:{one.port}{one.prefix}"
    yield f"  Auth:      {'none' if one.auth == 'none' else f'{one.auth}; {key}'}"
    yield f"  Config:    {one.config}"
    yield f"  Install:   {one.install}"
    yield ""
    yield "Endpoints:"
    yield from (f"  {line}" for line in endpoints(one))
    yield ""
    yield "Required:"
    yield "  --provider NAME, and its key in the environment or as --llm-api-key (`llm-link providers list`);"
    yield f"  without --provider: the one whose key is set, else {one.provider}"
    yield ""
    yield "Examples:"
    yield from (f"  {line}" for line in examples(one))
    yield ""
    yield "If it does not work:"
    yield from (f"  {line}" for line in troubleshooting(one))


def examples(one: App) -> Iterator[str]:
    if one.binary:
        yield f"llm-link launch {one.name} --provider zhipu --model glm-4.6"
    yield f"llm-link --app {one.name} --provider zhipu --model glm-4.6 --api-key KEY"
    yield f"llm-link --app {one.name} --provider deepseek --web"
    yield f"llm-link apps configure {one.name} --api-key KEY"


def troubleshooting(one: App) -> Iterator[str]:
    url = f"http://127.0.0.1:{one.port}"
    yield "a key is missing         llm-link providers list"
    yield f"the port is in use       lsof -i :{one.port}     then stop that program, or choose another with --port"
    yield f"does it run at all       curl {url}/health"
    yield f"does it take your key    curl {SHOWN[one.auth]}{url}{PROBES[one.protocols[0]]}"
    if one.auth != "none":
        yield 'which keys are set       echo "$LLM_LINK_API_KEY" "$ZHIPU_API_KEY"   (the client\'s, the provider\'s)'
    if one.name == "claude-code":
        yield "the settings             ~/.claude/settings.json has ANTHROPIC_BASE_URL and ANTHROPIC_AUTH_TOKEN in env"
    yield "another provider         stop it, set that provider's key, start it with the other --provider"
    yield "everything else          llm-link doctor"
