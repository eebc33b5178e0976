"""A prefix goes from one office to another: all of it or nothing, by whom is trusted, and no identity with it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from core.changes import Change
from core.errors import NodeError, Outcome
from core.ident.handle import HandleRules
from core.party.fields import identity_names
from core.records import HandleValue, ValueReference, Values
from core.signature import Signer
from core.store.engine import Batch, Table
from core.store.fsck import check_store
from core.store.homing import STOPPED, hosting_of, is_held
from core.store.journal_rows import Entry, entry_key, pack_entry
from core.store.memory_engine import MemoryEngine
from core.store.party_rows import Verified
from core.store.prefix_rows import unpack_prefix
from core.store.record_rows import record_key
from core.store.template_rows import pack_template, unpack_template
from core.store.transfer_rows import unpack_past, unpack_transfer
from core.who import Who
from core.wire.metadata import Item
from core.wire.transferfile import KINDS, RecordLine, encode_line
from core.wire.values import encode_values
from registry.commands import (
    AbandonImport,
    AddTemplate,
    AmendParty,
    ApplyPrefix,
    Delete,
    ExportPrefix,
    Home,
    ImportLines,
    LiftHold,
    MovePrefix,
    PlaceHold,
    PublishTemplate,
    Put,
    Request,
    ReviewPrefix,
    Unhome,
    VerifyParty,
    WithdrawTemplate,
)
from registry.documents import application_document, party_document
from registry.policy import Policy
from registry.service import Registry
from registry.transfer import merged
from registry.transfer_file import read_lines
from tests.kit.governance import (
    ANNA,
    BEN,
    CARLA,
    EVIDENCE,
    NOW,
    OWN,
    ROWS,
    RULES,
    SITE,
    Office,
    form,
    plain_sites,
)
from tests.kit.templates import CODE, bound, template_form
from tests.kit.transfers import (
    HEADS,
    KEY,
    SIGNER,
    altered,
    begin,
    bodies,
    check,
    export,
    kind_of,
    signed,
    take_over,
)

P = "88.118.7"
LONG = f"{P}/{'长' * 60}{'X' * 180}"
STRANGER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
RECORDS: dict[str, Values] = {
    f"{P}/BAG-1": (HandleValue(1, "URL", b"https://a.example", timestamp=5),),
    f"{P}/盐": (
        HandleValue(3, "DESC", '袋\n"\\\u2028'.encode(), ttl=0, timestamp=0),
        HandleValue(2, "HS_SECKEY", b"a secret", permissions=0b1100, timestamp=7),
        HandleValue(9, "EMAIL", b"\xff\x00", 4_000_000_000, True, 0b0011, 8, (ValueReference("88.1/x", 3),)),
    ),
    f"{P}/NOBODY": (HandleValue(1, "X", b"x", permissions=0),),
    LONG: (HandleValue(1, "URL", b"long"),),
}
BELOW = f"0.NA/{P}.9"


@pytest.fixture(autouse=True)
def sites() -> Iterator[None]:
    """What a site file says is no part of this."""
    with plain_sites():
        yield


def there(number: int = 0, **changes: object) -> Office:
    """Return a node where P is allocated, has records, and a prefix handle of a prefix below it."""
    office = Office()
    if changes:
        name = office.party(number, **changes)
        for reviewer in (BEN, CARLA):
            office.do(VerifyParty(name, "manual", EVIDENCE), reviewer)
        office.do(ApplyPrefix(P, name))
        office.do(ReviewPrefix(P, approve=True), BEN)
    else:
        office.allocated(P, number)
    for handle, values in RECORDS.items():
        assert office.ask(Put(handle, values)).done
    assert office.ask(Put(BELOW, (HandleValue(1, "URL", b"below"),))).done
    office.do(Put(f"{P}/GONE", RECORDS[f"{P}/BAG-1"]))
    assert office.ask(Delete(f"{P}/GONE")).done
    return office


def own() -> Office:
    """Return a node that holds P by itself."""
    office = Office()
    founding = Registry(office.store, RULES, founding=True)
    founding.run([Request(Home(P), ANNA)], NOW)
    return office


def answers(office: Office) -> dict[str, bytes]:
    """Return the rows of all records of P: what is answered of them, in any form."""
    start = (f"{P}/", f"0.NA/{P}")
    return {
        f"{table.value} {key!r}": row
        for table in (Table.RECORDS, Table.ANSWERS)
        for key, row in office.dump()[table.value].items()
        if key.decode("utf-8", "surrogateescape").startswith(start)
    }


def right(office: Office) -> bool:
    with office.store.snapshot() as snapshot:
        return list(check_store(snapshot)) == []


def rules_of(body: bytes) -> list[str]:
    return [each["rule"] for each in json.loads(body)["faults"]]


def file_of(office: Office) -> list[bytes]:
    return export(office, P)


FILE = None


def a_file() -> list[bytes]:
    """Return one export, made once."""
    global FILE
    if FILE is None:
        with plain_sites():
            FILE = file_of(there())
    return FILE


# --- what comes ----------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 7, 1_000])
def test_all_of_it_comes(chunk: int) -> None:
    """Every octet that is stored of a record, how the prefix came about, its party and its history."""
    source, target = there(), Office()
    lines = file_of(source)
    result = take_over(target, lines, chunk=chunk)
    assert result.done, result
    assert answers(target) == answers(source)
    assert target.homed() == {OWN, P}
    before, after = source.application(P), target.application(P)
    assert [step.event for step in after.steps] == [*(step.event for step in before.steps), "import", "imported"]
    people = [(f"elsewhere:{step.who.role}", step.who.name, -1, "") for step in before.steps]
    assert [tuple(step.who) for step in after.steps[: len(people)]] == people
    assert (after.state, after.hosting, after.site) == (before.state, before.hosting, before.site)
    assert after.steps[-1].evidence == begin(lines).evidence
    assert right(target)
    assert check(lines).total == len(bodies(lines))
    assert target.ask(Put(f"{P}/NEW", RECORDS[f"{P}/BAG-1"])).done


def test_history_is_told_with_where_it_was() -> None:
    """Changes and entries of the node that exported, and no change or entry of this one."""
    source, target = there(), Office()
    assert take_over(target, file_of(source)).done
    past = [unpack_past(row) for row in target.dump()["history"].values()]
    assert {each.origin for each in past} == {KEY}
    told = [(each.what.kind, each.what.identifier) for each in past if isinstance(each.what, Change)]
    about = (P, f"0.NA/{P}", BELOW, *(RULES.key(handle).decode() for handle in [*RECORDS, f"{P}/GONE"]))
    assert told == [change for change in source.feed() if change[1] in about]
    acts = [each.what.action for each in past if not isinstance(each.what, Change)]
    assert acts == ["prefix.apply", "prefix.review"]
    assert all(each.what.who.uid == -1 for each in past if not isinstance(each.what, Change))


def test_a_prefix_goes_on_to_a_third_node_with_all_of_its_history() -> None:
    """Whoever has it last knows what happened at both."""
    first, second, third = there(), Office(), Office()
    assert take_over(second, file_of(first)).done
    again = export(second, P, STRANGER)
    assert take_over(third, again).done
    past = [unpack_past(row) for row in third.dump()["history"].values()]
    origins = [each.origin for each in past]
    assert set(origins) == {KEY, STRANGER.sign("x", b"").key_id}
    assert {step.who.role for step in third.application(P).steps} == {"elsewhere:local", "local"}
    assert answers(third) == answers(first)
    assert right(third)


def test_a_suspended_prefix_arrives_suspended() -> None:
    """And can be resumed."""
    source, target = there(), Office()
    source.do(MovePrefix(P, "suspend", "because", EVIDENCE))
    assert take_over(target, file_of(source)).done
    assert target.application(P).state == "suspended"
    assert unpack_prefix(target.rows(Table.PREFIXES)[P]).suspended
    assert right(target)
    target.do(MovePrefix(P, "resume", "mended"))
    assert answers(target) == answers(source)


def test_a_delegated_prefix_is_referred_to_the_same_site() -> None:
    """Its sites stand in its prefix handle and in its application."""
    source, target = Office(), Office()
    party = source.verified()
    source.do(ApplyPrefix(P, party, "delegated", SITE))
    source.do(ReviewPrefix(P, approve=True), BEN)
    assert take_over(target, file_of(source)).done
    assert unpack_prefix(target.rows(Table.PREFIXES)[P]).hosting == "delegated"
    assert target.application(P).site == SITE
    assert answers(target) == answers(source)
    assert right(target)


@pytest.mark.parametrize("number", range(len(ROWS)))
@pytest.mark.parametrize("kind", ["producer", "person"])
def test_every_sample_party_comes_without_its_identity(number: int, kind: str) -> None:
    """No field of identity is in the file; what anybody may know is; it can be shown, completed and verified here."""
    source, target = there(number, kind=kind), Office()
    lines = file_of(source)
    content = b"".join(lines).decode()
    hidden = identity_names(person=kind == "person")
    for field in hidden:
        value = str(ROWS[number].get(field, ""))
        assert len(value) < 4 or value not in content, field
    assert take_over(target, lines).done
    name = target.application(P).party
    party = target.party_row(name)
    assert party.plain == source.party_row(source.application(P).party).plain
    assert (party.sealed, party.state, party.steps[-1].method) == ({}, Verified.VERIFIED, "transfer")
    document = party_document(name, party, {})
    assert document["awaits_identity"] is True
    assert not hidden & document.keys()
    target.do(AmendParty(name, form(number)))
    amended = target.party_row(name)
    assert amended.sealed.keys() >= {"contact", "phone"}
    assert amended.state is Verified.UNVERIFIED
    assert party_document(name, amended, {})["awaits_identity"] is False
    assert right(target)


def test_a_party_with_this_certificate_gets_the_prefix() -> None:
    """One certificate, one party: verified here it holds it, otherwise it is verified first."""
    source, target = there(), Office()
    lines = file_of(source)
    name = target.party(0)
    assert rules_of(take_over(target, lines).body) == ["verified"]
    for reviewer in (BEN, CARLA):
        target.do(VerifyParty(name, "manual", EVIDENCE), reviewer)
    before = target.party_row(name)
    assert take_over(target, lines).done
    assert target.application(P).party == name
    assert target.party_row(name) == before._replace(prefixes=(P,))
    assert right(target)


def test_a_party_that_is_amended_while_its_prefix_comes_is_verified_first() -> None:
    """It is looked at again by the act that switches the prefix on."""
    source, target = there(), Office()
    lines = file_of(source)
    name = target.verified(0)
    target.do(begin(lines))
    target.do(ImportLines(P, 0, b"".join(bodies(lines))))
    target.do(AmendParty(name, '{"legal_rep": "别人"}'.encode()))
    assert target.ask(begin(lines)).rule == "verified"
    assert target.application(P).state == "importing"
    for reviewer in (BEN, CARLA):
        target.do(VerifyParty(name, "manual", EVIDENCE), reviewer)
    assert target.ask(begin(lines)).done
    assert right(target)


# --- nothing of it is answered before ---------------------------------------------


def test_no_half_prefix_is_answered() -> None:
    """From the first line to the last it is held, its prefix handle too; nothing else moves it meanwhile."""
    target, lines = Office(), a_file()
    target.do(begin(lines))
    body = bodies(lines)
    for at, line in enumerate(body):
        with target.store.snapshot() as snapshot:
            assert hosting_of(snapshot, f"{P}/BAG-1".encode(), root=False) == STOPPED
            assert is_held(snapshot, f"0.NA/{P}".encode())
            assert is_held(snapshot, BELOW.encode())
        target.do(ImportLines(P, at, line))
    assert right(target)
    party = target.verified(3)
    for command, actor in (
        (MovePrefix(P, "resume", "because", EVIDENCE), ANNA), (MovePrefix(P, "delete", "because", EVIDENCE), ANNA),
        (Home(P), ANNA), (Home(P, "delegated"), ANNA), (Unhome(P), ANNA), (ReviewPrefix(P, approve=True), BEN),
        (ApplyPrefix(P, party), ANNA), (ExportPrefix(P), ANNA), (Put(f"{P}/NEW", RECORDS[f"{P}/BAG-1"]), ANNA),
    ):  # fmt: skip
        assert not target.ask(command, actor).done, command
        assert target.application(P).state == "importing"
        assert unpack_prefix(target.rows(Table.PREFIXES)[P]).suspended
    assert target.ask(begin(lines)).done
    assert target.application(P).state == "homed"


def test_a_cut_import_goes_on_where_it_was() -> None:
    """The same command says how far it is; a line is written once; told again when it is whole it does nothing."""
    target, lines = Office(), a_file()
    body = bodies(lines)
    assert target.do(begin(lines))["done"] == 0
    target.do(ImportLines(P, 0, b"".join(body[:4])))
    assert target.ask(ImportLines(P, 0, b"".join(body[:4]))).rule == "import-order"
    assert target.ask(ImportLines(P, 5, b"".join(body[5:]))).rule == "import-order"
    assert target.do(begin(lines)) | {"ended": False} == target.do(begin(lines))
    assert target.do(begin(lines))["done"] == 4
    assert take_over(target, lines).done
    before = target.dump(Table.JOURNAL, Table.META)
    again = target.do(begin(lines))
    assert (again["already"], again["state"]) == (True, "homed")
    assert target.dump(Table.JOURNAL, Table.META) == before


def test_lines_that_are_not_those_that_were_signed_are_never_switched_on() -> None:
    """The registrar chains what it writes: a file that is altered while it is imported is found out by it alone."""
    target, lines = Office(), a_file()
    body = bodies(lines)
    other = altered(body, "record", lambda line: line.update(values=json.loads(body[1])["values"]))
    target.do(begin(lines))
    target.do(ImportLines(P, 0, b"".join(other)))
    assert target.ask(begin(lines)).rule == "import-altered"
    assert target.application(P).state == "importing"
    assert target.do(AbandonImport(P))["more"] is False
    assert take_over(target, lines).done


@pytest.mark.parametrize("done", [0, 3, 10_000])
@pytest.mark.parametrize("office", [Office, own], ids=["new", "own"])
def test_an_abandoned_import_leaves_nothing(done: int, office: Callable[[], Office]) -> None:
    """Every table but journal, feed and counters is as before; and it may be imported anew."""
    target, lines = office(), a_file()
    party = target.rows(Table.PARTIES)
    prefixes, records = target.rows(Table.PREFIXES), answers(target)
    body = bodies(lines)[:done]
    target.do(begin(lines))
    if body:
        target.do(ImportLines(P, 0, b"".join(body)))
    target.do(AbandonImport(P))
    assert answers(target) == records
    assert {key: unpack_prefix(row).suspended for key, row in target.rows(Table.PREFIXES).items()} == {
        key: unpack_prefix(row).suspended for key, row in prefixes.items()
    }
    assert target.rows(Table.PARTIES) == party
    assert not target.rows(Table.TRANSFERS)
    assert not target.dump()["history"]
    assert (P in target.rows(Table.APPLICATIONS)) is (P in prefixes)
    assert right(target)
    assert target.ask(AbandonImport(P)).rule == "import-none"
    assert take_over(target, lines).done
    assert right(target)


def test_a_large_import_is_abandoned_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction is bounded; two steps in one group take no row twice."""
    monkeypatch.setattr("core.limits.IMPORT_CHUNK_ITEMS", 5)
    target, lines = Office(), a_file()
    body = bodies(lines)
    target.do(begin(lines))
    for at in range(0, len(body), 5):
        target.do(ImportLines(P, at, b"".join(body[at : at + 5])))
    many = b"".join(body[:6])
    assert target.ask(ImportLines(P, len(body), many)).rule == "import-order"
    results = target.run(AbandonImport(P), AbandonImport(P))
    assert [json.loads(result.body)["more"] for result in results] == [True, True]
    while target.do(AbandonImport(P))["more"]:
        assert right(target)
    assert not answers(target)
    assert right(target)


