"""Rows of T9: what a record or lot says, read quickly and exactly alike, and nothing that it does not say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import limits
from core.changes import ChangeKind
from core.errors import StoreError
from core.ident.unitcode import SERIAL_CHARS
from core.records import HandleValue, ValueReference, Values
from core.store.engine import Batch, Table
from core.store.memory_engine import MemoryEngine
from core.store.record_rows import pack_record, record_key
from registry.commands import CreateLot, Delete, Put
from sync.sources import identifiers
from sync.sources.identifiers import IdentifierSource, exact_record_row, record_row
from sync.table import Operation, unpack_row
from sync.tables import TABLES, check_row
from tests.kit.governance import OWN, RULES, Office
from tests.kit.sources import ranges_agree, rows_of

T9 = TABLES["T9"]
SOURCE = IdentifierSource(T9)
KEY = b"88.118.7/BAG"
TYPES = [name for names in identifiers.TYPES.values() for name in names]


def named(row: bytes | None) -> dict[str, Any]:
    """Return the fields of a row that are known."""
    assert row is not None
    values = zip((field.name for field in T9.fields), unpack_row(row), strict=True)
    return {name: value for name, value in values if value is not None}


def row_of(*values: HandleValue, key: bytes = KEY) -> dict[str, Any]:
    """Return the fields of the row of a record but its identifier; both ways of reading give them."""
    record = pack_record(key, values).record
    row = record_row(record_key(key), record)
    assert row == exact_record_row(record_key(key), record)
    found = named(row)
    assert found.pop("identifier") == key.decode()
    return found


def value(kind: str, data: str | bytes, at_s: int = 0, **changes: Any) -> HandleValue:
    return HandleValue(1, kind, data if isinstance(data, bytes) else data.encode(), timestamp=at_s, **changes)


def test_a_row_has_as_many_values_as_the_table_has_fields() -> None:
    """In its order: the first and the last of each group are where they are looked for."""
    names = [field.name for field in T9.fields]
    assert len(names) == identifiers._FIELDS
    assert names[:2] == ["identifier", "created"]
    assert names[identifiers._SERIAL] == "serial_or_imei"
    assert names[identifiers._LICENCE_SERIAL :] == ["mark_serial", "product", "serial_length", "count"]


def test_each_field_is_taken_from_its_type() -> None:
    """Whatever the case of its letters; of a field with two types the first that there is."""
    values = [value(kind.lower() if at % 2 else kind, f"{kind} 盐") for at, kind in enumerate(TYPES)]
    values[0] = value("METADATA_TEMPLATE", "Salt@1.0")
    assert row_of(*reversed(values)) == {
        "template_code": "Salt", "product_category": "CATEGORY 盐", "brand": "BRAND 盐", "product_name": "NAME 盐",
        "manufacturer": "MANUFACTURER 盐", "produced": "PRODUCED 盐", "valid_until": "VALID_UNTIL 盐",
        "terminal_type": "TERMINAL_TYPE 盐", "terminal_owner": "OWNER 盐", "purpose": "PURPOSE 盐",
        "serial_or_imei": "SERIAL 盐", "access_licence": "LICENCE_NUMBER 盐", "mark_code": "LICENCE_CODE 盐",
        "mark_serial": "LICENCE_SERIAL 盐",
    }  # fmt: skip


def test_what_stands_in_for_another_type() -> None:
    """A description names the product where nothing else does, and an IMEI is a serial."""
    described = row_of(value("DESC", "海盐"), value("IMEI", "867"))
    assert described == {"product_name": "海盐", "serial_or_imei": "867"}
    assert row_of(value("DESC", "海盐"), value("PRODUCT_NAME", "加碘盐"))["product_name"] == "加碘盐"


@pytest.mark.parametrize(
    "wrong",
    [
        value("BRAND", "secret", permissions=0b1100), value("BRAND", b"\xff"), value("BRAND", ""),
        value("BRAND", "x" * 501), value("BRAND", "盐" * 501), value("BRAND", "x" * 100_000),
        value("METADATA_TEMPLATE", "no template"), value("METADATA_TEMPLATE", b"\xff"), value("HS_ADMIN", "BRAND"),
        value("BRAND2", "x"), value("BRÄND", "x"),
    ],
)  # fmt: skip
def test_what_a_field_does_not_take_is_left_out(wrong: HandleValue) -> None:
    """Never a part of it; another value of the type is taken."""
    assert row_of(wrong) == {}
    assert row_of(wrong, value("BRAND", "井盐"), value("METADATA_TEMPLATE", "SALT@1")) == {
        "brand": "井盐", "template_code": "SALT",
    }  # fmt: skip


def test_the_longest_text_is_taken() -> None:
    """Characters are counted, and not octets."""
    assert row_of(value("BRAND", "𠮷" * 500))["brand"] == "𠮷" * 500


def test_the_day_is_that_of_the_oldest_value_in_shanghai() -> None:
    """Its values may be secret; one without a time does not count."""
    midnight = 1_763_740_800  # 2025-11-22T00:00:00+08:00
    found = row_of(value("URL", "a", midnight), value("URL", "b"), value("X", "c", midnight - 1, permissions=0))
    assert found == {"created": "2025-11-21"}
    assert row_of(value("URL", "a", midnight)) == {"created": "2025-11-22"}
    assert row_of(value("URL", "a", 2**32 - 1)) == {"created": "2106-02-07"}
    assert row_of() == {}


def test_a_handle_that_is_longer_than_a_key() -> None:
    """The row has all of it."""
    key = b"88.118.7/" + "盐".encode() * 300
    found = row_of(value("BRAND", "x"), key=key)
    assert found == {"brand": "x"}
    touch = SOURCE.touched(ChangeKind.RECORD_CREATED, key)
    assert touch == (record_key(key), Operation.ADD)


TEXTS = st.text(max_size=8) | st.just("盐" * 500) | st.just("x" * 501)
VALUES = st.lists(
    st.builds(
        HandleValue,
        value_index=st.integers(1, 2**31 - 1),
        type=st.sampled_from([*TYPES, "brand", "Imei", "HS_ADMIN", "ſerial", "SERİAL"])
        | st.text(min_size=1, max_size=6),
        data=st.binary(max_size=8) | TEXTS.map(str.encode) | st.sampled_from([b"SALT@1.0", b"salt", b"@", b"A@x"]),
        ttl=st.integers(0, 2**32 - 1),
        ttl_absolute=st.booleans(),
        permissions=st.integers(0, 255),
        timestamp=st.just(0) | st.integers(0, 2**32 - 1),
        references=st.just(()) | st.tuples(st.builds(ValueReference, st.text(max_size=3), st.integers(0, 9))),
    ),
    max_size=6,
).map(tuple)
KEYS = st.text(min_size=1, max_size=20).map(lambda text: b"88.118/" + text.encode()) | st.just(b"88.118/" + b"X" * 600)


@settings(max_examples=300, deadline=None)
@given(KEYS, VALUES)
def test_both_ways_of_reading_give_the_same_octets(key: bytes, values: Values) -> None:
    """And the top node takes every row, of a record that has a day."""
    record = pack_record(key, values).record
    row = record_row(record_key(key), record)
    assert row == exact_record_row(record_key(key), record)
    if any(each.timestamp for each in values):
        assert check_row(T9, record_key(key), row) == []


def test_a_broken_row_is_told_as_such() -> None:
    """Whichever octet is another, and wherever the row is cut: both ways agree on what can be read."""
    whole = pack_record(
        KEY, (value("BRAND", "盐", 1), value("Desc", "海盐", permissions=0b1100), value("X", "y"))
    ).record
    broken = {whole[:end] for end in range(len(whole))} | {whole + b"\0"}
    for at in range(len(whole)):
        broken |= {whole[:at] + bytes((octet,)) + whole[at + 1 :] for octet in (0, 1, 2, 3, 0x41, 0x80, 0xFF)}
    read = 0
    for record in broken:
        try:
            exact = exact_record_row(KEY, record)
        except (StoreError, UnicodeDecodeError):
            with pytest.raises((StoreError, UnicodeDecodeError)):
                record_row(KEY, record)
        else:
            assert record_row(KEY, record) == exact
            read += 1
    assert 0 < read < len(broken)


def test_a_lot_is_one_row() -> None:
    """With what its units share; a date of the lot comes before one of a value."""
    office = Office()
    form = {
        "lot": f"{OWN}/L1", "product": f"{OWN}/salt", "count": 1_000_000, "produced": "2023-11-01",
        "values": [{"index": 7, "type": "BRAND", "data": "盐牌"}, {"index": 8, "type": "PRODUCED", "data": "?"}],
    }  # fmt: skip
    office.do(CreateLot(json.dumps(form).encode()))
    with office.store.snapshot() as snapshot:
        row = SOURCE.row(snapshot, f"{OWN}/L1".encode())
    assert named(row) == {
        "identifier": f"{OWN}/L1", "created": "2023-11-15", "brand": "盐牌", "produced": "2023-11-01",
        "product": f"{OWN}/salt", "serial_length": SERIAL_CHARS, "count": 1_000_000,
    }  # fmt: skip
    assert check_row(T9, f"{OWN}/L1".encode(), row or b"") == []


def test_records_and_lots_come_in_the_order_of_their_keys() -> None:
    """Prefix handles are not among them, and a key of nothing has no row."""
    office = Office()
    for code in ("L2", "L5", "L9"):
        office.do(CreateLot(json.dumps({"lot": f"{OWN}/{code}", "product": f"{OWN}/S", "count": 2}).encode()))
    handles = [f"{OWN}/{name}" for name in ("A", "L1", "L3", "L4", "L7", "Z", "盐" * 200)]
    for handle in (*handles, f"0.NA/{OWN}.1"):
        assert office.ask(Put(handle, (value("DESC", "x"),))).done
    batch = Batch()
    for handle in ("0.AB/1", "0.NA0/1"):  # as an earlier store may have them
        batch.put(Table.RECORDS, handle.encode(), pack_record(handle.encode(), ()).record)
    office.store.commit(batch)
    with office.store.snapshot() as snapshot:
        assert set(rows_of(SOURCE, snapshot)) == {
            *(record_key(RULES.key(handle)) for handle in handles), b"0.AB/1", b"0.NA0/1",
            *(f"{OWN}/{code}".encode() for code in ("L2", "L5", "L9")),
        }  # fmt: skip
        bounds = [b"", b"0.NA", b"0.NA/", b"0.NA/88.118.1", b"0.NA0", b"88.118/L2", b"88.118/L4", b"88.118/L4\0", b"9"]
        ranges_agree(SOURCE, snapshot, bounds)
        for key in (b"", b"0.NA/88.118.1", b"nothing", b"x" * 1_000):
            assert SOURCE.row(snapshot, key) is None


def test_what_each_change_did() -> None:
    """An identifier that was made, changed and deleted has a history of three, and no row."""
    office = Office()
    handle = f"{OWN}/Bag"
    assert office.ask(Put(handle, (value("DESC", "x"),))).done
    assert office.ask(Put(handle, (value("DESC", "y"),), overwrite=True)).done
    assert office.ask(Delete(handle)).done
    told = [SOURCE.touched(kind, name.encode()) for kind, name in office.feed() if kind in SOURCE.kinds]
    key = f"{OWN}/BAG".encode()
    assert told == [(key, Operation.ADD), (key, Operation.MODIFY), (key, Operation.DELETE)]
    with office.store.snapshot() as snapshot:
        assert SOURCE.row(snapshot, key) is None
        assert SOURCE.latest(snapshot) == snapshot.serial()
        assert SOURCE.context(snapshot) == b""
    assert SOURCE.touched(ChangeKind.RECORD_CREATED, b"0.NA/88.118") is None


def test_an_empty_store_has_no_row() -> None:
    with MemoryEngine().snapshot() as snapshot:
        assert list(SOURCE.rows(snapshot, b"", None)) == []
    assert len(record_key(b"x" * limits.HANDLE_BYTES_MAX)) <= limits.UPSTREAM_KEY_BYTES_MAX
