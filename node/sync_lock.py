"""Who sends: the process of a running node, or a command. An flock() on ``data/sync.lock``, one round at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from core import clock, limits
from core.errors import ConfigError

_RETRY_S: Final = 0.02


@contextmanager
def sync_lock(data: Path, *, wait_s: float = limits.UPSTREAM_LOCK_S) -> Iterator[None]:
    """Hold the lock. Errors: ConfigError if somebody else keeps it for longer."""
    descriptor = os.open(data / "sync.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline_s = clock.monotonic_s() + wait_s
    try:
        while not _taken(descriptor):
            if clock.monotonic_s() >= deadline_s:
                raise ConfigError(
                    f"另一个进程正在同步，{wait_s:.0f} 秒内未结束，请稍后重试。"
                    f"Another process has been sending for {wait_s:.0f} s: try again later"
                )
            clock.pause(_RETRY_S)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
