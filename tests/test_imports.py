"""The import table of the house holds, and the walk that enforces it sees what it should."""

from pathlib import Path

import pytest

from scripts.imports import violations


def test_the_house_keeps_its_import_table() -> None:
    assert violations() == []


# file, its text, what must be said about it
FORBIDDEN = [
    ("translators/anthropic/request.py", "from ..openai_chat import stream", "only translators/__init__.py names"),
    ("translators/anthropic/request.py", "def f():\n    import translators.openai_chat.stream", "names a codec"),
    ("translators/anthropic/request.py", "from .. import bridge", "the bridge stands above"),
    ("translators/bridge.py", "from . import anthropic", "only translators/__init__.py names a codec"),
    ("translators/bridge.py", "from . import CODECS", "a codec is handed in"),
    ("translators/model.py", "import yaml", "the standard library and msgspec only"),
    ("translators/model.py", "from time import time", "no I/O"),
    ("translators/model.py", "import logging", "no I/O"),
    ("translators/model.py", "from . import events", "is in a circle of imports: events, model"),
    ("addons/settings.py", "from mitmproxy import ctx", "works without mitmproxy"),
    ("addons/routing.py", "from translators.bridge import Bridge", "only the modules that carry an exchange"),
    ("addons/link.py", "from translators.anthropic import request", "codecs come from translators.CODECS"),
    ("addons/link.py", "from scripts import serve", "knows nothing of scripts/"),
    ("scripts/cli.py", "import mitmproxy.http", "starts mitmproxy as a program"),
    ("scripts/cli.py", "from addons import link", "uses only"),
    ("scripts/cli.py", "from translators import anthropic", "codecs come from translators.CODECS"),
]

ALLOWED = [
    ("translators/__init__.py", "from . import anthropic, openai_chat"),
    ("translators/anthropic/request.py", "import json\nimport msgspec\nfrom ..model import Text\nfrom . import stream"),
    ("translators/bridge.py", "from .model import Request"),
    ("addons/link.py", "import mitmproxy.http\nfrom translators import CODECS\nfrom translators.bridge import Bridge"),
    ("addons/settings.py", "import pydantic\nfrom translators.codec import Traits\nfrom . import catalog"),
    ("scripts/cli.py", "import typer\nfrom addons.settings import load\nfrom translators import CODECS"),
]

HOUSE = {
    "translators/__init__.py": "",
    "translators/model.py": "",
    "translators/events.py": "from .model import x",
    "translators/anthropic/__init__.py": "",
    "translators/openai_chat/__init__.py": "",
}


def build(root: Path, file: str, text: str) -> None:
    for name, content in {**HOUSE, file: text}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


@pytest.mark.parametrize(("file", "text", "why"), FORBIDDEN)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, text: str, why: str) -> None:
    build(tmp_path, file, text)
    found = violations(tmp_path)
    assert found and why in found[0] and found[0].startswith(("translators/", "addons/", "scripts/"))


@pytest.mark.parametrize(("file", "text"), ALLOWED)
def test_an_allowed_import_passes(tmp_path: Path, file: str, text: str) -> None:
    build(tmp_path, file, text)
    assert violations(tmp_path) == []
