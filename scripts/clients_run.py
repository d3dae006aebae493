"""Runs one client against one upstream protocol through a real mitmdump, and says what was not as it should be."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import httpx

from scripts.clients_install import path_of
from scripts.clients_model import CONTENT, DONE, TASK
from scripts.clients_others import WIRES
from scripts.clients_server import TROUBLE, Exchange, Model, serving
from scripts.clients_table import MODEL, Client
from scripts.demo import Proxy, free_port

HERE = Path(__file__).resolve().parent
PATIENCE = 150.0  # seconds for one client
# What the model is called upstream, since a name has its quirks: gpt-5.5 takes freeform tools, and Gemini wants
# signatures back from 3 on.
TARGETS = {name: {MODEL: MODEL, "*": MODEL} for name in WIRES}
TARGETS["openai-chat"]["gpt-5.5"] = "gpt-5.5"
TARGETS["gemini"] = {MODEL: "gemini-3-scripted", "*": "gemini-3-scripted"}
CUT = "closed the connection before its answer was complete"  # what the proxy says of an upstream that did so
MANY = 12  # more requests than this in one run: it went round in circles


@dataclass(frozen=True)
class Result:
    client: Client
    upstream: str
    seconds: float
    troubles: tuple[str, ...]
    losses: tuple[str, ...] = ()  # what the proxy reported as not said as it was asked


@dataclass
class Link:
    """A running proxy with a scripted model of one protocol behind it."""

    upstream: str
    model: Model
    proxy: Proxy
    folder: Path

    def log(self) -> list[dict[str, Any]]:
        path = self.folder / "link.jsonl"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


@contextmanager
def linked(upstream: str, folder: Path, fault: str = "") -> Iterator[Link]:
    folder.mkdir(parents=True)
    with serving(upstream, fault) as model:
        port = free_port()
        config = {
            "listen": f"127.0.0.1:{port}",
            "auth": {"mode": "none"},
            "upstreams": {"scripted": {"protocol": upstream, "base_url": model.url, "api_key": {"value": "any-key"}}},
            "models": {name: f"scripted/{own}" for name, own in TARGETS[upstream].items()},
            "logging": {"level": "info", "format": "json", "file": "link.jsonl"},
        }
        path = folder / "llm-link.yaml"  # JSON is YAML
        path.write_text(json.dumps(config), "utf-8")
        with Proxy(path, port, None, folder / "mitmdump.log") as proxy:
            asyncio.run(ready(proxy))
            yield Link(upstream, model, proxy, folder)


async def ready(proxy: Proxy) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        await proxy.ready(http)


# ------------------------------------------------------------------------------------------------ one run


@dataclass
class Ended:
    """What became of the client's process. `code`: None where it had to be stopped."""

    code: int | None
    output: str


def environment(client: Client, names: dict[str, str], install: Path) -> dict[str, str]:
    """Nothing of the user's own but what a program needs to run at all."""
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TERM", "TMPDIR") if name in os.environ}
    own = {name: Template(value).safe_substitute(names) for name, value in client.env.items()}
    return {"LANG": "C.UTF-8", **kept, "HOME": names["home"], "PATH": path_of(install, client), "NO_COLOR": "1", **own}