# --- an own prefix -------------------------------------------------------------------


def test_an_own_prefix_becomes_the_own_one_of_another_operator() -> None:
    """With its prefix handle; the importing node gets no code by it under which it could allocate."""
    source, target = own(), Office()
    for handle, values in RECORDS.items():
        assert source.ask(Put(handle, values)).done
    assert source.ask(Put(f"0.NA/{P}", (HandleValue(1, "HS_SECKEY", b"s", permissions=0b1100),))).done
    codes = target.dump()["meta"][b"codes"]
    assert take_over(target, export(source, P)).done
    assert target.application(P).own
    assert answers(target) == answers(source)
    assert target.dump()["meta"][b"codes"] == codes
    assert right(target)


@pytest.mark.parametrize("make", [own, there], ids=["own", "allocated"])
def test_an_empty_prefix_of_the_operator_takes_it_in_and_keeps_its_administrators(make: Callable[[], Office]) -> None:
    """Who may administer this node is not for a file to say; all else of the prefix handle is what came."""
    source, target = make(), own()
    template = HandleValue(500, "HS_NAMESPACE", b'<namespace><template delimiter="-"/></namespace>')
    kept = (HandleValue(100, "HS_ADMIN", b"ours", timestamp=1), HandleValue(301, "HS_SECKEY", b"x", permissions=0b1100))
    assert target.ask(Put(f"0.NA/{P}", kept)).done
    came = (HandleValue(100, "URL", b"https://b.example"), HandleValue(301, "HS_SECKEY", b"y", permissions=0b1100))
    assert source.ask(Put(f"0.NA/{P}", (*came, template), overwrite=True)).done
    told = take_over(target, export(source, P))
    assert told.done, told
    assert json.loads(told.body)["keeps_administrators"]
    values = {value.value_index: (value.type, value.data) for value in target.values(f"0.NA/{P}")}
    assert values == {
        100: ("HS_ADMIN", b"ours"), 101: ("URL", b"https://b.example"), 301: ("HS_SECKEY", b"x"),
        500: ("HS_NAMESPACE", template.data),
    }  # fmt: skip
    assert target.application(P).own is (make is own)
    assert right(target)


