"""One exchange at an endpoint beside the generation of answers: a count of tokens, embeddings, an answer of before.

The same as `Bridge` with less in it: a question and an answer, each in one piece, with nothing to transform between.
Where both sides have the same endpoint the bytes go through, and are only read for the usage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .answer import Answer
from .body import WRONG
from .bridge import Bridge
from .codec import Codec, Rendered, Service, Wire
from .heads import Head
from .kept import demand_whole
from .model import Request, UpstreamFault
from .policy import Policy
from .unpacking import Unpacker
from .whole import Whole


def relays(client: Codec, upstream: Codec, purpose: str) -> bool:
    """Whether the two sides have the same endpoint."""
    return client.SERVICES[purpose] is upstream.SERVICES.get(purpose)


class ServiceBridge(Bridge):
    """`asked` is what the client's side of the service has parsed; None where the bytes go through unread.

    Raises `BadRequest` where the policy refuses a loss."""

    def __init__(self, client: Codec, upstream: Codec, wire: Wire, asked: Any, *, purpose: str, **more: Any) -> None:
        self.asks: Service = client.SERVICES[purpose]
        self.answers: Service = upstream.SERVICES[purpose]
        self._question, self._edited = asked, more.get("edited")
        super().__init__(client, upstream, wire, None, purpose=purpose, **more)

    def relays(self) -> bool:
        return self.asks is self.answers

    @property
    def question(self) -> Any:
        return self._question

    def _plainly(self, request: Any, model: str) -> Rendered:
        return self.answers.render_request(msgspec.structs.replace(request, model=model), self.traits)

    def _render(self, model: str, policy: Policy, unpacker: Unpacker) -> Wire:
        question = msgspec.structs.replace(self._edited or self.question, model=model)
        if isinstance(question, Request):
            demand_whole(question)
            messages = unpacker.messages(question.messages)
            question = self._fit(msgspec.structs.replace(question, messages=messages))
        rendered = self.answers.render_request(question, self.traits)
        self._judge(list(rendered.losses), policy)
        return rendered.wire

    def answer(self, status: int, headers: Mapping[str, str]) -> Answer:
        return ServiceAnswer(self, status, headers)


class ServiceAnswer(Answer):
    """What the upstream answers. It comes in one piece, whatever it looks like."""

    def __init__(self, bridge: ServiceBridge, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(bridge, status, headers)
        self._mode = _Piece(self, bridge)


class _Piece(Whole):
    def __init__(self, answer: Answer, bridge: ServiceBridge) -> None:
        super().__init__(answer)
        self._service = bridge

    def _read(self, body: bytes) -> bytes:
        answer, bridge = self._answer, self._service
        try:
            result = bridge.answers.parse_response(body)
            out = b"" if bridge.relay else bridge.asks.render_response(result, bridge.question, bridge.seed)
        except UpstreamFault as fault:
            answer.fail(fault.error)
            return b""
        except WRONG:
            return self._unread(body)
        answer.usage = result.usage
        if bridge.relay:
            return self._pass(body)
        answer.head, answer.done = Head(200, {"content-type": "application/json", **answer.limits}, False), True
        return out


class KeptBridge(Bridge):
    """For what an upstream keeps of earlier answers. Only one of the client's protocol is asked, and what it says is
    not judged: a cancelled answer is a good one here. Its tokens were counted when it was made."""

    def answer(self, status: int, headers: Mapping[str, str]) -> Answer:
        return super().answer(status, headers) if self.stream else KeptAnswer(self, status, headers)


class KeptAnswer(Answer):
    def __init__(self, bridge: KeptBridge, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(bridge, status, headers)
        self._mode = _Unread(self)


class _Unread(Whole):
    def _read(self, body: bytes) -> bytes:
        return self._pass(body)
