"""What goes into deposits, and a store made of a FULL and DIFFs: every row and every answer as of the original."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from core import limits
from core.changes import Serial
from core.errors import SealError
from core.ident.unitcode import UnitCodes
from core.keyring import KeyRing
from core.lotkeys import key_of_lot
from core.party.seal import unseal
from core.records import HandleValue, ValuePermission
from core.store.complaint_rows import COUNTS_KEY, unpack_complaint, unpack_counts
from core.store.engine import Table
from core.store.fsck import check_store
from core.store.hold_rows import HOLDS_KEY, unpack_hold_counts
from core.store.incident_rows import OPEN_INCIDENTS_KEY, unpack_open
from core.store.lmdb_engine import LmdbEngine
from core.store.lot_rows import unpack_lot
from core.store.party_rows import unpack_party
from core.store.record_rows import unpack_values
from core.store.template_rows import TEMPLATES_KEY, unpack_template_counts
from node.lot_keys import LotKeys
from registry.alias_commands import AddAlias, RemoveAlias
from registry.commands import (
    ANONYMOUS,
    OPERATOR,
    AddTemplate,
    AmendParty,
    CloseIncident,
    Command,
    CreateLot,
    Delete,
    FileComplaint,
    HoldLog,
    ImportLines,
    LiftHold,
    MoveComplaint,
    MovePrefix,
    OpenIncident,
    PlaceHold,
    PublishTemplate,
    Put,
    RecordEvents,
    ReportIncident,
    TakeBlock,
)
from registry.policy import DEFAULT_POLICY
from resolver.service import Question, Resolver
from resolver.units import Units
from sync.escrow.applying import apply_items
from sync.escrow.content import ESCROWED, IDENTITY_KEY, LOT_KEY, META_KEYS, WITHHELD, Way
from sync.escrow.faults import DepositError
from sync.escrow.item import Item
from tests.kit.escrow import NEW, RING, deposit, empty, rows_of, serial_of
from tests.kit.governance import ANNA, BEN, DORA, INCIDENT, LOT_KEYS, OWN, RULES, Office, form
from tests.kit.lot_desk import at, lot_form
from tests.kit.templates import bound, template_form
from tests.kit.transfers import KEY as IMPORT_KEY
from tests.kit.transfers import begin, bodies, export, take_over

_SECRET = b"nobody else knows this key"
_LOTS = (f"{OWN}/L1", f"{OWN}/L2", f"{OWN}/L3")


def _secret(data: bytes = _SECRET) -> HandleValue:
    permissions = ValuePermission.ADMIN_READ | ValuePermission.ADMIN_WRITE
    return HandleValue(301, "HS_SECKEY", data, permissions=int(permissions))


def _office() -> Office:
    office = Office(policy=DEFAULT_POLICY._replace(import_keys=frozenset((IMPORT_KEY,))))
    office.do(Put(f"{OWN}/keys", (_secret(),)), OPERATOR)
    office.do(Put(f"{OWN}/both", (HandleValue(1, "URL", b"https://a.example"), _secret())), OPERATOR)
    return office


class _Life:
    """Random acts; those that are refused are refused."""

    def __init__(self, office: Office, seed: int) -> None:
        self._office = office
        self._random = random.Random(seed)
        self._parties: list[str] = []

    def go_on(self, count: int) -> None:
        acts: list[Callable[[], None]] = [
            self._record, self._record, self._delete, self._lot, self._events, self._events, self._block, self._hold,
            self._lift, self._party, self._complain, self._template, self._incident, self._suspend,
            self._alias, self._alias, self._unalias,
        ]  # fmt: skip
        for _ in range(count):
            self._random.choice(acts)()

    def _ask(self, command: Command, actor: object = ANNA) -> dict[str, object]:
        result = self._office.ask(command, actor)  # type: ignore[arg-type]
        told: dict[str, object] = json.loads(result.body) if result.done and result.body else {}
        return told

    def _name(self) -> str:
        long = "x" * self._random.choice((0, 500))
        return f"{self._random.choice((OWN, OWN, '88.118.7'))}/r{self._random.randrange(12)}{long}"

    def _record(self) -> None:
        values = (HandleValue(1, "URL", b"https://%d.example" % self._random.randrange(9)),)
        if self._random.random() < 0.3:
            values = bound()
        if self._random.random() < 0.3:
            values = (*values, _secret(_SECRET + b"%d" % self._random.randrange(9)))
        self._ask(Put(self._name(), values, overwrite=True), OPERATOR)

    def _delete(self) -> None:
        self._ask(Delete(self._name()), OPERATOR)

    def _lot(self) -> None:
        lot = self._random.choice(_LOTS)
        self._ask(CreateLot(lot_form(lot=lot, count=60, units_per_case=7, cases_per_pallet=3)))

    def _events(self) -> None:
        lot, start = self._random.choice(_LOTS), self._random.randrange(50)
        event = self._random.choice(("encoded", "commissioned", "scrapped", "sampled"))
        sent = {"event": event, "from": start, "count": self._random.randrange(1, 9), "time": at(-1)}
        self._ask(RecordEvents(lot, json.dumps([sent]).encode(), lines=False))

    def _alias(self) -> None:
        target = self._random.choice((self._name(), *_LOTS))
        self._ask(AddAlias(target, f"oid:1.2.156.{self._random.randrange(12)}"))

    def _unalias(self) -> None:
        self._ask(RemoveAlias(f"oid:1.2.156.{self._random.randrange(12)}"))

    def _block(self) -> None:
        self._ask(TakeBlock(self._random.choice(_LOTS), "line 1", self._random.randrange(1, 4)))

    def _target(self) -> str:
        return self._random.choice((*_LOTS, f"{OWN}/r1", f"{OWN}/r2", "88.118.7", *self._parties))

    def _hold(self) -> None:
        self._ask(PlaceHold(self._target(), f"n{self._random.randrange(3)}", "令", public=True), DORA)
        self._ask(HoldLog(f"change/2026-0{self._random.randrange(1, 9)}", "n", "令"), DORA)

    def _lift(self) -> None:
        self._ask(LiftHold(self._target(), f"n{self._random.randrange(3)}"), DORA)

    def _party(self) -> None:
        if len(self._parties) < 3:
            name = self._office.allocated(f"88.118.{7 + len(self._parties)}", len(self._parties))
            self._parties.append(name)
        else:
            self._ask(AmendParty(self._parties[0], form(self._random.choice((0, 5)), contact_name="王五")))

    def _complain(self) -> None:
        told = self._ask(FileComplaint("other", "太慢", f"{OWN}/r1", "张三丰", "13800138000"), ANONYMOUS)
        if self._random.random() < 0.6:
            self._ask(MoveComplaint(str(told["ticket"]), "accept"), BEN)
        if self._random.random() < 0.6:
            self._ask(MoveComplaint(str(told["ticket"]), "answer", "已更正"), BEN)

    def _template(self) -> None:
        version = f"1.{self._random.randrange(3)}"
        self._ask(AddTemplate(template_form(version=version)))
        self._ask(PublishTemplate("SALT-PRODUCT", version), BEN)

    def _incident(self) -> None:
        told = self._ask(OpenIncident(INCIDENT))
        if told and self._random.random() < 0.6:
            self._ask(ReportIncident(str(told["incident"]), "省通信管理局"))
            self._ask(CloseIncident(str(told["incident"])))

    def _suspend(self) -> None:
        self._ask(MovePrefix("88.118.8", self._random.choice(("suspend", "resume")), "原因"), BEN)


def _compare(office: Office, copy: LmdbEngine) -> None:
    """Hold every row of the copy, and every answer, against the original."""
    with copy.snapshot() as snapshot:
        assert list(check_store(snapshot)) == []
        assert snapshot.serial() == serial_of(office.store)
    for table, escrowed in ESCROWED.items():
        ours, theirs = rows_of(office.store, table), rows_of(copy, table)
        if escrowed.way is Way.OUT:
            assert theirs == {}, table
        elif escrowed.way is Way.META:
            assert {key: theirs.get(key) for key in META_KEYS} == {key: ours.get(key) for key in META_KEYS}
            for key, read in _COUNTS.items():
                assert read(theirs.get(key)) == read(ours.get(key)), key
        elif table is Table.COUNTERS:
            assert _present(theirs) == _present(ours)
        else:
            plain = _PLAIN.get(table, _same)
            assert _all(theirs, plain, new=True) == _all(ours, plain, new=False), table
    mine, others = Resolver(RULES, units=Units(LOT_KEYS)), Resolver(RULES, units=Units(NEW.lots))
    with office.store.snapshot() as before, copy.snapshot() as after:
        for handle in _handles(office):
            for public_only in (True, False):
                question = Question(handle, public_only=public_only)
                assert others.resolve(after, question) == mine.resolve(before, question), handle


def _handles(office: Office) -> list[str]:
    named = [key.decode(errors="replace") for key in rows_of(office.store, Table.RECORDS)]
    units = []
    for lot, packed in rows_of(office.store, Table.LOTS).items():
        row = unpack_lot(packed)
        made = UnitCodes(key_of_lot(LOT_KEYS, lot, row)).serials(0, row.packaging.total)
        units += [(lot + each).decode() for each in (b"", *made)]
    return [*named, *units, f"{OWN}/not-there", "88.118.9/x", "88.999/x"]


def _present(rows: dict[bytes, bytes]) -> dict[bytes, bytes]:
    return {key: row for key, row in rows.items() if any(row[1:])}


def _all(rows: dict[bytes, bytes], plain: Callable[..., object], *, new: bool) -> dict[bytes, object]:
    return {key: plain(key, row, new=new) for key, row in rows.items()}


def _same(_key: bytes, row: bytes, *, new: bool) -> object:
    return row


def _plain_record(_key: bytes, row: bytes, *, new: bool) -> object:
    values = unpack_values(row)
    for value in values:
        if value.type == "HS_SECKEY":
            assert value.data.startswith(b"made") is new
    return [value._replace(data=b"") if value.type == "HS_SECKEY" else value for value in values]


def _plain_party(key: bytes, row: bytes, *, new: bool) -> object:
    party = unpack_party(row)
    return party._replace(sealed=_opened(key, party.sealed, new=new))


def _plain_complaint(key: bytes, row: bytes, *, new: bool) -> object:
    complaint = unpack_complaint(row)
    return complaint._replace(contact=_opened(key, complaint.contact, new=new))


def _opened(key: bytes, sealed: object, *, new: bool) -> object:
    ring = RING if new else KeyRing(1, {1: bytes(range(32))})
    assert isinstance(sealed, dict)
    return {field: unseal(ring, octets, key.decode(), field) for field, octets in sealed.items()}


def _plain_lot(key: bytes, row: bytes, *, new: bool) -> object:
    lot = unpack_lot(row)
    found = key_of_lot(NEW.lots if new else LOT_KEYS, key, lot)
    return lot._replace(key_id=0, sealed_key=b""), found


_PLAIN = {
    Table.RECORDS: _plain_record, Table.PARTIES: _plain_party, Table.COMPLAINTS: _plain_complaint,
    Table.LOTS: _plain_lot,
}  # fmt: skip
_COUNTS = {
    COUNTS_KEY: unpack_counts, HOLDS_KEY: unpack_hold_counts, TEMPLATES_KEY: unpack_template_counts,
    OPEN_INCIDENTS_KEY: lambda row: sorted(unpack_open(row)),
}  # fmt: skip


def test_every_table_is_named() -> None:
    assert set(ESCROWED) == set(Table)
    for escrowed in ESCROWED.values():
        assert escrowed.why
        assert (escrowed.read is None) is (escrowed.way in (Way.OUT, Way.REMADE))


@pytest.mark.parametrize("seed", range(3))
def test_a_full_and_its_diffs_make_the_same_store(tmp_path: Path, seed: int) -> None:
    office = _office()
    life = _Life(office, seed)
    life.go_on(60)
    copy = empty(tmp_path)
    assert apply_items(copy, deposit(office.store), NEW).kind == "full"
    _compare(office, copy)
    for _ in range(3):
        since = serial_of(copy)
        life.go_on(40)
        applied = apply_items(copy, deposit(office.store, since), NEW)
        assert (applied.kind, applied.watermark) == ("diff", serial_of(office.store))
        _compare(office, copy)
    again = deposit(office.store, serial_of(copy))
    assert not any(item.table in ("records", "lots", "aliases") for item in again)
    apply_items(copy, again, NEW)
    _compare(office, copy)
    copy.close()
    lived = {table for table in ESCROWED if rows_of(office.store, table)}
    transfers = {Table.TRANSFERS, Table.HISTORY, Table.LOT_CONTENTS}
    assert {table for table, each in ESCROWED.items() if each.way is not Way.OUT} <= lived | transfers


def test_an_import_that_goes_on_between_two_deposits_is_whole_in_the_copy(tmp_path: Path) -> None:
    elsewhere = _office()
    elsewhere.allocated("88.118.7")
    lot = "88.118.7/L9"
    elsewhere.do(CreateLot(lot_form(lot=lot, product="88.118.7/P")))
    sent = [{"event": "commissioned", "from": start, "count": 3, "time": at(-1)} for start in (0, 10, 20)]
    for each in sent:
        elsewhere.do(RecordEvents(lot, json.dumps([each]).encode(), lines=False))
    lines = export(elsewhere, "88.118.7")
    office = _office()
    command, body = begin(lines), bodies(lines)
    assert office.ask(command, DORA).done
    copy = empty(tmp_path)
    apply_items(copy, deposit(office.store), NEW)
    for number, line in enumerate(body):
        since = serial_of(copy)
        assert office.ask(ImportLines("88.118.7", number, line), DORA).done
        apply_items(copy, deposit(office.store, since), NEW)
        _compare(office, copy)
    since = serial_of(copy)
    assert take_over(office, lines, DORA).done
    apply_items(copy, deposit(office.store, since), NEW)
    assert len(rows_of(copy, Table.LOT_RUNS)) == 3
    _compare(office, copy)
    copy.close()


def test_secrets_and_identity_are_nowhere_in_the_content() -> None:
    office = _office()
    life = _Life(office, 4)
    life.go_on(80)
    rows = rows_of(office.store, Table.RECORDS).values()
    kept = [value for row in rows for value in unpack_values(row) if value.type == "HS_SECKEY"]
    made = deposit(office.store)
    content = b"\0".join(item.key + b"\0" + (item.row or b"") for item in made)
    for secret in (_SECRET, "张三丰".encode(), b"13800138000", bytes(range(32)), bytes(range(100, 132))):
        assert secret not in content
    assert sum(item.table == WITHHELD for item in made) == len(kept) > 2
    assert [item.table for item in made[:2]] == ["head", IDENTITY_KEY]
    assert deposit(office.store)[1].row != made[1].row


def test_a_feed_that_does_not_reach_back_far_enough_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office = _office()
    with pytest.raises(DepositError, match="make a FULL") as caught:
        deposit(office.store, Serial(serial_of(office.store) + 1))
    assert caught.value.rule == "too-old"
    copy = empty(tmp_path)
    apply_items(copy, deposit(office.store), NEW)
    with pytest.raises(DepositError) as caught:
        deposit(copy, Serial(serial_of(copy) - 1))
    assert caught.value.rule == "too-old"
    copy.close()
    monkeypatch.setattr(limits, "ESCROW_TOUCHED_MAX", 1)
    with pytest.raises(DepositError) as caught:
        deposit(office.store, Serial(0))
    assert caught.value.rule == "too-many"


def test_what_cannot_be_is_refused_by_name(tmp_path: Path) -> None:
    office = _office()
    office.do(CreateLot(lot_form()))
    office.verified()
    full = deposit(office.store)
    found = {item.table: item for item in full}

    def refused(name: str, items: list[Item], rule: str) -> None:
        store = empty(tmp_path / name)
        with pytest.raises(DepositError) as caught:
            apply_items(store, items, NEW)
        assert caught.value.rule == rule, caught.value.message
        store.close()

    def without(table: str) -> list[Item]:
        return [item for item in full if item.table != table]

    refused("nothing", [], "content")
    refused("no-head", full[1:], "content")
    refused("a-diff", deposit(office.store, Serial(1)), "not-next")
    refused("no-identity-key", without(IDENTITY_KEY), "row")
    refused("no-lot-key", without(LOT_KEY), "row")
    another = [item._replace(row=bytes(16)) if item.table == LOT_KEY else item for item in full]
    refused("another-lot-key", another, "row")
    refused("moved", [*full, found["records"]._replace(key=b"88.118/OTHER\xff")], "row")
    refused("a-token", [*full, Item("bearers", b"x", b"y")], "row")
    refused("serial", [*full, Item("meta", b"serial", bytes(8))], "row")
    refused("unknown", [*full, Item("strange", b"x", b"y")], "row")
    refused("order", [*full, found["prefixes"]], "row")
    refused("stray", [*full, Item("lot_runs", b"88.118/L2\0\0\0\0\0", b"")], "row")
    for number, item in enumerate(full[1:], 1):
        broken = [*full]
        broken[number] = item._replace(row=b"\xc1" + (item.row or b""))
        if item.table not in (WITHHELD, "meta"):
            refused(f"broken-{number}", broken, "row")
    store = empty(tmp_path / "twice")
    apply_items(store, full, NEW)
    with pytest.raises(DepositError) as caught:
        apply_items(store, full, NEW)
    assert caught.value.rule == "not-empty"
    store.close()


def test_a_lot_whose_master_key_is_another_one_makes_no_deposit() -> None:
    office = _office()
    office.do(CreateLot(lot_form()))
    for ring in (KeyRing(1, {1: bytes(32)}), KeyRing(2, {2: bytes(32)})):
        with pytest.raises(SealError):
            deposit(office.store, lots=LotKeys(lambda ring=ring: ring, lambda: 0.0))


def test_a_diff_that_was_cut_off_is_applied_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office = _office()
    life = _Life(office, 9)
    life.go_on(40)
    copy = empty(tmp_path)
    apply_items(copy, deposit(office.store), NEW)
    since = serial_of(copy)
    life.go_on(60)
    diff = deposit(office.store, since)
    monkeypatch.setattr(limits, "ESCROW_APPLY_ROWS", 3)
    for stop in range(0, len(diff), 7):

        def cut(stop: int = stop) -> object:
            yield from diff[: stop + 1]
            raise OSError(os.strerror(5))

        with pytest.raises(OSError, match="Input"):
            apply_items(copy, cut(), NEW)  # type: ignore[arg-type]
    apply_items(copy, diff, NEW)
    _compare(office, copy)
    copy.close()
