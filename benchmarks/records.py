"""The record that all measurements use: a salt product as an enterprise registers it.

Three values: URL (index 1), DESC (index 2, Chinese text), HS_ADMIN (index 100), each
with its data as plain text as the sample data and the stock clients send it. All
records have the same size. Suffixes count upwards, or are spread at random over the
whole key space (``scattered``), for the same record number always the same.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from core.ident.handle import HandleRules
from core.store.record_rows import RecordRows, pack_record, record_key
from core.wire.jsonform import RecordForm, load_values
from core.wire.jsontext import parse

PREFIX = "88.9999.1"
SHAPE = "URL (1), DESC (2, Chinese), HS_ADMIN (100)"
_NOW_S = 1_770_000_000


def handle(number: int, *, scattered: bool = False, series: str = "YP") -> str:
    """Return the handle of a record, all of one length."""
    if scattered:
        return f"{PREFIX}/{series}{hashlib.sha256(str(number).encode()).hexdigest()[:10].upper()}"
    return f"{PREFIX}/{series}{number:010}"


def record(number: int, *, scattered: bool = False, series: str = "YP") -> dict[str, Any]:
    """Return a record in its JSON form."""
    name = handle(number, scattered=scattered, series=series)
    return {"handle": name, "values": values(name)}


def values(name: str) -> list[dict[str, Any]]:
    """Return the values of the record of a handle."""
    suffix = name.partition("/")[2]
    admin = {"handle": f"0.NA/{PREFIX}", "index": 200, "permissions": "111111111111"}
    return [
        {"index": 1, "type": "URL", "data": f"https://p7.example.cn/product/{suffix}"},
        {"index": 2, "type": "DESC", "data": "加碘精制食用盐 400 g 袋装，一级"},
        {"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value": admin}},
    ]


def dump(document: object) -> bytes:
    """Return JSON as UTF-8 without blanks."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def rows(number: int, *, scattered: bool = False) -> tuple[bytes, RecordRows]:
    """Return the key and both rows of a record, as the node stores it."""
    form = parse(dump(record(number, scattered=scattered)), RecordForm)
    key = HandleRules().key(form.handle)
    return record_key(key), pack_record(key, load_values(form.values, _NOW_S))
