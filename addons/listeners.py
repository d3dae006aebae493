"""Who listens to mitmproxy's own hooks. To yield one costs a task, a turn of the event loop and two walks over all
addons: more than a translation. Where only addons that come with mitmproxy listen, and plain functions, they are called
here and now instead; scripts, and whatever has to be waited for, get the hook as ever.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mitmproxy import ctx
from mitmproxy.addonmanager import safecall, traverse
from mitmproxy.addons.asgiapp import ASGIApp
from mitmproxy.exceptions import AddonHalt
from mitmproxy.http import HTTPFlow

_KNOWN = ("mitmproxy.", "addons.")  # packages whose hooks are as they seem


@dataclass(frozen=True)
class _Found:
    """`apps`: asked whether they want a flow, since they answer in their own time."""

    functions: tuple[Callable[[HTTPFlow], object], ...] = ()
    apps: tuple[ASGIApp, ...] = ()


class Listeners:
    """The addons that are loaded, by what they listen to: looked up once, until one comes or goes."""

    def __init__(self) -> None:
        self._addons: list[Any] = []
        self._found: dict[str, _Found | None] = {}

    def told(self, hook: str, flow: HTTPFlow) -> bool:
        """Tell all who listen, if that can be done at once. Else nobody was told, and the hook has to be yielded."""
        found = self._at_once(hook, flow)
        if found is None:
            return False
        for function in found.functions:
            try:
                function(flow)
            except AddonHalt:
                break
            except Exception:
                with safecall():  # says what happened, as ever
                    raise
        return True

    def at_once(self, hook: str, flow: HTTPFlow) -> bool:
        """Whether `told` would do."""
        return self._at_once(hook, flow) is not None

    def _at_once(self, hook: str, flow: HTTPFlow) -> _Found | None:
        addons = [*ctx.master.addons.lookup.values()]
        if addons != self._addons:
            self._addons, self._found = addons, {}
        if hook not in self._found:
            self._found[hook] = self._find(hook)
        found = self._found[hook]
        return None if found is None or any(app.should_serve(flow) for app in found.apps) else found

    def _find(self, hook: str) -> _Found | None:
        """None: mitmproxy has to do it."""
        functions, apps = [], []
        for addon in traverse(ctx.master.addons.chain):
            if getattr(addon, "update", None) is not None:  # it is told after each hook
                return None
            function = getattr(addon, hook, None)
            if function is None:
                continue
            if isinstance(addon, ASGIApp) and hook == "request":
                apps.append(addon)
            elif not type(addon).__module__.startswith(_KNOWN) or inspect.iscoroutinefunction(function):
                return None
            else:
                functions.append(function)
        return _Found(tuple(functions), tuple(apps))
