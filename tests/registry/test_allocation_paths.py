"""No code path allocates a prefix without an approved verification of its holder (Measures art. 10).

The prefixes of ``saltern init`` are the one exemption. Every command is tried by everybody on every
prefix, alone and in pairs; a command that is not in the list below fails the first test.
"""

from __future__ import annotations

import asyncio
import json
import typing
from collections.abc import Iterator
from functools import cache

import pytest

from core.errors import Outcome
from core.hdl.exchange import Asked
from core.lifecycle import Event, State
from core.records import AdminRecord, HandleValue
from core.signature import key_id
from core.store.application_rows import pack_application
from core.store.engine import Batch, Table
from core.store.party_rows import Verified
from core.wire.admin import encode_admin
from core.wire.codepoints import VERSION, OpCode, OpFlag
from core.wire.cursor import text
from core.wire.values import encode_values
from registry.alias_commands import AddAlias, RemoveAlias
from registry.commands import (
    ANONYMOUS,
    AbandonImport,
    Actor,
    Add,
    AddParty,
    AddTemplate,
    AmendParty,
    ApplyPrefix,
    CloseIncident,
    Command,
    ConfirmParty,
    CreateLot,
    Delete,
    ExportPrefix,
    FileComplaint,
    HoldLog,
    Home,
    ImportLines,
    ImportPrefix,
    IssueBearer,
    LiftHold,
    Modify,
    MoveComplaint,
    MovePrefix,
    NationalVerdict,
    NoteAct,
    NoteRefusal,
    OpenIncident,
    PlaceHold,
    PublishTemplate,
    Put,
    PutBatch,
    ReadContact,
    ReadIdentity,
    RecordEvents,
    RekeyParties,
    ReleaseLog,
    Remove,
    ReportIncident,
    Request,
    Result,
    ReviewPrefix,
    RevokeBearer,
    SitePrefix,
    TakeBlock,
    Unhome,
    UpdateIncident,
    VerifyParty,
    WithdrawTemplate,
)
from registry.handle_api import HandleApi
from registry.probe import Probe
from registry.service import Registry
from registry.upstream_commands import ConnectUpstream, DisconnectUpstream, TakeChange
from tests.kit.governance import (
    ADMIN,
    ANNA,
    BEN,
    CARLA,
    DORA,
    EVIDENCE,
    INCIDENT,
    NOW,
    OWN,
    RULES,
    SITE,
    Office,
    form,
    person,
    plain_sites,
)
from tests.kit.templates import template_form
from tests.kit.transfers import altered, begin, bodies, export, kind_of, signed, take_over

PARTIES = {
    "P000001": "unverified",
    "P000002": "format-ok",
    "P000003": "one review of two",
    "P000004": "failed",
    "P000005": "verified, then amended",
}
PREFIXES = [f"{OWN}.{number}" for number in range(1, 7)]
"""One of each party, and one that nobody applied for."""

URL = (HandleValue(1, "URL", b"https://a.example"),)
RIGHTS = (HandleValue(100, "HS_ADMIN", encode_admin(AdminRecord(0xFFF, "88.118.1", 300))),)
PARTY_OF = dict(zip(PREFIXES, PARTIES, strict=False))
EVENTS = [*(event.value for event in Event), "home", "allocate", "approve", "", "list", "show"]


def files() -> list[list[bytes]]:
    """Return exports of the first prefix whose party no other node verified, or that nobody signed so."""
    with plain_sites():
        office = Office()
        office.allocated(PREFIXES[0], 7)
    lines = export(office, PREFIXES[0])
    tampered = altered(lines, "party", lambda party: party.update(party="P000001"))
    own = altered([line for line in lines if kind_of(line) != "party"], "application", lambda line: line.update(own=1))
    states = [state.value for state in Verified if state is not Verified.VERIFIED]
    return [
        *(signed(altered(lines, "party", lambda party, state=state: party.update(state=state))) for state in states),
        signed(line for line in lines if kind_of(line) != "party"),
        signed(own),
        tampered,
    ]


