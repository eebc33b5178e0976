"""What the reference top node shows of what it holds, as JSON: its pages and its command line tell the same."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from core.clock import Millis, format_instant
from sync.table import Field, TableKind, unpack_row
from sync.topnode.probing import Tally
from sync.topnode.rows import Held, Node, ReviewRow, Route
from sync.topnode.takeover_rows import Event, ProbeRow, Watched


def node_document(node: Node) -> dict[str, Any]:
    """Return what is shown of a node."""
    return {
        "id": node.node_id,
        "prefix": node.prefix,
        "name": node.name,
        "software": node.software,
        "origin": node.origin,
        "enrolment": node.enrolment,
        "since": format_instant(node.since_ms),
        "last": format_instant(node.last_ms),
    }


def tables_document(node_id: str, held: Mapping[str, Held], now_ms: Millis) -> dict[str, Any]:
    """Return what is held of the tables of a node. ``lag_s``: since its last word about a table, None if there was
    none.
    """
    return {"node": node_id, "tables": {name: _held(each, now_ms) for name, each in held.items()}}


def _held(held: Held, now_ms: Millis) -> dict[str, Any]:
    told = held.last_ms or None
    return {
        "serial": held.serial,
        "rows": held.rows,
        "added": held.added,
        "changed": held.changed,
        "removed": held.removed,
        "refused": held.refused,
        "snapshot": held.piece_at or None,
        "told": None if told is None else format_instant(told),
        "lag_s": None if told is None else max(now_ms - told, 0) // 1_000,
    }


def row_document(table: TableKind, key: bytes, row: bytes) -> dict[str, Any]:
    """Return a row with the names of its fields. Errors: WireError."""
    return {"key": key.decode("utf-8", "backslashreplace"), "row": _named(table.fields, unpack_row(row))}


def _named(fields: tuple[Field, ...], values: list[Any]) -> dict[str, Any]:
    return {field.name: _shown(field, value) for field, value in zip(fields, values, strict=False)}


def _shown(field: Field, value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list) and field.members:
        return [_named(field.members, each) if isinstance(each, list) else each for each in value]
    return value


def route_document(prefix: str, route: Route, table: TableKind) -> dict[str, Any]:
    """Return who answers for a prefix. Errors: WireError."""
    shown = row_document(table, route.key, route.row)["row"]
    return {"prefix": prefix, "node": route.node_id, "table": route.table, "route": shown}


def review_document(review: ReviewRow) -> dict[str, Any]:
    """Return a review. ``decided``: None while it waits."""
    return {
        "prefix": review.prefix,
        "node": review.node_id,
        "party": review.party,
        "hosting": review.hosting,
        "filed": format_instant(review.filed_ms),
        "verdict": review.verdict,
        "reason": review.reason,
        "fields": dict(review.fields),
        "decided": format_instant(review.at_ms) if review.at_ms else None,
        "by": review.by,
    }


# --- probes and takeover ---
def watched_document(watched: Watched) -> dict[str, Any]:
    """Return how the top node stands to a node. ``judged``: end of the last whole window, None where there was none."""
    return {
        "node": watched.node_id,
        "prefix": watched.prefix,
        "state": watched.state.value,
        "by_hand": watched.standing.by_hand,
        "since": _instant(watched.since_ms),
        "takeover": watched.takeover or None,
        "resolution": _tally(watched.summary.resolution),
        "registration": _tally(watched.summary.registration),
        "judged": _instant(watched.judged_ms),
    }


def _tally(tally: Tally) -> dict[str, int]:
    return {"asked": tally.asked, "failed": tally.failed}


def _instant(at_ms: Millis) -> str | None:
    return format_instant(at_ms) if at_ms else None


def event_document(event: Event) -> dict[str, Any]:
    """Return a change of state. ``by``: None where the probes decided."""
    return {
        "number": event.number,
        "at": format_instant(event.at_ms),
        "node": event.node_id,
        "prefix": event.prefix,
        "before": event.before.value,
        "after": event.after.value,
        "takeover": event.takeover or None,
        "by": event.by or None,
        "reason": event.reason,
    }


def probe_document(name: str, row: ProbeRow) -> dict[str, Any]:
    """Return a probe. ``why``: rules by which its last refused report was; ``differs``: nodes of which it alone says
    the contrary of all others.
    """
    return {
        "name": name,
        "last": _instant(row.last_ms),
        "reports": row.reports,
        "refused": row.refused,
        "why": list(row.why),
        "differs": list(row.differs),
    }