VALUE = st.builds(HandleValue, st.integers(1, 6), st.sampled_from(["URL", "HS_ADMIN", "HS_SECKEY", "HS_NAMESPACE"]))
RECORD = st.lists(VALUE, max_size=5, unique_by=lambda value: value.value_index).map(tuple)


@given(RECORD, RECORD)
def test_merged_values_give_the_rights_of_one_record_alone(mine: Values, came: Values) -> None:
    """No right comes, none is lost, nothing else is lost, and every index is there once."""
    rights = ("HS_ADMIN", "HS_SECKEY")
    result = merged(mine, came)
    assert len({value.value_index for value in result}) == len(result)
    assert [v for v in result if v.type in rights] == sorted(v for v in mine if v.type in rights)
    assert sorted(v.type for v in result if v.type not in rights) == sorted(
        v.type for v in came if v.type not in rights
    )


# --- what is refused ------------------------------------------------------------------


def taken() -> Office:
    office = Office()
    office.allocated(P, 5)
    return office


def used() -> Office:
    office = own()
    office.do(Put(f"{P}/X", RECORDS[f"{P}/BAG-1"]))
    return office


def suspended() -> Office:
    office = own()
    office.do(MovePrefix(P, "suspend", "because", EVIDENCE))
    return office


def applied_for() -> Office:
    office = Office()
    office.do(ApplyPrefix(P, office.party(5)))
    return office


