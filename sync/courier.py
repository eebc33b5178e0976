"""Brings to one top node what it is owed, table after table, and keeps how far it is.

Whoever runs it holds ``data/sync.lock``. The order of each exchange: the message's range is kept, then it is sent,
then what its answer teaches is kept, each with a commit; a process that is killed anywhere goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from core import limits
from core.clock import Millis
from core.errors import NodeError
from core.store.engine import Batch, Engine, Snapshot, Table
from core.store.upstream_rows import (
    LinkState,
    RefusedRow,
    TableState,
    link_key,
    pack_link_state,
    pack_refused,
    pack_table_state,
    refused_key,
    refused_range,
    table_key,
    unpack_link_state,
    unpack_table_state,
)
from sync import outbox
from sync.link import Asks, RefusalError, UpstreamError, is_of_all
from sync.messages import Connect, Piece, Receipt, State
from sync.schedule import is_due, next_due, waits
from sync.skim import Skim
from sync.source import Source
from sync.table import Basis, Cadence
from sync.words import visible

_LOOKED_KEPT: Final = 5_000  # changes that are looked through again after a restart, at most
_IDLE_TRIES: Final = 3  # answers that lead no further, in one go
_REST_MS: Final = int(limits.UPSTREAM_REST_S * 1_000)  # until a table that failed is tried again
_REFUSED_MS: Final = int(limits.UPSTREAM_REFUSED_RETRY_S * 1_000)
NOT_ENROLLED: Final = "not-enrolled"


class Done(NamedTuple):
    """What one round did. ``rows``: that were sent. ``faults``: by table, in words for the operator."""

    rows: int
    faults: Mapping[str, str]


class Courier:
    """Sends to one top node. ``upstream``: its key id."""

    def __init__(
        self, engine: Engine, upstream: str, link: Asks, sources: Mapping[str, Source], hello: Callable[[], Connect],
        *, now_ms: Callable[[], Millis],
    ) -> None:  # fmt: skip
        self._engine = engine
        self._upstream = upstream
        self._link = link
        self._sources = sources
        self._hello = hello
        self._now_ms = now_ms
        self._seen: dict[str, int] = {}
        self._refused_at_ms: dict[str, int] = {}
        self._urgent_at_ms = 0
        self._skim = Skim({kind for source in sources.values() for kind in source.kinds if source.table.name != "T9"})
        self._rests_ms: dict[str, int] = {}
        self._connected = False

    # --- the top node itself ---
    def connect(self) -> None:
        """Say who we are, keep how it stands, and meet what the top node holds. Errors: UpstreamError, RefusalError."""
        asked_ms = self._now_ms()
        state = self._link.ask(self._hello(), State)
        state = state._replace(enrolment=visible(state.enrolment, limits.UPSTREAM_NAME_CHARS_MAX))
        self._connected = state.enrolment == "enrolled"
        now_ms = self._now_ms()
        skew_ms = state.now_ms - (asked_ms + now_ms) // 2
        self._keep_link(enrolment=state.enrolment, told_ms=now_ms, skew_ms=skew_ms, since_ms=Millis(0), fault="")
        if not self._connected:
            raise RefusalError(
                f"上级节点尚未准入本节点（{state.enrolment}），请其运营者确认。The top node has not enrolled this node "
                f"({state.enrolment}): ask its operator",
                rule=NOT_ENROLLED,
            )
        for holding in state.holdings:
            source = self._sources.get(holding.table)
            if source is not None and _is_key(holding.piece_next):
                known = self._load(holding.table)
                met = outbox.meet(source, known, holding)
                if met != known:
                    self._keep(holding.table, met)
                    self._seen.pop(holding.table, None)

    # --- rounds ---
    def round(self, *, force: bool = False) -> Done:
        """Send what is due, everything where ``force``, until nothing more waits.

        Errors: UpstreamError, RefusalError: it ended there; what was acknowledged is kept.
        """
        try:
            return self._round(force=force)
        except (UpstreamError, RefusalError) as error:
            self._connected = False
            self._note_fault(error.message)
            raise

    def _round(self, *, force: bool) -> Done:
        rows = 0
        faults: dict[str, str] = {}
        if force:
            self.connect()
        for name, source in self._sources.items():
            state, serial = self._state_of(name)
            if not force and waits(self._rests_ms.get(name, 0), self._now_ms(), _REST_MS):
                continue
            due = force or is_due(source.table.sent, state.next_ms, self._now_ms())
            moved = source.table.sent is Cadence.REAL_TIME and self._seen.get(name) != serial
            if not (due or moved or state.pending or state.piece_at):
                continue
            if not self._connected:
                self.connect()
            sent, fault = self.send(source, due=due, force=force)
            rows += sent
            self._seen[name] = serial
            if fault:
                faults[name] = fault
        if rows:
            self._note_answered()
        return Done(rows, faults)

    def send(self, source: Source, *, due: bool = False, force: bool = False) -> tuple[int, str]:
        """Send one table; return the number of rows, and its fault, empty when all is well. Errors: those of ``round``.

        A source that fails, or a message that is refused whole, keeps no other table from being sent.
        """
        name = source.table.name
        try:
            rows, state = self.drain(source, tell=due)
            if due:
                rows += self._send_again(source, force=force)
                if state.fault:
                    state = self.drain(source)[1]
                self._keep(name, self._load(name)._replace(next_ms=next_due(source.table.sent, self._now_ms())))
        except NodeError as error:
            if is_of_all(error):
                raise
            self._rests_ms[name] = rests_ms = Millis(self._now_ms() + _REST_MS)
            self._keep(name, self._load(name)._replace(fault=error.message, next_ms=rests_ms))
            return 0, error.message
        return rows, state.fault

    def drain(self, source: Source, *, tell: bool = False) -> tuple[int, TableState]:
        """Send all of a table that waits now; return the number of rows, and its state. Errors: those of ``round``.

        A state with a fault waits for the operator. What is written meanwhile is of the next round: other tables wait.
        """
        name, rows, idle, until = source.table.name, 0, 0, -1
        while True:
            with self._engine.snapshot() as snapshot:
                known = unpack_table_state(snapshot.get(Table.SYNC_TABLES, table_key(self._upstream, name)))
                if known.ahead:
                    return rows, known
                if not known.piece_at and self._is_full(snapshot, name):
                    return rows, self._full(name, known)
                if until < 0:
                    until = snapshot.serial()
                elif source.table.basis is Basis.FEED and known.serial >= until and _rests(known):
                    return rows, known
                planned = outbox.plan(snapshot, source, known, self._skim.look, tell=tell)
            if planned.message is None:
                state = planned.state._replace(fault="")
                further = state.looked - known.looked >= _LOOKED_KEPT
                if known.fault or further:
                    self._keep(name, state)
                if not further:
                    return rows, state
                continue
            if planned.state._replace(looked=known.looked) != known:
                self._keep(name, planned.state)
            learnt = outbox.learn(source, planned.state, planned.message, self._ask(planned.message), self._now_ms())
            self._keep_learnt(name, planned.message, learnt)
            idle += not _forward(planned.state, learnt.state)
            if idle == _IDLE_TRIES:
                raise UpstreamError(
                    f"{name}：上级节点的应答使同步无法前进。{name}: the top node's answers lead to nothing"
                )
            rows += len(planned.message.items)
            if source.table.sent is not Cadence.REAL_TIME:
                rows += self._drain_urgent()

    def _drain_urgent(self) -> int:
        """Send what is new of the tables in real time while another one takes long; return the number of rows."""
        now_ms, rows = self._now_ms(), 0
        if now_ms < self._urgent_at_ms:
            return 0
        self._urgent_at_ms = now_ms + int(limits.UPSTREAM_ROUND_S * 1_000)
        for name, source in self._sources.items():
            serial = self._state_of(name)[1]
            if source.table.sent is Cadence.REAL_TIME and self._seen.get(name) != serial:
                sent, fault = self.send(source)
                rows += sent
                if not fault:
                    self._seen[name] = serial
        return rows

    def send_whole(self, source: Source) -> None:
        """Have all of a table sent again with the next round."""
        with self._engine.snapshot() as snapshot:
            state = outbox.whole(snapshot, source, self._load(source.table.name))
        self._keep(source.table.name, state)
        self._seen.pop(source.table.name, None)

    def send_rows(self, source: Source, keys: Sequence[bytes]) -> int:
        """Put the rows of the first of these keys right above; return how many. Errors: those of ``round``."""
        with self._engine.snapshot() as snapshot:
            state = self._load(source.table.name)
            message = outbox.repair_of(snapshot, source, state, keys)
        if not state.ahead:
            learnt = outbox.learn(source, state, message, self._ask(message), self._now_ms())
            self._keep_learnt(source.table.name, message, learnt)
        return len(message.items)

    def _send_again(self, source: Source, *, force: bool) -> int:
        """Send once more what was refused, now and then."""
        name, now_ms, sent = source.table.name, self._now_ms(), 0
        if not force and waits(self._refused_at_ms.get(name, 0), now_ms, _REFUSED_MS):
            return 0
        self._refused_at_ms[name] = now_ms + _REFUSED_MS
        start: bytes | None = b""
        while start is not None:
            state = self._load(name)
            if state.piece_at or state.pending or state.ahead:
                break
            with self._engine.snapshot() as snapshot:
                message, start = outbox.again(snapshot, source, self._upstream, state, start)
            if message is None:
                break
            learnt = outbox.learn(source, state, message, self._ask(message), now_ms)
            self._keep_learnt(name, message, learnt)
            sent += len(message.items)
        return sent

    def _ask(self, message: outbox.Message) -> Receipt:
        """Return the answer to rows. Errors: those of ``round``, also for an answer about another table."""
        receipt = self._link.ask(message, Receipt)
        if receipt.holding.table != message.table or not _is_key(receipt.holding.piece_next):
            raise UpstreamError(
                f"{message.table}：上级节点答非所问。{message.table}: the answer is about something else"
            )
        return receipt

    # --- what is kept ---
    def _state_of(self, name: str) -> tuple[TableState, int]:
        with self._engine.snapshot() as snapshot:
            row = snapshot.get(Table.SYNC_TABLES, table_key(self._upstream, name))
            return unpack_table_state(row), snapshot.serial()

    def _load(self, name: str) -> TableState:
        return self._state_of(name)[0]

    def _keep(self, name: str, state: TableState) -> None:
        batch = Batch()
        batch.put(Table.SYNC_TABLES, table_key(self._upstream, name), pack_table_state(state))
        self._engine.commit(batch)

    def _keep_learnt(self, name: str, message: outbox.Message, learnt: outbox.Learnt) -> None:
        batch, operations = Batch(), outbox.operations_of(message)
        batch.put(Table.SYNC_TABLES, table_key(self._upstream, name), pack_table_state(learnt.state))
        for serial, key in learnt.taken:
            batch.put(Table.SYNC_REFUSED, refused_key(self._upstream, name, serial, key), None)
        full = isinstance(message, Piece) and self._is_full_now(name)  # rows that are not kept are compared nightly
        for each in () if full else learnt.refused:
            rule, zh, en = (visible(text, limits.UPSTREAM_REASON_CHARS_MAX) for text in each[2:])
            row = RefusedRow(operations.get((each.serial, each.key), 0), rule, zh, en, self._now_ms())
            place = refused_key(self._upstream, name, each.serial, each.key)
            batch.put(Table.SYNC_REFUSED, place, pack_refused(row))
        self._engine.commit(batch)

    def _is_full(self, snapshot: Snapshot, name: str) -> bool:
        rows = snapshot.scan(Table.SYNC_REFUSED, *refused_range(self._upstream, name))
        return (
            sum(1 for _ in zip(range(limits.UPSTREAM_REFUSED_MAX), rows, strict=False)) == limits.UPSTREAM_REFUSED_MAX
        )

    def _is_full_now(self, name: str) -> bool:
        with self._engine.snapshot() as snapshot:
            return self._is_full(snapshot, name)

    def _full(self, name: str, state: TableState) -> TableState:
        full = state._replace(fault=outbox.TOO_MANY.format(rows=limits.UPSTREAM_REFUSED_MAX))
        if full != state:
            self._keep(name, full)
        return full

    def _link_state(self) -> LinkState:
        with self._engine.snapshot() as snapshot:
            return unpack_link_state(snapshot.get(Table.SYNC_TABLES, link_key(self._upstream)))

    def _keep_link(self, **members: object) -> LinkState:
        known = self._link_state()
        state = known._replace(**members)  # type: ignore[arg-type]
        if state != known:
            batch = Batch()
            batch.put(Table.SYNC_TABLES, link_key(self._upstream), pack_link_state(state))
            self._engine.commit(batch)
        return state

    def note_verified(self, differences: int) -> None:
        """Keep that both sides were compared."""
        self._keep_link(verified_ms=self._now_ms(), differences=differences)

    def _note_answered(self) -> None:
        self._keep_link(told_ms=self._now_ms(), since_ms=Millis(0), fault="")

    def _note_fault(self, fault: str) -> None:
        known = self._link_state()
        self._keep_link(since_ms=known.since_ms or self._now_ms(), fault=fault)


def _rests(state: TableState) -> bool:
    """Whether nothing of a table is under way, and nothing is wrong with it."""
    return not (state.pending or state.piece_at or state.fault)


def _forward(before: TableState, after: TableState) -> bool:
    """Whether an answer brought a table on: a snapshot is over, its next piece comes later, or more is acknowledged."""
    if before.piece_at:
        return not after.piece_at or after.piece_next > before.piece_next
    return after.serial > before.serial


def _is_key(key: bytes) -> bool:
    """Whether it can be where a range of keys starts: at most the first key behind the longest."""
    return len(key) <= limits.UPSTREAM_KEY_BYTES_MAX + 1
