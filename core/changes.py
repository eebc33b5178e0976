"""Changes: one committed write each, numbered without gaps by the store.

The change feed is what sync, and every other follower, reads. A row holds the
kind, the identifier and the time; what the record now says is in the store.
Version 1 of a row: octet 1, then msgpack ``[kind, identifier, at_ms]``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple, NewType

import msgpack

from core.clock import Millis
from core.errors import StoreError

Serial = NewType("Serial", int)
"""Number of a change, 1 for the first; 0 is before all changes."""

_VERSION: Final = b"\x01"
_PACK: Final = msgpack.Packer().pack
_SHORT: Final = b"\xc4"  # of msgpack: octets, their number in the next one
_AT: Final = 5

KIND_AT: Final = 2
"""Where the kind stands in a row: an octet, for no kind is above 127."""


class ChangeKind(IntEnum):
    """What was changed, and how. Numbers are stored: never reuse one."""

    RECORD_CREATED = 1
    RECORD_CHANGED = 2
    RECORD_DELETED = 3
    PREFIX_HOMED = 16
    PREFIX_UNHOMED = 17
    PREFIX_APPLIED = 18
    PREFIX_VERIFYING = 19
    PREFIX_CORRECTION = 20
    PREFIX_REJECTED = 21
    PREFIX_APPROVED = 22
    PREFIX_REFERRED = 23
    PREFIX_ALLOCATED = 24
    PREFIX_SITE = 25
    PREFIX_SUSPENDED = 26
    PREFIX_RESUMED = 27
    PREFIX_DELETED = 28
    PREFIX_IMPORTING = 29  # comes from another node, and is not answered yet
    PREFIX_IMPORTED = 30
    PREFIX_ABANDONED = 31
    PARTY_ADDED = 32
    PARTY_CHANGED = 33
    PARTY_VERIFIED = 34  # one step of its verification; how it ended stands in its row
    PARTY_CONFIRMED = 35
    HOLD_PLACED = 48
    HOLD_LIFTED = 49
    LOT_CREATED = 64
    LOT_CHANGED = 65  # units of it came into other states, or were re-packed
    LOT_ABANDONED = 66  # came by an import that was given up: it is not here any more
    TEMPLATE_PUBLISHED = 80
    TEMPLATE_WITHDRAWN = 81
    ALIAS_ADDED = 88  # the identifier is the alias, KIND:VALUE
    ALIAS_REMOVED = 89
    ZONE_SETTINGS = 90  # the zones of DNS are made otherwise: the identifier is "dns"
    MONITOR_EVENT = 96  # an anomaly or a recovery of this node, or of an enterprise node below it

    __hash__ = int.__hash__  # Enum's own hash is computed in Python


class Change(NamedTuple):
    """One row of the change feed. ``identifier``: key or id of what was changed; of a hold its target."""

    kind: ChangeKind
    identifier: str
    at_ms: Millis


def pack_change(kind: int, identifier: bytes, at_ms: int) -> bytes:
    """Return the row of a change. ``identifier``: key of the handle, prefix or template version, id of the party."""
    row: bytes = _PACK((kind, identifier, at_ms))
    return _VERSION + row


def identifier_of(row: bytes) -> bytes:
    """Return the identifier of a change alone: whoever follows the feed looks at millions. Errors: StoreError."""
    if row[3:4] == _SHORT and len(row) > _AT + row[4]:
        return row[_AT : _AT + row[4]]
    return unpack_change(row).identifier.encode()


def unpack_change(row: bytes) -> Change:
    """Read the row of a change. Errors: StoreError if it is not one."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        kind, identifier, at_ms = msgpack.unpackb(row[1:])
        return Change(ChangeKind(kind), identifier.decode(), Millis(at_ms))
    except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise StoreError(f"a row of the change feed cannot be read: {error}") from None
