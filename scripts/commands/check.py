"""`llm-link check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts.command import App

app = App()


@app.command(examples=("llm-link check llm-link.yaml",))
def check(config: Annotated[Path, typer.Argument(help="The config file (YAML).")]) -> None:
    """Read a config file and say what is wrong with it."""
    import os

    from addons.settings import environment, load

    settings = load(config, environment(Path.cwd(), os.environ)[0])
    for warning in settings.warnings:
        print(warning)
    print(f"{config}: good")
