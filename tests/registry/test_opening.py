"""The licence over time, at the registrar: what is closed without one in force, by everybody, to the millisecond."""

from __future__ import annotations

import datetime
import re
import typing

import pytest

from core.clock import Millis
from core.errors import Outcome
from core.licence import Licence
from core.records import HandleValue
from registry.commands import (
    ANONYMOUS,
    Actor,
    Add,
    AddParty,
    AmendParty,
    ApplyPrefix,
    Command,
    ConfirmParty,
    Delete,
    Home,
    IssueBearer,
    LiftHold,
    Modify,
    MovePrefix,
    NoteAct,
    NoteRefusal,
    OpenIncident,
    PlaceHold,
    Put,
    PutBatch,
    Remove,
    Request,
    Result,
    ReviewPrefix,
    RevokeBearer,
    Token,
    Unhome,
    VerifyParty,
)
from registry.opening import OPEN, WITHOUT_LICENCE, WITHOUT_ROOM
from registry.policy import Policy
from tests.kit.governance import ADMIN, ANNA, BEN, EVIDENCE, INCIDENT, NOW, OWN, Office, form

LICENCE = Licence(datetime.date(2023, 11, 1), datetime.date(2024, 1, 31))  # NOW is in November 2023
OPENS, CLOSES = LICENCE.window
URL = (HandleValue(1, "URL", b"https://a.example"),)
ANYONES = (HandleValue(2, "DESC", b"mine", permissions=0b1111),)
CJK = re.compile("[\u4e00-\u9fff]")


def licensed() -> Office:
    """Return a node in production, with a prefix of a party and some records."""
    office = Office(policy=Policy(production=True, registration=LICENCE.window))
    office.allocated("88.118.7")
    office.do(Put("88.118.7/x", (*URL, *ANYONES)))
    office.party(1)
    office.do(ApplyPrefix("88.118.8", "P000002"))
    assert office.now < CLOSES
    return office


def at(office: Office, now_ms: int, command: Command, actor: Actor = ANNA, **options: typing.Any) -> Result:
    """Have one command run at a moment."""
    return office.registry.run([Request(command, actor, **options)], Millis(now_ms))[0]


def cases() -> dict[type, list[Command]]:
    """Return commands that are done while the licence is in force."""
    return {
        Put: [Put("88.118.7/new", URL), Put("88.118.7/x", URL, overwrite=True), Put("88.118.7/", URL, mint=True)],
        PutBatch: [PutBatch(b'[{"handle":"88.118.7/b","values":[{"index":1,"type":"URL","data":"x"}]}]', lines=False)],
        Add: [Add("88.118.7/x", (HandleValue(7, "DESC", b"7"),))],
        Modify: [Modify("88.118.7/x", (HandleValue(1, "URL", b"https://b.example"),))],
        AddParty: [AddParty(form(2))],
        AmendParty: [AmendParty("P000001", b'{"legal_rep": "\xe5\x88\xab\xe4\xba\xba"}')],
        VerifyParty: [VerifyParty("P000002", "offline")],
        ApplyPrefix: [ApplyPrefix("88.118.9", "P000001")],
        ReviewPrefix: [ReviewPrefix("88.118.8", reject="no")],
    }


def blank(kind: type) -> Command:
    """Return a command that says nothing."""
    blanks: dict[type, object] = {str: "", bytes: b"", bool: False, int: 0}
    hints = typing.get_type_hints(kind)
    made: Command = kind(*(blanks.get(hints[name], ()) for name in kind._fields))  # type: ignore[attr-defined]
    return made


def test_every_command_is_placed_with_a_reason() -> None:
    """A new command needs its line in the table."""
    assert set(WITHOUT_LICENCE) == set(typing.get_args(Command))
    assert all(why.strip() for _, why in WITHOUT_LICENCE.values())


