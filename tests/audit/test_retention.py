"""What is kept and what may go, by a clock that is passed in."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.retention import Clocks, first_day_of_dropping, judge
from core.clock import month_after, month_start, parse_instant, shanghai_month
from core.limits import RETENTION_MONTHS_MAX, RETENTION_MONTHS_MIN
from core.streams import Stream, format_log, parse_log

DROPPED = [stream for stream in Stream if stream is not Stream.MAINTENANCE]
every_stream = pytest.mark.parametrize("stream", DROPPED, ids=lambda stream: stream.value)
MONTH = st.builds(lambda year, month: f"{year:04}-{month:02}", st.integers(1_970, 2_100), st.integers(1, 12))


def at(text: str) -> int:
    """Return Unix milliseconds of a time in Shanghai."""
    found = parse_instant(f"{text}+08:00")
    assert found is not None
    return found


def goes(stream: Stream, month: str, text: str, months: int = 6) -> bool:
    now_ms = at(text)
    return judge(stream, month, months, Clocks(now_ms, now_ms)).log_goes


@every_stream
def test_six_months_configured(stream: Stream) -> None:
    """March is refused on 30 September and dropped on 1 October; August is dropped on 1 March.

    At 00:30 in Shanghai as well, when UTC is a day behind.
    """
    for clock in ("00:00:00.000", "00:30:00", "12:00:00", "23:59:59.999"):
        assert not goes(stream, "2026-03", f"2026-09-30T{clock}")
        assert goes(stream, "2026-03", f"2026-10-01T{clock}")
        assert not goes(stream, "2026-08", f"2027-02-28T{clock}")
        assert goes(stream, "2026-08", f"2027-03-01T{clock}")
    assert not goes(stream, "2023-08", "2024-02-29T23:59:59.999")
    assert goes(stream, "2023-08", "2024-03-01T00:30:00")


@given(MONTH, st.integers(RETENTION_MONTHS_MIN, 240), st.sampled_from(DROPPED))
def test_every_entry_is_kept_for_whole_months_and_no_day_longer(month: str, months: int, stream: Stream) -> None:
    """To the millisecond, whatever the month: from the first of the month after as many whole ones."""
    first_ms = month_start(month_after(month, months + 1))
    whole = sum(month < each <= shanghai_month(first_ms - 1) for each in (month_after(month, n) for n in range(250)))
    assert whole == months
    assert not judge(stream, month, months, Clocks(first_ms - 1, first_ms)).log_goes
    verdict = judge(stream, month, months, Clocks(first_ms, first_ms))
    assert (verdict.log_goes, verdict.clients_go, verdict.zh, verdict.en) == (True, True, "", "")
    assert month_start(verdict.first_day.isoformat()[:7]) == first_ms
    assert verdict.first_day.day == 1
    assert verdict.kept_until == verdict.first_day - datetime.timedelta(days=1)


@given(
    MONTH, st.integers(RETENTION_MONTHS_MIN, 24), st.integers(0, 4_000_000_000_000), st.integers(0, 4_000_000_000_000)
)
def test_both_clocks_must_have_come_so_far(month: str, months: int, now_ms: int, newest_ms: int) -> None:
    """One alone that jumped drops nothing; what is kept has a reason in both languages, what goes has none."""
    due_ms = month_start(month_after(month, months + 1))
    verdict = judge(Stream.CHANGE, month, months, Clocks(now_ms, newest_ms))
    assert verdict.log_goes == verdict.clients_go == (now_ms >= due_ms and newest_ms >= due_ms)
    assert bool(verdict.zh) == bool(verdict.en) == (not verdict.log_goes)


def test_why_a_log_is_kept() -> None:
    """Its time is not over; the clocks differ; a legal hold; it is the maintenance log."""
    now_ms = at("2026-10-01T00:30:00")
    agreed, before = Clocks(now_ms, now_ms), Clocks(now_ms, now_ms - 86_400_000)
    assert "2026-11-01" in judge(Stream.CHANGE, "2026-04", 6, agreed).en
    assert "the newest entry" in judge(Stream.CHANGE, "2026-03", 6, before).en
    assert "the newest entry" in judge(Stream.CHANGE, "2026-03", 6, Clocks(now_ms, 0)).en
    held = judge(Stream.CHANGE, "2026-03", 6, agreed, ("令1", "令2"))
    assert "令1, 令2" in held.zh
    assert (held.log_goes, held.clients_go) == (False, False)


@given(MONTH, st.integers(0, 2**32 * 1_000 - 1))
def test_the_maintenance_log_never_goes(month: str, now_ms: int) -> None:
    """But what leads to addresses of clients does, as of any other log; on legal hold that stays as well."""
    clocks = Clocks(now_ms, now_ms)
    verdict, other = judge(Stream.MAINTENANCE, month, 6, clocks), judge(Stream.CHANGE, month, 6, clocks)
    assert (verdict.log_goes, verdict.kept_until) == (False, None)
    assert verdict.clients_go == other.clients_go
    assert not judge(Stream.MAINTENANCE, month, 6, clocks, ("1",)).clients_go


@given(st.integers(0, 2**32 * 1_000 - 1), st.integers(RETENTION_MONTHS_MIN, 24), st.sampled_from(Stream))
def test_the_open_month_never_goes(now_ms: int, months: int, stream: Stream) -> None:
    """Nor the six before it."""
    for back in range(7):
        verdict = judge(stream, month_after(shanghai_month(now_ms), -back), months, Clocks(now_ms, now_ms))
        assert not verdict.log_goes
        assert not verdict.clients_go


@given(MONTH, st.integers(0, RETENTION_MONTHS_MIN - 1))
def test_fewer_than_six_months_are_refused(month: str, months: int) -> None:
    with pytest.raises(ValueError, match="6 months at least"):
        first_day_of_dropping(month, months)


def test_a_month_without_end_is_no_month() -> None:
    """Of a folder that somebody made: an error that can be caught."""
    with pytest.raises(ValueError, match="isoformat"):
        judge(Stream.CHANGE, "9999-12", RETENTION_MONTHS_MAX, Clocks(0, 0))


@given(st.sampled_from(Stream), MONTH)
def test_a_log_has_a_name(stream: Stream, month: str) -> None:
    assert parse_log(format_log(stream, month)) == (stream, month)


@given(
    st.text(max_size=20) | st.sampled_from(["change/2026-13", "change/2026-1", "Change/2026-01", "change", "/2026-01"])
)
def test_any_other_text_is_no_name(text: str) -> None:
    found = parse_log(text)
    assert found is None or format_log(*found) == text
