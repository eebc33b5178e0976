"""Complaints (Measures art. 12): filed by anybody, moved by the table of ``core/complaints.py``.

1. Who filed one may be told: name and contact are sealed, each bound to the ticket. Where it came from
   is stored nowhere; of its text and contact nothing stands in the journal.
2. What waits for an answer is bounded, so that no stranger fills the disk. One transaction holds the
   row, the place in the list of those that wait, the numbers by state, and the journal's entry.
3. A complaint is no registration: it is no change of the feed.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from core import limits
from core.clock import Millis, format_utc, shanghai_date
from core.complaints import (
    KINDS,
    LABELS,
    TICKET_ALPHABET,
    TICKET_CHARS,
    TRANSITIONS,
    WAITING,
    Event,
    State,
    deadline_of,
    format_ticket,
    parse_ticket,
)
from core.errors import NodeError, Outcome, SealError
from core.keyring import KeyRing
from core.party.seal import key_id_of, reseal, seal, unseal
from core.store.complaint_rows import (
    COUNTS_KEY,
    WAITING_ROW,
    Complaint,
    Step,
    pack_complaint,
    pack_counts,
    unpack_complaint,
    unpack_counts,
    waiting_key,
)
from core.store.engine import Table
from registry.commands import FileComplaint, MoveComplaint, ReadContact, Result
from registry.desk import Desk, Seals, cannot_open, told
from registry.members import Kind, Member, read_texts
from registry.refusals import refusal

MOVES: Final = {event.value: event for event in (Event.ACCEPT, Event.ANSWER, Event.REJECT, Event.CLOSE)}
"""What is done to a complaint that was filed."""

CONTACT: Final = ("name", "phone", "email")
_WITH_TEXT: Final = (Event.ANSWER, Event.REJECT)
_YES: Final = True

FORM: Final = (
    Member("kind", Kind.TEXT, "投诉类别", "What it is about", _YES, choices=tuple(KINDS)),
    Member(
        "subject", Kind.LINE, "所涉标识或前缀", "The identifier or prefix that it is about",
        high=limits.COMPLAINT_SUBJECT_CHARS_MAX,
    ),
    Member("text", Kind.PROSE, "投诉内容", "What is wrong", _YES, high=limits.COMPLAINT_CHARS_MAX),
    Member("name", Kind.LINE, "您的姓名", "Your name", high=limits.PARTY_PERSON_CHARS_MAX),
    Member("phone", Kind.PHONE, "联系电话", "Your telephone number", high=limits.PARTY_CODE_CHARS_MAX),
    Member("email", Kind.EMAIL, "电子邮箱", "Your e-mail address", high=limits.EMAIL_CHARS_MAX),
)  # fmt: skip
"""What a complaint says, by a form or as JSON. Name and contact may be left out."""

REPLY: Final = Member(
    "text", Kind.PROSE, "答复，将公开", "The reply, which is public", _YES, high=limits.COMPLAINT_CHARS_MAX
)
REASON: Final = Member(
    "reason", Kind.PROSE, "不予受理的理由，将公开", "Why it is rejected, which is public", _YES,
    high=limits.COMPLAINT_CHARS_MAX,
)  # fmt: skip


def complaint_of(given: Mapping[str, str]) -> FileComplaint:
    """Return the command of a form that was read."""
    return FileComplaint(**given)


def file_complaint(desk: Desk, command: FileComplaint) -> Result:
    """File a complaint; the body of the result holds its ticket, which is told to nobody else. Errors: NodeError."""
    given = read_texts({name: [text] for name, text in command._asdict().items()}, FORM)
    counts = unpack_counts(desk.staging.get(Table.META, COUNTS_KEY))
    if sum(counts[state] for state in WAITING) >= limits.COMPLAINTS_WAITING_MAX:
        raise refusal("complaints-full", Outcome.OVERLOADED)
    ticket = _new_ticket(desk)
    complaint = Complaint(
        given["kind"], given.get("subject", ""), given["text"], _sealed(desk, ticket, given),
        deadline_of(desk.now_ms, desk.policy.complaint_days), (Step(desk.now_ms, Event.FILE, desk.who),),
    )  # fmt: skip
    _put(desk, ticket, None, complaint)
    return told(ticket, Outcome.CREATED, status_document(ticket, complaint, desk.now_ms))


def move_complaint(desk: Desk, command: MoveComplaint) -> Result:
    """Accept, answer, reject or close one. Errors: NodeError."""
    ticket, complaint = _complaint(desk, command.ticket)
    event = MOVES[command.event]
    note = _note(command.text) if event in _WITH_TEXT else ""
    if (complaint.state, event) not in TRANSITIONS:
        raise refusal(
            "complaint-state", Outcome.CONFLICT, ticket=ticket, label=LABELS[complaint.state][0],
            state=complaint.state.value, event=event.value,
        )  # fmt: skip
    moved = complaint._replace(steps=(*complaint.steps, Step(desk.now_ms, event, desk.who, note)))
    _put(desk, ticket, complaint, moved)
    return told(ticket, Outcome.OK, summary_document(ticket, moved, desk.now_ms))


def read_contact(desk: Desk, command: ReadContact) -> Result:
    """Open who filed a complaint: who looked at it is an entry of the journal (Measures art. 11)."""
    ticket, complaint = _complaint(desk, command.ticket)
    opened: dict[str, str] = {}
    if complaint.contact:
        ring = desk.keys().load_keys()
        try:
            for field, sealed in complaint.contact.items():
                opened[field] = unseal(ring, sealed, ticket, field)
        except SealError as error:
            raise cannot_open(ticket, error) from None
    return told(ticket, Outcome.OK, {"ticket": ticket, "contact": opened})


def reseal_contacts(desk: Desk, seals: Seals, ring: KeyRing) -> int:
    """Stage the contacts of all complaints under the current key; return how many were changed.

    Errors: RecordError for one that cannot be opened.
    """
    changed = 0
    for key, packed in desk.staging.scan(Table.COMPLAINTS):
        complaint, ticket = unpack_complaint(packed), key.decode()
        if any(key_id_of(sealed) != ring.current for sealed in complaint.contact.values()):
            try:
                contact = {
                    field: reseal(ring, seals.make_nonce(), ticket, field, sealed)
                    for field, sealed in complaint.contact.items()
                }
            except SealError as error:
                raise cannot_open(ticket, error) from None
            desk.staging.put(Table.COMPLAINTS, key, pack_complaint(complaint._replace(contact=contact)))
            changed += 1
    return changed


# --- documents -----------------------------------------------------------------
def status_document(ticket: str, complaint: Complaint, now_ms: Millis) -> dict[str, Any]:
    """Return what anybody may read who has the ticket: what it is about, no text of his, no contact, nobody's name."""
    steps = [{"state": _after(step.event).value, "at": _utc(step.at_ms)} for step in complaint.steps]
    return summary_document(ticket, complaint, now_ms) | {"steps": steps, "reply": complaint.reply or None}


