"""The docs can fail: blocks of README.md are loaded, its commands and options exist, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from addons import settings
from scripts.cli import app
from scripts.imports import protocols
from tests.harness import ROOT
from translators import CODECS

DOCS = ("README.md", "CONTRIBUTING.md")
README = (ROOT / "README.md").read_text("utf-8")
CLI = typer.main.get_command(app)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def shell_lines() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line]


def inline_commands() -> list[list[str]]:
    return [shlex.split(text) for text in re.findall(r"`(llm-link [^`]+)`", README)]


def check_ours(words: list[str]) -> None:
    """The command exists, and each of its options."""
    command = CLI
    own = {option for parameter in CLI.params for option in parameter.opts} | {"-h", "--help"}
    while hasattr(command, "get_command") and not {*words} <= own:
        name = words[0] if not words[0].startswith("-") else "serve"
        words = words[1:] if name == words[0] else words
        command = command.get_command(None, name)
    known = {option for parameter in command.params for option in parameter.opts} | {"-h", "--help"}
    ours = words[: words.index("--")] if "--" in words else words  # what follows is another program's
    assert {word for word in ours if word.startswith("-")} <= known, words


def test_every_shell_command_is_one_that_works() -> None:
    seen = set()
    for words in [*shell_lines(), *inline_commands()]:
        program = words[0].removeprefix(".venv/bin/")
        seen.add(program)
        match program:
            case "llm-link":
                check_ours(words[1:])
            case "mitmdump" | "mitmweb":
                assert (ROOT / words[words.index("-s") + 1]).is_file()
                options = [word.partition("=")[0] for before, word in pairwise(words) if before == "--set"]
                assert set(options) <= {"llm_link_config", "llm_link_policy", "llm_link_protocol"}
            case "export" | "claude":
                continue
            case _ if program.startswith("scripts/apps/"):
                assert (ROOT / program).stat().st_mode & 0o111, f"{program} cannot be run"
                check_ours(["launch", *words[1:]])
            case _:
                assert (ROOT / program).stat().st_mode & 0o111, f"{program} cannot be run"
    assert {"llm-link", "mitmdump", "scripts/demo", "scripts/test"} <= seen


def commands_of(text: str) -> list[list[str]]:
    """The command lines of ours in the blocks and in the words of a page."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    said = [shlex.split(line, comments=True) for line in [*lines, *re.findall(r"`(llm-link [^`]+)`", text)]]
    return [words for words in said if words and words[0].removeprefix(".venv/bin/") == "llm-link"]


def test_the_commands_of_the_docs_are_ones_that_work() -> None:
    found = [words for path in sorted((ROOT / "docs").glob("*.md")) for words in commands_of(path.read_text("utf-8"))]
    for words in found:
        check_ours(words[1:])
    assert len(found) > 20


def test_the_config_blocks_load(tmp_path: Path) -> None:
    found = blocks("yaml")
    assert found
    for block in found:
        path = tmp_path / "llm-link.yaml"
        path.write_text(block, "utf-8")
        loaded = settings.load(path, {"ZHIPU_API_KEY": "k"})
        assert loaded.upstreams and not loaded.warnings


def test_the_table_says_yes_to_what_is_built_and_next_to_the_rest() -> None:
    section = README.partition("## What works today\n")[2].partition("\n## ")[0]
    head, _, *rows = re.findall(r"^\|(.+)\|$", section, re.M)
    columns = [cell.strip() for cell in head.split("|")][1:]
    for row in rows:
        first, *cells = [cell.strip() for cell in row.split("|")]
        for client in re.findall(r"[\w-]+", first.replace("`", "")):
            for upstream, cell in zip(columns, cells, strict=True):
                built = client in CODECS and upstream in CODECS
                assert cell == ("same bytes" if built and client == upstream else "yes" if built else "next"), row


@pytest.mark.parametrize("name", DOCS)
def test_links_and_files_that_the_docs_name_exist(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    files = re.findall(r"`((?:translators|addons|scripts|configs)/[\w/.]+)`", text)
    assert [path for path in [*links, *files] if not (ROOT / path.rstrip("/")).exists()] == []


def test_the_claims_of_protocols_match_the_codec_packages() -> None:
    assert {name.replace("-", "_") for name in CODECS} == protocols()
