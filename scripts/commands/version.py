"""`llm-link version`."""

from __future__ import annotations

from scripts.command import App

app = App()


@app.command()
def version() -> None:
    """The version of LLM Link."""
    from importlib.metadata import version as installed

    print(f"llm-link {installed('llm-link')}")