def execute(words: list[str], env: dict[str, str], work: str) -> Ended:
    """In a group of its own, so that what it started ends with it."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            words,
            env=env,
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        code: int | None = None
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError):  # all of it has ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        out.seek(0)
        return Ended(code, out.read().decode("utf-8", "replace"))


def run(client: Client, link: Link, install: Path) -> Result:
    folder = link.folder / re.sub(r"\W+", "-", client.name)
    names = {"url": link.proxy.url, "model": client.model, "here": str(HERE), "python": sys.executable}
    names["config"] = str(link.proxy.config)
    for name in ("home", "work"):
        (folder / name).mkdir(parents=True)
        names[name] = str(folder / name)
    names["task"] = TASK.format(path=folder / "work" / "hello.txt", content=CONTENT)
    for file, text in client.files.items():
        path = folder / "home" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).safe_substitute(names), "utf-8")
    words, first = ([Template(word).safe_substitute(names) for word in w] for w in (client.words, client.before))
    link.model.well = False
    if first and (prepared := execute(first, environment(client, names, install), names["work"])).code != 0:
        return Result(client, link.upstream, 0, (f"{' '.join(first)}: {prepared.output}",))
    before = files_in(folder / "home")
    seen, logged, began = len(link.model.exchanges), len(link.log()), time.monotonic()
    ended = execute(words, environment(client, names, install), names["work"])
    seconds = time.monotonic() - began
    exchanges, lines = link.model.exchanges[seen:], link.log()[logged:]
    (folder / "output.txt").write_text(ended.output, "utf-8")
    (folder / "upstream.json").write_text(json.dumps([vars_of(e) for e in exchanges], indent=1, ensure_ascii=False))
    fault = link.model.fault
    if fault == "refuse" or (fault in ("cut", "error") and fault not in client.survives):
        why = CUT if fault == "cut" else TROUBLE
        troubles = [*troubles_of_end(client, exchanges, ended, why)]
    else:
        troubles = [*troubles_of_client(client, ended, folder / "work"), *troubles_of_model(exchanges, ended)]
    troubles += troubles_of_link(client, lines, fault)
    if client.untouched and (changed := sorted(files_in(folder / "home") ^ before)):
        troubles.append(f"its user's home was changed: {', '.join(name for name, _ in changed[:5])}")
    return Result(client, link.upstream, seconds, tuple(troubles), tuple(losses_of(lines)))


def files_in(home: Path) -> set[tuple[str, bytes]]:
    """Every file below a folder with what is in it, and every folder."""
    return {(str(p.relative_to(home)), p.read_bytes() if p.is_file() else b"") for p in home.rglob("*")}


def vars_of(exchange: Exchange) -> dict[str, Any]:
    said = exchange.turn.text if exchange.turn else exchange.complaint
    return {"path": exchange.path, "said": said, "body": exchange.body}


# ------------------------------------------------------------------------------------------------ what went wrong


def troubles_of_client(client: Client, ended: Ended, work: Path) -> Iterator[str]:
    if ended.code is None:
        yield f"did not end within {PATIENCE:.0f} s"
    elif ended.code:
        yield f"ended with {ended.code}: {last_line(ended.output)}"
    for name in client.makes:
        file = work / name
        if not file.exists():
            yield f"made no {name}"
        elif file.read_text("utf-8", "replace") != CONTENT + "\n":
            yield f"{name} holds {file.read_text('utf-8', 'replace')[:80]!r}"


def troubles_of_model(exchanges: list[Exchange], ended: Ended) -> Iterator[str]:
    yield from (f"the model refused: {e.complaint}" for e in exchanges if e.complaint)
    finals = [e.turn.text for e in exchanges if e.turn and DONE in e.turn.text]
    if not finals:
        yield "the model never saw the tool's result"
    elif first_line(finals[-1]) not in squeezed(ended.output):
        yield f"the answer was not printed: {finals[-1]}"
    if len(exchanges) > MANY:
        yield f"{len(exchanges)} requests"


def troubles_of_end(client: Client, exchanges: list[Exchange], ended: Ended, why: str) -> Iterator[str]:
    """Where it cannot go on: it ends, soon, and says why."""
    if ended.code is None:
        yield f"did not end within {PATIENCE:.0f} s"
    elif not ended.code and client.fails:
        yield "ended with 0"
    if why not in squeezed(ended.output) and client.explains:
        yield f"did not say why: {last_line(ended.output)}"
    if len(exchanges) > MANY:
        yield f"{len(exchanges)} requests"


def troubles_of_link(client: Client, lines: list[dict[str, Any]], fault: str) -> Iterator[str]:
    for line in lines:
        expected = fault and (TROUBLE in line["message"] or CUT in line["message"])
        if not expected and (line["level"] != "info" or line.get("status", 200) >= 400):
            yield f"proxy: {line['level']}: {line['message']}"
    spoken = {line["protocol"] for line in lines if "protocol" in line and line.get("target")}
    if client.wire and spoken and spoken != {client.wire}:
        yield f"spoke {', '.join(sorted(spoken))}, not {client.wire}"


def losses_of(lines: list[dict[str, Any]]) -> Iterator[str]:
    for line in lines:
        _, found, losses = line["message"].partition("not said as it was asked: ")
        if found:
            yield losses


def squeezed(text: str) -> str:
    return " ".join(text.split())


def first_line(text: str) -> str:
    return squeezed(text.partition("\n")[0])


def last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1][:200]
