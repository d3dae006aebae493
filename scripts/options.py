"""Options that several commands of `llm-link` have, with one meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

POLICIES = ("strict", "balanced", "max_compat")
FROM, KEYS = "Where requests go", "Keys"

Config = Annotated[Path | None, typer.Option("--config", "-c", help="The config file (YAML).", rich_help_panel=FROM)]
BaseUrl = Annotated[
    str | None, typer.Option(help="The provider's base URL, with its version segment.", rich_help_panel=FROM)
]
Protocol = Annotated[
    str | None, typer.Option(help="What --base-url speaks; openai-chat by default.", rich_help_panel=FROM)
]
ProviderKey = Annotated[str | None, typer.Option(help="The provider's key.", rich_help_panel=KEYS)]
EnvFile = Annotated[
    Path | None, typer.Option(help="A file of NAME=VALUE lines; all of it counts.", rich_help_panel=KEYS)
]
