"""What a request leaves in the queue of the log: one row, in its transaction: who did what, from where."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from core import limits
from core.admission import Identity
from core.clock import Millis, format_instant
from core.errors import NodeError, Outcome, StoreError
from core.records import HandleValue, ValuePermission
from core.store.engine import Batch, ExpectationError, Table
from core.store.fsck import check_store
from core.store.log_rows import LogEntry, LogRow
from core.store.record_rows import logged_row
from core.streams import Stream
from core.who import Role, Who
from registry.commands import (
    ANONYMOUS,
    LOG_IN,
    Actor,
    Add,
    AddParty,
    AddTemplate,
    AmendParty,
    ApplyPrefix,
    Command,
    ConfirmParty,
    CreateLot,
    Delete,
    ExportPrefix,
    FileComplaint,
    Home,
    IssueBearer,
    LiftHold,
    Modify,
    MovePrefix,
    NoteAct,
    NoteRefusal,
    OpenIncident,
    Origin,
    PlaceHold,
    PublishTemplate,
    Put,
    PutBatch,
    ReadIdentity,
    RecordEvents,
    RekeyParties,
    Remove,
    ReportIncident,
    Request,
    Result,
    ReviewPrefix,
    TakeBlock,
    Token,
    Unhome,
    UpdateIncident,
    VerifyParty,
    WithdrawTemplate,
)
from registry.probe import PROBE_KEY, Probe
from registry.roles import CALLS
from registry.service import Registry
from registry.staging import Staging
from registry.streams import COUNTED, LOGIN, RECORD_CHANGE, RECORD_CREATE, RECORD_DELETE, STREAMS
from tests.kit.governance import ADMIN, ANNA, BEN, CARLA, EVIDENCE, INCIDENT, NOW, OWN, RULES, Office, form
from tests.kit.lot_desk import at
from tests.kit.templates import template_form
from tests.kit.transfers import export, take_over

TCP = Origin("tcp", b"\x9c\x41" + bytes((192, 0, 2, 7)))
OTHER = Origin("http/json", b"\x9c\x42" + bytes((192, 0, 2, 8)))
URL = (HandleValue(1, "URL", b"https://a.example"),)
CHANGED = (HandleValue(1, "URL", b"https://b.example"),)
NOT_LOGGED = {"meta", "journal", "log_queue", "tokens", "token_times", "answers", "counters", "changes"}
Dump = dict[str, dict[bytes, bytes]]


def digests(before: Dump, after: Dump) -> tuple[bytes, bytes]:
    """Return what an auditor would compute from the rows before an act and behind it."""
    octets = [bytearray(), bytearray()]
    for table in sorted(before.keys() - NOT_LOGGED):
        for key in sorted(before[table].keys() | after[table].keys()):
            pair = before[table].get(key), after[table].get(key)
            if pair[0] == pair[1]:
                continue
            for into, row in zip(octets, pair, strict=True):
                if row is not None:
                    shown = logged_row(row) if table == "records" else row
                    for part in (table.encode(), key, shown):
                        into += len(part).to_bytes(4, "big") + part
    first, last = (hashlib.sha256(each).digest() if each else b"" for each in octets)
    return first, last


def new(office: Office, command: Command, actor: Actor = ANNA, **more: Any) -> list[LogRow]:
    """Have one command run; return the rows that it left."""
    known = len(office.log())
    office.now = Millis(office.now + 1_000)
    office.registry.run([Request(command, actor, sent=TCP, **more)], office.now)
    return office.log()[known:]


def entry(office: Office, command: Command, actor: Actor = ANNA, **more: Any) -> LogEntry:
    """Have one command run; return the one entry that it left."""
    (row,) = new(office, command, actor, **more)
    (only,) = row.entries
    return only


def digest(office: Office, handle: str) -> bytes:
    """Return the digest of a record's row as it is stored."""
    return hashlib.sha256(office.dump()["records"][RULES.key(handle)]).digest()


def office_of_records() -> Office:
    office = Office()
    office.allocated()
    office.do(Put("88.118.7/OLD", URL))
    return office


# --- the table ------------------------------------------------------------------


