"""Counts pairs of row and address, however many there are, and tells the addresses that asked most: exactly.

Pairs are counted in memory; when PAIRS_KEPT of them are there, they are sorted into a file that has no name and is
gone with this process: addresses are personal data. At the end all such runs are merged.

A pair in the file: row (4, big-endian), length of the address (1), address (16, zeros behind it), count (8).
"""

from __future__ import annotations

import heapq
import os
import struct
import tempfile
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import IO, Final

from core import limits

_PAIR: Final = struct.Struct(">21sQ")
_ROW: Final = struct.Struct(">I")
_ADDRESS_BYTES: Final = 16
_CHUNK_BYTES: Final = 2_048 * _PAIR.size
_COUNT: Final = itemgetter(1)

Source = tuple[bytes, int]
"""An address of 4 or 16 octets, and how often it asked."""


class SourceTally:
    """Counts. Used once: pairs are added, then told. ``folder``: where the file lies that has no name."""

    def __init__(
        self, folder: Path, kept: int = limits.STATISTICS_PAIRS_KEPT, runs_max: int = limits.STATISTICS_RUNS_MAX
    ) -> None:
        self._folder = folder
        self._kept = kept
        self._runs_max = runs_max
        self._pairs: dict[bytes, int] = {}
        self._file: IO[bytes] | None = None
        self._runs: list[tuple[int, int]] = []

    def add(self, row: int, address: bytes, count: int) -> None:
        """Count an address. Once there are RUNS_MAX runs, one that is not in memory is not counted. Errors: OSError."""
        pairs, pair = self._pairs, _ROW.pack(row) + len(address).to_bytes(1, "big") + address
        if pair not in pairs and len(pairs) >= self._kept:
            if len(self._runs) >= self._runs_max:
                return
            self._spill()
        pairs[pair] = pairs.get(pair, 0) + count

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - until close()
        start = self._file.seek(0, os.SEEK_END)
        pack = _PAIR.pack
        octets = b"".join([pack(pair, count) for pair, count in sorted(self._pairs.items())])
        self._pairs.clear()
        view = memoryview(octets)
        while view:
            view = view[self._file.write(view) :]
        self._runs.append((start, start + len(octets)))

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()

    def top(self, sources_max: int) -> Iterator[tuple[int, list[Source]]]:
        """Yield rows in order, each with the addresses that asked most, by falling count, then by address.

        IPv4 stands before IPv6. Memory: twice ``sources_max``, and a piece of each run. Errors: OSError.
        """
        row, found, least = -1, list[Source](), 0
        for pair, count in self._merged():
            (of,) = _ROW.unpack_from(pair)
            if of != row:
                if found:
                    yield row, _cut(found, sources_max)
                row, found, least = of, [], 0
            if count <= least:  # so many before it asked as often
                continue
            found.append((pair[5 : 5 + pair[4]], count))
            if len(found) >= 2 * sources_max:
                found = _cut(found, sources_max)
                least = found[-1][1]
        if found:
            yield row, _cut(found, sources_max)

    def _merged(self) -> Iterator[tuple[bytes, int]]:
        """Yield each pair once, in order, with all its counts."""
        padded = ((pair.ljust(_PAIR.size - 8, b"\0"), count) for pair, count in sorted(self._pairs.items()))
        last, total = b"", 0
        for pair, count in heapq.merge(padded, *(self._run(start, end) for start, end in self._runs)):
            if pair != last:
                if last:
                    yield last, total
                last, total = pair, 0
            total += count
        if last:
            yield last, total

    def _run(self, start: int, end: int) -> Iterator[tuple[bytes, int]]:
        assert self._file is not None
        while start < end:
            octets = os.pread(self._file.fileno(), min(_CHUNK_BYTES, end - start), start)
            octets = octets[: len(octets) // _PAIR.size * _PAIR.size]
            if not octets:
                raise OSError("a file of addresses ends too early")
            yield from _PAIR.iter_unpack(octets)
            start += len(octets)


def _cut(found: list[Source], sources_max: int) -> list[Source]:
    """Return those that asked most; of equal ones the first."""
    found.sort(key=_COUNT, reverse=True)  # stable, also when reversed
    return found[:sources_max]
