"""Rows of parties, applications, tokens, templates, the journal and prefixes: round trip, total on any octets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.changes import Change, ChangeKind
from core.clock import Millis, read_millis
from core.errors import StoreError
from core.incidents import Event as Happened
from core.incidents import Kind, Severity
from core.incidents import State as Incidents
from core.lifecycle import Event, State
from core.store.application_rows import Application, Step, pack_application, unpack_application
from core.store.bearer_rows import Bearer, pack_bearer, unpack_bearer
from core.store.incident_rows import (
    Incident,
    Measure,
    Report,
    pack_incident,
    pack_open,
    pack_report,
    unpack_incident,
    unpack_open,
    unpack_report,
)
from core.store.incident_rows import Step as Moved
from core.store.journal_rows import Entry, dump_entry, pack_entry, unpack_entry
from core.store.log_rows import LogEntry, LogRow, pack_log_row, unpack_log_row
from core.store.party_rows import Check, PartyRow, Verified, pack_number, pack_party, unpack_number, unpack_party
from core.store.prefix_rows import HOSTINGS, HomedPrefix, pack_prefix, unpack_prefix
from core.store.template_rows import (
    TemplateRow,
    TemplateState,
    pack_template,
    pack_template_counts,
    unpack_template,
    unpack_template_counts,
)
from core.store.transfer_rows import Past, Transfer, pack_past, pack_transfer, unpack_past, unpack_transfer
from core.streams import Stream
from core.who import Role, Who
from core.wire.metadata import DATA_TYPES, Item, MetadataTemplate

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
OCTETS = st.binary(max_size=40)
TIME = st.integers(0, 2**32 * 1_000 - 1).map(Millis)
WHO = st.builds(Who, TEXT, TEXT, st.integers(-1, 2**32 - 1), TEXT)
STEP = st.builds(
    Step, TIME, st.sampled_from([each.value for each in Event]), st.sampled_from([each.value for each in State]), WHO,
    TEXT, OCTETS,
)  # fmt: skip
APPLICATION = st.builds(
    Application, st.sampled_from([each.value for each in State]), TEXT, st.sampled_from(HOSTINGS), OCTETS, TIME, WHO,
    st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple), st.lists(WHO, max_size=3).map(tuple), st.booleans(),
    st.lists(STEP, max_size=3).map(tuple), st.lists(WHO, max_size=3).map(tuple),
)  # fmt: skip
CHECK = st.builds(Check, TIME, TEXT, TEXT, OCTETS, WHO, st.sampled_from([each.value for each in Verified]), TEXT)
PARTY = st.builds(
    PartyRow, TIME, WHO, st.booleans(), st.dictionaries(TEXT, TEXT | st.lists(TEXT, max_size=2), max_size=3),
    st.dictionaries(TEXT, OCTETS, max_size=3), st.sampled_from(Verified), st.lists(CHECK, max_size=3).map(tuple), TIME,
    st.lists(WHO, max_size=3).map(tuple), st.lists(TEXT, max_size=3).map(tuple),
)  # fmt: skip
BEARER = st.builds(
    Bearer, st.binary(min_size=32, max_size=32), st.sampled_from(Role), TEXT, TEXT, TIME, TIME, TIME, WHO
)
DIGEST = st.sampled_from([b"", bytes(range(32))])
LOG_ENTRY = st.builds(
    LogEntry, st.sampled_from([each.value for each in Stream]), TEXT, TEXT, DIGEST, DIGEST, TEXT, TEXT, TEXT, DIGEST
)
LOG_ROW = st.builds(LogRow, TIME, WHO, TEXT, OCTETS, st.lists(LOG_ENTRY, max_size=3).map(tuple))
ENTRY = st.builds(Entry, TIME, WHO, TEXT, TEXT, TEXT, TEXT, TEXT, OCTETS)
DIGEST = st.binary(min_size=32, max_size=32)
TRANSFER = st.builds(
    Transfer, TEXT, DIGEST, DIGEST, st.just(9), st.integers(0, 9), DIGEST, TIME, TIME, st.sampled_from(["", *HOSTINGS]),
    st.just(b"") | APPLICATION.map(pack_application),
)  # fmt: skip
PAST = st.builds(Past, TEXT, st.integers(0, 2**40), st.builds(Change, st.sampled_from(ChangeKind), TEXT, TIME) | ENTRY)
PREFIX = st.builds(HomedPrefix, st.sampled_from(HOSTINGS), TIME, st.booleans())
ITEM = st.builds(Item, TEXT, TEXT, st.sampled_from(sorted(DATA_TYPES)), st.integers(1, 2**63 - 1), st.booleans(), TEXT)
TEMPLATE = st.builds(
    TemplateRow,
    st.builds(
        MetadataTemplate, st.sampled_from(["A", "salt-1"]), st.sampled_from(["1", "V2.0"]), st.tuples(*[TEXT] * 4),
        st.booleans(), st.lists(ITEM, max_size=3).map(tuple), TEXT, TEXT, TEXT,
    ),
    st.sampled_from(TemplateState), WHO, TIME, TIME, TIME,
)  # fmt: skip

INCIDENT = st.builds(
    Incident, TEXT, TEXT, st.sampled_from([each.value for each in Kind]),
    st.sampled_from([each.value for each in Severity]), TIME, TIME, TIME, TEXT, TEXT, TIME, WHO, TIME,
    st.sampled_from([each.value for each in Incidents]), TIME,
    st.lists(st.builds(Measure, TIME, TEXT, WHO), max_size=3).map(tuple),
    st.lists(st.builds(Report, TIME, TEXT, WHO, TEXT), max_size=3).map(tuple),
    st.lists(
        st.builds(
            Moved, TIME, st.sampled_from([each.value for each in Happened]),
            st.sampled_from([each.value for each in Incidents]), WHO, TEXT,
        ),
        max_size=3,
    ).map(tuple),
    TIME, st.booleans(),
)  # fmt: skip
REPORT = st.dictionaries(TEXT, TEXT | st.integers(-(2**53), 2**53) | st.none() | st.lists(TEXT, max_size=2), max_size=3)

KINDS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "application": (APPLICATION, pack_application, unpack_application),
    "party": (PARTY, pack_party, unpack_party),
    "bearer": (BEARER, pack_bearer, unpack_bearer),
    "log row": (LOG_ROW, pack_log_row, unpack_log_row),
    "entry": (ENTRY, pack_entry, unpack_entry),
    "prefix": (PREFIX, pack_prefix, unpack_prefix),
    "template": (TEMPLATE, pack_template, unpack_template),
    "incident": (INCIDENT, pack_incident, unpack_incident),
    "report": (REPORT, pack_report, unpack_report),
    "template counts": (
        st.dictionaries(TEXT, st.integers(1, 2**40), max_size=4),
        pack_template_counts,
        unpack_template_counts,
    ),
    "open": (st.lists(TEXT, max_size=4), pack_open, unpack_open),
    "transfer": (TRANSFER, pack_transfer, unpack_transfer),
    "past": (PAST, pack_past, unpack_past),
    "number": (st.integers(1, 10**9).map(lambda number: f"P{number:06}"), pack_number, unpack_number),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=4) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


@every_kind
@given(data=st.data())
def test_round_trip(kind: str, data: st.DataObject) -> None:
    """What is packed is what is unpacked."""
    values, pack, unpack = KINDS[kind]
    value = data.draw(values)
    assert unpack(pack(value)) == value


@every_kind
@given(data=st.data(), octets=OCTETS)
def test_total_on_any_octets(kind: str, data: st.DataObject, octets: bytes) -> None:
    """A value or StoreError: of any octets, of a row that was cut, and of one with other octets in it."""
    values, pack, unpack = KINDS[kind]
    row = pack(data.draw(values))
    at = data.draw(st.integers(0, len(row)))
    for damaged in (octets, b"\x01" + octets, row[:at], row[:at] + octets, row[:at] + octets + row[at + len(octets) :]):
        read(unpack, damaged)


@every_kind
@given(data=st.data(), wrong=ANYTHING)
def test_total_on_any_member(kind: str, data: st.DataObject, wrong: object) -> None:
    """One member of a row is something else, or missing, or is one too many; what is read can be written again."""
    values, pack, unpack = KINDS[kind]
    row = pack(data.draw(values))
    if kind in ("number", "report", "past", "open", "template counts", "log row"):
        return
    members = msgpack.unpackb(row[1:])
    name = data.draw(st.sampled_from([*members, "more"]))
    for changed in (members | {name: wrong}, {key: value for key, value in members.items() if key != name}, wrong):
        value = read(unpack, b"\x01" + msgpack.packb(changed))
        if value is not None:
            assert unpack(pack(value)) == value
            if kind == "entry":
                assert dump_entry(value)


@given(data=st.data(), wrong=ANYTHING)
def test_total_on_any_part_of_a_row_of_the_log(data: st.DataObject, wrong: object) -> None:
    """A row, or an entry of it, has one part that is something else, is missing, or is one too many."""
    row = data.draw(LOG_ROW.filter(lambda row: bool(row.entries)))
    members = msgpack.unpackb(pack_log_row(row)[1:])
    entry = members[4][0]
    for parts in (members, entry):
        at = data.draw(st.integers(0, len(parts) - 1))
        for changed in (
            [*parts[:at], wrong, *parts[at + 1 :]],
            [*parts[:at], *parts[at + 1 :]],
            [*parts, wrong],
            wrong,
        ):
            whole = changed if parts is members else [*members[:4], [changed]]
            value = read(unpack_log_row, b"\x01" + msgpack.packb(whole))
            if value is not None:
                assert unpack_log_row(pack_log_row(value)) == value


def read(unpack: Callable[[bytes], Any], row: bytes) -> Any:
    try:
        return unpack(row)
    except StoreError:
        return None


@every_kind
@pytest.mark.parametrize("version", [b"", b"\x00", b"\x02"])
def test_another_version_is_refused(kind: str, version: bytes) -> None:
    """Nobody guesses what it says."""
    with pytest.raises(StoreError):
        KINDS[kind][2](version + b"\x80")


def test_the_newest_steps_are_kept() -> None:
    """So many of an application and of a party; the journal has the others."""
    who = Who("local", "anna", 1)
    steps = tuple(Step(Millis(at), "apply", "submitted", who) for at in range(100))
    application = Application("submitted", "P000001", "hosted", b"", Millis(0), who, steps=steps)
    assert unpack_application(pack_application(application)).steps == steps[-limits.APPLICATION_STEPS :]
    checks = tuple(Check(Millis(at), "offline", "", b"", who, "format-ok") for at in range(100))
    moved = tuple(Moved(Millis(at), "update", "open", who) for at in range(100))
    incident = Incident(
        "t", "d", "system", "major", *[Millis(1)] * 3, "", "", Millis(1), who, Millis(1), steps=moved
    )  # fmt: skip
    assert unpack_incident(pack_incident(incident)).steps == moved[-limits.INCIDENT_STEPS :]
    party = PartyRow(Millis(0), who, False, {}, {}, steps=checks)
    assert unpack_party(pack_party(party)).steps == checks[-limits.PARTY_STEPS :]


@pytest.mark.parametrize("stored", [-1, 2**32 * 1_000, None, True, 1.0, "1", b"1"])
def test_what_is_no_time_is_refused(stored: object) -> None:
    """It would be shown, and counted with."""
    with pytest.raises(ValueError, match="no time"):
        read_millis(stored)
