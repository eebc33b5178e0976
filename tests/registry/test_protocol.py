"""Frames between workers and the registrar: round trip, total, bounded, whole and byte by byte."""

from __future__ import annotations

import typing

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import limits
from core.admission import Identity
from core.errors import Outcome, WireError
from core.events import PROTOCOL_API, PROTOCOL_LOCAL, PROTOCOL_NONE, PROTOCOLS
from core.records import HandleValue, ValueReference
from registry.alias_commands import AddAlias, RemoveAlias
from registry.commands import (
    ANONYMOUS,
    OPERATOR,
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
    Origin,
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
    Token,
    Unhome,
    UpdateIncident,
    VerifyParty,
    WithdrawTemplate,
)
from registry.probe import Probe
from registry.protocol import Frames, decode_request, decode_result, encode_request, encode_result
from registry.upstream_commands import ConnectUpstream, DisconnectUpstream, TakeChange

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
INDEX = st.integers(-(2**31), 2**31 - 1)
OCTETS = st.binary(max_size=50)
VALUES = st.lists(
    st.builds(
        HandleValue,
        INDEX,
        TEXT,
        st.binary(max_size=20),
        st.integers(0, 2**32 - 1),
        st.booleans(),
        st.integers(0, 255),
        st.integers(0, 2**32 - 1),
        st.lists(st.builds(ValueReference, TEXT, INDEX), max_size=2).map(tuple),
    ),
    max_size=3,
).map(tuple)
COMMANDS: dict[type, st.SearchStrategy[Command]] = {
    Put: st.builds(Put, TEXT, VALUES, st.booleans(), st.booleans()),
    Add: st.builds(Add, TEXT, VALUES, st.booleans()),
    Modify: st.builds(Modify, TEXT, VALUES),
    Remove: st.builds(Remove, TEXT, st.lists(INDEX, max_size=3).map(tuple)),
    Delete: st.builds(Delete, TEXT),
    PutBatch: st.builds(PutBatch, st.binary(max_size=50), st.booleans(), st.booleans(), st.booleans()),
    Home: st.builds(Home, TEXT, TEXT),
    Unhome: st.builds(Unhome, TEXT),
    AddParty: st.builds(AddParty, OCTETS),
    AmendParty: st.builds(AmendParty, TEXT, OCTETS),
    VerifyParty: st.builds(VerifyParty, TEXT, TEXT, OCTETS, OCTETS, TEXT),
    ConfirmParty: st.builds(ConfirmParty, TEXT),
    ReadIdentity: st.builds(ReadIdentity, TEXT),
    RekeyParties: st.just(RekeyParties()),
    ApplyPrefix: st.builds(ApplyPrefix, TEXT, TEXT, TEXT, OCTETS, st.booleans()),
    ReviewPrefix: st.builds(
        ReviewPrefix, TEXT, st.booleans(), TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple)
    ),
    NationalVerdict: st.builds(
        NationalVerdict, TEXT, TEXT, TEXT, TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple), INDEX
    ),
    ConnectUpstream: st.builds(ConnectUpstream, TEXT, OCTETS, TEXT),
    DisconnectUpstream: st.builds(DisconnectUpstream, TEXT),
    TakeChange: st.builds(TakeChange, TEXT, TEXT, INDEX, TEXT, st.booleans(), OCTETS, OCTETS, INDEX, TEXT),
    SitePrefix: st.builds(SitePrefix, TEXT, OCTETS),
    MovePrefix: st.builds(MovePrefix, TEXT, TEXT, TEXT, OCTETS),
    IssueBearer: st.builds(IssueBearer, TEXT, TEXT, TEXT, INDEX),
    RevokeBearer: st.builds(RevokeBearer, TEXT),
    PlaceHold: st.builds(PlaceHold, TEXT, TEXT, TEXT, st.booleans()),
    AddAlias: st.builds(AddAlias, TEXT, TEXT),
    RemoveAlias: st.builds(RemoveAlias, TEXT),
    LiftHold: st.builds(LiftHold, TEXT, TEXT),
    HoldLog: st.builds(HoldLog, TEXT, TEXT, TEXT),
    ReleaseLog: st.builds(ReleaseLog, TEXT, TEXT),
    FileComplaint: st.builds(FileComplaint, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT),
    MoveComplaint: st.builds(MoveComplaint, TEXT, TEXT, TEXT),
    ReadContact: st.builds(ReadContact, TEXT),
    NoteRefusal: st.builds(NoteRefusal, TEXT, TEXT, TEXT, TEXT, TEXT),
    NoteAct: st.builds(NoteAct, TEXT, TEXT, TEXT),
    Probe: st.builds(Probe),
    AddTemplate: st.builds(AddTemplate, OCTETS),
    PublishTemplate: st.builds(PublishTemplate, TEXT, TEXT),
    WithdrawTemplate: st.builds(WithdrawTemplate, TEXT, TEXT),
    OpenIncident: st.builds(OpenIncident, OCTETS),
    UpdateIncident: st.builds(UpdateIncident, TEXT, OCTETS),
    ReportIncident: st.builds(ReportIncident, TEXT, TEXT),
    CloseIncident: st.builds(CloseIncident, TEXT),
    ExportPrefix: st.builds(ExportPrefix, TEXT),
    ImportPrefix: st.builds(ImportPrefix, TEXT, OCTETS, OCTETS, OCTETS),
    ImportLines: st.builds(ImportLines, TEXT, INDEX, OCTETS),
    AbandonImport: st.builds(AbandonImport, TEXT),
    CreateLot: st.builds(CreateLot, OCTETS),
    TakeBlock: st.builds(TakeBlock, TEXT, TEXT, INDEX, INDEX, TEXT),
    RecordEvents: st.builds(RecordEvents, TEXT, OCTETS, st.booleans(), OCTETS),
}
COMMAND = st.one_of(*COMMANDS.values())
ACTOR = st.one_of(
    st.sampled_from([OPERATOR, ANONYMOUS]),
    st.builds(Identity, TEXT, INDEX).map(Actor),
    TEXT.filter(bool).map(lambda bearer: Actor(bearer=bearer)),
    TEXT.map(lambda name: Actor(local=True, name=name)),
)
TOKEN = st.one_of(st.none(), st.builds(Token, TEXT, st.binary(min_size=32, max_size=32)))
ORIGIN = st.builds(
    Origin, st.sampled_from([*PROTOCOLS.values(), PROTOCOL_API, PROTOCOL_NONE]),
    st.sampled_from([b"", bytes(6), bytes(range(18))]),
)  # fmt: skip
REQUEST = st.builds(Request, COMMAND, ACTOR, TOKEN, st.booleans(), ORIGIN)
RESULT = st.builds(Result, st.sampled_from(Outcome), TEXT, TEXT, st.binary(max_size=50), st.booleans(), TEXT)


