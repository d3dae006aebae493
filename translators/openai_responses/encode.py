"""Writing the stream of a Responses answer.

What clients demand: `response.created` first, then `in_progress`; a number on every event that rises by one; every item
added before its deltas and done with the same ids; the whole output in the last event, of which there is exactly one.
An item is done only when what follows it is known, so that one that was cut off by a limit can say so. Codex takes
items from `output_item.done`; other clients from the last event.

A delta costs its number and one JSON string between bytes that were made when its part began.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..codec import Seed
from ..endings import last_words
from ..events import Event, Failure, Finish, PartDelta, PartEnd, PartStart, Ping, Start, UsageUpdate
from ..framing import sse
from ..model import Logprob, Part, Refusal, Request, Text, Thinking, ToolCall, Usage
from .errors import failed_object
from .parts import render_citations
from .response import (
    COMPLETED,
    INCOMPLETE,
    Asked,
    call_item,
    call_prefix,
    finished,
    in_words,
    incomplete_of,
    logprobs_list,
    message_item,
    output_text,
    plain_item,
    reasoning_item,
    refusal,
)
from .wire import Json, encode, own

COMMENT = b": keepalive\n\n"
# A failure after events that this encoder did not write: their number is not known, but this one is higher.
_UNSEEN = 1_000_000


def keep_alive() -> bytes:
    """Without a stream's state, a comment: it keeps connections open, but Codex does not count it as a sign of life."""
    return COMMENT


