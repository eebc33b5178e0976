"""Aliases: what may have one, whose they are, what a deletion does, and the serial of the zones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core import limits
from core.changes import ChangeKind, pack_change
from core.errors import NodeError, Outcome
from core.ident.alias import parse_alias
from core.ident.gs1 import check_digit
from core.ident.handle import prefix_handle_of
from core.lots import Packaging
from core.records import HandleValue
from core.store.alias_rows import AliasRow, NamesRow, aliases_of, pack_alias, pack_names, target_of
from core.store.engine import Batch, Engine, Table
from core.store.fsck import check_store
from core.store.lmdb_engine import LmdbEngine
from core.store.memory_engine import MemoryEngine
from core.store.zone_row import ZONE_KEY, zone_serial
from core.who import Who
from registry.alias_commands import AddAlias, RemoveAlias
from registry.commands import (
    AbandonImport,
    Actor,
    ApplyPrefix,
    Command,
    CreateLot,
    Delete,
    ImportLines,
    LiftHold,
    MovePrefix,
    PlaceHold,
    Put,
    PutBatch,
    Remove,
    ReviewPrefix,
    Token,
)
from registry.staging import Staging
from tests.kit.governance import ANNA, BEN, EVIDENCE, NOW, OWN, RULES, SITE, Office, plain_sites
from tests.kit.lot_desk import LOT, PRODUCT, LotDesk, at, codes, lot_form
from tests.kit.transfers import altered, begin, bodies, check, export, signed, take_over

GTIN = "gtin:06901234567892"
OID = "oid:1.2.156.99999.7"
URL = (HandleValue(1, "URL", b"https://a.example"),)


@pytest.fixture
def office() -> Office:
    """Return a registrar with one record."""
    office = Office()
    office.do(Put(PRODUCT, URL))
    return office


def named(office: Office, handle: str) -> list[str]:
    """Return the aliases of a handle; both tables say the same."""
    with office.store.snapshot() as snapshot:
        assert list(check_store(snapshot)) == []
        found = aliases_of(snapshot, RULES.key(handle))
        assert all(target_of(snapshot, alias) == RULES.key(handle) for alias in found)
        return [str(alias) for alias in found]


def kinds(office: Office, since: int = 0) -> list[tuple[str, str]]:
    return [(kind.name, identifier) for kind, identifier in office.feed()[since:]]


def sscc(number: int) -> str:
    digits = f"0690123{number:010}"
    return f"sscc:{digits}{check_digit(digits)}"


# --- adding ---------------------------------------------------------------------


def test_an_alias_is_two_rows_a_change_and_an_entry(office: Office) -> None:
    """It is kept in its canonical form, however it was written; the log says what it names."""
    before = len(office.feed())
    told = office.do(AddAlias(PRODUCT.lower(), "GTIN:6901234567892"))
    assert told == {
        "alias": GTIN, "kind": "gtin", "identifier": PRODUCT, "added": told["added"], "added_by": "anna (uid 1000)",
        "warnings": [],
    }  # fmt: skip
    assert named(office, PRODUCT) == [GTIN]
    assert kinds(office, before) == [("ALIAS_ADDED", GTIN)]
    row = office.log()[-1]
    assert [(entry.stream, entry.action, entry.object, entry.reason) for entry in row.entries] == [
        ("registration", "alias.add", GTIN, PRODUCT)
    ]
    assert row.entries[0].before == b""
    assert row.entries[0].after


def test_the_same_again_changes_nothing(office: Office) -> None:
    office.do(AddAlias(PRODUCT, GTIN))
    before = office.dump(Table.JOURNAL, Table.META)
    assert office.ask(AddAlias(PRODUCT, GTIN)).outcome is Outcome.OK
    assert office.dump(Table.JOURNAL, Table.META) == before
    assert office.ask(AddAlias(PRODUCT, OID)).outcome is Outcome.CREATED


def test_an_alias_names_one_thing(office: Office) -> None:
    """Whose it is, is told to the operator, and to an enterprise of its own alone."""
    party = office.allocated("88.118.7", 0)
    for handle in ("88.118.7/A", "88.118.7/B"):
        office.do(Put(handle, URL))
    mine = office.bearer("enterprise", party=party)[0]
    office.do(AddAlias(PRODUCT, GTIN))
    office.do(AddAlias("88.118.7/A", OID), mine)
    for by, alias, other, is_told in (
        (ANNA, OID, "88.118.7/A", True), (mine, OID, "88.118.7/A", True), (ANNA, GTIN, PRODUCT, True),
        (mine, GTIN, PRODUCT, False),
    ):  # fmt: skip
        refused = office.ask(AddAlias("88.118.7/B", alias), by)
        assert refused.outcome is Outcome.CONFLICT
        assert (other in refused.message) is is_told


@pytest.mark.parametrize(("identifier", "alias", "outcome"), [
    (f"{OWN}/none", OID, Outcome.NOT_FOUND),
    ("99.1/x", OID, Outcome.NOT_RESPONSIBLE),
    (f"0.NA/{OWN}", OID, Outcome.INVALID_VALUE),
    (PRODUCT, "gtim:06901234567892", Outcome.INVALID_HANDLE),
    (PRODUCT, "gtin:06901234567891", Outcome.INVALID_HANDLE),
    (PRODUCT, "oid", Outcome.INVALID_HANDLE),
    ("", OID, Outcome.INVALID_HANDLE),
])  # fmt: skip
def test_what_has_no_alias(office: Office, identifier: str, alias: str, outcome: Outcome) -> None:
    before = office.dump(Table.JOURNAL, Table.META)
    assert office.ask(AddAlias(identifier, alias)).outcome is outcome
    assert office.dump(Table.JOURNAL, Table.META) == before


def test_a_misspelt_kind_is_told_the_nearest(office: Office) -> None:
    assert "Did you mean gtin?" in office.ask(AddAlias(PRODUCT, "gtim:1")).message


def test_a_handle_has_a_bounded_number_of_aliases(office: Office) -> None:
    for number in range(limits.ALIASES_PER_HANDLE_MAX):
        office.do(AddAlias(PRODUCT, f"{OID}.{number}"))
    assert office.ask(AddAlias(PRODUCT, OID)).rule == "alias-count"
    assert office.ask(AddAlias(PRODUCT, f"{OID}.0")).outcome is Outcome.OK
    office.do(RemoveAlias(f"{OID}.0"))
    office.do(AddAlias(PRODUCT, OID))
    assert len(named(office, PRODUCT)) == limits.ALIASES_PER_HANDLE_MAX


def test_lots_and_what_was_issued_of_them_have_aliases() -> None:
    """A lot, a unit, a case and a pallet; a code that was never issued has none, nor one that is out of use."""
    desk = LotDesk(Packaging(60, 10, 3))
    office = desk.office
    office.do(AddAlias(LOT, "gtin+lot:6901234567892/L1"))
    for number, index in enumerate((0, 59, 60, 65, 66, 67)):
        office.do(AddAlias(desk.name(index), sscc(number)))
        assert named(office, desk.name(index)) == [sscc(number)]
    assert office.ask(AddAlias(LOT + "2" * 11, OID)).outcome in (Outcome.NOT_ISSUED, Outcome.NOT_FOUND)
    assert office.ask(AddAlias(desk.name(68), OID)).outcome is Outcome.NOT_ISSUED
    desk.send({"event": "scrapped", "time": at(0), "from": 5, "count": 1})
    assert office.ask(AddAlias(desk.name(5), OID)).outcome is Outcome.GONE
    assert named(office, LOT) == ["gtin+lot:06901234567892/L1"]


def test_anything_below_a_delegated_prefix_has_aliases() -> None:
    """Nothing is stored of it here but that. They stay while the prefix is gone, and may then be removed."""
    office = Office()
    party = office.verified(0)
    with plain_sites():
        office.do(ApplyPrefix("88.118.7", party, "delegated", SITE))
        office.do(ReviewPrefix("88.118.7", approve=True), BEN)
        office.do(AddAlias("88.118.7/anything", GTIN), office.bearer("enterprise", party=party)[0])
        assert named(office, "88.118.7/anything") == [GTIN]
        office.do(MovePrefix("88.118.7", "delete", "x", EVIDENCE))
        assert office.ask(AddAlias("88.118.7/anything", OID)).outcome is Outcome.NOT_RESPONSIBLE
        office.do(RemoveAlias(GTIN))
        assert named(office, "88.118.7/anything") == []


def test_gtins_that_contradict_one_another_are_told(office: Office) -> None:
    office.do(Put(f"{OWN}/G", (HandleValue(3, "GTIN", b"6901234567892"),)))
    office.do(Put(f"{OWN}/H", (HandleValue(3, "gtin", b"6901234567885"),)))

    def rules(identifier: str, alias: str) -> list[str]:
        return [each["rule"] for each in office.do(AddAlias(identifier, alias))["warnings"]]

    assert rules(f"{OWN}/G", GTIN) == []
    office.do(RemoveAlias(GTIN))
    assert rules(f"{OWN}/H", GTIN) == ["alias-gtin-other"]
    desk = LotDesk(Packaging(10))
    assert [each["rule"] for each in desk.office.do(AddAlias(LOT, "gtin+lot:6901234567892/L1"))["warnings"]] == [
        "alias-gtin-lot"
    ]
    desk.office.do(Put(PRODUCT, URL))
    desk.office.do(AddAlias(PRODUCT, GTIN))
    assert desk.office.do(AddAlias(LOT, "gtin+lot:6901234567892/L1"))["warnings"] == []


# --- who, and when ----------------------------------------------------------------


def test_an_enterprise_names_what_is_its_own(office: Office) -> None:
    party = office.allocated("88.118.7", 0)
    office.do(Put("88.118.7/A", URL))
    mine = office.bearer("enterprise", party=party)[0]
    office.do(AddAlias(PRODUCT, OID))
    assert office.ask(AddAlias(PRODUCT, GTIN), mine).rule == "alias-own-prefix"
    assert office.ask(RemoveAlias(OID), mine).rule == "alias-own-prefix"
    office.do(AddAlias("88.118.7/A", GTIN), mine)
    office.do(RemoveAlias(GTIN), mine)
    for role in ("reviewer", "auditor"):
        by = office.bearer(role)[0]
        assert office.ask(AddAlias("88.118.7/A", GTIN), by).outcome is Outcome.FORBIDDEN
        assert office.ask(RemoveAlias(OID), by).outcome is Outcome.FORBIDDEN
    assert office.ask(RemoveAlias(OID), Actor()).outcome is Outcome.AUTHENTICATION_NEEDED


@pytest.mark.parametrize("target", [PRODUCT, OWN])
def test_nothing_is_changed_on_hold(office: Office, target: str) -> None:
    office.do(AddAlias(PRODUCT, OID))
    office.do(PlaceHold(target, "1", "x"))
    before = office.dump(Table.JOURNAL, Table.META)
    for command in (AddAlias(PRODUCT, GTIN), AddAlias(PRODUCT, OID), RemoveAlias(OID)):
        assert office.ask(command).outcome is Outcome.HELD
    assert office.dump(Table.JOURNAL, Table.META) == before
    office.do(LiftHold(target, "1"))
    office.do(RemoveAlias(OID))
    office.do(AddAlias(PRODUCT, GTIN))
    assert named(office, PRODUCT) == [GTIN]


def test_a_lot_on_hold_holds_its_pallets() -> None:
    desk = LotDesk(Packaging(60, 10, 3))
    desk.office.do(AddAlias(desk.name(67), sscc(1)))
    desk.office.do(PlaceHold(LOT, "1", "x"))
    assert desk.office.ask(RemoveAlias(sscc(1))).outcome is Outcome.HELD
    assert desk.office.ask(AddAlias(desk.name(66), sscc(2))).outcome is Outcome.HELD


def test_a_dry_run_writes_nothing_and_a_token_answers_again(office: Office) -> None:
    before = office.dump()
    assert office.run(AddAlias(PRODUCT, GTIN), dry_run=True)[0].outcome is Outcome.CREATED
    assert office.dump() == before
    token = Token("key", hashlib.sha256(b"x").digest())
    first = office.run(AddAlias(PRODUCT, GTIN), token=token)[0]
    office.do(RemoveAlias(GTIN))
    again = office.run(AddAlias(PRODUCT, GTIN), token=token)[0]
    assert (again.outcome, again.body) == (first.outcome, first.body)
    assert named(office, PRODUCT) == []


# --- removing, and what deletes a record -------------------------------------------------


def test_removing_is_a_change_and_an_entry(office: Office) -> None:
    office.do(AddAlias(PRODUCT, GTIN))
    office.do(AddAlias(PRODUCT, OID))
    before = len(office.feed())
    office.do(RemoveAlias("gtin:6901234567892"))
    assert kinds(office, before) == [("ALIAS_REMOVED", GTIN)]
    assert named(office, PRODUCT) == [OID]
    entry = office.log()[-1].entries[0]
    assert (entry.stream, entry.action, entry.object, entry.reason) == ("change", "alias.remove", GTIN, PRODUCT)
    assert entry.before
    assert entry.after == b""
    assert office.ask(RemoveAlias(GTIN)).outcome is Outcome.NOT_FOUND


def test_a_record_that_is_deleted_loses_its_aliases(office: Office) -> None:
    """In the same transaction; each is an entry that names it and what it named, so that its end is found by it."""
    office.do(Put(f"{OWN}/B", URL))
    for handle, alias in ((PRODUCT, GTIN), (PRODUCT, OID), (f"{OWN}/B", f"{OID}.1")):
        office.do(AddAlias(handle, alias))
    before = len(office.feed())
    assert office.ask(Delete(PRODUCT)).done
    assert kinds(office, before) == [("ALIAS_REMOVED", GTIN), ("ALIAS_REMOVED", OID), ("RECORD_DELETED", PRODUCT)]
    assert [(entry.action, entry.object, entry.reason) for entry in office.log()[-1].entries] == [
        ("alias.remove", GTIN, PRODUCT), ("alias.remove", OID, PRODUCT), ("record.delete", PRODUCT, ""),
    ]  # fmt: skip
    assert all(entry.before and not entry.after for entry in office.log()[-1].entries)
    assert (named(office, PRODUCT), named(office, f"{OWN}/B")) == ([], [f"{OID}.1"])
    office.do(AddAlias(f"{OWN}/B", GTIN))


def test_a_record_without_values_keeps_its_aliases(office: Office) -> None:
    """It is there: taking its last value away deletes nothing. Nor does replacing it."""
    office.do(AddAlias(PRODUCT, GTIN))
    assert office.ask(Remove(PRODUCT, (1,))).done
    assert named(office, PRODUCT) == [GTIN]
    assert office.ask(Put(PRODUCT, URL, overwrite=True)).done
    item = {"handle": PRODUCT, "values": []}
    assert office.ask(PutBatch(json.dumps([item]).encode(), lines=False)).done
    assert named(office, PRODUCT) == [GTIN]


def test_one_look_is_taken_for_each_record_that_is_deleted(office: Office) -> None:
    """Of a record without aliases there is no more to be done."""
    looks: list[Table] = []

    class Counted(MemoryEngine):
        def snapshot(self) -> Any:
            snapshot = super().snapshot()
            get = snapshot.get
            snapshot.get = lambda table, key: (looks.append(table), get(table, key))[1]  # type: ignore[method-assign]
            return snapshot

    store = Counted()
    counted = Office(store)
    counted.do(Put(PRODUCT, URL))
    looks.clear()
    counted.ask(Delete(PRODUCT))
    assert (looks.count(Table.ALIASES_OF), looks.count(Table.ALIASES)) == (1, 0)


# --- the serial of the zones --------------------------------------------------------


def serials(office: Office) -> tuple[int, int]:
    """Return the zones' serial, and the last one."""
    with office.store.snapshot() as snapshot:
        return zone_serial(snapshot), snapshot.serial()