@given(st.integers(0, 2**63), REQUEST)
def test_request_round_trip(number: int, request: Request) -> None:
    """What is sent is what arrives."""
    (body,) = Frames().feed(encode_request(number, request))
    assert decode_request(body) == (number, request)


@given(st.integers(0, 2**63), RESULT)
def test_result_round_trip(number: int, result: Result) -> None:
    """What is answered is what arrives."""
    (body,) = Frames().feed(encode_result(number, result))
    assert decode_result(body) == (number, result)


@given(st.lists(RESULT, max_size=4), st.integers(1, 7))
def test_frames_are_the_same_whole_and_in_pieces(results: list[Result], step: int) -> None:
    """However the stream is cut."""
    stream = b"".join(encode_result(number, result) for number, result in enumerate(results))
    frames = Frames()
    pieces = [body for at in range(0, len(stream), step) for body in frames.feed(stream[at : at + step])]
    assert pieces == Frames().feed(stream)
    assert [decode_result(body)[1] for body in pieces] == results


@given(st.binary(max_size=60))
def test_total_on_any_bytes(octets: bytes) -> None:
    """A value or WireError, nothing else."""
    for decode in (decode_request, decode_result):
        try:
            decode(octets)
        except WireError:
            continue


def test_every_command_goes_round() -> None:
    """One that the strategy does not make would not be tried above."""
    assert set(COMMANDS) == set(typing.get_args(Command))


