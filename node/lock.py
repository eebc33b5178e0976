"""The data folder's lock: one node, or one command that writes, at a time.

An flock() on ``data/lock``. Forked processes share it, so it is free only when the
last process of a node is gone: whoever gets it can be sure that nobody writes.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from core import clock, limits
from core.errors import ConfigError

_RETRY_S = 0.05


class DataLock:
    """Holds the lock until it is closed or every process that shares it has ended."""

    def __init__(self, folder: Path, *, wait_s: float = limits.LOCK_WAIT_S) -> None:
        """Take the lock. Errors: ConfigError if the folder is missing or somebody keeps the lock."""
        try:
            self._descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"无法锁定数据目录 {folder}（{error.strerror}）。Cannot lock the data folder {folder}: {error.strerror}"
            ) from None
        deadline = clock.monotonic_s() + wait_s
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if clock.monotonic_s() >= deadline:
                    self.close()
                    raise ConfigError(
                        f"数据目录正被另一个节点使用。Another node is running on the data folder {folder}; "
                        "stop it first, or use another folder"
                    ) from None
                clock.pause(_RETRY_S)

    def close(self) -> None:
        """Let it go."""
        os.close(self._descriptor)
