"""The keeper's side of backups: it starts ``saltern backup`` once a night, as a process of the lowest priority.

One is due when the newest whole one was made before the last night, BACKUP_HOUR_MS behind midnight in Shanghai: a node
that was off then makes it when it starts. One that fails is told, counted, and tried again after BACKUP_RETRY_MS.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

from prometheus_client.core import Metric

from core import limits
from core.clock import Millis
from core.config import Config
from node.backup_file import newest_ms
from node.metrics import family
from node.nightly import night_before, own_command, run_command

_LOG: Final = logging.getLogger("saltern.backup")


class Note(Protocol):
    """Has something that the node did written into its logs."""

    def __call__(self, act: str, about: str = "", reason: str = "") -> None: ...


def backup_command(config: Config, folder: Path) -> list[str]:
    """Return the command of one backup, under the settings that are in force here."""
    return own_command(config, "backup", "--to", str(folder), "--keep", str(config.integer("backup.keep")))


class Backups:
    """Makes them, and tells of them. ``note``: of the logs. See Collects."""

    def __init__(self, config: Config, now_ms: Callable[[], Millis], note: Note) -> None:
        self._config = config
        self._folder = config.file("backup.folder")
        self._now_ms = now_ms
        self._note = note
        self._failed_ms: Millis | None = None
        self._failures = 0

    def collect(self) -> Iterator[Metric]:
        """Yield how old the newest whole one is, and how many failed; nothing where none is to be made."""
        if self._folder is None:
            return
        newest = newest_ms(self._folder, self._now_ms())
        if newest is not None:
            age_s = max(0, self._now_ms() - newest) / 1_000
            yield family("saltern_backup_age_seconds", age_s)
        failed = self._failed_ms is not None and (newest is None or newest < self._failed_ms)
        yield family("saltern_backup_failed", failed)
        yield family("saltern_backup_failures", self._failures)

    def is_due(self) -> bool:
        """Whether one is to be made now."""
        now_ms = self._now_ms()
        if self._folder is None:
            return False
        if self._failed_ms is not None and self._failed_ms <= now_ms < self._failed_ms + limits.BACKUP_RETRY_MS:
            return False
        newest = newest_ms(self._folder, now_ms)
        return newest is None or newest < night_before(now_ms, limits.BACKUP_HOUR_MS)

    async def keep(self, stopping: asyncio.Event) -> None:
        """Make one whenever it is due, until it is told to stop."""
        while self._folder is not None and not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), limits.BACKUP_LOOK_S)
            if not stopping.is_set() and self.is_due():
                await self.make(stopping)

    async def make(self, stopping: asyncio.Event) -> None:
        """Make one; it is ended when the node is told to stop, which leaves nothing that counts."""
        assert self._folder is not None
        fault = await run_command(backup_command(self._config, self._folder), stopping)
        if fault:
            self._fail(fault)
        elif not stopping.is_set():
            self._failed_ms = None
            _LOG.info("已备份到 %s。A backup was made in %s", self._folder, self._folder)

    def _fail(self, reason: str) -> None:
        self._failed_ms = self._now_ms()
        self._failures += 1
        _LOG.error("备份失败，一小时后重试。The backup failed and is tried again in an hour: %s", reason)
        self._note("backup.failed", "", reason)
