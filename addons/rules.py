"""Rule files: loaded as mitmproxy loads its scripts, loaded anew when they are saved, and what all of them define.

A file named under `rules` is loaded here and not by mitmproxy's script addon, which keeps silent about which file
could not be loaded, ends the start for it, and shows one at a time. Scripts of `-s` may define the same hooks and are
found where mitmproxy holds them. Who defines what is worked out when a script comes or goes; a request only looks
whether that happened.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from mitmproxy import ctx, hooks
from mitmproxy.addonmanager import traverse

from addons.hooks import HOOKS
from addons.log import logger
from addons.ruleset import RAISED, Rule, Ruleset, Waiting, line_of
from addons.settings_model import RulePart

_HEAD_HOOKS = ("requestheaders", "responseheaders")  # those of mitmproxy's that a rule may well have

_SETTLED = 0.2  # seconds after which a saved file is whole

Stamp = tuple[int, int] | None


class RuleFile:
    """One file of the config. `module` is None and `fault` says why where it could not be loaded."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.module: ModuleType | None = None
        self.fault = ""
        self._loaded: Stamp = None
        self._seen: Stamp = None

    def stamp(self) -> Stamp:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def changed(self) -> bool:
        """Whether the file was saved since it was loaded, and is not still being written."""
        before, self._seen = self._seen, self.stamp()
        if self._seen == self._loaded:
            return False
        return self._seen == before or self._seen is None or abs(time.time() - self._seen[0] / 1e9) > _SETTLED

    def load(self) -> None:
        self.unload()
        self._loaded = self._seen = self.stamp()
        try:
            module = _imported(self.path)
            ctx.master.addons.register(module)
            self.module = module
            ctx.master.addons.invoke_addon_sync(module, hooks.ConfigureHook(set(ctx.options.keys())))
            ctx.master.addons.invoke_addon_sync(module, hooks.RunningHook())
        except RAISED as error:
            self.unload()
            self.fault = _why(error, self.path)

    def unload(self) -> None:
        module, self.module, self.fault = self.module, None, ""
        if module is None:
            return
        try:
            ctx.master.addons.remove(module)
        except RAISED as error:
            logger.error("rule %s, on its way out: %s", self.path, _why(error, self.path))


class Rules:
    """An addon of mitmproxy's whose own addons are the rule files of the config."""

    name = "llm_link_rules"

    def __init__(self) -> None:
        self._files: list[RuleFile] = []
        self._parts: tuple[RulePart, ...] = ()
        self._scripts: list[Any] = []
        self._ruleset: Ruleset | None = None
        self._running = False
        self._stale = True

    @property
    def addons(self) -> list[ModuleType]:
        return [file.module for file in self._files if file.module is not None]

    async def llm_rule(self, waiting: Waiting) -> None:
        await waiting.done()

    def use(self, parts: Sequence[RulePart]) -> None:
        """The rules that the config names, in its order."""
        self._parts = tuple(parts)
        if self._running:
            self._arrange()

    def start(self) -> None:
        """mitmproxy runs: rules may be loaded."""
        self._running = True
        self._arrange()

    def look(self) -> None:
        """Load what was saved."""
        for file in self._files:
            if file.changed():
                self._load(file, "loaded anew")

    def current(self) -> Ruleset | None:
        """The rules as they are now; None: there is nothing that any of them would do."""
        if not self._running:  # mitmproxy listens a moment before it says so
            self.start()
        self._compare()
        return self._ruleset

    # ------------------------------------------------------------------------------------------ loading

    def _arrange(self) -> None:
        old = {file.path: file for file in self._files}
        paths = [*dict.fromkeys(part.path for part in self._parts)]
        for path in old.keys() - set(paths):
            old[path].unload()
            logger.info("rule %s: taken out", path)
        self._files = [old.get(path) or RuleFile(path) for path in paths]
        self._stale = True
        for file in self._files:
            if file.path not in old:
                self._load(file, "loaded")

    def _load(self, file: RuleFile, how: str) -> None:
        file.load()
        self._stale = True
        if file.fault:  # an error in the log would end a start
            logger.warning("rule %s cannot be loaded: %s", file.path, file.fault)
        else:
            defined = [hook for hook in (*HOOKS, *_HEAD_HOOKS) if any(_functions(file.module, hook))]
            logger.info("rule %s: %s (%s)", file.path, how, ", ".join(defined) or "none of LLM Link's hooks")

    # ------------------------------------------------------------------------------------------ who defines what

    def _compare(self) -> None:
        loader = ctx.master.addons.get("scriptloader")
        scripts = [script.ns for script in loader.addons] if loader is not None else []
        if not self._stale and scripts == self._scripts:
            return
        self._stale, self._scripts = False, scripts
        own = [*self._own(), *self._foreign(scripts)]
        ruleset = Ruleset(own)
        self._ruleset = None if ruleset.idle else ruleset

    def _own(self) -> Iterator[Rule]:
        required = {part.path for part in self._parts if part.required}
        for file in self._files:
            yield Rule(file.path, file.path in required, hooks_of(file.module), file.fault)

    def _foreign(self, modules: Sequence[ModuleType | None]) -> Iterator[Rule]:
        """Scripts of `-s`."""
        for module in modules:
            if module is not None and self not in getattr(module, "addons", ()):
                yield Rule(str(getattr(module, "__file__", module)), False, hooks_of(module))


def hooks_of(module: ModuleType | None) -> dict[str, tuple[Any, ...]]:
    """The functions that a script and the addons in it define, by hook."""
    found = {hook: tuple(_functions(module, hook)) for hook in HOOKS}
    return {hook: functions for hook, functions in found.items() if functions}


def _functions(module: ModuleType | None, hook: str) -> Iterator[Any]:
    """What a script and the addons in it have by the name of a hook."""
    for addon in traverse([module] if module is not None else []):
        function = getattr(addon, hook, None)
        if callable(function):
            yield function


def _imported(path: str) -> ModuleType:
    """The script as a module, which may import what stands beside it."""
    if not os.path.isfile(path):
        raise FileNotFoundError("there is no such file")
    name = f"__mitmproxy_script__.rule_{Path(path).stem}"
    found = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.util.spec_from_loader(name, loader=found)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    old = sys.path
    sys.path = [os.path.dirname(path), *old]
    sys.modules[name] = module  # dataclasses look there
    try:
        found.exec_module(module)
    finally:
        sys.path = old
    if not isinstance(getattr(module, "name", None), str):
        module.name = f"rule {path}"  # type: ignore[attr-defined]
    return module


def _why(error: BaseException, path: str) -> str:
    line = line_of(error, path)
    what = traceback.format_exception_only(error)[-1].strip()
    return f"line {line}: {what}" if line else what
