"""What `doctor` says of this machine: programs, mitmproxy's certificate authority, ports."""

from __future__ import annotations

import datetime
import errno
import os
import platform
import stat
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from scripts.doctor import Finding
from scripts.ports import trouble as ports_trouble
from scripts.serve import program

OLDEST_PYTHON = (3, 12)
MITMPROXY = ((12, 2), (13,))  # from, and below
CA_FOLDER = "~/.mitmproxy"
SOON = datetime.timedelta(days=30)


def programs() -> list[Finding]:
    return [_python(), _llm_link(), _mitmproxy()]


def _python() -> Finding:
    detail = f"{platform.python_version()}, {sys.executable}"
    if sys.version_info < OLDEST_PYTHON:
        return Finding("program", "Python", "fail", detail, "install Python 3.12 or newer, and LLM Link with that")
    return Finding("program", "Python", "ok", detail)


def _llm_link() -> Finding:
    home = Path(__file__).resolve().parent.parent
    try:
        return Finding("program", "llm-link", "ok", f"{version('llm-link')}, {home}")
    except PackageNotFoundError:
        return Finding("program", "llm-link", "ok", f"not installed, runs from {home}")


def _mitmproxy() -> Finding:
    advice = "python -m pip install 'mitmproxy>=12.2,<13', with the Python above"
    try:
        found = version("mitmproxy")
    except PackageNotFoundError:
        return Finding("program", "mitmproxy", "fail", "not installed", advice)
    numbers = tuple(int(part) for part in found.split(".")[:3] if part.isdigit())
    detail = f"{found}, {' '.join(program('mitmdump')[:1])}"
    if not MITMPROXY[0] <= numbers < MITMPROXY[1]:
        return Finding("program", "mitmproxy", "fail", detail, advice)
    return Finding("program", "mitmproxy", "ok", detail)


# ------------------------------------------------------------------------------------------------ certificates


def certificates() -> list[Finding]:
    """mitmproxy's own authority, which only clients of an intercepting proxy need to trust."""
    folder = Path(CA_FOLDER).expanduser()
    both, public = folder / "mitmproxy-ca.pem", folder / "mitmproxy-ca-cert.pem"
    name = "mitmproxy CA"
    if not both.exists():
        return [Finding("certificate", name, "ok", f"none yet in {folder}; the first start makes it")]
    try:
        data, rights = (public if public.exists() else both).read_bytes(), stat.S_IMODE(both.stat().st_mode)
    except OSError as error:
        advice = f"give it back to yourself: sudo chown -R $USER {folder}"
        return [Finding("certificate", name, "fail", f"{error.filename} cannot be read: {error.strerror}", advice)]
    from cryptography import x509

    try:
        ends = x509.load_pem_x509_certificate(data).not_valid_after_utc
    except ValueError:
        advice = f"move {folder} away; the next start makes a new one, which clients must trust anew"
        return [Finding("certificate", name, "fail", f"{public} holds no certificate", advice)]
    found = [_validity(name, folder, ends)]
    if rights & 0o077:
        detail = f"others may read its private key, {both}"
        found.append(Finding("certificate", name, "warn", detail, f"chmod 600 {both}"))
    return found


def _validity(name: str, folder: Path, ends: datetime.datetime) -> Finding:
    left = ends - datetime.datetime.now(datetime.UTC)
    detail = f"valid until {ends:%Y-%m-%d}, {folder}"
    advice = f"move {folder} away; the next start makes a new one, which clients must trust anew"
    if left < datetime.timedelta(0):
        return Finding("certificate", name, "fail", f"ended on {ends:%Y-%m-%d}, {folder}", advice)
    if left < SOON:
        return Finding("certificate", name, "warn", detail, advice)
    return Finding("certificate", name, "ok", detail)


# ------------------------------------------------------------------------------------------------ ports


def ports(host: str, port: int, web_port: int) -> list[Finding]:
    """The port that clients come to, and mitmweb's. The second one is only needed with --web."""
    return [_port(host, port, "listen", "--port"), _port("127.0.0.1", web_port, "mitmweb", "--web-port")]


def _port(host: str, port: int, what: str, flag: str) -> Finding:
    at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    name = f"{what} {at}"
    trouble = ports_trouble(host, port)
    if trouble is None:
        return Finding("port", name, "ok", "free")
    if trouble == errno.EADDRINUSE:
        if who := speaks(host, port):
            return Finding("port", name, "ok", f"in use by {who}")
        needed = what == "listen"
        advice = f"stop what uses it (lsof -i :{port} says what), or take another: {flag} N"
        return Finding("port", name, "fail" if needed else "warn", "in use by another program", advice)
    if trouble == errno.EACCES:
        return Finding("port", name, "fail", "this user may not listen there", f"take a port above 1023: {flag} N")
    advice = "name an address of this machine: --host, or `listen` in the config"
    return Finding("port", name, "fail", os.strerror(trouble), advice)


def speaks(host: str, port: int) -> str:
    """Who of ours answers there: "" where nobody does."""
    import http.client

    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = http.client.HTTPConnection(reachable, port, timeout=2)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        body = answer.read(1 << 16)
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
    if answer.getheader("x-llm-link-request-id"):
        return "LLM Link, which runs"
    return "mitmweb, which runs" if b"mitmproxy" in body or b"mitmweb" in body else ""
