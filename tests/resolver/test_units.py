"""Units are answered as if they were stored: by the quick ways and the long one alike, in every state of the store."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import limits
from core.clock import Millis
from core.errors import Outcome, SealError
from core.ident.handle import HandleRules
from core.keyring import KeyRing
from core.lotcodes import LotCodes
from core.lotkeys import codes_of_lot
from core.records import HandleValue
from core.store.engine import Table
from core.store.lot_rows import unpack_lot
from core.store.memory_engine import MemoryEngine
from core.wire.jsonform import dump_values
from node.lot_keys import LotKeys
from registry.commands import (
    OPERATOR,
    CreateLot,
    Delete,
    Home,
    LiftHold,
    PlaceHold,
    Put,
    RecordEvents,
    Request,
    Result,
    Unhome,
)
from registry.service import Registry
from resolver.plain import PlainReads
from resolver.service import Answer, Question, Resolver
from resolver.units import Units

NOW = Millis(1_770_000_000_000)
LOT, PRODUCT = "88.1/L1", "88.1/SKU"
URL = HandleValue(1, "URL", b"https://example.cn")
NAME = HandleValue(2, "DESC", "盐".encode())
SECRET = HandleValue(3, "NOTE", b"inner", permissions=0b1100)
ADMIN = HandleValue(100, "ADMIN", b"x")
UNITS, PER_CASE, PER_PALLET = 100, 8, 4


class Site:
    """A store with one lot, the registrar that writes it, and the ways that read it."""

    def __init__(self, *, rules: HandleRules | None = None, master: bytes = bytes(32), **form: Any) -> None:
        self.rules = rules or HandleRules()
        self.store = MemoryEngine()
        self.keys = LotKeys(lambda: KeyRing(1, {1: master}), lambda: 0.0)
        self.registry = Registry(self.store, self.rules, lot_keys=self.keys, founding=True)
        units = Units(self.keys)
        self.resolver = Resolver(self.rules, units=units)
        self.reads = PlainReads(self.store, self.rules, units=units)
        self.run(Home("88.1"), Put(PRODUCT, (URL, NAME, SECRET, ADMIN)))
        self.create(**form)

    def create(self, lot: str = LOT, **form: Any) -> None:
        wanted = {"lot": lot, "product": PRODUCT, "count": UNITS, "units_per_case": PER_CASE,
                  "cases_per_pallet": PER_PALLET} | form  # fmt: skip
        self.run(CreateLot(json.dumps({name: value for name, value in wanted.items() if value is not None}).encode()))
        with self.store.snapshot() as snapshot:
            row = snapshot.get(Table.LOTS, lot.upper().encode())
        assert row is not None
        found = unpack_lot(row)
        self.codes = LotCodes(lot.upper(), found.packaging, codes_of_lot(self.keys, lot.upper().encode(), found))
        self.names = [code.identifier for code in self.codes.over(range(found.packaging.total))]

    def run(self, *commands: Any) -> list[Result]:
        results = self.registry.run([Request(command, OPERATOR) for command in commands], NOW)
        assert all(result.done for result in results), results
        return results

    def happens(self, event: str, first: int, count: int = 1, at: str = "08:00", **more: Any) -> None:
        item = {"event": event, "from": first, "count": count, "time": f"2026-02-01T{at}:00+08:00"} | more
        (result,) = self.run(RecordEvents(LOT, json.dumps([item]).encode(), False))
        assert json.loads(result.body)["counts"] == {"ok": 1}, result.body

    def ask(self, handle: str, **question: Any) -> Answer:
        """The long way, and the quick ones, which must say the same or leave it alone."""
        with self.store.snapshot() as snapshot:
            answer = self.resolver.resolve(snapshot, Question(handle, **question))
            whole = self.resolver.resolve(snapshot, Question(handle, want="values"))
            wire = self.resolver.resolve(snapshot, Question(handle, want="wire"))
            json_answer = self.resolver.resolve(snapshot, Question(handle))
        assert self.reads.begin()
        for _ in range(2):  # the second time a quick entry may have been made
            rows = [self.reads.row(table, handle.encode()) for table in (Table.RECORDS, Table.ANSWERS)]
            if whole.outcome is Outcome.OK:
                assert whole.values is not None
                assert rows[1] is not None
                assert rows[1][2:] == dump_values(whole.values) == json_answer.json
                assert rows[0] is not None
                assert rows[0][1] or wire.values_wire() == rows[0][2:]  # flagged: not all of it is public
            elif whole.outcome in (Outcome.NOT_ISSUED, Outcome.GONE, Outcome.HELD, Outcome.HANDLE_NOT_FOUND):
                assert rows == [None, None]
        self.reads.end()
        return answer

    def values(self, handle: str) -> dict[str, str]:
        answer = self.ask(handle, want="values")
        assert answer.outcome is Outcome.OK, answer
        return {value.type: value.data.decode() for value in answer.values or ()}

    def outcome(self, handle: str) -> Outcome:
        return self.ask(handle, want="values").outcome


@pytest.fixture
def site() -> Iterator[Site]:
    yield Site(line="L4", produced="2026-01-30", valid_until="2029-01-29")


def test_a_unit_says_what_product_lot_and_rule_say(site: Site) -> None:
    """The product's public values, no others; then those of the lot."""
    assert site.values(site.names[17]) == {
        "URL": "https://example.cn", "DESC": "盐", "ADMIN": "x", "LOT": LOT, "PRODUCT": PRODUCT,
        "PRODUCED": "2026-01-30",
        "VALID_UNTIL": "2029-01-29", "LINE": "L4", "LEVEL": "unit", "STATE": "allocated",
        "PARENT": site.names[UNITS + 2],
    }  # fmt: skip


