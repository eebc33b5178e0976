"""What is watched in a running node: it reads the facts and has them judged (docking agreement, annex 2).

What is known: counters in ``data/run``, the room on the disks, how it stands with top nodes, what the probes found.
``data/monitor.alive`` says when the node was last seen running; with the next start it tells how long it was not. A
process that only was started again beside the others finds the mark of this start in ``data/run``.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from core import limits
from core.clock import Millis
from core.config import Config
from core.disk import free_bytes
from core.store.engine import Engine, Snapshot
from core.store.monitor_rows import events, last_event
from core.store.upstream_rows import upstreams
from node import wiring
from node.probing import is_probed
from node.telemetry import read_totals
from sync.monitor.happening import Happening
from sync.monitor.observation import Observation
from sync.monitor.storing import happening_from
from sync.monitor.watch import Facts, Upstream, Watch
from sync.standing import link_state

_LOG: Final = logging.getLogger("saltern.monitor")
_LAYOUT: Final = struct.Struct(">Q?")  # Unix milliseconds, and whether it was told to stop
_LATE_MS: Final = 5_000  # that a loop which is busy writing hours is late with what a probe found


class Alive(NamedTuple):
    """When the node was last seen running, and whether it was told to stop then."""

    at_ms: int
    planned: bool


class AliveMark:
    """The file that says so. It keeps its room once it has it: a full disk does not stop the clock."""

    def __init__(self, data: Path, run: Path) -> None:
        self._path = data / "monitor.alive"
        self._started = run / "monitor.started"

    def before(self) -> Alive | None:
        """Return what an earlier start of the node left, None where there was none, or this is the same start."""
        try:
            if self._started.exists():
                return None
            found = Alive(*_LAYOUT.unpack(self._path.read_bytes()))
        except (OSError, struct.error):
            return None
        return found

    def write(self, now_ms: int, *, planned: bool = False) -> None:
        """Say that the node runs, or that it was told to stop; what was before is told by then."""
        try:
            self._started.touch(mode=0o600)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(descriptor, _LAYOUT.pack(now_ms, planned), 0)
            finally:
                os.close(descriptor)
        except OSError as error:
            _LOG.debug("that the node runs is not noted: %s", error)


class Watching:
    """Watches a node (``Watches`` of ``node/monitoring.py``). ``facts``: reads them. Errors: StoreError.

    What begins with an earlier start of the node is told with the first look.
    """

    def __init__(
        self, watch: Watch, facts: Callable[[], Facts], alive: AliveMark, now_ms: Callable[[], Millis]
    ) -> None:  # fmt: skip
        self._watch = watch
        self._facts = facts
        self._alive = alive
        self._now_ms = now_ms
        self._told = ""
        before = alive.before()
        self._first = [] if before is None else watch.was_away(before.at_ms, now_ms(), planned=before.planned)

    def observe(self, seen: Observation) -> None:
        """Take what a probe found."""
        self._watch.observe(seen)

    def tick(self, now_ms: Millis) -> list[Happening]:
        """Look at everything; return what changed."""
        if self._first:
            first, self._first = self._first, []
            return first
        self._alive.write(now_ms)
        try:
            happened = self._watch.tick(now_ms, self._facts())
        except OSError as error:
            if str(error) != self._told:
                _LOG.error("节点状态无法读取。The state of the node cannot be read: %s", error)
            self._told = str(error)
            return []
        self._told = ""
        for each in happened:
            _LOG.warning(
                "%s %s %s %s: %s", each.number, each.status.name.lower(), each.subject, each.condition, each.cause
            )
        return happened

    def stopped(self) -> None:
        """Note that the node was told to stop."""
        self._alive.write(self._now_ms(), planned=True)


def make_watching(config: Config, store: Engine, now_ms: Callable[[], Millis]) -> Watching:
    """Return what watches a node; it goes on from the rows. Errors: StoreError."""
    late_ms = config.integer("monitor.limit") * limits.PROBE_LATE + _LATE_MS
    run = wiring.run_folder(config)
    disks, allowed = wiring.disks(config), wiring.policy(config).addresses
    stop, reserve = config.integer("log.disk_stop"), config.integer("log.disk_reserve")
    with store.snapshot() as snapshot:
        watch = Watch(
            (happening_from(*event) for event in events(snapshot)), late_ms=late_ms, last=last_event(snapshot)
        )

    def delegated(prefix: str) -> bool:
        with store.snapshot() as snapshot:
            return is_probed(snapshot, prefix, allowed)

    def facts() -> Facts:
        totals = read_totals(run)
        with store.snapshot() as snapshot:
            connected = _upstreams(snapshot)
        return Facts(
            free_bytes(disks), stop, reserve, connected, totals.log_failures, totals.restarts, totals.limited,
            totals.refused_logins, delegated,
        )  # fmt: skip

    return Watching(watch, facts, AliveMark(config.data, run), now_ms)


def _upstreams(snapshot: Snapshot) -> dict[str, Upstream]:
    links = {upstream: link_state(snapshot, upstream) for upstream, _ in upstreams(snapshot)}
    return {upstream: Upstream(link.since_ms, link.fault) for upstream, link in links.items()}
