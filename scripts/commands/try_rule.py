"""`llm-link try`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts.command import App
from scripts.terminal import fail

app = App()


@app.command(
    "try",
    examples=(
        "mitmdump -s addons/llm_link.py --mode reverse:https://api.anthropic.com -w flows      # save some",
        "llm-link try configs/rules/strip_block.py flows",
        "llm-link try my_rule.py flows --config llm-link.yaml --json",
    ),
)
def try_rule(
    rule: Annotated[Path, typer.Argument(help="The rule: a Python file.")],
    flows: Annotated[Path, typer.Argument(metavar="FLOWFILE", help="Exchanges that mitmproxy saved.")],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Route by this config; else each goes where it went.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one object.")] = False,
) -> None:
    """Show what a rule changes in saved exchanges, with nothing sent.

    In what is asked, in what goes upstream, and in the answer. Ends with 1 where the rule cannot be loaded or fails."""
    import json
    import os
    import subprocess
    import sys

    from addons.settings import environment, load

    for path in (rule, flows):
        if not path.is_file():
            fail(f"{path}: there is no such file")
    environ, _ = environment(Path.cwd(), os.environ)
    if config is not None:
        load(config, environ)  # says what is wrong with it
    order = {
        "rule": str(rule.absolute()),
        "flows": str(flows),
        "config": str(config or ""),
        "as_json": as_json,
        "environ": dict(environ),
    }
    program = Path(__file__).resolve().parents[2] / "addons" / "trying.py"
    done = subprocess.run([sys.executable, str(program)], input=json.dumps(order), text=True, check=False)
    raise typer.Exit(done.returncode)
