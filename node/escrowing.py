"""The keeper's side of deposits: it starts ``saltern sync escrow`` once a night, as a process of the lowest priority.

One is due when the newest was made before the last night: a DIFF, or after a week, where none is possible and after
one that failed, a FULL. One that fails is told, counted, and tried again after ESCROW_MAKE_RETRY_MS.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import Metric

from core import limits
from core.clock import Millis
from core.config import Config
from core.errors import NodeError
from core.store.deposit_rows import FULL, DepositRow, deposits
from core.store.engine import Engine
from node.escrow import deposit_folder, due_kind
from node.metrics import family
from node.nightly import night_before, own_command, run_command
from sync.escrow.sending import ACCEPTED, REJECTED

_LOG: Final = logging.getLogger("saltern.escrow")
_TO_SEND: Final = "to-send"


class Deposits:
    """Makes them, and tells of them. See Collects."""

    def __init__(self, config: Config, store: Engine, now_ms: Callable[[], Millis]) -> None:
        self._config = config
        self._store = store
        self._key = config.file("escrow.to_key")
        self._now_ms = now_ms
        self._failed_ms: Millis | None = None
        self._failures = 0
        self._made_ms = Millis(0)  # when the last one was made from here

    def collect(self) -> Iterator[Metric]:
        """Yield how old the newest one is, what became of all above, and how many failed; nothing where it is off."""
        if self._key is None:
            return
        made = self._made()
        newest = list(made.values())[-1].made_ms if made else Millis(-1)
        if made:
            yield family("saltern_escrow_age_seconds", max(0, self._now_ms() - newest) / 1_000)
        above = family("saltern_escrow_deposits")
        counts = Counter(
            (upstream, told.stage or _TO_SEND) for row in made.values() for upstream, told in row.above.items()
        )
        for labels, count in sorted(counts.items()):
            above.add_metric(labels, count)
        rejected = family("saltern_escrow_rejected")
        verdicts = {
            upstream: told.stage
            for row in made.values() for upstream, told in row.above.items() if told.stage in (ACCEPTED, REJECTED)
        }  # fmt: skip
        for upstream, stage in sorted(verdicts.items()):
            rejected.add_metric((upstream,), stage == REJECTED)
        yield from (above, rejected)
        yield family("saltern_escrow_failed", self._failed_ms is not None and newest < self._failed_ms)
        yield family("saltern_escrow_failures", self._failures)

    def due(self) -> str:
        """Return which one is to be made now, empty for none."""
        now_ms = self._now_ms()
        if self._key is None:
            return ""
        if self._failed_ms is not None and self._failed_ms <= now_ms < self._failed_ms + limits.ESCROW_MAKE_RETRY_MS:
            return ""
        made = self._made()
        newest_ms = list(made.values())[-1].made_ms if made else Millis(0)
        if newest_ms > now_ms:  # the clock was ahead: ids go on from there
            newest_ms = self._made_ms
        if made and night_before(now_ms, limits.ESCROW_HOUR_MS) <= newest_ms <= now_ms:
            return ""
        if self._failed_ms is not None:
            return FULL
        with self._store.snapshot() as snapshot:
            return due_kind(snapshot, made, now_ms, limits.ESCROW_FULL_MS)

    def command(self, kind: str) -> list[str]:
        """Return the command of one deposit, under the settings that are in force here."""
        to = ("--out", str(deposit_folder(self._config)), "--to-key", str(self._key))
        return own_command(self._config, "sync", "escrow", "--type", kind, *to)

    async def keep(self, stopping: asyncio.Event) -> None:
        """Make one whenever it is due, until it is told to stop."""
        while self._key is not None and not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), limits.ESCROW_LOOK_S)
            try:
                kind = "" if stopping.is_set() else self.due()
            except NodeError as error:
                self._fail(error.message)
                continue
            if kind:
                await self.make(kind, stopping)

    async def make(self, kind: str, stopping: asyncio.Event) -> None:
        """Make one; it is ended when the node is told to stop, which leaves nothing that counts."""
        fault = await run_command(self.command(kind), stopping)
        if fault:
            self._fail(fault)
        elif not stopping.is_set():
            self._failed_ms, self._made_ms = None, self._now_ms()
            _LOG.info("已制作托管数据。A deposit was made: %s", kind)

    def _made(self) -> dict[str, DepositRow]:
        with self._store.snapshot() as snapshot:
            return deposits(snapshot)

    def _fail(self, reason: str) -> None:
        self._failed_ms = self._now_ms()
        self._failures += 1
        _LOG.error("托管数据未能制作，一小时后重试。No deposit was made; it is tried again in an hour: %s", reason)
