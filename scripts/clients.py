"""`scripts/clients`: real clients through a real mitmdump, each against each of the five upstream protocols.

Every client is asked to write a file. The model behind the proxy is scripted (`clients_model`): it calls the client's
own tool and, once the result is there, repeats some of it. Prints a matrix, and why where something was not as it
should be; exits with 1 then.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts.clients_install import NotInstalled, default_folder, install
from scripts.clients_others import WIRES
from scripts.clients_run import Result, linked, run
from scripts.clients_server import FAULTS
from scripts.clients_table import CLIENTS, Client
from scripts.clients_ways import ROWS

UPSTREAMS = list(WIRES)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/clients", description=__doc__)
    parser.add_argument("--client", action="append", metavar="NAME", help="only clients whose name contains this")
    parser.add_argument("--upstream", action="append", choices=UPSTREAMS, help="only this upstream protocol")
    parser.add_argument("--install", type=Path, default=default_folder(), metavar="DIR", help="where the clients are")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep homes, outputs and logs in this new folder")
    parser.add_argument("--fault", default="", choices=FAULTS, help="the model fails once: what do clients make of it?")
    parser.add_argument("--jobs", type=int, default=1, help="how many upstream protocols at once")
    parser.add_argument("--ways", action="store_true", help="as `apps configure` and `launch` point them here")
    parser.add_argument("--markdown", action="store_true", help="print the matrix as Markdown")
    parser.add_argument("--losses", action="store_true", help="print what the proxy reported as lost")
    return parser.parse_args(argv)


def chosen(names: list[str] | None, ways: bool = False) -> list[Client]:
    return [
        c for c in (ROWS if ways else CLIENTS) if not names or any(name.lower() in c.name.lower() for name in names)
    ]


def against(upstream: str, clients: list[Client], asked: argparse.Namespace, keep: Path) -> list[Result]:
    """All clients on one upstream protocol, one after the other."""
    results = []
    with linked(upstream, keep / upstream, asked.fault) as link:
        for client in clients:
            result = run(client, link, asked.install)
            results.append(result)
            print(line(result), file=sys.stderr, flush=True)
    return results


def line(result: Result) -> str:
    said = "; ".join(result.troubles)
    outcome = f"FAIL: {said}" if said else "ok"
    return f"{result.client.name} -> {result.upstream}: {outcome} ({result.seconds:.1f} s)"


def matrix(results: list[Result]) -> str:
    """A row for each client on each of its wires, with the seconds that it took."""
    upstreams = [name for name in UPSTREAMS if any(r.upstream == name for r in results)]
    cells = {(r.client.title, r.upstream): f"{'FAIL' if r.troubles else 'ok'} {r.seconds:.0f} s" for r in results}
    titles = list(dict.fromkeys(title for title, _ in cells))
    rows = [["client", *upstreams], *([title, *(cells.get((title, u), "") for u in upstreams)] for title in titles)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def markdown(results: list[Result]) -> str:
    """A row for each program, as README has it. A cell counts the rows of `matrix` behind it, unless all is well."""
    programs: dict[str, list[Result]] = {}
    for result in results:
        programs.setdefault(f"{result.client.program} {result.client.version}", []).append(result)
    rows = [["client", "speaks", *UPSTREAMS], ["---"] * (2 + len(UPSTREAMS))]
    for title, own in programs.items():
        wires = ", ".join(dict.fromkeys(result.client.wire for result in own))
        rows.append([title, wires, *(cell([r for r in own if r.upstream == name]) for name in UPSTREAMS)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cell(results: list[Result]) -> str:
    good = sum(not result.troubles for result in results)
    return f"{good} of {len(results)}" if good < len(results) else "ok" if results else ""


def main(argv: list[str] | None = None) -> int:
    asked = arguments(argv)
    clients = chosen(asked.client, asked.ways)
    if not clients:
        print(f"no such client; there are: {', '.join(client.name for client in CLIENTS)}", file=sys.stderr)
        return 2
    try:
        install(asked.install, clients)
    except NotInstalled as error:
        print(error, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="llm-link-clients-") as scratch, ThreadPoolExecutor(asked.jobs) as pool:
        keep = (asked.keep or Path(scratch)).resolve()
        runs = [pool.submit(against, u, clients, asked, keep) for u in asked.upstream or UPSTREAMS]
        results = [result for done in runs for result in done.result()]
    results.sort(key=lambda result: clients.index(result.client))
    print(markdown(results) if asked.markdown else matrix(results))
    if asked.losses:
        for text in sorted({f"{r.client.name} -> {r.upstream}: {loss}" for r in results for loss in r.losses}):
            print(text)
    return 1 if any(result.troubles for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
