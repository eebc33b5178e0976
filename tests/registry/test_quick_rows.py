"""The quick way of a bulk registration makes the very octets that the long way makes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.errors import NodeError
from core.ident.handle import HandleKey
from core.store.record_rows import RecordRows, pack_record
from core.wire.jsonform import load_values, parse_values
from core.wire.metadata import is_binding
from registry.rows import QuickRows
from registry.values import check_values
from tests.kit.node import admin_value

KEY = HandleKey(b"88.118.7/SKU01")
NOW = 1_700_000_000
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
DATA: st.SearchStrategy[Any] = st.one_of(
    TEXT,
    st.sampled_from(['{"lot":"L1"}', "a\\b", "\t\x13", "\x14", "\x7f", "\u2028", "\0", ""]),
    TEXT.map(lambda text: {"format": "string", "value": text}),
    st.sampled_from([{"format": "base64", "value": "AAE="}, {"format": "hex", "value": "00ff"}]),
    st.sampled_from(
        [
            admin_value("0.NA/88.118.7")["data"],
            admin_value("0.NA/盐", 1, "*")["data"],
            {"format": "admin", "value": {"handle": "0.NA/1", "index": "200", "permissions": "0" * 12}},
            {"format": "admin", "value": {"handle": "0.NA/1", "index": 2**40, "permissions": ""}},
            {"format": "admin", "value": {"handle": "0.NA/1", "index": 1}},
            {"format": "admin", "value": {"handle": "0.NA/1", "index": True, "permissions": "1"}},
            {"format": "admin", "value": {"handle": "0.NA/1", "index": 1.0, "permissions": "1"}},
            {"format": "admin", "value": {"handle": "0.NA/1", "index": 1, "permissions": "1"}},
            {"format": "admin", "value": {"handle": "0.NA/" + "x" * 300_000, "index": 1, "permissions": "1"}},
            {"format": "admin", "value": {"handle": "0.NA/1", "index": 1, "foo": 1}},
            {"format": "admin", "value": {"handle": "0.NA/1", "index": 1, "legacyByteLength": True}},
            {"format": "admin", "value": 7},
            {"format": "admin", "value": ["handle", "index", "permissions"]},
        ]
    ),
)
VALUE = st.fixed_dictionaries(
    {
        "index": st.one_of(st.integers(1, 5), st.sampled_from([0, -1, 2**31, 2**31 - 1, "3"])),
        "type": st.sampled_from(
            [
                *("URL", "DESC", "HS_ADMIN", "HS_VLIST", "HS_SITE", "HS_SECKEY", "HS_NAMESPACE"),
                *("METADATA_TEMPLATE", "metadata_template", "METADATA_TEMPLATES"),
                *("", "盐", 'a"b', "x" * 300, "盐" * 100),
            ]
        ),
        "data": DATA,
    },
    optional={
        "ttl": st.sampled_from([0, 3_600, "2030-01-01T00:00:00Z"]),
        "permissions": st.sampled_from(["1110", "1100"]),
        "timestamp": st.just("2023-11-14T22:13:20Z"),
        "references": st.just([{"handle": "88.118.7/A", "index": 1}]),
    },
)


def long_way(body: bytes, *, keep: bool) -> RecordRows | None:
    try:
        values = load_values(parse_values(body), NOW, keep_timestamps=keep)
        check_values(values)
    except NodeError:
        return None
    return pack_record(KEY, values)


@given(st.lists(st.lists(VALUE, max_size=4), max_size=4), st.booleans())
def test_the_quick_way_makes_the_same_rows_or_none(records: list[list[dict[str, Any]]], keep: bool) -> None:
    """Where it gives rows they are those of the long way, whatever records came before in the batch."""
    quick = QuickRows(NOW, keep_timestamps=keep)
    for forms in records:
        body = json.dumps(forms).encode()
        try:
            rows = quick.rows(KEY, parse_values(body))
        except NodeError:  # no value has this shape
            continue
        if rows is not None:
            assert rows == long_way(body, keep=keep)
            assert not any(is_binding(form["type"]) for form in forms)


def test_the_quick_way_is_taken_for_an_ordinary_product() -> None:
    """Or the test above would prove nothing."""
    forms = [
        {"index": 1, "type": "URL", "data": "https://p007.example.cn/sku/01"},
        {"index": 2, "type": "DESC", "data": {"format": "string", "value": "加碘食用盐"}},
        admin_value("0.NA/88.118.7"),
    ]
    body = json.dumps(forms).encode()
    rows = QuickRows(NOW, keep_timestamps=False).rows(KEY, parse_values(body))
    assert rows is not None
    assert rows == long_way(body, keep=False)
