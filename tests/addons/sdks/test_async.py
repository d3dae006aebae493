"""The SDKs' asynchronous halves: all pairs at once through one proxy, whole and streamed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import ollama
import openai
import pytest
from google import genai
from google.genai import types as gm

from tests.addons.sdks.conftest import SHORT
from tests.addons.sdks.said import TEXT
from tests.harness import Proxy

Say = Callable[[str], Awaitable[str]]
USER: Any = [{"role": "user", "content": "Hi"}]


def talkers(link: Proxy) -> dict[str, Say]:
    """For each client and form: what answers to a model's name with the text that the SDK's user has in the end."""
    given: Any = {"api_key": "dummy", "max_retries": 0}
    oai = openai.AsyncOpenAI(base_url=link.url + "/v1", **given, _strict_response_validation=True)
    events = openai.AsyncOpenAI(base_url=link.url + "/v1", **given)  # a keep-alive is in no type of the SDK
    ant = anthropic.AsyncAnthropic(base_url=link.url, **given, _strict_response_validation=True)
    google = genai.Client(api_key="dummy", http_options=gm.HttpOptions(base_url=link.url)).aio
    llama = ollama.AsyncClient(link.url, trust_env=False)

    async def chat(model: str) -> str:
        return (await oai.chat.completions.create(model=model, messages=USER)).choices[0].message.content or ""

    async def chat_stream(model: str) -> str:
        async with oai.chat.completions.stream(model=model, messages=USER) as stream:
            return (await stream.get_final_completion()).choices[0].message.content or ""

    async def responses(model: str) -> str:
        return (await oai.responses.create(model=model, input="Hi")).output_text

    async def responses_stream(model: str) -> str:
        async with events.responses.stream(model=model, input="Hi") as stream:
            return (await stream.get_final_response()).output_text

    async def claude(model: str) -> str:
        message = await ant.messages.create(model=model, messages=USER, max_tokens=99)
        return "".join(block.text for block in message.content if block.type == "text")

    async def claude_stream(model: str) -> str:
        async with ant.messages.stream(model=model, messages=USER, max_tokens=99) as stream:
            return await stream.get_final_text()

    async def gemini(model: str) -> str:
        return (await google.models.generate_content(model=model, contents="Hi")).text or ""

    async def gemini_stream(model: str) -> str:
        chunks = await google.models.generate_content_stream(model=model, contents="Hi")
        return "".join([chunk.text or "" async for chunk in chunks])

    async def chat_of_ollama(model: str) -> str:
        return (await llama.chat(model, USER)).message.content or ""

    async def stream_of_ollama(model: str) -> str:
        lines = await llama.chat(model, USER, stream=True)
        return "".join([line.message.content or "" async for line in lines])

    found = [chat, chat_stream, responses, responses_stream, claude, claude_stream, gemini, gemini_stream]
    return {say.__name__: say for say in [*found, chat_of_ollama, stream_of_ollama]}


async def test_all_pairs_at_once(link: Proxy) -> None:
    pairs = [(name, short, say) for name, say in talkers(link).items() for short in SHORT.values()]
    texts = await asyncio.gather(*[say(f"{short}_text") for _, short, say in pairs])
    wrong = {(name, short): text for (name, short, _), text in zip(pairs, texts, strict=True) if text != TEXT}
    assert wrong == {}


@pytest.mark.parametrize("short", SHORT.values())
async def test_a_cut_stream_is_an_error(link: Proxy, short: str) -> None:
    streams = [say for name, say in talkers(link).items() if "stream" in name]
    ends = await asyncio.gather(*[say(f"{short}_cut") for say in streams], return_exceptions=True)
    assert all(isinstance(end, Exception) for end in ends), ends
