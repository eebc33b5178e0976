"""The tables are those of the docking agreement, and a row that a receiver checks is right or told why not."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import limits
from core.party.fields import FIELDS
from core.store.record_rows import record_key
from core.wire.metadata import template_key
from sync.row_checks import _faults, is_right_identifier
from sync.rules import RULES
from sync.table import Cadence, pack_row
from sync.tables import TABLES, check_row, values

T9_FIELDS = (
    "identifier", "created", "template_code", "product_category", "brand", "product_name", "manufacturer", "produced",
    "valid_until", "terminal_type", "terminal_owner", "purpose", "serial_or_imei", "access_licence", "mark_code",
    "mark_serial", "product", "serial_length", "count",
)  # fmt: skip

ADDRESS = ["IPv4", "192.0.2.1", 2641, None, None]
ITEM = ["brand", "品牌", "text", 64, True, ""]
STATISTICS = {"prefix": "88.118.7", "day": "2026-11-21", "added": 3, "total": 9, "received": 5, "answered": 4,
              "sources": [["192.0.2.7", 4], ["2001:db8::1", 1]], "others": 0}  # fmt: skip
ROUTE = {"kind": "Handle", "prefix": "88.118.7", "addresses": [ADDRESS], "hosting": "hosted", "state": 1}
TEMPLATE = {"code": "salt", "version": "V1.0", "name": "盐", "industry_section": "C", "active": False, "items": [ITEM],
            "state": "published"}  # fmt: skip
OVERVIEW = {"name": "扫码", "type": 2, "users": 12, "resolvers": ["https://r.example.cn"], "developer": "甲"}
SUBJECT = {
    "name": "天津长芦海晶集团有限公司", "nature": "国有控股", "address": "天津市滨海新区", "cert_type": "其他",
    "uscc": "A-1", "legal_rep": "张三", "legal_rep_cert_type": "护照", "legal_rep_id": "E12345678",
    "industry_section": "C", "industry_division": "14", "contact": "李四", "phone": "13800138000",
    "email": "a@example.cn", "established": "2001-02-03", "region": "120116", "party": "P000001",
    "kind": "organisation", "verified": "verified", "confirmed": "2026-11-21",
    "steps": [[1_700_000_000_000, "manual", "a file", bytes(32), "verified"]],
}  # fmt: skip
IDENTIFIER = {"identifier": "88.118.7/A", "created": "2026-11-22", "brand": "海晶"}
LOT = {"identifier": "88.118.7/L1", "created": "2026-11-22", "product": "88.118.7/P", "serial_length": 10,
       "count": 1_000_000}  # fmt: skip

FIGURES = {
    "subject": "node", "day": "2026-11-21", "resolution_answers": 9, "resolution_mean_us": 200,
    "resolution_max_us": 900, "resolution_max_s": 1_795_000_000, "resolution_min_us": 80,
    "resolution_min_s": 1_795_000_001, "resolution_peak": 4, "resolution_peak_s": 1_795_000_000,
    "registration_answers": 0,
}  # fmt: skip
EVENT = {"status": 2, "number": "E00000002", "ends": "E00000001", "changed_s": 1_795_000_000, "cause": "恢复",
         "kind": 2, "subject": "88.118.9", "condition": "resolution"}  # fmt: skip

RIGHT: dict[str, tuple[bytes, dict[str, Any]]] = {
    "T1": (b"operator", SUBJECT | {"certificate_image": b"\x89PNG"}),
    "T2": (b"Handle/88.118.7", ROUTE),
    "T3": (b"2026-11-21/88.118.7", STATISTICS),
    "T4": (template_key("salt", "V1.0"), TEMPLATE),
    "T5": ("node/扫码".encode(), OVERVIEW),
    "T6": (b"P000001", SUBJECT),
    "T7": (b"Handle/88.118.7", ROUTE),
    "T8": (b"2026-11-21/88.118.7", STATISTICS),
    "T9": (b"88.118.7/A", IDENTIFIER),
    "T10": ("88.118.7/扫码".encode(), OVERVIEW | {"prefix": "88.118.7"}),
    "T11": (template_key("salt", "V1.0"), TEMPLATE | {"party": "P000001"}),
    "T12": (b"2026-11-21/node", FIGURES),
    "T13": (b"E00000002", EVENT),
}


def told(name: str, key: bytes | None = None, /, **changes: Any) -> list[tuple[str, str]]:
    """Return path and rule of the faults of a right row with other values."""
    own, named = RIGHT[name]
    row = pack_row(values(TABLES[name], **{**named, **changes}))
    return [(fault.path, fault.rule) for fault in check_row(TABLES[name], own if key is None else key, row)]


# --- the tables ---
def test_there_are_eleven_and_two_reports_and_none_is_sent_less_often_than_agreed() -> None:
    """T7 is the one that goes earlier."""
    assert list(TABLES) == [f"T{number}" for number in range(1, 14)] and all(
        len(each.fields) for each in TABLES.values()
    )
    order = list(Cadence)
    assert all(order.index(table.sent) <= order.index(table.cadence) for table in TABLES.values())
    assert [table.name for table in TABLES.values() if table.sent is not table.cadence] == ["T7"]


def test_t9_keeps_the_order_of_its_fields() -> None:
    """Rows are arrays: another order would be another table."""
    assert tuple(field.name for field in TABLES["T9"].fields) == T9_FIELDS


def test_t1_and_t6_have_the_fields_of_a_form_and_t1_the_images_besides() -> None:
    """All 45 numbers of T1, and of T6 all but three; nobody's name of those who verified."""
    assert {number for field in TABLES["T1"].fields for number in field.numbers} == set(range(1, 46))
    assert {number for field in TABLES["T6"].fields for number in field.numbers} == set(range(1, 46)) - {6, 10, 18}
    assert {field.name for field in FIELDS} < {field.name for field in TABLES["T6"].fields}
    steps = next(field for field in TABLES["T6"].fields if field.name == "steps")
    assert [member.name for member in steps.members] == ["at_ms", "method", "source", "evidence", "result"]


