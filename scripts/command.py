"""How the commands of `llm-link` are shaped: an `App` for each module of `commands/`, with one look of help.

Help is plain text in groups, with headings in bold on a terminal. typer's own panels are not used: they cost a tenth of
a second, and frames are in the way of whoever pipes help into a pager or a search.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from .terminal import colours, suggestion

# typer brings its own copy of click, or uses the one that is installed; which one depends on its version.
UsageError: Any = typer.BadParameter.__mro__[1]

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
OPTIONS = "Options"


class Command(TyperCommand):
    """`epilog` holds examples, one a line."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        format_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        format_examples(self.epilog, formatter)


class Group(TyperGroup):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            raise UsageError(f"name one of {', '.join(self.list_commands(ctx))}", ctx)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name, command in self.commands.items() if not command.hidden]

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            raise UsageError(f"there is no command {args[0]!r}{suggestion(args[0], self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section(heading("Commands")):
            formatter.write_dl([(name, (command.help or "").split("\n\n")[0]) for name, command in commands])
        format_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        format_examples(self.epilog, formatter)


class App(typer.Typer):
    """The commands of one module. With `group=True` it is a group even where it has only one command."""

    def __init__(self, help: str = "", *, group: bool = False, examples: Sequence[str] = (), **more: Any) -> None:
        more = {"cls": Group, "add_completion": False, "context_settings": settings(), **more}
        plain: dict[str, Any] = {"pretty_exceptions_enable": False, "rich_markup_mode": None}
        super().__init__(help=help or None, epilog="\n".join(examples) or None, **plain, **more)
        if group:
            self.callback()(nothing)

    def command(self, name: str | None = None, *, examples: Sequence[str] = (), **more: Any) -> Callable[..., Any]:  # type: ignore[override]
        """As typer's own. `examples`: command lines that work, with a `# remark` each where it helps."""
        more = {"cls": Command, "context_settings": settings(), "epilog": "\n".join(examples) or None, **more}
        return super().command(name, **more)


def nothing() -> None:
    return None


def settings() -> dict[str, Any]:
    return {**SETTINGS, **({"color": False} if os.environ.get("NO_COLOR") else {})}


def heading(text: str) -> str:
    return typer.style(text, bold=True) if colours() else text


def format_options(command: Any, ctx: Any, formatter: Any) -> None:
    """Arguments, then options by the `rich_help_panel` that they name; those without one come last."""
    panels: dict[str, list[tuple[str, str]]] = {}
    arguments: list[tuple[str, str]] = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        if parameter.param_type_name == "argument":
            arguments.append(record)
        else:
            panels.setdefault(getattr(parameter, "rich_help_panel", None) or OPTIONS, []).append(record)
    rest = panels.pop(OPTIONS, [])
    for title, rows in (("Arguments", arguments), *panels.items(), (OPTIONS, rest)):
        if rows:
            with formatter.section(heading(title)):
                formatter.write_dl(rows)


def format_examples(examples: str | None, formatter: Any) -> None:
    if not examples:
        return
    with formatter.section(heading("Examples")):
        for line in examples.split("\n"):
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def one_of(names: Sequence[str]) -> Callable[[str | None], str | None]:
    """A callback that refuses what is none of `names`."""

    def check(value: str | None) -> str | None:
        if value is not None and value not in names:
            raise typer.BadParameter(f"{value!r} is unknown{suggestion(value, names)}")
        return value

    return check
