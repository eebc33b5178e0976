"""Resolution over HTTP beside nginx, restart to the first answer, memory of a worker.

Resolution: ``GET /api/handles/H`` for random handles among N records, 64 keep-alive
connections with one request in flight each, from the generator on a core of its own. The
node has one worker, on the other core; nginx has one worker on that same core and
answers a body of the same size from its configuration, without a log. Rounds take
turns; a round in which the server used less than 0.95 of its core is discarded (the
generator, or another program, was what was measured). The ratio is that of the medians.

Restart: SIGKILL to the supervisor, all processes gone, start; until the answer to a
resolution is there. The interpreter's start is part of it. The page cache is warm.

Memory: RssAnon of the worker after every one of the N records was resolved once.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import nginx, records
from benchmarks.client import resolution
from benchmarks.load import Generator, Load, write_requests
from benchmarks.machine import Cores, file_bytes, private_bytes, read_once
from benchmarks.node import Node
from benchmarks.table import Floor, Row

_FLOOR = Floor("≥", 0.45)
_RESTART = Floor("<", 2.0, " s")
_MEMORY = Floor("<", 120.0, " MB")
_CONNECTIONS = 64
_CORE_SHARE = 0.95
_WARM_S = 0.3
_RESTARTS = 3
_COVER_S = 600


@contextmanager
def filled(folder: Path, cores: Cores, count: int) -> Iterator[Node]:
    """Give a running node with N records, its data file in the page cache."""
    node = Node(folder, cores.server)
    node.load(records.record(number) for number in range(count))
    read_once(node.data_file)
    with node:
        yield node


def measure_restart(node: Node, count: int) -> Row:
    """Return the row of restarts; the node runs before and after."""
    times = []
    for number in range(_RESTARTS):
        node.stop(signal.SIGKILL)
        began = time.perf_counter()
        node.start()
        node.resolve(records.handle(number * count // _RESTARTS))
        times.append(time.perf_counter() - began)
    size = file_bytes(node.data_file)
    return Row(
        f"restart after SIGKILL to the first answer, {count:,} records",
        median(times),
        " s",
        _RESTART,
        ours=f"slowest {max(times):.2f} s; data file {size / 1e6:,.0f} MB, {size / count:.0f} B a record",
        details={"seconds": times, "file_bytes": size},
    )


def measure(
    node: Node, folder: Path, cores: Cores, generator: Generator | None, *, count: int, rounds: int, seconds: float
) -> list[Row]:
    """Return the rows of resolution and of the worker's memory."""
    what = f"resolve over HTTP, {_CONNECTIONS} connections, {count:,} records"
    what_memory = f"private memory of a worker, {count:,} records served"
    if generator is None:
        why = "no C compiler, so no load generator"
        return [Row(what, None, floor=_FLOOR, note=why), Row(what_memory, None, floor=_MEMORY, note=why)]
    path = folder / "requests"
    handles = [records.handle(number) for number in range(count)]
    random.Random(1).shuffle(handles)
    write_requests(path, map(resolution, handles))
    worker = node.pids()["worker"]
    fresh = private_bytes(worker)
    _checked(generator.run(node.port, path, connections=_CONNECTIONS, measure_s=_COVER_S, count=count))
    used = private_bytes(worker)

    def run(port: int, pid: int) -> Load:
        return generator.run(port, path, connections=_CONNECTIONS, pid=pid, warm_s=_WARM_S, measure_s=seconds)

    resolution_row = _beside_nginx(what, folder, cores, node, run, rounds, len(node.resolve(handles[0])))
    path.unlink()
    memory_row = Row(
        what_memory,
        used / 1e6,
        " MB",
        _MEMORY,
        ours=f"{fresh / 1e6:.1f} MB before the first request",
        details={"bytes": used, "bytes_before": fresh},
    )
    return [resolution_row, memory_row]


def _beside_nginx(
    what: str, folder: Path, cores: Cores, node: Node, run: Callable[[int, int], Load], rounds: int, body_bytes: int
) -> Row:
    program, worker = nginx.find(), node.pids()["worker"]
    if program is None or not cores.apart:
        ours = _Rounds([run(node.port, worker) for _ in range(rounds)])
        why = "nginx is not installed" if program is None else "one core only"
        return Row(what, None, floor=_FLOOR, ours=str(ours), note=f"no ratio: {why}", details=ours.details("ours"))
    our_loads, their_loads = [], []
    with nginx.Nginx(program, folder / "nginx", body_bytes, cores.server) as reference:
        for _ in range(rounds):
            our_loads.append(run(node.port, worker))
            their_loads.append(run(reference.port, reference.worker()))
    ours, theirs = _Rounds(our_loads), _Rounds(their_loads)
    return Row(
        what,
        ours.per_s / theirs.per_s if ours.per_s and theirs.per_s else None,
        floor=_FLOOR,
        ours=str(ours),
        reference=f"nginx, static {body_bytes} B: {theirs}",
        note=_discarded(ours, theirs, rounds),
        details=ours.details("ours") | theirs.details("nginx"),
    )


class _Rounds:
    """The rounds of one side, and which of them count."""

    def __init__(self, loads: list[Load]) -> None:
        self._loads = [_checked(load) for load in loads]
        self.counted = [load for load in loads if load.server_cpu >= _CORE_SHARE]

    @property
    def per_s(self) -> float:
        """The median of requests a second, 0 where no round counts."""
        return median(load.per_s for load in self.counted) if self.counted else 0.0

    def __str__(self) -> str:
        if not self.counted:
            return "no round counts"
        p50, p99 = (median(getattr(load, name) for load in self.counted) / 1_000 for name in ("p50_us", "p99_us"))
        return f"{self.per_s:,.0f}/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms"

    def details(self, side: str) -> dict[str, object]:
        """Return every round, for the result file."""
        return {side: [load._asdict() for load in self._loads]}


def _checked(load: Load) -> Load:
    if load.refused:
        raise RuntimeError(f"{load.refused} of {load.responses} answers were no 2xx")
    return load


def _discarded(ours: _Rounds, theirs: _Rounds, rounds: int) -> str:
    left = [f"{rounds - len(side.counted)} of {name}" for name, side in (("ours", ours), ("nginx", theirs))]
    if len(ours.counted) == len(theirs.counted) == rounds:
        return f"{rounds} rounds of each, none discarded"
    return f"{rounds} rounds of each; discarded, the server used < {_CORE_SHARE} of its core: {', '.join(left)}"