@pytest.mark.parametrize("kind", typing.get_args(Command), ids=lambda kind: kind.__name__)
def test_a_command_is_refused_by_the_rule_as_the_table_says(kind: type) -> None:
    """Whatever it holds: of one that is closed nothing is looked at, one that is open ends by its own rules."""
    office = licensed()
    command = blank(kind)
    before = at(office, CLOSES - 1, command, dry_run=True)
    assert before.rule != "licence"
    for moment in (OPENS - 1, CLOSES):
        result = at(office, moment, command)
        goes_on, _ = WITHOUT_LICENCE[kind]
        assert (result.rule == "licence") == (goes_on is not OPEN), result
        assert (result.outcome is Outcome.REGISTRATION_CLOSED) == (goes_on is not OPEN)


@pytest.mark.parametrize("kind", cases(), ids=lambda kind: kind.__name__)
def test_registration_closes_at_midnight_and_writes_nothing(kind: type) -> None:
    """What was done a millisecond before is refused at the first one after, and is but an entry of journal and log."""
    for command in cases()[kind]:
        actor = BEN if kind in (ReviewPrefix, VerifyParty) else ANNA
        assert at(licensed(), CLOSES - 1, command, actor).done
        assert at(licensed(), OPENS, command, actor).rule != "licence"
        for moment in (CLOSES, CLOSES + 10**9, OPENS - 1):
            office = licensed()
            before = office.dump()
            result = at(office, moment, command, actor)
            assert (result.outcome, result.rule) == (Outcome.REGISTRATION_CLOSED, "licence")
            after = office.dump()
            changed = {name for name in before if before[name] != after[name]}
            assert changed == {"journal", "log_queue", "meta"}
            entry = office.journal()[-1]
            assert (entry.rule, entry.outcome, entry.who.name) == ("licence", "registration-closed", actor.name)
            dates = ("2023-11-01", "自") if moment < OPENS else ("2024-01-31", "已于")
            assert all(word in result.message for word in dates)
            assert CJK.search(result.message)


def test_what_goes_on_is_done_after_the_end() -> None:
    """Taking away, stopping, confirming, looking; each is done, not only not refused."""
    office = licensed()
    token = office.bearer("auditor")[0].bearer
    for command in (
        Remove("88.118.7/x", (2,)),
        Delete("88.118.7/x"),
        MovePrefix("88.118.7", "suspend", "order", EVIDENCE),
        MovePrefix("88.118.7", "resume", "over"),
        MovePrefix("88.118.7", "delete", "end", EVIDENCE),
        ConfirmParty("P000001"),
        IssueBearer("auditor", "inspector"),
        RevokeBearer(token),
        NoteRefusal("party.show", "P000001", "forbidden", "role", "no"),
        NoteAct("lot.rekey", "2"),
    ):
        assert at(office, CLOSES, command).done, command
    assert at(office, CLOSES, Home(OWN)).rule == "licence"
    assert at(office, CLOSES, Unhome(OWN)).rule == "locked-out"  # by its own rules


@pytest.mark.parametrize("actor", [ANNA, Actor(ADMIN), ANONYMOUS], ids=["local", "administrator", "anybody"])
def test_nobody_is_excepted(actor: Actor) -> None:
    """Not even values that anybody may write."""
    modify = Modify("88.118.7/x", (HandleValue(2, "DESC", b"changed", permissions=0b1111),))
    assert at(licensed(), CLOSES - 1, modify, actor).done
    assert at(licensed(), CLOSES, modify, actor).rule == "licence"


def test_a_token_does_not_help() -> None:
    """Of an enterprise or of an operator."""
    office = licensed()
    for role, party in (("enterprise", "P000001"), ("operator", "")):
        actor = office.bearer(role, role, party)[0]
        assert at(office, CLOSES - 1, Put(f"88.118.7/{role}", URL), actor).done
        refused = at(office, CLOSES, Put(f"88.118.7/{role}2", URL), actor)
        assert refused.rule == "licence"
        assert office.journal()[-1].who.token == actor.bearer


def test_an_answer_before_the_end_is_given_again_and_a_refusal_is_not_kept() -> None:
    """The same Idempotency-Key: what was done stays done; what was refused is done once the licence is renewed."""
    office = licensed()
    first = {"token": Token("a", b"a")}
    assert at(office, CLOSES - 1, Put("88.118.7/a", URL), **first).outcome is Outcome.CREATED
    assert at(office, CLOSES, Put("88.118.7/a", URL), **first).outcome is Outcome.CREATED
    later = {"token": Token("b", b"b")}
    assert at(office, CLOSES, Put("88.118.7/b", URL), **later).rule == "licence"
    renewed = office.fork()
    renewed.registry.policy = office.registry.policy._replace(
        registration=LICENCE._replace(last_day=datetime.date(2025, 1, 31)).window
    )
    assert at(renewed, CLOSES, Put("88.118.7/b", URL), **later).outcome is Outcome.CREATED


