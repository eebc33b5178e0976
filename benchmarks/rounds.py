"""Rounds of measurement: several sides take turns, and rounds that do not count are left out.

A round in which the server used less than CORE_SHARE of its core does not count: the
generator, or another program, was what was measured. Every number is a median of rounds.
Beside each ratio stands the one of requests a second of processor time, which holds roughly
even on a busy machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median

from benchmarks.load import Load
from benchmarks.table import Floor, Row

CORE_SHARE = 0.95
WARM_S = 0.3


class Rounds:
    """The rounds of one side, and which of them count."""

    def __init__(self, loads: list[Load], share: float = CORE_SHARE) -> None:
        self.loads = loads
        self.counted = [load for load in loads if load.server_cpu >= share]

    @property
    def per_s(self) -> float:
        """The median of requests a second, 0 where no round counts."""
        return median(load.per_s for load in self.counted) if self.counted else 0.0

    @property
    def per_core_s(self) -> float:
        """The median of requests for a second of the server's processor time, rounds that do not count included."""
        return median(load.per_s / load.server_cpu if load.server_cpu else 0.0 for load in self.loads)

    def ms(self, name: str) -> float:
        """Return the median of a latency in milliseconds; ``name``: p50, p95 or p99."""
        return median(float(getattr(load, f"{name}_us")) for load in self.counted) / 1_000

    @property
    def lost(self) -> int:
        """Requests without an answer, in all rounds."""
        return sum(load.lost for load in self.loads)

    def __str__(self) -> str:
        if not self.counted:
            shares = ", ".join(f"{load.server_cpu:.2f}" for load in self.loads)
            return f"no round counts: the server used {shares} of its core"
        return f"{self.per_s:,.0f}/s, p50 {self.ms('p50'):.2f} ms, p99 {self.ms('p99'):.2f} ms"

    def details(self) -> list[dict[str, object]]:
        """Return every round, for the result file."""
        return [load._asdict() for load in self.loads]


def take_turns(sides: Mapping[str, Callable[[], Load]], rounds: int) -> dict[str, Rounds]:
    """Run every side in turn, so many rounds; return the rounds by side."""
    loads: dict[str, list[Load]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, run in sides.items():
            loads[side].append(run())
    return {side: Rounds(found) for side, found in loads.items()}


def ratio_row(
    what: str, floor: Floor | None, prototype: str, found: Mapping[str, Rounds], names: tuple[str, str], reference: str
) -> Row:
    """Return the row of a ratio between two sides; ``names``: ours, and the reference, which is described."""
    ours, theirs = (found[name] for name in names)
    by_processor = f"by processor time {ours.per_core_s / theirs.per_core_s:.2f}" if theirs.per_core_s else ""
    return Row(
        what,
        ours.per_s / theirs.per_s if ours.per_s and theirs.per_s else None,
        floor=floor,
        prototype=prototype,
        ours=str(ours),
        reference=f"{reference}: {theirs}",
        note="; ".join(filter(None, [_remarks({name: found[name] for name in names}), by_processor])),
        details={name: found[name].details() for name in names},
    )


def alone_row(what: str, floor: Floor | None, prototype: str, ours: Rounds, why: str) -> Row:
    """Return the row of a ratio whose reference is missing."""
    return Row(
        what, None, floor=floor, prototype=prototype, ours=str(ours), note=f"no ratio: {why}",
        details={"ours": ours.details()},
    )  # fmt: skip


def _remarks(sides: Mapping[str, Rounds]) -> str:
    rounds = max(len(side.loads) for side in sides.values())
    left = {name: len(side.loads) - len(side.counted) for name, side in sides.items()}
    text = f"{rounds} rounds of each, none discarded"
    if any(left.values()):
        counts = ", ".join(f"{count} of {name}" for name, count in left.items())
        text = f"{rounds} rounds of each; discarded, the server used < {CORE_SHARE} of its core: {counts}"
    lost = "".join(f"; {side.lost} requests to {name} had no answer" for name, side in sides.items() if side.lost)
    return text + lost
