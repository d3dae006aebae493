"""Log probabilities of the tokens of a text, in the one shape that three protocols share, and where texts are cut.

OpenAI's two and Ollama write a token as `{token, logprob, bytes, top_logprobs}`; Gemini has two lists side by side.
Reading is permissive: what is no token is passed over, since nobody shall lose an answer for its statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from .model import Logprob, Part, Text, Thinking

Logprobs = tuple[Logprob, ...]


def read(raw: Any) -> Logprobs:
    """A list of tokens. Anything else is none."""
    if not isinstance(raw, list):
        return ()
    return tuple([token for item in raw if (token := _token(item)) is not None])


def _token(item: Any) -> Logprob | None:
    if not isinstance(item, dict):
        return None
    return token_of(item.get("token"), item.get("logprob"), item.get("bytes"), read(item.get("top_logprobs")))


def token_of(token: Any, logprob: Any, bytes: Any = None, top: Logprobs = ()) -> Logprob | None:
    """None where it lacks its text or its number."""
    if not isinstance(token, str) or not isinstance(logprob, int | float):
        return None
    known = isinstance(bytes, list) and all(isinstance(byte, int) for byte in bytes) and (bytes or not token)
    return Logprob(token, float(logprob), tuple(bytes) if known else None, top)


def write(tokens: Iterable[Logprob], fill: bool = False) -> list[dict[str, Any]]:
    """OpenAI's form. `fill`: bytes that are not known are taken from the token's text, where they must be there."""
    return [{**_entry(token, fill), "top_logprobs": [_entry(other, fill) for other in token.top]} for token in tokens]


def _entry(token: Logprob, fill: bool) -> dict[str, Any]:
    known = token.bytes
    if known is None and fill:
        known = tuple(token.token.encode("utf-8", "replace"))
    return {"token": token.token, "logprob": token.logprob, "bytes": known}


def put(tokens: Logprobs, parts: list[Part]) -> None:
    """The tokens of a whole answer to its text. Servers that part the thoughts from it count theirs too."""
    at = next((n for n, part in enumerate(parts) if isinstance(part, Text)), None)
    if at is not None:
        text = "".join(part.text for part in parts if isinstance(part, Text))
        thought = any(isinstance(part, Thinking) for part in parts)
        parts[at] = replace(parts[at], logprobs=_last(tokens, text) if thought else tokens)


def _last(tokens: Logprobs, text: str) -> Logprobs:
    """The tokens of the end of an answer, where what stands before it, a thought, has tokens among them too."""
    left = len(text)
    for at in range(len(tokens) - 1, -1, -1):
        if left <= 0:
            return tokens[at + 1 :]
        left -= len(tokens[at].token)
    return tokens


class Cut:
    """The tokens of a text that is held back: each goes out with the last of its characters."""

    def __init__(self) -> None:
        self._tokens: list[Logprob] = []
        self._passed = 0  # characters that went out of the first token

    def add(self, tokens: Sequence[Logprob]) -> None:
        self._tokens.extend(tokens)

    def out(self, characters: int) -> Logprobs:
        """Those that are complete when so many more characters have gone out."""
        if not self._tokens:
            return ()
        self._passed += characters
        count = 0
        for token in self._tokens:
            if len(token.token) > self._passed:
                break
            self._passed -= len(token.token)
            count += 1
        out, self._tokens = tuple(self._tokens[:count]), self._tokens[count:]
        if not self._tokens:
            self._passed = 0
        return out

    def rest(self) -> Logprobs:
        out, self._tokens, self._passed = tuple(self._tokens), [], 0
        return out
