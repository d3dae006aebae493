"""Who may import whom: the table of the house, and a walk over every import that enforces it.

`translators/` is pure: a codec knows the core and nothing of its peers, the bridge is handed its codecs, and nobody
there does I/O. `addons/` picks codecs from `translators.CODECS` only, and few of its modules know mitmproxy, so that
the others can be used and tested without it. `scripts/` starts mitmproxy as a program and never imports it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("addons", "scripts", "translators")

# The modules of addons/ that touch mitmproxy.
WITH_MITMPROXY = {
    "saving",
    *("llm_link", "link", "gateway", "http_stream", "intake", "attempts", "messages", "replies", "log", "opening"),
    *("keeping", "recorder", "outlet", "views", "commands", "hooks", "replay", "rules", "ruling", "intercepting"),
    *("holding", "steering", "exporting", "taking", "starting"),
    *("listeners", "egress", "chat_socket", "waiting", "options"),
    *("trying", "writing"),
    *("control_stream", "cors"),
}
# Those that carry an exchange through the bridge.
WITH_BRIDGE = WITH_MITMPROXY | {"exchange"}
# What stands above the codecs in translators/.
BRIDGES = ("bridge", "answer", "findings", "whole", "streaming", "service")
# What scripts/ may use of addons/.
FOR_SCRIPTS = {"apps", "asking", "catalog", "routing", "redirector", "rule_files", "settings", "store"}
# Parts of the standard library that are I/O, clock, randomness or logging.
IMPURE = (
    *("asyncio", "concurrent", "http", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "selectors"),
    *("shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "uuid"),
    "urllib.request",
)


@dataclass(frozen=True)
class Import:
    file: Path  # relative to the root
    line: int
    name: str  # absolute and dotted, as deep as the statement says


def package_of(file: Path) -> list[str]:
    return list(file.parent.parts)


def absolute(file: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = package_of(file)
    base = package[: len(package) - (node.level - 1)]
    return ".".join([*base, *([node.module] if node.module else [])])


def imports_of(file: Path, root: Path = ROOT) -> Iterator[Import]:
    """Every import of a file, wherever in it. `from a import b` counts as `a.b`: b may be a module."""
    for node in ast.walk(ast.parse((root / file).read_text("utf-8"), str(file))):
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(file, node)
            yield from (Import(file, node.lineno, f"{base}.{alias.name}".lstrip(".")) for alias in node.names)


def files(root: Path = ROOT) -> list[Path]:
    return sorted(f.relative_to(root) for folder in FOLDERS for f in (root / folder).rglob("*.py"))


def protocols(root: Path = ROOT) -> set[str]:
    """The names of the codec packages."""
    return {init.parent.name for init in (root / "translators").glob("*/__init__.py")}


def under(name: str, *modules: str) -> bool:
    return any(name == module or name.startswith(module + ".") for module in modules)


def translators_trouble(found: Import, codecs: set[str]) -> str | None:
    parts = found.file.parts
    own = parts[1] if len(parts) > 2 else ""  # the codec that the file belongs to
    target = found.name.split(".")
    if target[0] == "translators":
        if parts in (("translators", "__init__.py"), ("translators", "offline.py")):
            return None  # the one place that lists the codecs, and the one that puts all together
        if len(target) > 1 and target[1] in codecs - {own}:
            return "only translators/__init__.py names a codec"
        if len(target) > 1 and target[1] in BRIDGES and (own or found.file.stem not in BRIDGES):
            return "the bridge stands above the codecs and the core"
        if len(target) > 1 and target[1] == "CODECS":
            return "a codec is handed in, not looked up"
        return None
    if target[0] != "msgspec" and target[0] not in sys.stdlib_module_names:
        return "translators/ uses the standard library and msgspec only"
    if under(found.name, *IMPURE):
        return "translators/ does no I/O and knows no clock, randomness or log"
    return None


def addons_trouble(found: Import, codecs: set[str]) -> str | None:
    module = found.file.with_suffix("").parts[1]  # or the package in addons/ that the file is in
    if under(found.name, "mitmproxy") and module not in WITH_MITMPROXY:
        return "this module of addons/ works without mitmproxy"
    if under(found.name, *(f"translators.{name}" for name in BRIDGES)) and module not in WITH_BRIDGE:
        return "only the modules that carry an exchange use the bridge"
    if under(found.name, *(f"translators.{codec}" for codec in codecs)):
        return "codecs come from translators.CODECS"
    if under(found.name, "scripts"):
        return "addons/ knows nothing of scripts/"
    return None


def scripts_trouble(found: Import, codecs: set[str]) -> str | None:
    target = found.name.split(".")
    if target[0] == "mitmproxy":
        return "scripts/ starts mitmproxy as a program"
    if target[0] == "addons" and (len(target) < 2 or target[1] not in FOR_SCRIPTS):
        return f"scripts/ uses only {', '.join(sorted(FOR_SCRIPTS))} of addons/"
    if under(found.name, *(f"translators.{name}" for name in (*BRIDGES, *codecs))):
        return "codecs come from translators.CODECS"
    return None


TROUBLE = {"addons": addons_trouble, "scripts": scripts_trouble, "translators": translators_trouble}


def violations(root: Path = ROOT) -> list[str]:
    """What the table forbids, a line for each statement: `file:line: imports name: why`."""
    codecs = protocols(root)
    lines: dict[tuple[Path, int], str] = {}
    for file in files(root):
        for found in imports_of(file, root):
            why = TROUBLE[file.parts[0]](found, codecs)
            if why:
                lines.setdefault((file, found.line), f"{file}:{found.line}: imports {found.name}: {why}")
    return [*lines.values(), *cycles(root)]


def cycles(root: Path = ROOT) -> list[str]:
    """The core of translators/ is a ladder: a module imports those below it only, so no two need each other."""
    core = {f.stem: f for f in (f for f in files(root) if f.parts[0] == "translators" and len(f.parts) == 2)}
    core.pop("__init__", None)
    needs = {
        name: {i.name.split(".")[1] for i in imports_of(file, root) if i.name.startswith("translators.")} & core.keys()
        for name, file in core.items()
    }
    while leaves := [name for name, below in needs.items() if not below & needs.keys()]:
        for name in leaves:
            del needs[name]
    return [f"translators/{name}.py: is in a circle of imports: {', '.join(sorted(needs))}" for name in sorted(needs)]


def main() -> int:
    lines = violations()
    for line in lines:
        print(line)
    print(f"imports: {len(files())} files, {len(lines)} violations")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
