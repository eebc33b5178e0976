"""How it stands with top nodes, as metrics: from the store alone, by ``sync/standing.py``.

What waits is counted anew only where the store or what was acknowledged is another, so that a node with nothing to
send looks at a few rows; a count costs UPSTREAM_LOOKED_AT changes of a table at most, and one that came so far is kept
until something is acknowledged. Tables that are sent whole (T1, T5, T10) are not counted: that would need the files
and keys that their rows are made of.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from prometheus_client.core import Metric

from core.clock import Millis
from core.errors import NodeError
from core.store.engine import Engine, Snapshot, Table
from core.store.upstream_rows import TableState, logs_key, refused_range, unpack_logs, upstreams
from node.metrics import family
from sync.source import Source
from sync.standing import Waiting, link_state, table_state, waiting
from sync.table import Basis

_LOG: Final = logging.getLogger("saltern.telemetry")


class _Known(NamedTuple):
    """What was counted of a table, and where. ``at``: newest serial of the store, or newest day."""

    state: TableState
    at: int
    waiting: Waiting
    refused: int

    def holds(self, state: TableState, at: int) -> bool:
        """Whether it is still so. More than was counted cannot become less before something is acknowledged."""
        return self.state == state and (self.at == at or (self.waiting.at_least and self.waiting.rows > 1))


class SyncMetrics:
    """See Collects. ``sources``: makes the sources of all tables, asked once a top node is connected."""

    def __init__(
        self, store: Engine, sources: Callable[[], Mapping[str, Source]], now_ms: Callable[[], Millis]
    ) -> None:  # fmt: skip
        self._store = store
        self._make_sources = sources
        self._now_ms = now_ms
        self._sources: Mapping[str, Source] | None = None
        self._known: dict[tuple[str, str], _Known] = {}
        self._told = ""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment; none where no top node is connected, or the store cannot tell."""
        try:
            with self._store.snapshot() as snapshot:
                listed = [upstream for upstream, _ in upstreams(snapshot)]
                metrics = self._metrics(snapshot, listed) if listed else []
        except NodeError as error:
            if error.message != self._told:
                _LOG.error("how it stands with top nodes is not shown: %s", error.message)
            self._told = error.message
            return
        yield from metrics

    def _metrics(self, snapshot: Snapshot, listed: list[str]) -> list[Metric]:
        if self._sources is None:
            self._sources = self._make_sources()
        rows = family("saltern_sync_waiting")
        oldest = family("saltern_sync_oldest_seconds")
        refused = family("saltern_sync_refused_rows")
        total = family("saltern_sync_rows")
        now_ms = self._now_ms()
        for upstream in listed:
            for name, source in self._sources.items():
                state, labels = table_state(snapshot, upstream, name), (upstream, name)
                known = self._count(snapshot, upstream, source, state)
                if source.table.basis is not Basis.WHOLE:
                    since_ms = known.waiting.since_ms
                    rows.add_metric(labels, known.waiting.rows)
                    oldest.add_metric(labels, max(0, now_ms - since_ms) / 1_000 if since_ms else 0)
                refused.add_metric(labels, known.refused)
                total.add_metric((*labels, "accepted"), state.accepted)
                total.add_metric((*labels, "refused"), state.refused)
        return [rows, oldest, refused, total, *_of_links(snapshot, listed, now_ms)]

    def _count(self, snapshot: Snapshot, upstream: str, source: Source, state: TableState) -> _Known:
        name, basis = source.table.name, source.table.basis
        at = 0 if basis is Basis.WHOLE else source.latest(snapshot)
        known = self._known.get((upstream, name))
        if known is None or not known.holds(state, at):
            waits = Waiting(0, Millis(0)) if basis is Basis.WHOLE else waiting(snapshot, source, state)
            refused = sum(1 for _ in snapshot.scan(Table.SYNC_REFUSED, *refused_range(upstream, name)))
            known = self._known[upstream, name] = _Known(state, at, waits, refused)
        return known


def _of_links(snapshot: Snapshot, listed: list[str], now_ms: Millis) -> Iterator[Metric]:
    """Yield what is known of each top node; no series of what it never said."""
    age = family("saltern_sync_answered_age_seconds")
    differences = family("saltern_sync_differences")
    ahead = family("saltern_sync_clock_ahead_seconds")
    faults = family("saltern_sync_log_faults")
    for upstream in listed:
        link = link_state(snapshot, upstream)
        logs = unpack_logs(snapshot.get(Table.SYNC_TABLES, logs_key(upstream)))
        faults.add_metric((upstream,), sum(bool(each.fault) for each in logs.values()))
        if link.told_ms:
            age.add_metric((upstream,), max(0, now_ms - link.told_ms) / 1_000)
            ahead.add_metric((upstream,), link.skew_ms / 1_000)
        if link.verified_ms:
            differences.add_metric((upstream,), link.differences)
    yield from (age, differences, ahead, faults)
