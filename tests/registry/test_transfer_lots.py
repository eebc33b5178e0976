"""A prefix goes to another node with its lots: every printed code reads the same, and nothing of a file is believed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.changes import ChangeKind
from core.clock import format_instant
from core.errors import NodeError, Outcome, SealError
from core.keyring import KeyRing
from core.lotkeys import SEALED_BYTES, codes_of_lot, key_of_lot
from core.records import HandleValue
from core.store.engine import Table
from core.store.fsck import check_store
from core.store.lot_rows import Tally, lot_in, unpack_lot, unpack_tally
from core.wire.transferfile import decode_line, encode_line
from node.lot_keys import LotKeys
from registry.commands import (
    AbandonImport,
    CreateLot,
    ExportPrefix,
    Home,
    ImportLines,
    LiftHold,
    PlaceHold,
    Put,
    RecordEvents,
    Request,
    TakeBlock,
)
from registry.service import Registry
from registry.transfer_lots import LOT_TABLES
from resolver.service import Answer, Question, Resolver
from resolver.units import Units
from tests.kit.governance import ANNA, NOW, RULES, Office
from tests.kit.transfers import HEADS, KEY, altered, begin, bodies, check, export, kind_of, signed, take_over

P = "88.118.7"
SALT, LOT, BARE, TINY = f"{P}/salt", f"{P}/L1", f"{P}/L1-2", f"{P}/L2"
UNITS, CASES, PALLETS = 24, 6, 3
TOTAL = UNITS + CASES + PALLETS
LINES = ("lot", "lot-block", "lot-run", "lot-event")


class Keys(LotKeys):
    """Master keys of one node. Every nonce is another one, and known."""

    def __init__(self, octet: int, key_id: int = 1) -> None:
        self.made: list[bytes] = []
        super().__init__(lambda: KeyRing(key_id, {key_id: bytes((octet,)) * 32}), lambda: 0.0, self._nonce)

    def _nonce(self) -> bytes:
        self.made.append(len(self.made).to_bytes(12, "big"))
        return self.made[-1]


def office(octet: int, key_id: int = 1) -> Office:
    return Office(lot_keys=Keys(octet, key_id))


def codes(where: Office, lot: str = LOT) -> list[str]:
    """Return all codes of a lot, as this node makes them."""
    row = unpack_lot(where.rows(Table.LOTS)[lot])
    assert where.registry.lot_keys is not None
    made = codes_of_lot(where.registry.lot_keys, lot.encode(), row)
    return [lot + serial.decode() for serial in made.serials(0, row.packaging.total)]


def happened(where: Office, *items: dict[str, Any], lot: str = LOT) -> list[str]:
    """Record events, half an hour of which have passed; return how each ended."""
    at = format_instant(where.now)
    body = json.dumps([{"time": at, **item} for item in items]).encode()
    return [each["outcome"] for each in where.do(RecordEvents(lot, body, lines=False))["results"]]


def create(where: Office, lot: str, **form: Any) -> None:
    where.do(CreateLot(json.dumps({"lot": lot, "product": SALT, **form}).encode()))


def there() -> Office:
    """Return a node where P has three lots: one to which much happened, one that is bare, one of a single bag."""
    made = office(1, 3)
    made.allocated(P)
    assert made.ask(Put(SALT, (HandleValue(1, "URL", b"https://salt.example"),))).done
    create(
        made, LOT, count=UNITS, units_per_case=4, cases_per_pallet=2, line="L4", produced="2023-11-01",
        valid_until="2026-11-01", values=[{"index": 7, "type": "DESC", "data": "海盐"}],
    )  # fmt: skip
    create(made, BARE, count=1_000_000, units_per_case=50)
    create(made, TINY, count=1)
    for line, size, start, token in (("L4", 10, -1, "shift-1"), ("L5", 4, 12, ""), ("三号线", 2, 20, "班次二")):
        made.do(TakeBlock(LOT, line, size, start, token))
    made.do(TakeBlock(TINY, "L4", 1))
    names = codes(made)
    told = happened(
        made,
        {"event": "commissioned", "from": 0, "count": 8, "place": "L4", "grade": "B"},
        {"event": "encoded", "identifier": names[9]},
        {"event": "scrapped", "identifier": names[10]},
        {"event": "packed", "from": 2, "count": 1, "parent": names[UNITS + 1]},
        {"event": "packed", "from": 4, "count": 1, "parent": ""},
        {"event": "packed", "identifier": names[11], "parent": names[UNITS]},  # while it is allocated
        {"event": "commissioned", "from": UNITS, "count": 2},
        {"event": "packed", "identifier": names[UNITS], "parent": names[-1]},
        {"event": "sampled", "identifier": names[7]},
        {"event": "returned", "from": 22, "count": 2},
    )
    assert told == ["ok"] * 10
    assert happened(made, {"event": "destroyed", "identifier": names[7]}) == ["ok"]
    assert happened(made, {"event": "commissioned", "from": 0, "count": 1}, lot=TINY) == ["ok"]
    return made


SOURCE: list[Office] = []
FILE: list[bytes] = []


def source() -> Office:
    """Return the node that exports, made once: nothing is changed there."""
    if not SOURCE:
        SOURCE.append(there())
    return SOURCE[0]


def a_file() -> list[bytes]:
    """Return its export, made once."""
    if not FILE:
        FILE.extend(export(source(), P))
    return FILE


def answers(where: Office, handles: Sequence[str]) -> list[Answer]:
    """Return what is answered for handles, to everybody."""
    assert where.registry.lot_keys is not None
    resolver = Resolver(RULES, units=Units(where.registry.lot_keys))
    with where.store.snapshot() as snapshot:
        return [resolver.resolve(snapshot, Question(handle)) for handle in handles]


def printed() -> list[str]:
    """Return codes of every lot, in upper and lower case, one of each that was never made, and the lots themselves."""
    names = codes(source()) + codes(source(), TINY) + codes(source(), BARE)[::9_973]
    return [*names, *map(str.lower, names[:3]), LOT, BARE, TINY, f"{LOT}2345678923", f"{BARE}2345678923", f"{P}/L9"]


def rows(where: Office, *tables: Table) -> dict[Table, dict[bytes, bytes]]:
    """Return the rows of lots in some tables."""
    dump = where.dump()
    return {table: dump[table.value] for table in tables}


def tallies(where: Office) -> dict[bytes, Tally]:
    tables = rows(where, Table.LOT_TALLIES)
    return {lot: unpack_tally(row) for lot, row in tables[Table.LOT_TALLIES].items()}


def right(where: Office) -> bool:
    with where.store.snapshot() as snapshot:
        faults = list(check_store(snapshot))
    assert not faults
    return True


def of_lots(lines: Sequence[bytes]) -> list[bytes]:
    return [line for line in lines if kind_of(line).startswith("lot")]


# --- what comes ----------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 7, 1_000])
def test_every_code_reads_the_same_at_the_other_node(chunk: int) -> None:
    """Whatever became of it: resolved, gone, re-packed, never made; other master keys, and all other rows alike."""
    target = office(2, 9)
    asked = printed()
    told = take_over(target, a_file(), chunk=chunk)
    assert told.done, told
    assert codes(target) == codes(source())
    found, expected = answers(target, asked), answers(source(), asked)
    assert found == expected
    assert {answer.outcome for answer in expected} == {
        Outcome.OK, Outcome.GONE, Outcome.NOT_ISSUED, Outcome.HANDLE_NOT_FOUND,
    }  # fmt: skip
    same = (Table.LOT_RUNS, Table.LOT_EVENTS, Table.LOT_CONTENTS)
    assert rows(target, *same) == rows(source(), *same)
    assert tallies(target) == tallies(source())
    assert right(target)


def test_the_key_is_kept_sealed_and_all_else_of_a_lot_is_as_it_was() -> None:
    """Under the newest master key here, with a nonce of its own; another master key opens it no more."""
    target = office(2, 9)
    assert take_over(target, a_file()).done
    keys = target.registry.lot_keys
    assert isinstance(keys, Keys)
    sealed = []
    for lot, packed in source().rows(Table.LOTS).items():
        before, after = unpack_lot(packed), unpack_lot(target.rows(Table.LOTS)[lot])
        assert after._replace(key_id=3, sealed_key=b"") == before
        assert (after.key_id, len(after.sealed_key)) == (9, SEALED_BYTES)
        sealed.append(after.sealed_key)
        with pytest.raises(SealError):
            key_of_lot(Keys(4, 9), lot.encode(), after)
    assert sorted(each[:12] for each in sealed) == sorted(keys.made)
    assert len(set(keys.made)) == 3


def test_blocks_stay_taken_and_events_go_on() -> None:
    """The same question gets the same block; a state follows the one that came; a code is put elsewhere."""
    target = office(2)
    assert take_over(target, a_file()).done
    assert target.do(TakeBlock(LOT, "L4", 10, -1, "shift-1"))["from"] == 0
    assert target.ask(TakeBlock(LOT, "L9", 2, 12)).rule == "block-taken"
    assert target.do(TakeBlock(LOT, "L9", 5))["from"] == 10
    blocks = [json.loads(line) for line in a_file() if kind_of(line) == "lot-block"]
    assert [each["token"] for each in blocks] == ["shift-1", "", "班次二", ""]
    names = codes(target)
    assert happened(
        target,
        {"event": "inactive", "identifier": names[0]},
        {"event": "scrapped", "identifier": names[10]},  # is already
        {"event": "commissioned", "identifier": names[9]},
        {"event": "packed", "identifier": names[2], "parent": names[UNITS]},  # where it is by rule
        {"event": "inactive", "identifier": names[7]},  # destroyed
    ) == ["ok", "conflict", "ok", "ok", "conflict"]
    assert right(target)
    events = rows(target, Table.LOT_EVENTS)[Table.LOT_EVENTS]
    assert sum(lot_in(key) == LOT.encode() for key in events) == 11 + 3


def test_a_prefix_goes_on_to_a_third_node_with_its_lots() -> None:
    """A key that was sealed goes on in the clear, and is sealed anew."""
    second, third = office(2, 9), office(5)
    assert take_over(second, a_file()).done
    again = export(second, P)
    assert of_lots(again) == of_lots(a_file())
    assert take_over(third, again).done
    assert answers(third, printed()) == answers(source(), printed())
    assert right(third)


def test_the_changes_of_lots_are_history_there_and_changes_here() -> None:
    """Of each that came one change; what happened to it elsewhere is told with where."""
    target = office(2)
    assert take_over(target, a_file()).done
    came = [name for kind, name in target.feed() if kind is ChangeKind.LOT_CREATED]
    assert came == [LOT, BARE, TINY]
    told = [json.loads(line)["change"] for line in a_file() if kind_of(line) == "change"]
    assert told.count("lot-created") == 3
    assert "lot-changed" in told
    assert target.rows(Table.TRANSFERS)
    assert KEY in str(target.dump()["history"].values())


def test_nothing_of_a_lot_is_answered_or_done_before_all_of_it_is_here() -> None:
    """With every line it is stopped, and the store is right."""
    target, lines = office(2), a_file()
    target.do(begin(lines))
    asked = printed()[:40]
    for at, line in enumerate(bodies(lines)):
        target.do(ImportLines(P, at, line))
        assert {answer.outcome for answer in answers(target, asked)} == {Outcome.HELD}
        assert right(target)
    for command in (
        TakeBlock(LOT, "L9", 2), RecordEvents(LOT, b"[]", lines=False),
        CreateLot(json.dumps({"lot": f"{P}/L3", "product": SALT, "count": 1}).encode()),
    ):  # fmt: skip
        assert target.ask(command).outcome is Outcome.HELD
    assert target.ask(begin(lines)).done
    assert answers(target, asked) == answers(source(), asked)


@pytest.mark.parametrize(("share", "chunk"), [(0.5, 3), (0.8, 10_000), (1, 3)])
def test_an_abandoned_import_takes_the_lots_away(monkeypatch: pytest.MonkeyPatch, chunk: int, share: float) -> None:
    """Step by step, and at every step the store is right; it may be imported anew."""
    target, lines = office(2), a_file()
    body = bodies(lines)[: int(len(bodies(lines)) * share)]
    target.do(begin(lines))
    target.do(ImportLines(P, 0, b"".join(body)))
    assert rows(target, Table.LOTS)[Table.LOTS]
    monkeypatch.setattr("core.limits.IMPORT_CHUNK_ITEMS", chunk)
    steps = 1
    while target.do(AbandonImport(P))["more"]:
        steps += 1
        assert right(target)
    assert (steps > 1) is (chunk == 3)
    assert not any(rows(target, *LOT_TABLES).values())
    gone = [name for kind, name in target.feed() if kind is ChangeKind.LOT_ABANDONED]
    assert gone == [LOT, BARE, TINY]
    monkeypatch.undo()
    assert take_over(target, lines).done
    assert right(target)
    assert answers(target, printed()) == answers(source(), printed())


def test_two_steps_in_one_group_forget_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second sees what was there before the group."""
    target, lines = office(2), a_file()
    target.do(begin(lines))
    target.do(ImportLines(P, 0, b"".join(bodies(lines))))
    monkeypatch.setattr("core.limits.IMPORT_CHUNK_ITEMS", 30)
    while all(result.done for result in target.run(AbandonImport(P), AbandonImport(P))):
        assert right(target)
    assert not any(rows(target, *LOT_TABLES).values())
    assert [kind for kind, _ in target.feed()].count(ChangeKind.LOT_ABANDONED) == 3