TOPS = (key_id(bytes(32)), key_id(b"x" * 32))
"""Two upstreams: the first is connected, the second one would be."""

FILED = {prefix: 1_000 * (number + 11) + NOW for number, prefix in enumerate(PREFIXES)}
"""When each was filed in ``started``."""

IMPORTS = [begin(lines) for lines in files()]
CASES: dict[type, list[Command]] = {
    Put: [Put(f"{kind}{prefix}", RIGHTS, overwrite=True) for prefix in PREFIXES for kind in ("0.NA/", "")]
    + [Put(f"{prefix}/x", URL) for prefix in PREFIXES],
    Add: [Add(f"0.NA/{prefix}", RIGHTS, overwrite=True) for prefix in PREFIXES],
    Modify: [Modify(f"0.NA/{prefix}", RIGHTS) for prefix in PREFIXES],
    Remove: [Remove(f"0.NA/{prefix}", (1,)) for prefix in PREFIXES],
    Delete: [Delete(f"0.NA/{prefix}") for prefix in PREFIXES],
    PutBatch: [
        PutBatch(
            json.dumps(
                [
                    {"handle": f"{kind}{prefix}{rest}", "values": [{"index": 1, "type": "URL", "data": "x"}]}
                    for prefix in PREFIXES
                    for kind, rest in (("0.NA/", ""), ("", "/x"))
                ]
            ).encode(),
            lines=False,
        )
    ],
    Home: [Home(prefix, hosting) for prefix in PREFIXES for hosting in ("hosted", "delegated")],
    Unhome: [Unhome(prefix) for prefix in PREFIXES],
    AddParty: [AddParty(form(9))],
    AmendParty: [AmendParty(party, b'{"legal_rep": "\xe5\x88\xab\xe4\xba\xba"}') for party in PARTIES],
    VerifyParty: [VerifyParty(party, "offline") for party in PARTIES]
    + [VerifyParty("P000003", "offline", failed="no"), VerifyParty("P000001", "verified", EVIDENCE)]
    + [VerifyParty(party, "manual", EVIDENCE) for party in PARTIES if party != "P000003"],
    ConfirmParty: [ConfirmParty(party) for party in PARTIES],
    ReadIdentity: [ReadIdentity(party) for party in PARTIES],
    RekeyParties: [RekeyParties()],
    ApplyPrefix: [
        ApplyPrefix(prefix, party, hosting, site, draft)
        for prefix, party in [*PARTY_OF.items(), (PREFIXES[5], "P000001"), (PREFIXES[0], "P000002"), (OWN, "P000001")]
        for hosting, site, draft in (("hosted", b"", False), ("delegated", SITE, False), ("delegated", b"", True))
    ],
    ReviewPrefix: [ReviewPrefix(prefix, approve=True) for prefix in (*PREFIXES, OWN)]
    + [ReviewPrefix(PREFIXES[0], reject="no"), ReviewPrefix(PREFIXES[0], correct=(("name", "wrong"),))]
    + [ReviewPrefix(PREFIXES[0], approve=True, reject="no")],
    NationalVerdict: [
        NationalVerdict(prefix, top, verdict, "because", (("name", "wrong"),), FILED.get(prefix, NOW))
        for prefix in (*PREFIXES, OWN)
        for top in TOPS
        for verdict in ("approved", "rejected", "asked")
    ],
    ConnectUpstream: [ConnectUpstream("https://top.example.cn", b"x" * 32, "x")],
    DisconnectUpstream: [DisconnectUpstream(top) for top in TOPS],
    TakeChange: [
        TakeChange(top, "T1", 1, f"{prefix}/X", deleted, encode_values(()), b"", NOW, "eve")
        for prefix in (*PREFIXES, OWN, "0.NA")
        for top in TOPS
        for deleted in (False, True)
    ],
    SitePrefix: [SitePrefix(prefix, SITE) for prefix in PREFIXES],
    MovePrefix: [MovePrefix(prefix, event, "because", EVIDENCE) for prefix in PREFIXES for event in EVENTS],
    AddAlias: [AddAlias(f"{prefix}/x", "gln:6901234567892") for prefix in (*PREFIXES, OWN)],
    RemoveAlias: [RemoveAlias("gln:6901234567892")],
    IssueBearer: [IssueBearer("operator", "eve"), IssueBearer("enterprise", "eve", "P000001")],
    RevokeBearer: [RevokeBearer("0" * 12)],
    PlaceHold: [PlaceHold(target, "1", "because") for target in (*PREFIXES, *PARTIES, f"{PREFIXES[0]}/x")],
    HoldLog: [HoldLog("change/2023-11", "1", "because")],
    ReleaseLog: [ReleaseLog("change/2023-11", "1")],
    LiftHold: [LiftHold(target, "1") for target in (*PREFIXES, *PARTIES, f"{PREFIXES[0]}/x")],
    OpenIncident: [OpenIncident(INCIDENT)],
    UpdateIncident: [UpdateIncident("I000001", b'{"cause": "x", "measures": ["y"]}')],
    ReportIncident: [ReportIncident("I000001", "z")],
    CloseIncident: [CloseIncident("I000001")],
    FileComplaint: [FileComplaint("other", "x", PREFIXES[0])],
    MoveComplaint: [MoveComplaint("C20231114-2222222222", event) for event in ("accept", "close", "")],
    ReadContact: [ReadContact("C20231114-2222222222")],
    ExportPrefix: [ExportPrefix(prefix) for prefix in (*PREFIXES, OWN)],
    ImportPrefix: list(IMPORTS),
    ImportLines: [ImportLines(PREFIXES[0], 0, b"".join(bodies(lines)[:5])) for lines in files()],
    AbandonImport: [AbandonImport(prefix) for prefix in (*PREFIXES, OWN)],
    NoteRefusal: [NoteRefusal("prefix.apply", PREFIXES[0], "ok", "", "")],
    NoteAct: [NoteAct("lot.rekey", PREFIXES[0]), NoteAct("prefix.apply", PREFIXES[0])],
    Probe: [Probe()],
    AddTemplate: [AddTemplate(template_form(code=PREFIXES[0])), AddTemplate(template_form(party="P000001"))],
    PublishTemplate: [PublishTemplate(PREFIXES[0]), PublishTemplate("SALT-PRODUCT")],
    WithdrawTemplate: [WithdrawTemplate(PREFIXES[0])],
    CreateLot: [
        CreateLot(json.dumps({"lot": f"{prefix}/L1", "product": f"{OWN}/SKU", "count": 9}).encode())
        for prefix in (*PREFIXES, OWN, "0.NA")
    ],
    TakeBlock: [TakeBlock(f"{prefix}/L1", "L4", 9) for prefix in (*PREFIXES, OWN)],
    RecordEvents: [
        RecordEvents(f"{prefix}/L1", b'[{"event":"returned","time":"2023-11-14T00:00:00Z","from":0,"count":9}]', False)
        for prefix in (*PREFIXES, OWN)
    ],
}
ALL = [command for commands in CASES.values() for command in commands]