def test_every_call_has_its_stream_and_nothing_else_but_what_is_no_call() -> None:
    """None is missing, none too much; resolution is of the workers."""
    others = {RECORD_CREATE, RECORD_CHANGE, RECORD_DELETE, "prefix.home", "prefix.unhome", LOGIN, COUNTED}
    assert STREAMS.keys() == {call.name for call in CALLS} | others
    assert set(STREAMS.values()) == {Stream.REGISTRATION, Stream.CHANGE, Stream.MAINTENANCE}


# --- records --------------------------------------------------------------------


def test_each_write_of_a_record_is_an_entry_with_digests_of_its_row() -> None:
    """Created in the registration log; changed and deleted in that of changes; by whom, and from where."""
    office = office_of_records()
    handle = "88.118.7/Sku"
    admin = Actor(ADMIN)
    (row,) = new(office, Put(handle, URL), admin)
    assert row == LogRow(
        office.now, Who(Role.OPERATOR.value, "300:0.NA/88.118"), *TCP,
        (LogEntry("registration", "record.create", "88.118.7/SKU", b"", digest(office, handle)),),
    )  # fmt: skip
    known = digest(office, handle)
    for command in (
        Put(handle, CHANGED, overwrite=True), Add(handle, (HandleValue(2, "X", b"y"),)),
        Modify(handle, (HandleValue(2, "X", b"z"),)), Remove(handle, (2,)),
    ):  # fmt: skip
        assert entry(office, command) == LogEntry(
            "change", "record.change", "88.118.7/SKU", known, known := digest(office, handle)
        )
    assert entry(office, Delete(handle)) == LogEntry("change", "record.delete", "88.118.7/SKU", known)
    assert entry(office, Put("88.118.7/", URL, mint=True)).object.startswith("88.118.7/")


def test_a_secret_cannot_be_guessed_by_its_digest() -> None:
    """Data that not everybody may read is no part of it, and that it was changed is still seen by its time."""
    office = office_of_records()
    handle = "88.118.7/SECRET"
    private = int(ValuePermission.ADMIN_READ | ValuePermission.ADMIN_WRITE)
    secret = HandleValue(3, "HS_SECKEY", b"1234", permissions=private)
    made = entry(office, Put(handle, (*URL, secret)))
    row = office.dump()["records"][RULES.key(handle)]
    assert b"1234" in row
    assert b"1234" not in logged_row(row)
    assert made.after == hashlib.sha256(logged_row(row)).digest() != hashlib.sha256(row).digest()
    changed = entry(office, Modify(handle, (secret._replace(data=b"5678"),)))
    assert changed.before == made.after != changed.after
    office.now = Millis(office.now - 1_000)  # the same second: nothing but the data is other
    again = entry(office, Modify(handle, (secret._replace(data=b"9999"),)))
    assert again.before == again.after == changed.after


def test_a_batch_is_one_row_with_an_entry_for_each_record_and_one_for_all_that_were_refused() -> None:
    """By quick and by long ways; what is as it was is no entry."""
    office = office_of_records()
    office.do(Put("88.118.7/SAME", URL))
    items = [
        {"handle": handle, "values": [{"index": index, "type": "URL", "data": "https://a.example"} | more]}
        for handle, index, more in (
            ("88.118.7/a", 1, {}), ("88.118.7/b", 1, {"ttl": 5}), ("88.118.7/old", 1, {"ttl": 7}),
            ("88.118.7/same", 1, {}), ("88.118.7/c", 0, {}), ("99.1/d", 1, {}), ("88.118.7/e", -1, {}),
        )
    ]  # fmt: skip
    (row,) = new(office, PutBatch(json.dumps(items).encode(), lines=False))
    assert [(each.action, each.object, each.after) for each in row.entries[:3]] == [
        ("record.create", "88.118.7/A", digest(office, "88.118.7/a")),
        ("record.create", "88.118.7/B", digest(office, "88.118.7/b")),
        ("record.change", "88.118.7/OLD", digest(office, "88.118.7/old")),
    ]
    refused = row.entries[3]
    assert row.entries[3:] == (refused,)
    assert (refused.stream, refused.action, refused.before, refused.after) == ("registration", "record.write", b"", b"")
    assert refused.reason.startswith("3 of 7 items: ")
    assert "invalid-value 2" in refused.reason
    assert "not-responsible 1" in refused.reason
    assert entry(office, PutBatch(b"[", lines=False)).action == "record.write"


