"""Whether a port can be listened on, asked before somebody else says so in words of its own."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable

from scripts.terminal import FAILED, fail


def trouble(host: str, port: int) -> int | None:
    """The error number of listening there; None: it works."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as taken:
            if os.name == "posix":
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(address)
            taken.listen(1)
    except (socket.gaierror, UnicodeError):
        return errno.EADDRNOTAVAIL
    except OSError as error:
        return error.errno or errno.EIO
    return None


WORDS = {
    errno.EADDRINUSE: "address already in use: stop what uses it (`lsof -i :{port}`), or use another with {flag}",
    errno.EACCES: "this user may not listen there: take a port above 1023 with {flag}",
    errno.EADDRNOTAVAIL: "this machine has no such address: name one of its own with --host, or in `listen`",
}


def demand(places: Iterable[tuple[str, int]], flag: str = "--port") -> None:
    """Ends with 1 where one of these cannot be listened on. `flag`: what names another port."""
    for host, port in places:
        if number := trouble(host, port):
            why = WORDS.get(number, os.strerror(number)).format(port=port, flag=flag)
            at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            fail(f"cannot listen on {at}: {why}", FAILED)
