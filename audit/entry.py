"""Entries of the logs as canonical JSON: one schema for all four (facts: transparency-log §5).

    {"act": "record.create", "after": "<hex>", "before": null, "evidence": null,
     "from": {"client": "<hex>", "net": "192.0.2.0/24", "port": 40001, "protocol": "http/json"},
     "node": "88.118", "obj": "88.118.7/SKU01", "req": "1042", "res": {"code": "created", "reason": null},
     "stream": "registration", "t": "2026-11-21T08:00:00.123Z", "up": null, "v": 1, "ver": "0.1.0",
     "who": {"auth": "token", "id": "t-1a2b", "name": "Li", "type": "operator"}}

UTF-8, names in order, no blanks, no floats; what is not there is null. ``req``: number of the request in the order in
which this node decided; of a resolution ``<index of the leaf>.<row>``. ``up``: what the upstream acknowledged it by.
A leaf of registration, maintenance and change is one such text; one of resolution is a block (``audit/block.py``),
whose rows are told in the same schema. A text that would make a leaf longer than a log can hold is cut, and ends with
the SHA-256 of all of it: ``… sha256:<hex>``.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, NamedTuple

from audit.clients import Client, format_network
from audit.tile import ENTRY_BYTES_MAX
from core.clock import format_instant
from core.store.log_rows import LogEntry
from core.who import Role, Who

VERSION: Final = 1
_CUT_CHARS: Final = 400  # of each of ten texts or so, an octet as six at most: a third of a leaf


class Software(NamedTuple):
    """Which node wrote an entry, and by which version."""

    node: str
    version: str


def dump(document: dict[str, Any]) -> bytes:
    """Return the canonical JSON of an entry. Bounds: ENTRY_BYTES_MAX octets, whatever it says."""
    leaf = _canonical(document)
    return leaf if len(leaf) <= ENTRY_BYTES_MAX else _canonical(_cut(document))


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(errors="replace")


def _cut(document: dict[str, Any]) -> dict[str, Any]:
    """Return it with each long text cut."""
    cut: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            cut[name] = _cut(value)
        elif isinstance(value, str) and len(value) > _CUT_CHARS:
            digest = hashlib.sha256(value.encode(errors="replace")).hexdigest()
            cut[name] = f"{value[:_CUT_CHARS]}… sha256:{digest}"
        else:
            cut[name] = value
    return cut


def entry_document(
    entry: LogEntry, at_ms: int, who: Who, client: Client, port: int, *, protocol: str, request: str, software: Software
) -> dict[str, Any]:  # fmt: skip
    """Return an entry as the log has it."""
    return {
        "v": VERSION,
        "stream": entry.stream,
        "t": format_instant(at_ms),
        "who": who_document(who),
        "from": origin_document(client, port, protocol),
        "act": entry.action,
        "obj": entry.object,
        "before": entry.before.hex() or None,
        "after": entry.after.hex() or None,
        "evidence": entry.evidence.hex() or None,
        "res": {"code": entry.outcome, "reason": _reason(entry)},
        "req": request,
        "up": None,
        "node": software.node,
        "ver": software.version,
    }


def who_document(who: Who) -> dict[str, Any]:
    """Return who did something. ``auth``: token, uid, handle, or null for what was not proven."""
    auth, proof = _proof(who)
    return {"type": who.role or None, "id": proof, "name": who.name or None, "auth": auth}


def origin_document(client: Client, port: int, protocol: str) -> dict[str, Any]:
    """Return where something came from."""
    known = bool(client.hashed)
    return {
        "client": client.hashed.hex() or None,
        "net": format_network(client.network) or None,
        "port": port if known else None,
        "protocol": protocol or None,
    }


def _proof(who: Who) -> tuple[str | None, str | None]:
    if who.token:
        return "token", who.token
    if who.uid >= 0:
        return "uid", str(who.uid)
    if who.name and who.role != Role.LOCAL.value:
        return "handle", who.name
    return None, None


def _reason(entry: LogEntry) -> str | None:
    return ": ".join(filter(None, (entry.rule, entry.reason))) or None
