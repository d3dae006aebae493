"""Thoughts inside the text, between `<think>` and `</think>`: what servers without a reasoning parser hand out.

Tags may be cut anywhere by the chunks of a stream. A thought stands at the beginning of an answer only: a model may
well write about these tags later. Where a chat template has put the opening tag into the prompt, only the closing one
comes: a whole text is split there all the same, and from a stream, where it is too late for that, the tag is taken out.
"""

from __future__ import annotations

from .logprobs import Logprobs
from .model import Text, Thinking
from .stream import Sink

_OPEN, _CLOSE = "<think>", "</think>"

Kind = type[Text] | type[Thinking]


class ThinkSplitter:
    """Feeds on text; gives back what is thought and what is said, as soon as it is sure."""

    def __init__(self) -> None:
        self._inside = False
        self._begun = False  # it is known whether the answer begins with a thought
        self._over = False  # a closing tag has come: what is left is text, whatever it holds
        self._trim = False  # white space between thought and text belongs to neither
        self._held = ""

    def feed(self, text: str) -> list[tuple[Kind, str]]:
        if self._over and not self._trim:
            return [(Text, text)]
        text, self._held = self._held + text, ""
        out: list[tuple[Kind, str]] = []
        if not self._begun:
            text = self._beginning(text)
        if self._begun and not self._over:
            text = self._until_closed(text, out)
        if self._over and text:
            text = text.lstrip() if self._trim else text
            if text:
                self._trim = False
                out.append((Text, text))
        return out

    def end(self) -> list[tuple[Kind, str]]:
        """What was held back at the end of the text: half a tag is no tag."""
        held, self._held = self._held, ""
        return [(Thinking if self._inside else Text, held)] if held else []

    def _beginning(self, text: str) -> str:
        """White space, and then a tag, or not: until that is known, all is held."""
        start = text.lstrip()
        if start.startswith(_OPEN):
            self._begun = self._inside = True
            return start[len(_OPEN) :].lstrip("\n")
        if _OPEN.startswith(start):
            self._held = text
            return ""
        self._begun = True
        return text

    def _until_closed(self, text: str, out: list[tuple[Kind, str]]) -> str:
        kind: Kind = Thinking if self._inside else Text
        said, tag, rest = text.partition(_CLOSE)
        if tag:
            self._inside, self._over, self._trim = False, True, True
            said = said.rstrip("\n")
        else:
            keep = _partial(text)
            self._held = text[len(text) - keep :]
            said = text[: len(text) - keep]
        if said:
            out.append((kind, said))
        return rest


def _partial(text: str) -> int:
    """How many characters at the end may be the beginning of the closing tag."""
    return next((size for size in range(len(_CLOSE) - 1, 0, -1) if text.endswith(_CLOSE[:size])), 0)


class TaggedProse:
    """Says a text with tags to a sink, each piece as what it is. Log probabilities go with the text only."""

    def __init__(self) -> None:
        self._splitter = ThinkSplitter()
        self._tokens: Logprobs = ()  # of what is held back

    def say(self, sink: Sink, text: str, tokens: Logprobs = ()) -> None:
        tokens = self._tokens + tokens if self._tokens else tokens
        pieces = self._splitter.feed(text)
        self._tokens = self._pieces(sink, pieces, tokens)

    def finish(self, sink: Sink) -> None:
        """The text is over."""
        tokens = self._pieces(sink, self._splitter.end(), self._tokens)
        self._tokens = ()
        sink.late_logprobs(tokens)

    @staticmethod
    def _pieces(sink: Sink, pieces: list[tuple[Kind, str]], tokens: Logprobs) -> Logprobs:
        """Returns the tokens that wait for words."""
        for kind, piece in pieces:
            mine, tokens = (tokens, ()) if kind is Text else ((), tokens)
            sink.prose(kind, piece, mine)
        if pieces and tokens:
            sink.lose_logprobs()
            return ()
        return tokens


def split_whole(text: str) -> list[tuple[Kind, str]]:
    """A whole text, in which a closing tag alone tells that all before it was thought."""
    before, tag, after = text.partition(_CLOSE)
    if tag and _OPEN not in before:
        out: list[tuple[Kind, str]] = [(Thinking, before.strip("\n")), (Text, after.lstrip())]
        return [(kind, piece) for kind, piece in out if piece]
    splitter = ThinkSplitter()
    return [*splitter.feed(text), *splitter.end()]