def below() -> Office:
    office = Office()
    office.do(Put(BELOW, RECORDS[f"{P}/BAG-1"]))
    return office


def deleted() -> Office:
    office = taken()
    office.do(MovePrefix(P, "delete", "because", EVIDENCE))
    return office


def empty_above() -> Office:
    office = Office()
    founding = Registry(office.store, RULES, founding=True)
    founding.run([Request(Unhome(OWN), ANNA)], NOW)
    return office


@pytest.mark.parametrize("make", [taken, used, suspended, applied_for, below, deleted])
def test_a_prefix_that_is_somebodys_is_not_taken_over(make: Callable[[], Office]) -> None:
    """Nor one below which something lies that would be answered among what comes."""
    target = make()
    before = target.dump(Table.JOURNAL, Table.META)
    result = take_over(target, a_file())
    assert rules_of(result.body) == ["prefix-taken"]
    assert target.dump(Table.JOURNAL, Table.META) == before


@pytest.mark.parametrize("end", [None, "rejected"])
def test_a_draft_and_a_rejected_application_reserve_nothing(end: str | None) -> None:
    """As for any other who applies."""
    target = Office()
    target.do(ApplyPrefix(P, target.party(5), draft=end is None))
    if end:
        target.do(ReviewPrefix(P, reject="no"), BEN)
    assert take_over(target, a_file()).done
    assert right(target)


def test_a_prefix_below_that_of_another_party_is_not_taken_over() -> None:
    """What is above it is held here by somebody else."""
    source, target = Office(), Office()
    source.allocated(f"{P}.1", 0)
    target.allocated(P, 5)
    assert rules_of(take_over(target, export(source, f"{P}.1")).body) == ["prefix-above"]
    ours = own()
    founding = Registry(ours.store, RULES, founding=True)
    founding.run([Request(Home(f"{P}.1"), ANNA)], NOW)
    assert rules_of(take_over(target, export(ours, f"{P}.1")).body) == ["prefix-above"]


def test_a_prefix_need_not_be_below_the_code_of_the_node() -> None:
    """It was given by another secondary node."""
    source, target = there(), empty_above()
    assert take_over(target, file_of(source)).done
    assert P in target.rows(Table.PREFIXES)


