"""Reading the stream of a Responses upstream.

Every event says which item it speaks of, and the end of an item repeats all of it. Servers that only resemble OpenAI
leave much out: `added`, the deltas, the names of calls, the output of the last event. So each end is used to complete
what the deltas have not brought, and an item that was never announced is taken from where it first appears.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from .. import logprobs
from ..codec import DEFAULT_TRAITS, Seed, Traits
from ..events import Finish
from ..framing import ArrayFramer, Framer, SseFramer
from ..logprobs import Logprobs
from ..model import Citation, Part, Refusal, Text, Thinking, ToolCall
from ..stream import Machine, StreamDecoder
from .errors import error_of, unfinished
from .parts import citations
from .response import ANSWER, WireResponse, parts_of_answer, reason_of
from .usage import parse_usage
from .wire import CALL, KIND, WireCall
from .wire import decoder as json_decoder


class WireEvent(Struct, gc=False):
    type: str | None = None
    delta: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    item_id: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None
    item: Raw = Raw()
    response: Raw = Raw()
    annotation: Any = None
    logprobs: Any = None
    object: str | None = None


EVENT: msgspec.json.Decoder[WireEvent] = json_decoder(WireEvent)
_ANY = msgspec.json.Decoder()


def decoder(seed: Seed, traits: Traits = DEFAULT_TRAITS) -> StreamDecoder:
    return StreamDecoder(SseFramer(), ResponsesMachine(seed, traits), _guess)


def _there(raw: Raw) -> bool:
    return len(raw) > 0 and bytes(raw) != b"null"


def _guess(first: bytes) -> Framer | None:
    """Some servers answer a request for a stream with one JSON body."""
    return ArrayFramer() if first.lstrip().startswith((b"{", b"[")) else None


class Item:
    """What has been said of one item."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.type = ""
        self.id = ""
        self.call: ToolCall | None = None
        self.done = False
        self.lengths: dict[Any, int] = {}  # characters that each part has by now, by the part's key
        self.tokens: dict[Any, int] = {}  # log probabilities that each text has by now
        self.held: list[str] = []  # arguments that came before the call's name
        self.cited: dict[int, list[Any]] = {}  # sources, by the place in the content
        self.summaries = 0

    @property
    def begun(self) -> bool:
        return bool(self.lengths)


