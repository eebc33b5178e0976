"""Planned downtimes: how one is named in the maintenance log, and what one may be (monthly report, annex 3).

An entry ``downtime.plan``, its object ``<from>/<until>`` in UTC (RFC 3339, whole seconds), its reason why; an entry
``downtime.cancel`` of the same object takes it back.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from core import limits
from core.clock import DAY_MS, TIME_MS_END, Millis, format_utc, parse_utc
from core.errors import WireError

PLAN_ACT: Final = "downtime.plan"
CANCEL_ACT: Final = "downtime.cancel"


class Downtime(NamedTuple):
    """From when to when; the moment ``until_ms`` is not in it. Whole seconds."""

    from_ms: Millis
    until_ms: Millis


def format_downtime(downtime: Downtime) -> str:
    """Return the object of its entry."""
    return f"{format_utc(downtime.from_ms // 1_000)}/{format_utc(downtime.until_ms // 1_000)}"


def parse_downtime(text: str) -> Downtime:
    """Read an object, in the one form that format_downtime() gives. Errors: WireError."""
    ends = [parse_utc(each) for each in text.split("/")]
    if len(ends) == 2 and ends[0] is not None and ends[1] is not None:
        downtime = Downtime(Millis(ends[0] * 1_000), Millis(ends[1] * 1_000))
        if min(downtime) >= 0 and max(downtime) < TIME_MS_END and format_downtime(downtime) == text:
            return downtime
    raise WireError(
        f"{text[:80]!r}: 应为 起/止，UTC。It must be from/until in UTC, YYYY-MM-DDThh:mm:ssZ/YYYY-MM-DDThh:mm:ssZ"
    )


def downtime_fault(downtime: Downtime, now_ms: Millis) -> tuple[str, str] | None:
    """Return what is wrong with one that somebody plans now, Chinese and English; None where nothing is."""
    days, past = limits.DOWNTIME_DAYS_MAX, limits.DOWNTIME_PAST_DAYS_MAX
    if downtime.until_ms <= downtime.from_ms:
        return "结束不晚于开始", "ends before it begins"
    if downtime.until_ms - downtime.from_ms > days * DAY_MS:
        return f"超过{days}天", f"is longer than {days} days"
    if downtime.from_ms < now_ms - past * DAY_MS:
        return f"开始于{past}天以前", f"began more than {past} days ago"
    return None
