"""Rows of the tables RECORDS and ANSWERS: two rows a record, written in one batch.

Key of both: the handle's key (``HandleRules.key``). A handle longer than KEY_RAW_MAX octets is
shortened: its first KEY_HEAD octets, FF (which UTF-8 never holds), SHA-256 of all.

    RECORDS   0  1  version (1)
              1  1  flags: 1 a value is not public, 2 the key is shortened
              2     if shortened: bstr, the folded handle
                    the values as on the wire: count, values (RFC 3651 §3.1)

    ANSWERS   0  1  version (1)
              1  1  flags: 1 a value is not public, 4 no value is public
              2     the JSON array of the public values, ready to send
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from core.errors import StoreError, WireError
from core.ident.handle import prefix_handle_of
from core.records import ValuePermission, Values
from core.wire.cursor import Cursor, bstr
from core.wire.jsonform import dump_values
from core.wire.values import decode_values, encode_values

KEY_RAW_MAX: Final = 480
KEY_HEAD: Final = 447
_VERSION: Final = 1
_PRIVATE: Final = 1
_SHORTENED: Final = 2
_NOTHING_PUBLIC: Final = 4
_ALL_PUBLIC: Final = bytes((_VERSION, 0))
_NO_VALUES: Final = bytes(4)
PLAIN_HEADS: Final = (bytes((_VERSION, 0)), bytes((_VERSION, _PRIVATE)))
"""First octets of a RECORDS row with nothing but the values behind them."""

ANSWER_HEAD_BYTES: Final = 2
"""Octets of an ANSWERS row before its JSON."""

_PUBLIC_READ: Final = int(ValuePermission.PUBLIC_READ)


def record_key(handle: bytes) -> bytes:
    """Return the store key of a folded handle."""
    if len(handle) <= KEY_RAW_MAX:
        return handle
    return handle[:KEY_HEAD] + b"\xff" + hashlib.sha256(handle).digest()


def prefix_range(prefix: bytes) -> tuple[bytes, bytes]:
    """Return start and stop of the keys of all handles below a prefix ("0" follows "/")."""
    return prefix + b"/", prefix + b"0"


def prefix_handles_below(prefix: bytes) -> tuple[bytes, bytes]:
    """Return start and stop of the keys of the prefix handles of all prefixes below one ("/" follows ".")."""
    own = prefix_handle_of(prefix)
    return own + b".", own + b"/"


class RecordRows(NamedTuple):
    """Both rows of one record."""

    record: bytes
    answer: bytes


def pack_record(handle: bytes, values: Values) -> RecordRows:
    """Return both rows of a record."""
    public = values
    for value in values:
        if not value.permissions & _PUBLIC_READ:
            public = tuple([each for each in values if each.permissions & _PUBLIC_READ])
            break
    private = _PRIVATE if public is not values else 0
    shortened = len(handle) > KEY_RAW_MAX
    head = bytes((_VERSION, private | (_SHORTENED if shortened else 0)))
    if shortened:
        head += bstr(handle)
    answer_flags = private | (0 if public else _NOTHING_PUBLIC)
    return RecordRows(head + encode_values(values), bytes((_VERSION, answer_flags)) + dump_values(public))


def has_private(row: bytes) -> bool:
    """Whether a RECORDS row says that a value of it is not public."""
    return len(row) > 1 and bool(row[1] & _PRIVATE)


def unpack_values(row: bytes) -> Values:
    """Return the values of a RECORDS row. Errors: StoreError if it cannot be read."""
    return _unpack(row)[1]


def logged_row(row: bytes) -> bytes:
    """Return what of a RECORDS row the digest of a log entry is made from: all of it, but no data that is not public.

    A value that not everybody may read keeps index, type, permissions and time, and has no data: a log can be read
    by others, and a secret that is easily guessed could be found by its digest.
    """
    if len(row) < 2 or not row[1] & _PRIVATE:
        return row
    handle, values = _unpack(row)
    shown = tuple(value if value.permissions & _PUBLIC_READ else value._replace(data=b"") for value in values)
    return row[:2] + (bstr(handle) if handle else b"") + encode_values(shown)


def public_wire(row: bytes) -> bytes | None:
    """Return count and values as on the wire where all of a RECORDS row is public and there is any; else None."""
    if row[:2] != _ALL_PUBLIC or row[2:6] == _NO_VALUES:
        return None
    return row[2:]


def unpack_handle(key: bytes, row: bytes) -> bytes:
    """Return the folded handle of a RECORDS row. Errors: StoreError if it cannot be read."""
    return _unpack(row)[0] or key


def _unpack(row: bytes) -> tuple[bytes, Values]:
    try:
        cursor = Cursor(row)
        if cursor.uint8() != _VERSION:
            raise WireError(f"version {row[0]}")
        handle = cursor.bstr() if cursor.uint8() & _SHORTENED else b""
        return handle, decode_values(cursor.rest())
    except WireError as error:
        raise StoreError(f"a row of records cannot be read: {error.message}") from None


def has_public(row: bytes) -> bool:
    """Whether an ANSWERS row can be read and holds a value that is public."""
    return row.startswith(PLAIN_HEADS)


class StoredAnswer(NamedTuple):
    """An ANSWERS row: ready JSON, and what it leaves out."""

    values_json: bytes
    private: bool
    nothing_public: bool


def unpack_answer(row: bytes) -> StoredAnswer:
    """Read an ANSWERS row. Errors: StoreError if it cannot be read."""
    if len(row) < 2 or row[0] != _VERSION:
        raise StoreError("a row of answers cannot be read")
    return StoredAnswer(row[2:], bool(row[1] & _PRIVATE), bool(row[1] & _NOTHING_PUBLIC))
