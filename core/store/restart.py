"""The row ``restarted`` of the table META: a store that was put back begins its change feed anew.

    0  8  serial that was the last one then, big-endian: the feed has what came after it

No row: a store that was made empty, and never put back. No serial is given twice, whatever the former node did after
its copy was made: the first one lies RESTORED_SERIALS behind the copy's at least. The same copy put back a second time
goes on elsewhere: each second has RESTORED_SERIALS_A_SECOND serials of its own to begin with, below 2**53 until 2242.
"""

from __future__ import annotations

from typing import Final, Protocol

from core import limits
from core.changes import Serial
from core.clock import Millis
from core.store.engine import Table

RESTARTED_KEY: Final = b"restarted"


class _Rows(Protocol):
    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the row, None if there is none."""


def restarted_at(snapshot: _Rows) -> Serial:
    """Return the serial that the feed begins behind, 0 of a store that was never put back."""
    return Serial(int.from_bytes(snapshot.get(Table.META, RESTARTED_KEY) or b"", "big"))


def serial_after(watermark: int, now_ms: Millis) -> Serial:
    """Return the serial that a node goes on behind, when it is put back from a copy up to ``watermark``."""
    return Serial(max(watermark + limits.RESTORED_SERIALS, now_ms // 1_000 * limits.RESTORED_SERIALS_A_SECOND))
