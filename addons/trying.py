"""`llm-link try`: a rule at work on saved exchanges, with nothing sent. A program of its own, since only `addons/`
knows mitmproxy's files.

Each exchange is opened twice as if its client asked now, without and with the rule, and made ready for its upstream:
that of the config, or else the one that was asked when it was saved. The answer that was recorded then goes both ways.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() not in (HERE, HERE.parent))]

import msgspec  # noqa: E402
import yaml  # noqa: E402
from mitmproxy import io  # noqa: E402
from mitmproxy.exceptions import FlowReadException  # noqa: E402
from mitmproxy.http import HTTPFlow  # noqa: E402
from mitmproxy.master import Master  # noqa: E402
from mitmproxy.options import Options  # noqa: E402

from addons import attempts, credentials  # noqa: E402
from addons.choosing import Board  # noqa: E402
from addons.doors import provider_at, surface_at  # noqa: E402
from addons.exchange import METADATA, Exchange, Outgoing  # noqa: E402
from addons.opening import Opening  # noqa: E402
from addons.origin import origin  # noqa: E402
from addons.rates import Meters  # noqa: E402
from addons.routing import Router  # noqa: E402
from addons.rules import RuleFile, hooks_of  # noqa: E402
from addons.ruleset import Rule, Ruleset, Steps  # noqa: E402
from addons.settings import Reverse, Settings, load  # noqa: E402
from addons.surfaces import Surface, find  # noqa: E402
from addons.views.reading import Unreadable, answered  # noqa: E402
from translators.body import WRONG  # noqa: E402
from translators.codec import Seed  # noqa: E402
from translators.pretty import response_text, result_text  # noqa: E402

_ASKS = ("generate", "count_tokens", "embed", "compact")
_MOST = 400  # lines of one diff
_SEED = Seed("a" * 24, 0)


class Order(msgspec.Struct, frozen=True):
    """What the command line says. `config`: "" for none; `environ`: with which the config is read."""

    rule: str
    flows: str
    config: str = ""
    as_json: bool = False
    environ: dict[str, str] = {}


class Side(msgspec.Struct):
    """What became of one exchange, without the rule or with it."""

    asked: str = ""  # the neutral request
    sent: str = ""  # where it would go, and the body
    got: str = ""  # what the client would get for the answer that was recorded


# ------------------------------------------------------------------------------------------------ one exchange


class Trial:
    """One saved flow."""

    def __init__(self, flow: HTTPFlow, settings: Settings | None) -> None:
        self.flow, self.record = flow, flow.metadata.get(METADATA) or {}
        self.surface = _surface(flow)
        self._settings = settings

    @property
    def name(self) -> str:
        return f"{self.flow.request.method} {self.flow.request.path.partition('?')[0]}"

    async def run(self, rules: Ruleset | None) -> tuple[Side, Exchange]:
        flow, settings = self.flow, self._settings or self._as_it_was()
        taken = credentials.retake(flow.request.headers.fields, flow.request.path, origin(flow.id, self.record))
        opening = Opening(flow.copy(), taken, settings, Router(settings), Board(), Meters(), rules, meant=self.surface)
        exchange = opening.exchange
        exchange.seed = _SEED  # ids that are drawn would differ
        await _drive(opening.steps())
        side = Side(_plain(exchange))
        if not isinstance(opening.opened, Exchange):
            side.sent = "nothing is sent"
            side.got = _read(exchange, opening.opened.status, opening.opened.headers, opening.opened.body)
            return side, exchange
        step = attempts.next_attempt(exchange)
        if not isinstance(step, Outgoing):
            side.sent = f"nothing is sent: {exchange.attempts[-1].error}" if exchange.attempts else "nothing is sent"
            return side, exchange
        target = exchange.attempts[-1].target
        url = f"{step.method} {step.scheme}://{step.host}:{step.port}{step.path}"
        side.sent = f"to {target.address} ({target.upstream.protocol})\n{url}\n{_pretty(step.body)}"
        side.got = await self._answer(exchange)
        return side, exchange

    def _as_it_was(self) -> Settings:
        """The upstream that was asked, or else the host that the request was for."""
        tried = [attempt for attempt in self.record.get("attempts", ()) if attempt.get("request")]
        if tried:
            return _upstream(tried[-1]["request"]["url"], tried[-1]["protocol"])
        request = self.flow.request
        return _upstream(f"{request.scheme}://{request.host}:{request.port}/", self.surface.protocol)

    async def _answer(self, exchange: Exchange) -> str:
        """What the client gets for the answer that was recorded."""
        recorded = [attempt for attempt in self.record.get("attempts", ()) if attempt.get("response")]
        if not recorded:
            return ""
        attempt, last = exchange.attempts[-1], recorded[-1]
        if last["protocol"] != attempt.target.upstream.protocol:
            return f"(an answer in {last['protocol']} was recorded, which is not what {attempt.target.address} speaks)"
        assert attempt.bridge is not None
        response = last["response"]
        answer = attempt.answer = attempt.bridge.answer(response["status"], dict(response["headers"]))
        body = answer.feed(response["body"]) + answer.feed(b"")
        if answer.error is not None:
            attempt.error = answer.error
            if exchange.ruled is not None:
                await _drive(exchange.ruled.error(attempt))
            return f"error {attempt.error.status}: {attempt.error.message}"
        assert answer.head is not None
        if exchange.ruled is not None and answer.response is not None:
            exchange.response = answer.response
            await _drive(exchange.ruled.response(answer.head.streamed))
            if exchange.response is not answer.response:
                body = answer.render(exchange.response)[1]
        return _read(exchange, answer.head.status, answer.head.headers, body)


async def _drive(steps: Steps) -> None:
    for waiting in steps:
        await waiting.done()


def _surface(flow: HTTPFlow) -> Surface:
    """What a request is for: ours where it was said to us, or to the host of a provider."""
    request = flow.request
    provider = provider_at(flow.client_conn.sni or request.host)
    meant = provider and surface_at(provider, request.method, request.path, request.headers, True)
    return meant or find(request.method, request.path, request.headers)


def _upstream(url: str, protocol: str) -> Settings:
    scheme, _, rest = url.partition("://")
    host, _, port = rest.partition("/")[0].rpartition(":")
    return load(None, {}, reverse=Reverse(scheme, host.strip("[]"), int(port)), protocol=protocol, serve={})


# ------------------------------------------------------------------------------------------------ as text


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, said: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", said, style="|" if "\n" in said else None)


_Dumper.add_representer(str, _text)


def _plain(exchange: Exchange) -> str:
    """The neutral request, as YAML."""
    try:
        asked = exchange.rewritten or exchange.question_codec.parse_request(exchange.wire)
    except Exception as error:  # the client's body is no request; that is what there is to say
        return f"unreadable: {error}"
    values = msgspec.to_builtins(asked)
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))


def _pretty(body: bytes) -> str:
    try:
        return msgspec.json.format(body, indent=2).decode("utf-8", "replace")
    except WRONG:
        return body.decode("utf-8", "replace")


def _read(exchange: Exchange, status: int, headers: dict[str, str], body: bytes) -> str:
    try:
        answer = answered(exchange.codec.NAME, exchange.purpose, headers.get("content-type", ""), status, body)
    except Unreadable:
        return f"status {status}\n{_pretty(body)}"
    value = answer.value
    return response_text(value, answer.running) if hasattr(value, "parts") else result_text(value)


def _diff(before: str, after: str) -> list[str]:
    """What differs, with some lines around it."""
    lines = [*difflib.unified_diff(before.splitlines(), after.splitlines(), "without", "with", lineterm="", n=2)]
    return [*lines[:_MOST], f"… {len(lines) - _MOST} more lines"] if len(lines) > _MOST else lines


# ------------------------------------------------------------------------------------------------ the program


async def _rule(path: str) -> tuple[Rule, Ruleset]:
    Master(Options(), event_loop=asyncio.get_running_loop())  # some rules ask mitmproxy for its options
    file = RuleFile(path)
    file.load()
    rule = Rule(path, False, hooks_of(file.module), file.fault)
    return rule, Ruleset([rule])


def _flows(path: str) -> Iterator[HTTPFlow]:
    with open(path, "rb") as file:
        for flow in io.FlowReader(file).stream():
            if isinstance(flow, HTTPFlow):
                yield flow


async def _trials(order: Order, settings: Settings | None, rules: Ruleset) -> list[dict[str, Any]]:
    found = []
    for flow in _flows(order.flows):
        trial = Trial(flow, settings)
        if trial.surface.purpose not in _ASKS:
            continue
        without, _ = await trial.run(None)
        side, exchange = await trial.run(rules)
        found.append(
            {
                "flow": flow.id,
                "request": trial.name,
                "protocol": trial.surface.protocol,
                "model": exchange.model,
                "asked": _diff(without.asked, side.asked),
                "sent": _diff(without.sent, side.sent),
                "answer": _diff(without.got, side.got),
                "reports": ((exchange.ruled.record(0) if exchange.ruled else None) or {}).get("reports", []),
            }
        )
    return found


_TITLES = {"asked": "what is asked", "sent": "what goes upstream", "answer": "what the client gets"}


def _show(number: int, trial: dict[str, Any], colours: bool) -> None:
    print(f"{number}. {trial['request']} ({trial['protocol']}, model {trial['model'] or '-'})")
    for name, title in _TITLES.items():
        if trial[name]:
            print(f"  {title}:")
            for line in trial[name][2:]:  # less the names of the two sides
                print(f"    {_coloured(line) if colours else line}")
    for report in trial["reports"]:
        print(f"  failed in {report['hook']}, {report['at']}: {report['why']}")
    if not any(trial[name] for name in (*_TITLES, "reports")):
        print("  nothing changes")


def _coloured(line: str) -> str:
    colour = {"+": 32, "-": 31, "@": 36}.get(line[:1])
    return f"\x1b[{colour}m{line}\x1b[0m" if colour else line


def _fail(message: str) -> int:
    print(f"llm-link: {message}", file=sys.stderr)
    return 1


async def _main(order: Order) -> int:
    settings = load(Path(order.config), order.environ) if order.config else None
    rule, rules = await _rule(order.rule)
    if rule.fault:
        return _fail(f"{order.rule}: cannot be loaded: {rule.fault}")
    if rules.idle:
        return _fail(f"{order.rule}: defines none of LLM Link's hooks")
    try:
        trials = await _trials(order, settings, rules)
    except FlowReadException as error:
        return _fail(f"{order.flows}: {error}")
    if not trials:
        return _fail(f"{order.flows}: holds no exchange with a model")
    if order.as_json:
        print(json.dumps({"rule": order.rule, "flows": trials}, indent=2, ensure_ascii=False))
    else:
        for number, trial in enumerate(trials, 1):
            _show(number, trial, sys.stdout.isatty())
    return 1 if any(trial["reports"] for trial in trials) else 0


def main(read: Callable[[], str] = sys.stdin.read) -> int:
    """The order comes as JSON on standard input, since there may be keys in its environment."""
    return asyncio.run(_main(msgspec.json.decode(read(), type=Order)))


if __name__ == "__main__":
    sys.exit(main())