# --- what does not leave, and what does not come ----------------------------------


@pytest.mark.parametrize("number", range(4))
def test_what_is_on_hold_does_not_leave(number: int) -> None:
    """A unit, a lot, the product of a lot, also one below another prefix."""
    where = there()
    elsewhere = "88.118/sugar"
    where.do(CreateLot(json.dumps({"lot": f"{P}/L7", "product": elsewhere, "count": 5}).encode()))
    target = (codes(where)[3], BARE, SALT, elsewhere)[number]
    where.do(PlaceHold(target, "令1", "x"))
    result = where.ask(ExportPrefix(P))
    assert (result.outcome, result.rule) == (Outcome.CONFLICT, "on-hold")
    with pytest.raises(NodeError, match="令1"):
        export(where, P)
    where.do(LiftHold(target, "令1"))
    assert export(where, P)


def test_a_lot_whose_master_key_is_not_there_is_not_exported() -> None:
    """No code of it could be read: the reason names the key."""
    where = there()
    where.registry.lot_keys = Keys(1, 4)
    with pytest.raises(SealError, match="Master key 3"):
        export(where, P)


def test_a_lot_is_not_exported_with_another_key_than_its_own() -> None:
    """A key file of another node: every printed code would be false at the next one."""
    where = there()
    where.registry.lot_keys = Keys(2, 3)
    with pytest.raises(SealError, match="Master key 3"):
        export(where, P)


