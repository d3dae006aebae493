"""What mitmweb, mitmproxy and a saved flow file show of an exchange. All of it comes from the flow and its record.

`LLM Link` is chosen by itself: on the request the conversation, on the response the answer with its facts. The other
two show the upstream's side byte for byte: what was sent in each attempt, and what came back.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from mitmproxy import http
from mitmproxy.contentviews import Contentview, Metadata

from addons.exchange import METADATA
from translators import CODECS
from translators.answer import looks_streamed
from translators.body import WRONG
from translators.codec import Seed, Service, Wire
from translators.events import Fold
from translators.model import BadRequest, UpstreamFault
from translators.pretty import asked_text, heading, response_text, result_text, table

_SEED = Seed("", 0)


def _record(metadata: Metadata) -> dict[str, Any]:
    record = metadata.flow.metadata.get(METADATA) if metadata.flow is not None else None
    if not record:
        raise ValueError("this is no exchange of LLM Link")
    return record


class _View(Contentview):
    label = ""

    @property
    def name(self) -> str:
        return self.label

    @property
    def syntax_highlight(self) -> Any:
        return "none"

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        return -1


class ExchangeView(_View):
    """The conversation in neutral words, and what became of it."""

    label = "LLM Link"

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        record = _record(metadata)
        if isinstance(metadata.http_message, http.Request):
            return conversation(data, metadata.http_message, record)
        return "\n".join(block for block in (facts(record), answer(record), _losses(record)) if block)

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        has = metadata.flow is not None and METADATA in metadata.flow.metadata
        return 2 if has and isinstance(metadata.http_message, http.Message) else -1


class UpstreamRequestView(_View):
    """What went upstream, attempt by attempt."""

    label = "LLM upstream request"

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        return "\n\n".join(_sent(n, a) for n, a in enumerate(_record(metadata)["attempts"], 1)) or "no attempt was made"


class UpstreamAnswerView(_View):
    """What came back from the upstream, as it came."""

    label = "LLM upstream answer"

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        attempts = _record(metadata)["attempts"]
        return "\n\n".join(_received(n, a) for n, a in enumerate(attempts, 1)) or "no attempt was made"


VIEWS: tuple[Contentview, ...] = (ExchangeView(), UpstreamRequestView(), UpstreamAnswerView())


# ------------------------------------------------------------------------------------------------ blocks


def conversation(data: bytes, message: http.Message, record: dict[str, Any]) -> str:
    """What the client sent, as neutral text."""
    codec, purpose = CODECS.get(record["client"]["protocol"]), record["client"]["purpose"]
    if codec is None or (purpose not in codec.SERVICES and purpose not in ("generate", "compact")):
        return data.decode("utf-8", "replace")
    parse = codec.SERVICES.get(purpose, codec).parse_request
    try:
        return asked_text(parse(Wire(message.path, data)))
    except BadRequest as error:
        return f"{error}\n\n{data.decode('utf-8', 'replace')}"


def facts(record: dict[str, Any]) -> str:
    """Who, where, how long, how many tokens."""
    client, timings, usage = record["client"], record["timings"], record["usage"]
    streamed = ", streamed" if client["stream"] else ""
    rows = [["client", f"{client['protocol']}, model {client['model'] or '-'}{streamed}"]]
    for number, attempt in enumerate(record["attempts"], 1):
        rows.append([f"attempt {number}", _attempt_line(attempt)])
    rows.append(["answer", _outcome(record)])
    rows += _times(timings, record["attempts"])
    if usage is not None:
        names = ("input", "cache_read", "cache_write", "output", "reasoning")
        rows.append(["tokens", ", ".join(f"{usage[name]} {name.replace('_', ' ')}" for name in names)])
    rows.append(["request id", record["id"]])
    return table(rows)


def answer(record: dict[str, Any]) -> str:
    """The answer so far, as neutral text, from the copy of the upstream's bytes."""
    attempt = record["attempts"][-1] if record["attempts"] else None
    if attempt is None or attempt["response"] is None:
        return ""
    response, codec = attempt["response"], CODECS[attempt["protocol"]]
    body: bytes = response["body"]
    service = codec.SERVICES.get(record["client"]["purpose"])
    if service is not None and response["status"] < 300:
        return _service_answer(service, body) + _cut(response)
    if response["status"] >= 300 or record["client"]["purpose"] not in ("generate", "compact"):
        return body.decode("utf-8", "replace")
    kind = dict(response["headers"]).get("content-type", "")
    if looks_streamed(codec.STREAM, kind, body):
        fold = Fold()
        for event in codec.decoder(_SEED).feed(body):
            fold.add(event)
        text = response_text(fold.response, fold.finish is None and fold.failure is None)
    else:
        try:
            text = response_text(codec.parse_response(body, _SEED))
        except (UpstreamFault, *WRONG):
            text = body.decode("utf-8", "replace")
    return text + _cut(response)


