"""The hooks that a rule may define, beside mitmproxy's own: the whole surface on one screen. docs/rules.md explains it.

They are events of mitmproxy by name, so that its tools know them, but `ruleset` calls them: each rule alone, and only
where a loaded script defines them. `llm_rule` is ours: mitmproxy's event loop waits there for a rule that is `async`.
"""

from __future__ import annotations

from dataclasses import dataclass

from mitmproxy.hooks import Hook
from mitmproxy.proxy.commands import StartHook

from addons.exchange import Exchange
from addons.ruleset import Waiting
from translators.events import Event


@dataclass
class LlmRequestHook(Hook):
    """`exchange.request`: the neutral request, parsed and not yet routed. Edit it in place."""

    exchange: Exchange


@dataclass
class LlmRouteHook(Hook):
    """`exchange.targets`: the targets in order. Edit the list."""

    exchange: Exchange


@dataclass
class LlmEventHook(Hook):
    """Each neutral event of the answer. Return None (keep it), an event, or a list of events. Never async."""

    exchange: Exchange
    event: Event


@dataclass
class LlmResponseHook(Hook):
    """`exchange.response`: the answer, whole. One that was not streamed may be changed, a streamed one only seen."""

    exchange: Exchange


@dataclass
class LlmErrorHook(Hook):
    """`exchange.error`: a failed attempt, before the next one or the client's answer."""

    exchange: Exchange


@dataclass
class RuleHook(StartHook):
    """An async rule runs."""

    name = "llm_rule"
    waiting: Waiting


HOOKS = {hook.name: hook for hook in (LlmRequestHook, LlmRouteHook, LlmEventHook, LlmResponseHook, LlmErrorHook)}