def test_every_field_says_what_it_is() -> None:
    """In Chinese, with a source, and a bound where it has a length."""
    for table in TABLES.values():
        for field in [each for top in table.fields for each in (top, *top.members)]:
            assert field.zh and field.source and field.name.isascii(), field
            assert field.kind not in ("text", "texts", "octets") or field.chars_max or field.choices, field
            assert (field.kind in ("list", "texts")) == bool(field.items_max), field


def test_values_stand_in_the_order_of_the_fields() -> None:
    """What is not given is None; what no field is named is an error."""
    assert values(TABLES["T5"], type=1, name="a") == ["a", 1, None, None, None, None]
    with pytest.raises(KeyError):
        values(TABLES["T5"], nosuch=1)


# --- right rows ---
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_row_passes(name: str) -> None:
    """One of each table."""
    assert told(name) == []


def test_a_lot_passes() -> None:
    """With all three members of a lot, or not."""
    assert told("T9", LOT["identifier"].encode(), **LOT) == []  # type: ignore[attr-defined]
    for name in ("product", "serial_length", "count"):
        assert told("T9", b"88.118.7/L1", **(LOT | {name: None})) == [("count", "row-lot")]


@pytest.mark.parametrize("identifier", ["88.118.7/a", "88.118.7/A", "88.118.7/" + "x" * 600])
def test_the_key_of_an_identifier_is_the_stored_one(identifier: str) -> None:
    """Folded, or where case matters folded in the prefix alone; shortened where it is long."""
    folded = identifier.upper().encode()
    assert told("T9", record_key(folded), identifier=identifier) == []
    assert told("T9", record_key(identifier.encode()), identifier=identifier) == []
    assert told("T9", record_key(folded + b"X"), identifier=identifier) == [("", "row-key")]


def test_what_an_imported_party_lacks_is_no_fault() -> None:
    """Identity data did not come with it; what is public did."""
    hidden = dict.fromkeys([field.name for field in FIELDS if field.identity])
    assert told("T6", **hidden) == []
    assert told("T6", **hidden, name=None) == [("name", "required")]
    person = hidden | {"kind": "person", "name": None, "address": None, "uscc": None}
    assert told("T6", **person) == []


