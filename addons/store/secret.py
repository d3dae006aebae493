"""Where the secret of a store comes from: it was given (config or LLM_LINK_SECRET), or the system's keyring keeps it.

A file says which of the two it was made with. In the keyring each store and each rotation has an entry of its own, so
that the old secret is there until the file that needs the new one is.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from .errors import NoSecret

VARIABLE = "LLM_LINK_SECRET"
WHERE = f"{VARIABLE}, or store.secret of the config"
SERVICE = "llm-link"
GIVEN, KEYRING = "given", "keyring"

_HOW = f"set {VARIABLE}, or unlock the keyring of this system"


def account(head: dict[str, Any]) -> str:
    return f"store {head['id']} {head['key_id']}"


def kept(path: Path, head: dict[str, Any]) -> str:
    """The secret of a store out of the keyring. Raises `NoSecret`."""
    found = _ask(path, lambda keyring: keyring.get_password(SERVICE, account(head)))
    if not found:
        raise NoSecret.at(path, f"the keyring of this system has no secret for it ({SERVICE}, {account(head)})")
    return str(found)


def keep_new(path: Path, head: dict[str, Any]) -> str:
    """A new secret, kept by the keyring. Raises `NoSecret` where there is none that keeps what it is given."""
    secret = secrets.token_urlsafe(32)

    def put(keyring: Any) -> Any:
        keyring.set_password(SERVICE, account(head), secret)
        return keyring.get_password(SERVICE, account(head))

    if _ask(path, put) != secret:  # a backend that throws away
        raise NoSecret.at(path, f"needs a secret and the keyring of this system keeps none: {_HOW}")
    return secret


def forget(path: Path, head: dict[str, Any]) -> None:
    """Takes a secret that is not used any more out of the keyring."""
    _ask(path, lambda keyring: keyring.delete_password(SERVICE, account(head)))


def _ask(path: Path, what: Any) -> Any:
    import keyring
    from keyring.errors import KeyringError, NoKeyringError

    try:
        return what(keyring)
    except NoKeyringError:
        raise NoSecret.at(path, f"needs a secret, and this system has no keyring to keep one: set {VARIABLE}") from None
    except (KeyringError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise NoSecret.at(path, f"needs a secret, and the keyring does not answer ({reason}): {_HOW}") from None