def test_the_zone_has_the_serial_of_the_change_that_touched_it(office: Office) -> None:
    """Of that change, not of the last one of its group; what touches no zone leaves it."""
    homed, _ = serials(office)
    assert kinds(office)[homed - 1] == ("PREFIX_HOMED", OWN)
    office.run(Put(f"{OWN}/1", URL), AddAlias(PRODUCT, GTIN), Put(f"{OWN}/2", URL), Put(f"{OWN}/3", URL))
    zone, last = serials(office)
    assert kinds(office)[zone - 1] == ("ALIAS_ADDED", GTIN)
    assert last == zone + 2
    office.run(Put(f"{OWN}/4", URL), AddAlias(f"{OWN}/none", OID))
    assert serials(office) == (zone, last + 1)
    office.do(PlaceHold(PRODUCT, "1", "x"))
    assert serials(office) == (last + 2, last + 2)


def test_an_act_that_is_undone_leaves_the_serial_of_the_zones(office: Office) -> None:
    """Where it came to nothing after it had staged a change, that of the act before it counts."""
    with office.store.snapshot() as snapshot:
        staging = Staging(snapshot)
        staging.change(ChangeKind.HOLD_PLACED, b"x", NOW)
        with pytest.raises(ValueError, match="undone"), staging.whole():
            staging.change(ChangeKind.HOLD_LIFTED, b"x", NOW)
            raise ValueError("undone")
        staging.change(ChangeKind.RECORD_CHANGED, b"x", NOW)
        assert staging.batch().serials == {ZONE_KEY: 0}


