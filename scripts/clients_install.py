"""Installs the clients, at the versions of the table, into a folder of their own; what is there already stays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.clients_table import BELOW, NPM, PYTHON, Client


class NotInstalled(Exception):
    """A client could not be installed; the text says what is missing."""


def default_folder() -> Path:
    """`LLM_LINK_CLIENTS`, else a folder in the user's cache."""
    named = os.environ.get("LLM_LINK_CLIENTS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else cache / "llm-link" / "clients"


def path_of(folder: Path, client: Client) -> str:
    """The PATH that finds its program first."""
    own = folder / client.package / "bin" if client.package in PYTHON else folder / "node_modules" / ".bin"
    return f"{own}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def program(folder: Path, client: Client) -> str | None:
    """Where its program is; None where it is not installed there at the table's version."""
    if not installed(folder, client.package):
        return None
    return shutil.which(client.words[0], path=path_of(folder, client).split(os.pathsep)[0])


def installed(folder: Path, package: str) -> bool:
    if package in PYTHON:
        stamp = folder / package / "installed"
        return stamp.is_file() and stamp.read_text() == " ".join(requirements(package))
    manifest = folder / "node_modules" / package / "package.json"
    return manifest.is_file() and json.loads(manifest.read_text("utf-8"))["version"] == NPM[package]


def requirements(venv: str) -> list[str]:
    return [f"{name}=={version}" for name, version in PYTHON[venv].items()]


def install(folder: Path, clients: list[Client]) -> None:
    """What `clients` need and the folder lacks. Raises `NotInstalled`."""
    wanted = sorted({client.package for client in clients})
    folder.mkdir(parents=True, exist_ok=True)
    if missing := [name for name in [*wanted, "node"] if name in NPM and not installed(folder, name)]:
        install_npm(folder, missing)
    for name in wanted:
        if name in PYTHON and not installed(folder, name):
            install_python(folder, name)


def install_npm(folder: Path, names: list[str]) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalled("npm is missing: install Node.js, of any version")
    (folder / "package.json").touch()
    if not (folder / "package.json").read_text():
        (folder / "package.json").write_text('{"private": true}\n')
    run([npm, "install", "--no-audit", "--no-fund", "--save-exact", *(f"{name}@{NPM[name]}" for name in names)], folder)


def pythons() -> Iterator[str]:
    """This Python, then others that may be here, newest first."""
    yield sys.executable
    folders = [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    folders += sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*/bin"), reverse=True)
    for minor in range(14, 9, -1):
        yield from (str(folder / f"python3.{minor}") for folder in folders if (folder / f"python3.{minor}").exists())


def python_for(venv: str) -> str:
    """A Python that can make this venv. A name may be a shim that leads nowhere: running it tells."""
    limit = BELOW.get(venv, (99,))
    test = f"import sys, ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info < {limit})"
    for python in pythons():
        if subprocess.run([python, "-c", test], capture_output=True).returncode == 0:
            return python
    raise NotInstalled(f"{venv} wants a Python below {'.'.join(map(str, limit))}, and none was found")


def install_python(folder: Path, venv: str) -> None:
    run([python_for(venv), "-m", "venv", "--clear", str(folder / venv)], folder)
    pip = [str(folder / venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "-q"]
    run([*pip, *requirements(venv)], folder)
    (folder / venv / "installed").write_text(" ".join(requirements(venv)))


def run(words: list[str], folder: Path) -> None:
    print(f"installing: {' '.join(words)}", file=sys.stderr, flush=True)
    done = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise NotInstalled(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"[-4000:])
