"""Latency under a fixed rate: at half of the highest one, and of reads while the node registers.

The generator sends at fixed times whatever comes back, and latency counts from the time at
which a request was to be sent: a server that stands still for a moment is charged for all
that was to be asked meanwhile. The generator has a core of its own.

Half: the highest rate is the median of a few rounds flat out. Registering: 20 000 reads a
second over UDP while one client sends batches of 1 000 records over HTTP, each as soon as
the one before is answered; worker, registrar and keeper share one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import records
from benchmarks.bench import Bench
from benchmarks.client import request
from benchmarks.load import Load, Traffic, write_requests
from benchmarks.rounds import CORE_SHARE, WARM_S, take_turns
from benchmarks.table import Floor, Row

_HALF = Floor("<", 5.0, " ms")
_REGISTERING = Floor("<", 10.0, " ms")
_PROTOTYPE = "4.7–8.4 ms"
_ROUNDS_FLAT_OUT = 3
_READS_PER_S = 20_000
_BATCH = 1_000
_BATCHES_PER_S = 70  # more than it takes beside the reads
_ROUNDS = 3
_START_S = 0.5
_KEPT_UP = 0.99
_SERIES = "LR"


def measure_half(bench: Bench) -> Iterator[Row]:
    """Yield the rows of p99 at half of the highest rate."""
    for name, traffic in (("HTTP", bench.http()), ("UDP", bench.udp()), ("TCP", bench.tcp())):
        yield _half(bench, name, traffic)


def _half(bench: Bench, name: str, traffic: Traffic) -> Row:
    flat_out = take_turns({"ours": bench.flat_out(traffic, bench.node.worker)}, _ROUNDS_FLAT_OUT)["ours"]
    highest = flat_out.per_s or median(load.per_s for load in flat_out.loads)
    rate = highest / 2
    loads = [bench.at_rate(traffic, rate, bench.node.worker) for _ in range(bench.rounds)]
    notes = [_behind(loads, rate)]
    if not flat_out.counted:
        notes.append(f"flat out, the server used < {CORE_SHARE} of its core: its highest rate may be higher")
    return Row(
        f"p99 of {name} at half of the highest rate",
        _ms(loads, "p99"),
        " ms",
        _HALF,
        ours=f"at {rate:,.0f}/s: p50 {_ms(loads, 'p50'):.2f} ms, p95 {_ms(loads, 'p95'):.2f} ms, {_worst(loads)}",
        note="; ".join(filter(None, notes)),
        details={"rate": rate, "flat_out": flat_out.details(), "ours": [load._asdict() for load in loads]},
    )


def measure_registering(bench: Bench) -> Row:
    """Return the row of p99 of reads over UDP while the node registers flat out."""
    what = f"p99 of UDP reads at {_READS_PER_S:,}/s while registering flat out"
    path = bench.folder / "batches"
    seconds = _START_S + _ROUNDS * (WARM_S + bench.seconds)
    count = write_requests(path, _batches(bench.node.admin(), int(seconds * _BATCHES_PER_S)))
    reads, loads = bench.udp(), []
    writes = Traffic("tcp", "http", bench.node.port, path)
    with bench.generators.start(writes, warm_s=0, measure_s=seconds, count=count) as registering:
        for _ in range(_ROUNDS):
            load = bench.at_rate(reads, _READS_PER_S, bench.node.worker)
            if not registering.ended:
                loads.append(load)
        registered = registering.result().checked()
    _require_registered(bench, path, registered.responses)
    if not loads:
        return Row(
            what, None, " ms", _REGISTERING, note="the registrations were over before the reads", prototype=_PROTOTYPE
        )
    return Row(
        what,
        _ms(loads, "p99"),
        " ms",
        _REGISTERING,
        prototype=_PROTOTYPE,
        ours=(
            f"p50 {_ms(loads, 'p50'):.2f} ms, p95 {_ms(loads, 'p95'):.2f} ms, {_worst(loads)}; "
            f"registered {registered.per_s * _BATCH:,.0f} records/s"
        ),
        note=_behind(loads, _READS_PER_S),
        details={"reads": [load._asdict() for load in loads], "batches": registered._asdict()},
    )


def _batches(head: dict[str, str], count: int) -> Iterator[bytes]:
    for batch in range(count):
        place = range(batch * _BATCH, (batch + 1) * _BATCH)
        body = records.dump([records.record(number, series=_SERIES) for number in place])
        yield request("POST", "/v1/records:batch", head, body)


def _require_registered(bench: Bench, path: Path, batches: int) -> None:
    """Remove the batches; ask for the last record that was answered. Errors: RuntimeError."""
    path.unlink()
    if not batches:
        raise RuntimeError("nothing was registered beside the reads")
    bench.node.resolve(records.handle(batches * _BATCH - 1, series=_SERIES))


def _ms(loads: list[Load], name: str) -> float:
    """Return the median of a latency in milliseconds."""
    return median(float(getattr(load, f"{name}_us")) for load in loads) / 1_000


def _worst(loads: list[Load]) -> str:
    return f"highest p99 {max(load.p99_us for load in loads) / 1_000:.2f} ms"


def _behind(loads: list[Load], rate: float) -> str:
    """Say what the numbers must be read with: answers that are missing, and the generator's own lateness."""
    text = f"the generator's own lateness: p99 {_ms(loads, 'late_p99'):.2f} ms"
    answered, lost = median(load.per_s for load in loads), sum(load.lost for load in loads)
    if answered < rate * _KEPT_UP:
        text += f"; answered {answered:,.0f}/s of {rate:,.0f}/s"
    return text + (f"; {lost} without an answer" if lost else "")