# --- acts -----------------------------------------------------------------------


DOWNTIME = "2023-11-15T01:00:00Z/2023-11-15T02:00:00Z"
LOT = "88.118.7/L1"
LOT_FORM = json.dumps({"lot": LOT, "product": "88.118.7/OLD", "count": 60}).encode()
EVENTS = json.dumps([{"event": "encoded", "from": 0, "count": 5, "time": at(1)}]).encode()
VERIFY = VerifyParty("P000002", "manual", EVIDENCE)
MEASURES = json.dumps({"cause": "断电", "measures": ["换了电源"]}, ensure_ascii=False).encode()
STORY: tuple[tuple[Command, Actor, str], ...] = (
    (AddParty(form(1)), ANNA, "party.add"),
    (VERIFY, BEN, "party.verify"),
    (VERIFY, CARLA, "party.verify"),
    (ConfirmParty("P000002"), ANNA, "party.confirm"),
    (ReadIdentity("P000002"), ANNA, "party.identity"),
    (RekeyParties(), ANNA, "party.rekey"),
    (ApplyPrefix("88.118.9", "P000002"), ANNA, "prefix.apply"),
    (ReviewPrefix("88.118.9", approve=True), BEN, "prefix.review"),
    (MovePrefix("88.118.9", "suspend", "order", EVIDENCE), ANNA, "prefix.suspend"),
    (MovePrefix("88.118.9", "resume", "over"), ANNA, "prefix.resume"),
    (MovePrefix("88.118.9", "delete", "end", EVIDENCE), ANNA, "prefix.delete"),
    (AmendParty("P000002", json.dumps({"address": "山东省济南市历下区2号"}).encode()), ANNA, "party.amend"),
    (ExportPrefix("88.118.7"), ANNA, "prefix.export"),
    (CreateLot(LOT_FORM), ANNA, "lot.create"),
    (TakeBlock(LOT, "L4", 10), ANNA, "lot.take"),
    (RecordEvents(LOT, EVENTS, False), ANNA, "lot.events"),
    (NoteAct("lot.rekey", "key 2"), ANNA, "lot.rekey"),
    (NoteAct("downtime.plan", DOWNTIME, "检修"), ANNA, "downtime.plan"),
    (NoteAct("downtime.cancel", DOWNTIME), ANNA, "downtime.cancel"),
    (NoteAct("report.month", "2026-11"), ANNA, "report.month"),
    (PlaceHold("88.118.7/OLD", "令1", "查处"), ANNA, "hold.place"),
    (LiftHold("88.118.7/OLD", "令1"), ANNA, "hold.lift"),
    (AddTemplate(template_form()), ANNA, "template.add"),
    (PublishTemplate("SALT-PRODUCT"), ANNA, "template.publish"),
    (WithdrawTemplate("SALT-PRODUCT"), ANNA, "template.withdraw"),
    (OpenIncident(INCIDENT), ANNA, "incident.open"),
    (UpdateIncident("I000001", MEASURES), ANNA, "incident.update"),
    (ReportIncident("I000001", "工信部门"), ANNA, "incident.report"),
    (IssueBearer("auditor", "inspector"), ANNA, "token.issue"),
    (FileComplaint("service", "太慢", phone="13800138000"), ANONYMOUS, "complaint.file"),
    (NoteAct(LOGIN, "300:0.NA/88.118"), Actor(ADMIN), LOGIN),
)
SILENT = {
    "party.identity", "prefix.export", "lot.rekey", "party.rekey", LOGIN, "report.month", "downtime.plan",
    "downtime.cancel",
}  # fmt: skip
"""Acts that change no row, here."""


