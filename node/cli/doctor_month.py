"""What ``saltern doctor`` says of the monthly report: whether that of the last month was made, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from audit.places import FOLDER
from audit.reading import open_month
from core.clock import Millis, month_after, shanghai_date, shanghai_month
from core.config import Config
from core.streams import Stream
from registry.notes import MONTH_REPORT
from sync.report.due import due_day

_ACT: Final = f'{{"act":"{MONTH_REPORT}"'.encode()


def look_at_month(config: Config, now_ms: Millis) -> Iterator[tuple[str, str, str]]:
    """Yield level, check and message; nothing without a log of the last month. Errors: LogReadError."""
    current = shanghai_month(now_ms)
    month = month_after(current, -1)
    if open_month(config.data / FOLDER, Stream.MAINTENANCE, month) is None:
        return
    log = open_month(config.data / FOLDER, Stream.MAINTENANCE, current)
    about = f'"obj":"{month}"'.encode()
    if log is not None and any(leaf.startswith(_ACT) and about in leaf for _, leaf in log.leaves()):
        yield "ok", "report", f"{month} 的月度报告已制作 the report was made"
        return
    due = due_day(month)
    level = "warning" if shanghai_date(now_ms) > due else "ok"
    yield (
        level, "report",
        f"{month} 的月度报告尚未制作，应于 {due} 前报送（节假日顺延）：saltern report month {month}。"
        f"The report of {month} was not made yet; it is due by {due}, later where there are public holidays",
    )  # fmt: skip