def test_cases_and_pallets_name_what_is_in_them(site: Site) -> None:
    case, pallet = site.values(site.names[UNITS + 2]), site.values(site.names[-1])
    assert (case["LEVEL"], pallet["LEVEL"]) == ("case", "pallet")
    assert case["CHILDREN"].split("\n") == site.names[16:24]
    assert case["PARENT"] == site.names[UNITS + 13]
    assert pallet["CHILDREN"].split("\n") == [site.names[UNITS + 12]]
    assert "PARENT" not in pallet


def test_the_lot_itself_is_answered(site: Site) -> None:
    """Without a state: that is each unit's own."""
    values = site.values(LOT)
    assert values["LEVEL"] == "lot"
    assert values["URL"] == "https://example.cn"
    assert "STATE" not in values


def test_every_code_of_the_lot_resolves_and_no_other(site: Site, seed: int) -> None:
    for name in site.names:
        assert site.values(name)["LOT"] == LOT
    chance = random.Random(seed)
    for _ in range(200):
        letters = "".join(chance.choices("23456789ABCDEFGHJKLMNPQRSTUVWXYZ", k=10))
        assert site.outcome(LOT + letters) is Outcome.NOT_ISSUED


@pytest.mark.parametrize("change", ["lower", "swapped", "short", "long", "look-alike", "full width"])
def test_codes_that_are_typed_wrongly(site: Site, change: str) -> None:
    """Lower case is the same identifier; all else was not issued, or is no unit code at all."""
    name = site.names[5]
    wrong = {
        "lower": name.lower(), "swapped": name[:-2] + name[-1] + name[-2], "short": name[:-1], "long": name + "2",
        "look-alike": name[:-1] + "O", "full width": name[:-1] + "２",
    }[change]  # fmt: skip
    outcome = site.outcome(wrong)
    if change == "lower":
        assert outcome is Outcome.OK
    elif wrong != name:
        assert outcome in (Outcome.NOT_ISSUED, Outcome.HANDLE_NOT_FOUND)


def test_the_word_for_it_is_all_that_is_told(site: Site) -> None:
    """Whatever is wrong with a code, it is said in the same way."""
    beyond = site.codes._codes.serial(len(site.names)).decode()  # a genuine tag, of an index that was not issued
    answers = {site.ask(LOT + letters)._replace(handle="") for letters in (beyond, "2222222222", "OOOOOOOOOO")}
    assert answers == {Answer(Outcome.NOT_ISSUED, "", "not-issued")}


def test_what_was_scrapped_returned_or_destroyed_is_gone(site: Site) -> None:
    site.happens("commissioned", 0, 10)
    site.happens("scrapped", 3, at="09:00")
    site.happens("returned", 20, 5)
    site.happens("destroyed", 4, at="09:00")
    assert [index for index in range(UNITS) if site.outcome(site.names[index]) is Outcome.GONE] == [
        3,
        4,
        *range(20, 25),
    ]
    assert site.values(site.names[2])["STATE"] == "commissioned"
    assert site.values(site.names[11])["STATE"] == "allocated"
    case = site.values(site.names[UNITS])
    assert case["CHILDREN"].split("\n") == [site.names[index] for index in (0, 1, 2, 5, 6, 7)]


