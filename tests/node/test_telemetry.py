"""Counters of several processes, and what the keeper shows of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Outcome
from core.store.memory_engine import MemoryEngine
from node.telemetry import Collector, Counters, render


def shown(folder: Path) -> dict[str, float]:
    """Return the series of /metrics, name and labels to value."""
    lines = render(Collector(folder, MemoryEngine(), lambda _: False)).decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_requests_of_sources_that_were_too_fast_are_counted_by_front(tmp_path: Path) -> None:
    """Both fronts have a series from the start; workers are added up."""
    series = [f'saltern_rate_limited_total{{front="{front}"}}' for front in ("http", "handle")]
    one, other = Counters(tmp_path, "worker-0"), Counters(tmp_path, "worker-1")
    assert [shown(tmp_path)[name] for name in series] == [0, 0]
    one.limited("http")
    other.limited("http")
    other.limited("handle")
    assert [shown(tmp_path)[name] for name in series] == [2, 1]


def test_turns_whose_log_failed_are_counted(tmp_path: Path) -> None:
    """One series without labels."""
    one, other = Counters(tmp_path, "worker-0"), Counters(tmp_path, "worker-1")
    one.log_failed()
    one.log_failed()
    other.log_failed()
    assert shown(tmp_path)["saltern_log_failures_total"] == 3


def test_each_counter_has_a_slot_of_its_own(tmp_path: Path) -> None:
    """What one method counts shows in one series and in no other."""
    counters = Counters(tmp_path, "worker-0")
    for count in (
        lambda: counters.limited("http"),
        lambda: counters.limited("handle"),
        counters.log_failed,
        counters.restart,
        lambda: counters.http("GET", 200),
        *(lambda outcome=outcome: counters.resolution(outcome.value, 1) for outcome in Outcome),
    ):
        before = shown(tmp_path)
        count()
        after = shown(tmp_path)
        assert [after[name] - before[name] for name in after if after[name] != before[name]] == [1]


@pytest.mark.parametrize("days", [90, 0, -1])
def test_the_days_of_a_licence_are_shown_where_there_is_one(tmp_path: Path, days: int) -> None:
    """Also those that are over."""
    assert "saltern_licence_days_left" not in shown(tmp_path)
    text = render(Collector(tmp_path, MemoryEngine(), lambda _: False, lambda: days)).decode()
    assert f"\nsaltern_licence_days_left {days:.1f}\n" in text
