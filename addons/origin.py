"""What a replay replays: a flow whose request the operator sends once more, and what is to be different this time.

It stands in for the sender's credentials, which are gone: a replay passes `auth`, and has no key to hand on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Order(msgspec.Struct, frozen=True):
    """What the operator wants otherwise; "": as it was. `target`: `UPSTREAM/MODEL`, whatever the routes say; `model`:
    another client-visible name; `policy`: another one than the config's."""

    target: str = ""
    model: str = ""
    policy: str = ""


AS_IT_WAS = Order()


class Origin(msgspec.Struct, frozen=True):
    """`flow`: the flow whose request it is; `id`: the request id of the exchange, "" where the flow was none of ours;
    `owner`: whose turns were remembered; `credential`: where the client presented its key, "" where it had none;
    `beside`: the flow that this one is compared with."""

    flow: str
    id: str = ""
    owner: str = ""
    credential: str = ""
    order: Order = AS_IT_WAS
    beside: str = ""

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {"flow": self.flow, "id": self.id, "beside": self.beside, **msgspec.to_builtins(self.order)}


def origin(flow: str, record: Mapping[str, Any] | None, order: Order = AS_IT_WAS) -> Origin:
    """`record`: of the exchange that is replayed, where it was one; one of an earlier version may lack a part."""
    if not record:
        return Origin(flow, order=order)
    client = record["client"]
    return Origin(flow, record["id"], client.get("owner", ""), client.get("credential", ""), order)
