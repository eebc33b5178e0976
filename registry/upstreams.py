"""Upstreams: the top nodes that this node is connected to, known by the ids of their keys (Measures art. 7).

What is sent to one, and how far that is, is no part of the registrar: ``sync``.
"""

from __future__ import annotations

from typing import Any

from core import limits
from core.clock import format_utc
from core.errors import Outcome, WireError
from core.signature import PUBLIC_KEY_BYTES, key_id
from core.store.engine import Table
from core.store.upstream_rows import Upstream, pack_upstream, unpack_upstream
from core.upstream_url import read_upstream_url
from registry.commands import Result
from registry.desk import Desk, told
from registry.refusals import refusal
from registry.upstream_commands import ConnectUpstream, DisconnectUpstream


def connect_upstream(desk: Desk, command: ConnectUpstream) -> Result:
    """Connect a top node; one that is connected gets this address and name, and keeps its place."""
    if len(command.public_key) != PUBLIC_KEY_BYTES:
        raise refusal("upstream-key", Outcome.INVALID_VALUE, octets=PUBLIC_KEY_BYTES)
    try:
        url = str(read_upstream_url(command.url))
    except WireError as error:
        wrong = error.fields
        raise refusal("upstream-url", Outcome.INVALID_VALUE, error=wrong["zh"], error_en=wrong["en"]) from None
    name = command.name.strip()
    if len(name) > limits.UPSTREAM_NAME_CHARS_MAX or not name.isprintable():
        raise refusal("upstream-name", Outcome.INVALID_VALUE, chars=limits.UPSTREAM_NAME_CHARS_MAX)
    upstream = key_id(command.public_key)
    known = find_upstream(desk, upstream)
    if known is None and sum(1 for _ in desk.staging.scan(Table.UPSTREAMS)) >= limits.UPSTREAMS_MAX:
        raise refusal("upstream-count", Outcome.CONFLICT, upstreams=limits.UPSTREAMS_MAX)
    row = Upstream(url, command.public_key, name, desk.now_ms if known is None else known.connected_ms)
    desk.staging.put(Table.UPSTREAMS, upstream.encode(), pack_upstream(row))
    return told(upstream, Outcome.CREATED if known is None else Outcome.OK, dump_upstream(upstream, row))


def disconnect_upstream(desk: Desk, command: DisconnectUpstream) -> Result:
    """Disconnect a top node. Prefixes that wait for its verdict go on waiting (``registry/prefixes.py``)."""
    row = require_upstream(desk, command.upstream)
    desk.staging.put(Table.UPSTREAMS, command.upstream.encode(), None)
    return told(command.upstream, Outcome.OK, dump_upstream(command.upstream, row))


def find_upstream(desk: Desk, upstream: str) -> Upstream | None:
    """Return an upstream, None if it is not connected."""
    row = desk.staging.get(Table.UPSTREAMS, upstream.encode())
    return None if row is None else unpack_upstream(row)


def require_upstream(desk: Desk, upstream: str) -> Upstream:
    """Return an upstream that is connected. Errors: NodeError(NOT_FOUND)."""
    row = find_upstream(desk, upstream)
    if row is None:
        raise refusal("upstream-not-found", Outcome.NOT_FOUND, upstream=repr(upstream[:40]))
    return row


def dump_upstream(upstream: str, row: Upstream) -> dict[str, Any]:
    """Return an upstream as JSON has it."""
    return {
        "id": upstream,
        "url": row.url,
        "name": row.name or None,
        "connected": format_utc(row.connected_ms // 1_000),
    }
