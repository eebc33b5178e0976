"""Legal holds of logs: by order the log of a month is kept beyond its time (Measures art. 15, design §6).

1. Nothing of a month on hold is dropped: not the log, nor what leads from it to addresses of clients.
2. Each order has its number. Several may hold one month: releasing one releases no other.
3. A month may be held while it is open, or before: its log is kept once it is there.
"""

from __future__ import annotations

from typing import Any

from core import limits
from core.clock import format_utc
from core.errors import Outcome
from core.store.engine import Table
from core.store.hold_rows import Hold, Order, pack_hold
from core.store.log_hold_rows import unpack_log_hold
from core.streams import Stream, parse_log
from registry.commands import HoldLog, ReleaseLog, Result
from registry.desk import Desk, require_reason, told
from registry.holds import require_order
from registry.refusals import refusal


def hold_log(desk: Desk, command: HoldLog) -> Result:
    """Keep a log beyond its time. The same order again changes nothing."""
    key, number, reason = _key(command.log), require_order(command.order), require_reason(command.reason)
    orders = _orders(desk, key)
    known = next((order for order in orders if order.number == number), None)
    if known is not None and known.reason != reason:
        raise refusal("hold-known", Outcome.CONFLICT, order=number, target=command.log)
    if known is None:
        if len(orders) >= limits.HOLD_ORDERS_MAX:
            raise refusal("hold-orders", Outcome.CONFLICT, orders=limits.HOLD_ORDERS_MAX)
        if not orders and sum(1 for _ in desk.staging.scan(Table.LOG_HOLDS)) >= limits.LOG_HOLDS_MAX:
            raise refusal("hold-count", Outcome.CONFLICT, targets=limits.LOG_HOLDS_MAX)
        orders = (*orders, Order(number, reason, False, desk.now_ms, desk.who))
        _put(desk, key, orders)
    return told(command.log, Outcome.OK if known else Outcome.CREATED, dump_log_hold(command.log, orders))


def release_log(desk: Desk, command: ReleaseLog) -> Result:
    """Release an order: the one with this number; or, by a new one with a number of its own, the only one there is."""
    key, number = _key(command.log), require_order(command.order)
    orders = _orders(desk, key)
    if not orders:
        raise refusal("log-free", Outcome.NOT_FOUND, log=command.log)
    kept = tuple(order for order in orders if order.number != number)
    if len(kept) == len(orders):
        if len(orders) > 1:
            known = ", ".join(order.number for order in orders)
            raise refusal("hold-order", Outcome.NOT_FOUND, order=number, target=command.log, orders=known)
        kept = ()
    _put(desk, key, kept)
    return told(command.log, Outcome.OK, dump_log_hold(command.log, kept))


def _key(log: str) -> bytes:
    """Return the key of a log. Errors: NodeError for what is none."""
    if parse_log(log) is None:
        raise refusal("log-name", Outcome.INVALID_VALUE, streams=", ".join(stream.value for stream in Stream))
    return log.encode()


def _orders(desk: Desk, key: bytes) -> tuple[Order, ...]:
    row = desk.staging.get(Table.LOG_HOLDS, key)
    return () if row is None else unpack_log_hold(key, row).orders


def _put(desk: Desk, key: bytes, orders: tuple[Order, ...]) -> None:
    desk.staging.put(Table.LOG_HOLDS, key, pack_hold(Hold(key, orders)) if orders else None)


# --- reading ---
def dump_log_hold(log: str, orders: tuple[Order, ...]) -> dict[str, Any]:
    """Return a log and the orders that hold it as JSON has them."""
    return {"log": log, "orders": [dump_order(order) for order in orders]}


def dump_order(order: Order) -> dict[str, Any]:
    """Return an order that holds a log."""
    return {
        "order": order.number,
        "reason": order.reason,
        "placed": format_utc(order.placed_ms // 1_000),
        "placed_by": str(order.who),
    }
