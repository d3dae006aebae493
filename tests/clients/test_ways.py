"""Each installed client as `apps configure` and as `launch` point it here, with nothing else that does.

`scripts/clients --ways` runs the same against every upstream protocol.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.clients_install import default_folder, program
from scripts.clients_run import Link, linked, run
from scripts.clients_table import Client
from scripts.clients_ways import ROWS, row

FOLDER = default_folder()


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    with linked("anthropic", tmp_path_factory.mktemp("ways") / "link") as link:
        yield link


@pytest.mark.parametrize("client", ROWS, ids=lambda client: client.name)
def test_a_client_works_as_it_was_pointed_here(client: Client, request: pytest.FixtureRequest) -> None:
    plain = next(one for one in map(row, APPS) if one.package == client.package)
    if program(FOLDER, plain) is None:
        pytest.skip(f"no {plain.title} in {FOLDER}: scripts/clients installs it, LLM_LINK_CLIENTS names another folder")
    assert not run(client, request.getfixturevalue("link"), FOLDER).troubles


APPS = ("codex-cli", "claude-code", "gemini-cli", "opencode", "qwen-code", "aider")
