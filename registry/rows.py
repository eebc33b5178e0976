"""The quick way from the JSON form of a plain record to its stored rows.

A bulk registration is made of records whose values are text, or an administrator,
with the usual TTL and permissions. For these both rows are put together directly;
for everything else ``quick_rows`` returns None and the long way is taken
(``load_values``, ``check_values``, ``pack_record``), which alone defines what is
right: a test holds both to the same octets.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import Final, NamedTuple

from core import limits
from core.clock import format_utc
from core.errors import NodeError
from core.records import PERMISSIONS_USUAL
from core.store.record_rows import KEY_RAW_MAX, RecordRows
from core.wire.cursor import bstr, text
from core.wire.jsonform import DataForm, ValueForm, dump_data, is_text, load_data
from core.wire.jsontext import quote
from core.wire.valuetypes import HS_ADMIN, VALUE_TYPES

_FIXED: Final = struct.Struct(">iIBIB")
_HEAD: Final = b"\x01\x00"
_NO_REFERENCES: Final = bytes(4)
_UNUSUAL: Final = re.compile('[\x00-\x1f"\\\\\x7f\u2028\u2029]')
_OVERHEAD: Final = 30


class _Kind(NamedTuple):
    wire: bytes
    json: str


@lru_cache(maxsize=1_024)
def _kind(name: str) -> _Kind | None:
    if not name or name in VALUE_TYPES or len(name) > limits.TYPE_BYTES_MAX:
        return None
    return _Kind(text(name), f',"type":{quote(name)},"data":{{"format":"string","value":"')


@lru_cache(maxsize=1_024)
def _admin(handle: str, index: int | str, permissions: str) -> tuple[bytes, str] | None:
    """Return type and data of an HS_ADMIN value on the wire, and in JSON."""
    form = DataForm("admin", {"handle": handle, "index": index, "permissions": permissions})
    try:
        data = load_data(form)
    except NodeError:
        return None
    return text(HS_ADMIN) + bstr(data), f',"type":"{HS_ADMIN}","data":{dump_data(HS_ADMIN, data)}'


def quick_rows(key: bytes, forms: list[ValueForm], now_s: int, *, keep_timestamps: bool) -> RecordRows | None:
    """Return both rows of a plain record, None for any other, right or wrong."""
    if not forms or len(forms) > limits.VALUES_PER_RECORD_MAX or len(key) > KEY_RAW_MAX:
        return None
    stamp = f'"ttl":{limits.TTL_S_DEFAULT},"timestamp":"{format_utc(now_s)}"}}'
    wire = [_HEAD, len(forms).to_bytes(4, "big")]
    json: list[str] = []
    seen: set[int] = set()
    size = 0
    for form in forms:
        index, data = form.index, form.data
        if (
            type(index) is not int
            or not 0 < index <= limits.VALUE_INDEX_MAX
            or form.permissions is not None
            or form.ttl is not None
            or form.references is not None
            or (keep_timestamps and form.timestamp is not None)
        ):
            return None
        seen.add(index)
        plain = data if type(data) is str else _plain(data)
        fixed = _FIXED.pack(index, now_s, 0, limits.TTL_S_DEFAULT, PERMISSIONS_USUAL)
        if plain is not None:
            kind = _kind(form.type)
            if kind is None:
                return None
            shown = plain
            if _UNUSUAL.search(plain) is not None:
                if not is_text(plain):
                    return None
                shown = quote(plain)[1:-1]
            octets = plain.encode()
            size += len(octets)
            wire += (fixed, kind.wire, len(octets).to_bytes(4, "big"), octets, _NO_REFERENCES)
            json.append(f'{{"index":{index}{kind.json}{shown}"}},{stamp}')
            continue
        admin = _known_admin(form.type, data)
        if admin is None:
            return None
        wire += (fixed, admin[0], _NO_REFERENCES)
        json.append(f'{{"index":{index}{admin[1]},{stamp}')
    size += len(forms) * (_OVERHEAD + limits.TYPE_BYTES_MAX)
    if len(seen) != len(forms) or size > limits.RECORD_BYTES_MAX:
        return None
    return RecordRows(b"".join(wire), _HEAD + ("[" + ",".join(json) + "]").encode())


def _plain(data: object) -> str | None:
    if isinstance(data, DataForm) and data.format == "string" and type(data.value) is str:
        return data.value
    return None


def _known_admin(kind: str, data: object) -> tuple[bytes, str] | None:
    if kind != HS_ADMIN or not isinstance(data, DataForm) or data.format != "admin":
        return None
    try:
        members = data.value
        if len(members) != 3:
            return None
        return _admin(members["handle"], members["index"], members["permissions"])
    except (KeyError, TypeError):
        return None
