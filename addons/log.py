"""Our log: one line for each exchange, with its losses, as text or as JSON. It never holds a credential.

mitmproxy prints what goes to Python's logging; with `format: json` our lines leave that way and go out as they are.
Its handlers are ours too but for two: one turns each line into a hook of a deprecated kind, for which all addons are
walked; the other watches the start, keeps each error with all that its traceback holds, and is taken off the root
logger once the start is over.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from mitmproxy.addons.errorcheck import ErrorCheckHandler
from mitmproxy.log import LegacyLogEvents

from addons.exchange import Exchange
from addons.settings_model import Logging

logger = logging.getLogger("llm_link")
_FACTS = "llm_link_facts"
_NOT_OURS = (LegacyLogEvents, ErrorCheckHandler)
_own: list[logging.Handler] = []  # the handlers that we made


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, _FACTS, {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def printable() -> None:
    """mitmproxy prints paths and headers as they came: where those are no UTF-8, the line shall say so and not fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def configure(settings: Logging, base: Path) -> None:
    """Level, form and place of our lines. `base`: what a relative file name is relative to."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        if handler in _own:
            handler.close()
    _own.clear()
    logger.setLevel(settings.level.upper())
    quiet = logging.NOTSET if settings.level == "debug" else logging.WARNING
    logging.getLogger("mitmproxy.proxy.server").setLevel(quiet)  # a line for each connection, twice
    handlers: list[logging.Handler] = []
    if settings.file is not None:
        handlers.append(logging.FileHandler(base / Path(settings.file).expanduser(), encoding="utf-8"))
    if settings.format == "json":
        handlers.append(logging.StreamHandler(sys.stdout))
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    for handler in handlers:
        handler.setFormatter(_Json() if settings.format == "json" else text)
        logger.addHandler(handler)
    _own.extend(handlers)
    if settings.format != "json":
        for handler in logging.getLogger().handlers:
            if not isinstance(handler, _NOT_OURS):
                logger.addHandler(handler)
    logger.propagate = False


def exchange_line(exchange: Exchange) -> None:
    """What became of an exchange, and what was lost on the way."""
    if not any(handler.level <= logging.INFO for handler in logger.handlers):
        return
    facts = _facts(exchange)
    tokens = f", {facts['input_tokens']} in, {facts['output_tokens']} out" if "input_tokens" in facts else ""
    logger.info(
        "request %s: %s %s -> %s: %s, %.2f s%s",
        facts["id"],
        facts["protocol"],
        facts["model"] or "-",
        facts["target"] or "-",
        _outcome(exchange),
        facts["seconds"],
        tokens,
        extra={_FACTS: facts},
    )
    if losses := exchange.losses():
        said = ", ".join(f"{loss.path}={loss.code}" for loss in losses)
        logger.info("request %s: not said as it was asked: %s", facts["id"], said)


def _facts(exchange: Exchange) -> dict[str, Any]:
    attempt, usage = exchange.attempt, exchange.usage
    facts: dict[str, Any] = {
        "id": exchange.seed.id,
        "protocol": exchange.codec.NAME,
        "app": None if exchange.app is None else exchange.app.name,
        "model": exchange.model,
        "target": attempt.target.address if attempt is not None else None,
        "status": exchange.status,
        "attempts": len(exchange.attempts),
        "seconds": round((exchange.ended_at or time.time()) - exchange.started, 4),
    }
    if usage is not None:
        facts |= {"input_tokens": usage.prompt, "output_tokens": usage.completion}
    return facts


def _outcome(exchange: Exchange) -> str:
    outcome = "cancelled by the client" if exchange.cancelled else f"{exchange.status}"
    if exchange.error is not None:
        outcome += f" ({exchange.error.kind}: {exchange.error.message[:200]})"
    return outcome
