"""Handle values as on the wire (RFC 3651 §3.1).

offset  width  field
0       4      index, int32
4       4      timestamp, Unix seconds
8       1      TTL type, 0 relative, 1 absolute
9       4      TTL, seconds
13      1      permissions
14      bstr   type
        bstr   data
        array  references: bstr handle, int32 index
"""

from __future__ import annotations

import struct
from typing import Final

from core import limits
from core.errors import WireError
from core.records import HandleValue, ValueReference, Values
from core.wire.cursor import Cursor, bstr, text

VALUE_BYTES_MIN: Final = 26
_FIXED: Final = struct.Struct(">iIBIB")
_REFERENCE_BYTES_MIN: Final = 8
_NO_REFERENCES: Final = b"\0\0\0\0"


def encode_value(value: HandleValue) -> bytes:
    """Return the octets of one value."""
    return (
        _FIXED.pack(value.value_index, value.timestamp, value.ttl_absolute, value.ttl, value.permissions)
        + text(value.type)
        + bstr(value.data)
        + (encode_references(value.references) if value.references else _NO_REFERENCES)
    )


def encode_values(values: Values) -> bytes:
    """Return a count and the octets of each value."""
    return len(values).to_bytes(4, "big") + b"".join([encode_value(value) for value in values])


def decode_value(cursor: Cursor) -> HandleValue:
    """Read one value. Errors: WireError."""
    index, timestamp, ttl_type, ttl, permissions = _FIXED.unpack(cursor.octets(_FIXED.size))
    if ttl_type > 1:
        raise WireError(f"TTL type {ttl_type} is neither 0 (relative) nor 1 (absolute)")
    kind = cursor.text()
    data = cursor.bstr()
    references = decode_references(cursor)
    return HandleValue(index, kind, data, ttl, bool(ttl_type), permissions, timestamp, references)


def decode_values(data: bytes) -> Values:
    """Read a count and that many values, to the end. Errors: WireError."""
    cursor = Cursor(data)
    values = cursor.array(lambda: decode_value(cursor), limits.VALUES_PER_RECORD_MAX, VALUE_BYTES_MIN)
    cursor.end()
    return values


def encode_references(references: tuple[ValueReference, ...]) -> bytes:
    """Return a count, and handle and index of each: also the data of an HS_VLIST."""
    return len(references).to_bytes(4, "big") + b"".join(
        [text(reference.handle) + reference.value_index.to_bytes(4, "big", signed=True) for reference in references]
    )


def decode_references(cursor: Cursor) -> tuple[ValueReference, ...]:
    """Read what encode_references() wrote. Errors: WireError."""
    return cursor.array(
        lambda: ValueReference(cursor.text(), cursor.int32()), limits.WIRE_ARRAY_MAX, _REFERENCE_BYTES_MIN
    )
