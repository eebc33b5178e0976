"""Hands back to a node what was registered here while a takeover was on, and ends the takeover.

The list lies in the copy that the changes were made in (``core/store/handed_rows.py``). ``over`` is said when the node
has all of it and may answer again; the list is closed by the same commit, which fails where another change came
meanwhile: so none is registered that is not handed back. A closed list stays until another copy takes its place.
Where the node kept its own, the same commit gives the copy what the deposit had: no DIFF tells of what is not changed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Protocol

from core import limits
from core.clock import Millis
from core.ident.handle import HandleRules, prefix_of
from core.store.case_row import stored_case
from core.store.engine import Batch, Engine, ExpectationError, Snapshot, Table
from core.store.handed_rows import (
    MADE_KEY,
    MADE_RANGE,
    MadeState,
    made_key,
    made_state,
    number_of,
    pack,
    unpack_made,
    unpack_was,
    was_key,
)
from core.store.prefix_rows import pack_count, unpack_count
from core.store.record_rows import pack_record, record_key, unpack_values
from sync.messages import HandBack, Handed, Made
from sync.topnode.probing import SERVING, State
from sync.topnode.rows import Node
from sync.topnode.takeover_rows import Watched

_LOG: Final = logging.getLogger("saltern.topnode")


class On(NamedTuple):
    """A takeover that is on. ``takeover``: its id; ``back``: the node's window is good: it may answer again."""

    takeover: str
    back: bool


class Takeovers(Protocol):
    """Decides about takeovers."""

    def serving(self, prefix: bytes) -> str | None:
        """Return the id of the node that is answered for at a folded prefix, None without a takeover."""

    def state(self, node_id: str) -> Watched:
        """Return how it stands with a node."""

    def handed_back(self, node_id: str, takeover: str, now_ms: Millis) -> bool:
        """End a takeover, durably, if the node's window is good; return whether it is over."""


class Copies(Protocol):
    """The copies of nodes' stores."""

    def engine(self, node_id: str) -> Engine | None:
        """Return the store of the copy that is answered from, None where there is none."""


def takeover_of(takeovers: Takeovers, node_id: str) -> On | None:
    """Return the takeover of a node, None where there is none."""
    watched = takeovers.state(node_id)
    return On(watched.takeover, watched.state is State.RETURNING) if watched.state in SERVING else None


class Handing:
    """Answers HandBack. To be one of the takers of ``TopDesk``."""

    def __init__(self, takeovers: Takeovers, copies: Copies) -> None:
        self._takeovers = takeovers
        self._copies = copies

    def hand(self, node: Node, question: HandBack, now_ms: Millis) -> Handed:
        """Answer one question. Errors: StoreError, then nothing is over."""
        on = takeover_of(self._takeovers, node.node_id)
        engine = self._copies.engine(node.node_id)
        if engine is None:
            return Handed("" if on is None else on.takeover, (), self._ended(node, on, now_ms))
        while True:
            state, changes = _list_of(engine, question)
            if on is None and state is None:
                return Handed("", (), True)
            if changes:
                assert state is not None
                return Handed(state.takeover, changes, False)
            if on is not None and not on.back:
                return Handed(on.takeover if state is None or not state.open else state.takeover, (), False)
            try:
                name = close_list(engine, state, "" if on is None else on.takeover, question.kept)
            except ExpectationError:
                continue  # another change came meanwhile
            if state is not None and state.open:
                _LOG.info("node %s has all %d changes of takeover %s", node.node_id, state.last, name)
                if question.kept:
                    _LOG.warning("of takeover %s the node kept its own for changes %s", name, question.kept)
            return Handed(name, (), self._ended(node, on, now_ms))

    def _ended(self, node: Node, on: On | None, now_ms: Millis) -> bool:
        """End a takeover if it may end; return whether there is none any more."""
        return on is None or (on.back and self._takeovers.handed_back(node.node_id, on.takeover, now_ms))


