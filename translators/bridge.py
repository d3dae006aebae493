"""One exchange for one target: the client's codec on one side, the upstream's on the other.

`Bridge` turns the client's request into the upstream's and hands out an `Answer` for what comes back. With the same
protocol on both sides the bytes go through, and are only read along. With two protocols the request goes through the
neutral model and the answer through events, with the transforms that the pair needs between decoder and encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from .answer import Answer
from .body import replace
from .carry import Memory
from .codec import Codec, Rendered, Seed, Traits, Wire
from .compact import Compaction, asked_for_summary, triggered
from .custom import Customs
from .events import Event, PartStart
from .fields import told
from .framing import FRAME_LIMIT
from .kept import demand_whole
from .model import BadRequest, Request
from .names import Names
from .packing import Packer
from .policy import BALANCED_REJECT, INFO, STRICT_REJECT, Loss, Policy, Rule, judge
from .rewrite import rewritten
from .roots import Unwrapped, wrapped
from .stops import StopCutter
from .unpacking import Unpacker

Transform = Callable[[Event], Sequence[Event]]

LOADS = "loads"  # in a request's extra: there is no prompt, the model shall be made ready for one
_EMULATED: Rule = ("reject", "info", "info")


class Bridge:
    """`asked` is the client's request with its own model name; None where the bytes go through unread.

    `scope` names the upstream and its model, which get their opaque tokens back, and nobody else does; "": tokens are
    not carried. `memory` is the client's, for those that it cannot carry. `forget`: give none back this time.
    `edited`: the request as rules left it, where one changed it; `rules`: what they make of each event of the answer,
    which then is encoded anew; `heard`: they want to see the whole of it.
    Raises `BadRequest` where the policy refuses a loss."""

    def __init__(
        self,
        client: Codec,
        upstream: Codec,
        wire: Wire,
        asked: Request | None,
        *,
        model: str,
        stream: bool,
        traits: Traits,
        policy: Policy,
        seed: Seed,
        changes: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
        frame_limit: int = FRAME_LIMIT,
        purpose: str = "generate",
        scope: str = "",
        memory: Memory | None = None,
        forget: bool = False,
        edited: Any = None,
        rules: Transform | None = None,
        heard: bool = False,
    ) -> None:
        self.client, self.upstream, self.asked = client, upstream, asked
        self.stream, self.traits, self.seed, self.frame_limit = stream, traits, seed, frame_limit
        self.same = self.relays()
        self.relay = self.same and rules is None
        self.heard = heard
        self._wanted = asked if asked is None or edited is None else edited
        self._rules = rules
        self._said = wire
        self.losses: list[Loss] = []  # all of them
        self.warnings: list[Loss] = []  # those that the client is told
        self.restored = False  # whether the request gives opaque tokens back
        self._transforms: list[Transform] = []
        self._packer: Packer | None = None
        self._compaction: list[Compaction] = []
        self.idle = not self.same and self._asks_nothing(policy)
        if self.same:
            self.wire = client.relay(wire, purpose, model)
            if edited is not None:
                self.wire = self._rewritten(edited, model, policy)
            self._transforms += [] if rules is None else [rules]
        elif self.idle:
            self.wire = wire
        else:
            unpacker = Unpacker(client, upstream, "", None, False) if forget else Unpacker(
                client, upstream, scope, memory, bool(traits.replay)
            )
            self.wire = self._render(model, policy, unpacker)
            self.restored = unpacker.restored
            self._transforms += [] if rules is None else [rules]
            if scope:
                self._pack(scope, memory)
            self._transforms += self._compaction
        if changes is not None:
            self.wire = msgspec.structs.replace(self.wire, body=_change(self.wire.body, changes))

    def _asks_nothing(self, policy: Policy) -> bool:
        """Whether the answer is known to be empty, so that no upstream needs to be asked: an Ollama client loads the
        model, or an Anthropic client fills a cache that the target has not."""
        asked = self._wanted
        if asked is None:
            return False
        if LOADS in asked.extra.get(self.client.NAME, {}):
            return True
        if asked.max_output != 0 or self.upstream.PREWARM:
            return False
        why = "the target cannot be made to read a prompt and write nothing; it was not asked"
        self._judge([Loss("max_output", "emulated", why, BALANCED_REJECT)], policy)
        return True

    def _judge(self, losses: list[Loss], policy: Policy) -> None:
        self.losses = told(losses, self.client.NAME)
        self.warnings = judge(self.losses, policy, self.client.NAME, self.upstream.NAME)

    def relays(self) -> bool:
        """Whether the bytes go through."""
        return self.client.NAME == self.upstream.NAME

    def _rewritten(self, edited: Any, model: str, policy: Policy) -> Wire:
        """The client's own request with what rules changed in it."""
        renderings = [self._plainly(request, model) for request in (self.question, edited)]
        wire, losses = rewritten(self.wire, *renderings)
        self._judge([*losses], policy)
        return wire

    @property
    def question(self) -> Any:
        """What the client asks for, read."""
        return self.as_asked()

    def _plainly(self, request: Any, model: str) -> Rendered:
        """A request in the words of its own protocol, without the tokens of other ones."""
        messages = Unpacker(self.client, self.upstream, "", None, False).messages(request.messages)
        request = msgspec.structs.replace(request, model=model, messages=messages)
        return self.upstream.render_request(request, self.traits)

    def _render(self, model: str, policy: Policy, unpacker: Unpacker) -> Wire:
        assert self._wanted is not None
        demand_whole(self._wanted)
        messages = unpacker.messages(self._wanted.messages)
        request = msgspec.structs.replace(self._wanted, model=model, messages=messages)
        losses: list[Loss] = []
        if triggered(request):
            why = "the upstream is asked for a summary, which is sealed here"
            losses.append(Loss("input", "emulated", why, INFO))
            self._compaction = [Compaction(self.seed)]
            request = asked_for_summary(request)
        request = self._fit(request)
        if request.n > 1:
            losses.append(Loss("n", "dropped", "a translated answer is one answer", BALANCED_REJECT))
            request = msgspec.structs.replace(request, n=1)
        if (form := wrapped(request.format, self.upstream.OBJECT_ROOTS)) is not None:
            self._transforms.append(Unwrapped(request.format.bare))
            why = "the target is asked for an object around the value, which is taken out again"
            losses.append(Loss("format", "emulated", why, _EMULATED if request.format.bare else INFO))
            if request.logprobs is not None:
                why = "the value is cut out of the object that the model writes, whose tokens are other ones"
                losses.append(Loss("logprobs", "dropped", why, STRICT_REJECT))
            request = msgspec.structs.replace(request, format=form, logprobs=None)
        if request.stop and (not self.upstream.STOP or "stop" in self.traits.drop):
            self._transforms.append(StopCutter(request.stop))
            losses.append(Loss("stop", "emulated", "the model takes none, the text is cut here", _EMULATED))
            request = msgspec.structs.replace(request, stop=[])
        rendered = self.upstream.render_request(request, self.traits)
        self._judge([*losses, *rendered.losses], policy)
        return rendered.wire

    def _fit(self, request: Request) -> Request:
        """The request with tools that the target can have, by names that it takes."""
        customs = Customs(request)
        plain = request if self.upstream.CUSTOM_TOOLS and self.traits.custom_tools else customs.wrap(request)
        names = Names(plain, self.upstream, self.traits.call_id_length)
        self._transforms.append(_Restore(names, self.client))
        if plain is not request:
            self._transforms.append(customs)
        return names.fit(plain)

    def _pack(self, scope: str, memory: Memory | None) -> None:
        replay = bool(self.traits.replay)
        if self._wanted is not None and (replay or self.upstream.TOKENS or self.client.CARRIES.mark):
            messages = self._wanted.messages
            self._packer = Packer(self.client, self.upstream, scope, messages, memory, replay)
            self._transforms.append(self._packer)

    def answer(self, status: int, headers: Mapping[str, str]) -> Answer:
        """The answer whose status and headers (lower case) have come."""
        return Answer(self, status, headers)

    def as_asked(self) -> Request:
        """The client's request, read now if the bytes went through unread."""
        if self.asked is None:
            try:
                self.asked = self.client.parse_request(self._said)
            except BadRequest:
                self.asked = Request(stream=self.stream)
        return self.asked

    @property
    def plain_deltas(self) -> bool:
        """Whether text and arguments pass as they are: no transform changes them. `take` then reads along."""
        return not self.heard and all(isinstance(step, _Restore | Packer) for step in self._transforms)

    @property
    def take(self) -> Callable[[str], object] | None:
        """Who must see every delta that does not go through `transform`."""
        return None if self._packer is None else self._packer.take

    def transform(self, events: Sequence[Event]) -> Sequence[Event]:
        for step in self._transforms:
            events = [out for event in events for out in step(event)]
        return events


def _change(body: bytes, changes: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> bytes:
    wanted = changes(msgspec.json.decode(body, type=dict[str, msgspec.Raw]))
    return replace(body, wanted) if wanted else body


class _Restore:
    """Gives tool calls the names that the client declared, and ids that its protocol takes."""

    def __init__(self, names: Names, client: Codec) -> None:
        self._names, self._client = names, client

    def __call__(self, event: Event) -> Sequence[Event]:
        if isinstance(event, PartStart):
            part = self._names.restore_part(event.part, self._client)
            if part is not event.part:
                return [PartStart(event.index, part)]
        return [event]