def test_each_act_is_one_row_with_the_digests_of_what_it_changed() -> None:
    """Of its stream, about what it is, by whom and from where; the digests are those that an auditor computes."""
    office = office_of_records()
    for command, actor, action in STORY:
        before, known = office.dump(), len(office.log())
        office.now = Millis(office.now + 1_000)
        (result,) = office.registry.run([Request(command, actor, sent=TCP)], office.now)
        assert result.done, (action, result)
        (row,) = office.log()[known:]
        assert (row.at_ms, (row.protocol, row.peer)) == (office.now, ("local", b"") if actor.local else TCP)
        assert row.who == office_who(actor)
        act, *records = row.entries
        about = result.handle or getattr(command, "object", "")
        assert (act.stream, act.action, act.object) == (STREAMS[action].value, action, about), action
        assert (act.before, act.after) == digests(before, office.dump()), action
        assert (act.outcome, act.rule, act.evidence) == (
            "ok" if isinstance(command, NoteAct) else result.outcome.value, "", getattr(command, "evidence", b"")
        )  # fmt: skip
        assert bool(act.before or act.after) is (action not in SILENT), action
        assert all(each.action.startswith("record.") for each in records)
        assert bool(records) is (action in ("prefix.review", "prefix.delete")), action
        assert "13800138000" not in str(row)
    with office.store.snapshot() as snapshot:
        assert not list(check_store(snapshot))


def office_who(actor: Actor) -> Who:
    if actor.identity is not None:
        return Who(Role.OPERATOR.value, "300:0.NA/88.118")
    return Who(Role.LOCAL.value, actor.name, actor.uid) if actor.local else Who()


def test_an_import_is_an_entry_for_each_record_and_each_lot() -> None:
    """Beside those of its beginning, its pieces and its end."""
    office = office_of_records()
    office.do(CreateLot(LOT_FORM))
    target = Office()
    file = export(office, "88.118.7")
    assert take_over(target, file).done
    entries = [each for row in target.log()[1:] for each in row.entries]
    assert {each.action for each in entries} == {"prefix.import", "record.create", "lot.create"}
    assert [each.object for each in entries if each.action == "lot.create"] == [LOT]
    made = [each for each in entries if each.action == "record.create"]
    assert {each.object for each in made} == {"0.NA/88.118.7", "88.118.7/OLD"}
    assert all(each.after for each in made)
    assert {each.stream for each in entries} == {"registration"}


def test_the_operators_own_prefixes_and_the_founding() -> None:
    """They are no calls, and are in the log all the same."""
    office = Office()
    assert [(row.entries[0].stream, row.entries[0].action, row.entries[0].object) for row in office.log()] == [
        ("registration", "prefix.home", OWN)
    ]
    founding = Registry(office.store, RULES, founding=True)
    founding.run([Request(Home("88.119"), ANNA), Request(Unhome("88.119"), ANNA)], NOW)
    home, gone = (row.entries[0] for row in office.log()[1:])
    assert (home.action, gone.stream, gone.action, home.after) == (
        "prefix.home",
        "change",
        "prefix.unhome",
        gone.before,
    )


# --- what leaves nothing --------------------------------------------------------


def test_what_writes_nothing_leaves_nothing() -> None:
    """A dry run, done or refused; a repeat with the same token; a repeat that changes nothing; a read."""
    office = office_of_records()
    token = Token("one", bytes(32))
    assert new(office, Put("88.118.7/T", URL), token=token)
    assert new(office, CreateLot(LOT_FORM), token=token._replace(key="lot"))
    assert new(office, PlaceHold("88.118.7/H", "令1", "x"), token=token._replace(key="hold"))
    assert new(office, Put("88.118.7/OLD", URL), token=token._replace(key="refused"))
    assert new(office, TakeBlock(LOT, "L4", 10, token="t"))
    assert new(office, RecordEvents(LOT, EVENTS, False))
    for command, more in (
        (Put("88.118.7/T", URL), {"token": token}),
        (CreateLot(LOT_FORM), {"token": token._replace(key="lot")}),
        (PlaceHold("88.118.7/H", "令1", "x"), {"token": token._replace(key="hold")}),
        (Put("88.118.7/OLD", URL), {"token": token._replace(key="refused")}),
        (Put("88.118.7/U", URL), {"dry_run": True}),
        (Put("99.1/U", URL), {"dry_run": True}),
        (PlaceHold("88.118.7/T", "令1", "x"), {"dry_run": True}),
        (Put("88.118.7/T", URL, overwrite=True), {}),
        (Remove("88.118.7/T", ()), {}),
        (TakeBlock(LOT, "L4", 10, token="t"), {}),
        (RecordEvents(LOT, EVENTS, False), {}),
    ):
        assert not new(office, command, **more), command
    conflict = entry(office, Put("88.118.7/V", URL), token=token._replace(digest=b"x" * 32))
    assert (conflict.action, conflict.outcome) == ("record.create", "conflict")


