"""The row ``restarted`` of the table META: a store that was put back begins its change feed anew.

    0  8  serial that was the last one then, big-endian: the feed has what came after it

No row: a store that was made empty, and never put back.

1. No serial is given twice, whatever the former node did after its copy was made: the first one lies RESTORED_SERIALS
   behind the copy's at least.
2. The same copy put back a second time goes on elsewhere: each second has RESTORED_SERIALS_A_SECOND serials of its own
   to begin with, below 2**53 until 2242. (Where the copy's serials are ahead of the clock, as those of a node are that
   was put back twice within hours, seconds that lie a multiple of RESTORED_SERIALS_S apart share theirs.)
3. Modulo 2**32 it is ahead of the copy's by RESTORED_SERIALS_AHEAD to twice that: a secondary of DNS, which compares as
   RFC 1982 §3.2 does, takes the zone of a node that was put back, also where the former one went on for a while.
"""

from __future__ import annotations

from typing import Final

from core import limits
from core.changes import Serial
from core.clock import Millis
from core.store.engine import Table
from core.store.prefix_rows import Rows

RESTARTED_KEY: Final = b"restarted"


def restarted_at(snapshot: Rows) -> Serial:
    """Return the serial that the feed begins behind, 0 of a store that was never put back."""
    return Serial(int.from_bytes(snapshot.get(Table.META, RESTARTED_KEY) or b"", "big"))


def serial_after(watermark: int, now_ms: Millis) -> Serial:
    """Return the serial that a node goes on behind, when it is put back from a copy up to ``watermark``."""
    ranges, second = divmod(now_ms // 1_000, limits.RESTORED_SERIALS_S)
    ahead = watermark + limits.RESTORED_SERIALS_AHEAD
    left_out = max(1, -((ahead - ranges * limits.RESTORED_SERIALS) // limits.RESTORED_SERIALS))
    return Serial(ahead + left_out * limits.RESTORED_SERIALS + second * limits.RESTORED_SERIALS_A_SECOND)
