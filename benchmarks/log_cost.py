"""What the resolution log costs: requests a second without it, with it, without it, on one core; how fast it is made.

Worker and keeper share the core; with the log each turn is written to the spool, synced, made into blocks, and
published with a checkpoint a second. The same node is started in turn with and without it, so that all else is equal;
"without" is the mean of the rounds before and behind. HTTP and UDP as in the rows of resolution.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from statistics import mean, median

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.entry import Software
from audit.sequencer import Publisher, Sequencer
from audit.spool import Spool
from benchmarks.bench import Bench
from benchmarks.load import Load, Traffic
from benchmarks.rounds import CORE_SHARE
from benchmarks.table import Floor, Row
from core import clock
from core.store.log_queue import LogQueue
from core.store.memory_engine import MemoryEngine

_ENTRIES, _CLIENTS, _TURN = 500_000, 20_000, 50
_FLOORS = {"HTTP": (Floor("≤", 10, " %"), "2 %"), "UDP": (Floor("≤", 20, " %"), "11 %")}


def measure(bench: Bench) -> list[Row]:
    """Return the rows; the node runs before and after."""
    loads: dict[str, list[list[Load]]] = {name: [] for name in _FLOORS}
    for _ in range(bench.rounds):
        turns = [_turn(bench, logged=logged) for logged in (False, True, False)]
        for name in _FLOORS:
            loads[name].append([turn[name] for turn in turns])
    _restart(bench, logged=True)
    return [_row(name, found) for name, found in loads.items()]


def measure_sequencing(folder: Path) -> Row:
    """Return the row of the sequencer alone: from spools to published logs, fsync on, clients at random."""
    chance = random.Random(1)
    addresses = [chance.randbytes(4) for _ in range(_CLIENTS)]
    spool = Spool(folder / "spool", "worker-0", 1.0)
    for start in range(0, _ENTRIES, _TURN):
        spool.write([(1, "ok", chance.randbytes(2) + chance.choice(addresses), b"88.118.7/L1%010d" % number, "")
                     for number in range(start, start + _TURN)])  # fmt: skip
    spool.close()
    key = Ed25519PrivateKey.generate()
    publisher = Publisher("88.118", Software("88.118", "0"), key.public_key().public_bytes_raw(), key.sign)
    sequencer = Sequencer(folder, LogQueue(MemoryEngine()), publisher)
    sequencer.round(clock.now_ms())
    began = time.perf_counter()
    while sequencer.round(clock.now_ms()).more:
        continue
    per_s = _ENTRIES / (time.perf_counter() - began)
    sequencer.close()
    return Row(
        "resolutions sequenced, spool to published log", per_s, "/s", Floor("≥", 50_000, "/s"),
        ours=f"{_ENTRIES:,} entries of {_CLIENTS:,} clients, {1e6 / per_s:.1f} µs an entry",
    )  # fmt: skip


def _turn(bench: Bench, *, logged: bool) -> dict[str, Load]:
    _restart(bench, logged=logged)
    traffics: dict[str, Traffic] = {"HTTP": bench.http(), "UDP": bench.udp()}
    return {name: bench.flat_out(traffic, bench.node.worker)() for name, traffic in traffics.items()}


def _restart(bench: Bench, *, logged: bool) -> None:
    bench.node.stop()
    bench.node.logged = logged
    bench.node.start()


def _row(name: str, rounds: list[list[Load]]) -> Row:
    counted = [three for three in rounds if all(load.server_cpu >= CORE_SHARE for load in three)]
    floor, prototype = _FLOORS[name]
    costs = [100 * (1 - on.per_s / mean((before.per_s, behind.per_s))) for before, on, behind in counted]
    shares = ", ".join(f"{cost:.1f}" for cost in costs)
    by_processor = median(100 * (1 - _of(on) / mean((_of(before), _of(behind)))) for before, on, behind in rounds)
    return Row(
        f"cost of the resolution log, {name}",
        median(costs) if costs else None,
        " %",
        floor,
        prototype=prototype,
        ours=f"{median(on.per_s for _, on, _ in counted):,.0f}/s with it" if counted else "",
        reference=f"{median(before.per_s for before, _, _ in counted):,.0f}/s without" if counted else "",
        note=f"{len(rounds)} rounds of without, with, without; {len(rounds) - len(counted)} discarded; "
        f"each: {shares or '-'}; by processor time {by_processor:.1f} %",
        details={"rounds": [[load._asdict() for load in three] for three in rounds]},
    )


def _of(load: Load) -> float:
    """Return requests for a second of processor time."""
    return load.per_s / load.server_cpu