def test_another_process_gives_serials_meanwhile(tmp_path: Path) -> None:
    """Between the state that was read and the commit: the zone has the serial that its own change got."""
    for store in (MemoryEngine(), LmdbEngine(tmp_path / "store", create=True)):
        office = Office(store)
        office.do(Put(PRODUCT, URL))
        _meanwhile(store, partial(_event, store))
        office.do(AddAlias(PRODUCT, GTIN))
        zone, last = serials(office)
        assert kinds(office)[zone - 1] == ("ALIAS_ADDED", GTIN)
        assert kinds(office)[zone - 2] == ("MONITOR_EVENT", "000001")
        assert zone == last
        with store.snapshot() as snapshot:
            assert list(check_store(snapshot)) == []
        store.close()


def _event(store: Engine) -> None:
    batch = Batch()
    batch.changes.append(pack_change(ChangeKind.MONITOR_EVENT, b"000001", NOW))
    store.commit(batch)


def _meanwhile(store: Any, act: Callable[[], None]) -> None:
    """Have something done once, right before the next commit."""
    commit = store.commit

    def delayed(batch: Batch) -> Any:
        store.commit = commit
        act()
        return commit(batch)

    store.commit = delayed


# --- transfers ----------------------------------------------------------------------------


def _file() -> list[bytes]:
    """Return the export of a prefix with aliases of a record, a lot and a unit."""
    other = Office()
    other.allocated("88.118.7", 0)
    other.do(Put("88.118.7/A", URL))
    other.do(CreateLot(lot_form(lot="88.118.7/L1", product="88.118.7/A", count=5)))
    unit = "88.118.7/L1" + codes("88.118.7/L1").serial(2).decode()
    for handle, alias in (("88.118.7/A", OID), ("88.118.7/A", GTIN), ("88.118.7/L1", f"{OID}.1"), (unit, sscc(1))):
        other.do(AddAlias(handle, alias))
    return export(other, "88.118.7")


