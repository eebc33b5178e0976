"""Frames of the spool, cut into blocks: at most ROWS_MAX entries, at most LOG_BLOCK_MS long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from audit.block import ROWS_MAX
from audit.frame import Row
from audit.spool_reading import Frame
from core import limits


def cut_blocks(frames: Sequence[Frame]) -> Iterator[tuple[list[tuple[int, int]], list[Row]]]:
    """Yield the times and the rows of each block, in order. A clock that went back ends a block."""
    times: list[tuple[int, int]] = []
    rows: list[Row] = []
    for frame in frames:
        at = 0
        while at < len(frame.rows):
            full = len(rows) >= ROWS_MAX
            if rows and (full or not times[0][0] <= frame.at_ms < times[0][0] + limits.LOG_BLOCK_MS):
                yield times, rows
                times, rows = [], []
            taken = frame.rows[at : at + ROWS_MAX - len(rows)]
            times.append((frame.at_ms, len(taken)))
            rows += taken
            at += len(taken)
    if rows:
        yield times, rows