@pytest.fixture(autouse=True)
def sites() -> Iterator[None]:
    """What a site file says is no part of this."""
    with plain_sites():
        yield


@cache
def started(*, connected: bool = False) -> Office:
    """Return a node with five parties, none of them verified now, each of which has applied; to be forked.

    ``connected``: to a top node.
    """
    with plain_sites():
        office = _started()
    if connected:
        assert office.do(ConnectUpstream("https://top.example.cn", bytes(32)))["id"] == TOPS[0]
    return office


def _started() -> Office:
    office = Office()
    for number in range(5):
        office.party(number)
    office.do(VerifyParty("P000002", "offline"), BEN)
    office.do(VerifyParty("P000003", "manual", EVIDENCE), BEN)
    office.do(VerifyParty("P000004", "manual", failed="not the company on the paper"), BEN)
    for reviewer in (BEN, CARLA):
        office.do(VerifyParty("P000005", "manual", EVIDENCE), reviewer)
    for prefix, party in PARTY_OF.items():
        office.do(ApplyPrefix(prefix, party))
    office.do(AmendParty("P000005", b'{"legal_rep": "\xe5\x88\xab\xe4\xba\xba"}'))
    assert [office.party_row(party).state for party in PARTIES] == [
        Verified.UNVERIFIED,
        Verified.FORMAT_OK,
        Verified.UNVERIFIED,
        Verified.FAILED,
        Verified.UNVERIFIED,
    ]
    office.do(Put("0.NA/88.118", (*URL, HandleValue(300, "HS_SECKEY", b"secret", permissions=0b1100))))
    assert office.homed() == {OWN}
    assert all(office.application(prefix).filed_ms == FILED[prefix] for prefix in PARTY_OF)
    return office


