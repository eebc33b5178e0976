"""Data of HS_ADMIN and HS_VLIST values (RFC 3651 §3.2.1, §3.2.7).

HS_ADMIN   offset 0, width 2: permission mask; bstr administrator's handle;
           int32 index. Old records add two zero octets, which are kept.
HS_VLIST   array of: bstr handle, int32 index
"""

from __future__ import annotations

from typing import Final

from core.errors import WireError
from core.records import ADMIN_PERMISSIONS_ALL, AdminRecord, ValueReference
from core.wire.cursor import Cursor, text
from core.wire.values import decode_references, encode_references

_SPARE: Final = b"\0\0"


def encode_admin(admin: AdminRecord) -> bytes:
    """Return the octets of an HS_ADMIN value."""
    head = admin.permissions.to_bytes(2, "big") + text(admin.handle)
    return head + admin.value_index.to_bytes(4, "big", signed=True) + (_SPARE if admin.legacy else b"")


def decode_admin(data: bytes) -> AdminRecord:
    """Read an HS_ADMIN value. Errors: WireError."""
    cursor = Cursor(data)
    mask, handle, index = cursor.uint16(), cursor.text(), cursor.int32()
    if mask & ~ADMIN_PERMISSIONS_ALL:
        raise WireError(f"permission mask {mask:#06x} holds a bit that nobody knows")
    tail = cursor.rest()
    if tail not in (b"", _SPARE):
        raise WireError(f"{len(tail)} octets behind an HS_ADMIN value")
    return AdminRecord(mask, handle, index, legacy=bool(tail))


def encode_group(members: tuple[ValueReference, ...]) -> bytes:
    """Return the octets of an HS_VLIST value."""
    return encode_references(members)


def decode_group(data: bytes) -> tuple[ValueReference, ...]:
    """Read an HS_VLIST value, to the end. Errors: WireError."""
    cursor = Cursor(data)
    members = decode_references(cursor)
    cursor.end()
    return members
