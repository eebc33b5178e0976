"""The queue of the statutory logs, over each engine: read on from a number in order, taken away up to one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import Millis
from core.errors import StoreError
from core.store.engine import Batch, Engine, Table
from core.store.lmdb_engine import LmdbEngine
from core.store.log_queue import LogQueue
from core.store.log_rows import LogEntry, LogRow, log_key, pack_log_row, unpack_log_row
from core.store.memory_engine import MemoryEngine
from core.streams import Stream
from core.who import Who

ENGINES: dict[str, Callable[[Path], Engine]] = {
    "memory": lambda _: MemoryEngine(),
    "lmdb": lambda folder: LmdbEngine(folder / "store", create=True),
}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
DIGESTS = st.sampled_from([b"", bytes(32), b"\xff" * 32])
ENTRIES = st.builds(
    LogEntry, st.sampled_from([stream.value for stream in Stream]), TEXTS, TEXTS, DIGESTS, DIGESTS, TEXTS, TEXTS, TEXTS,
    DIGESTS,
)  # fmt: skip
ROWS = st.builds(
    LogRow, st.integers(0, 2**32 * 1_000 - 1).map(Millis), st.builds(Who, TEXTS, TEXTS, st.integers(-1, 9), TEXTS),
    TEXTS, st.binary(max_size=18), st.lists(ENTRIES, max_size=3).map(tuple),
)  # fmt: skip


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Each engine in turn, empty."""
    opened = ENGINES[request.param](tmp_path)
    yield opened
    opened.close()


def row(number: int, entries: int = 1) -> LogRow:
    entry = LogEntry("change", "record.change", f"88.1/{number}")
    return LogRow(Millis(number), Who("operator"), "http/v1", b"", (entry,) * entries)


def fill(engine: Engine, rows: dict[int, bytes]) -> LogQueue:
    batch = Batch()
    for number, packed in rows.items():
        batch.put(Table.LOG_QUEUE, log_key(number), packed)
    engine.commit(batch)
    return LogQueue(engine)


def test_rows_are_read_on_from_a_number(engine: Engine) -> None:
    """In their order, also beyond one octet; until they have so many entries, and never none if there is one."""
    queue = fill(engine, {number: pack_log_row(row(number, 3)) for number in range(1, 301)})
    assert [number for number, _ in queue.read(0, 10_000)] == list(range(1, 301))
    assert queue.read(254, 7) == [(number, row(number, 3)) for number in (255, 256, 257)]
    assert [number for number, _ in queue.read(299, 1)] == [300]
    assert queue.read(300, 1) == []


def test_rows_are_taken_away_up_to_a_number(engine: Engine) -> None:
    """And again, which changes nothing."""
    queue = fill(engine, {number: pack_log_row(row(number)) for number in range(1, 301)})
    for _ in range(2):
        queue.remove(256)
        assert [number for number, _ in queue.read(0, 10_000)] == list(range(257, 301))
    queue.remove(0)
    queue.remove(10_000)
    assert queue.read(0, 1) == []


def test_a_row_that_cannot_be_read_keeps_no_other_waiting(engine: Engine) -> None:
    """It is told as an entry of maintenance, by its number."""
    queue = fill(engine, {1: pack_log_row(row(1)), 2: b"\x01rubbish", 3: b"", 4: pack_log_row(row(4))})
    found = queue.read(0, 100)
    assert [number for number, _ in found] == [1, 2, 3, 4]
    damaged = [entry for _, each in found[1:3] for entry in each.entries]
    assert [(entry.stream, entry.action, entry.object) for entry in damaged] == [
        ("maintenance", "queue.damaged", "2"),
        ("maintenance", "queue.damaged", "3"),
    ]


@given(ROWS)
def test_a_row_makes_the_round_trip(made: LogRow) -> None:
    assert unpack_log_row(pack_log_row(made)) == made


@given(st.binary(max_size=80), st.booleans())
def test_reading_a_row_is_total(octets: bytes, versioned: bool) -> None:
    """A row, or StoreError."""
    with contextlib.suppress(StoreError):
        unpack_log_row(b"\x01" * versioned + octets)
