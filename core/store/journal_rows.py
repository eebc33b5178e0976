"""Rows of the table JOURNAL: acts and refusals, in the order in which they were committed.

JOURNAL  key: number of the entry, eight octets, big-endian, 1 for the first
         0  1  version (1)
         1     msgpack map: at_ms, who, action, object, outcome, rule, reason, evidence
META     key "journal": number of the last entry, eight octets, big-endian

An entry of an act is written in the transaction of the act (design §4, §6).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgpack

from core.clock import Millis, format_utc, read_millis
from core.errors import StoreError
from core.who import Who, unpack_who

LAST_ENTRY_KEY: Final = b"journal"
NUMBER_BYTES: Final = 8
_VERSION: Final = b"\x01"


class Entry(NamedTuple):
    """Who did what, or was refused it, and why.

    ``action``: a call of ``registry/roles.py``. ``object``: party, prefix, token or handle.
    ``outcome``: value of Outcome. ``rule``: what refused, empty for what was done. ``reason``:
    as somebody gave it for what he did, or as he was told. ``evidence``: SHA-256, empty without.
    """

    at_ms: Millis
    who: Who
    action: str
    object: str
    outcome: str
    rule: str = ""
    reason: str = ""
    evidence: bytes = b""


def dump_entry(entry: Entry) -> dict[str, object]:
    """Return an entry as JSON has it."""
    return {
        "at": format_utc(entry.at_ms // 1_000),
        "at_ms": entry.at_ms,
        "who": {"name": entry.who.name, "role": entry.who.role or None, "token": entry.who.token or None}
        | ({"uid": entry.who.uid} if entry.who.uid >= 0 else {}),
        "action": entry.action,
        "object": entry.object,
        "outcome": entry.outcome,
        "rule": entry.rule or None,
        "reason": entry.reason or None,
        "evidence_sha256": entry.evidence.hex() or None,
    }


def entry_key(number: int) -> bytes:
    """Return the key of an entry."""
    return number.to_bytes(NUMBER_BYTES, "big")


def pack_entry(entry: Entry) -> bytes:
    """Return the row of an entry."""
    row: bytes = msgpack.packb(entry._asdict())
    return _VERSION + row


def unpack_entry(row: bytes) -> Entry:
    """Read the row of an entry. Errors: StoreError if it cannot be read."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        entry = Entry(**msgpack.unpackb(row[1:]))
        texts = (entry.action, entry.object, entry.outcome, entry.rule, entry.reason)
        if not (all(isinstance(each, str) for each in texts) and isinstance(entry.evidence, bytes)):
            raise ValueError("a member is no text")
        return entry._replace(at_ms=read_millis(entry.at_ms), who=unpack_who(entry.who))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StoreError(f"a row of the journal cannot be read: {error}") from None
