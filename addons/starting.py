"""mitmproxy listens before its addons are ready. A request in between makes one of them log an error, and an error
during the start ends the process: so the first clients wait."""

from __future__ import annotations

import asyncio

from mitmproxy import ctx


def started() -> bool:
    config = ctx.master.addons.get("tlsconfig")
    return config is None or getattr(config, "certstore", None) is not None


async def starting() -> None:
    while not started():
        await asyncio.sleep(0.01)