def summary_document(ticket: str, complaint: Complaint, now_ms: Millis) -> dict[str, Any]:
    """Return what a list says of a complaint."""
    return _dates(ticket, complaint, now_ms) | {"subject": complaint.subject or None}


def complaint_document(ticket: str, complaint: Complaint, now_ms: Millis) -> dict[str, Any]:
    """Return a complaint with all of its steps. ``contact``: names of what is sealed."""
    steps = [
        {
            "event": step.event.value,
            "state": _after(step.event).value,
            "at": _utc(step.at_ms),
            "who": str(step.who),
            "note": step.note or None,
        }
        for step in complaint.steps
    ]
    given = [field for field in CONTACT if field in complaint.contact]
    return summary_document(ticket, complaint, now_ms) | {"text": complaint.text, "contact": given, "steps": steps}


def _dates(ticket: str, complaint: Complaint, now_ms: Millis) -> dict[str, Any]:
    return {
        "ticket": ticket,
        "kind": complaint.kind,
        "state": complaint.state.value,
        "filed": _utc(complaint.filed_ms),
        "deadline": complaint.deadline,
        "overdue": complaint.is_overdue(now_ms),
    }


def _after(event: Event) -> State:
    return next(state for (_, happened), state in TRANSITIONS.items() if happened is event)


def _utc(at_ms: int) -> str:
    return format_utc(at_ms // 1_000)


# --- pieces --------------------------------------------------------------------
def _complaint(desk: Desk, name: str) -> tuple[str, Complaint]:
    ticket = parse_ticket(name)
    row = None if ticket is None else desk.staging.get(Table.COMPLAINTS, ticket.encode())
    if ticket is None or row is None:
        raise complaint_not_found(name)
    return ticket, unpack_complaint(row)


def complaint_not_found(name: str) -> NodeError:
    """Return the refusal of a ticket that nobody has."""
    return refusal("complaint-not-found", Outcome.NOT_FOUND, ticket=repr(name[:40]))


def _new_ticket(desk: Desk) -> str:
    day = shanghai_date(desk.now_ms)
    while True:
        ticket = format_ticket(day, "".join(secrets.choice(TICKET_ALPHABET) for _ in range(TICKET_CHARS)))
        if desk.staging.get(Table.COMPLAINTS, ticket.encode()) is None:
            return ticket


def _sealed(desk: Desk, ticket: str, given: Mapping[str, str]) -> dict[str, bytes]:
    fields = [field for field in CONTACT if field in given]
    if not fields:
        return {}
    seals = desk.keys()
    ring = seals.load_keys()
    return {field: seal(ring, seals.make_nonce(), ticket, field, given[field]) for field in fields}


def _note(text: str) -> str:
    try:
        note: str = read_texts({"text": [text]}, (REPLY,))["text"]
    except NodeError:
        raise refusal("complaint-text", Outcome.INVALID_VALUE, chars=limits.COMPLAINT_CHARS_MAX) from None
    return note


def _put(desk: Desk, ticket: str, old: Complaint | None, new: Complaint) -> None:
    """Stage a complaint, its place among those that wait, and the numbers."""
    counts = unpack_counts(desk.staging.get(Table.META, COUNTS_KEY))
    if old is not None:
        counts[old.state] -= 1
    counts[new.state] += 1
    desk.staging.put(Table.META, COUNTS_KEY, pack_counts(counts))
    desk.staging.put(Table.COMPLAINTS, ticket.encode(), pack_complaint(new))
    waits = WAITING_ROW if new.state in WAITING else None
    if waits or old is not None:
        desk.staging.put(Table.WAITING_COMPLAINTS, waiting_key(new.deadline, ticket), waits)
