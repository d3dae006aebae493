"""A client of the Ollama SDK, with one tool: `python clients_ollama.py MODEL TASK`. It runs in the SDK's own venv."""

import sys
from pathlib import Path
from typing import Any

import ollama


def write_file(file_path: str, content: str) -> str:
    """Write a file.

    Args:
        file_path: where it is
        content: all that it holds
    """
    return f"{Path(file_path).write_text(content, 'utf-8')} characters are in the file"


def turn(model: str, messages: list[Any]) -> ollama.Message:
    """One answer, streamed and put together as the SDK's own examples do."""
    whole = ollama.Message(role="assistant", content="", thinking="", tool_calls=[])
    for part in ollama.chat(model, messages, tools=[write_file], think=True, stream=True):
        whole.content += part.message.content or ""
        whole.thinking += part.message.thinking or ""
        whole.tool_calls = [*whole.tool_calls, *(part.message.tool_calls or ())]
    return whole


def main(model: str, task: str) -> None:
    if "tools" not in (ollama.show(model).capabilities or []):
        sys.exit(f"{model} is not said to take tools")
    messages: list[Any] = [{"role": "user", "content": task}]
    while (answer := turn(model, messages)).tool_calls:
        messages.append(answer)
        for call in answer.tool_calls:
            try:
                result = write_file(**call.function.arguments)
            except TypeError as error:
                result = str(error)
            messages.append({"role": "tool", "tool_name": call.function.name, "content": result})
    print(answer.content)


if __name__ == "__main__":
    main(*sys.argv[1:])
