"""Of which nodes the top node serves the escrowed copy, durably: LMDB in ``data/takeover``, many processes.

Numbers are big-endian; rows begin with a version octet (``sync/topnode/takeover_rows.py``).

    watched    key id of the node, 16 octets -> Watched
    events     number (8)                    -> Event: each change of a state, the last TAKEOVER_EVENTS_KEPT
    probes     name                          -> ProbeRow
    meta       "format"                      -> 1
               "events"                      -> number of the last event (8)

What decides is ``sync/topnode/probing.py``; every change of state is an event, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import lmdb

from core import limits
from core.clock import Millis, format_instant
from core.errors import Outcome, StoreError
from core.ident.handle import ancestors
from sync.topnode.probing import SERVING, Standing, State, Verdict, decide
from sync.topnode.takeover_rows import (
    Below,
    Event,
    ProbeRow,
    Watched,
    pack_event,
    pack_probe,
    pack_watched,
    unpack_event,
    unpack_probe,
    unpack_watched,
)

_NAMES: Final = (b"watched", b"events", b"probes", b"meta")
_FORMAT: Final = b"\x01"


class Judged(NamedTuple):
    """The whole window of a node. ``has_copy``: a deposit of it was accepted, so that there is something to serve."""

    node: Below
    verdict: Verdict
    has_copy: bool


class _Tables(NamedTuple):
    watched: Any
    events: Any
    probes: Any
    meta: Any


class Takeovers:
    """The open store. Open it after any fork. Errors: every method raises StoreError where it cannot be used."""

    def __init__(self, folder: Path) -> None:
        """Open it, and make it where there is none. Errors: StoreError."""
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self._environment: Any = lmdb.open(
                str(folder), map_size=limits.TAKEOVER_STORE_BYTES, max_dbs=len(_NAMES),
                max_readers=limits.TOPNODE_READERS, mode=0o600,
            )  # fmt: skip
        except (lmdb.Error, OSError) as error:
            raise StoreError(f"无法打开{folder}。Cannot open {folder}: {error}") from None
        try:
            self._tables = _Tables(*(self._environment.open_db(name) for name in _NAMES))
            self._make(folder)
        except lmdb.Error as error:
            self._environment.close()
            raise StoreError(f"无法打开{folder}。Cannot open {folder}: {error}") from None
        except BaseException:
            self._environment.close()
            raise
        self._state_number = -1
        self._served: dict[bytes, str] = {}

    def _make(self, folder: Path) -> None:
        with self._environment.begin(write=True) as transaction:
            version = transaction.get(b"format", None, self._tables.meta)
            if version is None:
                transaction.put(b"format", _FORMAT, db=self._tables.meta)
            elif version != _FORMAT:
                raise StoreError(f"{folder}的版本不同。The store in {folder} is of another version")

    # --- what is served ---
    def serving(self, prefix: bytes) -> str | None:
        """Return the node whose copy is served for a folded prefix now, None of none. Cost: 1 µs, and one a level."""
        with self._read() as transaction:
            if transaction.id() != self._state_number:
                self._served = _served(_all(transaction, self._tables))
                self._state_number = transaction.id()
        if not self._served:
            return None
        return next((node_id for above in ancestors(prefix) if (node_id := self._served.get(above))), None)

    def state(self, node_id: str) -> Watched:
        """Return how the top node stands to a node; one that was never judged is NORMAL, with since_ms 0."""
        with self._read() as transaction:
            return self._watched(transaction, node_id)

    def states(self) -> list[Watched]:
        """Return all nodes that were ever judged."""
        with self._read() as transaction:
            return _all(transaction, self._tables)

    def events(self, node_id: str | None = None, count: int = limits.TOPNODE_PAGE) -> list[Event]:
        """Return the last changes of state, of all nodes or of one, the newest first."""
        found: list[Event] = []
        with self._read() as transaction, transaction.cursor(self._tables.events) as cursor:
            for row in cursor.iterprev(keys=False) if cursor.last() else ():
                event = unpack_event(row)
                if node_id in (None, event.node_id):
                    found.append(event)
                    if len(found) == count:
                        break
        return found

    # --- deciding ---
    def judge(self, found: Iterable[Judged], probes: Mapping[str, ProbeRow], now_ms: Millis) -> list[Event]:
        """Decide by whole windows, and write what is known of probes; return what changed. All in one transaction."""
        events = []
        with self._write() as transaction:
            for each in found:
                before = self._watched(transaction, each.node.node_id)
                after = decide(before.standing, each.verdict.seen, each.has_copy)
                summary = each.verdict.summary
                watched = _of(before, each.node)._replace(summary=summary, judged_ms=now_ms)
                reason = (
                    f"resolution {summary.resolution.failed}/{summary.resolution.asked}, "
                    f"registration {summary.registration.failed}/{summary.registration.asked}"
                )
                events += self._put(transaction, watched, after, "", reason, now_ms)
            for name, row in probes.items():
                transaction.put(name.encode(), pack_probe(row), db=self._tables.probes)
        return events

    def begin(self, node: Below, by: str, reason: str, now_ms: Millis) -> Watched:
        """Take over by hand, until it is released. There must be a copy. Errors: StoreError (CONFLICT) where it was."""
        with self._write() as transaction:
            before = self._watched(transaction, node.node_id)
            if before.standing == Standing(State.TAKEOVER, True):
                raise _conflict(f"{node.prefix} 已被接管。{node.prefix} is taken over already")
            self._put(transaction, _of(before, node), Standing(State.TAKEOVER, True), by, reason, now_ms)
            return self._watched(transaction, node.node_id)

    def release(self, node_id: str, by: str, reason: str, now_ms: Millis) -> Watched:
        """End a takeover by hand: first it is RETURNING; whoever releases that waits for no hand-back any more.

        Errors: StoreError (CONFLICT) where nothing is taken over.
        """
        with self._write() as transaction:
            before = self._watched(transaction, node_id)
            if before.state not in SERVING:
                raise _conflict(f"节点 {node_id} 未被接管。The node {node_id} is not taken over")
            after = State.RETURNING if before.state is State.TAKEOVER else State.NORMAL
            self._put(transaction, before, Standing(after, True), by, reason, now_ms)
            return self._watched(transaction, node_id)

    def refuse(self, node_id: str, by: str, now_ms: Millis) -> None:
        """End whatever takeover is on of a node that is refused: another one may have its prefixes now."""
        with self._write() as transaction:
            before = self._watched(transaction, node_id)
            if before.state in SERVING:
                self._put(transaction, before, Standing(State.NORMAL, True), by, "refused", now_ms)

    def handed_back(self, node_id: str, takeover: str, now_ms: Millis) -> bool:
        """The node has all that was registered meanwhile; return whether it is referred to again.

        False while probes do not find it back yet (TAKEOVER), and for the id of another takeover.
        """
        with self._write() as transaction:
            before = self._watched(transaction, node_id)
            if before.state is State.RETURNING and before.takeover == takeover:
                after = before.standing._replace(state=State.NORMAL)
                self._put(transaction, before, after, "", "handed back", now_ms)
                return True
            return before.state is State.NORMAL

    def _put(  # noqa: PLR0917
        self, transaction: Any, watched: Watched, after: Standing, by: str, reason: str, now_ms: Millis
    ) -> list[Event]:  # fmt: skip
        """Write a row, and the event of what changed."""
        before = watched.standing
        watched = watched._replace(standing=after)
        events: list[Event] = []
        if after.state is not before.state or by:
            number = 1 + int.from_bytes(transaction.get(b"events", b"", self._tables.meta), "big")
            takeover = watched.takeover
            if after.state is State.TAKEOVER and not takeover:
                takeover = f"{''.join(filter(str.isalnum, format_instant(now_ms)))}-{number:08}"
            event = Event(
                number, now_ms, watched.node_id, watched.prefix, before.state, after.state, takeover, by, reason
            )
            transaction.put(number.to_bytes(8, "big"), pack_event(event), db=self._tables.events)
            transaction.put(b"events", number.to_bytes(8, "big"), db=self._tables.meta)
            if number > limits.TAKEOVER_EVENTS_KEPT:
                old = (number - limits.TAKEOVER_EVENTS_KEPT).to_bytes(8, "big")
                transaction.delete(old, db=self._tables.events)
            if after.state not in SERVING:
                takeover = ""
            watched = watched._replace(takeover=takeover)
            if after.state is not before.state:
                watched = watched._replace(since_ms=now_ms)
            events.append(event)
        transaction.put(_octets(watched.node_id), pack_watched(watched), db=self._tables.watched)
        return events

    # --- probes ---
    def probes(self) -> dict[str, ProbeRow]:
        """Return the probes that ever said something, by name."""
        with self._read() as transaction:
            return {name.decode(): unpack_probe(row) for name, row in transaction.cursor(self._tables.probes)}

    def probe(self, name: str) -> ProbeRow:
        """Return a probe, by its name."""
        with self._read() as transaction:
            return unpack_probe(transaction.get(name.encode(), None, self._tables.probes))

    def put_probe(self, name: str, row: ProbeRow) -> None:
        """Write what is known of a probe."""
        with self._write() as transaction:
            transaction.put(name.encode(), pack_probe(row), db=self._tables.probes)

    def close(self) -> None:
        """Close it."""
        self._environment.close()

    # --- pieces ---
    def _watched(self, transaction: Any, node_id: str) -> Watched:
        row = transaction.get(_octets(node_id), None, self._tables.watched)
        return Watched(node_id) if row is None else unpack_watched(row)

    @contextmanager
    def _read(self) -> Iterator[Any]:
        try:
            with self._environment.begin() as transaction:
                yield transaction
        except lmdb.Error as error:
            raise _unusable(error) from None

    @contextmanager
    def _write(self) -> Iterator[Any]:
        try:
            with self._environment.begin(write=True) as transaction:
                yield transaction
        except lmdb.Error as error:
            raise _unusable(error) from None


def _all(transaction: Any, tables: _Tables) -> list[Watched]:
    return [unpack_watched(row) for _, row in transaction.cursor(tables.watched)]


def _served(watched: list[Watched]) -> dict[bytes, str]:
    """Return the nodes whose copies are served, by their codes."""
    return {code.encode(): each.node_id for each in watched if each.state in SERVING for code in each.codes}


def _of(watched: Watched, node: Below) -> Watched:
    """Return the row with what the node says of itself; while its copy is served, the codes it had stand."""
    if watched.state in SERVING:
        return watched
    return watched._replace(prefix=node.prefix, codes=node.codes)


def _octets(node_id: str) -> bytes:
    try:
        octets = bytes.fromhex(node_id)
    except ValueError:
        octets = b""
    if len(octets) != 16:
        raise StoreError(f"没有节点 {node_id}。There is no node {node_id}", outcome=Outcome.NOT_FOUND)
    return octets


def _conflict(message: str) -> StoreError:
    return StoreError(message, outcome=Outcome.CONFLICT)


def _unusable(error: Exception) -> StoreError:
    full = isinstance(error, lmdb.MapFullError)
    message = f"接管数据库暂不可用。The store of takeovers cannot be used just now ({error})"
    return StoreError(message, outcome=Outcome.STORE_FULL if full else None)
