"""Changes, snapshots and repairs, as the reference top node takes them. Each in one transaction of the caller.

1. Changes are applied only where what is held ends where they begin, and no snapshot is under way.
2. A snapshot replaces one range of keys after the other; after the last its serial is held, be it higher or lower.
3. A row that is refused leaves the older one as it is, and is told in the receipt; all others are applied.
4. Changes of T9 go into the history at their serials, once.

A message that breaks the form of its table (order, serials, keys) is refused whole, before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice, pairwise
from typing import Final, NamedTuple

from core import limits
from core.clock import Millis
from sync.digests import items_digest
from sync.messages import Delta, Holding, Item, Piece, Receipt, Refused, Repair
from sync.table import Basis, Operation, TableKind
from sync.topnode.refusals import RefusalError, refused
from sync.topnode.rows import Held, Node
from sync.topnode.store import Change, Effect

Check = Callable[[str, bytes, bytes], Sequence[tuple[str, str, str]]]
"""What is wrong with a row of a table (name, key, row): rule, Chinese, English of each fault; empty if it is right."""

HANDLE: Final = b"Handle/"
"""What the keys of T2 and T7 begin with where the prefix is one of handles."""

_KEY_MAX: Final = limits.UPSTREAM_KEY_BYTES_MAX
_OPERATION_MAX: Final = max(Operation)
_ROUTES: Final = ("T2", "T7")
_HISTORY: Final = "T9"


class Judge(NamedTuple):
    """What decides about rows. ``refuse``: asked for each that is right, to misbehave."""

    check: Check
    refuse: Callable[[], bool]


class Taking:
    """One message with rows of one table of one node, in one transaction."""

    def __init__(self, change: Change, node: Node, table: TableKind, judge: Judge, now_ms: Millis) -> None:
        self._change = change
        self._node = node
        self._table = table
        self._judge = judge
        self._now_ms = now_ms
        self._held = change.held(node.node_id, table)

    def delta(self, message: Delta) -> Receipt:
        """Apply changes. Errors: RefusalError."""
        self._check_delta(message)
        held = self._held
        if items_digest(message.items) != message.digest:
            return self._receipt("digest")
        if held.piece_at:
            return self._receipt("piece")
        if message.to <= held.serial:
            return self._receipt("duplicate", self._said_before(message.after, message.to))
        if message.after != held.serial:
            return self._receipt("gap")
        return self._apply(message.items, message.to)

    def repair(self, message: Repair) -> Receipt:
        """Apply rows that are sent again. Errors: RefusalError."""
        if any(item.serial > message.at for item in message.items) or not _are_operations(message.items):
            raise RefusalError("items")
        if items_digest(message.items) != message.digest:
            return self._receipt("digest")
        if self._held.piece_at:
            return self._receipt("piece")
        if message.at != self._held.serial:
            return self._receipt("gap")
        return self._apply(message.items, message.at)

    def piece(self, message: Piece) -> Receipt:
        """Replace a range of keys. Errors: RefusalError."""
        _check_piece(message)
        held, at, start = self._held, message.at, message.start
        if items_digest(message.items) != message.digest:
            return self._receipt("digest")
        under_way = held.piece_at == at != 0
        last_again = message.stop is None and not held.piece_at and held.serial == at and start != b""
        if last_again or (under_way and start < held.piece_next):
            return self._receipt("duplicate", self._said_before(-1, 0, start, message.stop))
        if start != (held.piece_next if under_way else b""):
            return self._receipt("piece")
        accepted, said = self._sift(message.items)
        self._change.forget_refused(self._node.node_id, self._table, 0, start, message.stop)
        effect = self._change.replace(
            self._node.node_id, self._table, start, message.stop,
            {item.key: item.row for item in accepted if item.row is not None}, frozenset(each.key for each in said),
        )  # fmt: skip
        if message.stop is None:
            held = held._replace(serial=at, piece_at=0, piece_next=b"")
        else:
            held = held._replace(piece_at=at, piece_next=message.stop)
        return self._done(held, effect, said)

    # --- pieces ---
    def _check_delta(self, message: Delta) -> None:
        if self._table.basis is Basis.WHOLE:
            raise RefusalError("table")
        serials = [item[0] for item in message.items]
        step = self._table.basis is Basis.FEED  # several rows have one day, none have one serial
        rising = all(after + step <= serial for after, serial in pairwise(serials))
        inside = not serials or message.after < serials[0] <= serials[-1] <= message.to
        if message.after > message.to or not rising or not inside or not _are_operations(message.items):
            raise RefusalError("items")

    def _apply(self, items: Sequence[Item], serial: int) -> Receipt:
        accepted, said = self._sift(items)
        effect = self._change.apply(self._node.node_id, self._table, {item[2]: item[3] for item in accepted})
        self._change.take_refused(self._node.node_id, self._table, accepted)
        if self._table.name == _HISTORY:
            self._change.tell(self._node.node_id, accepted)
        return self._done(self._held._replace(serial=serial), effect, said)

    def _sift(self, items: Sequence[Item]) -> tuple[Sequence[Item], list[Refused]]:
        """Return the items that are applied, and what is said of the others."""
        check, refuse = self._judge
        name, is_route = self._table.name, self._table.name in _ROUTES
        accepted: list[Item] = []
        said: list[Refused] = []
        for item in items:
            serial, _, key, row = item
            if not 0 < len(key) <= _KEY_MAX:
                said.append(refused(serial, key, "key"))
                continue
            if row is not None:
                faults = check(name, key, row)
                if faults:
                    said.append(Refused(serial, key, *faults[0]))
                    continue
                rule = self._route_fault(key) if is_route else ""
                if rule:
                    said.append(refused(serial, key, rule))
                    continue
            if refuse():
                said.append(refused(serial, key, "misbehaviour"))
            else:
                accepted.append(item)
        return accepted, said

    def _route_fault(self, key: bytes) -> str:
        """Return the rule by which a node may not answer for a prefix, empty where it may."""
        if key.startswith(HANDLE) and not is_within(key.removeprefix(HANDLE), self._node.codes):
            return "prefix-foreign"
        return "prefix-taken" if self._change.claimed_by_other(self._node.node_id, key) else ""

    def _said_before(self, after: int, to: int, start: bytes = b"", stop: bytes | None = None) -> tuple[Refused, ...]:
        """Return what was refused of a message whose answer was lost, as far as it was not taken since."""
        refused_rows = self._change.refused(self._node.node_id, self._table, after, to)
        fitting = (each for each in refused_rows if each.key >= start and (stop is None or each.key < stop))
        return tuple(islice(fitting, limits.UPSTREAM_ITEMS_MAX))

    def _done(self, held: Held, effect: Effect, said: list[Refused]) -> Receipt:
        self._change.put_refused(self._node.node_id, self._table, said)
        self._held = held._replace(
            rows=held.rows + effect.added - effect.removed,
            added=held.added + effect.added,
            changed=held.changed + effect.changed,
            removed=held.removed + effect.removed,
            refused=held.refused + len(said),
            last_ms=self._now_ms,
        )
        self._change.put_held(self._node.node_id, self._table, self._held)
        return self._receipt("applied", tuple(said))

    def _receipt(self, why: str, said: tuple[Refused, ...] = ()) -> Receipt:
        return Receipt(why, holding_of(self._table, self._held), said)


def holding_of(table: TableKind, held: Held) -> Holding:
    """Return what is said of a table that is held."""
    return Holding(table.name, *held[:4])


def is_within(prefix: bytes, codes: Sequence[str]) -> bool:
    """Whether a folded prefix is one of a node's codes, or below one."""
    return any(prefix == code.encode() or prefix.startswith(code.encode() + b".") for code in codes)


def _check_piece(message: Piece) -> None:
    """Items are rows, in the order of their keys, all in the range. Errors: RefusalError."""
    start, stop, keys = message.start, message.stop, [item.key for item in message.items]
    rising = all(before < key for before, key in pairwise(keys))
    inside = not keys or (start <= keys[0] and (stop is None or keys[-1] < stop))
    bounds = len(start) <= _KEY_MAX and (stop is None or (start < stop and len(stop) <= _KEY_MAX + 1))
    rows = all(item.row is not None for item in message.items)
    numbered = message.at > 0 or (start == b"" and stop is None)  # 0 stands for no snapshot under way
    if not (rising and inside and bounds and rows and numbered):
        raise RefusalError("items")


def _are_operations(items: Sequence[Item]) -> bool:
    return all(item[1] <= _OPERATION_MAX for item in items)