def actors(office: Office) -> dict[str, Actor]:
    """Return somebody of each kind; each reviewer has reviewed nothing yet."""
    return {
        "local": DORA,
        "nameless": Actor(local=True),
        "upstream": person(f"upstream:{TOPS[0]}"),
        "server administrator": Actor(ADMIN),
        "operator": office.bearer("operator")[0],
        "reviewer": office.bearer("reviewer", "rosa")[0],
        "auditor": office.bearer("auditor")[0],
        "enterprise": office.bearer("enterprise", party="P000001")[0],
        "no token": Actor(bearer="f" * 12),
        "anybody": ANONYMOUS,
    }


def test_every_command_is_tried() -> None:
    """A new command needs its case here."""
    assert set(CASES) == set(typing.get_args(Command))
    assert all(type(command) is kind for kind, commands in CASES.items() for command in commands)


@pytest.mark.parametrize("connected", [False, True], ids=["alone", "connected"])
@pytest.mark.parametrize("who", list(actors(started().fork())))
def test_no_command_of_anybody_allocates(who: str, connected: bool) -> None:
    """Each alone on the same node; nor does all of it one after the other, nor as one group."""
    base = started(connected=connected).fork()
    actor = actors(base)[who]
    for command in ALL:
        office = base.fork()
        result = office.ask(command, actor)
        assert office.homed() == {OWN}, (command, result)
        assert result.outcome is not Outcome.INTERNAL, (command, result)
    office = base.fork()
    for command in ALL:
        office.ask(command, actor)
        assert office.homed() - {OWN} == set(), command
    office = base.fork()
    office.run(*ALL, actor=actor)
    assert office.homed() - {OWN} == set()


@pytest.mark.parametrize("kind", [ApplyPrefix, VerifyParty, AmendParty, Home, Unhome, ReviewPrefix, SitePrefix])
def test_no_pair_of_commands_in_one_group_allocates(kind: type) -> None:
    """Whatever comes before an approval, a homing, a site or a move of it, by the same person and in one commit."""
    base = started().fork()
    closing = [*CASES[ReviewPrefix], *CASES[Home], *CASES[SitePrefix], *CASES[MovePrefix], *CASES[Put]]
    for first in CASES[kind]:
        for last in closing:
            office = base.fork()
            office.run(first, last, actor=DORA)
            assert office.homed() - {OWN} == set(), (first, last)


def test_whoever_verified_first_neither_completes_nor_approves() -> None:
    """One group, one person: a second review of his own does not count, so the approval behind it finds nothing."""
    office = started().fork()
    results = office.run(VerifyParty("P000003", "manual", EVIDENCE), ReviewPrefix(PREFIXES[2], approve=True), actor=BEN)
    assert [result.rule for result in results] == ["two-reviewers", "verified"]
    assert office.homed() == {OWN}