class ResponsesEncoder:
    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, asked: Request, seed: Seed) -> None:
        self._wants, self._seed = Asked(asked, seed), seed
        self._sequence = 0
        self._started = self._over = False
        self._id = self._model = ""
        self._usage: Usage | None = None
        self._output: list[Json] = []  # items that are done, and the last one, which may be still open
        self._content: list[Json] | None = None  # of the message that is open
        self._phase: str | None = None
        self._closing: Json | None = None  # the item that is complete, but not yet done
        self._part: Part | None = None
        self._texts: list[str] = []
        self._tokens: list[Logprob] = []  # of the part, where the client wants to know
        self._refused = False
        self._before = self._after = b""
        self._handlers: dict[type, Callable[[Any], bytes]] = {
            Start: self._start,
            PartStart: self._begin,
            PartEnd: self._end,
            UsageUpdate: self._remember,
            Finish: self._finish,
            Failure: self._fail,
            Ping: lambda event: self.keep_alive(),
        }

    def encode(self, event: Event) -> bytes:
        if type(event) is PartDelta:
            text = event.text
            opened = b"" if self._before or not text else self._open()
            after = self._with(event.logprobs) if event.logprobs and self._wants.logprobs else self._after
            if not self._before:
                if isinstance(self._part, ToolCall):  # one whose arguments come whole
                    self._texts.append(text)
                return b""
            self._texts.append(text)
            number, self._sequence = self._sequence, self._sequence + 1
            return b"%b%b%d%b%b}\n\n" % (opened, self._before, number, after, encode(text))
        return self._handlers[type(event)](event)

    def _with(self, tokens: Sequence[Logprob]) -> bytes:
        """What stands before the words of a text's delta, with their log probabilities."""
        self._tokens += tokens
        return b',"logprobs":%b,"delta":' % encode(logprobs_list(tokens))

    def keep_alive(self) -> bytes:
        """An event that clients take no notice of but their timers do. Nothing before the first event or after the
        last."""
        return self._event("keepalive") if self._started and not self._over else b""

    def _event(self, type: str, **fields: Any) -> bytes:
        number, self._sequence = self._sequence, self._sequence + 1
        return sse(encode({"type": type, "sequence_number": number, **fields}), type)

    # ---- the response

    def _start(self, event: Start) -> bytes:
        self._started, self._id, self._model, self._usage = True, event.id, event.model, event.usage
        response = self._response("in_progress", [])
        created = self._event("response.created", response=response)
        return created + self._event("response.in_progress", response=response)

    def _response(self, status: str, output: list[Json]) -> Json:
        return self._wants.response(self._id, self._model, status, output)

    def _remember(self, event: UsageUpdate) -> bytes:
        self._usage = event.usage
        return b""

    def _finish(self, event: Finish) -> bytes:
        out = b""
        words = last_words(event.reason, event.detail, bool(self._output), self._refused)
        if words is not None:
            said: list[Event] = [PartStart(0, type(words)("")), PartDelta(0, words.text), PartEnd(0)]
            out = b"".join(map(self.encode, said))
        incomplete = incomplete_of(event.reason, self._refused)
        out += self._done(COMPLETED if incomplete is None else INCOMPLETE)
        response = finished(self._response(COMPLETED, self._output), incomplete, self._usage)
        self._over = True
        return out + self._event(f"response.{response['status']}", response=response)

    def _fail(self, event: Failure) -> bytes:
        self._before = b""
        out = self._done(INCOMPLETE) if self._started else b""
        if not self._started:
            self._sequence = _UNSEEN
            if event.start is not None:  # clients want one id in a stream
                self._id, self._model = event.start.id, event.start.model
        response = self._response("failed", self._output)
        response["error"] = failed_object(event.error)
        if self._usage is not None:
            finished(response, None, self._usage)
        self._over = True
        return out + self._event("response.failed", response=response)

    # ---- items

    @property
    def _index(self) -> int:
        """The place of the item that is open."""
        return len(self._output) - 1

    def _add(self, item: Json) -> bytes:
        self._output.append(item)
        return self._event("response.output_item.added", output_index=self._index, item=item)

    def _done(self, status: str = COMPLETED) -> bytes:
        """The last item is over; with a message its parts are."""
        if self._content is not None:
            id = self._output[-1]["id"]
            self._closing = message_item(id, self._content, status, self._phase)
            self._content, self._phase = None, None
        item, self._closing = self._closing, None
        if item is None:
            return b""
        if "status" in item and status == INCOMPLETE:
            item = {**item, "status": status}
        self._output[-1] = item
        return self._event("response.output_item.done", output_index=self._index, item=item)

    def _new_id(self, prefix: str) -> str:
        return self._seed.item(prefix, len(self._output))

    def _begin(self, event: PartStart) -> bytes:
        """Texts and thoughts begin with their first words: there is no item for an empty one."""
        part = self._part = event.part
        self._texts, self._tokens, self._before = [], [], b""
        match part:
            case Text() | Refusal():
                return b""
            case Thinking():
                return self._done()
            case ToolCall():
                return self._done() + self._begin_call(part)
            case _:
                return self._whole(part)

    def _open(self) -> bytes:
        """What comes before the first words of the part; nothing, and no words either, where it is not shown."""
        match self._part:
            case Text() | Refusal() as part:
                return self._open_text(part)
            case Thinking() if self._wants.thoughts:
                return self._open_thought()
            case _:
                return b""

    def _end(self, event: PartEnd) -> bytes:
        part, text, shown = self._part, "".join(self._texts), bool(self._before)
        self._part, self._before = None, b""
        match part:
            case Text() | Refusal() if shown:
                return self._end_text(part, text, event)
            case Thinking():
                return self._end_thought(part, text, event)
            case ToolCall() if event.cut:  # clients carry it out where it is done, whatever its status
                kind = self._wants.kind_of(part)
                self._output[-1] = call_item(self._output[-1]["id"], kind, part, text, INCOMPLETE)
                return b""
            case ToolCall():
                return self._end_call(part, text)
            case _:
                return b""

    def _place(self, type: str, **where: int) -> None:
        """The bytes around the deltas of the part that has begun."""
        head = encode({"type": type, "item_id": self._output[-1]["id"], "output_index": self._index, **where})
        self._before = b"event: %b\ndata: %b" % (type.encode(), head[:-1] + b',"sequence_number":')
        self._after = b',"logprobs":[],"delta":' if type == "response.output_text.delta" else b',"delta":'

    def _about(self, **where: int) -> dict[str, Any]:
        return {"item_id": self._output[-1]["id"], "output_index": self._index, **where}

    def _whole(self, part: Part) -> bytes:
        """A part that comes at once: an item, or words in the message."""
        item = plain_item(part, f"{self._seed.id}{len(self._output):02d}")
        if item is not None:
            out = self._done() + self._add(item)
            self._closing = item
            return out
        text = in_words(part)
        if not text:
            return b""
        self._part = Text("")
        return self.encode(PartDelta(0, text))

    # ---- texts

    def _open_text(self, part: Text | Refusal) -> bytes:
        phase = own(part.extra).get("phase")
        out = b""
        if self._content is None or (phase is not None and self._content):
            out = self._done()
            self._content = []
            id = self._new_id("msg_")
            out += self._add(message_item(id, [], "in_progress", phase))
        self._phase = phase or self._phase
        at = len(self._content)
        refused = isinstance(part, Refusal)
        self._refused = self._refused or refused
        empty = refusal("") if refused else output_text("")
        out += self._event("response.content_part.added", **self._about(content_index=at), part=empty)
        self._place("response.refusal.delta" if refused else "response.output_text.delta", content_index=at)
        return out

    def _end_text(self, part: Text | Refusal, text: str, event: PartEnd) -> bytes:
        assert self._content is not None
        about = self._about(content_index=len(self._content))
        out = b""
        if isinstance(part, Refusal):
            said = refusal(text)
            out += self._event("response.refusal.done", **about, refusal=text)
        else:
            cited = render_citations(text, (*part.citations, *event.citations))
            said = output_text(text, cited, self._tokens)
            for n, annotation in enumerate(cited):
                added = "response.output_text.annotation.added"
                out += self._event(added, **about, annotation_index=n, annotation=annotation)
            out += self._event("response.output_text.done", **about, text=text, logprobs=said["logprobs"])
        self._phase = own(event.extra).get("phase") or self._phase
        self._content.append(said)
        return out + self._event("response.content_part.done", **about, part=said)

    # ---- thoughts

    def _open_thought(self) -> bytes:
        out = self._add(reasoning_item(self._new_id("rs_"), "", None))
        empty = {"type": "summary_text", "text": ""}
        out += self._event("response.reasoning_summary_part.added", **self._about(summary_index=0), part=empty)
        self._place("response.reasoning_summary_text.delta", summary_index=0)
        return out

    def _end_thought(self, part: Thinking, text: str, event: PartEnd) -> bytes:
        token = own(event.extra).get("encrypted_content") or own(part.extra).get("encrypted_content")
        out = b""
        if text:
            about = self._about(summary_index=0)
            whole = {"type": "summary_text", "text": text}
            out += self._event("response.reasoning_summary_text.done", **about, text=text)
            out += self._event("response.reasoning_summary_part.done", **about, part=whole)
        elif token:
            out += self._add(reasoning_item(self._new_id("rs_"), "", None))
        else:
            return out
        self._closing = reasoning_item(self._output[-1]["id"], text, token)
        return out

    # ---- calls

    def _begin_call(self, part: ToolCall) -> bytes:
        kind = self._wants.kind_of(part)
        out = self._add(call_item(self._new_id(call_prefix(kind)), kind, part, "", "in_progress"))
        if delta := _DELTAS.get(kind):
            self._place(delta + ".delta")
        else:
            self._before, self._after = b"", b""
        return out

    def _end_call(self, part: ToolCall, text: str) -> bytes:
        kind = self._wants.kind_of(part)
        delta = _DELTAS.get(kind)
        out = b""
        if delta is not None:
            if not text and not part.custom:
                self._part = part
                self._place(delta + ".delta")
                text = "{}"  # clients parse the arguments of a call that has none
                out = self.encode(PartDelta(0, text))
                self._part, self._before = None, b""
            field = "input" if part.custom else "arguments"
            out += self._event(delta + ".done", **self._about(), **{field: text})
        self._closing = call_item(self._output[-1]["id"], kind, part, text, COMPLETED)
        return out


_DELTAS = {
    "function_call": "response.function_call_arguments",
    "custom_tool_call": "response.custom_tool_call_input",
}
