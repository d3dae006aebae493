"""`llm-link try`: rules over saved exchanges, of a real proxy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ROOT, Upstream, proxy
from tests.rulebook import PATHS, ask, echo, speaking
from tests.test_cli import llm_link
from translators.model import Message, Request, Text

RULES = ROOT / "configs" / "rules"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exchanges of each protocol with an Anthropic upstream, and one that streams."""
    folder = tmp_path_factory.mktemp("saved")
    server = Upstream(speaking("anthropic", echo))
    settings = {
        "auth": {"mode": "none"},
        "upstreams": {"u": {"protocol": "anthropic", "base_url": server.url, "api_key": {"value": "key-of-the-test"}}},
        "models": {"m": "u/up"},
    }
    with proxy(folder, settings, arguments=("-w", str(folder / "flows"))) as link:
        for client in PATHS:
            ask(link, client, Request("m", [Message("user", (Text("first\nsecond"),))], max_output=50))
        ask(link, "anthropic", Request("m", [Message("user", (Text("third"),))], max_output=50, stream=True))
    server.stop()
    return folder / "flows"


def tried(rule: Path, flows: Path, *more: str) -> tuple[int, Any, str]:
    done = llm_link("try", rule, flows, "--json", *more, cwd=flows.parent)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def test_what_a_rule_changes_is_shown(saved: Path, tmp_path: Path) -> None:
    rule = tmp_path / "rule.py"
    rule.write_text(
        "from msgspec.structs import replace\n"
        "from translators.events import PartDelta\n"
        "async def llm_request(exchange): exchange.request.temperature = 0.25\n"
        "def llm_event(exchange, event):\n"
        "    if isinstance(event, PartDelta): return replace(event, text=event.text.upper())\n",
        "utf-8",
    )
    code, found, _ = tried(rule, saved)
    assert code == 0 and len(found["flows"]) == 6
    for trial in found["flows"]:
        assert "+temperature: 0.25" in trial["asked"] and trial["reports"] == []
        sent, answer = "\n".join(trial["sent"]), "\n".join(trial["answer"])
        assert '+  "temperature": 0.25' in sent and "-  you said" in answer and "+  YOU SAID" in answer
    text = llm_link("try", rule, saved, cwd=tmp_path)
    assert text.returncode == 0 and text.stdout.count("what goes upstream:") == 6
    assert "key-of-the-test" not in text.stdout


def test_an_example_that_has_nothing_to_do(saved: Path) -> None:
    code, found, _ = tried(RULES / "strip_block.py", saved)
    assert code == 0
    assert all(trial["asked"] == trial["sent"] == trial["answer"] == [] for trial in found["flows"])
    done = llm_link("try", RULES / "hide_thinking.py", saved, cwd=saved.parent)
    assert done.returncode == 0 and done.stdout.count("nothing changes") == 6


def test_targets_of_a_config(saved: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    upstream = "{protocol: openai-chat, base_url: 'http://127.0.0.1:9/v1'}"
    config.write_text(f"upstreams: {{u: {upstream}}}\nmodels: {{m: u/a, small: u/b}}\n", "utf-8")
    code, found, _ = tried(RULES / "route_by_size.py", saved, "--config", str(config))
    assert code == 0
    for trial in found["flows"]:
        assert "-to u/a (openai-chat)" in trial["sent"] and "+to u/b (openai-chat)" in trial["sent"]


def test_rules_that_fail_and_files_that_are_none(saved: Path, tmp_path: Path) -> None:
    rule = tmp_path / "rule.py"
    rule.write_text("def llm_request(exchange):\n    raise ValueError('oh')\n", "utf-8")
    code, found, _ = tried(rule, saved)
    (report,) = found["flows"][0]["reports"]
    assert code == 1 and report["at"] == f"{rule}:2" and report["why"] == "ValueError: oh"
    rule.write_text("def llm_request(exchange)\n", "utf-8")
    done = llm_link("try", rule, saved, cwd=tmp_path)
    assert done.returncode == 1 and "line 1: SyntaxError" in done.stderr
    rule.write_text("def request(flow): pass\n", "utf-8")
    assert llm_link("try", rule, saved, cwd=tmp_path).returncode == 1
    broken = tmp_path / "flows"
    broken.write_bytes(b"nothing of the kind")
    assert llm_link("try", RULES / "strip_block.py", broken, cwd=tmp_path).returncode == 1
    absent = llm_link("try", RULES / "strip_block.py", tmp_path / "none", cwd=tmp_path)
    assert absent.returncode == 2 and "there is no such file" in absent.stderr
