"""`llm-link export`: what `llm.export` writes, from a saved file. A program of its own, since only `addons/` knows
mitmproxy's files."""

from __future__ import annotations

import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p).resolve() not in (HERE, HERE.parent))]

import msgspec  # noqa: E402
from mitmproxy import io  # noqa: E402
from mitmproxy.exceptions import FlowReadException  # noqa: E402
from mitmproxy.http import HTTPFlow  # noqa: E402

from addons.exchange import METADATA  # noqa: E402
from addons.export import FORMATS, ExportError  # noqa: E402
from addons.exporting import exported, write  # noqa: E402
from addons.views.text import outcome  # noqa: E402
from translators.pretty import table  # noqa: E402


class Order(msgspec.Struct):
    """`form`: "" for a list of what there is; `number`: of the exchange, from 1 on, or from -1 back."""

    flows: str
    form: str = ""
    number: int = -1
    output: str = ""


def main() -> int:
    """The order comes as JSON on standard input. 0 good, 1 it cannot be written so, 2 there is no such exchange."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    try:
        with Path(order.flows).open("rb") as file:
            stream = io.FlowReader(file).stream()
            found = [flow for flow in stream if isinstance(flow, HTTPFlow) and METADATA in flow.metadata]
    except (OSError, FlowReadException) as error:
        return _fail(f"{order.flows}: {error}", 2)
    if not order.form:
        print(table(_rows(found)) if found else f"{order.flows} holds no exchange")
        return 0
    if not -len(found) <= order.number < len(found) + 1 or not order.number:
        return _fail(f"{order.flows} holds {len(found)} exchanges, and none with the number {order.number}", 2)
    try:
        files = FORMATS[order.form](exported(found[order.number - (order.number > 0)]))
        if order.output:
            print("wrote " + ", ".join(map(str, write(files, Path(order.output)))))
        elif "" in files:
            print(files[""], end="")
        else:
            return _fail(f"a {order.form} is a folder: name it with --output", 2)
    except (ExportError, OSError) as error:
        return _fail(str(error), 1)
    return 0


def _rows(flows: list[HTTPFlow]) -> list[list[str]]:
    rows = [["number", "time", "client", "model", "upstream", "outcome"]]
    for number, flow in enumerate(flows, 1):
        try:
            record = exported(flow).record
        except ExportError as error:
            rows.append([str(number), "", "", "", "", str(error)])
            continue
        attempt = record.attempt
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.timings.started))
        upstream = "-" if attempt is None else f"{attempt.upstream}/{attempt.model}"
        rows.append([str(number), at, record.client.protocol, record.client.model or "-", upstream, outcome(record)])
    return rows


def _fail(message: str, code: int) -> int:
    print(f"llm-link: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
