"""The running proxy as the control surface sees it: the settings in use, what happens now and what happened."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import metadata
from typing import Any

from addons.catalog import Provider
from addons.choosing import Board
from addons.exchange import Exchange
from addons.routing import Router
from addons.settings import Settings
from addons.settings_upstream import Upstream
from addons.stats import Stats


class Running:
    """One for each process. `live`: the exchanges that are not over, by flow, each with its flow."""

    def __init__(self, board: Board, live: Mapping[str, tuple[Any, Exchange]]) -> None:
        self.board, self.live, self.stats = board, live, Stats()
        self.settings = Settings()
        self.router = Router(self.settings)
        self.environ: Mapping[str, str] = {}
        self.instance_id = int(time.time())
        self._uses = 0
        self.web = ""  # where mitmweb is; "": it does not run

    def use(self, settings: Settings) -> None:
        """For requests from now on; those that run keep what they began with."""
        self.router = Router(settings)
        self.settings = settings
        self._uses += 1
        self.stats.config_changed()

    @cached_property
    def version(self) -> str:
        try:
            return metadata.version("llm-link")
        except metadata.PackageNotFoundError:  # a checkout that was not installed
            return "unknown"

    @property
    def revision(self) -> str:
        """Another one after each change; those of another process differ too."""
        return f"{self.instance_id}-{self._uses}"

    def all_settings(self) -> Iterator[tuple[str, Settings]]:
        """Each namespace with its settings."""
        yield "default", self.settings

    def changed_keys(self) -> list[str]:
        """The keys of the config that the API has set over the file."""
        return []

    def has_key(self, provider: Provider) -> bool:
        """Whether the environment holds a key for a provider."""
        return any(self.environ.get(name) for name in provider.key_env)

    def current(self) -> tuple[Upstream, str] | None:
        """The upstream and model that most requests go to: the first target of `*`, else of the first model."""
        settings = self.settings
        routes = [route for name in ("*", *settings.models) if (route := settings.models.get(name)) and route.targets]
        if routes:
            first = routes[0].targets[0]
            upstream, model = settings.upstreams[first.upstream], first.model
        elif settings.upstreams:
            upstream, model = next(iter(settings.upstreams.values())), "*"
        else:
            return None
        if model == "*" and upstream.provider is not None:
            model = upstream.provider.default_model or model
        return upstream, model