def _service_answer(service: Service, body: bytes) -> str:
    try:
        return result_text(service.parse_response(body))
    except (UpstreamFault, *WRONG):
        return body.decode("utf-8", "replace")


def _losses(record: dict[str, Any]) -> str:
    told = {tuple(loss) for loss in record["warnings"]}
    rows = [["!" if tuple(loss) in told else "", *loss] for loss in record["losses"]]
    return heading("not said as it was asked") + "\n" + table(rows) if rows else ""


def _attempt_line(attempt: dict[str, Any]) -> str:
    where = f"{attempt['upstream']}/{attempt['model']} ({attempt['protocol']})"
    if attempt["error"] is not None:
        return f"{where}: {attempt['error']['kind']}: {attempt['error']['message']}"
    status = attempt["response"]["status"] if attempt["response"] else "waiting"
    return f"{where}: {status}"


def _outcome(record: dict[str, Any]) -> str:
    if record["cancelled"]:
        return "the client hung up"
    if record["error"] is not None:
        return f"{record['status']} {record['error']['kind']}: {record['error']['message']}"
    state = "" if record["timings"]["ended"] else ", running"
    return f"{record['status'] or 'none yet'}{state}, {record['sent']['size']} bytes"


def _times(timings: dict[str, Any], attempts: list[dict[str, Any]]) -> list[list[str]]:
    start = timings["started"]
    heads = [attempt["headers_at"] for attempt in attempts if attempt["headers_at"]]
    steps = [
        ["upstream answered", heads[-1] if heads else None],
        ["first byte to client", timings["head"]],
        ["done", timings["ended"]],
    ]
    rows = [["started", time.strftime("%H:%M:%S", time.localtime(start))]]
    return rows + [[what, f"after {at - start:.3f} s"] for what, at in steps if at]


def _sent(number: int, attempt: dict[str, Any]) -> str:
    request = attempt["request"]
    if request is None:
        return f"{heading(f'attempt {number}')}\n{_attempt_line(attempt)}"
    return _message(f"attempt {number}", f"{request['method']} {request['url']}", request, _json(request["body"]))


def _received(number: int, attempt: dict[str, Any]) -> str:
    response = attempt["response"]
    if response is None:
        return f"{heading(f'attempt {number}')}\n{_attempt_line(attempt)}"
    body = response["body"].decode("utf-8", "replace")
    return _message(f"attempt {number}: {attempt['upstream']}", str(response["status"]), response, body)


def _message(title: str, first: str, message: dict[str, Any], body: str) -> str:
    headers = "\n".join(f"{name}: {value}" for name, value in message["headers"])
    return f"{heading(title)}\n{first}\n{headers}\n{heading('body')}\n{body}{_cut(message)}"


def _json(body: bytes) -> str:
    try:
        return msgspec.json.format(body, indent=2).decode("utf-8", "replace")
    except WRONG:
        return body.decode("utf-8", "replace")


def _cut(message: dict[str, Any]) -> str:
    more = message["size"] - len(message["body"])
    return f"\n… {more} more bytes were not kept" if more > 0 else ""
