"""Rows of the store of takeovers. Byte map: ``sync/topnode/takeover.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

import msgpack

from core.clock import Millis, read_millis
from core.store.versioned import read_versioned
from sync.topnode.probing import Standing, State, Summary, Tally
from sync.topnode.rows import require

T = TypeVar("T")
_VERSION: Final = b"\x01"
_NO_SUMMARY: Final = Summary(0, Tally(), Tally())


class Below(NamedTuple):
    """A node that is probed. ``codes``: folded, those that its copy answers for, with all below them."""

    node_id: str
    prefix: str
    codes: tuple[str, ...] = ()


class Watched(NamedTuple):
    """A node as its probes have it. First three: see Below.

    ``takeover``: id of the one that is under way, empty of none. ``since_ms``: of the state. ``summary``: of the last
    window that was whole, ``judged_ms``: when; 0 where there was none.
    """

    node_id: str
    prefix: str = ""
    codes: tuple[str, ...] = ()
    standing: Standing = Standing()
    since_ms: Millis = Millis(0)
    takeover: str = ""
    summary: Summary = _NO_SUMMARY
    judged_ms: Millis = Millis(0)

    @property
    def state(self) -> State:
        """Return the state alone."""
        return self.standing.state


class Event(NamedTuple):
    """One change of state. ``by``: the operator, empty where the probes decided; ``reason``: his, else the figures."""

    number: int
    at_ms: Millis
    node_id: str
    prefix: str
    before: State
    after: State
    takeover: str
    by: str
    reason: str


class ProbeRow(NamedTuple):
    """A probe, by its name. ``number``: of its last report. ``reports``: that were taken; ``refused``: that were not.

    ``last_ms``: of the last report or round; ``why``: rules by which the last refused one was; ``differs``: nodes of
    which it said the contrary of all others in the last window.
    """

    number: int = 0
    reports: int = 0
    refused: int = 0
    last_ms: Millis = Millis(0)
    why: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()


def pack_watched(watched: Watched) -> bytes:
    """Return the octets of a row of ``watched``."""
    state, by_hand = watched.standing
    return _pack([*watched[:3], [state.value, by_hand], *watched[4:]])


def unpack_watched(row: bytes) -> Watched:
    """Read a row. Errors: StoreError."""
    return _read(row, _watched)


def pack_event(event: Event) -> bytes:
    """Return the octets of a row of ``events``."""
    return _pack([*event[:4], event.before.value, event.after.value, *event[6:]])


def unpack_event(row: bytes) -> Event:
    """Read a row. Errors: StoreError."""
    return _read(row, _event)


def pack_probe(probe: ProbeRow) -> bytes:
    """Return the octets of a row of ``probes``."""
    return _pack(list(probe))


def unpack_probe(row: bytes | None) -> ProbeRow:
    """Read a row; none is that of a probe that said nothing yet. Errors: StoreError."""
    return ProbeRow() if row is None else _read(row, _probe)


# --- pieces ---
def _pack(members: list[Any]) -> bytes:
    packed: bytes = msgpack.packb(members)
    return _VERSION + packed


def _watched(packed: Any) -> Watched:
    node_id, prefix, codes, (state, by_hand), since_ms, takeover, (period, *tallies), judged_ms = packed
    require(str, node_id, prefix, *codes, takeover)
    require(bool, by_hand)
    resolution, registration = (Tally(asked, failed) for asked, failed in tallies)
    require(int, period, *resolution, *registration)
    return Watched(
        node_id, prefix, tuple(codes), Standing(State(state), by_hand), read_millis(since_ms), takeover,
        Summary(period, resolution, registration), read_millis(judged_ms),
    )  # fmt: skip


def _event(packed: Any) -> Event:
    number, at_ms, node_id, prefix, before, after, takeover, by, reason = packed
    require(int, number)
    require(str, node_id, prefix, takeover, by, reason)
    return Event(number, read_millis(at_ms), node_id, prefix, State(before), State(after), takeover, by, reason)


def _probe(packed: Any) -> ProbeRow:
    number, reports, refused, last_ms, why, differs = packed
    require(int, number, reports, refused)
    require(str, *why, *differs)
    return ProbeRow(number, reports, refused, read_millis(last_ms), tuple(why), tuple(differs))


def _read(row: bytes, read: Callable[[Any], T]) -> T:
    return read_versioned(row, "a row of the store of takeovers", read)