def test_aliases_go_with_their_prefix() -> None:
    lines, office = _file(), Office()
    assert [json.loads(line)["aliases"] for line in lines if b'"kind":"alias"' in line] == [
        [GTIN, OID], [f"{OID}.1"], [sscc(1)],
    ]  # fmt: skip
    assert take_over(office, lines).done
    assert (named(office, "88.118.7/A"), named(office, "88.118.7/L1")) == ([GTIN, OID], [f"{OID}.1"])
    assert [line for line in export(office, "88.118.7") if b'"kind":"alias"' in line] == [
        line for line in lines if b'"kind":"alias"' in line
    ]


def test_an_alias_of_something_else_here_refuses_an_import(office: Office) -> None:
    """Before any of its records is written; once it is removed, the import goes on."""
    lines = _file()
    office.do(AddAlias(PRODUCT, GTIN))
    refused = take_over(office, lines)
    assert (refused.outcome, refused.rule) == (Outcome.CONFLICT, "import-alias")
    assert GTIN in refused.message
    assert not any(key.startswith("88.118.7/") for key in office.rows(Table.RECORDS))
    office.do(RemoveAlias(GTIN))
    assert take_over(office, lines).done
    assert named(office, "88.118.7/A") == [GTIN, OID]


@pytest.mark.parametrize("done", [1, 10_000])
def test_an_abandoned_import_leaves_no_alias(office: Office, done: int) -> None:
    """Nor takes one of another prefix away."""
    lines = _file()
    office.do(AddAlias(PRODUCT, f"{OID}.9"))
    office.do(begin(lines))
    office.do(ImportLines("88.118.7", 0, b"".join(bodies(lines)[:done])))
    office.do(AbandonImport("88.118.7"))
    assert office.rows(Table.ALIASES_OF).keys() == {PRODUCT}
    assert named(office, PRODUCT) == [f"{OID}.9"]
    assert take_over(office, lines).done


