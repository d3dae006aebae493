"""Usage: what the exchange cost in tokens, time and money, and what the prompt is made of."""

from __future__ import annotations

from addons import marks
from addons.views.reading import Unreadable, asked_by_client
from addons.views.record import Record, Shown, Tokens, Turn
from addons.views.text import number, seconds
from translators.embed import EmbedRequest
from translators.model import Request
from translators.pretty import heading, table
from translators.tokens import estimate

_NOTHING = estimate(Request())
_TOOLS = 8  # of which a row of their own is shown
_BAR = 30


def usage(shown: Shown) -> str:
    """The same on both sides of the exchange."""
    record = shown.record
    blocks = [_tokens(record), _speed(record), _made_of(shown)]
    return "\n".join(block for block in blocks if block)


def _tokens(record: Record) -> str:
    found = record.usage
    if found is None:
        return "the upstream said nothing of tokens" if record.timings.ended else "no tokens were counted yet"
    cached = f"{found.cache_read / found.prompt:.0%} of the prompt" if found.prompt else ""
    rows = [
        ["prompt", _count(found.prompt), "estimated" if found.estimated else ""],
        ["  uncached", _count(found.input)],
        ["  cache hits", _count(found.cache_read), cached],
        ["  written to the cache", _count(found.cache_write)],
        ["answer", _count(found.completion)],
        ["  text and calls", _count(found.output)],
        ["  reasoning", _count(found.reasoning)],
    ]
    if record.cost is not None:
        rows.append(["cost", f"${record.cost:.6f}"])
    return heading("tokens") + "\n" + table(_right(rows, 1))


def _right(rows: list[list[str]], column: int) -> list[list[str]]:
    width = max((len(row[column]) for row in rows), default=0)
    return [[cell.rjust(width) if n == column else cell for n, cell in enumerate(row)] for row in rows]


def _speed(record: Record) -> str:
    times = record.timings
    rows = []
    first, last = _first_and_last(record)
    if first is not None:
        rows.append(["first bytes of the answer", f"after {seconds(first)}"])
    if times.ended is not None:
        rows.append(["whole", seconds(times.ended - times.started)])
    if record.usage is not None and first is not None and last is not None and last > first:
        rows.append(["tokens a second", f"{_rate(record.usage, last - first)} while the answer came"])
    return heading("time") + "\n" + table(rows) if rows else ""


def _rate(tokens: Tokens, duration: float) -> str:
    return f"{tokens.completion / duration:.1f}"


def _first_and_last(record: Record) -> tuple[float | None, float | None]:
    """When the upstream's answer began and ended, in seconds after the start. A head alone is no beginning."""
    response = record.attempt.response if record.attempt is not None else None
    passed = [ms / 1000 for size, ms in marks.read(response.marks) if size] if response is not None else []
    if passed:
        return passed[0], passed[-1]
    start, head, ended = record.timings.started, record.timings.head, record.timings.ended
    return (head - start if head else None), (ended - start if ended and record.client.stream else None)


def _made_of(shown: Shown) -> str:
    """Where a prompt's tokens are, by our own estimate."""
    try:
        request = asked_by_client(shown)
    except Unreadable:
        return ""
    if isinstance(request, EmbedRequest):
        return ""
    rows = _shares(request, shown.record.conversation)
    whole = max(1, sum(size for _, size in rows))
    lines = [[name, _count(size), f"{size / whole:4.0%}", "█" * round(_BAR * size / whole)] for name, size in rows]
    return heading("what the prompt is made of, estimated") + "\n" + table(_right(lines + _by_tool(request), 1))


def _shares(request: Request, turn: Turn | None) -> list[tuple[str, int]]:
    messages = request.messages
    known = min(turn.known, len(messages)) if turn is not None else 0
    system = [m for m in messages if m.role in ("system", "developer")]
    before = [m for m in messages[:known] if m.role not in ("system", "developer")]
    new = [m for m in messages[known:] if m.role not in ("system", "developer")]
    shares = [
        ("system", _size(Request(messages=system))),
        (f"{number(len(before), 'message')} said before", _size(Request(messages=before))),
        (number(len(new), "new message"), _size(Request(messages=new))),
        (number(len(request.tools), "tool"), _size(Request(tools=request.tools))),
    ]
    return [share for share in shares if share[1]]


def _by_tool(request: Request) -> list[list[str]]:
    """The largest, each without what a provider writes as soon as there is one."""
    if len(request.tools) < 2:
        return []
    sizes = [(_size(Request(tools=[tool, tool])) - _size(Request(tools=[tool])), tool.name) for tool in request.tools]
    largest = sorted(sizes, key=lambda each: -each[0])[:_TOOLS]
    return [[f"  {name}", _count(size)] for size, name in largest]


def _size(request: Request) -> int:
    return estimate(request) - _NOTHING


def _count(number: int) -> str:
    return f"{number:,}"
