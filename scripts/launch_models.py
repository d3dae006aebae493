"""Which model a launched client is told, and what is known of it and of all others.

A client may ask for what it likes where that leads somewhere on purpose: at its own vendor, or where the config file
has a place for the names that it asks for. Elsewhere it is told one, and so shows what answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from addons.apps import App
from addons.catalog import catalogue, is_glob
from addons.routing import Route, Router
from addons.settings import Settings
from scripts.launch_clients import Facts
from scripts.terminal import fail
from translators.model import BadRequest


def models_for(
    app: App, settings: Settings, named: str | None, configured: bool
) -> tuple[Facts | None, tuple[Facts, ...], str]:
    """The model that the client is told (None: it may ask for its own), all that there are, and the protocol of what
    answers. `named`: by the user; `configured`: a config file says where requests go."""
    router = Router(settings)
    name = named or chosen(app, settings, router, configured)
    route = resolved(router, name)
    if route is None:
        return None, (), next(iter(settings.upstreams.values())).protocol
    listed = tuple(facts_of(info) for info in router.known_models() if not info.embedding)
    model = facts_of(router.describe(name, route)) if name else None
    if named and not configured:
        listed = ()  # all names lead to the one
    return model, listed, route.targets[0].upstream.protocol


def resolved(router: Router, name: str) -> Route | None:
    """None: nothing was named, and nothing is meant then. Raises `Trouble` for a name that leads nowhere."""
    try:
        return router.resolve(name)
    except BadRequest as error:
        if name:
            fail(f"--model: {error.error.message}")
        return None


def facts_of(info: Any) -> Facts:
    sizes = (info.context_window, info.max_output)
    return Facts(info.id, info.name, *sizes, info.tools, info.vision, info.reasoning)


def chosen(app: App, settings: Settings, router: Router, configured: bool) -> str:
    """Empty where the client may ask for what it likes."""
    if app.asks and has_a_place(app, settings, router, configured):
        return ""
    if configured:
        names = (name for name in candidates(settings) if leads_somewhere(router, name))
        if found := next(names, ""):
            return found
    provider = next(iter(settings.upstreams.values())).provider
    if provider is not None and provider.default_model:
        return provider.default_model
    fail("which model? Name it with --model")


def has_a_place(app: App, settings: Settings, router: Router, configured: bool) -> bool:
    """Whether the names that the client asks for by itself lead to its own vendor, or are meant in the file."""
    try:
        route = router.resolve(catalogue().providers[app.provider].default_model)
    except BadRequest:
        return False
    provider = route.targets[0].upstream.provider
    return (configured and route.name != "*") or (provider is not None and provider.name == app.provider)


def candidates(settings: Settings) -> Iterator[str]:
    """Names of a config file that a client may be told: those that it lists, then what stands behind its globs."""
    yield from (name for name in settings.models if not is_glob(name))
    targets = [route.targets[0] for route in settings.models.values() if route.targets]
    fixed = [target for target in targets if target.model != "*"]
    yield from (target.model for target in fixed)
    yield from (f"{target.upstream}/{target.model}" for target in fixed)


def leads_somewhere(router: Router, name: str) -> bool:
    try:
        return bool(router.resolve(name).targets)
    except BadRequest:
        return False
