"""What GS1 keys and aliases stand for: by rows, by rule, and never more than is registered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from core.admission import Identity
from core.clock import Millis
from core.errors import IdentifierError, Outcome
from core.events import Via
from core.ident.alias import parse_alias
from core.ident.digital_link import parse_path
from core.ident.handle import HandleRules
from core.keyring import KeyRing
from core.lotcodes import LotCodes
from core.lotkeys import codes_of_lot
from core.records import HandleValue
from core.store.engine import Table
from core.store.lot_rows import unpack_lot
from core.store.memory_engine import MemoryEngine
from node.lot_keys import LotKeys
from registry.alias_commands import AddAlias, RemoveAlias
from registry.commands import OPERATOR, CreateLot, Delete, Home, LiftHold, PlaceHold, Put, RecordEvents, Request
from registry.service import Registry
from resolver.gs1.quick import QuickRedirects
from resolver.names import Names
from resolver.plain import PlainReads
from resolver.service import Resolver
from resolver.units import Units

NOW = Millis(1_770_000_000_000)
GTIN, OTHER_GTIN, SSCC = "06905330100014", "06905330100021", "069012345000000011"
PRODUCT, OTHER, LOT = "88.1/SKU", "88.1/SKU2", "88.1/L1"
URL = HandleValue(1, "URL", b"https://example.cn")


class Site:
    """A store with two products, a lot of the first, and who finds names in it."""

    def __init__(self) -> None:
        self.store = MemoryEngine()
        keys = LotKeys(lambda: KeyRing(1, {1: bytes(32)}), lambda: 0.0)
        rules = HandleRules()
        self.registry = Registry(self.store, rules, lot_keys=keys, founding=True)
        units = Units(keys)
        self.names = Names(Resolver(rules, units=units))
        self.reads = PlainReads(self.store, rules, units=units)
        self.logged: list[tuple[Via, Outcome, bytes]] = []
        self.redirects = QuickRedirects(self.reads, self.names, self, lambda: None, public_url="https://id.example.cn")
        form = {"lot": LOT, "product": PRODUCT, "count": 100, "units_per_case": 10, "cases_per_pallet": 5}
        self.run(
            Home("88.1"), Put(PRODUCT, (URL,)), Put(OTHER, (URL,)), CreateLot(json.dumps(form).encode()),
            AddAlias(PRODUCT, f"gtin:{GTIN}"),
        )  # fmt: skip
        with self.store.snapshot() as snapshot:
            row = snapshot.get(Table.LOTS, LOT.encode())
        assert row is not None
        found = unpack_lot(row)
        codes = LotCodes(LOT, found.packaging, codes_of_lot(keys, LOT.encode(), found))
        self.units = [code.identifier for code in codes.over(range(found.packaging.total))]

    def run(self, *commands: Any) -> None:
        for command in commands:
            (result,) = self.registry.run([Request(command, OPERATOR)], NOW)
            assert result.done, result

    writable = True

    def resolved(self, via: Via, outcome: Outcome, peer: bytes, identifier: bytes) -> None:
        """See ResolutionLog."""
        self.logged.append((via, outcome, identifier))

    def record(self, via: Via, outcome: Outcome, peer: bytes, identifier: bytes, who: Identity | None) -> None:
        """See ResolutionLog."""

    def redirect(self, path: str) -> str:
        """Where the quick way leads, empty where it leaves it alone."""
        assert self.reads.begin()
        try:
            answer = self.redirects.redirect(path.encode(), b"")
        finally:
            self.reads.end()
        head = b"".join(answer or ()).decode()
        return head.partition("Location: ")[2].partition("\r\n")[0]

    def levels(self, path: str) -> list[tuple[str, str, Outcome]]:
        """Path, handle and outcome of each level that names something."""
        with self.store.snapshot() as snapshot:
            found = self.names.levels(snapshot, parse_path(path))
        return [(each.level.path, each.handle, each.answer.outcome) for each in found]

    def alias(self, text: str) -> tuple[str, Outcome] | None:
        with self.store.snapshot() as snapshot:
            answer = self.names.resolve(snapshot, parse_alias(text))
        return None if answer is None else (answer.handle, answer.outcome)


@pytest.fixture
def site() -> Iterator[Site]:
    yield Site()


def serial(unit: str) -> str:
    return unit.partition("/")[2]


def test_a_unit_is_found_by_rule_and_so_is_what_it_is_in(site: Site) -> None:
    """Without a row: serial and lot, each one level, then the product."""
    unit = site.units[7]
    whole = f"/01/{GTIN}/10/L1/21/{serial(unit)}"
    product, lot = (f"/01/{GTIN}", PRODUCT, Outcome.OK), (f"/01/{GTIN}/10/L1", LOT, Outcome.OK)
    assert site.levels(whole) == [(whole, unit, Outcome.OK), lot, product]
    alone = f"/01/{GTIN}/21/{serial(unit)}"
    assert site.levels(alone) == [(alone, unit, Outcome.OK), product]
    assert site.alias(f"gtin+serial:{GTIN}/{serial(unit)}") == (unit, Outcome.OK)
    assert site.alias(f"gtin+lot:{GTIN}/L1") == (LOT, Outcome.OK)


def test_case_counts_below_a_gtin(site: Site) -> None:
    """By Handle lower case is the same identifier; as AI 21 and AI 10 it is another one."""
    for path in (f"/01/{GTIN}/21/{serial(site.units[7]).lower()}", f"/01/{GTIN}/10/l1"):
        assert site.levels(path) == [(f"/01/{GTIN}", PRODUCT, Outcome.OK)]


def test_a_unit_of_another_lot_or_product_is_not_found(site: Site) -> None:
    """What stands beside the serial number must not be gainsaid by it."""
    site.run(AddAlias(OTHER, f"gtin:{OTHER_GTIN}"))
    unit = serial(site.units[7])
    assert site.levels(f"/01/{OTHER_GTIN}/21/{unit}") == [(f"/01/{OTHER_GTIN}", OTHER, Outcome.OK)]
    assert site.levels(f"/01/{OTHER_GTIN}/10/L1") == [(f"/01/{OTHER_GTIN}", OTHER, Outcome.OK)]
    assert site.levels(f"/01/{GTIN}/10/L2/21/{unit}") == [(f"/01/{GTIN}", PRODUCT, Outcome.OK)]


def test_false_and_scrapped_codes_end_the_way_up(site: Site) -> None:
    """They stand in front of the product: nobody is led past them."""
    unit = serial(site.units[7])
    false = unit[:-1] + ("3" if unit[-1] == "2" else "2")
    assert [each[2] for each in site.levels(f"/01/{GTIN}/21/{false}")] == [Outcome.NOT_ISSUED, Outcome.OK]
    event = {"event": "scrapped", "from": 7, "count": 1, "time": "2026-02-01T08:00:00+08:00"}
    site.run(RecordEvents(LOT, json.dumps([event]).encode(), False))
    assert [each[2] for each in site.levels(f"/01/{GTIN}/21/{unit}")] == [Outcome.GONE, Outcome.OK]


def test_nobody_is_led_past_a_stop_by_its_spelling(site: Site) -> None:
    """A false, a scrapped, a held code end the way up in small letters, or beside another lot; so does a held lot."""
    false = serial(site.units[7])[:-1] + ("3" if site.units[7][-1] == "2" else "2")
    scrapped, held = serial(site.units[8]), serial(site.units[9])
    event = {"event": "scrapped", "from": 8, "count": 1, "time": "2026-02-01T08:00:00+08:00"}
    site.run(RecordEvents(LOT, json.dumps([event]).encode(), False), PlaceHold(site.units[9], "1", reason="x"))
    for code, outcome in (
        (false, Outcome.NOT_ISSUED), (scrapped, Outcome.GONE), (held, Outcome.HELD),
    ):  # fmt: skip
        for path in (f"/21/{code}", f"/21/{code.lower()}", f"/10/NONE/21/{code}", f"/22/A/10/none/21/{code.lower()}"):
            assert site.levels(f"/01/{GTIN}{path}")[0][2] is outcome
    site.run(PlaceHold(LOT, "2", reason="x"))
    assert [site.levels(f"/01/{GTIN}/10/{lot}")[0][2] for lot in ("L1", "l1", "L2")] == [
        Outcome.HELD, Outcome.HELD, Outcome.OK,
    ]  # fmt: skip


def test_a_row_wins_over_the_rule(site: Site) -> None:
    """Whatever a serial number looks like."""
    unit = serial(site.units[7])
    site.run(AddAlias(OTHER, f"gtin+serial:{GTIN}/{unit}"), AddAlias(OTHER, f"gtin+lot:{GTIN}/L1"))
    assert site.levels(f"/01/{GTIN}/21/{unit}")[0] == (f"/01/{GTIN}/21/{unit}", OTHER, Outcome.OK)
    assert site.levels(f"/01/{GTIN}/10/L1")[0] == (f"/01/{GTIN}/10/L1", OTHER, Outcome.OK)


def test_every_kind_of_alias_is_found_until_it_is_taken_away(site: Site) -> None:
    """A record, a lot, a pallet; what nobody registered is nothing."""
    pallet = site.units[-1]
    kinds = {
        "oid:1.2.156.99999.7": PRODUCT, "ecode:1003612345": PRODUCT, "bid:did:bid:ef2AuAJid1": LOT,
        "vaa:VAA123": PRODUCT, "gln:6901234567892": OTHER, f"sscc:{SSCC}": pallet,
    }  # fmt: skip
    for alias, target in kinds.items():
        assert site.alias(alias) is None
        site.run(AddAlias(target, alias))
        assert site.alias(alias) == (target, Outcome.OK)
        if not alias.startswith("sscc"):
            site.run(RemoveAlias(alias))
            assert site.alias(alias) is None
    assert site.levels(f"/00/{SSCC}") == [(f"/00/{SSCC}", pallet, Outcome.OK)]


def test_what_is_on_hold_is_held_by_every_name(site: Site) -> None:
    """And found again when the hold is lifted; a record that is deleted has no names."""
    site.run(PlaceHold(PRODUCT, "1", "test"))
    unit = serial(site.units[7])
    assert {each[2] for each in site.levels(f"/01/{GTIN}/21/{unit}")} == {Outcome.HELD}
    assert site.alias(f"gtin:{GTIN}") == (PRODUCT, Outcome.HELD)
    site.run(LiftHold(PRODUCT, "1"), Delete(PRODUCT))
    assert site.levels(f"/01/{GTIN}/21/{unit}") == []
    assert site.alias(f"gtin:{GTIN}") is None


def test_other_keys_and_qualifiers_name_nothing(site: Site) -> None:
    """A consumer product variant, an extension: the way goes up to the product."""
    assert site.levels(f"/01/{GTIN}/22/2A") == [(f"/01/{GTIN}", PRODUCT, Outcome.OK)]
    assert site.levels(f"/01/{GTIN}/235/TPX1") == [(f"/01/{GTIN}", PRODUCT, Outcome.OK)]
    assert site.levels("/8004/6901234PALLET1") == []
    with pytest.raises(IdentifierError):
        parse_path(f"/01/{GTIN[:-1]}")


def test_the_quick_way_redirects_units_that_are_answered_alike(site: Site) -> None:
    """The first of a lot by a long look, all others by what it has in common with them; each is logged as asked."""
    paths = [f"/01/{GTIN}/21/{serial(unit)}" for unit in site.units[:50]]
    assert {site.redirect(path) for path in paths} == {"https://example.cn"}
    assert site.logged == [(Via.DIGITAL_LINK, Outcome.OK, path[1:].encode()) for path in paths]
    assert site.redirect(f"/01/{GTIN}") == site.redirect(f"/01/{GTIN}/10/L1") == "https://example.cn"


def test_the_quick_way_leaves_alone_what_needs_a_second_look(site: Site) -> None:
    """And logs nothing of it."""
    site.run(
        Put(OTHER, (HandleValue(2, "DESC", b"no address"),), overwrite=True), AddAlias(OTHER, f"gtin:{OTHER_GTIN}")
    )
    unit = serial(site.units[3])
    false = unit[:-1] + ("3" if unit[-1] == "2" else "2")
    assert site.redirect(f"/01/{GTIN}/21/{unit}")
    for path in (f"/01/{GTIN}/21/{false}", f"/01/{GTIN}/", f"/01/{OTHER_GTIN}", f"/01/{GTIN[1:]}", f"/x/01/{GTIN}"):
        assert not site.redirect(path)
    assert len(site.logged) == 1