@pytest.mark.parametrize("kind", COMMANDS)
@settings(max_examples=5)
@given(data=st.data())
def test_a_strategy_makes_its_command(kind: type, data: st.DataObject) -> None:
    assert type(data.draw(COMMANDS[kind])) is kind


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=4) | TEXT,
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@given(COMMAND, st.data())
def test_a_wrong_member_is_no_request(command: Command, data: st.DataObject) -> None:
    """A member of the command is missing, is one too many, or is anything: the same types, or WireError."""
    (body,) = Frames().feed(encode_request(1, Request(command, OPERATOR)))
    number, kind, fields, *rest = msgpack.unpackb(body)
    at = data.draw(st.integers(0, len(fields)))
    other = data.draw(ANY)
    for changed in (fields[:at], [*fields[:at], other, *fields[at + 1 :]], [*fields, other], other):
        frame = msgpack.packb([number, kind, changed, *rest])
        try:
            _, request = decode_request(frame)
        except WireError:
            continue
        assert type(request.command) is type(command)
        assert list(map(type, request.command)) == list(map(type, type(command)(*command)))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("Put", []), ("Remove", ["88.1/x"]), ("Remove", ["88.1/x", ["1"]]), ("ReviewPrefix", ["88.1"]),
        ("ReviewPrefix", ["88.1", False, "", [["name"]]]), ("ReviewPrefix", ["88.1", False, "", ["ab"]]),
        ("ReviewPrefix", ["88.1", False, "", [["name", 5]]]), ("ReviewPrefix", ["88.1", 1, "", []]),
        ("MovePrefix", ["88.1", "delete", "why", "evidence"]), ("MovePrefix", ["88.1", 5]),
        ("IssueBearer", ["a", "b", "", True]),
        ("RekeyParties", [1]), ("Command", []), ("Governance", []), ("", []), (None, []), ("AddParty", ["text"]),
    ],
)  # fmt: skip
def test_wrong_frames_of_commands(kind: object, fields: object) -> None:
    """Each is a WireError: the registrar closes that connection, and no group ever fails of it."""
    with pytest.raises(WireError):
        decode_request(msgpack.packb((1, kind, fields, None, None, False)))


def test_a_frame_that_is_too_long_is_refused_before_it_comes() -> None:
    """By its announced length."""
    with pytest.raises(WireError, match="at most"):
        Frames().feed((limits.FRAME_BYTES_MAX + 1).to_bytes(4, "big"))


@pytest.mark.parametrize(
    ("packed", "actor"),
    [
        (None, ANONYMOUS),
        ({"name": ""}, OPERATOR),
        ({"name": "anna"}, Actor(local=True, name="anna")),
        ("0a1b2c3d4e5f", Actor(bearer="0a1b2c3d4e5f")),
        ([300, "0.NA/88.1"], Actor(Identity("0.NA/88.1", 300))),
        ("", None),
        ({}, None),
        ({"name": 5}, None),
        (True, None),
        (b"operator", None),
        ([300], None),
        ([], None),
    ],
)
def test_an_actor_is_said_in_words(packed: object, actor: Actor | None) -> None:
    """Nobody is the operator by leaving something out; what is no actor is no request."""
    body = msgpack.packb((1, "Delete", ["88.1/x"], packed, None, False))
    if actor is None:
        with pytest.raises(WireError):
            decode_request(body)
    else:
        assert decode_request(body) == (1, Request(Delete("88.1/x"), actor))


@pytest.mark.parametrize(
    "packed",
    [
        [PROTOCOL_LOCAL, b""], ["smtp", b""], ["tcp", b"1"], ["tcp", bytes(7)], ["tcp", bytes(22)], ["tcp", ""],
        ["tcp"], ["tcp", b"", b""], [], None, "tcp", [5, b""], {"tcp": b""},
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_origin_is_no_request(packed: object) -> None:
    """Nobody says that he is at this machine; addresses have four octets or sixteen, behind a port."""
    with pytest.raises(WireError):
        decode_request(msgpack.packb((1, "Delete", ["88.1/x"], None, None, False, packed)))
    with pytest.raises(WireError):
        decode_request(msgpack.packb((1, "Delete", ["88.1/x"], None, None, False, ["tcp", b""], packed)))


def test_the_frame_of_an_earlier_command_line_has_no_origin() -> None:
    """It is a person at this machine; of anybody else it is not known. And a person is nowhere else."""
    for packed, origin in (({"name": "anna"}, Origin(PROTOCOL_LOCAL)), (None, Origin()), ("0a1b2c3d4e5f", Origin())):
        _, request = decode_request(msgpack.packb((1, "Delete", ["88.1/x"], packed, None, False)))
        assert request.origin == origin
    elsewhere = msgpack.packb((1, "Delete", ["88.1/x"], {"name": "anna"}, None, False, ["tcp", bytes(6)]))
    assert decode_request(elsewhere)[1].origin == Origin(PROTOCOL_LOCAL)
