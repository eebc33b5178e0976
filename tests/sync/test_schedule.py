"""When tables are due, by clocks that go wrong as well; and how long a top node that is away is left alone."""

from __future__ import annotations

import pytest

from core import limits
from core.clock import DAY_MS, Millis, parse_instant
from sync.schedule import is_due, next_due, night_of, retry_s
from sync.table import Cadence


def at(text: str) -> Millis:
    """Return a time in Shanghai."""
    found = parse_instant(f"{text}+08:00")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("cadence", "now", "due"),
    [
        (Cadence.REAL_TIME, "2026-11-22T10:00:00", "2026-11-22T11:00:00"),
        (Cadence.HOURLY, "2026-11-22T10:59:59.999", "2026-11-22T11:00:00"),
        (Cadence.DAILY, "2026-11-22T00:00:00", "2026-11-23T00:10:00"),
        (Cadence.DAILY, "2026-11-22T23:59:59", "2026-11-23T00:10:00"),
        (Cadence.MONTHLY, "2026-12-31T23:59:59", "2027-01-01T00:10:00"),
        (Cadence.MONTHLY, "2026-02-01T00:00:00", "2026-03-01T00:10:00"),
    ],
)
def test_days_and_months_are_those_of_shanghai(cadence: Cadence, now: str, due: str) -> None:
    assert next_due(cadence, at(now)) == at(due)
    assert is_due(cadence, at(due), at(due))
    assert not is_due(cadence, at(due), at(now))


@pytest.mark.parametrize("cadence", Cadence)
def test_a_time_that_another_clock_set_silences_nothing(cadence: Cadence) -> None:
    """Set while the clock was a year ahead, or kept while it jumps back a day; never sent is due."""
    now = at("2026-11-22T10:00:00")
    assert is_due(cadence, next_due(cadence, Millis(now + 365 * DAY_MS)), now)
    assert is_due(cadence, 0, now)  # type: ignore[arg-type]
    for hours in range(24 * 40):
        later = Millis(now + hours * 3_600_000)
        assert not is_due(cadence, next_due(cadence, later), later)


def test_the_night() -> None:
    assert night_of(at("2026-11-22T03:00:00")) == at("2026-11-22T03:00:00")
    assert night_of(at("2026-11-22T02:59:59")) == at("2026-11-21T03:00:00")


def test_a_week_of_outage_costs_few_tries() -> None:
    """Each one comes between half of the longest wait and all of it: a table that waits goes within 5 s of its return."""
    for chance in (0.0, 0.5, 1.0):
        waited, tries = 0.0, 0
        while waited < 7 * 86_400:
            wait_s = retry_s(tries, lambda: chance)  # noqa: B023
            assert limits.UPSTREAM_RETRY_S_MIN / 2 <= wait_s <= limits.UPSTREAM_RETRY_S_MAX
            waited, tries = waited + wait_s, tries + 1
        most = limits.UPSTREAM_RETRY_S_MAX
        assert 7 * 86_400 / most <= tries <= 2 * 7 * 86_400 / most + 10
    assert retry_s(10**9, lambda: 1.0) == limits.UPSTREAM_RETRY_S_MAX