def test_names_that_this_node_denies_do_not_come() -> None:
    """Neither by prefix nor by party."""
    for pattern in (P, f"*{ROWS[0]['name'][2:5]}*"):
        target = Office(policy=Policy(deny=(pattern,)))
        assert rules_of(take_over(target, a_file()).body) == ["name-denied"]


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Each with its path and rule."""
    target = taken()
    target.registry.policy = Policy(deny=(P,))
    target.registry._rules = HandleRules(case_sensitive=True)
    assert rules_of(target.ask(begin(a_file())).body) == ["transfer-case", "prefix-taken", "name-denied"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"phone": "13800138000"}, "transfer-identity"), ({"uscc": "X"}, "uscc"), ({"nosuch": "x"}, "unknown-field"),
        ({"name": ["x"]}, "type"), ({"region": "x"}, "region"), ({"13800138000": "x"}, "unknown-field"),
    ],
)  # fmt: skip
def test_the_data_of_a_party_is_checked_as_any_other(change: dict[str, Any], rule: str) -> None:
    """What it says is stored and told here."""
    lines = signed(altered(a_file(), "party", lambda party: party["plain"].update(change)))
    told = rules_of(take_over(Office(), lines).body)
    assert any(each.startswith(rule) for each in told), told


def test_in_production_the_key_is_known() -> None:
    """An operator has listed it; in development it is told that nobody has."""
    strange = signed(a_file(), STRANGER)
    target = Office(policy=Policy(production=True, import_keys=frozenset((KEY,))))
    result = take_over(target, strange)
    assert (result.outcome, result.rule) == (Outcome.FORBIDDEN, "transfer-key")
    assert STRANGER.sign("x", b"").key_id in result.message
    assert P not in target.rows(Table.PREFIXES)
    told = take_over(target, a_file())
    assert json.loads(told.body)["trusted"] is True
    assert json.loads(take_over(Office(), strange).body)["trusted"] is False


def test_a_head_of_one_file_does_not_go_with_the_trailer_of_another() -> None:
    """The registrar alone finds out that the party that it is shown was never signed as verified."""
    source = there()
    source.do(AmendParty("P000001", '{"legal_rep": "别人"}'.encode()))
    lines = file_of(source)
    assert take_over(Office(), lines).rule == "transfer-unverified"
    forged = altered(lines, "party", lambda party: party.update(state="verified"))
    assert take_over(Office(), forged).rule == "transfer-file"
    assert take_over(Office(), [*lines[:-1], a_file()[-1]]).rule == "transfer-file"


@pytest.mark.parametrize(
    ("prefix", "rule"),
    [("88.118.77", "prefix-not-found"), ("88.118.7.1", "prefix-not-found"), ("99.1", "prefix-not-found")],
)
def test_a_prefix_that_is_not_here_is_not_exported(prefix: str, rule: str) -> None:
    """Misspelt, below one that is here, of another node."""
    office = there()
    assert office.ask(ExportPrefix(prefix)).rule == rule
    with pytest.raises(NodeError):
        export(office, prefix)


def test_who_exported_is_in_the_journal() -> None:
    """Before the file is written, for it holds secret keys."""
    office = there()
    office.do(ExportPrefix(P), BEN)
    entry = office.journal()[-1]
    assert (entry.who.name, entry.action, entry.object, entry.outcome) == ("ben", "prefix.export", P, "ok")


def test_an_import_is_two_entries_whatever_its_length() -> None:
    """Its begin and its end, both with the digest that was signed."""
    target = Office()
    assert take_over(target, a_file(), chunk=1).done
    entries = [entry for entry in target.journal() if entry.action == "prefix.import"]
    assert [(entry.outcome, entry.evidence) for entry in entries] == [
        (outcome, begin(a_file()).evidence) for outcome in ("created", "ok")
    ]
    assert [kind.name for kind, name in target.feed() if name == P] == [
        "PREFIX_HOMED", "PREFIX_IMPORTING", "PREFIX_IMPORTED",
    ]  # fmt: skip


def test_a_dry_run_begins_nothing() -> None:
    """It tells what would refuse it."""
    target = Office()
    before = target.dump()
    (result,) = target.run(begin(a_file()), dry_run=True)
    assert result.done
    assert target.dump() == before


# --- files that are not what was signed -------------------------------------------------


def refused(content: bytes) -> bool:
    try:
        check(read_lines(io.BytesIO(content).readline))
    except NodeError as error:
        assert error.message
        return True
    return False


@given(st.data())
def test_any_altered_octet_is_found(data: st.DataObject) -> None:
    """Wherever it is; the whole file is looked at before a line of it is written."""
    lines = a_file()
    at = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[at]) - 1))
    flipped = bytearray(lines[at])
    flipped[place] ^= data.draw(st.integers(1, 255))
    content = b"".join([*lines[:at], bytes(flipped), *lines[at + 1 :]])
    assert refused(content)


@given(st.data())
def test_a_line_that_is_missing_twice_there_or_elsewhere_is_found(data: st.DataObject) -> None:
    """Also where nobody signed it anew, and where the file was cut anywhere."""
    lines = a_file()
    at = data.draw(st.integers(0, len(lines) - 1))
    other = data.draw(st.integers(0, len(lines) - 1).filter(lambda place: lines[place] != lines[at]))
    swapped = list(lines)
    swapped[at], swapped[other] = swapped[other], swapped[at]
    content = b"".join(lines)
    cut = content[: data.draw(st.integers(0, len(content) - 1))]
    for wrong in (
        lines[:at] + lines[at + 1 :], [*lines[:at], lines[at], *lines[at:]], swapped, [*lines, lines[at]],
        [cut],
    ):  # fmt: skip
        assert refused(b"".join(wrong))


@given(st.data())
def test_a_signed_file_of_any_other_order_is_no_file(data: st.DataObject) -> None:
    """An exporter that is wrong itself: lines missing of the head, of the head in the body, records not in order."""
    lines = a_file()[:-1]
    shuffled = data.draw(st.permutations(lines[:10]))
    if shuffled != lines[:10]:
        assert refused(b"".join(signed([*shuffled, *lines[10:]])))


def test_records_rise() -> None:
    """None stands twice in a file, whoever signed it."""
    lines = a_file()[:-1]
    at = next(place for place, line in enumerate(lines) if kind_of(line) == "record")
    first, second = lines[at : at + 2]
    for wrong in ((second, first), (first, first, second)):
        with pytest.raises(NodeError, match="not in their order"):
            check(signed([*lines[:at], *wrong, *lines[at + 2 :]]))


@pytest.mark.parametrize(
    ("kind", "change", "what"),
    [
        ("header", {"format": "other"}, "header"), ("header", {"version": 2}, "Version 2"),
        ("header", {"prefix": "88.118.7x"}, "folded"), ("header", {"prefix": "a..b"}, "empty segment"),
        ("application", {"own": True}, "party"), ("application", {"state": "draft"}, "draft"),
        ("application", {"filed_ms": -1}, "no time"), ("party", {"state": "sure"}, "sure"),
        ("record", {"handle": "88.118.8/X"}, "not of the prefix"), ("record", {"handle": "88.118.7/x"}, "folded"),
        ("record", {"handle": "0.NA/88.118.7"}, "not of the prefix"), ("record", {"values": "AAAA"}, "octets"),
        ("record", {"values": "!"}, "base64"), ("change", {"change": "nosuch"}, "nosuch"),
        ("change", {"identifier": "88.118.8"}, "not of the prefix"), ("change", {"serial": 0}, "no serial"),
        ("change", {"origin": "me"}, "origin"), ("change", {"at_ms": -1}, "no time"),
        ("entry", {"object": "P000001"}, "not of the prefix"), ("entry", {"number": -1}, "no serial"),
        ("record", {"kind": "bag"}, "'bag'"), ("prefix-handle", {"values": "AAAA"}, "octets"),
    ],
)  # fmt: skip
def test_a_signed_file_that_says_what_cannot_be_is_refused_with_its_line(
    kind: str, change: dict[str, Any], what: str
) -> None:
    """The reason names the line and what is wrong in it."""
    lines = altered(a_file()[:-1], kind, lambda line: line.update(change))
    with pytest.raises(NodeError, match=r"^第 \d+ 行 Line \d+: ") as caught:
        check(signed(lines))
    assert what in caught.value.message


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(st.data())
def test_a_signed_file_that_says_anything_is_taken_whole_or_refused(data: st.DataObject) -> None:
    """Total: no member of any line breaks the check or the registrar, and what is taken leaves a right store."""
    lines = a_file()[:-1]
    at = data.draw(st.integers(0, len(lines) - 1))
    document = json.loads(lines[at])
    path: list[Any] = []
    inner: Any = document
    while isinstance(inner, dict | list) and inner and (not path or data.draw(st.booleans())):
        path.append(data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner)))))
        inner = inner[path[-1]]
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = data.draw(ANY)
    lines[at] = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    if document.get("kind") not in KINDS[:-1]:
        return
    file = signed(lines)
    target = Office()
    fine = not refused(b"".join(file))
    if document["kind"] in HEADS or fine:
        result = take_over(target, file) if isinstance(json.loads(file[0])["prefix"], str) else None
        assert result is None or result.outcome is not Outcome.INTERNAL
        assert result is None or not result.done or fine
        assert right(target)


def test_a_record_that_breaks_a_rule_of_records_is_refused() -> None:
    """A secret key that is public would be told to everybody here."""
    secret = (HandleValue(1, "HS_SECKEY", b"s", permissions=0b1110),)
    line = encode_line(RecordLine(f"{P}/A", encode_values(secret)))
    heads = [each for each in a_file() if kind_of(each) in HEADS]
    with pytest.raises(NodeError, match="publicly readable"):
        check(signed([*heads, line]))


def test_an_empty_prefix_is_one_act() -> None:
    """There is no line to wait for but those of its history."""
    heads = [each for each in a_file() if kind_of(each) in HEADS]
    target = Office()
    assert target.do(begin(signed(heads)))["ended"] is True
    assert unpack_transfer(target.rows(Table.TRANSFERS)[P]).total == 0
    assert right(target)


def test_a_prefix_of_an_earlier_version_has_no_application() -> None:
    """It is the operator's own; its export and its taking over work all the same."""
    source, target = own(), own()
    for office in (source, target):
        batch = Batch()
        batch.put(Table.APPLICATIONS, P.encode(), None)
        office.store.commit(batch)
    source.do(Put(f"{P}/X", RECORDS[f"{P}/BAG-1"]))
    assert take_over(target, export(source, P)).done
    assert answers(target) == answers(source)
    assert target.application(P).own
    assert right(target)
    assert isinstance(target.store, MemoryEngine)


