"""What others feel while one source floods the node.

A client at 127.0.0.1 asks 2 000 times a second; first alone, then while another client at
127.0.0.2 asks as much as it can, by turns. The node allows 1 000 requests a source and
second; 127.0.0.1 is exempt, as a resolver behind which many sit would be. Both generators
share a core, on which the flood has the lowest priority.

HTTP: the flood comes over 64 keep-alive connections with a request in flight each, opened
anew when the node closes one. UDP: it comes at the highest rate that the node can answer.
"""

from __future__ import annotations

from statistics import median

from benchmarks.bench import Bench
from benchmarks.load import Load, Traffic
from benchmarks.node import has_settings
from benchmarks.rounds import WARM_S
from benchmarks.table import Floor, Row

_FLOOR = Floor("<", 2.0)
_ALLOWED_PER_S = 1_000
_LIMITS = {
    "http.rate_limit": str(_ALLOWED_PER_S),
    "handle.rate_limit": str(_ALLOWED_PER_S),
    "resolver.rate_limit_exempt": '["127.0.0.1/32"]',
}
_FLOOD_SOURCE = "127.0.0.2"
_RATE_PER_S = 2_000
_HEAD_START_S = 0.5
_WHAT = {
    "HTTP": "p95 of others over HTTP while one source floods",
    "UDP": "p95 of others over UDP while one source floods",
}


def measure(bench: Bench) -> list[Row]:
    """Return the rows of floods; the node is started anew with limits, and without them at the end."""
    if not has_settings(_LIMITS):
        note = "this version of the node does not limit the requests of a source"
        return [Row(what, None, floor=_FLOOR, note=note) for what in _WHAT.values()]
    bench.node.stop()
    bench.node.start(_LIMITS)
    try:
        highest = bench.flat_out(bench.udp(), bench.node.worker)().per_s
        return [
            _row(bench, _WHAT["HTTP"], bench.http(), bench.http(source=_FLOOD_SOURCE), 0.0),
            _row(bench, _WHAT["UDP"], bench.udp(), bench.udp(source=_FLOOD_SOURCE), highest),
        ]
    finally:
        bench.node.stop()
        bench.node.start()


def _row(bench: Bench, what: str, asked: Traffic, flood: Traffic, flood_per_s: float) -> Row:
    alone, flooded, floods = [], [], []
    for _ in range(bench.rounds):
        alone.append(bench.at_rate(asked, _RATE_PER_S))
        seconds = _HEAD_START_S + WARM_S + bench.seconds
        with bench.generators.start(
            flood, pid=bench.node.worker, rate=flood_per_s, warm_s=_HEAD_START_S, measure_s=seconds, flood=True
        ) as running:
            flooded.append(bench.at_rate(asked, _RATE_PER_S))
            floods.append(running.result())
    before, during = (median(load.p95_us for load in loads) / 1_000 for loads in (alone, flooded))
    lost = sum(load.lost for load in flooded)
    return Row(
        what,
        during / before,
        floor=_FLOOR,
        ours=f"p95 {during:.2f} ms, p99 {median(load.p99_us for load in flooded) / 1_000:.2f} ms",
        reference=f"alone: p95 {before:.2f} ms, p99 {median(load.p99_us for load in alone) / 1_000:.2f} ms",
        note=_about(floods) + (f"; {lost} of the others' requests had no answer" if lost else ""),
        details={name: [load._asdict() for load in loads] for name, loads in
                 (("alone", alone), ("flooded", flooded), ("floods", floods))},
    )  # fmt: skip


def _about(floods: list[Load]) -> str:
    """Say what the flood was."""
    sent, granted, core = (
        median(values)
        for values in (
            [(load.responses + load.lost) / load.seconds for load in floods],
            [(load.responses - load.refused) / load.seconds for load in floods],
            [load.server_cpu for load in floods],
        )
    )
    closed = median(load.closed / load.seconds for load in floods)
    return (
        f"the flood: {sent:,.0f} requests/s, of them {granted:,.0f}/s granted, {closed:,.0f} connections/s closed; "
        f"the worker used {core:.2f} of its core"
    )
