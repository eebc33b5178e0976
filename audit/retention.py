"""How long each log is kept, and what may go: whole calendar months of Asia/Shanghai (Measures art. 13-15, design §6).

With N months configured the log of month M may go from the first day of month M+N+1, so that every entry of it is
kept for at least N whole months.

1. Two clocks must agree: the time of day, and the newest entry of the logs. One that jumped drops nothing.
2. The maintenance log is never dropped. What leads back to addresses of clients goes with its month all the same.
3. Nothing of a month on legal hold goes.

Pure: whoever asks says what time it is.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import NamedTuple

from core.clock import month_after, shanghai_midnight
from core.limits import RETENTION_MONTHS_MIN
from core.streams import Stream


class Clocks(NamedTuple):
    """Unix milliseconds: the time of day, and that of the newest entry of all logs; 0 where there is none."""

    now_ms: int
    newest_ms: int


class Verdict(NamedTuple):
    """What becomes of the log of a month.

    ``first_day``: in Asia/Shanghai, from which it may go. ``orders``: that hold it. ``log_goes``: it may be dropped
    now; ``clients_go``: addresses and key may. ``zh``, ``en``: why it is kept, empty where it goes.
    """

    stream: Stream
    month: str
    first_day: datetime.date
    orders: tuple[str, ...]
    log_goes: bool
    clients_go: bool
    zh: str = ""
    en: str = ""

    @property
    def kept_until(self) -> datetime.date | None:
        """The last day on which it is kept in any case; None for ever."""
        return None if self.stream is Stream.MAINTENANCE else self.first_day - datetime.timedelta(days=1)


def first_day_of_dropping(month: str, months: int) -> datetime.date:
    """Return the day in Asia/Shanghai from which the log of a month ``YYYY-MM`` may go, which is kept ``months``.

    Errors: ValueError for less than RETENTION_MONTHS_MIN, or for no month.
    """
    if months < RETENTION_MONTHS_MIN:
        raise ValueError(f"logs are kept {RETENTION_MONTHS_MIN} months at least, not {months}")
    return datetime.date.fromisoformat(f"{month_after(month, months + 1)}-01")


def judge(stream: Stream, month: str, months: int, clocks: Clocks, orders: Sequence[str] = ()) -> Verdict:
    """Return what becomes of the log of a month. ``orders``: numbers of those that hold it. Errors: ValueError."""
    first_day = first_day_of_dropping(month, months)
    due_ms = shanghai_midnight(first_day)
    why = _kept_by(stream, first_day, due_ms, clocks, orders)
    due = min(clocks) >= due_ms and not orders
    return Verdict(stream, month, first_day, tuple(orders), not why[0], due, *why)


def _kept_by(
    stream: Stream, first_day: datetime.date, due_ms: int, clocks: Clocks, orders: Sequence[str]
) -> tuple[str, str]:
    """Return why a log is kept, nothing where it goes."""
    if orders:
        numbers = ", ".join(orders)
        return f"依令（{numbers}）保全，不得删除", f"on legal hold by order {numbers}"
    if stream is Stream.MAINTENANCE:
        return "运行维护日志从不删除", "the maintenance log is never dropped"
    if clocks.now_ms < due_ms:
        return (
            f"保存期未满，自{first_day}起可删除",
            f"it is kept until the end of its time, and may go from {first_day} on",
        )
    if clocks.newest_ms < due_ms:
        return (
            "系统时钟与日志中最新条目的时间不一致，暂不删除",
            "the clock says that it may go, the newest entry of the logs does not: one of them is wrong",
        )
    return "", ""
