"""What others feel while thousands of connections are open that do nothing good.

A client asks 2 000 times a second over HTTP; first alone, then beside a crowd: half of it
idle, a quarter with half a head, a quarter that sends many requests and never reads an
answer. The node has no limit of rates here.
"""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Iterator
from statistics import median

from benchmarks.bench import Bench
from benchmarks.client import resolution
from benchmarks.load import Load
from benchmarks.table import Floor, Row

_WHAT = "p95 of others over HTTP beside 5 000 bad connections"
_FLOOR = Floor("<", 2.0)
_CONNECTIONS = 5_000
_DESCRIPTORS = 16_384  # three eighths of what the node may open go to HTTP
_RATE_PER_S = 2_000
_UNREAD = 100
_TIMEOUT_S = 10


def measure(bench: Bench) -> Row:
    """Return the row of the crowd; the node is started anew with as many descriptors as it needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _DESCRIPTORS:
        return Row(_WHAT, None, floor=_FLOOR, note=f"{_DESCRIPTORS} descriptors are needed, {hard} allowed")
    bench.node.stop()
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, hard))
    try:
        bench.node.start()
        return _row(bench)
    finally:
        bench.node.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        bench.node.start()


def _row(bench: Bench) -> Row:
    alone, crowded = [], []
    for _ in range(bench.rounds):
        alone.append(bench.at_rate(bench.http(), _RATE_PER_S))
        with _crowd(bench):
            crowded.append(bench.at_rate(bench.http(), _RATE_PER_S))
    before, during = (median(load.p95_us for load in loads) / 1_000 for loads in (alone, crowded))
    return Row(
        _WHAT,
        during / before,
        floor=_FLOOR,
        ours=f"p95 {during:.2f} ms, p99 {_p99_ms(crowded):.2f} ms",
        reference=f"alone: p95 {before:.2f} ms, p99 {_p99_ms(alone):.2f} ms",
        note=f"{_CONNECTIONS // 2} idle, {_CONNECTIONS // 4} with half a head, "
        f"{_CONNECTIONS // 4} that asked {_UNREAD} times and never read",
        details={"alone": [load._asdict() for load in alone], "crowded": [load._asdict() for load in crowded]},
    )


@contextlib.contextmanager
def _crowd(bench: Bench) -> Iterator[None]:
    """Keep the connections open."""
    question = resolution(bench.handles[0])
    kinds = (b"", question[:20], b"", question * _UNREAD)
    with contextlib.ExitStack() as lines:
        for number in range(_CONNECTIONS):
            line = lines.enter_context(socket.create_connection(("127.0.0.1", bench.node.port), timeout=_TIMEOUT_S))
            line.sendall(kinds[number % len(kinds)])
        yield


def _p99_ms(loads: list[Load]) -> float:
    return median(load.p99_us for load in loads) / 1_000
