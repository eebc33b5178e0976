"""What the process ``monitor`` measures, as metrics: from its rows in the store alone.

The hour is the newest one of this node, as it was written last: gauges, for an hour begins anew with each hour. Nothing
is shown of what nobody measured. Enterprise nodes have no series of their own, for there may be thousands.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import Metric

from core.clock import Millis
from core.errors import NodeError
from core.store.engine import Engine, Snapshot
from core.store.monitor_rows import newest_hours, open_anomalies
from node.metrics import family
from sync.monitor.figures import NODE, Hour
from sync.monitor.happening import Kind
from sync.monitor.storing import hour_from

_LOG: Final = logging.getLogger("saltern.telemetry")
_US: Final = 1_000_000


class MonitorMetrics:
    """See Collects."""

    def __init__(self, store: Engine, now_ms: Callable[[], Millis]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._told = ""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment; none where the store cannot tell."""
        try:
            with self._store.snapshot() as snapshot:
                metrics = [*_of_hour(snapshot, self._now_ms()), _of_anomalies(snapshot)]
        except NodeError as error:
            if error.message != self._told:
                _LOG.error("what is measured is not shown: %s", error.message)
            self._told = error.message
            return
        yield from metrics


def _of_hour(snapshot: Snapshot, now_ms: Millis) -> Iterator[Metric]:
    newest = newest_hours(snapshot, NODE, 1)
    if not newest:
        return
    ((text, row),) = newest
    hour = hour_from(NODE, text, row)
    yield family("saltern_monitor_age_seconds", max(0, now_ms / 1_000 - row.counted_s))
    yield from _of_latencies(hour)
    periods = family("saltern_monitor_periods")
    counted = hour.probes
    for name, value in (
        ("any", counted.periods),
        ("resolution", counted.resolution),
        ("registration", counted.registration),
        ("both", counted.both),
    ):
        periods.add_metric((name,), value)
    yield periods


def _of_latencies(hour: Hour) -> Iterator[Metric]:
    answers = family("saltern_monitor_answers")
    latency = family("saltern_monitor_latency_seconds")
    peak = family("saltern_monitor_peak")
    for service, found in (("resolution", hour.resolution), ("registration", hour.registration)):
        answers.add_metric((service,), found.answers)
        peak.add_metric((service,), found.peak)
        if found.answers:
            latency.add_metric((service, "mean"), found.sum_us / found.answers / _US)
            latency.add_metric((service, "max"), found.max_us / _US)
            latency.add_metric((service, "min"), found.min_us / _US)
    yield from (answers, latency, peak)


def _of_anomalies(snapshot: Snapshot) -> Metric:
    opened = Counter(row.kind for row in open_anomalies(snapshot).values())
    series = family("saltern_monitor_anomalies")
    for kind in Kind:
        series.add_metric((kind.name.lower(),), opened[int(kind)])
    return series
