"""The addresses that asked most: exactly, however little is kept in memory."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.source_tally import SourceTally

ADDRESS = st.integers(0, 9).map(lambda each: bytes((10, 0, 0, each))) | st.integers(0, 4).map(
    lambda each: bytes(15) + bytes((each,))
)
ADDED = st.lists(st.tuples(st.integers(0, 3), ADDRESS, st.integers(1, 3)), max_size=60)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(added=ADDED, kept=st.integers(1, 8), cut=st.integers(1, 4))
def test_it_tells_what_a_table_of_all_would(
    tmp_path: Path, added: list[tuple[int, bytes, int]], kept: int, cut: int
) -> None:
    """By falling count, then address, IPv4 first; rows without an address are not told."""
    tally = SourceTally(tmp_path, kept, runs_max=1_000)
    counts: dict[int, Counter[bytes]] = {}
    for row, address, count in added:
        tally.add(row, address, count)
        counts.setdefault(row, Counter())[address] += count
    wanted = [
        (row, sorted(of.items(), key=lambda item: (-item[1], len(item[0]), item[0]))[:cut])
        for row, of in sorted(counts.items())
    ]
    assert list(tally.top(cut)) == wanted
    tally.close()
    assert os.listdir(tmp_path) == []


def test_what_is_too_much_for_the_file_too_is_not_told_apart(tmp_path: Path) -> None:
    """What is known goes on being counted; nothing is counted for another address."""
    tally = SourceTally(tmp_path, kept=2, runs_max=1)
    for each in range(5):
        tally.add(0, bytes((10, 0, 0, each)), 1)
    tally.add(0, bytes((10, 0, 0, 3)), 5)
    assert list(tally.top(10)) == [(0, [(bytes((10, 0, 0, each)), 6 if each == 3 else 1) for each in (3, 0, 1, 2)])]
    tally.close()


def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    """As the system says it."""
    tally = SourceTally(tmp_path / "none", kept=1)
    tally.add(0, bytes(4), 1)
    with pytest.raises(OSError, match="No such file"):
        tally.add(0, bytes(16), 1)
