"""Joins the monthly report: the published logs, the incidents of the store, the key of the node.

Of a node that was put back the logs of the node before are read first: what that one measured is of the month, too.

All maintenance logs are read, which are never dropped: an hour or a recovery may be entered much later, a downtime
much earlier. Of registration and change the month and the next one there is, where late entries lie; months before only
while the approval of a prefix is missing that came to resolve. Each log is checked against its checkpoint on the way,
so that no report is made of a damaged one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, NamedTuple

from audit.copying import former_logs
from audit.inspection import read_parts, take_months
from audit.places import FOLDER
from core.clock import Millis, shanghai_month
from core.config import Config
from core.errors import NodeError, Outcome
from core.signature import Signer
from core.store.engine import Snapshot, Table
from core.store.incident_rows import unpack_incident
from core.streams import Stream
from node import VERSION
from sync.report.cells import report_cells
from sync.report.document import PURPOSE, Making, Source, report_document
from sync.report.figures import Span, effective, span_of
from sync.report.gathering import Gathered
from sync.report.page import render_page

_PREFIXES: Final = (Stream.REGISTRATION, Stream.CHANGE)


class Made(NamedTuple):
    """A report. ``document``: signed; ``files``: octets by name."""

    document: dict[str, Any]
    files: dict[str, bytes]


def require_month(config: Config, month: str, now_ms: Millis) -> None:
    """Errors: NodeError for a month that has not begun, or of which there is no log; LogReadError."""
    if month > shanghai_month(now_ms):
        raise NodeError(f"{month} 尚未开始。{month} has not begun", outcome=Outcome.INVALID_VALUE)
    there = sorted({each.month for each in _Logs(config.data).taken})
    if month not in there:
        known = f"{there[0]} … {there[-1]}" if there else "–"
        raise NodeError(
            f"没有 {month} 的日志，现有：{known}。There is no log of {month}; there are: {known}",
            outcome=Outcome.NOT_FOUND,
        )


def make_report(
    config: Config, reading: Callable[[], AbstractContextManager[Snapshot]], month: str, *,
    signer: Signer, actor: str, now_ms: Millis,
) -> Made:  # fmt: skip
    """Make the report of a month. Memory: one bundle of a log, and the hours. Errors: LogReadError, StoreError."""
    span = span_of(month, now_ms)
    read = _Logs(config.data)
    read.add(Stream.MAINTENANCE)
    months = sorted({each.month for each in read.taken if each.stream in _PREFIXES})
    for stream in _PREFIXES:
        for late in [each for each in months if each >= month][:2]:
            read.add(stream, late)
    earlier = [each for each in months if each < month]
    while earlier and _misses_an_approval(read.gathered, span):
        last = earlier.pop()
        for stream in _PREFIXES:
            read.add(stream, last)
    with reading() as snapshot:
        incidents = [(key.decode(), unpack_incident(row)) for key, row in snapshot.scan(Table.INCIDENTS, b"")]
    making = Making(config.text("node.prefix"), config.text("about.operator"), VERSION, actor, now_ms)
    document = report_document(
        span, read.gathered, incidents, logs=read.sources, notes=read.notes(month), making=making
    )  # fmt: skip
    signed = signer.sign_document(PURPOSE, document)
    files = {"html": render_page(signed), "json": _json(signed), "csv": report_cells(signed)}
    return Made(signed, {f"report-{month}.{kind}": octets for kind, octets in files.items()})


def planned(config: Config) -> Gathered:
    """Return what the published maintenance logs say. Errors: LogReadError."""
    read = _Logs(config.data)
    read.add(Stream.MAINTENANCE)
    return read.gathered


class _Logs:
    """Months of logs, as they were when it began; those of the node before first, so that later entries count."""

    def __init__(self, data: Path) -> None:
        self._taken = [
            (root / FOLDER, month) for root in (*former_logs(data), data) for month in take_months(root / FOLDER)
        ]  # fmt: skip
        self.taken = [month for _, month in self._taken]
        self.gathered = Gathered()
        self.sources: list[Source] = []

    def add(self, stream: Stream, name: str = "") -> None:
        """Read those of a stream, checked: of one month, or all."""
        for log, month in self._taken:
            if month.stream is not stream or name not in ("", month.month):
                continue
            for part in read_parts(log, month):
                for leaf in part.leaves:
                    self.gathered.take(month.stream, leaf)
            checkpoint = month.checkpoint
            self.sources.append(
                Source(month.stream.value, month.month, checkpoint.origin, checkpoint.size, month.note.decode())
            )

    def notes(self, month: str) -> list[tuple[str, str]]:
        """Return what logs of the month are not there."""
        there = {each.stream for each in self.taken if each.month == month}
        return [
            (f"{month} 的 {stream.value} 日志已不在本节点", f"the {stream.value} log of {month} is not here any more")
            for stream in (Stream.MAINTENANCE, *_PREFIXES)
            if stream not in there
        ]


def _misses_an_approval(gathered: Gathered, span: Span) -> bool:
    return any(each.approved_ms is None for each in effective(gathered.steps, span))


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()
