"""Until when the report of a month is owed: ten working days behind its end (national-node.md §3)."""

from __future__ import annotations

import datetime
from itertools import count, islice
from typing import Final

from core.clock import month_after

WORKING_DAYS: Final = 10
_SATURDAY: Final = 5


def due_day(month: str) -> datetime.date:
    """Return the last day. Monday to Friday are working days: public holidays, which put it off, are not known here."""
    first = datetime.date.fromisoformat(f"{month_after(month)}-01")
    days = (first + datetime.timedelta(days=number) for number in count())
    return next(islice((day for day in days if day.weekday() < _SATURDAY), WORKING_DAYS - 1, None))