def test_the_signer_of_tests_is_the_one_that_is_named() -> None:
    """KEY is the id of SIGNER."""
    assert SIGNER.sign("x", b"").key_id == KEY


# --- holds and metadata templates ------------------------------------------------


@pytest.mark.parametrize("target", [P, f"{P}/BAG-1", "P000001", BELOW])
def test_what_is_on_hold_does_not_leave(target: str) -> None:
    """It would be answered elsewhere: also a prefix handle of a prefix below it, which it answers."""
    office = there()
    office.do(PlaceHold(target, "令1", "x"))
    result = office.ask(ExportPrefix(P))
    assert (result.outcome, result.rule) == (Outcome.CONFLICT, "on-hold")
    office.do(LiftHold(target, "令1"))
    assert office.do(ExportPrefix(P))


def test_an_order_between_the_act_and_the_reading_is_seen() -> None:
    """What is read is one state of the store: the order is looked for in that one."""
    office = there()
    office.do(ExportPrefix(P))
    office.do(PlaceHold(P, "令1", "x"))
    with pytest.raises(NodeError, match="令1"):
        export(office, P)


def with_templates() -> Office:
    """Return a node where records of P are bound to three versions, one of them withdrawn since."""
    office = there()
    for version in ("1.0", "2.0", "3.0", "4.0"):
        office.do(AddTemplate(template_form(version=version, party="P000001")))
        if version != "4.0":
            office.do(PublishTemplate(CODE, version))
            assert office.ask(Put(f"{P}/BOUND{version}", bound(f"{CODE}@{version}"))).done
    office.do(WithdrawTemplate(CODE, "3.0"))
    return office


def test_the_templates_that_records_are_bound_to_come_along() -> None:
    """As they stand, and no others; they are of no party here, whose id means another one."""
    source, target = with_templates(), Office()
    take_over(target, export(source, P))
    assert answers(target) == answers(source)
    assert right(target)
    rows = [unpack_template(row) for row in target.rows(Table.TEMPLATES).values()]
    assert {row.template.version: row.state.value for row in rows} == {
        "1.0": "published", "2.0": "published", "3.0": "withdrawn",
    }  # fmt: skip
    assert not any(row.template.party for row in rows)
    changed = Put(f"{P}/BOUND1.0", bound(f"{CODE}@1.0"), overwrite=True)
    assert target.ask(changed).done
    refused = target.ask(Put(f"{P}/NEW", bound(f"{CODE}@3.0")))
    assert refused.rule.startswith("binding-")


def test_a_template_that_is_here_stays_as_it_is() -> None:
    """And whoever has its code here has the versions that come, too."""
    source, target = with_templates(), Office()
    target.verified(5)
    target.do(AddTemplate(template_form(version="1.0", name="这里的模板", party="P000001")))
    target.do(PublishTemplate(CODE, "1.0"))
    take_over(target, export(source, P))
    assert right(target)
    rows = [unpack_template(row) for row in target.rows(Table.TEMPLATES).values()]
    assert {row.template.version: row.template.name == "这里的模板" for row in rows} == {
        "1.0": True, "2.0": False, "3.0": False,
    }  # fmt: skip
    assert {row.template.party for row in rows} == {"P000001"}


def test_a_draft_here_gives_way_to_the_version_that_comes() -> None:
    """A draft is nobody's commitment, and nothing may be bound to one."""
    source, target = with_templates(), Office()
    target.do(AddTemplate(template_form(version="1.0", name="草稿")))
    assert take_over(target, export(source, P)).done
    rows = [unpack_template(row) for row in target.rows(Table.TEMPLATES).values()]
    assert {row.template.version: row.state.value for row in rows} == {
        "1.0": "published", "2.0": "published", "3.0": "withdrawn",
    }  # fmt: skip
    assert not any(row.template.name == "草稿" for row in rows)
    assert {row.filer.role for row in rows} == {"elsewhere:local"}


@pytest.mark.parametrize("draft", [False, True])
def test_a_record_is_bound_to_a_version_that_is_here(draft: bool) -> None:
    """One whose template did not come with it, or is a draft here, is refused by name."""
    lines = export(with_templates(), P)
    target = Office()
    if draft:
        target.do(AddTemplate(template_form(version="1.0")))
    result = take_over(target, signed(line for line in lines if kind_of(line) != "template"))
    assert (result.outcome, result.rule) == (Outcome.CONFLICT, "import-binding")
    assert f"{P}/BOUND1.0" in result.message
    assert f"{CODE}@1" in result.message


