"""What the fuzzer says to a proxy: requests drawn by a seed, from good ones and from the corpus of nasty things.

Hypothesis draws the values, a pool of them once for each run; a cheap generator makes the requests of them.
"""

from __future__ import annotations

import copy
import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from scripts.bench_wire import BODIES, path_of
from scripts.fuzz_corpus import (
    BAD_LINES,
    CHUNKED,
    GENERATE,
    HEADERS,
    HEAVY,
    LIGHT,
    METHODS,
    RAW,
    SEGMENTS,
    SERVICES,
    TARGETS,
    WORDS,
    Field,
)

POOL = 300  # values that hypothesis draws


@dataclass(frozen=True)
class Case:
    """One thing to say. `protocol`: whose shape an error has; "": nobody can tell. `alone`: on a connection of its own,
    since what follows it is anybody's guess; `ended`: and the client's side of it ends there."""

    kind: str
    data: bytes
    protocol: str = ""
    head: bool = False  # it asks with HEAD
    alone: bool = False
    ended: bool = False


_CHARS = st.sampled_from('ab "\\/\n\t{}[]\u2028\u0000é漢😀') | st.characters(exclude_categories=["Cs"])
_TEXT = st.text(_CHARS, max_size=8)
_NUMBER = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBER | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_DRAW = settings(
    max_examples=POOL, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), deadline=None
)
_NAMES = ("type", "role", "content", "id", "name", "input")
_BYTES = (b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\x00", b"\xff", b"1e9")


def pool(number: int) -> list[Any]:
    """Values drawn by hypothesis, the same for the same number."""
    drawn: list[Any] = []

    @seed(number)
    @_DRAW
    @given(_JSON)
    def draw(value: Any) -> None:
        drawn.append(value)

    draw()
    return drawn


def http(method: str, target: str, fields: tuple[Field, ...], body: bytes) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (method.encode(), target.encode("latin-1", "replace"))]
    if not any(name == b"host" for name, _ in fields):
        lines.append(b"host: 127.0.0.1")
    lines += [b"%b: %b" % field for field in fields]
    lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def paths_of(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if here:
        yield here
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths_of(inner, (*here, key))


class Drawer:
    """Draws cases, the same ones for the same seed."""

    def __init__(self, number: int) -> None:
        self.random = random.Random(number)
        self.values = [*pool(number), *WORDS]
        self.bodies: dict[str, list[tuple[str, list[tuple[Any, ...]]]]] = {}
        for protocol, (_, make) in BODIES.items():
            made = [make(upstream, stream, size=12) for upstream in BODIES for stream in (True, False)]
            self.bodies[protocol] = [(json.dumps(body), list(paths_of(body))) for body in made]
        self.kinds: dict[Callable[[], Case], int] = {
            self.good: 6, self.values_changed: 34, self.bytes_changed: 14, self.light: 8, self.odd_path: 12,
            self.odd_head: 12, self.service: 8, self.bad_head: 3, self.raw: 3,
        }  # fmt: skip
        self.heavy = list(HEAVY)

    def cases(self, count: int) -> Iterator[Case]:
        kinds, weights = list(self.kinds), list(self.kinds.values())
        for n in range(count):
            if n % 50 == 49:  # each of them in turn, and not too often
                yield self.heavy_one(self.heavy[n // 50 % len(self.heavy)])
            else:
                yield self.random.choices(kinds, weights)[0]()

    # ---- pieces

    def door(self) -> tuple[str, str]:
        protocol, path = self.random.choice(GENERATE)
        return protocol, path.replace("{m}", self.random.choice(list(BODIES)))

    def body(self, protocol: str) -> str:
        return self.random.choice(self.bodies[protocol])[0]

    def post(self, kind: str, body: bytes, *fields: Field) -> Case:
        protocol, path = self.door()
        return Case(kind, http("POST", path, ((b"content-type", b"application/json"), *fields), body), protocol)

    # ---- kinds

    def good(self) -> Case:
        protocol = self.random.choice(list(BODIES))
        path = path_of(protocol, self.random.choice(list(BODIES)), self.random.random() < 0.5)
        return Case("good", http("POST", path, (), self.body(protocol).encode()), protocol)

    def values_changed(self) -> Case:
        protocol, path = self.door()
        text, places = self.random.choice(self.bodies[protocol])
        body = json.loads(text)
        for _ in range(self.random.randint(1, 3)):
            self.change(body, self.random.choice(places))
        escaped = self.random.random() < 0.5
        data = json.dumps(body, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
        return Case("values changed", http("POST", path, (), data), protocol)

    def value(self) -> Any:
        """One of the pool; its own copy, since the next change may reach into it."""
        return copy.deepcopy(self.random.choice(self.values))

    def change(self, body: Any, place: tuple[Any, ...]) -> None:
        for key in place[:-1]:
            try:
                body = body[key]
            except (KeyError, IndexError, TypeError):
                return  # an earlier change took it away
        key = place[-1]
        if isinstance(body, list) and body:
            key = self.random.randrange(len(body))
        elif not isinstance(body, dict) or key not in body:
            return
        match self.random.randrange(6):
            case 0:
                del body[key]
            case 1:
                body[key] = [body[key]] * 2
            case 2 if isinstance(body, dict):
                body[str(self.random.choice(self.values))[:20]] = body.pop(key)
            case 3 if isinstance(body, dict):
                body[self.random.choice(_NAMES)] = self.value()
            case _:
                body[key] = self.value()

    def bytes_changed(self) -> Case:
        protocol, path = self.door()
        data = bytearray(self.body(protocol).encode())
        for _ in range(self.random.randint(1, 4)):
            at, length = self.random.randrange(len(data) + 1), self.random.randrange(1, 30)
            match self.random.randrange(4):
                case 0:
                    data[at : at + 1] = self.random.randbytes(1)
                case 1:
                    del data[at : at + length]
                case 2:
                    data[at:at] = data[at : at + length]
                case _:
                    data[at:at] = self.random.choice(_BYTES)
        return Case("bytes changed", http("POST", path, (), bytes(data)), protocol)

    def light(self) -> Case:
        body = self.random.choice(LIGHT)
        return self.post("nasty body", body)

    def heavy_one(self, name: str) -> Case:
        fields = ((b"content-encoding", b"gzip"),) if "gzip" in name else ()
        return self.post(name, HEAVY[name](), *fields)

    def odd_path(self) -> Case:
        _, path = self.random.choice(GENERATE)
        if self.random.random() < 0.2:
            path = self.random.choice(TARGETS)
        elif "{m}" in path and self.random.random() < 0.6:
            path = path.replace("{m}", self.random.choice(SEGMENTS))
        else:
            parts = path.split("/")
            at = self.random.randrange(1, len(parts))
            parts[at : at + self.random.randrange(2)] = [self.random.choice(SEGMENTS)]
            path = "/".join(parts)
        path = path.translate({ord(c): "%20" for c in string.whitespace})
        method = "POST" if self.random.random() < 0.6 else self.random.choice(METHODS)
        data = http(method, path, (), self.body(self.random.choice(list(BODIES))).encode())
        return Case("odd path", data, head=method == "HEAD", alone=not path.startswith("/"))

    def odd_head(self) -> Case:
        protocol, path = self.door()
        fields = tuple(self.random.sample(HEADERS, self.random.randint(1, 4)))
        alone = any(name in (b"connection", b"upgrade", b"expect") for name, _ in fields)
        data = http("POST", path, fields, self.body(protocol).encode())
        return Case("odd head", data, protocol, alone=alone)

    def service(self) -> Case:
        protocol, path, methods = self.random.choice(SERVICES)
        method = self.random.choice(methods.split() if self.random.random() < 0.8 else METHODS)
        body: Any = {"model": self.random.choice(list(BODIES)), "input": "x", "messages": [], "content": {"parts": []}}
        for key in self.random.sample(list(body), 2):
            body[key] = self.random.choice(self.values)
        data = json.dumps(body).encode() if method == "POST" else b""
        return Case("service", http(method, path, (), data), protocol, head=method == "HEAD")

    def bad_head(self) -> Case:
        protocol, path = self.door()
        first = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n".encode()
        if self.random.random() < 0.4:
            form = self.random.choice((b"transfer-encoding: chunked", b"Transfer-Encoding: CHUNKED"))
            data = first + form + b"\r\n\r\n" + self.random.choice(CHUNKED)
            return Case("chunks", data, protocol, alone=True, ended=True)
        data = first + self.random.choice(BAD_LINES) + b"\r\n\r\n{}   "
        return Case("bad head", data, protocol, alone=True, ended=True)

    def raw(self) -> Case:
        known = self.random.random() < 0.5
        data = self.random.choice(RAW) if known else self.random.randbytes(self.random.randint(1, 200))
        return Case("raw bytes", data, alone=True, ended=True)