# --- wrong rows ---
@pytest.mark.parametrize(
    ("name", "changes", "faults"),
    [
        ("T9", {"identifier": None}, [("identifier", "row-required")]),
        ("T9", {"identifier": ""}, [("identifier", "row-required")]),
        ("T9", {"created": "2026-02-30"}, [("created", "row-kind")]),
        ("T9", {"brand": 7, "purpose": "x" * (limits.METADATA_LENGTH_MAX + 1)},
         [("brand", "row-kind"), ("purpose", "row-length")]),
        ("T9", LOT | {"count": 2**20 + 1, "serial_length": True},
         [("serial_length", "row-kind"), ("count", "row-range")]),
        ("T1", {"contact_image": bytes(limits.UPSTREAM_IMAGE_BYTES_MAX + 1)}, [("contact_image", "row-length")]),
        ("T6", {"nature": "nosuch"}, [("nature", "row-choice")]),
        ("T6", {"cert_type": "统一社会信用代码"}, [("uscc", "uscc.length")]),
        ("T6", {"phone": "138 0013 8000"}, [("phone", "row-normal")]),
        ("T6", {"established": "20010203"}, [("established", "row-kind")]),
        ("T6", {"party": "P000002"}, [("", "row-key")]),
        ("T6", {"steps": [[1, "manual", "", b"short", "verified"]]}, [("steps[1].evidence", "row-kind")]),
        ("T6", {"steps": [[1, "manual"]]}, [("steps[1]", "row-kind")]),
        ("T7", {"kind": "DOI"}, [("kind", "row-choice")]),
        ("T7", {"addresses": [["IPv4", "192.0.2.300", 1, None, None]]}, [("addresses[1].address", "row-kind")]),
        ("T7", {"addresses": [["IPv6", "192.0.2.3", 1, None, None]]}, [("addresses[1].address", "row-ip-type")]),
        ("T7", {"addresses": [ADDRESS, ["IPv4", "192.0.2.3", None, None, None]]}, [("addresses[2]", "row-port")]),
        ("T7", {"addresses": [["IPv4", "192.0.2.3", 0, 70_000, None]]},
         [("addresses[1].tcp_port", "row-range"), ("addresses[1].udp_port", "row-range")]),
        ("T7", {"prefix": "88..7"}, [("prefix", "row-kind"), ("", "row-key")]),
        ("T7", {"state": 6}, [("state", "row-range")]),
        ("T8", {"day": "2026-11-20"}, [("", "row-key")]),
        ("T8", {"sources": [["192.0.2.7", 0]]}, [("sources[1].queries", "row-range")]),
        ("T8", {"sources": [ADDRESS[1:3]] * 10_001}, [("sources", "row-items")]),
        ("T11", {"party": None}, [("party", "row-required")]),
        ("T11", {"version": "one"}, [("version", "row-kind"), ("", "row-key")]),
        ("T11", {"items": [["HS_SITE", "", "text", 1, True, ""]]}, [("items[1].name", "row-kind")]),
        ("T11", {"state": "draft"}, [("state", "row-choice")]),
        ("T10", {"type": 6}, [("type", "row-range")]),
        ("T10", {"resolvers": ["ok", 1]}, [("resolvers[2]", "row-kind")]),
        ("T12", {"resolution_mean_us": None}, [("resolution_answers", "row-figures")]),
        ("T12", {"resolution_mean_us": 901}, [("resolution_mean_us", "row-figures")]),
        ("T12", {"resolution_peak": 10}, [("resolution_mean_us", "row-figures")]),
        ("T12", {"resolution_peak_s": None}, [("resolution_answers", "row-figures")]),
        ("T12", {"registration_min_s": 7}, [("registration_answers", "row-figures")]),
        ("T12", {"subject": "88..7"}, [("subject", "row-kind"), ("", "row-key")]),
        ("T13", {"status": 1}, [("ends", "row-ends")]),
        ("T13", {"ends": None}, [("ends", "row-ends")]),
        ("T13", {"ends": "1"}, [("ends", "row-kind")]),
        ("T13", {"number": "7"}, [("number", "row-kind"), ("", "row-key")]),
        ("T13", {"kind": 5}, [("kind", "row-range")]),
        ("T5", {"name": "another"}, [("", "row-key")]),
    ],
)  # fmt: skip
def test_each_fault_names_its_field(name: str, changes: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    """All faults of one row at once, each with its rule."""
    assert told(name, **changes) == faults


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_no_row_of_the_table_is_told(name: str) -> None:
    """Octets that are no row, another number of fields, a row that is too long."""
    key, named = RIGHT[name]
    row = values(TABLES[name], **named)
    wrong = (b"", b"\xc1", pack_row(row) + b"\0", pack_row([*row, None]), bytes(limits.UPSTREAM_ROW_BYTES_MAX + 1))
    rules = [[fault.rule for fault in check_row(TABLES[name], key, octets)] for octets in wrong]
    assert rules == [["row-form"], ["row-form"], ["row-form"], ["row-fields"], ["row-size"]]


def test_no_value_is_repeated_and_faults_are_bounded() -> None:
    """A row with thousands of faults tells UPSTREAM_FAULTS_TOLD, and that there are more."""
    secret = "E7654321-secret"
    key, named = RIGHT["T6"]
    row = pack_row(values(TABLES["T6"], **(named | dict.fromkeys(("legal_rep_id", "phone", "email", "uscc"), secret))))
    faults = check_row(TABLES["T6"], key, row)
    assert len(faults) == 3 and not any(secret in text for fault in faults for text in fault)
    key, named = RIGHT["T8"]
    row = pack_row(values(TABLES["T8"], **(named | {"sources": [["x", -1]] * 10_000})))
    faults = check_row(TABLES["T8"], key, row)
    assert len(faults) == limits.UPSTREAM_FAULTS_TOLD + 1 and faults[-1].rule == "row-faults"


def test_every_rule_is_told_in_both_languages() -> None:
    """Rules of rows begin with row-, so that none is one of a form."""
    assert all(name.startswith("row-") and zh and en for name, (zh, en) in RULES.items())


# --- any octets ---
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8) | st.binary(max_size=34)
    | st.floats() | st.sampled_from(["2026-11-22", "IPv4", "192.0.2.1", "Handle", "88.118.7", "88.118.7/A"]),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=12,
)  # fmt: skip
NAMES = st.sampled_from(sorted(TABLES))