def test_what_was_re_packed_is_where_it_was_put(site: Site) -> None:
    """Both ways; taken out, it is in none; put back, it is as by rule."""
    other = site.names[UNITS + 5]
    site.happens("packed", 2, 3, parent=other)
    assert site.values(site.names[3])["PARENT"] == other
    assert site.values(other)["CHILDREN"].split("\n") == [*site.names[2:5], *site.names[40:48]]
    assert site.values(site.names[UNITS])["CHILDREN"].split("\n") == [site.names[i] for i in (0, 1, 5, 6, 7)]
    site.happens("packed", 3, parent="", at="09:00")
    assert "PARENT" not in site.values(site.names[3])
    site.happens("packed", 2, 3, parent=site.names[UNITS], at="10:00")
    assert site.values(site.names[UNITS])["CHILDREN"].split("\n") == site.names[:8]
    assert site.values(other)["CHILDREN"].split("\n") == site.names[40:48]


def test_an_exact_record_wins(site: Site) -> None:
    """Also behind the back of the quick way, and until it is taken away again."""
    name = site.names[7]
    assert "PARENT" in site.values(name)
    site.run(Put(name, (HandleValue(1, "OWN", b"value"),)))
    assert site.values(name) == {"OWN": "value"}
    assert "PARENT" in site.values(site.names[8])
    site.run(Delete(name))
    assert "PARENT" in site.values(name)


def test_the_product_is_looked_at_in_each_state(site: Site) -> None:
    """Nothing of it is copied: what it says now is what its units say."""
    assert site.values(site.names[0])["DESC"] == "盐"
    site.run(Put(PRODUCT, (URL, NAME._replace(data=b"other")), overwrite=True))
    assert site.values(site.names[0])["DESC"] == "other"
    site.run(Delete(PRODUCT))
    assert "DESC" not in site.values(site.names[0])
    assert site.values(site.names[0])["PRODUCT"] == PRODUCT


def test_values_of_the_lot_stand_before_those_of_the_product() -> None:
    shared = [{"index": 2, "type": "DESC", "data": "of the lot"}, {"index": 7, "type": "IODINE", "data": "25.8"},
              {"index": 8, "type": "INNER", "data": "x", "permissions": "1100"}]  # fmt: skip
    site = Site(values=shared)
    values = site.values(site.names[0])
    assert (values["DESC"], values["IODINE"], values["URL"]) == ("of the lot", "25.8", "https://example.cn")
    assert "INNER" not in values
    private = site.ask(site.names[0], public_only=False)
    assert private.outcome is Outcome.AUTHENTICATION_NEEDED


def test_selections_are_those_of_a_record(site: Site) -> None:
    """By index and by type."""
    found = site.ask(site.names[0], types=("STATE",), indexes=frozenset((1,))).values or ()
    assert [value.type for value in found] == ["URL", "STATE"]
    assert site.ask(site.names[0], types=("NONE",)).outcome is Outcome.NO_VALUES


def test_lots_without_cases_have_units_without_parents() -> None:
    site = Site(units_per_case=None, cases_per_pallet=None)
    assert len(site.names) == UNITS
    assert "PARENT" not in site.values(site.names[0])
    site.happens("commissioned", 0, 10)
    assert site.values(site.names[9])["STATE"] == "commissioned"


@pytest.mark.parametrize("target", [LOT, PRODUCT, "88.1"])
def test_a_hold_on_lot_product_or_prefix_holds_the_units(site: Site, target: str) -> None:
    """As soon as it is placed, until it is lifted; of another lot of another product none."""
    site.run(Put("88.1/OTHER", (URL,)))
    names = site.names
    site.create("88.1/L2", product="88.1/OTHER")
    assert site.outcome(names[0]) is Outcome.OK
    site.run(PlaceHold(target, "n1", "why"))
    held = [site.outcome(name) for name in (names[0], names[UNITS], names[-1], LOT, LOT + "2222222222")]
    assert held == [Outcome.HELD] * 5
    assert site.outcome(site.names[0]) is (Outcome.HELD if target == "88.1" else Outcome.OK)
    site.run(LiftHold(target, "n1"))
    assert site.outcome(names[0]) is Outcome.OK


