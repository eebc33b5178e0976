"""Holds: placed and lifted by order of the regulator, on an identifier, a prefix and all below it, or a party.

1. A hold stops the answers of every protocol with the commit; no record is touched (Measures art. 15-16, design §4).
2. Each order has its number. Several orders may stop one target: lifting one lifts no other.
3. A target need not be registered yet: who places it is told so, and it stops what is registered later.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from core import limits
from core.changes import ChangeKind
from core.clock import format_utc
from core.errors import Outcome
from core.ident.handle import PREFIX_HANDLES, PrefixKey, check_handle, check_prefix, prefix_handle_of, prefix_of
from core.party.rules import Fault
from core.store.engine import Snapshot, Table
from core.store.hold_rows import (
    HOLDS_KEY,
    Hold,
    HoldKind,
    Order,
    hold_key,
    hold_kind,
    pack_hold,
    pack_hold_counts,
    unpack_hold,
)
from core.store.holding import Scannable, hold_counts, hold_on, hold_on_party, hold_within
from core.store.homing import hosting_of
from core.store.lot_rows import lot_of_unit
from core.store.prefix_rows import Rows
from core.store.record_rows import record_key
from registry.commands import LiftHold, PlaceHold, Result
from registry.desk import Desk, dump_faults, require_reason, told
from registry.refusals import fault, refusal

_COUNTED: Final = {HoldKind.IDENTIFIER: "identifiers", HoldKind.PREFIX: "prefixes", HoldKind.PARTY: "parties"}


def place_hold(desk: Desk, command: PlaceHold) -> Result:
    """Stop a target. The same order again changes nothing."""
    number, reason = require_order(command.order), require_reason(command.reason)
    kind, target = _target(desk, command.target)
    key = hold_key(kind, target)
    orders = _orders(desk, key)
    known = next((order for order in orders if order.number == number), None)
    if known is not None and (known.reason, known.public) != (reason, command.public):
        raise refusal("hold-known", Outcome.CONFLICT, order=number, target=command.target)
    if known is None:
        if len(orders) >= limits.HOLD_ORDERS_MAX:
            raise refusal("hold-orders", Outcome.CONFLICT, orders=limits.HOLD_ORDERS_MAX)
        orders = (*orders, Order(number, reason, command.public, desk.now_ms, desk.who))
        _put(desk, kind, target, orders)
        desk.staging.change(ChangeKind.HOLD_PLACED, target, desk.now_ms)
    warnings = dump_faults(list(_warnings(desk, kind, target)))
    document = dump_hold(kind, Hold(target, orders)) | {"warnings": warnings}
    return told(document["target"], Outcome.OK if known else Outcome.CREATED, document)


def lift_hold(desk: Desk, command: LiftHold) -> Result:
    """Lift an order: the one with this number; or, by a new order with a number of its own, the only one there is."""
    number = require_order(command.order)
    kind, target = _parse(desk, command.target)
    key = hold_key(kind, target)
    orders = _orders(desk, key)
    if not orders:
        raise refusal("hold-none", Outcome.NOT_FOUND, target=command.target[: limits.HANDLE_CHARS_MAX])
    kept = tuple(order for order in orders if order.number != number)
    if len(kept) == len(orders):
        if len(orders) > 1:
            known = ", ".join(order.number for order in orders)
            raise refusal("hold-order", Outcome.NOT_FOUND, order=number, target=command.target, orders=known)
        kept = ()
    _put(desk, kind, target, kept)
    desk.staging.change(ChangeKind.HOLD_LIFTED, target, desk.now_ms)
    document = dump_hold(kind, Hold(target, kept))
    return told(document["target"], Outcome.OK, document)


def require_order(text: str) -> str:
    """Return the number of an order as it is kept. Errors: NodeError."""
    number = " ".join(text.split())
    if not 0 < len(number) <= limits.ORDER_CHARS_MAX or not number.isprintable():
        raise refusal("order", Outcome.INVALID_VALUE, chars=limits.ORDER_CHARS_MAX)
    return number


def require_no_hold(rows: Scannable, prefix: PrefixKey) -> None:
    """Errors: NodeError(CONFLICT) where an order stops the prefix or anything that is answered for it."""
    _require_none(hold_within(rows, prefix))


def require_free(rows: Rows, prefix: PrefixKey) -> None:
    """Errors: NodeError(CONFLICT) where an order stops the prefix or its prefix handle: what it says is not changed."""
    _require_none(hold_on(rows, prefix_handle_of(prefix)))


def require_free_party(rows: Rows, party: str) -> None:
    """Errors: NodeError(CONFLICT) where an order stops a party: it gets no other prefix meanwhile."""
    _require_none(hold_on_party(rows, party))


def _require_none(hold: Hold | None) -> None:
    if hold is not None:
        order, target = hold.orders[0].number, hold.target.decode()
        raise refusal("on-hold", Outcome.CONFLICT, target=target, order=order)


# --- targets ---
def _parse(desk: Desk, text: str) -> tuple[HoldKind, bytes]:
    """Return kind and key of a target as it is written. Errors: NodeError."""
    if "/" in text:
        return HoldKind.IDENTIFIER, check_handle(text, desk.rules)
    if "." in text:
        return HoldKind.PREFIX, check_prefix(text, desk.rules)
    if not (text.isascii() and text.isalnum() and len(text) <= limits.PREFIX_CHARS_MAX):
        raise refusal("hold-target", Outcome.INVALID_VALUE)
    return HoldKind.PARTY, text.encode()


def _target(desk: Desk, text: str) -> tuple[HoldKind, bytes]:
    """Return kind and key of a target that this node answers for. Errors: NodeError."""
    kind, key = _parse(desk, text)
    match kind:
        case HoldKind.PARTY:
            desk.party(text)
        case HoldKind.PREFIX:
            if not any(_prefixes_from(desk, PrefixKey(key))):
                raise refusal("hold-foreign", Outcome.NOT_FOUND, target=text)
        case HoldKind.IDENTIFIER:
            if hosting_of(desk.staging, key, root=False) is None and not _is_applied_for(desk, key):
                raise refusal("hold-foreign", Outcome.NOT_FOUND, target=text)
    return kind, key


def _is_applied_for(desk: Desk, handle: bytes) -> bool:
    prefix = prefix_of(handle)
    return prefix != PREFIX_HANDLES and desk.staging.get(Table.APPLICATIONS, prefix) is not None


def _prefixes_from(desk: Desk, prefix: PrefixKey) -> Iterator[bytes]:
    """Yield the prefix itself and those below it that are homed here, or were applied for."""
    for table in (Table.PREFIXES, Table.APPLICATIONS):
        if desk.staging.get(table, prefix) is not None:
            yield prefix
        for key, _ in desk.staging.snapshot.scan(table, prefix + b".", prefix + b"/"):
            yield key


def _warnings(desk: Desk, kind: HoldKind, target: bytes) -> Iterator[Fault]:
    if kind is not HoldKind.IDENTIFIER:
        return
    lot = lot_of_unit(target)
    known = desk.staging.get(Table.RECORDS, record_key(target)) or (lot and desk.staging.get(Table.LOTS, lot))
    if not known:
        yield fault("target", "hold-absent", target=target.decode())


# --- rows ---
def _orders(desk: Desk, key: bytes) -> tuple[Order, ...]:
    row = desk.staging.get(Table.HOLDS, key)
    return () if row is None else unpack_hold(row).orders


def _put(desk: Desk, kind: HoldKind, target: bytes, orders: tuple[Order, ...]) -> None:
    """Stage the orders on a target; without any its row ends. Errors: NodeError for too many targets."""
    key, counts = hold_key(kind, target), hold_counts(desk.staging)
    by = bool(orders) - bool(_orders(desk, key))
    if by > 0 and sum(counts) >= limits.HOLDS_MAX:
        raise refusal("hold-count", Outcome.CONFLICT, targets=limits.HOLDS_MAX)
    counted = getattr(counts, _COUNTED[kind]) + by
    counts = counts._replace(**{_COUNTED[kind]: counted})
    desk.staging.put(Table.META, HOLDS_KEY, pack_hold_counts(counts) if any(counts) else None)
    desk.staging.put(Table.HOLDS, key, pack_hold(Hold(target, orders)) if orders else None)
    desk.staging.forget_decisions()


# --- reading ---
def dump_hold(kind: HoldKind, hold: Hold) -> dict[str, Any]:
    """Return a target and the orders on it as JSON has them."""
    return {
        "target": hold.target.decode(),
        "kind": kind.name.lower(),
        "orders": [
            {
                "order": order.number,
                "reason": order.reason,
                "public": order.public,
                "placed": format_utc(order.placed_ms // 1_000),
                "placed_by": str(order.who),
            }
            for order in hold.orders
        ],
    }


def list_held(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """Yield all targets that are on hold."""
    for key, row in snapshot.scan(Table.HOLDS, b""):
        yield dump_hold(hold_kind(key), unpack_hold(row))