@settings(max_examples=150, deadline=None)
@given(NAMES, st.binary(max_size=40), st.binary(max_size=200))
@example("T9", b"", msgpack.packb(msgpack.ExtType(5, b"x")))
@example("T9", b"", b"\x91" * 2_000)
def test_any_octets_are_checked(name: str, key: bytes, row: bytes) -> None:
    """Nothing but a list of faults comes of it."""
    assert check_row(TABLES[name], key, row)


@settings(max_examples=200, deadline=None)
@given(NAMES, st.data())
def test_any_values_are_checked(name: str, data: st.DataObject) -> None:
    """A right row with other values in some places: total, and never right with a value of another kind."""
    key, named = RIGHT[name]
    row = values(TABLES[name], **named)
    places = data.draw(st.lists(st.integers(0, len(row) - 1), max_size=4))
    for place in places:
        row[place] = data.draw(ANY)
    faults = check_row(TABLES[name], data.draw(st.sampled_from([key, b"", key + b"x"])), pack_row(row))
    assert all(fault.zh and fault.en for fault in faults)
    if any(type(row[place]) in (float, dict) for place in places):
        assert faults


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_quick_way_of_t9_says_what_the_common_way_says(data: st.DataObject) -> None:
    """They are two readings of one table of fields."""
    own, named = data.draw(st.sampled_from([(b"88.118.7/A", IDENTIFIER), (b"88.118.7/L1", LOT)]))
    row = values(TABLES["T9"], **named)
    for place in data.draw(st.lists(st.integers(0, len(row) - 1), max_size=3)):
        row[place] = data.draw(ANY | st.just("x" * (limits.METADATA_LENGTH_MAX + 1)))
    key = data.draw(st.sampled_from([own, own + b"x", b""]))
    assert is_right_identifier(key, row) == (not list(_faults(TABLES["T9"], key, row)))
