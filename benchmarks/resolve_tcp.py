"""Resolution over TCP, in the Handle protocol: beside Knot over TCP, and many requests in flight beside one.

16 connections, each with the keep-alive flag set in every request, random handles among N
records, from the generator on a core of its own. Knot has one TCP worker on the node's
core and answers with as many octets. Rounds take turns.
"""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks import knot
from benchmarks.bench import TCP_CONNECTIONS, Bench
from benchmarks.load import Traffic
from benchmarks.resolve_udp import answer_octets
from benchmarks.rounds import alone_row, ratio_row, take_turns
from benchmarks.table import Floor, Row

_DEPTH = 16
_KNOT = (f"resolve over TCP, {TCP_CONNECTIONS} connections, beside Knot", Floor("≥", 0.70), "0.86")
_DEEP = (f"resolve over TCP, {_DEPTH} in flight on each, beside one", Floor("≥", 2.0), "–")


def measure(bench: Bench) -> list[Row]:
    """Return the rows of TCP."""
    program, worker = knot.find(), bench.node.worker
    with ExitStack() as servers:
        sides = {
            "ours": bench.flat_out(bench.tcp(), worker),
            "deep": bench.flat_out(bench.tcp(depth=_DEPTH), worker),
        }
        why = "one core only" if not bench.cores.apart else "Knot is not installed" if program is None else ""
        if program is not None and not why:
            place, zone = bench.folder / "knot-tcp", knot.handles_zone(bench.handles, len(answer_octets(bench)))
            server = servers.enter_context(knot.Knot(program, place, zone, bench.cores.server))
            traffic = Traffic("tcp", "dns-tcp", server.port, bench.requests("dns-tcp"), TCP_CONNECTIONS)
            sides["knot"] = bench.flat_out(traffic, server.pid)
        found = take_turns(sides, bench.rounds)
    deep = ratio_row(*_DEEP, found, ("deep", "ours"), "one in flight")
    if why:
        return [alone_row(*_KNOT, found["ours"], why), deep]
    return [ratio_row(*_KNOT, found, ("ours", "knot"), f"Knot, TXT of {server.answer_bytes} B"), deep]