def test_one_group_has_requests_of_both_kinds() -> None:
    """Each ends on its own."""
    office = licensed()
    commands = (Put("88.118.7/y", URL), Delete("88.118.7/x"), Put("88.118.7/z", URL))
    results = office.registry.run([Request(each, ANNA) for each in commands], Millis(CLOSES))
    assert [each.rule for each in results] == ["licence", "", "licence"]
    assert results[1].done


def test_without_an_end_nothing_closes() -> None:
    """As in development: the policy that a node has there is open always."""
    office = Office()
    assert at(office, NOW + 10**12, Put(f"{OWN}/x", URL)).done


# --- a disk that is nearly full -------------------------------------------------------


def on_a_full_disk(office: Office) -> Office:
    """Let there be no room from now on."""
    office.registry.policy = office.registry.policy._replace(has_room=lambda: False)
    return office


@pytest.mark.parametrize("kind", typing.get_args(Command), ids=lambda kind: kind.__name__)
def test_without_room_a_command_is_refused_as_the_table_says(kind: type) -> None:
    """By the rule ``disk``, whoever asks; what goes on ends by its own rules."""
    office = licensed()
    assert at(office, office.now, blank(kind), dry_run=True).rule != "disk"
    result = at(on_a_full_disk(office), office.now, blank(kind))
    assert (result.rule == "disk") == (kind not in WITHOUT_ROOM), result
    assert (result.outcome is Outcome.STORE_FULL) == (kind not in WITHOUT_ROOM)
    assert all(why.strip() for why in WITHOUT_ROOM.values())
    assert set(WITHOUT_ROOM) < set(typing.get_args(Command))


@pytest.mark.parametrize("kind", cases(), ids=lambda kind: kind.__name__)
def test_without_room_nothing_is_written(kind: type) -> None:
    """Not even that it was refused; it says so in two languages."""
    for command in cases()[kind]:
        office = on_a_full_disk(licensed())
        before = office.dump()
        result = at(office, office.now, command, BEN if kind in (ReviewPrefix, VerifyParty) else ANNA)
        assert (result.outcome, result.rule) == (Outcome.STORE_FULL, "disk")
        assert office.dump() == before
        assert CJK.search(result.message)
        assert "resolving goes on" in result.message


def test_without_room_an_operator_still_does_what_cannot_wait() -> None:
    """Orders of the regulator, incidents, stopping a prefix, ending a token; each is done."""
    office = licensed()
    token = office.bearer("auditor")[0].bearer
    on_a_full_disk(office)
    for command in (
        PlaceHold("88.118.7/x", "1", "by order"),
        LiftHold("88.118.7/x", "1"),
        OpenIncident(INCIDENT),
        MovePrefix("88.118.7", "suspend", "order", EVIDENCE),
        RevokeBearer(token),
        NoteRefusal("party.show", "P000001", "forbidden", "role", "no"),
    ):
        assert at(office, office.now, command).done, command


def test_with_room_again_the_same_request_is_done() -> None:
    """A refusal for want of room is not kept under an Idempotency-Key; what was done before is told again meanwhile."""
    office = licensed()
    room = [True]
    office.registry.policy = office.registry.policy._replace(has_room=lambda: room[0])
    done, later = {"token": Token("a", b"a")}, {"token": Token("b", b"b")}
    assert at(office, office.now, Put("88.118.7/a", URL), **done).outcome is Outcome.CREATED
    room[0] = False
    assert at(office, office.now, Put("88.118.7/a", URL), **done).outcome is Outcome.CREATED
    assert at(office, office.now, Put("88.118.7/b", URL), **later).rule == "disk"
    room[0] = True
    assert at(office, office.now, Put("88.118.7/b", URL), **later).outcome is Outcome.CREATED
