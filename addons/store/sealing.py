"""Keys at rest: AES-256-GCM with a key that scrypt makes out of the secret and the file's own salt.

What is sealed is bound to its record by the associated data: to the name and the address that the key is for, and to
the form and the key id. A sealed key that was moved to another record, or whose address was changed, does not open.
The head of the file holds a sealed word that everybody knows, so that a wrong secret is known for what it is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
from functools import lru_cache
from typing import Any

PREFIX = "aes256gcm:"
VERSION = 2  # 1 was SHA-256 of the secret, without salt; it is read where it was imported, and never written
N, R, P = 2**15, 8, 3  # 32 MiB and a quarter of a second
MOST_MEMORY = 256 << 20  # a file may not ask for more

_CHECK = "llm-link"
_NONCE = 12


class Unopened(Exception):
    """It does not open: another secret, or not what was sealed."""


def new_head() -> dict[str, Any]:
    """What a new salt needs in the head of its file, but for the check."""
    kdf = {"name": "scrypt", "n": N, "r": R, "p": P, "salt": base64.b64encode(secrets.token_bytes(16)).decode()}
    return {"kdf": kdf, "key_id": secrets.token_hex(4)}


class Sealer:
    """Seals and opens with one secret, for one head. Deriving its key takes a while: keep it off an event loop."""

    def __init__(self, secret: str, head: dict[str, Any]) -> None:
        kdf = head["kdf"]
        n, r, p = int(kdf["n"]), int(kdf["r"]), int(kdf["p"])
        if kdf["name"] != "scrypt" or 128 * r * n > MOST_MEMORY or not 0 < p <= 16:
            raise ValueError("its key derivation is none that is known here")
        self.key_id = str(head["key_id"])
        self._secret = secret
        self._key = _derive(secret, base64.b64decode(kdf["salt"], validate=True), n, r, p)

    def check(self) -> str:
        return self.seal(_CHECK, "", "")

    def fits(self, head: dict[str, Any]) -> bool:
        """Whether this is the secret that the file was sealed with."""
        try:
            return self.open(str(head["check"]), "", "") == _CHECK
        except Unopened:
            return False

    def seal(self, text: str, name: str, address: str) -> str:
        nonce = secrets.token_bytes(_NONCE)
        data = _aead(self._key).encrypt(nonce, text.encode(), self._bound(name, address))
        return f"{PREFIX}{VERSION}.{self.key_id}.{base64.b64encode(nonce + data).decode()}"

    def open(self, sealed: str, name: str, address: str) -> str:
        """Raises `Unopened`."""
        version, _, rest = sealed.removeprefix(PREFIX).rpartition(".")
        if not version:  # the form of others
            return _open(hashlib.sha256(self._secret.encode()).digest(), rest, None)
        if version != f"{VERSION}.{self.key_id}":
            raise Unopened
        return _open(self._key, rest, self._bound(name, address))

    def _bound(self, name: str, address: str) -> bytes:
        return json.dumps(["llm-link", VERSION, self.key_id, name, address]).encode()


def sealed_fault(sealed: str) -> str:
    """What is wrong with the form of a sealed key; "" where nothing is."""
    _, _, data = sealed.removeprefix(PREFIX).rpartition(".")
    try:
        whole = sealed.startswith(PREFIX) and len(base64.b64decode(data, validate=True)) >= _NONCE + 16
    except (binascii.Error, ValueError):
        whole = False
    return "" if whole else f"is no sealed key: expected {PREFIX}BASE64"


def _open(key: bytes, data: str, bound: bytes | None) -> str:
    from cryptography.exceptions import InvalidTag

    try:
        raw = base64.b64decode(data, validate=True)
        return _aead(key).decrypt(raw[:_NONCE], raw[_NONCE:], bound).decode()
    except (InvalidTag, ValueError):  # also what is no base64, too short, or no text
        raise Unopened from None


def _aead(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


@lru_cache(maxsize=4)
def _derive(secret: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, maxmem=MOST_MEMORY + (1 << 20), dklen=32)
