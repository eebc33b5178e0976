"""What is sent next of one table, and what an answer teaches: a state and a snapshot in, a message or a state out.

1. A message is fixed before it is sent (``pending``): until its answer is there, the same range of serials is sent
   again, so that one whose answer was lost is known above for what it is.
2. A top node that holds less than it acknowledged lost something: it gets it again, from what it holds.
3. One that claims to hold what was never sent to it is not believed, and gets nothing until a person decides: this node
   may have been put back from an old copy. ``saltern sync verify --repair`` sends the whole table then.
4. Rows that are refused are kept, and sent again now and then; they keep no others from being sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from core import limits
from core.clock import Millis
from core.store.engine import Snapshot, Table
from core.store.upstream_rows import TableState, refused_of, refused_range, unpack_refused
from sync.digests import items_digest
from sync.feeding import DAYS_END, gather, gather_days, last_serial
from sync.messages import Delta, Holding, Item, Piece, Receipt, Refused, Repair
from sync.skim import Look, read_feed
from sync.source import Source
from sync.table import INTEGER_MAX, Basis, Operation, TableKind

Message = Delta | Piece | Repair

_NEVER: Final = b"\0"
"""A context that no table has: all of it is to be sent."""

AHEAD: Final = (
    "上级节点声称持有本节点从未发送的序号（{held} > {sent}），可能是本节点由旧备份恢复；"
    "请执行 saltern sync verify --repair。"
    "The top node claims to hold serial {held}, which was never sent ({sent}): if this node was put back from an old "
    "copy, run `saltern sync verify --repair`"
)
TOO_MANY: Final = (
    "有 {rows} 行被上级节点拒收，暂停发送；请按 saltern sync status 更正。"
    "{rows} rows are refused and nothing more is sent: correct them, see `saltern sync status`"
)
BEHIND: Final = (
    "上级节点只持有到序号 {held}（已确认 {sent}），正在补发。"
    "The top node holds serial {held} although it acknowledged {sent}: what it lost is sent again"
)


class Planned(NamedTuple):
    """What is to be sent, and the state to be kept before it is."""

    message: Message | None
    state: TableState


class Learnt(NamedTuple):
    """What an answer teaches: the state, rows that were refused, and serials and keys of those that are taken now."""

    state: TableState
    refused: tuple[Refused, ...] = ()
    taken: tuple[tuple[int, bytes], ...] = ()


# --- what comes next ---
def plan(
    snapshot: Snapshot, source: Source, state: TableState, look: Look = read_feed, *, tell: bool = False
) -> Planned:
    """Return what is to be sent next. ``tell``: also that there is nothing new, where the top node holds less.

    ``look``: reads the feed (``sync/skim.py``).
    """
    if state.piece_at:
        return Planned(_piece(snapshot, source, state), state)
    context = source.context(snapshot)
    if context != state.context:
        return _begin(snapshot, source, state, context)
    if source.table.basis is Basis.WHOLE:
        return Planned(None, state)
    if source.table.basis is Basis.DAYS:
        return _days(snapshot, source, state)
    to = state.pending or last_serial(snapshot, source)
    return _changes(snapshot, source, state, to, look, tell=tell)


def whole(snapshot: Snapshot, source: Source, state: TableState) -> TableState:
    """Return the state in which all of a table is sent again. A snapshot that is under way goes on."""
    if state.piece_at:
        return state
    if source.table.basis is Basis.WHOLE:
        at = 1 + state.serial % INTEGER_MAX
    else:
        at = max(1, last_serial(snapshot, source))
    return state._replace(
        piece_at=at, piece_next=b"", context=source.context(snapshot), pending=0, looked=at, fault="", ahead=0
    )  # fmt: skip


def anew(table: TableKind, state: TableState, serial: int) -> TableState:
    """Return the state of a table of a node that was put back from a copy: all of it is sent, whatever is held above.

    ``serial``: that the node goes on behind, which is above all that the former one gave, so that nothing held above
    is ahead. Rows of days never change: those that are missing are sent, as ever.
    """
    if table.basis is Basis.DAYS:
        return state._replace(fault="", ahead=0)
    at = serial if table.basis is Basis.FEED else state.serial
    return state._replace(
        serial=at, looked=at, pending=0, piece_at=0, piece_next=b"", context=_NEVER, fault="", next_ms=Millis(0),
        ahead=0,
    )  # fmt: skip


def _begin(snapshot: Snapshot, source: Source, state: TableState, context: bytes) -> Planned:
    begun = whole(snapshot, source, state)._replace(context=context)
    return Planned(_piece(snapshot, source, begun), begun)


def _piece(snapshot: Snapshot, source: Source, state: TableState) -> Piece:
    items: list[Item] = []
    stop: bytes | None = None
    octets = 0
    for key, row in source.rows(snapshot, state.piece_next, None):
        if len(items) == limits.UPSTREAM_BATCH_ITEMS or octets >= limits.UPSTREAM_BATCH_BYTES:
            stop = key
            break
        items.append(Item(0, Operation.NONE, key, row))
        octets += len(key) + len(row)
    found = tuple(items)
    return Piece(source.table.name, state.piece_at, state.piece_next, stop, items_digest(found), found)


def _days(snapshot: Snapshot, source: Source, state: TableState) -> Planned:
    items = gather_days(snapshot, source, state.serial, state.pending)
    if not items and not state.pending:
        return Planned(None, state)
    to = items[-1].serial if items else state.pending  # days that were sent may be gone since
    return _delta(source, state, to, items)


def _changes(snapshot: Snapshot, source: Source, state: TableState, to: int, look: Look, *, tell: bool) -> Planned:
    after = state.serial if state.pending else max(state.serial, state.looked)
    gathered = gather(snapshot, source, after, to, look, exact=bool(state.pending))
    if gathered.trimmed:
        return _begin(snapshot, source, state, state.context)
    looked = gathered.looked
    if not gathered.items and not state.pending and not (tell and looked > state.serial):
        return Planned(None, state._replace(looked=looked))
    return _delta(source, state._replace(looked=looked), looked, gathered.items)


def _delta(source: Source, state: TableState, to: int, items: tuple[Item, ...]) -> Planned:
    message = Delta(source.table.name, state.serial, to, items_digest(items), items)
    return Planned(message, state._replace(looked=to, pending=max(state.pending, to)))


# --- what an answer teaches ---
def learn(source: Source, state: TableState, message: Message, receipt: Receipt, now_ms: Millis) -> Learnt:
    """Return the state after an answer to what was sent in this state."""
    receipt = receipt._replace(refused=_of_message(message, receipt.refused))
    held = receipt.holding
    answered = state._replace(told_ms=now_ms)
    if isinstance(message, Piece):
        return _learn_piece(source, answered, message, receipt)
    if isinstance(message, Repair):
        return _learn_repair(answered, message, receipt)
    if receipt.why == "applied" and held.serial == message.to:
        return _taken(answered, message, receipt)
    if receipt.why == "duplicate" and held.serial == state.pending:  # its first answer was lost
        return _taken(answered, message, receipt)
    return Learnt(_out_of_step(source, answered, receipt))


def meet(source: Source, state: TableState, holding: Holding) -> TableState:
    """Return the state after the top node said what it holds, unasked for by any message of this table."""
    under_way = (holding.piece_at, holding.piece_next) == (state.piece_at, state.piece_next)
    known = {state.serial, state.pending or state.serial}  # what is pending may have been applied: it is sent again
    if under_way and (state.piece_at or holding.serial in known):
        return state._replace(fault="", ahead=0) if state.ahead else state
    return _out_of_step(source, state, Receipt("gap", holding, ()))


def _of_message(message: Message, refused: tuple[Refused, ...]) -> tuple[Refused, ...]:
    """Return what is said of rows of the message, once of each."""
    said = {(each.serial, each.key): each for each in refused}
    sent = {(item.serial, item.key) for item in message.items} if said else set()
    return tuple(each for place, each in said.items() if place in sent)


def _taken(state: TableState, message: Delta, receipt: Receipt) -> Learnt:
    sent, refused = len(message.items), len(receipt.refused)
    done = message.to  # what is pending may end behind it: a message that is sent again may be cut sooner
    return Learnt(
        state._replace(
            serial=done, looked=done, pending=state.pending if receipt.holding.serial > done else 0, fault="",
            sent=state.sent + sent, accepted=state.accepted + max(0, sent - refused), refused=state.refused + refused,
        ),
        receipt.refused,
    )  # fmt: skip


def _learn_piece(source: Source, state: TableState, message: Piece, receipt: Receipt) -> Learnt:
    held = receipt.holding
    if receipt.why not in ("applied", "duplicate"):
        return Learnt(_out_of_step(source, state, receipt))
    sent, refused = len(message.items), len(receipt.refused)
    moved = state._replace(
        fault="", sent=state.sent + sent, accepted=state.accepted + max(0, sent - refused),
        refused=state.refused + refused,
    )  # fmt: skip
    if message.stop is None and held.piece_at == 0 and held.serial == message.at:
        return Learnt(
            moved._replace(serial=message.at, looked=message.at, piece_at=0, piece_next=b"", pending=0), receipt.refused
        )
    if held.piece_at == message.at and held.piece_next > message.start:
        upto = held.piece_next if message.stop is None else min(held.piece_next, message.stop)  # see _taken
        return Learnt(moved._replace(piece_next=upto), receipt.refused)
    return Learnt(_out_of_step(source, state, receipt))


def _learn_repair(state: TableState, message: Repair, receipt: Receipt) -> Learnt:
    if receipt.why != "applied":
        return Learnt(state)
    refused = {(each.serial, each.key) for each in receipt.refused}
    taken = tuple((item.serial, item.key) for item in message.items if (item.serial, item.key) not in refused)
    return Learnt(
        state._replace(sent=state.sent + len(message.items), accepted=state.accepted + len(taken)),
        receipt.refused, taken,
    )  # fmt: skip


def _out_of_step(source: Source, state: TableState, receipt: Receipt) -> TableState:
    """Return the state from which both sides come together again."""
    held = receipt.holding
    if receipt.why == "digest":  # it was damaged on its way: the same again
        return state
    if state.piece_at:  # a snapshot goes on where the top node is with it, or begins again
        return state._replace(piece_next=held.piece_next if held.piece_at == state.piece_at else b"")
    claimed = max(held.serial, held.piece_at)
    if claimed > state.serial and claimed != state.pending and not _is_believed(source, claimed):
        return state._replace(fault=AHEAD.format(held=claimed, sent=state.serial), ahead=claimed)
    if held.piece_at:
        return state._replace(serial=max(held[1:3]), pending=0, context=_NEVER, ahead=0)
    lost = held.serial < state.serial and state.context != _NEVER  # all of it is sent in any case
    fault = BEHIND.format(held=held.serial, sent=state.serial) if lost else ""
    context = _NEVER if source.table.basis is Basis.WHOLE or state.context else b""
    return state._replace(serial=held.serial, looked=held.serial, pending=0, context=context, fault=fault, ahead=0)


def _is_believed(source: Source, claimed: int) -> bool:
    """Whether a number that was never sent is taken over: of whole tables, whose numbers mean nothing here, and of
    days, whose rows never change; what this node has and the top node lacks is found by comparing.
    """
    basis = source.table.basis
    return basis is Basis.WHOLE or (basis is Basis.DAYS and claimed < DAYS_END)


# --- rows that were refused ---
def again(
    snapshot: Snapshot, source: Source, upstream: str, state: TableState, start: bytes = b""
) -> tuple[Repair | None, bytes | None]:
    """Return rows that were refused, as they are now, to be sent again, None where there are none; and ``behind``.

    ``start``: key of SYNC_REFUSED from which they are taken. Bounds: as ``gather``; ``behind`` is where the others
    start, None where there are none.
    """
    items: list[Item] = []
    octets = 0
    behind: bytes | None = None
    first, stop = refused_range(upstream, source.table.name)
    for store_key, packed in snapshot.scan(Table.SYNC_REFUSED, max(first, start), stop):
        if len(items) == limits.UPSTREAM_BATCH_ITEMS or octets >= limits.UPSTREAM_BATCH_BYTES:
            behind = store_key
            break
        serial, key = refused_of(store_key)
        row = source.row(snapshot, key)
        items.append(Item(serial, unpack_refused(packed).operation, key, row))
        octets += len(key) + len(row or b"")
    return (_repair(source, state, items) if items else None), behind


def repair_of(snapshot: Snapshot, source: Source, state: TableState, keys: Sequence[bytes]) -> Repair:
    """Return the rows of the first of these keys as they are now, to be put right above. Bounds: as ``gather``."""
    items: list[Item] = []
    octets = 0
    for key in keys[: limits.UPSTREAM_BATCH_ITEMS]:
        row = source.row(snapshot, key)
        items.append(Item(0, Operation.NONE, key, row))
        octets += len(key) + len(row or b"")
        if octets >= limits.UPSTREAM_BATCH_BYTES:
            break
    return _repair(source, state, items)


def _repair(source: Source, state: TableState, items: list[Item]) -> Repair:
    found = tuple(items)
    return Repair(source.table.name, state.serial, items_digest(found), found)


def operations_of(message: Message) -> dict[tuple[int, bytes], int]:
    """Return the operation of each item, by serial and key."""
    return {(item.serial, item.key): item.operation for item in message.items}
