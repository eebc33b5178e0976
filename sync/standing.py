"""How it stands with what is owed: per table what was sent, accepted and refused, and what waits since when.

Told by ``saltern sync status`` and by the metrics, from the store alone: no top node is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from core import limits
from core.changes import KIND_AT, Serial, identifier_of, unpack_change
from core.clock import Millis, format_instant
from core.errors import NodeError
from core.store.engine import Snapshot, Table
from core.store.handed_rows import handed_state, kept_of, kept_range, seen_of
from core.store.upstream_rows import (
    LinkState,
    TableState,
    Upstream,
    link_key,
    refused_of,
    refused_range,
    table_key,
    unpack_link_state,
    unpack_refused,
    unpack_table_state,
)
from sync.feeding import DAY_SERIALS, day_text
from sync.source import Source
from sync.table import Basis

_CHUNK: Final = 10_000
_REFUSED_TOLD: Final = 1_000


class Waiting(NamedTuple):
    """What waits of a table. ``rows``: changes or rows; ``at_least``: there may be more. ``since_ms``: 0 for none."""

    rows: int
    since_ms: Millis
    at_least: bool = False


def table_state(snapshot: Snapshot, upstream: str, table: str) -> TableState:
    """Return how far a table is."""
    return unpack_table_state(snapshot.get(Table.SYNC_TABLES, table_key(upstream, table)))


def link_state(snapshot: Snapshot, upstream: str) -> LinkState:
    """Return how it stands with a top node."""
    return unpack_link_state(snapshot.get(Table.SYNC_TABLES, link_key(upstream)))


def waiting(snapshot: Snapshot, source: Source, state: TableState) -> Waiting:
    """Return what waits of a table. Cost: looks at UPSTREAM_LOOKED_AT changes at most."""
    if state.piece_at or (state.context == b"" and source.context(snapshot) != b""):
        return Waiting(1, Millis(0), at_least=True)
    if source.table.basis is Basis.WHOLE:
        other = source.context(snapshot) != state.context
        return Waiting(int(other), Millis(0))
    if source.table.basis is Basis.DAYS:
        start = day_text(state.serial // DAY_SERIALS).encode()
        rows = sum(1 for _ in source.rows(snapshot, start, None)) - state.serial % DAY_SERIALS
        return Waiting(max(0, rows), Millis(0))
    return _changes_waiting(snapshot, source, state)


def _changes_waiting(snapshot: Snapshot, source: Source, state: TableState) -> Waiting:
    kinds = {int(kind): kind for kind in source.kinds}
    after = state.serial if state.pending else max(state.serial, state.looked)
    rows, since_ms, looked = 0, Millis(0), after
    while looked - after < limits.UPSTREAM_LOOKED_AT:
        chunk = snapshot.feed(Serial(looked), _CHUNK)
        if not chunk:
            return Waiting(rows, since_ms)
        for _, row in chunk:
            kind = row[KIND_AT]
            if kind not in kinds or source.touched(kinds[kind], identifier_of(row)) is None:
                continue
            since_ms = since_ms or unpack_change(row).at_ms
            rows += 1
        looked = chunk[-1][0]
    return Waiting(rows, since_ms, at_least=looked < source.latest(snapshot))


def dump_standing(
    snapshot: Snapshot, upstream: str, row: Upstream, sources: Mapping[str, Source], now_ms: Millis
) -> dict[str, Any]:
    """Return how it stands with one top node, as JSON has it."""
    link = link_state(snapshot, upstream)
    return {
        "upstream": upstream,
        "url": row.url,
        "name": row.name,
        "connected": format_instant(row.connected_ms),
        "enrolment": link.enrolment or None,
        "answered": _instant(link.told_ms),
        "away_since": _instant(link.since_ms),
        "fault": link.fault or None,
        "clock_ahead_ms": link.skew_ms,
        "verified": _instant(link.verified_ms),
        "differences": link.differences if link.verified_ms else None,
        "takeover": _dump_takeover(snapshot, upstream),
        "tables": {name: _dump_table(snapshot, upstream, source, now_ms) for name, source in sources.items()},
    }


def _dump_takeover(snapshot: Snapshot, upstream: str) -> dict[str, Any] | None:
    """Return the last takeover of a top node, None where there was none. Bounds: _REFUSED_TOLD changes kept out."""
    seen = seen_of(snapshot, upstream)
    if seen is None:
        return None
    state = handed_state(snapshot, upstream)
    kept = kept_of(snapshot.scan(Table.HANDED_BACK, *kept_range(upstream)))
    return {
        "takeover": seen.takeover,
        "on": not seen.over_ms,
        "seen": _instant(seen.seen_ms),
        "over": _instant(seen.over_ms),
        "taken": state.taken if state.takeover == seen.takeover else 0,
        "kept": [
            {"number": number, "handle": each.handle, "who": each.who, "at": _instant(each.at_ms), "why": each.why}
            for number, each in islice(kept, _REFUSED_TOLD)
        ],
    }


def _dump_table(snapshot: Snapshot, upstream: str, source: Source, now_ms: Millis) -> dict[str, Any]:
    state = table_state(snapshot, upstream, source.table.name)
    fault = state.fault
    try:
        waits = waiting(snapshot, source, state)
    except NodeError as error:  # of the source: other tables are told
        waits, fault = Waiting(1, Millis(0), at_least=True), error.message
    return {
        "zh": source.table.zh,
        "en": source.table.en,
        "serial": state.serial,
        "sent": state.sent,
        "accepted": state.accepted,
        "refused": state.refused,
        "waiting": waits.rows,
        "waiting_at_least": waits.at_least,
        "waiting_s": (now_ms - waits.since_ms) // 1_000 if waits.since_ms else None,
        "acknowledged": _instant(state.told_ms),
        "due": _instant(state.next_ms),
        "fault": fault or None,
        "refused_rows": list(islice(refused_rows(snapshot, upstream, source.table.name), _REFUSED_TOLD)),
    }


def refused_rows(snapshot: Snapshot, upstream: str, table: str) -> Iterator[dict[str, Any]]:
    """Yield the rows that a top node does not take, and why."""
    for place, packed in snapshot.scan(Table.SYNC_REFUSED, *refused_range(upstream, table)):
        serial, key = refused_of(place)
        row = unpack_refused(packed)
        yield {
            "key": show_key(key), "serial": serial or None, "rule": row.rule, "zh": row.zh, "en": row.en,
            "at": format_instant(row.at_ms),
        }  # fmt: skip


def show_key(key: bytes) -> str:
    """Return a key as people read it; octets that are no text as \\xNN."""
    return key.decode("utf-8", "backslashreplace")


def _instant(at_ms: int) -> str | None:
    return format_instant(Millis(at_ms)) if at_ms else None
