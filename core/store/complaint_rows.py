"""Rows of the tables COMPLAINTS and WAITING_COMPLAINTS.

COMPLAINTS          key: the ticket, ASCII
                    0  1  version (1)
                    1     msgpack map: kind, subject, text, contact {field: octets}, deadline, steps
WAITING_COMPLAINTS  key: deadline and ticket, joined by "/"; of each that waits for an answer
                    0  1  version (1)
META                key "complaints": number of complaints in each state, msgpack map with the version before it

The contact is personal data: each field lies sealed, as ``core/party/seal.py`` has it, bound to
the ticket. Where a complaint came from is stored nowhere.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgpack

from core.clock import Millis, read_millis
from core.complaints import KINDS, TRANSITIONS, WAITING, Event, State, is_past, parse_ticket
from core.errors import StoreError
from core.who import Who, unpack_who

COUNTS_KEY: Final = b"complaints"
_VERSION: Final = b"\x01"
WAITING_ROW: Final = _VERSION


class Step(NamedTuple):
    """One thing that happened. ``note``: the public reply, or why it was rejected; empty for all others."""

    at_ms: Millis
    event: Event
    who: Who
    note: str = ""


class Complaint(NamedTuple):
    """A complaint as it is stored. ``subject``: identifier or prefix, as typed. ``deadline``: yyyy-mm-dd.

    ``steps``: at least the filing; they follow the table of ``core/complaints.py``.
    """

    kind: str
    subject: str
    text: str
    contact: Mapping[str, bytes]
    deadline: str
    steps: tuple[Step, ...]

    @property
    def state(self) -> State:
        """Where it is."""
        return state_after(self.steps)

    @property
    def filed_ms(self) -> Millis:
        """When it was filed."""
        return self.steps[0].at_ms

    @property
    def reply(self) -> str:
        """What the public may read of it, empty where there is no answer yet."""
        return next((step.note for step in self.steps if step.note), "")

    def is_overdue(self, now_ms: Millis) -> bool:
        """Whether somebody waits for an answer that should have been given."""
        return self.state in WAITING and is_past(self.deadline, now_ms)


def state_after(steps: tuple[Step, ...]) -> State:
    """Return the state that steps lead to. Errors: ValueError if the table has no such way."""
    state: State | None = None
    for step in steps:
        state = TRANSITIONS.get((state, step.event))
        if state is None:
            break
    if state is None:
        raise ValueError("steps")
    return state


def pack_complaint(complaint: Complaint) -> bytes:
    """Return the row of a complaint."""
    steps = [(step.at_ms, step.event.value, step.who, step.note) for step in complaint.steps]
    row: bytes = msgpack.packb(complaint._asdict() | {"steps": steps})
    return _VERSION + row


def unpack_complaint(row: bytes) -> Complaint:
    """Read the row of a complaint. Errors: StoreError if it cannot be read."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        complaint = Complaint(**msgpack.unpackb(row[1:]))
        if not all(isinstance(each, str) for each in (complaint.subject, complaint.text, *complaint.contact)):
            raise ValueError("a member is no text")
        if not all(isinstance(each, bytes) for each in complaint.contact.values()):
            raise ValueError("a sealed field is no octets")
        if complaint.kind not in KINDS or not _is_day(complaint.deadline):
            raise ValueError("kind or deadline")
        complaint = complaint._replace(steps=tuple(map(_step, complaint.steps)))
        state_after(complaint.steps)
        return complaint
    except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise StoreError(f"a row of complaints cannot be read: {error}") from None


def _step(packed: Any) -> Step:
    at_ms, event, who, note = packed
    if not isinstance(note, str):
        raise ValueError("note")
    return Step(read_millis(at_ms), Event(event), unpack_who(who), note)


def _is_day(text: object) -> bool:
    return isinstance(text, str) and datetime.date.fromisoformat(text).isoformat() == text


def waiting_key(deadline: str, ticket: str) -> bytes:
    """Return the key of one that waits: in order of their deadlines."""
    return f"{deadline}/{ticket}".encode()


def read_waiting(key: bytes, row: bytes) -> tuple[str, str]:
    """Read deadline and ticket. Errors: StoreError."""
    deadline, _, ticket = key.decode(errors="replace").partition("/")
    try:
        right = _is_day(deadline)
    except ValueError:
        right = False
    if not right or parse_ticket(ticket) != ticket or row != WAITING_ROW:
        raise StoreError("a row of waiting_complaints cannot be read")
    return deadline, ticket


def pack_counts(counts: Mapping[State, int]) -> bytes:
    """Return the row of the numbers of complaints; states that none is in are left out."""
    row: bytes = msgpack.packb({state.value: count for state, count in counts.items() if count})
    return _VERSION + row


def unpack_counts(row: bytes | None) -> dict[State, int]:
    """Return the number of complaints in every state; no row is none. Errors: StoreError if it cannot be read."""
    counts = dict.fromkeys(State, 0)
    if row is None:
        return counts
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        for name, count in msgpack.unpackb(row[1:]).items():
            if type(count) is not int or count < 1:
                raise ValueError("no count")
            counts[State(name)] = count
    except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise StoreError(f"the numbers of complaints cannot be read: {error}") from None
    return counts
