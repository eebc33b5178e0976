"""Times of events: RFC 3339 with milliseconds, as cameras and the node write them."""

from __future__ import annotations

import re
from typing import Final

from core import clock
from core.clock import Millis

_MOMENT: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:[0-5]\d)", re.ASCII
)  # fmt: skip


def parse_moment(text: str) -> Millis | None:
    """Read ``YYYY-MM-DDThh:mm:ss[.fff]`` with ``Z`` or an offset; what is finer than a millisecond is dropped.

    Bounds: those of clock.parse_given(). None for anything else: a time without a zone is none.
    """
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    second, fraction, zone = match.groups()
    at_ms = clock.parse_given(second + zone)
    return None if at_ms is None else Millis(at_ms + int((fraction or "0")[:3].ljust(3, "0")))


def format_moment(at_ms: int) -> str:
    """Return ``YYYY-MM-DDThh:mm:ss.fffZ`` for Unix milliseconds."""
    return f"{clock.format_utc(at_ms // 1_000)[:-1]}.{at_ms % 1_000:03}Z"
