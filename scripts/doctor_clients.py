"""What `doctor` says of the clients on this machine: which there are, and where each sends its requests.

Their settings are looked through for addresses, whatever their form: a URL in a JSON, TOML, YAML or `.env` file reads
the same. Versions come from what the installer left beside a program; only where that is nothing is it asked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from addons.catalog import is_loopback
from scripts.doctor import Finding, side_by_side

MAX_FILE = 1 << 20
PATIENCE = 6.0  # seconds for a program that says its version

_URL = re.compile(r"https?://[^\s\"'<>,\])}]+")
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?[\w.-]*")
_COMMENT = re.compile(r"\s*(#|//)")


@dataclass(frozen=True)
class Client:
    """`program`: on PATH; `variables`: those that name its server; `files`: its settings, where a leading `$NAME|` is
    the variable that may name their folder; `launch`: its name for `llm-link launch`; `package`: as pip calls it."""

    program: str
    variables: tuple[str, ...]
    files: tuple[str, ...]
    launch: str = ""
    package: str = ""


CLIENTS = {
    "Codex CLI": Client("codex", ("OPENAI_BASE_URL",), ("$CODEX_HOME|~/.codex/config.toml",), "codex"),
    "Claude Code": Client(
        "claude",
        ("ANTHROPIC_BASE_URL",),
        ("$CLAUDE_CONFIG_DIR|~/.claude/settings.json", "$CLAUDE_CONFIG_DIR|~/.claude/settings.local.json"),
        "claude",
    ),
    "Gemini CLI": Client(
        "gemini", ("GOOGLE_GEMINI_BASE_URL",), ("~/.gemini/.env", "~/.gemini/settings.json"), "gemini"
    ),
    "opencode": Client(
        "opencode",
        (),
        ("$XDG_CONFIG_HOME|~/.config/opencode/opencode.json", "$XDG_CONFIG_HOME|~/.config/opencode/opencode.jsonc"),
        "opencode",
    ),
    "Qwen Code": Client("qwen", ("OPENAI_BASE_URL",), ("~/.qwen/settings.json", "~/.qwen/.env"), "qwen"),
    "aider": Client(
        "aider",
        ("OPENAI_API_BASE", "AIDER_OPENAI_API_BASE", "OLLAMA_API_BASE"),
        ("~/.aider.conf.yml", "~/.env"),
        "aider",
        "aider_chat",
    ),
    "Zed": Client("zed", (), ("$XDG_CONFIG_HOME|~/.config/zed/settings.json",), "zed"),
    "Continue": Client("", (), ("~/.continue/config.yaml", "~/.continue/config.json")),
}


@dataclass(frozen=True)
class Pointer:
    """An address in a client's settings, and where it stands."""

    url: str
    where: str


def clients(host: str, port: int) -> list[Finding]:
    """Those that are here; `host` and `port` are where we listen."""
    here = [(name, client) for name, client in CLIENTS.items() if _is_here(client)]
    if not here:
        return [Finding("client", "clients", "ok", "none of those that are known is on PATH")]
    return side_by_side(
        lambda one: describe(*one, host, port),
        here,
        PATIENCE + 2,
        lambda one: Finding("client", one[0], "warn", "it does not say its version", "does it start at all?"),
    )


def _is_here(client: Client) -> bool:
    return bool(shutil.which(client.program)) if client.program else any(True for _ in _files(client))


def describe(name: str, client: Client, host: str, port: int) -> Finding:
    version = version_of(client)
    found = list(pointers(client))
    ours = [pointer for pointer in found if leads_to(pointer.url, host, port)]
    begin = f"{version}, " if version else ""
    if ours:
        return Finding("client", name, "ok", f"{begin}points at us ({ours[0].where})")
    hint = f"`llm-link launch {client.launch}` runs it here" if client.launch else "see `llm-link apps list`"
    local = next((pointer for pointer in found if _is_local(pointer.url) and not _answers(pointer.url)), None)
    if local is not None:
        detail = f"{begin}points at {_origin(local.url)}, where nobody listens ({local.where})"
        return Finding("client", name, "warn", detail, f"start that server, or change the address; {hint}")
    where = f"points at {_origin(found[0].url)} ({found[0].where})" if found else "goes to its own provider"
    return Finding("client", name, "ok", begin + where)


# ------------------------------------------------------------------------------------------------ where it points


def pointers(client: Client) -> Iterator[Pointer]:
    """The addresses in its variables, then in its files; comments do not count."""
    for variable in client.variables:
        for url in _URL.findall(os.environ.get(variable, "")):
            yield Pointer(url, variable)
    for path in _files(client):
        for line in _lines(path):
            for url in _URL.findall(line.replace("\\/", "/")):
                if "schema" not in url:
                    yield Pointer(url, str(path))


def _files(client: Client) -> Iterator[Path]:
    for name in client.files:
        folder, bar, rest = name.partition("|")
        path = Path(rest if bar else name).expanduser()
        if bar and (moved := os.environ.get(folder[1:])):
            default = Path("~/.config" if folder == "$XDG_CONFIG_HOME" else rest).expanduser()
            path = Path(moved) / (path.relative_to(default) if folder == "$XDG_CONFIG_HOME" else path.name)
        if path.is_file():
            yield path


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE).decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if not _COMMENT.match(line)]


def _address(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "", 0


def _origin(url: str) -> str:
    """Without what could be a secret: a login, a query."""
    host, port = _address(url)
    return f"{urlsplit(url).scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _is_local(url: str) -> bool:
    host, port = _address(url)
    return bool(port) and is_loopback(host)


def leads_to(url: str, host: str, port: int) -> bool:
    there, at = _address(url)
    if at != port:
        return False
    return there == host or (is_loopback(there) and (is_loopback(host) or host in ("0.0.0.0", "::")))


def _answers(url: str) -> bool:
    try:
        socket.create_connection(_address(url), 1).close()
    except OSError:
        return False
    return True


# ------------------------------------------------------------------------------------------------ versions


def version_of(client: Client) -> str:
    """ "" where it cannot be found out."""
    path = shutil.which(client.program) if client.program else None
    if path is None:
        return ""
    real = Path(path).resolve()
    return _of_npm(real) or _of_pip(real, client.package) or _asked(path)


def _of_npm(program: Path) -> str:
    for folder in list(program.parents)[:6]:
        file = folder / "package.json"
        if file.is_file() and "node_modules" in file.parts:
            try:
                return str(json.loads(file.read_text("utf-8"))["version"])
            except (OSError, ValueError, KeyError, TypeError):
                return ""
    return ""


def _of_pip(program: Path, package: str) -> str:
    if not package:
        return ""
    found = sorted(program.parent.parent.glob(f"lib/python3*/site-packages/{package}-*.dist-info"))
    return found[-1].name.removesuffix(".dist-info").partition("-")[2] if found else ""


def _asked(path: str) -> str:
    """What `--version` says. With a home of its own, so that nothing is written into the user's."""
    with tempfile.TemporaryDirectory() as home:
        try:
            environ = {**os.environ, "HOME": home, "NO_COLOR": "1"}
            done = subprocess.run(
                [path, "--version"], capture_output=True, text=True, errors="replace", timeout=PATIENCE,
                stdin=subprocess.DEVNULL, env=environ,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return ""
    found = _VERSION.search(done.stdout)
    return found[0] if found else ""
