"""Serves the scripted model on loopback, in one protocol, and keeps what it was asked and what it said."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from scripts.clients_model import Asked, Turn, decide
from scripts.clients_others import WIRES
from scripts.clients_wires import Json, Wire

# how the path of a request to count tokens ends -> the answer's field
COUNTS = {"/count_tokens": "input_tokens", ":countTokens": "totalTokens", "/input_tokens": "input_tokens"}


@dataclass(frozen=True)
class Exchange:
    """One request to the model. `turn` is None where it was refused, and `complaint` says why."""

    path: str
    body: Json
    asked: Asked | None = None
    turn: Turn | None = None
    complaint: str = ""


# what the model does to the first request for the task -> what comes of it
FAULTS = {
    "busy": "a 429 that asks for a second's patience",
    "cut": "a stream that breaks off",
    "error": "a stream that ends in an error",
    "refuse": "every answer is a 400",
}
TROUBLE = "the scripted model has a bad day"


@dataclass
class Model:
    wire: Wire
    url: str = ""
    fault: str = ""  # of FAULTS
    well: bool = False  # the fault is over
    exchanges: list[Exchange] = field(default_factory=list)


def unpaired(asked: Asked) -> str:
    """What every provider refuses: a call without its result right behind it, a result without its call."""
    waiting: list[str] = []
    for said in asked.said:
        for call, _ in said.results:
            if call not in waiting:
                return f"a result without a call: {call}"
            waiting.remove(call)
        if waiting and said.role == "user" and not said.results:
            return f"calls without a result: {waiting}"
        waiting += said.calls
    return f"calls without a result: {waiting}" if waiting else ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    model: Model

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: `Model.exchanges` is the log."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        counted = next((name for end, name in COUNTS.items() if self.path.partition("?")[0].endswith(end)), None)
        if counted:
            self.whole(200, {counted: len(json.dumps(body)) // 4})
            return
        try:
            asked = self.model.wire.asked(self.path, body)
            complaint = unpaired(asked)
        except (KeyError, TypeError, ValueError) as error:
            asked, complaint = None, repr(error)
        if asked is None or complaint:
            self.model.exchanges.append(Exchange(self.path, body, asked, None, complaint))
            self.whole(400, self.model.wire.error(400, f"the scripted model refuses: {complaint}"))
            return
        turn = decide(asked)
        self.model.exchanges.append(Exchange(self.path, body, asked, turn))
        if self.model.fault and not self.model.well and turn.thoughts:
            self.model.well = self.model.fault != "refuse"
            self.spoil(asked, turn)
        elif asked.stream:
            self.stream(self.model.wire.stream(asked, turn))
        else:
            self.whole(200, self.model.wire.whole(asked, turn))

    def spoil(self, asked: Asked, turn: Turn) -> None:
        wire, fault = self.model.wire, self.model.fault
        if fault == "refuse":
            self.whole(400, wire.error(400, TROUBLE))
        elif fault == "busy":
            self.whole(429, wire.error(429, TROUBLE), {"retry-after": "1"})
        elif not asked.stream:
            self.whole(503, wire.error(503, TROUBLE))
        else:
            frames = list(wire.stream(asked, turn))
            begun = frames[: len(frames) // 3]
            self.stream(iter(begun if fault == "cut" else [*begun, wire.failure(asked, TROUBLE)]), cut=fault == "cut")

    def whole(self, status: int, value: Json, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, said in (headers or {}).items():
            self.send_header(name, said)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, frames: Iterator[str], *, cut: bool = False) -> None:
        self.send_response(200)
        self.send_header("content-type", self.model.wire.stream_type)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for frame in frames:
            data = frame.encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        if cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")


@contextmanager
def serving(protocol: str, fault: str = "") -> Iterator[Model]:
    """The model while the block runs; `url` is the base URL of an upstream."""
    model = Model(WIRES[protocol], fault=fault)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("ModelHandler", (Handler,), {"model": model}))
    server.daemon_threads = True
    model.url = f"http://127.0.0.1:{server.server_port}{model.wire.base}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
