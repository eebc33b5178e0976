"""Rows of the tables INCIDENTS and INCIDENT_REPORTS.

INCIDENTS         key: the incident's id, ASCII
                  0  1  version (1)
                  1     msgpack map: title, description, kind, severity, occurred_ms, discovered_ms, recovered_ms,
                        affected, cause, opened_ms, opener, due_ms, state, closed_ms, measures, reports, steps,
                        within_ms, report_needed
INCIDENT_REPORTS  key: the incident's id, "/", the revision in three digits
                  0  1  version (1)
                  1     the signed report as it was answered: JSON, UTF-8
META              key "incidents": number of the last id, eight octets, big-endian
                  key "open_incidents": ids of those that are not closed, msgpack list with the version before it

An incident is never deleted, so its numbers have no gap. The newest INCIDENT_STEPS steps are kept
here; all of them are entries of the journal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgpack

from core import limits
from core.clock import Millis, read_millis
from core.errors import StoreError, WireError
from core.incidents import Event, Kind, Severity, State
from core.who import Who, unpack_who
from core.wire.jsontext import parse

LAST_INCIDENT_KEY: Final = b"incidents"
OPEN_INCIDENTS_KEY: Final = b"open_incidents"
_VERSION: Final = b"\x01"
_NUMBER_BYTES: Final = 8


class Measure(NamedTuple):
    """What was done about it, and when."""

    at_ms: Millis
    text: str
    who: Who


class Report(NamedTuple):
    """One revision of the report: to whom, when, by whom, under which key. The first is revision 1."""

    at_ms: Millis
    to: str
    who: Who
    key_id: str


class Step(NamedTuple):
    """One thing that happened: values of Event and of State. ``note``: what was changed, or reported to whom."""

    at_ms: Millis
    event: str
    state: str
    who: Who
    note: str = ""


class Incident(NamedTuple):
    """An incident as it is stored. ``kind``, ``severity``, ``state``: values of those.

    ``recovered_ms``, ``closed_ms``: 0 while it is not. ``affected``, ``cause``: empty while nobody knows.
    ``due_ms``: until when it is to be reported. ``within_ms``: from its discovery, as it was when it was opened.
    ``report_needed``: its severity asks for a report, or once did.
    """

    title: str
    description: str
    kind: str
    severity: str
    occurred_ms: Millis
    discovered_ms: Millis
    recovered_ms: Millis
    affected: str
    cause: str
    opened_ms: Millis
    opener: Who
    due_ms: Millis
    state: str = State.OPEN.value
    closed_ms: Millis = Millis(0)
    measures: tuple[Measure, ...] = ()
    reports: tuple[Report, ...] = ()
    steps: tuple[Step, ...] = ()
    within_ms: Millis = Millis(0)
    report_needed: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self.state == State.CLOSED.value

    @property
    def awaits_report(self) -> bool:
        """Whether the timer runs."""
        return self.state == State.OPEN.value

    def is_overdue(self, now_ms: int) -> bool:
        """Whether it should have been reported by now."""
        return self.awaits_report and now_ms > self.due_ms


def incident_id(number: int) -> str:
    """Return the id of the incident with this number, 1 for the first."""
    return f"I{number:06}"


def incident_number(key: bytes) -> int:
    """Return the number in the key of an incident, 0 where it has none."""
    return int(key[1:]) if key[1:].isdigit() else 0


def pack_last(number: int) -> bytes:
    """Return the row of the number of the last incident."""
    return number.to_bytes(_NUMBER_BYTES, "big")


def pack_open(incidents: Iterable[str]) -> bytes:
    """Return the row of the incidents that are not closed."""
    row: bytes = msgpack.packb(list(incidents))
    return _VERSION + row


def unpack_open(row: bytes | None) -> list[str]:
    """Return the ids of incidents that are not closed; no row is none. Errors: StoreError if it cannot be read."""
    if row is None:
        return []
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        return [_text(each) for each in msgpack.unpackb(row[1:])]
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StoreError(f"the list of open incidents cannot be read: {error}") from None


def report_key(incident: str, revision: int) -> bytes:
    """Return the key of a report. Bounds: revisions up to 999."""
    return f"{incident}/{revision:03}".encode()


def pack_incident(incident: Incident) -> bytes:
    """Return the row of an incident."""
    kept = incident._replace(steps=incident.steps[-limits.INCIDENT_STEPS :])
    row: bytes = msgpack.packb(kept._asdict())
    return _VERSION + row


def unpack_incident(row: bytes) -> Incident:
    """Read the row of an incident. Errors: StoreError if it cannot be read."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        incident = Incident(**msgpack.unpackb(row[1:]))
        for text in (incident.title, incident.description, incident.affected, incident.cause):
            _text(text)
        for at_ms in (
            incident.occurred_ms, incident.discovered_ms, incident.recovered_ms, incident.opened_ms, incident.due_ms,
            incident.closed_ms, incident.within_ms,
        ):  # fmt: skip
            read_millis(at_ms)
        if not isinstance(incident.report_needed, bool):
            raise ValueError("report_needed")
        return incident._replace(
            kind=Kind(incident.kind).value,
            severity=Severity(incident.severity).value,
            state=State(incident.state).value,
            opener=unpack_who(incident.opener),
            measures=tuple(map(_measure, incident.measures)),
            reports=tuple(map(_report, incident.reports)),
            steps=tuple(map(_step, incident.steps)),
        )
    except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise StoreError(f"a row of incidents cannot be read: {error}") from None


def pack_report(document: dict[str, Any]) -> bytes:
    """Return the row of a signed report."""
    return _VERSION + json.dumps(document, ensure_ascii=False).encode()


def unpack_report(row: bytes) -> dict[str, Any]:
    """Read the row of a signed report. Errors: StoreError if it cannot be read."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        document: dict[str, Any] = parse(row[1:], dict[str, Any])
    except (ValueError, WireError) as error:
        raise StoreError(f"a row of incident_reports cannot be read: {error}") from None
    return document


def _text(packed: Any) -> str:
    if not isinstance(packed, str):
        raise ValueError("no text")
    return packed


def _measure(packed: Any) -> Measure:
    at_ms, text, who = packed
    return Measure(read_millis(at_ms), _text(text), unpack_who(who))


def _report(packed: Any) -> Report:
    at_ms, to, who, key_id = packed
    return Report(read_millis(at_ms), _text(to), unpack_who(who), _text(key_id))


def _step(packed: Any) -> Step:
    at_ms, event, state, who, note = packed
    return Step(read_millis(at_ms), Event(event).value, State(state).value, unpack_who(who), _text(note))