def test_a_node_without_master_keys_takes_no_lot() -> None:
    """It is told before anything is written; a prefix without lots comes all the same."""
    target = Office(lot_keys=None)
    told = take_over(target, a_file())
    assert [each["rule"] for each in json.loads(told.body)["faults"]] == ["lot-key"]
    assert P not in target.rows(Table.PREFIXES)
    assert take_over(target, signed(line for line in a_file() if not kind_of(line).startswith("lot"))).done


def test_a_prefix_that_has_lots_here_is_taken() -> None:
    """Also one that the operator holds by itself, and that has no record."""
    target = office(2)
    founding = Registry(target.store, RULES, founding=True)
    founding.run([Request(Home(P), ANNA)], NOW)
    create(target, f"{P}/L8", count=5)
    assert [each["rule"] for each in json.loads(take_over(target, a_file()).body)["faults"]] == ["prefix-taken"]


def line_of(kind: str, **members: Any) -> bytes:
    """Return a line of a kind of lots, the first of the file changed."""
    document = next(json.loads(line) for line in a_file() if kind_of(line) == kind)
    return json.dumps(document | members, ensure_ascii=False).encode() + b"\n"


def with_lines(*lines: bytes, lot: bool = True) -> list[bytes]:
    """Return a signed file with the first lot and these lines, and nothing else."""
    heads = [line for line in a_file() if kind_of(line) in HEADS]
    own = [line_of("lot")] if lot else []
    return signed([*heads, *own, *lines])


