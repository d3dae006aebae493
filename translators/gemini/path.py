"""Where the model and the verb stand: in the path, which the other protocols keep for themselves."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

_METHOD = re.compile(r"/models/(?P<model>[^?]+):(?P<verb>\w+)(?:$|\?)")
_GENERATES = re.compile(r"/v1(?:beta)?/models/.+:(?:generateContent|streamGenerateContent)")
STREAM, WHOLE, COUNT = "streamGenerateContent", "generateContent", "countTokens"
EMBED, EMBED_SEVERAL = "embedContent", "batchEmbedContents"


class Place(NamedTuple):
    """What a path says. `sse`: a stream comes as server-sent events, else as one JSON array."""

    model: str
    verb: str
    sse: bool

    @property
    def stream(self) -> bool:
        return self.verb == STREAM


def generates(path: str) -> bool:
    return _GENERATES.fullmatch(path) is not None


def read(path: str) -> Place:
    """The model's name is percent-decoded: it may hold slashes, which Google's SDK sends as they are. A path of another
    form names no model."""
    found = _METHOD.search(path)
    if found is None:
        return Place("", "", False)
    return Place(unquote(found["model"]), found["verb"], "alt=sse" in _query(path))


def of(model: str, verb: str) -> str:
    """The path of a method at an upstream, relative to a base that ends in a version."""
    return f"/models/{quote(model, safe='')}:{verb}"


def streamed(model: str) -> str:
    return of(model, STREAM) + "?alt=sse"


def relayed(path: str, model: str) -> str:
    """The same method for another model, with the client's query less its key."""
    query = "&".join(_query(path))
    return of(model, read(path).verb or WHOLE) + (f"?{query}" if query else "")


def _query(path: str) -> list[str]:
    pairs = path.partition("?")[2].split("&")
    return [pair for pair in pairs if pair and not pair.startswith("key=")]
