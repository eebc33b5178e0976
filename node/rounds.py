"""Rounds of a process that are run in a thread: one that hangs does not keep the process from ending."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from typing import Final

_LEFT_S: Final = 0.5


async def unless(stopping: asyncio.Event, round_: Awaitable[None], left_s: float = _LEFT_S) -> None:
    """Run a round; one that waits when the process is to end is left, as if the process were killed."""
    running, stop = asyncio.ensure_future(round_), asyncio.ensure_future(stopping.wait())
    await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not running.done():
        await asyncio.wait({running}, timeout=left_s)
    if not running.done():
        os._exit(0)
    await running
