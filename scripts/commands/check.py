"""`llm-link check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scripts.command import App
from scripts.terminal import fail, print_json, print_table, warn

app = App()


@app.command(examples=("llm-link check llm-link.yaml", "llm-link check llm-link.yaml --json"))
def check(
    config: Annotated[
        Path | None, typer.Argument(help="The config file (YAML); LLM_LINK_CONFIG where none is named.")
    ] = None,
    env_file: Annotated[Path | None, typer.Option(help="A file of NAME=VALUE lines that `serve` would get.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one object.")] = False,
) -> None:
    """Read a config file and say what it would serve, or what is wrong with it."""
    import os

    from addons.rule_files import faults
    from addons.settings import SettingsError, environment, load
    from scripts import summary
    from scripts.serve import Options, child_environ, config_path

    options = Options(config, env_file=env_file)
    environ, notes = environment(Path.cwd(), child_environ(options, os.environ))
    path = config_path(options, environ)
    if path is None:
        fail("name a config file: llm-link check FILE (`llm-link init` writes one)")
    try:
        settings = load(path, environ)
        if wrong := [*faults(settings.rules)]:
            raise SettingsError(wrong)
    except SettingsError as error:
        if not as_json:
            raise
        problems = [{"file": p.file, "line": p.line, "key": p.key, "reason": p.reason} for p in error.problems]
        print_json({"good": False, "problems": problems})
        raise typer.Exit(2) from None
    found = summary.describe(settings, summary.read_values(path), environ)
    if as_json:
        print_json({"good": True, **found, "warnings": [*notes, *found["warnings"]]})
        return
    for line in (*notes, *settings.warnings):
        warn(line)
    print(f"{path}: good")
    show(found)


def show(found: dict[str, Any]) -> None:
    from scripts.summary import route_text

    listen, auth = found["listen"], found["auth"]
    host = f"[{listen['host']}]" if ":" in listen["host"] else listen["host"]
    count = len(auth["keys"])
    keys = f" ({count} key{'s'[: count > 1]})" if count else ""
    print(f"listens on {host}:{listen['port']}, auth {auth['mode']}{keys}, policy {found['policy']}\n")
    rows = [(up["name"], up["protocol"], up["base_url"], ", ".join(up["keys"]) or "none") for up in found["upstreams"]]
    print_table(("upstream", "protocol", "base URL", "key from"), rows)
    print()
    rows = [(route["name"], route_text(route)) for route in found["models"]]
    if found["addressing"]:
        rows.append(("UPSTREAM/MODEL", "any upstream above, by its name"))
    print_table(("model", "goes to"), rows)