def test_the_second_reviewer_may_verify_and_approve_in_one_group() -> None:
    """Then the verification is approved by two, and in the same commit as the prefix."""
    office = started().fork()
    group = (VerifyParty("P000003", "manual", EVIDENCE), ReviewPrefix(PREFIXES[2], approve=True))
    assert all(result.done for result in office.run(*group, actor=CARLA))
    assert office.homed() == {OWN, PREFIXES[2]}
    assert office.party_row("P000003").state is Verified.VERIFIED
    backwards = started().fork()
    assert [result.done for result in backwards.run(*reversed(group), actor=CARLA)] == [False, True]
    assert backwards.homed() == {OWN}


def test_a_dry_run_allocates_nothing() -> None:
    """Though it says that it would; not even the journal has it."""
    office = Office()
    party = office.verified()
    office.do(ApplyPrefix(PREFIXES[0], party))
    before = office.dump()
    approve = ReviewPrefix(PREFIXES[0], approve=True)
    (result,) = office.run(approve, actor=BEN, dry_run=True)
    assert (result.outcome, json.loads(result.body)["state"]) == (Outcome.OK, "homed")
    assert office.dump() == before
    first, second = (Request(approve, BEN, dry_run=True), Request(Put(f"{PREFIXES[0]}/x", URL), ANNA))
    assert [each.outcome for each in office.registry.run([first, second], NOW)] == [
        Outcome.OK,
        Outcome.NOT_RESPONSIBLE,
    ]


# --- states that no approval leads to ---------------------------------------


@pytest.mark.parametrize("connected", [False, True], ids=["alone", "connected"])
@pytest.mark.parametrize("hosting", ["hosted", "delegated"])
@pytest.mark.parametrize("state", [state for state in State if state not in (State.HOMED, State.SUSPENDED)])
def test_nothing_is_homed_out_of_a_state_that_is_not_allocated(state: State, hosting: str, connected: bool) -> None:
    """Resume, site, home and verdict find the state, wherever it came from; only a site homes what is allocated."""
    base = started(connected=connected).fork()
    application = base.application(PREFIXES[0])._replace(state=state.value, hosting=hosting)
    batch = Batch()
    batch.put(Table.APPLICATIONS, PREFIXES[0].encode(), pack_application(application))
    base.store.commit(batch)
    for actor in actors(base).values():
        for command in ALL:
            if command == SitePrefix(PREFIXES[0], SITE) and (state, hosting) == (State.ALLOCATED, "delegated"):
                continue
            office = base.fork()
            office.ask(command, actor)
            assert PREFIXES[0] not in office.rows(Table.PREFIXES), (command, actor)


@pytest.mark.parametrize("kind", list(CASES), ids=lambda kind: kind.__name__)
def test_a_verdict_allocates_nothing_while_the_party_is_not_verified(kind: type) -> None:
    """Approved here, then the party was amended: whatever comes before the verdict, by anybody, it waits on."""
    base = started(connected=True).fork()
    prefix, by = PREFIXES[2], actors(base)["upstream"]
    for command in (VerifyParty("P000003", "manual", EVIDENCE), ReviewPrefix(prefix, approve=True)):
        base.do(command, CARLA)
    assert base.application(prefix).state == State.NATIONAL_REVIEW.value
    base.do(AmendParty("P000003", b'{"legal_rep": "\xe5\x88\xab\xe4\xba\xba"}'))
    verdict = NationalVerdict(prefix, TOPS[0], "approved", "", (), FILED[prefix])
    for command in CASES[kind]:
        for actor in (DORA, by):
            office = base.fork()
            office.ask(command, actor)
            assert not office.ask(verdict, by).done, command
            assert prefix not in office.rows(Table.PREFIXES), command
    assert base.ask(verdict, by).rule == "verified"
    for reviewer in (BEN, CARLA):
        base.do(VerifyParty("P000003", "manual", EVIDENCE), reviewer)
    base.do(verdict, by)
    assert prefix in base.rows(Table.PREFIXES)