def test_versions_that_come_are_counted_as_any_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """METADATA_VERSIONS_MAX is of the node, whoever filed them."""
    lines = export(with_templates(), P)
    monkeypatch.setattr("core.limits.METADATA_VERSIONS_MAX", 2)
    assert take_over(Office(), lines).rule == "template-count"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"items": ()}, "items"), ({"name": "x" * 129}, "name"), ({"name": " x"}, "canonical"),
        ({"description": "a\u202eb"}, "description"), ({"industry": ("", "14", "149", "1494")}, "industry.section"),
        ({"industry": ("C" * 33, "", "", "")}, "industry.section"),
        ({"items": tuple(Item(f"N{n}", "x", "text", 1) for n in range(201))}, "items"),
        ({"items": (Item("HS_ADMIN", "x", "text", 1),)}, "items[0].name"),
        ({"items": (Item("A", "x", "text", 65_537),)}, "items[0].length"),
        ({"items": (Item("A", "x", "text", 1), Item("a", "y", "text", 1))}, "items[1].name"),
    ],
)  # fmt: skip
def test_a_template_that_comes_keeps_the_rules_of_the_form(change: dict[str, Any], what: str) -> None:
    """Another node's word for it is none: the line is refused, and the member is named."""
    lines = export(with_templates(), P)

    def alter(line: dict[str, Any]) -> None:
        row = unpack_template(base64.b64decode(line["row"]))
        line["row"] = base64.b64encode(pack_template(row._replace(template=row.template._replace(**change)))).decode()

    with pytest.raises(NodeError) as caught:
        check(signed(altered(lines[:-1], "template", alter)))
    assert what in caught.value.message


def test_templates_that_came_stay_when_an_import_is_given_up() -> None:
    """They are the node's then, and may be bound to already."""
    lines = export(with_templates(), P)
    target = Office()
    target.do(begin(lines))
    target.do(ImportLines(P, 0, b"".join(bodies(lines)[:4])))
    target.do(AbandonImport(P))
    assert len(target.rows(Table.TEMPLATES)) == 3
    assert right(target)


# --- whose a prefix may be ---------------------------------------------------------


def homed(office: Office, prefix: str) -> None:
    Registry(office.store, RULES, founding=True).run([Request(Home(prefix), ANNA)], NOW)


def test_nothing_is_taken_over_above_a_prefix_that_is_here() -> None:
    """Homed by the operator or for a party, or applied for: its prefix handle would be written by a stranger."""
    ours, theirs, waiting, ended = (Office() for _ in range(4))
    homed(ours, f"{P}.9")
    theirs.allocated(f"{P}.9", 5)
    waiting.do(ApplyPrefix(f"{P}.9", waiting.party(5)))
    for office in (ours, theirs, waiting):
        before = office.dump(Table.JOURNAL, Table.META)
        result = take_over(office, a_file())
        assert rules_of(result.body) == ["prefix-below"]
        assert f"{P}.9" in result.body.decode()
        assert office.dump(Table.JOURNAL, Table.META) == before
    ended.do(ApplyPrefix(f"{P}.9", ended.party(5)))
    ended.do(ReviewPrefix(f"{P}.9", reject="no"), BEN)
    ended.do(ApplyPrefix(f"{P}.8", ended.party(6), draft=True))
    assert take_over(ended, a_file()).done


def test_a_prefix_handle_of_a_prefix_that_is_homed_meanwhile_is_not_written() -> None:
    """The operator homes one below while the lines come; nobody else is given one."""
    target, lines = Office(), a_file()
    target.do(begin(lines))
    result = target.ask(ApplyPrefix(f"{P}.9", target.verified(5)))
    assert rules_of(result.body) == ["prefix-above"]
    homed(target, f"{P}.9")
    result = take_over(target, lines)
    assert (result.outcome, result.rule) == (Outcome.CONFLICT, "import-foreign")
    assert BELOW in result.message
    assert record_key(RULES.key(BELOW)) not in target.dump()["records"]
    target.do(AbandonImport(P))
    assert right(target)


def test_what_is_here_already_stops_the_import_at_its_line() -> None:
    """A prefix handle that an administrator of this node wrote while the lines come: it is not replaced."""
    target, lines = Office(), a_file()
    target.do(begin(lines))
    assert target.ask(Put(BELOW, (HandleValue(1, "URL", b"ours"),))).done
    values = target.values(BELOW)
    result = take_over(target, lines)
    assert (result.outcome, result.rule) == (Outcome.CONFLICT, "import-exists")
    assert target.values(BELOW) == values
    assert right(target)


@pytest.mark.parametrize(
    ("prefix", "rules"),
    [("0", ["prefix-reserved"]), ("0.NA", ["prefix-reserved"]), ("0.SITE", ["prefix-reserved"]),
     ("0.NA.88", ["prefix-reserved"]), ("88.盐", ["prefix-characters"])],
)  # fmt: skip
def test_a_prefix_that_nobody_can_be_given_is_not_taken_over(prefix: str, rules: list[str]) -> None:
    """As the operator's own neither: 0.NA is where every prefix has its rights."""
    source, target = Office(), Office()
    homed(source, prefix)
    before = target.dump(Table.JOURNAL, Table.META)
    assert rules_of(take_over(target, export(source, prefix)).body) == rules
    assert target.dump(Table.JOURNAL, Table.META) == before


@pytest.mark.parametrize(
    "change",
    [
        {"uscc": ROWS[0]["uscc"].lower()}, {"uscc": f" {ROWS[0]['uscc']}"}, {"name": f"{ROWS[0]['name']} "},
        {"licence_number": " "}, {"kind": "person"}, {"prefix": P}, {"established": "2001-02-03 "},
    ],
)  # fmt: skip
def test_public_data_comes_as_it_would_be_kept_here(change: dict[str, str]) -> None:
    """So that a party is found by its certificate, however it was spelt elsewhere."""
    (name,) = change
    lines = signed(altered(a_file()[:-1], "party", lambda party: party["plain"].update(change)))
    target = Office()
    known = target.verified(0)
    result = take_over(target, lines)
    told = [(each["path"], each["rule"]) for each in json.loads(result.body)["faults"]]
    assert (name, "transfer-normal") in told
    assert list(target.rows(Table.PARTIES)) == [known]


# --- what a file may say, and what leaves ------------------------------------------


BAD = ("x" * 2_049, "a\u202eb", "a\x1b[2Jb")
PERSON = {"role": "local", "name": "x"}


@pytest.mark.parametrize(
    ("kind", "member", "change"),
    [
        *(("application", "name", {"filer": PERSON | {"name": bad}}) for bad in BAD),
        *(("application", "role", {"filers": [PERSON | {"role": bad}]}) for bad in BAD),
        *(("entry", "name", {"who": PERSON | {"name": bad}}) for bad in BAD),
        *(("entry", member, {member: bad}) for bad in BAD for member in ("action", "rule", "reason", "outcome")),
        ("entry", "object", {"object": f"{P}/\x1b"}), ("entry", "object", {"object": f"{P}/{'x' * 2_048}"}),
        ("change", "identifier", {"identifier": f"{P}/\n"}), ("entry", "evidence", {"evidence": "AAAA"}),
        ("application", "approvals", {"approvals": [PERSON] * 65}),
    ],
)  # fmt: skip
def test_texts_of_a_file_are_bounded_and_visible(kind: str, member: str, change: dict[str, Any]) -> None:
    """Each that is kept or shown; the member is named."""
    lines = altered(a_file()[:-1], kind, lambda line: line.update(change))
    with pytest.raises(NodeError) as caught:
        check(signed(lines))
    assert f" {member} " in caught.value.message.replace("。", " ")