def _list_of(engine: Engine, question: HandBack) -> tuple[MadeState | None, tuple[Made, ...]]:
    """Return the state of the list, and the next changes of it that the node lacks."""
    with engine.snapshot() as snapshot:
        state = made_state(snapshot)
        if state is None:
            return None, ()
        taken = question.taken if question.takeover == state.takeover else 0
        return state, tuple(_page(snapshot, taken))


def _page(snapshot: Snapshot, taken: int) -> Iterator[Made]:
    """Bounds: HANDED_PAGE changes; HANDED_PAGE_BYTES, or one that is larger."""
    size = 0
    start = made_key(taken + 1)
    for at, (key, row) in enumerate(snapshot.scan(Table.HANDED_BACK, start, MADE_RANGE[1])):
        size += len(row)
        if at == limits.HANDED_PAGE or (at and size > limits.HANDED_PAGE_BYTES):
            return
        yield Made(number_of(key), *unpack_made(row))


def open_list(snapshot: Snapshot, batch: Batch, on: On) -> MadeState | None:
    """Return the list that a change goes into, begun where there is none; None where it is closed.

    A list that another takeover left open goes on: what is in it was not handed back. So does one that was closed for
    a node that is away again. ``on``: read after the snapshot was opened. ``batch``: expects the list as it is.
    """
    row = snapshot.get(Table.HANDED_BACK, MADE_KEY)
    state = made_state(snapshot)
    batch.expect(Table.HANDED_BACK, MADE_KEY, row)
    if state is not None and (state.open or state.takeover == on.takeover):
        return None if on.back and not state.open else state._replace(open=True)
    for key, _ in snapshot.scan(Table.HANDED_BACK, *MADE_RANGE):
        batch.put(Table.HANDED_BACK, key, None)
    return MadeState(on.takeover, 0, open=True)


def close_list(engine: Engine, seen: MadeState | None, takeover: str, kept: Iterable[int] = ()) -> str:
    """Close the list as it was ``seen``, so that no change comes any more; return the id of the takeover it is of.

    ``kept``: numbers of changes that the node did not take.
    Errors: ExpectationError where another change came meanwhile.
    """
    if seen is not None and not seen.open and takeover in ("", seen.takeover):
        return seen.takeover
    batch = Batch()
    batch.expect(Table.HANDED_BACK, MADE_KEY, None if seen is None else pack(seen))
    closed = MadeState(takeover, 0, open=False) if seen is None or not seen.open else seen._replace(open=False)
    if seen is not None and not seen.open:
        with engine.snapshot() as snapshot:
            for key, _ in snapshot.scan(Table.HANDED_BACK, *MADE_RANGE):
                batch.put(Table.HANDED_BACK, key, None)
    else:
        _undo(engine, batch, set(kept))
    batch.put(Table.HANDED_BACK, MADE_KEY, pack(closed))
    engine.commit(batch)
    return closed.takeover


def _undo(engine: Engine, batch: Batch, kept: set[int]) -> None:
    """Stage that records are what they were whose last change is ``kept``. Bounds: EMERGENCY_CHANGES_MAX records."""
    counts: Counter[bytes] = Counter()
    with engine.snapshot() as snapshot:
        rules = HandleRules(case_sensitive=stored_case(snapshot))
        made = snapshot.scan(Table.HANDED_BACK, *MADE_RANGE) if kept else ()
        last = {rules.key(unpack_made(row).handle): number_of(key) for key, row in made}
        for key in (key for key, number in last.items() if number in kept):
            place = record_key(key)
            was, now = snapshot.get(Table.HANDED_BACK, was_key(place)), snapshot.get(Table.RECORDS, place)
            if was is None:
                continue
            row = unpack_was(was)
            batch.put(Table.RECORDS, place, row)
            batch.put(Table.ANSWERS, place, None if row is None else pack_record(key, unpack_values(row)).answer)
            counts[prefix_of(key)] += (row is not None) - (now is not None)
        for prefix, more in counts.items():
            if more:
                count = unpack_count(snapshot.get(Table.COUNTERS, prefix)) + more
                batch.put(Table.COUNTERS, prefix, pack_count(count))