def test_a_deleted_prefix_is_reviewed_again() -> None:
    """Its party applies again; as long as nobody has verified what was amended meanwhile nobody approves it."""
    office = Office()
    prefix = PREFIXES[0]
    party = office.allocated(prefix)
    assert office.homed() == {OWN, prefix}
    office.do(MovePrefix(prefix, "delete", "end of the contract", EVIDENCE))
    assert office.homed() == {OWN}
    for event in EVENTS:
        assert not office.ask(MovePrefix(prefix, event, "back again", EVIDENCE)).done
    assert office.ask(Home(prefix)).rule == "application-needed"
    assert not office.ask(ReviewPrefix(prefix, approve=True), CARLA).done
    office.do(AmendParty(party, b'{"legal_rep": "\xe5\x88\xab\xe4\xba\xba"}'))
    office.do(ApplyPrefix(prefix, party))
    assert office.homed() == {OWN}
    assert office.ask(ReviewPrefix(prefix, approve=True), CARLA).rule == "verified"
    for reviewer in (BEN, CARLA):
        office.do(VerifyParty(party, "manual", EVIDENCE), reviewer)
    assert office.homed() == {OWN}
    office.do(ReviewPrefix(prefix, approve=True), CARLA)
    assert office.homed() == {OWN, prefix}


@pytest.mark.parametrize("used", [False, True])
def test_a_prefix_that_was_deleted_goes_to_no_other_party(used: bool) -> None:
    """Applied for again and rejected: what was registered below it, or was told to others, stays its party's."""
    office = Office()
    prefix = PREFIXES[0]
    first, second = office.allocated(prefix), office.verified(1)
    if used:
        office.do(Put(f"{prefix}/bag", URL))
    office.do(MovePrefix(prefix, "delete", "end of the contract", EVIDENCE))
    refused = office.ask(ApplyPrefix(prefix, second))
    assert [each["rule"] for each in json.loads(refused.body)["faults"]] == ["prefix-taken"]
    office.do(ApplyPrefix(prefix, first))
    office.do(ReviewPrefix(prefix, reject="not now"), BEN)
    refused = office.ask(ApplyPrefix(prefix, second))
    assert [each["rule"] for each in json.loads(refused.body)["faults"]] == ["prefix-taken"]
    office.do(ApplyPrefix(prefix, first))


def test_records_without_an_application_are_somebodys_too() -> None:
    """Of a prefix that an earlier version homed and unhomed there is no application, but its records."""
    office = Office()
    prefix = PREFIXES[0]
    founding = Registry(office.store, RULES, founding=True)
    founding.run([Request(each, ANNA) for each in (Home(prefix), Put(f"{prefix}/x", URL), Unhome(prefix))], NOW)
    batch = Batch()
    batch.put(Table.APPLICATIONS, prefix.encode(), None)
    office.store.commit(batch)
    assert office.ask(ApplyPrefix(prefix, office.verified())).rule == "form"


# --- transfer ---------------------------------------------------------------


@pytest.mark.parametrize("number", range(len(IMPORTS)))
def test_no_import_allocates_without_a_verified_party(number: int) -> None:
    """On an empty node, and by somebody who may: a statement that is missing, says another thing or is not signed."""
    office = Office()
    before = office.dump(Table.JOURNAL, Table.META)
    result = take_over(office, files()[number])
    assert not result.done
    assert result.outcome is not Outcome.INTERNAL
    assert office.dump(Table.JOURNAL, Table.META) == before