@pytest.mark.parametrize(
    ("kind", "member"), [("application", "reason"), *(("party", each) for each in ("method", "source", "note"))]
)
def test_steps_of_a_file_are_bounded_and_visible(kind: str, member: str) -> None:
    """Their texts, and how many there are."""
    for bad in BAD:
        lines = altered(a_file()[:-1], kind, lambda line, bad=bad: line["steps"][0].update({member: bad}))
        with pytest.raises(NodeError, match=member):
            check(signed(lines))
    many = altered(a_file()[:-1], kind, lambda line: line.update(steps=line["steps"][:1] * 65))
    with pytest.raises(NodeError, match="steps takes at most 64 items"):
        check(signed(many))


def test_whatever_was_typed_can_be_taken_over() -> None:
    """An export shows no character that cannot be shown; what it says is taken elsewhere."""
    source, target = there(), Office()
    texts = ("\x1b[2J\u202e", "y" * 5_000)
    batch = Batch()
    for number, text in enumerate(texts, 1_000):
        entry = Entry(NOW, Who("local", text), text, f"{P}/{text}", text, text, f"line\n{text}")
        batch.put(Table.JOURNAL, entry_key(number), pack_entry(entry))
    source.store.commit(batch)
    assert take_over(target, file_of(source)).done
    first, second = (unpack_past(row).what for row in list(target.dump()["history"].values())[-2:])
    assert isinstance(first, Entry)
    assert isinstance(second, Entry)
    assert (first.who.name, first.object, first.reason) == (
        "\ufffd[2J\ufffd",
        f"{P}/\ufffd[2J\u202e",
        "line\n\ufffd[2J\ufffd",
    )
    assert (len(second.who.name), len(second.object), len(second.reason)) == (2_048, 2_048, 500)


def test_somebody_of_another_node_has_no_role_here() -> None:
    """Whatever a file calls him: it is shown that he is of elsewhere, in steps, of a party, and in the history."""
    who = {"role": "operator", "name": "ben"}

    def claim(line: dict[str, Any]) -> None:
        line["filer"] = line["steps"][0]["who"] = who
        line["filers"] = line["approvals"] = [who, {"role": "", "name": "x"}]

    lines = altered(a_file()[:-1], "application", claim)
    lines = signed(altered(lines, "entry", lambda entry: entry.update(who=who)))
    target = Office()
    assert take_over(target, lines).done
    application = target.application(P)
    people = [application.filer, *application.filers, *application.approvals, application.steps[0].who]
    assert {each.role for each in people} == {"elsewhere:operator", "elsewhere"}
    document = application_document(P.encode(), application)
    assert document["filed_by"] == document["steps"][0]["who"] == "ben (elsewhere:operator)"
    assert document["steps"][-1]["who"] == "dora (uid 1003)"
    party = target.party_row(application.party)
    assert [step.who.role for step in party.steps] == ["elsewhere:local"] * (len(party.steps) - 1) + ["local"]
    past = [unpack_past(row).what for row in target.dump()["history"].values()]
    assert [each.who.role for each in past if isinstance(each, Entry)] == ["elsewhere:operator", "elsewhere:local"]


def test_reasons_of_orders_do_not_leave() -> None:
    """An order that is not public was placed and lifted; that it was is told, what it rests on is not."""
    office = there()
    office.do(PlaceHold(f"{P}/BAG-1", "令7", "涉密调查", public=False))
    assert not office.ask(ExportPrefix(P)).done
    office.do(LiftHold(f"{P}/BAG-1", "令7"))
    lines = file_of(office)
    content = b"".join(lines).decode()
    for secret in ("涉密调查", "令7"):
        assert secret not in content
    entries = [json.loads(line) for line in lines if kind_of(line) == "entry"]
    assert [(each["action"], each["reason"]) for each in entries][-3:] == [
        ("hold.place", ""), ("prefix.export", ""), ("hold.lift", ""),
    ]  # fmt: skip


# --- giving up ---------------------------------------------------------------------


@pytest.mark.parametrize("target", [P, f"{P}/BAG-1", BELOW])
def test_an_import_of_which_anything_is_on_hold_is_not_given_up(target: str) -> None:
    """What is on hold stays until the order is lifted."""
    office, lines = Office(), a_file()
    office.do(begin(lines))
    office.do(ImportLines(P, 0, b"".join(bodies(lines))))
    office.do(PlaceHold(target, "令1", "x"))
    before = office.dump(Table.JOURNAL, Table.META)
    result = office.ask(AbandonImport(P))
    assert (result.outcome, result.rule) == (Outcome.CONFLICT, "on-hold")
    assert office.dump(Table.JOURNAL, Table.META) == before
    office.do(LiftHold(target, "令1"))
    assert office.do(AbandonImport(P))["more"] is False
    assert right(office)


@pytest.mark.parametrize("end", [None, "rejected"])
def test_an_earlier_application_is_back_when_an_import_is_given_up(end: str | None) -> None:
    """It was there before, and is of somebody else; a prefix of the operator's own keeps its time, too."""
    target, lines = Office(), a_file()
    target.do(ApplyPrefix(P, target.party(5), draft=end is None))
    if end:
        target.do(ReviewPrefix(P, reject="no"), BEN)
    before = target.rows(Table.APPLICATIONS)[P]
    target.do(begin(lines))
    assert target.application(P).state == "importing"
    target.do(AbandonImport(P))
    assert target.rows(Table.APPLICATIONS)[P] == before
    assert right(target)
    assert take_over(target, lines).done
    assert unpack_transfer(target.rows(Table.TRANSFERS)[P]).replaced == b""
    ours = own()
    row = ours.rows(Table.PREFIXES)[P]
    ours.do(begin(lines))
    ours.do(AbandonImport(P))
    assert ours.rows(Table.PREFIXES)[P] == row
