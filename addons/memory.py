"""What clients cannot carry from turn to turn, remembered for them: opaque tokens, as `translators.carry` packs them.
Bounded in number, bytes and age; gone with the process, after which a conversation goes on without them.

Each client sees its own only. It is known by a digest of its credential, salted anew for each process.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

ENTRIES = 50_000
BYTES = 64 << 20
AGE = 24 * 3600.0  # seconds


class TurnMemory:
    """The turns of all clients; those that were used last stay longest."""

    def __init__(
        self,
        entries: int = ENTRIES,
        size: int = BYTES,
        age: float = AGE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._room, self._age, self._clock = entries, size, age, clock
        self._salt = secrets.token_bytes(16)
        self._kept: OrderedDict[tuple[str, str], tuple[float, bytes]] = OrderedDict()
        self._owned: Counter[str] = Counter()  # entries of each client that has any
        self.size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, credentials: Sequence[str]) -> ClientMemory:
        """The part of the client that presents these."""
        said = "\0".join(credentials).encode("utf-8", "surrogateescape")
        return ClientMemory(self, hashlib.blake2b(said, key=self._salt, digest_size=16).hexdigest())

    def owned(self, owner: str) -> ClientMemory:
        """The part of a client that is known by its digest."""
        return ClientMemory(self, owner)

    def get(self, key: tuple[str, str]) -> bytes | None:
        found = self._kept.get(key)
        if found is None:
            return None
        if self._clock() - found[0] > self._age:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found[1]

    def put(self, key: tuple[str, str], value: bytes) -> None:
        if key in self._kept:
            self._drop(key)
        if _cost(value) > self._room:
            return
        self._kept[key] = self._clock(), value
        self._owned[key[0]] += 1
        self.size += _cost(value)
        while len(self._kept) > self._most or self.size > self._room:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[str, str]) -> None:
        self.size -= _cost(self._kept.pop(key)[1])
        self._owned[key[0]] -= 1
        if not self._owned[key[0]]:
            del self._owned[key[0]]

    def knows(self, owner: str) -> bool:
        """Whether anything is kept for a client: most have nothing, and their histories need not be looked at."""
        return owner in self._owned


def _cost(value: bytes) -> int:
    """The bytes of an entry, those of its keys and of its place included."""
    return len(value) + 400


class ClientMemory:
    """One client's part; a `translators.carry.Memory`."""

    def __init__(self, turns: TurnMemory, owner: str) -> None:
        self._turns, self.owner = turns, owner

    def __bool__(self) -> bool:
        return self._turns.knows(self.owner)

    def get(self, key: str) -> bytes | None:
        return self._turns.get((self.owner, key))

    def put(self, key: str, value: bytes) -> None:
        self._turns.put((self.owner, key), value)
