"""The keeper's side of the mirror: it starts the process that makes it, every MIRROR_EVERY_S.

A process of its own: making the mirror takes memory and time that the keeper, which publishes the logs, does not have.
"""

from __future__ import annotations

import asyncio
import logging

from core import limits
from core.config import Config
from node.mirror import mirror_command

_LOG = logging.getLogger("saltern.mirror")


async def keep_mirror(config: Config, stopping: asyncio.Event) -> None:
    """Start it again and again until it is told to stop; one that runs is ended then. The first time after a while."""
    while not stopping.is_set():
        try:
            await asyncio.wait_for(stopping.wait(), limits.MIRROR_EVERY_S)
        except TimeoutError:
            await _make(config, stopping)


async def _make(config: Config, stopping: asyncio.Event) -> None:
    try:
        process = await asyncio.create_subprocess_exec(*mirror_command(config), stdin=asyncio.subprocess.DEVNULL)
    except OSError as error:
        _LOG.error("the mirror is not made: %s", error)
        return
    ended, stop = asyncio.create_task(process.wait()), asyncio.create_task(stopping.wait())
    await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not ended.done():
        process.terminate()
    code = await ended
    if code and not stopping.is_set():
        _LOG.error("the mirror is not made: its process ended with %d; queries read the log itself meanwhile", code)
