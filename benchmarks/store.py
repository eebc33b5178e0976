"""What a record takes on the disk: the data file beside the keys and values stored in it.

How: both rows of each record (RECORDS and ANSWERS) go through LmdbEngine in batches of
1 000, each one commit, without the change feed; in key order into one store, at random
into another. The file counts by its blocks on the disk. A store that is written at
random keeps the pages of its last commits free for the next ones, so a small one is
relatively larger.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks import records
from benchmarks.machine import file_bytes
from benchmarks.table import Floor, Row
from core.store.engine import Batch, Table
from core.store.lmdb_engine import LmdbEngine
from core.store.record_rows import RecordRows

BATCH = 1_000
_ORDERED = Floor("≤", 1.25)
_SCATTERED = Floor("≤", 1.9)


def measure(folder: Path, count: int) -> list[Row]:
    """Return the rows of both orders."""
    made = [records.rows(number) for number in range(count)]
    stored = sum(2 * len(key) + len(rows.record) + len(rows.answer) for key, rows in made)
    size = _fill(folder / "ordered", made)
    random.Random(1).shuffle(made)
    size_scattered = _fill(folder / "scattered", made)
    reference = f"{stored / count:.0f} B keys and values a record"
    return [
        _row("data file ÷ keys and values, key order", size, stored, count, _ORDERED, "1.1", reference),
        _row("data file ÷ keys and values, at random", size_scattered, stored, count, _SCATTERED, "1.8", reference),
    ]


def _fill(folder: Path, made: Sequence[tuple[bytes, RecordRows]]) -> int:
    """Write all rows; return what the data file takes."""
    engine = LmdbEngine(folder, create=True)
    for start in range(0, len(made), BATCH):
        batch = Batch()
        for key, rows in made[start : start + BATCH]:
            batch.put(Table.RECORDS, key, rows.record)
            batch.put(Table.ANSWERS, key, rows.answer)
        engine.commit(batch)
    engine.close()
    size = file_bytes(folder / "data.mdb")
    shutil.rmtree(folder)
    return size


def _row(what: str, size: int, stored: int, count: int, floor: Floor, prototype: str, reference: str) -> Row:
    return Row(
        what,
        size / stored,
        floor=floor,
        prototype=prototype,
        ours=f"{size / count:.0f} B a record in the file",
        reference=reference,
        details={"records": count, "file_bytes": size, "stored_bytes": stored},
    )
