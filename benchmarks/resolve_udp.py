"""Resolution over UDP beside a C echo server and beside Knot.

128 requests outstanding from one socket, random handles among N records, from the
generator on a core of its own. The echo server and Knot run on the node's core, one at a
time; both answer with as many octets as the node does. Rounds take turns.
"""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks import knot
from benchmarks.bench import UDP_DEPTH, Bench
from benchmarks.echo import Echo
from benchmarks.load import Traffic
from benchmarks.questions import ask_datagram, handle_resolution
from benchmarks.rounds import alone_row, ratio_row, take_turns
from benchmarks.table import Floor, Row

_ECHO = ("resolve over UDP, beside a C echo server", Floor("≥", 0.30), "0.35")
_KNOT = ("resolve over UDP, beside Knot", Floor("≥", 0.50), "0.62")


def measure(bench: Bench) -> list[Row]:
    """Return the rows of UDP."""
    program = knot.find()
    answer = answer_octets(bench)
    with ExitStack() as servers:
        sides = {"ours": bench.flat_out(bench.udp(), bench.node.worker)}
        if not bench.cores.apart:
            ours = take_turns(sides, bench.rounds)["ours"]
            return [alone_row(*row, ours, "one core only") for row in (_ECHO, _KNOT)]
        echo = servers.enter_context(Echo(bench.generators.program("echo"), bench.folder, answer, bench.cores.server))
        sides["echo"] = bench.flat_out(bench.udp(port=echo.port), echo.pid)
        if program is not None:
            place = bench.folder / "knot-udp"
            zone = knot.handles_zone(bench.handles, len(answer))
            server = servers.enter_context(knot.Knot(program, place, zone, bench.cores.server))
            traffic = Traffic("udp", "dns-udp", server.port, bench.requests("dns-udp"), depth=UDP_DEPTH)
            sides["knot"] = bench.flat_out(traffic, server.pid)
        found = take_turns(sides, bench.rounds)
    rows = [ratio_row(*_ECHO, found, ("ours", "echo"), f"echo, {len(answer)} B")]
    if program is None:
        return [*rows, alone_row(*_KNOT, found["ours"], "Knot is not installed")]
    return [*rows, ratio_row(*_KNOT, found, ("ours", "knot"), f"Knot, TXT of {server.answer_bytes} B")]


def answer_octets(bench: Bench) -> bytes:
    """Return what the node answers to one handle over UDP; all answers are of one length."""
    return ask_datagram(bench.node.handle_port, handle_resolution(bench.handles[0], keep_alive=False))
