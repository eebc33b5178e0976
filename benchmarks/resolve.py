"""Resolution over HTTP beside nginx, restart to the first answer, memory of a worker.

Resolution: ``GET /api/handles/H`` for random handles among N records, 64 keep-alive
connections with one request in flight each, from the generator on a core of its own. The
node has one worker, on the other core; nginx has one worker on that same core and
answers a body of the same size from its configuration, without a log. Rounds take turns.

Restart: SIGKILL to the supervisor, all processes gone, start; until the answer to a
resolution is there. The interpreter's start is part of it. The page cache is warm.

Memory, after every one of the N records was resolved once: RssAnon of the worker; and all
that is resident of it, pages of the data file included, beside the data file itself.
"""

from __future__ import annotations

import signal
import time
from statistics import median

from benchmarks import nginx, records
from benchmarks.bench import HTTP_CONNECTIONS, Bench
from benchmarks.machine import file_bytes, memory_bytes
from benchmarks.node import Node
from benchmarks.rounds import alone_row, ratio_row, take_turns
from benchmarks.table import Floor, Row

_FLOOR = Floor("≥", 0.45)
_PROTOTYPE = "0.55"
_RESTART = Floor("<", 2.0, " s")
_MEMORY = Floor("<", 120.0, " MB")
_MEMORY_PROTOTYPE = "26 MB"
_RESTARTS = 3
_COVER_S = 600


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


def measure_memory(bench: Bench) -> list[Row]:
    """Return the rows of the worker's memory, after it has served every record."""
    count = len(bench.handles)
    worker = bench.node.worker
    fresh = memory_bytes(worker, "RssAnon")
    bench.generators.run(bench.http(), measure_s=_COVER_S, count=count)
    used, resident = memory_bytes(worker, "RssAnon"), memory_bytes(worker, "VmRSS")
    stored = file_bytes(bench.node.data_file)
    return [
        Row(
            f"private memory of a worker, {count:,} records served",
            used / 1e6,
            " MB",
            _MEMORY,
            prototype=_MEMORY_PROTOTYPE,
            ours=f"{fresh / 1e6:.1f} MB before the first request",
            details={"bytes": used, "bytes_before": fresh},
        ),
        Row(
            f"data file for a million records, from {count:,}",
            stored / count,
            " MB",
            ours=f"worker resident {resident / 1e6:.1f} MB, of it {(resident - used) / 1e6:.1f} MB shared",
            details={"file_bytes": stored, "resident_bytes": resident, "private_bytes": used, "records": count},
        ),
    ]


def measure(bench: Bench) -> Row:
    """Return the row of resolution over HTTP."""
    what = f"resolve over HTTP, {HTTP_CONNECTIONS} connections, {len(bench.handles):,} records"
    program = nginx.find()
    sides = {"ours": bench.flat_out(bench.http(), bench.node.worker)}
    if program is None or not bench.cores.apart:
        why = "nginx is not installed" if program is None else "one core only"
        return alone_row(what, _FLOOR, _PROTOTYPE, take_turns(sides, bench.rounds)["ours"], why)
    size = len(bench.node.resolve(bench.handles[0]))
    with nginx.Nginx(program, bench.folder / "nginx", size, bench.cores.server) as reference:
        sides["nginx"] = bench.flat_out(bench.http(port=reference.port), reference.worker())
        found = take_turns(sides, bench.rounds)
    return ratio_row(what, _FLOOR, _PROTOTYPE, found, ("ours", "nginx"), f"nginx, static {size} B")