class ResponsesMachine(Machine):
    def __init__(self, seed: Seed, traits: Traits = DEFAULT_TRAITS) -> None:
        super().__init__()
        self._seed, self._lenient = seed, traits.lenient_end
        self._items: dict[int, Item] = {}
        self._refused = False
        self._handlers: dict[str, Callable[[WireEvent], None]] = {
            "response.output_text.delta": self._text,
            "response.output_text.done": self._text_done,
            "response.output_text.annotation.added": self._annotation,
            "response.refusal.delta": self._refusal,
            "response.refusal.done": self._refusal_done,
            "response.reasoning_summary_part.added": self._summary_part,
            "response.reasoning_summary_text.delta": self._summary,
            "response.reasoning_summary_text.done": self._summary_done,
            "response.reasoning_text.delta": self._thought,
            "response.function_call_arguments.delta": self._arguments,
            "response.function_call_arguments.done": self._arguments_done,
            "response.custom_tool_call_input.delta": self._arguments,
            "response.custom_tool_call_input.done": self._arguments_done,
            "response.output_item.added": self._added,
            "response.output_item.done": self._item_done,
            "response.created": self._begins,
            "response.in_progress": self._begins,
            "response.queued": self._begins,
            "response.completed": self._ends,
            "response.incomplete": self._ends,
            "response.failed": self._fails,
            "response.cancelled": self._fails,
            "keepalive": lambda event: self.sink.ping(),
        }

    def frame(self, event: str | None, data: bytes) -> None:
        if data[:1] != b"{" and data.strip() == b"[DONE]":
            return
        said = EVENT.decode(data)
        handler = self._handlers.get(said.type or event or "")
        if handler is not None:
            handler(said)
        elif said.object == "response":
            self._response(data)
        elif said.type == "error" or event == "error" or (said.type is None and b'"error"' in data):
            self.sink.fail(error_of(_ANY.decode(data)))

    def end(self) -> None:
        if self._lenient and self.sink.started and self.sink.pending is None:
            self.sink.finish(Finish(self._reason(WireResponse())))

    # ---- the response

    def _begins(self, event: WireEvent) -> None:
        if _there(event.response) and not self.sink.started:
            response = ANSWER.decode(event.response)
            self.sink.start(response.id or "", response.model or "")

    def _ends(self, event: WireEvent) -> None:
        if not _there(event.response):
            self.sink.finish(Finish(self._reason(WireResponse())))
            self.sink.end()
        else:
            self._response(event.response)

    def _response(self, raw: Raw | bytes) -> None:
        """The whole response, in the last event or in the place of a stream."""
        response = ANSWER.decode(raw)
        if response.status in ("failed", "cancelled") or response.error:
            self.sink.fail(unfinished(_ANY.decode(raw)))
            return
        self.sink.start(response.id or "", response.model or "")
        self._missed(response.output or [])
        if response.usage:
            self.sink.usage(parse_usage(response.usage))
        self.sink.finish(Finish(self._reason(response)))
        self.sink.end()

    def _missed(self, output: list[Raw]) -> None:
        """Items of the final output of which no event spoke, or which never came to their end."""
        ids = {item.id for item in self._items.values() if item.id}
        calls = {item.call.id for item in self._items.values() if item.call is not None}
        for index, raw in enumerate(output):
            wire = CALL.decode(raw)
            known = self._items.get(index)
            if known is None and (wire.id in ids or (wire.call_id is not None and wire.call_id in calls)):
                continue
            if known is None or not known.done:
                self._complete(self._item(index), raw)

    def _reason(self, response: WireResponse) -> Any:
        made: list[Part] = [ToolCall("", "")] if self.sink.calls else []
        return reason_of(response, [*made, *([Refusal("")] if self._refused else [])])

    def _fails(self, event: WireEvent) -> None:
        self.sink.fail(unfinished(_ANY.decode(event.response) if _there(event.response) else {}))

    # ---- items

    def _item(self, index: int | None) -> Item:
        """The item at a place; without a place, the one that is being spoken of."""
        if index is None:
            index = max(self._items, default=0)
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = Item(index)
        return item

    def _added(self, event: WireEvent) -> None:
        if not _there(event.item):
            return
        index = event.output_index if event.output_index is not None else len(self._items)
        item = self._item(index)
        self._describe(item, CALL.decode(event.item), KIND.decode(event.item).type or "")

    def _describe(self, item: Item, wire: WireCall, type: str) -> None:
        item.type, item.id = type or item.type, wire.id or item.id
        if type in ("function_call", "custom_tool_call") and wire.name and item.call is None:
            id = wire.call_id or wire.id or self._seed.item("call_", item.index)
            item.call = ToolCall(id, wire.name, "", type == "custom_tool_call", wire.namespace)
            self._open(item, "call", item.call)
            for text in item.held:
                self._delta(item, "call", text)
            item.held = []

    def _item_done(self, event: WireEvent) -> None:
        if not _there(event.item):
            return
        index = event.output_index
        if index is None:  # servers that do not number: the item that has this id, else a new one
            id = CALL.decode(event.item).id
            same = (item.index for item in self._items.values() if id and item.id == id)
            index = next(same, len(self._items))
        item = self._item(index)
        if not item.done:
            self._complete(item, event.item)

    def _complete(self, item: Item, raw: Raw) -> None:
        """The item as it is at its end: what the deltas have not brought comes now."""
        type = KIND.decode(raw).type or "message"
        self._describe(item, CALL.decode(raw), type)
        item.done = True
        if not item.begun:
            for part in parts_of_answer(raw):
                self._refused = self._refused or isinstance(part, Refusal)
                self.sink.whole(part)
            return
        at = 0  # of the message's content
        for part in parts_of_answer(raw):
            match part:
                case ToolCall():
                    self._repair(item, "call", part.arguments)
                    self.sink.close((item.index, "call"))
                case Thinking():
                    self._repair(item, "thought", part.text)
                    self.sink.close((item.index, "thought"), extra=part.extra)
                case Text() | Refusal():
                    self._close_text(item, ("text" if isinstance(part, Text) else "refusal", at), part)
                    at += 1
                case _:
                    self.sink.whole(part)
        for key in item.lengths:  # what the item did not repeat
            self.sink.close((item.index, key))

    def _close_text(self, item: Item, key: tuple[str, int], part: Text | Refusal) -> None:
        if key not in item.lengths:
            self._open(item, key, Text("") if isinstance(part, Text) else Refusal(""))
        self._repair(item, key, part.text, part.logprobs if isinstance(part, Text) else ())
        cited: tuple[Citation, ...] = part.citations if isinstance(part, Text) else ()
        self.sink.close((item.index, key), cited or citations(item.cited.get(key[1], [])), part.extra)

    # ---- what grows

    def _open(self, item: Item, key: Any, part: Part) -> None:
        if key not in item.lengths:
            item.lengths[key] = 0
            self.sink.open((item.index, key), part)

    def _delta(self, item: Item, key: Any, text: str, tokens: Logprobs = ()) -> None:
        item.lengths[key] += len(text)
        if tokens:
            item.tokens[key] = item.tokens.get(key, 0) + len(tokens)
        self.sink.delta((item.index, key), text, tokens)

    def _repair(self, item: Item, key: Any, whole: str, tokens: Logprobs = ()) -> None:
        """What is missing at the end of a part, by its whole text and all of its log probabilities."""
        missing = whole[item.lengths.get(key, 0) :]
        untold = tokens[item.tokens.get(key, 0) :]
        if (missing or untold) and key in item.lengths:
            self._delta(item, key, missing, untold)

    def _grow(self, event: WireEvent, key: Any, part: Part, text: str | None, tokens: Logprobs = ()) -> None:
        item = self._item(event.output_index)
        if key not in item.lengths:
            self._open(item, key, part)
        if text or tokens:
            self._delta(item, key, text or "", tokens)

    def _text(self, event: WireEvent) -> None:
        tokens = logprobs.read(event.logprobs) if event.logprobs else ()
        self._grow(event, ("text", event.content_index or 0), Text(""), event.delta, tokens)

    def _text_done(self, event: WireEvent) -> None:
        item, key = self._item(event.output_index), ("text", event.content_index or 0)
        if event.text:
            self._open(item, key, Text(""))
            self._repair(item, key, event.text, logprobs.read(event.logprobs))

    def _annotation(self, event: WireEvent) -> None:
        self._item(event.output_index).cited.setdefault(event.content_index or 0, []).append(event.annotation)

    def _refusal(self, event: WireEvent) -> None:
        self._refused = True
        self._grow(event, ("refusal", event.content_index or 0), Refusal(""), event.delta)

    def _refusal_done(self, event: WireEvent) -> None:
        item, key = self._item(event.output_index), ("refusal", event.content_index or 0)
        if event.refusal:
            self._refused = True
            self._open(item, key, Refusal(""))
            self._repair(item, key, event.refusal)

    def _summary_part(self, event: WireEvent) -> None:
        item = self._item(event.output_index)
        if item.lengths.get("thought"):
            self._delta(item, "thought", "\n\n")
        item.summaries = item.lengths.get("thought", 0)

    def _summary(self, event: WireEvent) -> None:
        self._grow(event, "thought", Thinking("", summary=True), event.delta)

    def _summary_done(self, event: WireEvent) -> None:
        item = self._item(event.output_index)
        if event.text:
            self._open(item, "thought", Thinking("", summary=True))
            missing = event.text[item.lengths["thought"] - item.summaries :]
            if missing:
                self._delta(item, "thought", missing)

    def _thought(self, event: WireEvent) -> None:
        self._grow(event, "thought", Thinking(""), event.delta)

    def _arguments(self, event: WireEvent) -> None:
        item = self._item(event.output_index)
        if not event.delta:
            return
        if item.call is None:
            item.held.append(event.delta)
        else:
            self._delta(item, "call", event.delta)

    def _arguments_done(self, event: WireEvent) -> None:
        item = self._item(event.output_index)
        whole = event.arguments if event.arguments is not None else event.input
        if item.call is not None and whole:
            self._repair(item, "call", whole)

