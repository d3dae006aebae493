"""From the model name that a client asked for to the targets that may answer, in order.

An exact name in `models` comes first, then an address (`UPSTREAM/MODEL` or `UPSTREAM:MODEL`, where addressing is on and
the prefix is a configured upstream), then the globs as written. Names come from outside: they are bounded and checked
before they get near a URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import msgspec
from msgspec import Struct

from translators.codec import Traits
from translators.model import BadRequest, ModelInfo

from .catalog import Provider, catalogue, describe, glob, is_glob, name_fault
from .settings import ModelRoute, Settings, TargetRef
from .settings_model import Params
from .settings_upstream import Upstream

MAX_LISTED = 20  # names in the text of a 404

_PREFIX = re.compile(r"([^/:]+)[/:](.+)", re.DOTALL)


class Target(Struct, frozen=True):
    """One upstream and a model there. `model` is what people call it, `backend` what goes over the wire; they differ
    where the provider wants endpoint ids. `params` act one after the other; (): none. An upstream with several keys is
    a target for each of them."""

    upstream: Upstream
    model: str
    backend: str
    traits: Traits
    params: tuple[Params, ...] = ()
    weight: int = 1
    key: int = 0  # which of the upstream's keys

    @property
    def address(self) -> str:
        return f"{self.upstream.name}/{self.model}"


class Route(Struct, frozen=True):
    """`name`: the entry of `models` that decided, "" for an address."""

    targets: tuple[Target, ...]
    name: str = ""
    choose: str = "order"


class Router:
    """Built once for each settings; `resolve` remembers the last names."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._exact = {name: route for name, route in settings.models.items() if not is_glob(name)}
        self._globs = [(glob(name), route) for name, route in settings.models.items() if is_glob(name)]
        self.resolve = lru_cache(maxsize=1024)(self._resolve)

    def _resolve(self, model: str) -> Route:
        """Raises `BadRequest`: 400 for a name that cannot be, 404 for one that leads nowhere."""
        if not model.strip():
            return self._unnamed()
        check_name(model)
        route = self._exact.get(model)
        if route is not None:
            return self._route(route, model)
        if address := self._address(model):
            return Route(self._targets(TargetRef(*address), ""))
        for pattern, route in self._globs:
            if pattern.match(model):
                return self._route(route, model)
        raise BadRequest(
            f"The model {model!r} is not known here. {self._what_there_is()}",
            "model",
            status=404,
            kind="not_found",
            code="model_not_found",
        )

    def at(self, address: str, asked: str) -> Route:
        """The target `UPSTREAM/MODEL`, whatever `models` says; `*` as its model: the name that was asked for. Raises
        `BadRequest`."""
        name, _, model = address.partition("/")
        if name not in self._settings.upstreams or not model:
            there = ", ".join(f"{name}/MODEL" for name in self._settings.upstreams)
            raise BadRequest(f"{address!r} is no target; there is: {there}", "model", status=404, kind="not_found")
        check_name(asked if model == "*" else model)
        return Route(self._targets(TargetRef(name, model), asked))

    def named(self, name: str) -> Route:
        """What a rule may name: a name of `models`, or `UPSTREAM/MODEL`, whatever clients may. Raises `BadRequest`."""
        known = name in self._exact or name.partition("/")[0] not in self._settings.upstreams
        return self.resolve(name) if known else self.at(name, "")

    def known_models(self) -> list[ModelInfo]:
        """The exact names of `models`, then for each glob the catalogue's models that match it; each name once."""
        found: dict[str, ModelInfo] = {}
        for info in self._listed():
            found.setdefault(info.id, info)
        return list(found.values())

    def describe(self, name: str, route: Route) -> ModelInfo:
        """What is known of the model that a name leads to."""
        target = route.targets[0]
        model = catalogue().info(target.model, target.upstream.provider)
        return describe(name, target.upstream.name, model, target.traits)

    def keeper(self, protocol: str) -> Route:
        """Where the answers of a protocol are kept, for requests that name an answer and no model: at the only upstream
        that speaks it; of several, at the one of the route `*`. Raises `BadRequest`, 404: nothing is kept here."""
        found = [upstream for upstream in self._settings.upstreams.values() if upstream.protocol == protocol]
        if len(found) > 1:
            star = self._settings.models.get("*")
            first = self._settings.upstreams[star.targets[0].upstream] if star and star.targets else None
            found = [upstream for upstream in found if upstream is first]
        if not found:
            why = f"No answer is kept here, nor at an upstream: none that speaks {protocol} can be told apart."
            raise BadRequest(why, status=404, kind="not_found")
        return Route((self._target(TargetRef(found[0].name, "*"), ""),))

    def _unnamed(self) -> Route:
        """An empty model takes the first target of `*`, or that provider's default model."""
        star = self._settings.models.get("*")
        first = star.targets[0] if star else None
        if star and first:
            upstream = self._settings.upstreams[first.upstream]
            model = upstream.provider.default_model if first.model == "*" and upstream.provider else first.model
            if model and model != "*":
                ref = TargetRef(first.upstream, model, first.params, first.weight)
                return Route(self._targets(ref, ""), star.name)
        raise BadRequest(f"The request names no model. {self._what_there_is()}", "model")

    def _address(self, model: str) -> tuple[str, str] | None:
        match = _PREFIX.fullmatch(model) if self._settings.addressing else None
        return (match[1], match[2]) if match and match[1] in self._settings.upstreams else None

    def _route(self, route: ModelRoute, model: str) -> Route:
        targets = tuple(target for ref in route.targets for target in self._targets(ref, model))
        return Route(targets, route.name, route.choose)

    def _targets(self, ref: TargetRef, asked: str) -> tuple[Target, ...]:
        first = self._target(ref, asked)
        return tuple(msgspec.structs.replace(first, key=n) for n in range(max(1, len(first.upstream.keys))))

    def _target(self, ref: TargetRef, asked: str) -> Target:
        upstream = self._settings.upstreams[ref.upstream]
        model = asked if ref.model == "*" else ref.model
        params = tuple(one for one in (upstream.params, ref.params) if not one.empty)
        return Target(upstream, model, upstream.backend(model), upstream.traits(model), params, ref.weight)

    def _what_there_is(self) -> str:
        names = list(self._settings.models)
        if self._settings.addressing:
            names += [f"{name}/MODEL" for name in self._settings.upstreams]
        shown = ", ".join(names[:MAX_LISTED]) + (", …" if len(names) > MAX_LISTED else "")
        return f"There is: {shown}." if shown else "No models are configured."

    def _listed(self) -> Iterator[ModelInfo]:
        for name, route in self._exact.items():
            yield self.describe(name, self._route(route, name))
        for name, route in self._settings.models.items():
            if is_glob(name):
                yield from self._matching(name, route)

    def _matching(self, pattern: str, route: ModelRoute) -> Iterator[ModelInfo]:
        """Where names go through to an upstream of the catalogue, only its own models can be meant."""
        for provider, model in catalogue().matching(pattern, self._providers(route)):
            target = self._target(route.targets[0], model.id)
            row = model if route.targets[0].model == "*" else catalogue().info(target.model)
            yield describe(model.id, provider.name, row, target.traits)

    def _providers(self, route: ModelRoute) -> list[Provider]:
        first = route.targets[0]
        provider = self._settings.upstreams[first.upstream].provider
        return [provider] if provider and provider.models and first.model == "*" else []


def check_name(model: str) -> None:
    """Raises `BadRequest` for a name that must not get into a URL or a log."""
    if fault := name_fault(model):
        raise BadRequest(f"the model name {fault}", "model")