class Failing:
    """A store that fails once."""

    def __init__(self, office: Office) -> None:
        self._commit = office.store.commit
        self.left = 1

    def __call__(self, batch: Batch) -> Any:
        if self.left:
            self.left -= 1
            raise StoreError("no")
        return self._commit(batch)


def test_what_was_not_committed_is_no_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is it counted: of a flood in a group that failed nothing is told afterwards."""
    office = office_of_records()
    known = len(office.log())
    monkeypatch.setattr(office.store, "commit", Failing(office))
    refused = [Request(ConfirmParty("P999999"), ANNA)] * 20
    results = office.registry.run([*refused, Request(Put("88.118.7/T", URL), ANNA)], office.now)
    assert {result.outcome for result in results} == {Outcome.OVERLOADED}
    assert len(office.log()) == known
    (row,) = new(office, Put("88.118.7/T", URL))
    assert [each.action for each in row.entries] == ["record.create"]


def test_what_is_rolled_back_is_no_entry() -> None:
    """Of an act that fails when records are staged already nothing is noted; what came before it in the group is."""
    office = office_of_records()
    key = RULES.key("88.118.7/OLD")
    with office.store.snapshot() as snapshot:
        staging = Staging(snapshot)
        staging.put_record(RULES.key("88.118.7/N"), None, URL, NOW)
        with pytest.raises(NodeError), staging.whole():
            staging.put_record(key, URL, CHANGED, NOW)
            staging.delete_record(key, CHANGED, NOW)
            raise NodeError("no", outcome=Outcome.CONFLICT)
        assert [each[1:3] for each in staging.noted()] == [("record.create", "88.118.7/N")]
        assert not staging.noted()


# --- refusals -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "stream", "action", "outcome"),
    [
        (Put("88.118.7/OLD", URL), "change", "record.change", "handle-exists"),
        (Put("88.118.7/NEW", (*URL, *URL)), "registration", "record.create", "value-exists"),
        (Put("99.1/NEW", URL), "registration", "record.create", "not-responsible"),
        (Put("", URL), "registration", "record.create", "invalid-handle"),
        (Delete("88.118.7/NONE"), "change", "record.delete", "handle-not-found"),
        (Remove("88.118.7/OLD", (9,)), "change", "record.change", "value-not-found"),
        (Add("88.118.7/OLD", URL), "change", "record.change", "value-exists"),
        (ConfirmParty("P999999"), "change", "party.confirm", "not-found"),
        (ApplyPrefix("88.118.7", "P000001"), "registration", "prefix.apply", "conflict"),
        (MovePrefix("88.118.7", "explode"), "maintenance", "prefix.explode", "invalid-value"),
        (PlaceHold("88.118.7/OLD", "", ""), "maintenance", "hold.place", "invalid-value"),
        (Home("88.118.8"), "registration", "prefix.home", "forbidden"),
        (NoteRefusal("party.list", "", "forbidden", "role", "no"), "maintenance", "party.list", "forbidden"),
        (NoteRefusal(LOG_IN, "300:0.NA/1", "authentication-failed", "", ""), "maintenance", LOGIN,
         "authentication-failed"),
    ],
)  # fmt: skip
def test_every_refusal_is_an_entry_in_the_stream_of_what_was_refused(
    command: Command, stream: str, action: str, outcome: str
) -> None:
    """Also of records, whatever refused them, and whoever asks."""
    office = office_of_records()
    refused = entry(office, command)
    assert (refused.stream, refused.action, refused.outcome) == (stream, action, outcome)
    assert (refused.before, refused.after) == (b"", b"")
    assert refused.rule
    nobody = Actor(Identity("0.NA/88.118", 999))
    (row,) = new(office, command, nobody)
    assert (row.entries[0].stream, row.entries[0].action) == (stream, action)
    assert (row.who, row.protocol, row.peer) == (Who(name="999:0.NA/88.118"), *TCP)


def test_texts_of_refusals_are_bounded() -> None:
    """Whatever somebody sends: what is stored of it is cut, and what is no character is replaced."""
    office = office_of_records()
    for command in (
        NoteRefusal(*("x" * 100_000 for _ in range(5))), MovePrefix("x" * 100_000, "y" * 100_000),
        Put("88.118.7/" + "ü" * 100_000, URL), Delete("88.118.7/\ud800"),
        MovePrefix("88.118.7", "delete", "why", b"no digest"),
    ):  # fmt: skip
        assert new(office, command)
    with office.store.snapshot() as snapshot:
        assert max(len(row) for _, row in snapshot.scan(Table.LOG_QUEUE, b"")) < 10_000
        assert not list(check_store(snapshot))


# --- how many -------------------------------------------------------------------


def run(office: Office, requests: list[Request]) -> list[Result]:
    return office.registry.run(requests, office.now)


def counted(rows: list[LogRow]) -> list[tuple[str, bytes, str]]:
    """Return protocol, peer and reason of the rows that tell of refusals that were counted."""
    return [(row.protocol, row.peer, row.entries[0].reason) for row in rows if row.entries[0].action == COUNTED]


def test_a_flood_of_one_source_is_counted_and_hides_nobody_else() -> None:
    """So many a second of one address are entries; the rest is one, told with the next group of a later second."""
    office = office_of_records()
    nobody = Actor(Identity("0.NA/88.118", 999))
    flood = Request(Delete("88.118.7/OLD"), nobody, sent=TCP)
    known = len(office.log())
    for _ in range(3):
        run(office, [flood] * 40)
    run(office, [Request(Delete("88.118.7/OLD"), nobody, sent=OTHER), Request(ConfirmParty("P999999"), ANNA)])
    rows = office.log()[known:]
    kept = limits.SOURCE_REFUSALS_KEPT_PER_S
    assert [row.peer for row in rows] == [TCP.peer] * kept + [OTHER.peer, b""]
    assert not counted(rows)
    since = format_instant(office.now)
    office.now = Millis(office.now + 1_000)
    run(office, [Request(Put("88.118.7/N", URL), ANNA)])
    more = office.log()[known + len(rows) :]
    assert counted(more) == [("tcp", TCP.peer, f"{120 - kept} refusals were not entered one by one, since {since}")]
    assert more[0].entries[0].stream == "maintenance"
    assert more[0].who == Who()
    office.now = Millis(office.now + 1_000)
    run(office, [Request(Put("88.118.7/M", URL), ANNA)])
    assert len(counted(office.log()[known:])) == 1


@pytest.mark.parametrize(("later_ms", "last"), [(1_000, False), (0, True)])
def test_a_count_is_told_though_nobody_asks_any_more(later_ms: int, last: bool) -> None:
    """A second later, or as the registrar ends; once, and not within the second."""
    office = office_of_records()
    known = len(office.log())
    run(office, [Request(Delete("88.118.7/OLD"), Actor(Identity("0.NA/88.118", 999)), sent=TCP)] * 40)
    office.registry.tell_counted(office.now)
    assert not counted(office.log()[known:])
    office.now = Millis(office.now + later_ms)
    for _ in range(2):
        office.registry.tell_counted(office.now, last=last)
    told = counted(office.log()[known:])
    assert [reason.split()[0] for _, _, reason in told] == [str(40 - limits.SOURCE_REFUSALS_KEPT_PER_S)]


def strangers(number: int) -> Origin:
    return Origin("http/json", b"\0\1" + (number + 1).to_bytes(4, "big"))


def test_strangers_have_a_number_of_their_own_and_few_are_remembered() -> None:
    """Failed log-ins from anywhere: those of others are all there, and what many sources did is counted as one."""
    office = office_of_records()
    known = len(office.log())
    failed = NoteRefusal(LOG_IN, "300:0.NA/88.118", "authentication-failed", "", "no")
    sources = limits.LOGIN_REFUSALS_KEPT_PER_S + limits.REFUSAL_SOURCES_MAX + 100
    run(office, [Request(failed, ANONYMOUS, sent=strangers(number)) for number in range(sources)])
    others = [
        Request(ConfirmParty("P999999"), Actor(bearer=f"{number:012}"), sent=strangers(number))
        for number in range(limits.REFUSALS_KEPT_PER_S)
    ]
    run(office, others)
    rows = office.log()[known:]
    assert len(rows) == limits.LOGIN_REFUSALS_KEPT_PER_S + limits.REFUSALS_KEPT_PER_S
    office.now = Millis(office.now + 1_000)
    run(office, [Request(Put("88.118.7/N", URL), ANNA)])
    told = counted(office.log()[known:])
    assert len(told) == limits.REFUSAL_SOURCES_MAX + 1
    assert told[-1][:2] == ("", b"")
    assert told[-1][2].startswith("100 refusals ")
    assert sum(int(reason.split()[0]) for _, _, reason in told) == sources - limits.LOGIN_REFUSALS_KEPT_PER_S


def test_one_stranger_does_not_hide_another() -> None:
    """Whoever fails first and most has not the room of all."""
    office = office_of_records()
    known = len(office.log())
    failed = NoteRefusal(LOG_IN, "300:0.NA/88.118", "authentication-failed", "", "no")
    run(office, [Request(failed, ANONYMOUS, sent=strangers(number)) for number in [1] * 100 + [2]])
    peers = [row.peer for row in office.log()[known:]]
    assert peers == [strangers(1).peer] * limits.SOURCE_LOGIN_REFUSALS_KEPT_PER_S + [strangers(2).peer]


def test_addresses_of_one_network_are_one_source() -> None:
    """Of IPv6 whoever has a /64 has all of its addresses; of a person at this machine it is the user."""
    office = office_of_records()
    known = len(office.log())
    nobody = Actor(Identity("0.NA/88.118", 999))
    peers = [b"\0\1" + bytes(8) + number.to_bytes(8, "big") for number in range(9)]
    run(office, [Request(Delete("88.118.7/OLD"), nobody, sent=Origin("tcp", peer)) for peer in peers])
    names = [Actor(local=True, name=f"n{number}", uid=7) for number in range(9)]
    run(office, [Request(ConfirmParty("P999999"), name) for name in names])
    assert len(office.log()) - known == 2 * limits.SOURCE_REFUSALS_KEPT_PER_S


def test_a_group_that_is_decided_again_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process wrote a row that was read: what the first try would have written is not there."""
    office = office_of_records()
    known = len(office.log())
    commit, tries = office.store.commit, []

    def other_writer(batch: Batch) -> Any:
        tries.append(batch)
        if len(tries) == 1:
            raise ExpectationError("another one")
        return commit(batch)

    monkeypatch.setattr(office.store, "commit", other_writer)
    run(office, [Request(ConfirmParty("P999999"), ANNA)] * 7)
    monkeypatch.undo()
    assert len(tries) == 2
    assert len(office.log()) - known == limits.SOURCE_REFUSALS_KEPT_PER_S
    office.now = Millis(office.now + 1_000)
    run(office, [Request(Put("88.118.7/N", URL), ANNA)])
    assert [reason.split()[0] for _, _, reason in counted(office.log()[known:])] == ["2"]


def test_a_probe_is_one_row_and_no_entry() -> None:
    """Of META alone, another one each time, so that there is something to commit: no change, no journal, no log."""
    office = office_of_records()
    for _ in range(2):
        before = office.dump()
        office.now = Millis(office.now + 1)
        assert office.ask(Probe(), Actor(local=True, name="node")).done
        after = office.dump()
        assert {name for name in before if before[name] != after[name]} == {"meta"}
        written = dict(set(after["meta"].items()) - set(before["meta"].items()))
        assert written == {PROBE_KEY: office.now.to_bytes(8, "big")}
