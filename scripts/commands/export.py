"""`llm-link export`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from scripts.command import App
from scripts.terminal import fail

app = App()


class Format(StrEnum):
    curl = "curl"
    python = "python"
    transcript = "transcript"
    report = "report"
    redacted = "redacted"


@app.command(
    "export",
    examples=(
        "llm-link export flows                               # what there is in the file",
        "llm-link export flows curl --number 3 > again.sh",
        "llm-link export flows redacted --output report.md   # a bug report without any text",
    ),
)
def export(
    flows: Annotated[Path, typer.Argument(metavar="FLOWFILE", help="Exchanges that mitmproxy saved.")],
    form: Annotated[
        Format | None,
        typer.Argument(metavar="FORMAT", help="curl, python, transcript, report or redacted; else they are listed."),
    ] = None,
    number: Annotated[int, typer.Option("--number", "-n", help="Which exchange; -1 is the last.")] = -1,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file, or a folder for a transcript; else it is printed.")
    ] = None,
) -> None:
    """Write a saved exchange as a curl script, a program, a test case or a bug report.

    No credential is in any of them."""
    import json
    import subprocess
    import sys

    if not flows.is_file():
        fail(f"{flows}: there is no such file")
    order = {"flows": str(flows), "form": form or "", "number": number, "output": str(output or "")}
    program = Path(__file__).resolve().parents[2] / "addons" / "writing.py"
    done = subprocess.run([sys.executable, str(program)], input=json.dumps(order), text=True, check=False)
    raise typer.Exit(done.returncode)
