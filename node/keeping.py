"""How long this node keeps its logs: what the settings, the legal holds and the clocks say of what lies there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from audit.copying import former_logs
from audit.dropping import Dropped, Judge, Publish, drop_due, newest_month, size_on_disk
from audit.files import Files
from audit.reading import months
from audit.retention import Clocks, Verdict, judge
from core.clock import Millis, month_start
from core.config import Config
from core.store.engine import Engine, Table
from core.store.hold_rows import Order
from core.store.log_hold_rows import unpack_log_hold
from core.streams import Stream, format_log
from registry.log_holds import dump_order

_NO_TIME: Final = 0
Orders = Callable[[str], tuple[Order, ...]]
"""Returns the orders that hold a log, by its name."""


def drop_logs(config: Config, store: Engine, clocks: Callable[[], Clocks], publish: Publish) -> Dropped:
    """Drop what may go, also of logs that were begun before this node was put back; for who holds the lock of the logs.

    Holds are looked up anew for each log. ``publish``: see ``audit/dropping.py``. Errors: those of ``publish``,
    StoreError.
    """

    def orders(log: str) -> tuple[Order, ...]:
        with store.snapshot() as snapshot:
            row = snapshot.get(Table.LOG_HOLDS, log.encode())
        return () if row is None else unpack_log_hold(log.encode(), row).orders

    look, files = _judge(config, orders, clocks), Files()
    done = [drop_due(root, look, publish, files) for root in (config.data, *former_logs(config.data))]
    return Dropped(
        tuple(log for each in done for log in each.logs), tuple(problem for each in done for problem in each.problems)
    )  # fmt: skip


def clocks_of(config: Config, now_ms: Millis) -> Clocks:
    """Return the time, and that of the newest entry as far as the folders tell: the begin of the newest month."""
    newest = newest_month(config.data / "log")
    return Clocks(now_ms, _NO_TIME if newest is None else month_start(newest))


def list_kept(config: Config, held: Mapping[str, tuple[Order, ...]], clocks: Clocks) -> Iterator[dict[str, Any]]:
    """Yield what is kept of each stream and month, and until when. Cost: looks at every file of the logs."""
    look = _judge(config, lambda log: held.get(log, ()), clocks=lambda: clocks)
    for stream in Stream:
        for month in months(config.data / "log", stream):
            try:
                verdict = look(stream, month)
            except ValueError:
                continue  # the folder of a month beyond all time, which is none of ours
            yield _document(config, verdict, held.get(format_log(stream, month), ()))


def _judge(config: Config, orders: Orders, clocks: Callable[[], Clocks]) -> Judge:
    kept = config.integer("log.retention")

    def look(stream: Stream, month: str) -> Verdict:
        numbers = tuple(order.number for order in orders(format_log(stream, month)))
        return judge(stream, month, kept, clocks(), numbers)

    return look


def _document(config: Config, verdict: Verdict, orders: tuple[Order, ...]) -> dict[str, Any]:
    data, stream, month = config.data, verdict.stream.value, verdict.month
    private = size_on_disk(data / "clients" / month / stream)
    if verdict.stream is Stream.RESOLUTION:
        private += size_on_disk(data / "mirror" / stream / month)
    last, forever = verdict.kept_until, verdict.kept_until is None
    return {
        "log": format_log(verdict.stream, month),
        "stream": stream,
        "month": month,
        "kept_since": f"{month}-01",
        "kept_until": None if last is None else last.isoformat(),
        "may_go": None if forever else verdict.first_day.isoformat(),
        "addresses_may_go": verdict.first_day.isoformat(),
        "due": verdict.log_goes,
        "why": None if verdict.log_goes else {"zh": verdict.zh, "en": verdict.en},
        "orders": [dump_order(order) for order in orders],
        "bytes": size_on_disk(data / "log" / stream / month),
        "private_bytes": private,
    }
