"""`llm-link`: the table of its commands. Each lives in a module of `commands/`, imported when it is called.

`serve` is the default command: options without a command are its own. It is about to become another program and should
get there soon, so nothing is imported here that it does not need.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple

# In a checkout, an editable install and a wheel alike, our packages are `addons`, `scripts` and `translators`.
HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() not in (HERE, HERE.parent))]

import typer  # noqa: E402

from scripts.command import App, Group, UsageError, format_examples, format_options, heading  # noqa: E402
from scripts.terminal import FAILED, USAGE, Trouble  # noqa: E402


class Row(NamedTuple):
    """One command: the module of `commands/` whose `app` it is (""), and its line in the help."""

    panel: str
    module: str
    summary: str


RUN, LOOK, SET_UP = "Run", "Look", "Set up"

COMMANDS = {
    "serve": Row(RUN, "serve", "Serve clients until stopped; the default command."),
    "launch": Row(RUN, "launch", "Run a client on any provider: proxy and client together, from start to end."),
    "demo": Row(RUN, "demo", "A conversation with a scripted model through the proxy: no key, no network."),
    "check": Row(LOOK, "check", "Read a config file and say what it would serve, or what is wrong with it."),
    "try": Row(LOOK, "try_rule", "Show what a rule changes in saved exchanges, with nothing sent."),
    "export": Row(LOOK, "export", "Write a saved exchange as a curl script, a program, a test case or a bug report."),
    "doctor": Row(
        LOOK, "doctor", "Say what works here and what does not: the machine, the config, keys, upstreams, clients."
    ),
    "models": Row(LOOK, "models", "The models that LLM Link knows, with what they can do."),
    "usage": Row(LOOK, "usage", "What was used: requests, tokens, cost, times."),
    "init": Row(SET_UP, "init", "Ask a few questions and write a config file."),
    "apps": Row(SET_UP, "apps", "The clients known by name, and how each is pointed here."),
    "providers": Row(SET_UP, "providers", "The providers known by name, and their keys."),
    "keys": Row(SET_UP, "keys", "The keys that clients must present: issue, list, revoke."),
    "version": Row(LOOK, "version", "The version of LLM Link."),
}


class Root(Group):
    """The commands of the table. A module is imported where its command is called, never to list it."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        row = COMMANDS.get(cmd_name)
        if row is None:
            return None
        command = typer.main.get_command(import_module(f"scripts.commands.{row.module}").app)
        command.name = cmd_name
        return command

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = {option for parameter in self.get_params(ctx) for option in parameter.opts}
        return super().parse_args(ctx, with_command(args, own) if args or not ctx.resilient_parsing else args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The commands, and the options of the default one."""
        from scripts.completing import item

        if incomplete.startswith("-"):
            serve = self.get_command(ctx, "serve")
            return [*super().shell_complete(ctx, incomplete), *serve.shell_complete(ctx, incomplete)]
        return [item(name, row.summary) for name, row in COMMANDS.items() if name.startswith(incomplete)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        width = max(map(len, COMMANDS))
        for panel in dict.fromkeys(row.panel for row in COMMANDS.values()):
            with formatter.section(heading(panel)):
                names = [(name, row) for name, row in COMMANDS.items() if row.panel == panel]
                formatter.write_dl([(name.ljust(width), row.summary) for name, row in names])
        format_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        format_examples(self.epilog, formatter)


app = App(
    "Any LLM client, any provider, live before your eyes. `llm-link COMMAND --help` says more of each command.",
    cls=Root,
    add_completion=True,
    examples=(
        "llm-link --provider deepseek --web      # DEEPSEEK_API_KEY is set: serve on port 8080, watch on 8081",
        "llm-link serve --config llm-link.yaml",
        "llm-link providers list",
    ),
)


def show_version(asked: bool) -> None:
    if asked:
        from scripts.commands.version import version

        version()
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    return None


def with_command(
    args: list[str], own: set[str] | frozenset[str] = frozenset({"-h", "--help", "--version"})
) -> list[str]:
    """Options without a command are those of `serve`, but for `own`, those of `llm-link` itself."""
    if args[:1] == ["help"]:
        return [*args[1:], "--help"]
    if args and (not args[0].startswith("-") or args[0].partition("=")[0] in own):
        return args
    return ["serve", *args]


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(args: list[str]) -> int:
    """One command, to its exit code. What is the user's to know is a line on stderr and never a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal of few letters
    try:
        code = typer.main.get_command(app).main(args, prog_name="llm-link", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except Trouble as trouble:
        return say(trouble, trouble.code)
    except typer.Abort:
        return say("stopped", FAILED)
    except UsageError as error:
        return say(usage(error), USAGE)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if error.errno == errno.EPIPE:  # who read our output has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        return say(f"{error.filename}: {error.strerror}" if error.filename else error, FAILED)
    except Exception as error:
        settings = sys.modules.get("addons.settings")
        if settings is not None and isinstance(error, settings.SettingsError):
            return say(error, USAGE)
        raise


def say(message: object, code: int) -> int:
    print(f"llm-link: {message}", file=sys.stderr)
    return code


def usage(error: Any) -> str:
    """What was wrong with the words, and whose help to ask."""
    text = " ".join(error.format_message().split()).rstrip(".")
    if near := getattr(error, "possibilities", None):
        text = f"{error.message} (did you mean {' or '.join(near)}?)"
    where = error.ctx.command_path if error.ctx else "llm-link"
    return f"{text[:1].lower()}{text[1:]} ({where} --help says more)"


if __name__ == "__main__":
    main()
