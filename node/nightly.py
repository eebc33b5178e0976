"""What the keeper has made each night by commands of its own: when it is due, how it is run, what it says.

A command runs as a process of the lowest priority, under the settings that are in force here; it is ended when the node
is told to stop, and then leaves nothing that counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import Final

from core.clock import DAY_MS, Millis, shanghai_date, shanghai_midnight
from core.config import Config
from core.settings import BY_NAME
from node.restored import toml_value

_NICE: Final = 19
_ACTOR: Final = "keeper"
_REASON_BYTES: Final = 4_000


def night_before(now_ms: Millis, hour_ms: int) -> Millis:
    """Return the last time of the night, ``hour_ms`` behind midnight of Shanghai, that is not ahead."""
    midnight = shanghai_midnight(shanghai_date(now_ms)) + hour_ms
    return Millis(midnight if midnight <= now_ms else midnight - DAY_MS)


def own_command(config: Config, *arguments: str) -> list[str]:
    """Return a command of this node as the keeper gives it, by whom it is given and under which settings."""
    settings = [
        part
        for name, value in config.values.items() if value != BY_NAME[name].default
        for part in ("--set", f"{name}={toml_value(value)}")
    ]  # fmt: skip
    command = [sys.executable, "-m", "node.cli.main", *arguments, "--config", str(config.path)]
    return [*command, "--actor", _ACTOR, "--json", *settings]


async def run_command(command: list[str], stopping: asyncio.Event) -> str:
    """Run a command to its end; return why it failed, empty where it did not, or where the node is told to stop."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        return str(error)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
    ended, stop = asyncio.create_task(process.communicate()), asyncio.create_task(stopping.wait())
    await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not ended.done():
        process.terminate()
    _, said = await ended
    if process.returncode == 0 or stopping.is_set():
        return ""
    return said.decode("utf-8", "replace")[-_REASON_BYTES:].strip() or f"exit code {process.returncode}"