def test_a_party_that_came_by_a_transfer_gets_no_other_prefix_by_it() -> None:
    """The verification of another node allocated there; here its papers are filed and looked at first."""
    there, here = Office(), Office()
    there.allocated("88.118.7")
    assert take_over(here, export(there, "88.118.7")).done
    party = here.application("88.118.7").party
    assert here.party_row(party).state is Verified.VERIFIED
    here.do(ApplyPrefix("88.118.8", party))
    assert here.ask(ReviewPrefix("88.118.8", approve=True), BEN).rule == "identity-awaited"
    here.do(AmendParty(party, form(0)))
    assert here.ask(ReviewPrefix("88.118.8", approve=True), BEN).rule == "verified"
    for reviewer in (BEN, CARLA):
        here.do(VerifyParty(party, "manual", EVIDENCE), reviewer)
    here.do(ReviewPrefix("88.118.8", approve=True), BEN)
    assert here.homed() == {OWN, "88.118.7", "88.118.8"}


# --- homing -----------------------------------------------------------------


def test_the_founding_node_homes_its_own_and_takes_no_partys() -> None:
    """``saltern init`` makes prefixes the operator's own; one that a party has applied for or holds is not."""
    office = started().fork()
    founding = Registry(office.store, RULES, founding=True)
    (made,) = founding.run([Request(Home(PREFIXES[5]), ANNA)], NOW)
    assert made.outcome is Outcome.CREATED
    assert office.homed() == {OWN, PREFIXES[5]}
    results = founding.run([Request(Home(prefix), ANNA) for prefix in PREFIXES[:5]], NOW)
    assert {result.rule for result in results} == {"application-needed"}
    assert office.homed() == {OWN, PREFIXES[5]}


def test_operations_300_and_301_home_nothing_new() -> None:
    """Of a server administrator: what was allocated is homed as it is, only the operator's own is unhomed."""
    office = started().fork()
    office.allocated("88.118.7", 20)

    class Registrar:
        async def call(self, request: Request) -> Result:
            return office.registry.run([request], NOW)[0]

    api = HandleApi(RULES, office.store, Registrar(), root=False)
    for op in (OpCode.HOME_PREFIX, OpCode.UNHOME_PREFIX):
        for prefix in (*PREFIXES, "88.118.7", "99.1"):
            asked = Asked(op, 0, text(f"0.NA/{prefix}"), VERSION, ADMIN)
            homed = op is OpCode.HOME_PREFIX and prefix == "88.118.7"
            refused = (Outcome.FORBIDDEN, Outcome.NOT_RESPONSIBLE)
            assert asyncio.run(api.answer(asked)).outcome in ((Outcome.OK,) if homed else refused)
            assert office.homed() == {OWN, "88.118.7"}
    for prefix in PREFIXES:
        body = text(f"0.NA/{prefix}") + bytes(4)
        assert asyncio.run(api.answer(Asked(OpCode.CREATE_HANDLE, OpFlag.OVERWRITE, body, VERSION, ADMIN)))
    assert office.homed() == {OWN, "88.118.7"}


def test_a_suspended_prefix_of_the_operator_is_resumed_with_a_reason_or_not_at_all() -> None:
    """Homing it another way would resume it unsaid; what happened to it stays in its row."""
    office = Office()
    registry = Registry(office.store, RULES, founding=True)
    registry.run([Request(Home(PREFIXES[5]), ANNA)], NOW)
    office.do(MovePrefix(PREFIXES[5], "suspend", "wrong data", EVIDENCE))
    for hosting in ("hosted", "delegated"):
        assert office.ask(Home(PREFIXES[5], hosting)).rule == "transition"
    assert office.application(PREFIXES[5]).state == "suspended"
    office.do(MovePrefix(PREFIXES[5], "resume", "mended"))
    assert office.ask(Home(PREFIXES[5], "delegated")).done
    events = [step.event for step in office.application(PREFIXES[5]).steps]
    assert events == ["home", "suspend", "resume", "home"]
    assert office.ask(MovePrefix(PREFIXES[5], "delete", "no", EVIDENCE)).rule == "own-prefix"


def test_the_samples_are_told_apart() -> None:
    """Somebody of whom a test says that he has not reviewed has not."""
    assert len({ANNA.name, BEN.name, CARLA.name, DORA.name, person("eve").name}) == 5