@pytest.mark.parametrize("change", [
    {"aliases": ["gtin:6901234567892"]}, {"aliases": [OID, GTIN]}, {"aliases": [GTIN, GTIN]}, {"aliases": []},
    {"aliases": ["x:1"]}, {"handle": "88.118.7/a"}, {"handle": f"{OWN}/A"},
    {"aliases": [f"{OID}.{number:03}" for number in range(100, 165)]},
])  # fmt: skip
def test_a_line_of_aliases_is_checked(change: dict[str, Any]) -> None:
    """Canonical, in order, each once, bounded, and of the prefix."""
    with pytest.raises(NodeError):
        check(signed(altered(_file(), "alias", lambda line: line.update(change))))


# --- fsck ----------------------------------------------------------------------------------


def _alias_row(target: str) -> bytes:
    return pack_alias(AliasRow(RULES.key(target), NOW, Who("local", "anna")))


def _names_row(target: str, *aliases: bytes) -> bytes:
    return pack_names(NamesRow(RULES.key(target), aliases))


@pytest.mark.parametrize(("table", "key", "row", "told"), [
    (Table.ALIASES, b"g06901234567892", None, "is no alias of it"),
    (Table.ALIASES, b"g06901234567892", b"\x02", "cannot be read"),
    (Table.ALIASES, b"g06901234567892", _alias_row(f"{OWN}/other"), "does not list it"),
    (Table.ALIASES, b"g6901234567892", _alias_row(PRODUCT), "canonical"),
    (Table.ALIASES, b"g06901234567891", _alias_row(PRODUCT), "aliases b'g06901234567891'"),
    (Table.ALIASES, b"?1", _alias_row(PRODUCT), "a key of aliases cannot be read"),
    (Table.ALIASES, b"g06901234567892", pack_alias(AliasRow(prefix_handle_of(b"x")[:2], NOW, Who())), "no key of"),
    (Table.ALIASES_OF, PRODUCT.encode(), None, "does not list it"),
    (Table.ALIASES_OF, PRODUCT.encode(), b"\x01", "cannot be read"),
    (Table.ALIASES_OF, PRODUCT.encode(), _names_row(f"{OWN}/x", b"g06901234567892"), "those of"),
    (Table.ALIASES_OF, PRODUCT.encode(), _names_row(PRODUCT), "none, too many"),
    (Table.META, ZONE_KEY, (10**6).to_bytes(8, "big"), "zone: its serial"),
    (Table.META, ZONE_KEY, b"1", "zone: its serial"),
])  # fmt: skip
def test_fsck_finds_what_is_wrong(office: Office, table: Table, key: bytes, row: bytes | None, told: str) -> None:
    office.do(AddAlias(PRODUCT, GTIN))
    assert named(office, PRODUCT) == [GTIN]
    batch = Batch()
    batch.put(table, key, row)
    office.store.commit(batch)
    with office.store.snapshot() as snapshot:
        assert any(told in fault for fault in check_store(snapshot)), list(check_store(snapshot))


