"""What a round of the sequencer has gathered: leaves by stream, and the addresses that their side tables keep."""

from __future__ import annotations

from collections.abc import Sequence

from audit.spool_reading import Fault
from core import limits
from core.clock import TIME_MS_END, Millis, month_after, month_start, shanghai_month
from core.store.log_rows import LogEntry
from core.streams import Stream


class Gathered:
    """What a round will publish, so far. ``later_ms``: times of what was left, since it belongs to a later month.

    ``end_ms``: what is dated so, or later, is left. Only near the end of a month: until then it was dated wrongly, and
    the month that is open takes it, so that no entry of 2106 opens that month and waits for it.
    """

    def __init__(self, month: str, now_ms: Millis) -> None:
        self.month_end_ms = month_start(month_after(month))
        self.end_ms = self.month_end_ms if now_ms >= self.month_end_ms - limits.LOG_MONTH_NEAR_MS else TIME_MS_END
        self.leaves: dict[Stream, list[bytes]] = {stream: [] for stream in Stream}
        self.addresses: dict[Stream, list[tuple[int, list[bytes]]]] = {stream: [] for stream in Stream}
        self.marks: dict[str, str] = {}
        self.newest_ms = 0
        self.later_ms: list[int] = []
        self.more = False

    def add(self, stream: Stream, leaf: bytes, addresses: list[bytes], at_ms: int) -> None:
        """Add a leaf, and the addresses that its side table keeps."""
        if addresses:
            self.addresses[stream].append((len(self.leaves[stream]), addresses))
        self.leaves[stream].append(leaf)
        self.newest_ms = max(self.newest_ms, at_ms)

    @property
    def any(self) -> bool:
        """Whether there is anything."""
        return any(self.leaves.values())


def next_month(month: str, later_ms: Sequence[int], now_ms: Millis) -> str:
    """Return the month to begin, once the open one is over: of the earliest entry that waits, at most that of now."""
    waiting = [shanghai_month(at_ms) for at_ms in later_ms]
    return min([shanghai_month(now_ms), *(each for each in waiting if each > month)])


def fault_entry(fault: Fault) -> LogEntry:
    """Return the entry that names what could not be read of a segment."""
    reason = f"{fault.octets} octets from {fault.offset} on: {fault.what}"
    return LogEntry(Stream.MAINTENANCE.value, "spool.damaged", fault.segment, outcome="internal", reason=reason)
