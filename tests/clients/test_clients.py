"""One pair for each client that is installed: it writes a file with its own tools through a real mitmdump.

`scripts/clients` installs them and runs every client against every upstream protocol.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.clients import UPSTREAMS
from scripts.clients_install import default_folder, program
from scripts.clients_run import linked, run
from scripts.clients_table import CLIENTS, Client

FIRST = {client.package: client for client in reversed(CLIENTS)}.values()  # the first row of each program


def foreign(client: Client) -> str:
    """An upstream protocol that the client does not speak, another one for each client."""
    others = [name for name in UPSTREAMS if name != client.wire]
    return others[CLIENTS.index(client) % len(others)]


@pytest.mark.parametrize("client", FIRST, ids=lambda client: client.name)
def test_a_client_writes_a_file(client: Client, tmp_path: Path) -> None:
    folder = default_folder()
    if program(folder, client) is None:
        pytest.skip(
            f"no {client.title} in {folder}: scripts/clients installs it, LLM_LINK_CLIENTS names another folder"
        )
    with linked(foreign(client), tmp_path / "link") as link:
        result = run(client, link, folder)
    assert not result.troubles