def test_a_hold_on_one_unit_holds_no_other(site: Site) -> None:
    site.run(PlaceHold(site.names[5], "n1", "why"))
    assert [site.outcome(site.names[index]) for index in (4, 5, 6)] == [Outcome.OK, Outcome.HELD, Outcome.OK]


def test_units_below_a_prefix_that_left_are_not_answered(site: Site) -> None:
    site.run(Unhome("88.1"))
    assert site.outcome(site.names[0]) is Outcome.NOT_RESPONSIBLE
    site.run(Home("88.1"))
    assert site.outcome(site.names[0]) is Outcome.OK


def test_without_its_master_key_a_lot_is_an_error_and_no_lie(site: Site) -> None:
    """Neither "not issued" nor an exception that nobody knows: the operator has to give the key back."""
    reads = PlainReads(site.store, site.rules)
    resolver = Resolver(site.rules)
    with site.store.snapshot() as snapshot, pytest.raises(SealError):
        resolver.resolve(snapshot, Question(site.names[0]))
    assert reads.begin()
    with pytest.raises(SealError):
        reads.row(Table.ANSWERS, site.names[0].encode())
    reads.end()


def test_keys_of_other_nodes_make_other_codes(site: Site) -> None:
    other = Site(master=b"\1" * 32)
    assert not set(site.names) & set(other.names)
    assert {other.outcome(name) for name in site.names} == {Outcome.NOT_ISSUED}


def test_where_case_matters_a_code_in_small_letters_is_another() -> None:
    site = Site(rules=HandleRules(case_sensitive=True))
    name = next(name for name in site.names if name.lower() != name.upper())
    assert site.outcome(name) is Outcome.OK
    prefix, _, suffix = name.partition("/")
    assert site.outcome(f"{prefix}/{suffix.lower()}") in (Outcome.NOT_ISSUED, Outcome.HANDLE_NOT_FOUND)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["encoded", "commissioned", "scrapped", "sampled", "packed", "record", "product", "hold"]),
        st.integers(0, UNITS - 1), st.integers(1, 40), st.integers(0, 12),
    ),
    max_size=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_all_ways_agree_in_every_state(events: list[tuple[str, int, int, int]]) -> None:
    """``ask`` compares the ways; here whatever happens to units, records and product in between."""
    site = Site()
    for minute, (event, first, count, case) in enumerate(events):
        if event == "record":
            put = Put(site.names[first], (HandleValue(1, "OWN", b"value"),), overwrite=True)
            (result,) = site.registry.run([Request(put, OPERATOR)], NOW)
            assert result.done or result.outcome is Outcome.HELD
        elif event == "product":
            site.run(Put(PRODUCT, (URL, NAME._replace(data=str(minute).encode())), overwrite=True))
        elif event == "hold":
            site.run(PlaceHold(site.names[first], "n", "why"))
        else:
            parent = {"parent": site.names[UNITS + case]} if event == "packed" else {}
            item = {"event": event, "from": first, "count": min(count, UNITS - first),
                    "time": f"2026-02-01T08:{minute:02}:00+08:00"} | parent  # fmt: skip
            site.run(RecordEvents(LOT, json.dumps([item]).encode(), False))
        for index in (*range(0, UNITS, 9), first, UNITS, UNITS + case, len(site.names) - 1):
            site.outcome(site.names[index])


def test_what_is_kept_is_bounded_by_its_octets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product that changes again and again leaves nothing behind; answers stay right when all is forgotten."""
    monkeypatch.setattr("core.limits.LOTS_KEPT_BYTES", 400_000)
    site = Site()
    units = site.reads._units
    for number in range(20):
        large = NAME._replace(data=bytes([65 + number]) * 60_000)
        site.run(Put(PRODUCT, (URL, large), overwrite=True))
        assert site.values(site.names[number])["DESC"] == large.data.decode()
        kept = sum(len(head) for product in units._products.values() for head in product.heads)
        assert kept <= 400_000


def test_a_very_large_product_is_named_and_not_repeated() -> None:
    """So that any answer fits into one message of the Handle protocol, with a thousand children too."""
    site = Site()
    site.run(Put(PRODUCT, (URL, NAME._replace(data=b"x" * limits.LOT_PRODUCT_BYTES_MAX)), overwrite=True))
    values = site.values(site.names[UNITS])
    assert values["PRODUCT"] == PRODUCT
    assert "DESC" not in values
