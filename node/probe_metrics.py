"""What the last round of probes found, as metrics: from ``data/run/monitor.json`` alone.

Enterprise nodes are shown as far as a round probes them (PROBE_SITES_PER_ROUND); of a round that is too old nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from prometheus_client.core import Metric

from core.clock import Millis
from core.monitor import is_stale, read_round
from node.metrics import family

_US: Final = 1_000_000


class ProbeMetrics:
    """See Collects. ``folder``: ``data/run``."""

    def __init__(self, folder: Path, now_ms: Callable[[], Millis]) -> None:
        self._folder = folder
        self._now_ms = now_ms

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment; of what nobody probed none."""
        found = read_round(self._folder)
        if found is None:
            return
        now_ms = self._now_ms()
        yield family("saltern_probe_age_seconds", max(0, now_ms - found.checked_ms) / 1_000)  # fmt: skip
        if is_stale(found, now_ms):
            return
        up = family("saltern_probe_up")
        seconds = family("saltern_probe_seconds")
        for probed in found.probes:
            labels = (probed.subject, probed.way)
            up.add_metric(labels, probed.rtt_us is not None)
            if probed.rtt_us is not None:
                seconds.add_metric(labels, probed.rtt_us / _US)
        yield from (up, seconds)
