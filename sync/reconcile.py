"""Are both sides equal? Range digests of one table, of one state of the store, against the rows above.

The rows here are made anew from the store; nothing that was remembered of what was sent is believed. Ranges of
UPSTREAM_RANGE_ROWS rows are compared by digest, some at a time, while the next ones are made; of those that differ the
keys above are listed, and each row is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, NamedTuple

from core import limits
from core.errors import NodeError
from core.store.engine import Snapshot
from sync.digests import RowsDigest, row_digest
from sync.link import Asks, is_of_all
from sync.messages import CompareRanges, Differing, Keys, ListKeys, Range
from sync.source import Source
from sync.table import Basis

_RANGES_ASKED: Final = 32  # at a time: some 130 000 rows
_DAY_BYTES: Final = len(b"2026-11-22/")

MISSING: Final = "missing"
EXTRA: Final = "extra"
OTHER: Final = "other"


class Difference(NamedTuple):
    """A key whose rows differ: ``missing`` above, ``extra`` above, or ``other`` than here."""

    key: bytes
    why: str


class Comparison(NamedTuple):
    """Both sides of a table. ``rows``: here. ``differences``: UPSTREAM_DIFFERENCES_MAX at most, or ``more``.

    ``fault``: why it could not be compared, in words for the operator; empty where it was.
    """

    rows: int
    differences: tuple[Difference, ...]
    more: bool
    fault: str = ""


def compare(snapshot: Snapshot, source: Source, link: Asks) -> Comparison:
    """Compare one table. Errors: UpstreamError; RefusalError where the top node takes no message of this node."""
    try:
        return _compare(snapshot, source, link)
    except NodeError as error:  # of the source, or of this table alone
        if is_of_all(error):
            raise
        return Comparison(0, (), more=False, fault=error.message)


def _compare(snapshot: Snapshot, source: Source, link: Asks) -> Comparison:
    rows = 0
    differing: list[Range] = []
    asked: list[tuple[list[Range], Future[Differing]]] = []
    start = _first(snapshot, source)
    if start is None:
        return Comparison(0, (), more=False)
    ranges = _ranges(snapshot, source, start)
    with ThreadPoolExecutor(1, "compare") as pool:
        while batch := list(islice(ranges, _RANGES_ASKED)):
            rows += sum(each.rows for each in batch)
            question = CompareRanges(source.table.name, tuple(batch))
            asked.append((batch, pool.submit(link.ask, question, Differing)))
            if len(asked) > 1:
                differing += _result(*asked.pop(0))
        for each in asked:
            differing += _result(*each)
    most = limits.UPSTREAM_DIFFERENCES_MAX
    all_of_them = (each for span in differing for each in _in_range(snapshot, source, link, span))
    found = list(islice(all_of_them, most + 1))
    return Comparison(rows, tuple(found[:most]), more=len(found) > most)


def _first(snapshot: Snapshot, source: Source) -> bytes | None:
    """Return the key from which both sides are to be equal; None where there is nothing to compare.

    What is older than the oldest day that is kept here is kept above alone.
    """
    if source.table.basis is not Basis.DAYS:
        return b""
    first = next(iter(source.rows(snapshot, b"", None)), None)
    return None if first is None else first[0][:_DAY_BYTES]


def _ranges(snapshot: Snapshot, source: Source, start: bytes) -> Iterator[Range]:
    """Yield the ranges of a table; the first begins at ``start``, the last one has no end."""
    digest = RowsDigest()
    for key, row in source.rows(snapshot, start, None):
        if digest.rows == limits.UPSTREAM_RANGE_ROWS:
            yield Range(start, key, digest.rows, digest.digest())
            start, digest = key, RowsDigest()
        digest.add(key, row)
    yield Range(start, None, digest.rows, digest.digest())


def _result(ranges: list[Range], future: Future[Differing]) -> list[Range]:
    return [ranges[place] for place in sorted(set(future.result().places)) if place < len(ranges)]


def _in_range(snapshot: Snapshot, source: Source, link: Asks, span: Range) -> Iterator[Difference]:
    """Yield what differs in a range; both sides are in the order of their keys."""
    above = _listed(source, link, span)
    held = next(above, None)
    for key, row in source.rows(snapshot, span.start, span.stop):
        while held is not None and held[0] < key:
            yield Difference(held[0], EXTRA)
            held = next(above, None)
        if held is None or held[0] > key:
            yield Difference(key, MISSING)
            continue
        if held[1] != row_digest(row):
            yield Difference(key, OTHER)
        held = next(above, None)
    while held is not None:
        yield Difference(held[0], EXTRA)
        held = next(above, None)


def _listed(source: Source, link: Asks, span: Range) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and digests of the rows above, page by page; one that is empty or leads nowhere is the last."""
    start: bytes | None = span.start
    while start is not None:
        page = link.ask(ListKeys(source.table.name, start, span.stop), Keys)
        yield from page.rows
        start = page.next if page.rows and page.next is not None and page.next > start else None