def run(start: int, count: int, **members: Any) -> bytes:
    return line_of("lot-run", **{"from": start, "count": count, "parent": None, **members})


def block(start: int, count: int, **members: Any) -> bytes:
    return line_of("lot-block", **{"from": start, "count": count, **members})


def event(number: int, start: int = 0, count: int = 1, **members: Any) -> bytes:
    return line_of("lot-event", **{"number": number, "from": start, "count": count, "parent": None, **members})


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


SECKEY = (b"\0\0\0\x01" + bytes.fromhex("00000001" "00000000" "00" "00015180" "0c") + b"\0\0\0\x09HS_SECKEY"
          b"\0\0\0\x01s" b"\0\0\0\0")  # fmt: skip
HOSTILE: dict[str, Callable[[], list[bytes]]] = {
    "count of 2^63": lambda: with_lines(line_of("lot", count=2**63), lot=False),
    "count of 2^64 - 1": lambda: with_lines(line_of("lot", count=2**64 - 1), lot=False),
    "no units": lambda: with_lines(line_of("lot", count=0), lot=False),
    "fewer than no units": lambda: with_lines(line_of("lot", count=-5), lot=False),
    "too many cases": lambda: with_lines(line_of("lot", count=1 << 20, units_per_case=1), lot=False),
    "too many in a case": lambda: with_lines(line_of("lot", units_per_case=1_001), lot=False),
    "fewer than none in a case": lambda: with_lines(line_of("lot", units_per_case=-1), lot=False),
    "pallets without cases": lambda: with_lines(line_of("lot", units_per_case=0, cases_per_pallet=2), lot=False),
    "lot of another prefix": lambda: with_lines(line_of("lot", lot="88.118.8/L1"), lot=False),
    "lot below the prefix": lambda: with_lines(line_of("lot", lot="88.118.7.1/L1"), lot=False),
    "lot that is not folded": lambda: with_lines(line_of("lot", lot="88.118.7/l1"), lot=False),
    "lot of another grammar": lambda: with_lines(line_of("lot", lot="88.118.7/L_1"), lot=False),
    "lot with the form of a unit": lambda: with_lines(line_of("lot", lot=f"{LOT}2345678923"), lot=False),
    "prefix alone": lambda: with_lines(line_of("lot", lot=P), lot=False),
    "key of another length": lambda: with_lines(line_of("lot", key=b64(bytes(15))), lot=False),
    "key of no length": lambda: with_lines(line_of("lot", key=""), lot=False),
    "another scheme": lambda: with_lines(line_of("lot", scheme=2), lot=False),
    "product that is no handle": lambda: with_lines(line_of("lot", product="salt"), lot=False),
    "product of no prefix": lambda: with_lines(line_of("lot", product="/salt"), lot=False),
    "line that is invisible": lambda: with_lines(line_of("lot", line="L\u200b4"), lot=False),
    "line that is too long": lambda: with_lines(line_of("lot", line="L" * 33), lot=False),
    "no day": lambda: with_lines(line_of("lot", produced="2023-02-30"), lot=False),
    "days in the wrong order": lambda: with_lines(line_of("lot", valid_until="2020-01-01"), lot=False),
    "no time": lambda: with_lines(line_of("lot", created_ms=2**63 - 1), lot=False),
    "values that cannot be read": lambda: with_lines(line_of("lot", values="AAAA"), lot=False),
    "secret key that all units share": lambda: with_lines(line_of("lot", values=b64(SECKEY)), lot=False),
    "lots that do not rise": lambda: with_lines(line_of("lot", lot=f"{P}/L0")),
    "lot twice": lambda: with_lines(line_of("lot")),
    "block of no lot": lambda: with_lines(block(0, 1), lot=False),
    "block of another lot": lambda: with_lines(block(0, 1, lot=f"{P}/L9")),
    "block of another prefix": lambda: with_lines(block(0, 1, lot="88.118.8/L1")),
    "block of nothing": lambda: with_lines(block(0, 0)),
    "block below 0": lambda: with_lines(block(-1, 2)),
    "block of 2^63": lambda: with_lines(block(0, 2**63)),
    "block from 2^64 - 1 on": lambda: with_lines(block(2**64 - 1, 1)),
    "block of cases": lambda: with_lines(block(0, UNITS + 1)),
    "blocks that overlap": lambda: with_lines(block(0, 5), block(4, 2)),
    "blocks that do not rise": lambda: with_lines(block(4, 2), block(0, 2)),
    "block of no line": lambda: with_lines(block(0, 1, line="")),
    "block with a long token": lambda: with_lines(block(0, 1, token="t" * 65)),
    "block with a control character": lambda: with_lines(block(0, 1, token="\x1b")),
    "run of no lot": lambda: with_lines(run(0, 1), lot=False),
    "run beyond the lot": lambda: with_lines(run(0, TOTAL + 1)),
    "run of 2^63": lambda: with_lines(run(0, 2**63)),
    "run below 0": lambda: with_lines(run(-(2**63), 1)),
    "runs that overlap": lambda: with_lines(run(0, 5), run(4, 2)),
    "run twice": lambda: with_lines(run(0, 5), run(0, 5)),
    "run in no state": lambda: with_lines(run(0, 1, state="sold")),
    "run that ends before it begins": lambda: with_lines(run(0, 1, last_ms=1)),
    "run before all time": lambda: with_lines(run(0, 1, first_ms=-1)),
    "unit on a pallet": lambda: with_lines(run(0, 1, parent=TOTAL - 1)),
    "unit in a unit": lambda: with_lines(run(0, 1, parent=1)),
    "case in itself": lambda: with_lines(run(UNITS, 1, parent=UNITS)),
    "pallet in a case": lambda: with_lines(run(TOTAL - 1, 1, parent=UNITS)),
    "two levels in a case": lambda: with_lines(run(UNITS - 1, 2, parent=UNITS)),
    "unit in what is not there": lambda: with_lines(run(0, 1, parent=TOTAL)),
    "unit in 2^63": lambda: with_lines(run(0, 1, parent=2**63)),
    "unit in less than nothing": lambda: with_lines(run(0, 1, parent=-2)),
    "unit where it is by rule": lambda: with_lines(run(0, 5, parent=UNITS)),
    "event of no lot": lambda: with_lines(event(1), lot=False),
    "event that is not the first": lambda: with_lines(event(2)),
    "event that is left out": lambda: with_lines(event(1), event(3)),
    "event twice": lambda: with_lines(event(1), event(1)),
    "event of number 0": lambda: with_lines(event(0)),
    "event of number 2^63": lambda: with_lines(event(2**63)),
    "event beyond the lot": lambda: with_lines(event(1, TOTAL, 1)),
    "event of nothing": lambda: with_lines(event(1, 0, 0)),
    "event that nobody knows": lambda: with_lines(event(1, event="allocated")),
    "packed in nothing": lambda: with_lines(event(1, event="packed")),
    "event of another level": lambda: with_lines(event(1, parent=TOTAL - 1)),
    "event with a grade that nobody knows": lambda: with_lines(event(1, grade="E")),
    "event with a long place": lambda: with_lines(event(1, place="长" * 33)),
    "event before all time": lambda: with_lines(event(1, received_ms=-1)),
    "blocks behind events": lambda: with_lines(event(1), block(0, 1)),
    "records behind lots": lambda: with_lines(next(line for line in a_file() if kind_of(line) == "record")),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_a_signed_file_that_says_what_cannot_be_is_refused(make: Callable[[], list[bytes]]) -> None:
    """By the check of the file, which names the line, and by the registrar itself, which stays right."""
    lines = make()
    with pytest.raises(NodeError, match=r"^第 \d+ 行 Line \d+: "):
        check(lines)
    for chunk in (1, 7):
        target = office(2)
        result = take_over(target, lines, chunk=chunk)
        assert not result.done or "order" in str(refusal_of(lines))
        assert result.outcome is not Outcome.INTERNAL
        assert right(target)


def refusal_of(lines: list[bytes]) -> NodeError | None:
    try:
        check(lines)
    except NodeError as error:
        return error
    return None


def test_right_lines_of_the_same_kinds_are_taken() -> None:
    """What the refused ones are made from is no reason by itself."""
    lines = with_lines(
        block(0, 5), block(5, UNITS - 5), run(0, 4), run(4, 4, parent=UNITS), run(UNITS - 2, 3), event(1), event(2)
    )
    check(lines)
    target = office(2)
    assert take_over(target, lines).done
    assert right(target)


def test_an_answer_names_no_more_than_a_case_may_hold() -> None:
    """Nothing that is gone counts: a case may have been filled again. Told at any place of the file."""
    lot = line_of("lot", count=10_000, units_per_case=10, cases_per_pallet=0)
    heads = [line for line in a_file() if kind_of(line) in HEADS]
    case = 10_000

    def filled(alive: int) -> list[bytes]:
        runs = [run(10, 500, state="scrapped", parent=case)]
        runs += [run(1_000 + 10 * n, 10, state="commissioned", parent=case) for n in range(alive // 10)]
        return signed([*heads, lot, *runs])

    check(filled(1_000))
    assert take_over(office(2), filled(1_000), chunk=37).done
    with pytest.raises(NodeError, match="more than 1000 are in 10000"):
        check(filled(1_010))
    result = take_over(office(2), filled(1_010), chunk=37)
    assert (result.done, result.outcome) == (False, Outcome.MALFORMED)


def test_a_lot_has_no_more_blocks_than_it_may() -> None:
    """The list of them is read with every question for one."""
    lot = line_of("lot", count=10_000)
    heads = [line for line in a_file() if kind_of(line) in HEADS]
    for count, right_ in ((4_096, True), (4_097, False)):
        lines = signed([*heads, lot, *(block(number, 1) for number in range(count))])
        target = office(2)
        assert take_over(target, lines, chunk=999).done is right_
        if right_:
            assert check(lines).total == 4_097
        else:
            with pytest.raises(NodeError, match="4096 blocks"):
                check(lines)


@pytest.mark.parametrize("kind", LINES)
def test_a_line_that_was_changed_on_its_way_is_refused(kind: str) -> None:
    """Whoever changes it cannot sign it."""
    document = json.loads(next(line for line in a_file() if kind_of(line) == kind))
    for name in document.keys() - {"kind"}:
        change = {name: other(document[name])}
        with pytest.raises(NodeError):
            check(altered(a_file(), kind, lambda line, change=change: line.update(change)))  # type: ignore[misc] # bound


def other(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, int):
        return value + 1
    return f"{value}A" if isinstance(value, str) else 5


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
NEAR = st.integers(-2, TOTAL + 2) | st.sampled_from(
    ["allocated", "scrapped", "packed", "", "A", LOT, BARE, TINY, SALT, "88.118.8/L1", b64(bytes(16)), b64(bytes(4))]
)


@given(st.data())
def test_a_signed_file_that_says_anything_of_lots_is_taken_whole_or_refused(data: st.DataObject) -> None:
    """Total: no member of any line breaks check or registrar, and whatever is written leaves a right store."""
    lines = a_file()[:-1]
    places = [place for place, line in enumerate(lines) if kind_of(line).startswith("lot")]
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.sampled_from(places))
        document = json.loads(lines[at])
        name = data.draw(st.sampled_from(sorted(document.keys() - {"kind"})))
        document[name] = data.draw(ANY | NEAR)
        lines = [*lines[:at], json.dumps(document).encode("utf-8", "replace") + b"\n", *lines[at + 1 :]]
    file = signed(lines)
    error = refusal_of(file)
    target = office(2)
    result = take_over(target, file, chunk=data.draw(st.sampled_from([1, 5, 1_000])))
    assert result.outcome is not Outcome.INTERNAL
    if error is None:
        assert result.done
    elif "order" not in error.message:
        assert not result.done
    assert right(target)


@pytest.mark.parametrize("kind", LINES)
def test_lines_are_as_the_reference_says(kind: str) -> None:
    """Their members are those of docs/reference/transfer-file.md, and they go round."""
    for line in of_lots(a_file()):
        assert encode_line(decode_line(line)) == line
    document = next(json.loads(line) for line in a_file() if kind_of(line) == kind)
    with open("docs/reference/transfer-file.md", encoding="utf-8") as page:
        (row,) = [each for each in page if each.startswith(f"| body | `{kind}` |")]
    for name in document.keys() - {"kind"}:
        assert f"`{name}`" in row, name
