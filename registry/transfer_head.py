"""The head of a transfer: how a prefix came about, who holds it, and the record of the prefix itself.

Fields of identity never leave the node: the file names those that it withholds. A person who acted is
told by role and name.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from core import limits
from core.clock import format_utc
from core.errors import Outcome, WireError
from core.ident.handle import PrefixKey, prefix_handle_of
from core.lifecycle import Event, State
from core.records import Values
from core.store.application_rows import Application, Step, unpack_application
from core.store.case_row import stored_case
from core.store.engine import Snapshot, Table
from core.store.party_rows import Check, PartyRow, Verified, unpack_party
from core.store.prefix_rows import Rows, unpack_prefix
from core.store.record_rows import record_key, unpack_values
from core.who import Who
from core.wire.transferfile import (
    FORMAT,
    VERSION,
    ApplicationLine,
    CheckForm,
    HeaderLine,
    Line,
    PartyLine,
    Person,
    PrefixHandleLine,
    StepForm,
    decode_line,
)
from core.wire.values import decode_values, encode_values
from registry.refusals import refusal
from registry.transfer_pieces import (
    REASON,
    SOURCE,
    WORD,
    checked,
    checked_count,
    checked_digest,
    checked_time,
    person_of,
    shown,
    who_of,
)
from registry.values import check_values

_EXPORTED: Final = (State.HOMED.value, State.SUSPENDED.value)


class Origin(NamedTuple):
    """Who exports, and when, in Unix seconds. ``node``: its first prefix."""

    node: str
    software: str
    at_s: int


class Head(NamedTuple):
    """What the head of a file says. ``application``: without its party. ``values``: of 0.NA/P."""

    header: HeaderLine
    application: Application
    party: PartyRow | None
    values: Values | None


def exported(rows: Rows, prefix: PrefixKey) -> Application:
    """Return the application of a prefix that may be exported. Errors: NodeError for any other prefix."""
    row, homed = rows.get(Table.APPLICATIONS, prefix), rows.get(Table.PREFIXES, prefix)
    if row is None and homed is None:
        raise refusal("prefix-not-found", Outcome.NOT_FOUND, prefix=prefix.decode())
    if row is None:  # homed by a version that had no applications
        own = unpack_prefix(homed or b"")
        return Application(State.HOMED.value, "", own.hosting, b"", own.homed_ms, Who())
    application = unpack_application(row)
    if application.state not in _EXPORTED or homed is None:
        raise refusal("not-homed", Outcome.CONFLICT, prefix=prefix.decode(), state=application.state)
    return application


def read_head(snapshot: Snapshot, prefix: PrefixKey, origin: Origin) -> list[Line]:
    """Return the lines of the head. Errors: NodeError if the prefix is not homed here."""
    application = exported(snapshot, prefix)
    lines: list[Line] = [
        HeaderLine(
            FORMAT, VERSION, prefix.decode(), origin.node, origin.software, format_utc(origin.at_s), snapshot.serial(),
            stored_case(snapshot),
        ),
        _application_line(application),
    ]  # fmt: skip
    if application.party:
        row = snapshot.get(Table.PARTIES, application.party.encode())
        if row is None:
            raise refusal("party-not-found", Outcome.NOT_FOUND, party=application.party)
        lines.append(_party_line(application.party, unpack_party(row)))
    own = snapshot.get(Table.RECORDS, record_key(prefix_handle_of(prefix)))
    if own is not None:
        lines.append(PrefixHandleLine(encode_values(unpack_values(own))))
    return lines


def _application_line(application: Application) -> ApplicationLine:
    return ApplicationLine(
        "suspended" if application.state == State.SUSPENDED.value else "homed",
        "delegated" if application.hosting == "delegated" else "hosted",
        application.own,
        application.site,
        application.filed_ms,
        person_of(application.filer),
        application.held,
        list(map(person_of, application.approvals)),
        list(map(person_of, application.filers)),
        [
            StepForm(
                step.at_ms, step.event, step.state, person_of(step.who), shown(step.reason, REASON), step.evidence
            )
            for step in application.steps
        ],
    )  # fmt: skip


def _party_line(name: str, row: PartyRow) -> PartyLine:
    steps = [
        CheckForm(
            step.at_ms, shown(step.method, WORD), shown(step.source, SOURCE), step.evidence, person_of(step.who),
            step.result, shown(step.note, REASON),
        )
        for step in row.steps
    ]  # fmt: skip
    return PartyLine(
        name, row.person, dict(row.plain), sorted(row.sealed), row.added_ms, row.confirmed_ms, row.state.value, steps
    )


def decode_head(octets: bytes) -> Head:
    """Read the lines of a head. Errors: WireError, RecordError, LimitError."""
    lines = [decode_line(line + b"\n") for line in octets.removesuffix(b"\n").split(b"\n")]
    header = lines.pop(0)
    if not isinstance(header, HeaderLine) or header.format != FORMAT:
        raise WireError("首行不是转移文件的文件头。The first line is no header of a transfer file")
    if header.version != VERSION:
        raise WireError(
            f"不支持版本 {header.version}，本节点支持版本 {VERSION}。"
            f"Version {header.version} of the format is not known here, which is {VERSION}"
        )
    application = lines.pop(0) if lines else None
    if not isinstance(application, ApplicationLine):
        raise WireError("第二行应为 application。The second line must be the application")
    party = lines.pop(0) if lines and isinstance(lines[0], PartyLine) else None
    if application.own is not (party is None) or (party is not None and not isinstance(party, PartyLine)):
        raise WireError("application 与 party 不符。An application of a party, and no other, has a line of it")
    values = lines.pop(0) if lines and isinstance(lines[0], PrefixHandleLine) else None
    if lines:
        raise WireError("文件头各行的顺序有误。The lines of the head are not in their order")
    return Head(
        header,
        _application_of(application),
        None if party is None else _party_of(party),
        _values_of(values) if isinstance(values, PrefixHandleLine) else None,
    )


def _application_of(line: ApplicationLine) -> Application:
    steps = tuple(
        Step(
            checked_time(step.at_ms), _known(Event, step.event), _known(State, step.state), who_of(step.who),
            checked("reason", step.reason, REASON), checked_digest("evidence", step.evidence),
        )
        for step in checked_count("steps", line.steps, limits.APPLICATION_STEPS)
    )  # fmt: skip
    return Application(
        line.state, "", line.hosting, line.site, checked_time(line.filed_ms), who_of(line.filer),
        approvals=_people("approvals", line.approvals), held=line.held, steps=steps,
        filers=_people("filers", line.filers),
    )  # fmt: skip


def _people(name: str, people: list[Person]) -> tuple[Who, ...]:
    return tuple(map(who_of, checked_count(name, people, limits.FILERS_MAX)))


def _party_of(line: PartyLine) -> PartyRow:
    steps = tuple(
        Check(
            checked_time(step.at_ms), checked("method", step.method, WORD), checked("source", step.source, SOURCE),
            checked_digest("evidence", step.evidence), who_of(step.who), _known(Verified, step.result),
            checked("note", step.note, REASON),
        )
        for step in checked_count("steps", line.steps, limits.PARTY_STEPS)
    )  # fmt: skip
    return PartyRow(
        checked_time(line.added_ms), Who(), line.person, line.plain, {}, Verified(_known(Verified, line.state)), steps,
        checked_time(line.confirmed_ms),
    )  # fmt: skip


def _values_of(line: PrefixHandleLine) -> Values:
    values = decode_values(line.values)
    check_values(values)
    return values


def _known(kind: type[Event] | type[State] | type[Verified], value: str) -> str:
    try:
        return str(kind(value).value)
    except ValueError:
        raise WireError(f"不认识 {value[:40]!r}。{value[:40]!r} is not known here") from None
