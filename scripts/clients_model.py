"""The mind of the scripted model that real clients are tried on: what it says is a pure function of what it was asked.

It is asked to write a file, looks among the tools that the client declared for one that can do that, thinks, says a
sentence and calls it. Once the result is there it repeats some of it, so that the client must have run the tool and
gone on. It knows nothing of wires: those read a request into `Asked` and say a `Turn` in their protocol's words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

CONTENT = "made through LLM Link: żółć, 漢字, 🎉"  # a line, with what goes wrong where bytes are cut or escaped
TASK = "Please write the file {path} so that it holds the one line «{content}» and nothing else, then tell me about it."
_TASK = re.compile(r"write the file (?P<path>\S+) so that it holds the one line «(?P<content>[^»]*)»")

THOUGHTS = "The user wants a file. I have a tool for that."
PREFACE = "I write the file now."
DONE = "The file is written. What I was told:"


@dataclass(frozen=True)
class Tool:
    """A tool that the client declared. `custom`: it takes plain text, not JSON."""

    name: str
    schema: dict[str, Any] = field(default_factory=dict)
    custom: bool = False
    namespace: str = ""
    description: str = ""


@dataclass(frozen=True)
class Call:
    id: str
    tool: Tool
    arguments: str  # JSON text, or the tool's own where it is custom


@dataclass(frozen=True)
class Turn:
    """What the model says: its thoughts, then text, then calls."""

    thoughts: str = ""
    text: str = ""
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Said:
    """One message: its text, the ids of the calls in it, the results in it by the id of their call."""

    role: str  # system | user | assistant
    text: str = ""
    calls: tuple[str, ...] = ()
    results: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Asked:
    """One request, in no protocol's words. `schema`: the answer must be JSON that fits it."""

    model: str
    stream: bool
    said: tuple[Said, ...]
    tools: tuple[Tool, ...] = ()
    schema: dict[str, Any] | None = None
    thinks: bool = True
    parallel: bool = True  # several calls at once are welcome

    def new(self) -> tuple[Said, ...]:
        """What came after the model last spoke."""
        spoke = max((n for n, said in enumerate(self.said) if said.role == "assistant"), default=-1)
        return self.said[spoke + 1 :]

    def results(self) -> list[str]:
        """Of all calls so far."""
        return [text for said in self.said for _, text in said.results]


# ------------------------------------------------------------------------------------------------ the tools it knows


def _patch(path: str, content: str) -> str:
    return f"*** Begin Patch\n*** Add File: {path.rpartition('/')[2]}\n+{content}\n*** End Patch"


def _command(path: str, content: str) -> str:
    return f"printf '%s\\n' '{content}' > {path} && cat {path}"


def _script(path: str, content: str) -> str:
    """For Codex's code mode: JavaScript that calls the tools."""
    return f"const r = await tools.exec_command({{cmd: {json.dumps(_command(path, content))}}});\ntext(r.output);"


def _file(path_name: str) -> Callable[[str, str], dict[str, str]]:
    return lambda path, content: {path_name: path, "content": content + "\n"}


# a tool's name, perhaps behind a namespace -> its arguments, or its text where it is freeform; the first that fits
WRITERS: tuple[tuple[str, Callable[[str, str], Any]], ...] = (
    ("apply_patch", _patch),
    ("Write|write_file", _file("file_path")),
    ("write", _file("filePath")),
    ("exec", _script),
    ("exec_command", lambda path, content: {"cmd": _command(path, content)}),
    ("Bash|bash|run_shell_command", lambda path, content: {"command": _command(path, content)}),
)


def writer(asked: Asked) -> tuple[Tool, Callable[[str, str], Any]] | None:
    """The tool that writes, and what makes its arguments from a path and a content."""
    for names, make in WRITERS:
        pattern = re.compile(rf"(?:.*[^A-Za-z])??(?:{names})")
        for tool in asked.tools:
            if pattern.fullmatch(tool.name):
                return tool, make
    return None


def plan(asked: Asked, path: str, content: str) -> list[Call]:
    """All the calls of the conversation: the file, another one, and one that the tool must refuse."""
    if (found := writer(asked)) is None:
        return []
    tool, make = found
    texts = [_arguments(tool, make(path, content)), _arguments(tool, make(f"{path}.more", content))]
    texts.append("not what it takes" if tool.custom else "{}")
    return [Call(f"call_{n}", tool, text) for n, text in enumerate(texts)]


def _arguments(tool: Tool, value: Any) -> str:
    """A freeform tool that was declared as a function has one parameter, for its text."""
    if tool.custom:
        return str(value)
    if isinstance(value, str):
        value = {next(iter(tool.schema["properties"])): value}
    if "description" in tool.schema.get("required", ()):
        value["description"] = "Write the file"
    return json.dumps(value, ensure_ascii=False)


# ------------------------------------------------------------------------------------------------ what it says


def decide(asked: Asked) -> Turn:
    """The model's whole mind."""
    if asked.schema is not None and not asked.tools:
        return Turn(text=json.dumps(example(asked.schema)))
    task = next((found for said in asked.said if said.role == "user" and (found := _TASK.search(said.text))), None)
    if task is None:
        return Turn(text="There is nothing for me to do.")
    path, content = task["path"], task["content"]
    if any("SEARCH/REPLACE" in said.text for said in asked.said):
        return edit(asked, path, content)
    if calls := plan(asked, path, content):
        return work(asked, calls)
    return Turn(text="Writing a file")  # a title: such calls come without tools


def work(asked: Asked, calls: list[Call]) -> Turn:
    """First one call, then, where that is welcome, the others at once, then the answer."""
    results = asked.results()
    if len(results) >= len(calls):
        return Turn("The tool has answered.", f"{DONE} {excerpt(results[0])}; {excerpt(results[-1])}.")
    if not results:
        return Turn(THOUGHTS, PREFACE, tuple(calls[:1]))
    end = len(calls) if asked.parallel else len(results) + 1
    return Turn("That went well.", "And the rest.", tuple(calls[len(results) : end]))


def edit(asked: Asked, path: str, content: str) -> Turn:
    """For a client without tools, aider: an edit block in the text. The first one does not fit, and aider says so."""
    told = "\n".join(said.text for said in asked.new())
    if "failed to match" in told:
        return Turn(
            THOUGHTS, f"{DONE} {excerpt('SEARCH/REPLACE block failed to match')}.\n\n" + block(path, "", content)
        )
    return Turn(THOUGHTS, f"{PREFACE}\n\n{block(path, 'a line that is not there', content)}")


def block(path: str, search: str, replace: str) -> str:
    name, old = path.rpartition("/")[2], f"{search}\n" if search else ""
    return f"{name}\n```\n<<<<<<< SEARCH\n{old}=======\n{replace}\n>>>>>>> REPLACE\n```\n"


def excerpt(result: str) -> str:
    """A few words of a tool's result, that no client's layout can break."""
    return " ".join(re.findall(r"\w+", result)[:6])


def example(schema: dict[str, Any]) -> Any:
    """A value that fits a simple JSON Schema."""
    if schema.get("enum"):
        return schema["enum"][0]
    kind = str(schema.get("type", "object")).lower()
    if kind == "object":
        return {name: example(part) for name, part in schema.get("properties", {}).items()}
    simple: dict[str, Any] = {"array": [], "string": "Writing a file", "boolean": True, "integer": 1, "number": 1}
    return simple.get(kind)


def pieces(text: str, size: int = 7) -> list[str]:
    """What a stream says at once: a few characters, that stop in the middle of words and escapes."""
    return [text[start : start + size] for start in range(0, len(text), size)]