# --- a model ---------------------------------------------------------------------------------

_HANDLES = tuple(f"{OWN}/{name}" for name in ("A", "B", "盐" * 200))
_ALIASES = (GTIN, OID, f"{OID}.1", "gln:6901234567892", "ecode:A12345", "vaa:VAA1")


class AliasMachine(RuleBasedStateMachine):
    """Registers and removes aliases and records, against a dictionary; the store is closed and opened between."""

    folder: Path

    @initialize()
    def begin(self) -> None:
        """Begin with an empty store."""
        AliasMachine.runs += 1
        self._path = self.folder / str(AliasMachine.runs)
        self._store = LmdbEngine(self._path, create=True, map_size_bytes=1 << 26)
        self._office = Office(self._store)
        self._records: set[str] = set()
        self._names: dict[str, str] = {}

    runs = 0

    @rule(handle=st.sampled_from(_HANDLES))
    def put(self, handle: str) -> None:
        """A record that is there again has no alias."""
        self._office.ask(Put(handle, URL, overwrite=True))
        self._records.add(handle)

    @rule(handle=st.sampled_from(_HANDLES))
    def delete(self, handle: str) -> None:
        """Its aliases go with it."""
        assert self._office.ask(Delete(handle)).done is (handle in self._records)
        self._records.discard(handle)
        self._names = {alias: target for alias, target in self._names.items() if target != handle}

    @rule(handle=st.sampled_from(_HANDLES), alias=st.sampled_from(_ALIASES))
    def add(self, handle: str, alias: str) -> None:
        """The first that asks has it."""
        known = self._names.get(alias)
        if known not in (None, handle):
            expected = Outcome.CONFLICT
        elif handle not in self._records:
            expected = Outcome.NOT_FOUND
        else:
            expected = Outcome.CREATED if known is None else Outcome.OK
            self._names[alias] = handle
        assert self._office.ask(AddAlias(handle, alias)).outcome is expected

    @rule(alias=st.sampled_from(_ALIASES))
    def remove(self, alias: str) -> None:
        """Only what is there is removed."""
        known = self._names.pop(alias, None)
        assert self._office.ask(RemoveAlias(alias)).done is (known is not None)

    @rule(commands=st.lists(st.tuples(st.sampled_from(_HANDLES), st.sampled_from(_ALIASES)), max_size=4))
    def group(self, commands: list[tuple[str, str]]) -> None:
        """Several of one group: each sees what those before it did."""
        asked: list[Command] = [AddAlias(handle, alias) for handle, alias in commands]
        for (handle, alias), result in zip(commands, self._office.run(*asked), strict=True):
            if result.done:
                assert self._names.setdefault(alias, handle) == handle

    @rule()
    def restart(self) -> None:
        """What was answered is there."""
        self._store.close()
        self._store = self._office.store = LmdbEngine(self._path, map_size_bytes=1 << 26)
        self._office.registry._store = self._store

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        """Both ways round; the zones' serial is that of the last change that touched one."""
        with self._store.snapshot() as snapshot:
            found = {alias: target_of(snapshot, parse_alias(alias)) for alias in _ALIASES}
            wanted = {alias: RULES.key(self._names[alias]) if alias in self._names else None for alias in _ALIASES}
            assert found == wanted
            for handle in _HANDLES:
                mine = {str(alias) for alias in aliases_of(snapshot, RULES.key(handle))}
                assert mine == {alias for alias, target in self._names.items() if target == handle}
            assert list(check_store(snapshot)) == []
            zone = zone_serial(snapshot)
        touched = [at for at, (kind, _) in enumerate(self._office.feed(), 1) if kind.name.startswith(("ALIAS", "PREF"))]
        assert zone == touched[-1]

    def teardown(self) -> None:
        """Close the store."""
        if hasattr(self, "_store"):
            self._store.close()


def test_aliases_are_what_a_dictionary_would_be(tmp_path: Path) -> None:
    machine = type("Machine", (AliasMachine,), {"folder": tmp_path})
    test = machine.TestCase
    test.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
    test().runTest()
