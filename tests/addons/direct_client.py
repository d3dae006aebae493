"""A program that knows of no proxy: asks the official hosts by their names and tells what it got, as JSON.

The first word is the name that it runs under; it trusts what SSL_CERT_FILE names. test_intercept_modes.py starts it."""

from __future__ import annotations

import json
import socket
import ssl
import sys
from pathlib import Path

import anthropic
import httpx
from cryptography import x509

MESSAGES = [{"role": "user", "content": "Hi"}]
STREAMED = [{"role": "user", "content": "Ho"}]


def issuer(host: str) -> str:
    """Who signed the certificate that a host shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sock = socket.create_connection((host, 443), timeout=5)
    with context.wrap_socket(sock, server_hostname=host) as wrapped:
        shown = x509.load_der_x509_certificate(wrapped.getpeercert(True) or b"")
    return str(shown.issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def main() -> None:
    Path("/proc/self/comm").write_text(sys.argv[1])
    seen: dict[str, object] = {}
    with anthropic.Anthropic(api_key="sk-ant-the-clients-own", max_retries=0, timeout=10) as sdk:
        whole = sdk.messages.create(model="claude-x", max_tokens=50, messages=MESSAGES)  # type: ignore[arg-type]
        seen["whole"] = whole.content[0].text  # type: ignore[union-attr]
        with sdk.messages.stream(model="claude-x", max_tokens=50, messages=STREAMED) as stream:  # type: ignore[arg-type]
            seen["streamed"] = stream.get_final_text()
    profile = httpx.get("https://api.anthropic.com/api/oauth/profile", headers={"x-api-key": "mine"})
    seen["profile"] = profile.json()
    seen["official_issuer"], seen["foreign_issuer"] = issuer("api.anthropic.com"), issuer("example.com")
    with httpx.Client(verify=False) as foreign:
        seen["foreign"] = foreign.get("https://example.com/x").json()["at"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect(("example.com", 443))
        sock.send(b"\xc0\0\0\0\1" + bytes(1195))  # as QUIC begins
        seen["datagram"] = len(sock.recv(2000))
    print(json.dumps(seen))


main()
