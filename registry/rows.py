"""The quick way from the JSON form of a plain record to its stored rows.

A bulk registration is made of records whose values are text, or an administrator,
with the usual TTL and permissions. For these both rows are put together directly;
for everything else ``QuickRows`` gives None and the long way is taken
(``load_values``, ``check_values``, ``pack_record``), which alone defines what is
right: a test holds both to the same octets.
"""

from __future__ import annotations

import re
import struct
from typing import Final, NamedTuple

from core import limits
from core.clock import format_utc
from core.errors import NodeError
from core.records import PERMISSIONS_USUAL
from core.store.record_rows import KEY_RAW_MAX, RecordRows
from core.wire.cursor import bstr, text
from core.wire.jsondata import DataForm, dump_data, is_text, load_data
from core.wire.jsonform import ValueForm
from core.wire.jsontext import quote
from core.wire.metadata import is_binding
from core.wire.valuetypes import GS1_LINK, HS_ADMIN, HS_NAMESPACE, HS_SECKEY, VALUE_TYPES

_FIXED: Final = struct.Struct(">iIBIB")
_HEAD: Final = b"\x01\x00"
_NO_REFERENCES: Final = bytes(4)
_UNUSUAL: Final = re.compile('[\x00-\x1f"\\\\\x7f\u2028\u2029]')
_VALUE_BYTES: Final = 30 + limits.TYPE_BYTES_MAX  # of a value besides its data, rounded up
_VALUES_MAX: Final = limits.VALUES_PER_RECORD_MAX
_RECORD_BYTES_MAX: Final = limits.RECORD_BYTES_MAX
_CACHED_MAX: Final = 4_096
# Types whose data has a structure, and those for which check_values() has rules of their own.
_NOT_PLAIN: Final = frozenset(VALUE_TYPES) | {GS1_LINK, HS_NAMESPACE, HS_SECKEY}


class _Piece(NamedTuple):
    """What comes before the data of a value, or a whole value: on the wire, and in JSON."""

    wire: bytes
    json: str


class QuickRows:
    """Makes rows stamped with one time. What values of many records share is made once.

    ``keep_timestamps``: a value that gives a time goes the long way.
    """

    def __init__(self, now_s: int, *, keep_timestamps: bool) -> None:
        self._now_s = now_s
        self._keep = keep_timestamps
        self._stamp = f'"ttl":{limits.TTL_S_DEFAULT},"timestamp":"{format_utc(now_s)}"}}'
        self._tail = f'"}},{self._stamp}'
        self._heads: dict[tuple[int, str], _Piece | None] = {}
        self._admins: dict[tuple[int | str, str, int, str], _Piece | None] = {}

    def rows(self, key: bytes, forms: list[ValueForm]) -> RecordRows | None:
        """Return both rows of a plain record, None for any other, right or wrong."""
        count = len(forms)
        if not 0 < count <= _VALUES_MAX or len(key) > KEY_RAW_MAX:
            return None
        heads, keep, tail = self._heads, self._keep, self._tail
        wire = [_HEAD, count.to_bytes(4, "big")]
        json: list[str] = []
        seen: set[int | str] = set()
        size = count * _VALUE_BYTES
        for form in forms:
            if (
                form.permissions is not None
                or form.ttl is not None
                or form.references is not None
                or (keep and form.timestamp is not None)
            ):
                return None
            index, data = form.index, form.data
            if type(data) is DataForm:
                if data.format != "string":
                    admin = self._admin(index, form.type, data)
                    if admin is None:
                        return None
                    seen.add(index)
                    size += len(admin.wire)
                    wire.append(admin.wire)
                    json.append(admin.json)
                    continue
                data = data.value
            place = (index, form.type)
            head = heads[place] if place in heads else self._head(*place)
            if head is None or type(data) is not str:
                return None
            seen.add(index)
            octets = data.encode()
            if _UNUSUAL.search(data) is not None:
                if not is_text(data):
                    return None
                data = quote(data)[1:-1]
            length = len(octets)
            size += length
            wire += (head.wire, length.to_bytes(4, "big"), octets, _NO_REFERENCES)
            json.append(head.json + data + tail)
        if len(seen) != count or size > _RECORD_BYTES_MAX:
            return None
        return RecordRows(b"".join(wire), _HEAD + f"[{','.join(json)}]".encode())

    def _fixed(self, index: int) -> bytes:
        return _FIXED.pack(index, self._now_s, 0, limits.TTL_S_DEFAULT, PERMISSIONS_USUAL)

    def _head(self, index: int | str, kind: str) -> _Piece | None:
        """Return what comes before plain data: up to the type, and up to the string's opening quote."""
        piece = None
        plain = kind not in _NOT_PLAIN and not is_binding(kind)  # a record that is bound is checked on the long way
        if _is_index(index) and 0 < len(kind.encode()) <= limits.TYPE_BYTES_MAX and plain:
            shown = f'{{"index":{index},"type":{quote(kind)},"data":{{"format":"string","value":"'
            piece = _Piece(self._fixed(int(index)) + text(kind), shown)
        if len(self._heads) < _CACHED_MAX:
            self._heads[index, kind] = piece  # type: ignore[index] # an index as text is no key of a head
        return piece

    def _admin(self, index: int | str, kind: str, data: DataForm) -> _Piece | None:
        """Return a whole HS_ADMIN value."""
        members = data.value
        if kind != HS_ADMIN or data.format != "admin" or type(members) is not dict or len(members) != 3:
            return None
        handle, named, bits = members.get("handle"), members.get("index"), members.get("permissions")
        # Exactly these three; True and 1.0 are no index, and equal to one as a key.
        if type(handle) is not str or type(named) is not int or type(bits) is not str:
            return None
        place = (index, handle, named, bits)
        try:
            if place in self._admins:
                return self._admins[place]
            octets = load_data(data)
        except NodeError:
            return None
        piece = None
        if _is_index(index):
            wire = self._fixed(int(index)) + text(HS_ADMIN) + bstr(octets) + _NO_REFERENCES
            shown = f'{{"index":{index},"type":"{HS_ADMIN}","data":{dump_data(HS_ADMIN, octets)},{self._stamp}'
            piece = _Piece(wire, shown)
        if len(self._admins) < _CACHED_MAX:
            self._admins[place] = piece
        return piece


def _is_index(index: object) -> bool:
    return type(index) is int and 0 < index <= limits.VALUE_INDEX_MAX
