"""Lots: what may be registered, what it costs, and whose units are whose."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import limits
from core.errors import Outcome
from core.ident.unitcode import INDEXES_MAX
from core.lots import Packaging
from core.records import HandleValue
from core.store.engine import Table
from registry.commands import Actor, CreateLot, LiftHold, PlaceHold, Put, Result, TakeBlock, Token
from tests.kit.governance import ANNA, OWN, Office
from tests.kit.lot_desk import LOT, PRODUCT, LotDesk, lot_form

URL = (HandleValue(1, "URL", b"https://a.example"),)
VALUES = [
    {"index": 1, "type": "URL", "data": "https://salt.example.cn/sku01"},
    {"index": 2, "type": "DESC", "data": "低钠盐 400 g"},
    {"index": 3, "type": "EMAIL", "data": "service@example.cn"},
]


@pytest.fixture
def office() -> Office:
    """Return a registrar that knows the product."""
    office = Office()
    office.do(Put(PRODUCT, URL))
    return office


def refused(office: Office, form: bytes) -> list[tuple[str, str]]:
    """Return path and rule of all faults of a form, which leaves nothing behind."""
    before = office.dump(Table.JOURNAL, Table.META)
    result = office.ask(CreateLot(form))
    assert office.dump(Table.JOURNAL, Table.META) == before
    assert result.outcome is Outcome.INVALID_VALUE
    return [(fault["path"], fault["rule"]) for fault in json.loads(result.body)["faults"]]


# --- registering ------------------------------------------------------------


def test_a_lot_is_one_row_of_what_it_was_told(office: Office) -> None:
    told = office.do(
        CreateLot(
            lot_form(
                count=1_000, units_per_case=30, cases_per_pallet=10, line=" L 4 ", produced="2026-04-06",
                valid_until="2029-04-05", values=VALUES,
            )
        )
    )  # fmt: skip
    assert told.pop("stored_bytes") > 0
    assert told == {
        "lot": LOT, "product": PRODUCT, "count": 1_000, "units_per_case": 30, "cases_per_pallet": 10, "cases": 34,
        "pallets": 4, "line": "L 4", "produced": "2026-04-06", "valid_until": "2029-04-05", "scheme": 1, "key_id": 1,
        "created": "2023-11-14T22:13:22Z", "warnings": [],
    }  # fmt: skip
    assert list(office.rows(Table.LOTS)) == [LOT]
    assert office.feed()[-1][1] == LOT


def test_all_faults_are_told_at_once(office: Office) -> None:
    """Of the types of its members first, then of what they say."""
    faults = refused(office, lot_form(lot=5, product=None, count="1", units_per_case=-1, x=1, produced=2026))
    assert {path for path, _ in faults} == {"lot", "product", "count", "units_per_case", "x", "produced"}
    faults = refused(
        office,
        lot_form(
            lot=f"{OWN}/l_1", product="88.118", count=INDEXES_MAX, units_per_case=50, produced="2026-02-30",
            valid_until="2026-13-01", values=[{"index": 901, "type": "URL", "data": "x"}],
        ),
    )  # fmt: skip
    assert faults == [
        ("lot", "lot-form"), ("product", "lot-product"), ("count", "lot-space"), ("produced", "lot-date"),
        ("valid_until", "lot-date"), ("values[0]", "lot-value-index"),
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, -1, INDEXES_MAX + 1, 2**63, 2**64, 10**40, 1.5, "７", "7", True, None])
def test_a_count_is_a_number_of_units(office: Office, count: object) -> None:
    assert [path for path, _ in refused(office, lot_form(count=count))] == ["count"]


@pytest.mark.parametrize(
    ("units", "per_case", "per_pallet", "fits"),
    [
        (INDEXES_MAX, 0, 0, True), (INDEXES_MAX - 1, 1_000, 0, False), (1_000_000, 50, 40, True),
        (INDEXES_MAX // 2, 1, 0, True), (INDEXES_MAX // 2 + 1, 1, 0, False), (INDEXES_MAX // 3, 1, 1, True),
        (INDEXES_MAX // 3 + 1, 1, 1, False),
    ],
)  # fmt: skip
def test_units_cases_and_pallets_share_the_space(
    office: Office, units: int, per_case: int, per_pallet: int, fits: bool
) -> None:
    form = {"count": units, "units_per_case": per_case, "cases_per_pallet": per_pallet}
    form = {name: number for name, number in form.items() if number}
    if fits:
        told = office.do(CreateLot(lot_form(**form)))
        assert told["count"] + told["cases"] + told["pallets"] <= INDEXES_MAX
    else:
        assert refused(office, lot_form(**form)) == [("count", "lot-space")]


@pytest.mark.parametrize(
    "lot",
    [
        OWN, f"{OWN}/", "/L1", "L1", f"{OWN}/L_1", f"{OWN}/ABCDEFGHIJK", f"{OWN}/L1/2", f"{OWN}/Ｌ１", f"{OWN}/L１",
        f"{OWN}/L 1", f"{OWN}/L1\n", f"{OWN}/批次1", "88..118/L1", f"{'8.' * 60}/L1",
    ],
)  # fmt: skip
def test_a_lot_code_has_ten_plain_characters(office: Office, lot: str) -> None:
    assert refused(office, lot_form(lot=lot))[0][0] == "lot"
    assert office.ask(TakeBlock(lot, "L4", 1)).rule == "lot-form"


def test_a_lot_code_is_folded(office: Office) -> None:
    """One lot, however it is written."""
    office.do(CreateLot(lot_form(lot=f"{OWN}/l1")))
    assert office.ask(CreateLot(lot_form())).rule == "lot-known"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("produced", "2026-02-30"), ("produced", "2026/02/03"), ("valid_until", "２０２６-02-03"),
        ("valid_until", "20260203.0"), ("produced", "0000-01-01"),
    ],
)  # fmt: skip
def test_a_date_is_a_day(office: Office, name: str, text: str) -> None:
    assert refused(office, lot_form(**{name: text})) == [(name, "lot-date")]


def test_what_fits_not_together(office: Office) -> None:
    assert refused(office, lot_form(produced="2026-04-06", valid_until="2026-04-05")) == [("valid_until", "lot-dates")]
    assert refused(office, lot_form(cases_per_pallet=5)) == [("cases_per_pallet", "lot-packaging")]
    assert refused(office, lot_form(units_per_case=1_001))[0][0] == "units_per_case"


@pytest.mark.parametrize(
    ("values", "faults"),
    [
        (
            [{"index": 1, "type": "HS_ADMIN", "data": {"format": "string", "value": "x"}}],
            [("values[0]", "lot-value-type")],
        ),
        ([{"index": 1, "type": "hs_alias", "data": "10.1/x"}], [("values[0]", "lot-value-type")]),
        ([{"index": 900, "type": "URL", "data": "x"}], [("values[0]", "lot-value-index")]),
        (
            [{"index": 1, "type": "URL", "data": "x"}, {"index": 999, "type": "HS_SITE", "data": "x"}],
            [("values[1]", "lot-value-index"), ("values[1]", "lot-value-type")],
        ),
        (
            [{"index": 1, "type": "URL", "data": "x"}, {"index": 1, "type": "DESC", "data": "y"}],
            [("values", "lot-values")],
        ),
        ([{"index": 0, "type": "URL", "data": "x"}], [("values", "lot-values")]),
        (
            [{"index": 1, "type": "DESC", "data": "x" * limits.LOT_VALUES_BYTES_MAX}],
            [("values", "lot-value-size")],
        ),
        ([{"index": 1}], [("values", "lot-values")]),
        ({"index": 1}, [("values", "lot-values")]),
        ("x", [("values", "lot-values")]),
        (5, [("values", "lot-values")]),
    ],
)  # fmt: skip
def test_values_are_shared_and_no_rights(office: Office, values: object, faults: list[tuple[str, str]]) -> None:
    """All that is wrong with them, each where it stands."""
    assert refused(office, lot_form(values=values)) == faults


@pytest.mark.parametrize("product", ["88.118/L1", "88.118/l2", "88.118/L12222222222", "88.118/L2"])
def test_no_lot_and_no_unit_is_a_product(office: Office, product: str) -> None:
    """A lot is never changed afterwards."""
    office.do(CreateLot(lot_form()))
    result = office.ask(CreateLot(lot_form(lot=f"{OWN}/L2", product=product)))
    assert (result.outcome, result.rule) == (Outcome.INVALID_VALUE, "lot-product-kind")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"\xff", b'{"lot":', b'"x"', b"null", b"[" * 100_000])
def test_what_is_no_object_is_no_form(office: Office, body: bytes) -> None:
    """Half of a form, too."""
    before = office.dump(Table.JOURNAL, Table.META)
    result = office.ask(CreateLot(body))
    assert result.outcome in (Outcome.MALFORMED, Outcome.INVALID_VALUE)
    assert result.rule
    assert office.dump(Table.JOURNAL, Table.META) == before


def test_a_name_is_taken_once(office: Office) -> None:
    """By a lot or by a record; whichever is first."""
    office.do(CreateLot(lot_form()))
    assert office.ask(CreateLot(lot_form(count=5))).rule == "lot-known"
    office.do(Put(f"{OWN}/L2", URL))
    assert office.ask(CreateLot(lot_form(lot=f"{OWN}/L2"))).rule == "lot-record"
    assert office.ask(CreateLot(lot_form(lot="10.1/L1"))).outcome is Outcome.NOT_RESPONSIBLE
    assert office.ask(CreateLot(lot_form(lot="0.NA/L1"))).outcome is not Outcome.CREATED


def test_the_product_may_come_later(office: Office) -> None:
    """It is a warning; so is one that is served elsewhere."""
    for product in (f"{OWN}/SKU02", "10.1/x"):
        told = office.do(CreateLot(lot_form(lot=f"{OWN}/L{len(product)}", product=product)))
        assert [(each["path"], each["rule"]) for each in told["warnings"]] == [("product", "lot-product-absent")]
    assert office.do(CreateLot(lot_form(lot=f"{OWN}/L9")))["warnings"] == []


@pytest.mark.parametrize("target", [PRODUCT, LOT, OWN])
def test_nothing_new_of_what_is_on_hold(office: Office, target: str) -> None:
    """Of a product, a name or a prefix."""
    office.do(PlaceHold(target, "1", "because"))
    result = office.ask(CreateLot(lot_form()))
    assert result.outcome in (Outcome.CONFLICT, Outcome.HELD)
    assert office.rows(Table.LOTS) == {}


def test_without_a_key_there_is_no_lot() -> None:
    office = Office(lot_keys=None)
    result = office.ask(CreateLot(lot_form()))
    assert (result.outcome, result.rule) == (Outcome.INTERNAL, "lot-key")


def test_an_enterprise_registers_its_own_lots_of_its_own_products(office: Office) -> None:
    first = office.allocated("88.118.7")
    own, _ = office.bearer("enterprise", party=first)
    other, _ = office.bearer("enterprise", "other", party=office.verified(1))

    def made(lot: str, product: str, actor: Actor) -> Result:
        return office.ask(CreateLot(lot_form(lot=lot, product=product)), actor)

    assert made("88.118.7/L1", "88.118.7/SKU", own).outcome is Outcome.CREATED
    assert made("88.118.7/L2", "88.118.7/SKU", other).rule == "lot-own-prefix"
    assert made(LOT, "88.118.7/SKU", own).rule == "lot-own-prefix"
    assert made("88.118.7/L2", PRODUCT, own).rule == "lot-own-product"
    assert made("88.118.7/L2", "10.1/X", own).rule == "lot-own-product"
    assert office.ask(TakeBlock("88.118.7/L1", "L4", 1), other).rule == "lot-own-prefix"
    assert office.ask(TakeBlock("88.118.7/L9", "L4", 1), other).rule == "lot-own-prefix"
    assert office.ask(TakeBlock("88.118.7/L1", "L4", 1), own).outcome is Outcome.CREATED


# --- what it costs ----------------------------------------------------------


def octets(office: Office) -> dict[tuple[str, bytes], bytes]:
    return {(table, key): row for table, rows in office.dump().items() for key, row in rows.items()}


@pytest.mark.parametrize("token", [None, Token("one", bytes(32))])
@pytest.mark.parametrize("count", [1, 60, 1_000_000])
@pytest.mark.parametrize("values", [[], VALUES])
def test_what_a_lot_takes_is_what_it_says(
    office: Office, count: int, values: list[object], token: Token | None
) -> None:
    """Every row of every table that is new or other, key and row, and the change: less than 1 KiB for a million."""
    before = octets(office)
    form = lot_form(count=count, units_per_case=min(50, count), line="L4", produced="2026-04-06", values=values)
    told = json.loads(office.run(CreateLot(form), token=token)[0].body)
    written = {place: row for place, row in octets(office).items() if before.get(place) != row}
    changes = sum(8 + len(row) for (table, _), row in written.items() if table == "changes")
    rows = sum(len(key) + len(row) for (table, key), row in written.items() if table != "changes")
    assert told["stored_bytes"] == rows + changes + len(b"serial") + 8
    assert token is not None or told["stored_bytes"] < 1_024


def test_a_lot_is_registered_once_for_one_token(office: Office) -> None:
    """The second answer is the first, octet for octet; another form with the same token is a conflict."""
    token = Token("one", bytes(32))
    (first,) = office.run(CreateLot(lot_form()), token=token)
    before = office.dump()
    again = [office.run(CreateLot(lot_form()), token=token)[0] for _ in range(2)]
    assert again == [first, first]
    assert office.dump() == before
    (other,) = office.run(CreateLot(lot_form(count=5)), token=token._replace(digest=b"x" * 32))
    assert other.outcome is Outcome.CONFLICT


def test_a_dry_run_writes_nothing(office: Office) -> None:
    before = office.dump()
    (result,) = office.run(CreateLot(lot_form()), dry_run=True)
    assert result.outcome is Outcome.CREATED
    assert "stored_bytes" not in json.loads(result.body)
    assert office.dump() == before


def test_two_lots_of_one_group(office: Office) -> None:
    """Each says its own, though their rows are committed together; one that is refused says nothing."""
    before = octets(office)
    forms = [lot_form(), lot_form(lot=f"{OWN}/L2"), lot_form()]
    results = office.run(*map(CreateLot, forms))
    assert [result.outcome for result in results] == [Outcome.CREATED, Outcome.CREATED, Outcome.CONFLICT]
    told = [json.loads(result.body)["stored_bytes"] for result in results[:2]]
    lots = {table for (table, _), _ in octets(office).items() - before.items()}
    assert lots == {"lots", "journal", "log_queue", "meta", "changes"}
    assert 0 < told[1] <= told[0]


# --- blocks -----------------------------------------------------------------

UNITS = 30
ASKS = st.lists(
    st.tuples(
        st.sampled_from(["L1", "L2", "L3"]), st.integers(0, 12), st.one_of(st.just(-1), st.integers(0, UNITS)),
        st.sampled_from(["", "", "a", "b", "c"]),
    ),
    max_size=14,
)  # fmt: skip


class Shelf:
    """The obvious model: who has each unit."""

    def __init__(self) -> None:
        self.blocks: list[tuple[str, int, int, str]] = []  # line, start, size, token

    def take(self, line: str, size: int, start: int, token: str) -> Any:
        if not size:
            return "block-size"
        if start >= 0 and start + size > UNITS:
            return "block-range"
        for block in self.blocks:
            if token and block[3] == token:
                fits = block[0] == line and start in (-1, block[1]) and block[2] <= size
                return block if fits else "block-token"
        for block in self.blocks:
            if block[:3] == (line, start, size):
                return block
        taken = {unit for _, low, count, _ in self.blocks for unit in range(low, low + count)}
        if start >= 0:
            if taken & set(range(start, start + size)):
                return "block-taken"
        else:
            free = [unit for unit in range(UNITS) if unit not in taken]
            if not free:
                return "block-none"
            start, wanted, size = free[0], size, 0
            while size < wanted and start + size in free:
                size += 1
        self.blocks.append((line, start, size, token))
        return self.blocks[-1]


@settings(max_examples=150)
@given(ASKS)
def test_no_unit_is_in_two_blocks(asks: list[tuple[str, int, int, str]]) -> None:
    """Whoever asks for what: as a model that keeps every unit says; and the same question gets the same answer."""
    desk, shelf = LotDesk(Packaging(UNITS)), Shelf()
    for line, size, start, token in asks:
        wanted = shelf.take(line, size, start, token)
        found = desk.take(line, size, start, token)
        if isinstance(wanted, tuple):
            found = (found["line"], found["from"], found["count"], found["token"] or "")
        assert found == wanted
    units = [unit for _, low, size, _ in shelf.blocks for unit in range(low, low + size)]
    assert len(units) == len(set(units))
    for line, start, size, token in shelf.blocks:
        if token:
            again = desk.take(line, size, -1, token)
            assert (again["from"], again["count"]) == (start, size)


def test_a_refused_block_names_the_line() -> None:
    desk = LotDesk(Packaging(UNITS))
    desk.take("L4", 10)
    result = desk.office.ask(TakeBlock(LOT, "L5", 5, 9))
    assert (result.outcome, result.rule) == (Outcome.CONFLICT, "block-taken")
    assert "L4" in result.message


def test_short_supply_gives_what_is_left() -> None:
    """At least one unit, and then none; a line that asks again gets what it got."""
    desk = LotDesk(Packaging(UNITS))
    assert desk.take("L4", 25)["count"] == 25
    assert (desk.take("L5", 25, token="x")["from"], desk.take("L5", 25, token="x")["count"]) == (25, 5)
    assert desk.take("L6", 1) == "block-none"
    assert desk.take("L5", 25, token="x")["count"] == 5


@pytest.mark.parametrize("line", ["", " ", "x" * 33, "a\x07b", "a\u202eb", "\ud800"])
def test_a_line_has_a_name(line: str) -> None:
    desk = LotDesk(Packaging(UNITS))
    assert desk.take(line, 5) == "block-line"
    for token in ("x" * 65, "a\x07b", "a\u202eb", "\ud800"):
        assert desk.take("L4", 5, token=token) == "block-line"


def test_there_are_so_many_blocks() -> None:
    desk = LotDesk(Packaging(UNITS))
    with mock.patch.object(limits, "LOT_BLOCKS_MAX", 3):
        for _ in range(3):
            desk.take("L4", 1)
        assert desk.take("L4", 1) == "block-count"
        assert desk.take("L4", 1, 2)["from"] == 2


def test_a_suspended_or_held_lot_gives_no_codes_out() -> None:
    """Nor takes events; once it is lifted, all is as before."""
    desk = LotDesk(Packaging(UNITS))
    desk.office.do(PlaceHold(LOT, "1", "because"))
    assert desk.office.ask(TakeBlock(LOT, "L4", 1), ANNA).outcome is Outcome.HELD


def test_a_refusal_that_passes_is_not_given_again(office: Office) -> None:
    """A line sends the same request with the same key until it is taken: after a hold, and once the lot is there."""
    take, token = TakeBlock(f"{OWN}/L1", "L4", 10, token="k"), Token("k", b"digest")
    assert office.run(take, token=token)[0].rule == "lot-not-found"
    office.do(CreateLot(lot_form()))
    office.do(PlaceHold(f"{OWN}/L1", "n", "why"))
    assert office.run(take, token=token)[0].outcome is Outcome.HELD
    office.do(LiftHold(f"{OWN}/L1", "n"))
    done = office.run(take, token=token)[0]
    assert done.outcome is Outcome.CREATED
    assert office.run(take, token=token)[0] == done
