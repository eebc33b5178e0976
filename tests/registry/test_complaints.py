"""Complaints: filed by anybody, moved by whoever may; who filed them is sealed and told to nobody by the way."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections import Counter
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import limits
from core.clock import Millis, format_shanghai
from core.complaints import KINDS, TRANSITIONS, WAITING, Event, State, parse_ticket
from core.errors import Outcome
from core.keyring import KeyRing
from core.party.seal import unseal
from core.source_limit import SourceLimit
from core.store.complaint_rows import (
    COUNTS_KEY,
    Complaint,
    Step,
    pack_complaint,
    pack_counts,
    unpack_complaint,
    unpack_counts,
)
from core.store.engine import Batch, Table
from core.store.fsck import check_store
from core.who import Who
from core.wire.http import Request as HttpRequest
from core.wire.http import Response
from registry.commands import (
    ANONYMOUS,
    LOG_IN,
    AddParty,
    FileComplaint,
    MoveComplaint,
    NoteRefusal,
    ReadContact,
    RekeyParties,
    Request,
    Result,
    Token,
)
from registry.complaint_pages import ComplaintPages
from registry.complaints import FORM
from registry.desk import Seals
from registry.policy import DEFAULT_POLICY
from tests.kit.governance import ANNA, BEN, SEALS, Office
from tests.kit.management import FORMS
from tests.kit.management import Desk as Api

CONTACT = {"name": "张三丰", "phone": "13800138000", "email": "zhang.sanfeng@example.cn"}
TEXT = "标签上的标识查不到\n第二行 👨‍👩‍👧"
FILED = FileComplaint("no-resolution", TEXT, "88.118.7/SKU01", **CONTACT)
TYPED = st.text(st.characters(exclude_categories=["Cs"]))
FORM_HEADERS = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
GIVEN = {"kind": "no-resolution", "text": TEXT, "subject": "88.118.7/SKU01", **CONTACT}


def filed(office: Office, command: FileComplaint = FILED) -> str:
    """File a complaint as anybody; return its ticket."""
    return str(office.do(command, ANONYMOUS)["ticket"])


def stored(office: Office, ticket: str) -> Complaint:
    return unpack_complaint(office.rows(Table.COMPLAINTS)[ticket])


def is_sound(office: Office) -> None:
    with office.store.snapshot() as snapshot:
        assert list(check_store(snapshot)) == []


# --- filing ----------------------------------------------------------------------


def test_anybody_files_one_and_gets_a_ticket() -> None:
    """With its state, the last day of the answer and what it is about; nothing else that he said is told back."""
    office = Office()
    told = office.do(FILED, ANONYMOUS)
    ticket = told["ticket"]
    assert parse_ticket(ticket) == ticket
    assert (told["state"], told["deadline"], told["overdue"], told["reply"]) == ("received", "2023-11-30", False, None)
    complaint = stored(office, ticket)
    assert (complaint.kind, complaint.subject, complaint.text) == ("no-resolution", "88.118.7/SKU01", TEXT)
    assert complaint.steps == (Step(office.now, Event.FILE, Who()),)
    told_text = json.dumps(told, ensure_ascii=False)
    assert not [text for text in (*CONTACT.values(), TEXT) if text in told_text]
    assert told["subject"] == complaint.subject
    assert office.do(FileComplaint(kind="other", text="x"), ANONYMOUS)["subject"] is None
    is_sound(office)


def test_the_contact_is_sealed_and_bound_to_the_ticket() -> None:
    """It opens by the key, the ticket and the field, and is read at this machine alone, as an act."""
    office = Office()
    ticket, other = filed(office), filed(office)
    sealed = stored(office, ticket).contact
    ring = SEALS.load_keys()
    assert {field: unseal(ring, octets, ticket, field) for field, octets in sealed.items()} == CONTACT
    assert office.do(ReadContact(ticket)) == {"ticket": ticket, "contact": CONTACT}
    assert (office.journal()[-1].action, office.journal()[-1].object) == ("complaint.contact", ticket)
    moved = pack_complaint(stored(office, other)._replace(contact=sealed))
    batch = Batch()
    batch.put(Table.COMPLAINTS, other.encode(), moved)
    office.store.commit(batch)
    assert office.ask(ReadContact(other)).outcome is Outcome.INTERNAL


def test_nobody_has_to_say_who_he_is() -> None:
    """Then no key is needed either."""
    office = Office()
    office.registry.seals = None
    ticket = filed(office, FileComplaint("other", "x"))
    assert stored(office, ticket).contact == {}
    assert office.do(ReadContact(ticket))["contact"] == {}


def test_nothing_of_it_is_told_by_the_way(caplog: pytest.LogCaptureFixture) -> None:
    """Not in the journal, the feed, the log, an idempotency key, a message, or any row but its own."""
    caplog.set_level(logging.DEBUG)
    office = Office()
    ticket = filed(office)
    operator = office.bearer("operator")[0]
    office.run(FILED, actor=operator, token=Token("key", bytes(32)))
    office.ask(FILED._replace(kind="nothing"), ANONYMOUS)
    for command in (MoveComplaint(ticket, "accept"), MoveComplaint(ticket, "answer", "已更正")):
        office.do(command)
    office.do(ReadContact(ticket))
    rows = office.dump(Table.COMPLAINTS)
    for text in (*CONTACT.values(), "查不到"):
        assert not [(name, row) for name, table in rows.items() for row in table.values() if text.encode() in row]
        assert text not in caplog.text
    assert "SKU01" not in caplog.text
    told = [name for name, table in rows.items() for row in table.values() if b"SKU01" in row]
    assert told == [Table.TOKENS.value]  # the answer to who filed it, until its key is forgotten
    for row in office.rows(Table.COMPLAINTS).values():
        assert not [text for text in CONTACT.values() if text.encode() in row]
    assert {entry.reason for entry in office.journal() if entry.object == ticket} == {""}
    assert office.feed() == Office().feed()


def test_the_digest_of_an_idempotency_key_tells_nothing_of_the_contact() -> None:
    """It is made with a key: few telephone numbers are likely."""
    office = Office()
    operator = office.bearer("operator")[0]
    first = office.run(FILED, actor=operator, token=Token("key", bytes(32)))
    assert office.run(FILED, actor=operator, token=Token("key", bytes(32))) == first
    assert len(office.rows(Table.COMPLAINTS)) == 1
    with office.store.snapshot() as snapshot:
        assert not [row for _, row in snapshot.scan(Table.TOKENS, b"") if bytes(32) in row]


def test_a_dry_run_files_nothing() -> None:
    office = Office()
    before = office.dump()
    assert office.run(FILED, actor=ANONYMOUS, dry_run=True)[0].done
    assert office.dump() == before


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "no kind": ({"kind": ""}, "kind"),
    "another kind": ({"kind": "nothing"}, "kind"),
    "no text": ({"text": "  \n "}, "text"),
    "long text": ({"text": "盐" * (limits.COMPLAINT_CHARS_MAX + 1)}, "text"),
    "control character": ({"text": "a\x07b"}, "text"),
    "escape": ({"text": "a\x1b[31mb"}, "text"),
    "long subject": ({"subject": "x" * (limits.COMPLAINT_SUBJECT_CHARS_MAX + 1)}, "subject"),
    "lines in the subject": ({"subject": "a\nb"}, "subject"),
    "bidirectional name": ({"name": "a\u202eb"}, "name"),
    "long name": ({"name": "x" * (limits.PARTY_PERSON_CHARS_MAX + 1)}, "name"),
    "no phone": ({"phone": "12345"}, "phone"),
    "phone and more": ({"phone": "13800138000" + " " * 40 + "x"}, "phone"),
    "no email": ({"email": "zhang@@example"}, "email"),
    "long email": ({"email": "a" * 300 + "@example.cn"}, "email"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_field_is_refused_by_the_registrar_too(case: str) -> None:
    """Whoever asks it past the form; nothing is stored."""
    office = Office()
    before = office.dump(Table.JOURNAL, Table.META)
    result = office.ask(FILED._replace(**WRONG[case][0]), ANONYMOUS)
    assert (result.outcome, result.rule) == (Outcome.INVALID_VALUE, "members")
    assert office.dump(Table.JOURNAL, Table.META) == before


def test_text_is_kept_as_a_person_meant_it() -> None:
    """Line ends of browsers, blanks around it, signs that show nothing; pictures stay whole."""
    office = Office()
    text = "  第一行\r\n第二行\u200b\ufeff 👨\u200d👩\u200d👧\t!\u202e \n"
    ticket = filed(office, FileComplaint("other", text, phone="+86 138-0013-8000", email="A@EXAMPLE.cn"))
    assert stored(office, ticket).text == "第一行\n第二行 👨\u200d👩\u200d👧\t!".rstrip()
    assert office.do(ReadContact(ticket))["contact"] == {"phone": "+8613800138000", "email": "A@example.cn"}


def test_so_many_wait_and_no_more() -> None:
    """503, which no stranger can write into the journal; whoever is answered makes room."""
    office = Office()
    ticket = filed(office)
    counts = {State.RECEIVED: limits.COMPLAINTS_WAITING_MAX, State.CLOSED: 7}
    batch = Batch()
    batch.put(Table.META, COUNTS_KEY, pack_counts(counts))
    office.store.commit(batch)
    before = office.dump()
    result = office.ask(FILED, ANONYMOUS)
    assert (result.outcome, result.rule) == (Outcome.OVERLOADED, "complaints-full")
    assert office.dump() == before
    office.do(MoveComplaint(ticket, "accept"))
    assert office.ask(FILED, ANONYMOUS).rule == "complaints-full"
    office.do(MoveComplaint(ticket, "reject", "重复 A double"))
    assert office.ask(FILED, ANONYMOUS).done


def test_refusals_of_strangers_hide_no_others() -> None:
    """They share the room of failed log-ins."""
    office = Office()
    wrong = Request(FILED._replace(kind="x"), ANONYMOUS)
    login = Request(NoteRefusal(LOG_IN, "300:0.NA/88.118", "authentication-failed", "", "no"), ANONYMOUS)
    other = Request(MoveComplaint("C1", "accept"), ANNA)
    office.registry.run([wrong, login] * 200, office.now)
    office.registry.run([other] * limits.REFUSALS_KEPT_PER_S, office.now)
    actions = Counter(entry.action for entry in office.journal())
    assert actions["complaint.file"] + actions[LOG_IN] == limits.LOGIN_REFUSALS_KEPT_PER_S
    assert actions["complaint.accept"] == limits.REFUSALS_KEPT_PER_S


# --- handling -----------------------------------------------------------------------

MOVES = ("accept", "answer", "reject", "close")
WAYS = {
    State.RECEIVED: (),
    State.ACCEPTED: ("accept",),
    State.ANSWERED: ("accept", "answer"),
    State.CLOSED: ("accept", "answer", "close"),
    State.REJECTED: ("reject",),
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("state", State)
def test_every_act_in_every_state(state: State, move: str) -> None:
    """Done as the table has it, or CONFLICT; rows, list and numbers are always sound."""
    office = Office()
    ticket = filed(office)
    for each in WAYS[state]:
        office.do(MoveComplaint(ticket, each, "已更正"))
    assert stored(office, ticket).state is state
    before = office.dump(Table.JOURNAL, Table.META)
    result = office.ask(MoveComplaint(ticket.lower(), move, "答复"), BEN)
    after = TRANSITIONS.get((state, Event(move)))
    if after is None:
        assert (result.outcome, result.rule) == (Outcome.CONFLICT, "complaint-state")
        assert office.dump(Table.JOURNAL, Table.META) == before
    else:
        assert json.loads(result.body)["state"] == after.value
        assert stored(office, ticket).state is after
        assert (office.journal()[-1].action, office.journal()[-1].object) == (f"complaint.{move}", ticket)
    complaint = stored(office, ticket)
    waits = [key.partition("/")[2] for key in office.rows(Table.WAITING_COMPLAINTS)]
    assert waits == ([ticket] if complaint.state in WAITING else [])
    is_sound(office)


@pytest.mark.parametrize("move", ["answer", "reject"])
@pytest.mark.parametrize("text", ["", "  \n", "x" * (limits.COMPLAINT_CHARS_MAX + 1), "a\x07b"])
def test_a_reply_says_something(move: str, text: str) -> None:
    office = Office()
    ticket = filed(office)
    office.do(MoveComplaint(ticket, "accept"))
    assert office.ask(MoveComplaint(ticket, move, text)).rule == "complaint-text"


@pytest.mark.parametrize("event", ["", "file", "reopen", "status", "contact"])
def test_there_are_no_other_acts(event: str) -> None:
    office = Office()
    assert office.ask(MoveComplaint(filed(office), event)).rule == "event"


@pytest.mark.parametrize("ticket", ["", "C1", "C20231114-2222222222", "P000001", "x" * 3_000])
def test_a_ticket_that_nobody_has(ticket: str) -> None:
    """Whatever is done with it."""
    office = Office()
    for command in (MoveComplaint(ticket, "accept"), ReadContact(ticket)):
        result = office.ask(command)
        assert (result.outcome, result.rule) == (Outcome.NOT_FOUND, "complaint-not-found")
        assert len(result.message) < 200


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from((*MOVES, "file"))), max_size=24))
def test_numbers_and_places_are_always_right(acts: list[tuple[int, str]]) -> None:
    """Whatever is done with several of them in one group."""
    office = Office()
    tickets = [filed(office) for _ in range(4)]
    commands = [FILED if act == "file" else MoveComplaint(tickets[number], act, "答复") for number, act in acts]
    office.run(*commands, actor=ANNA)
    is_sound(office)
    with office.store.snapshot() as snapshot:
        told = unpack_counts(snapshot.get(Table.META, COUNTS_KEY))
    found = Counter(unpack_complaint(row).state for row in office.rows(Table.COMPLAINTS).values())
    assert {state: count for state, count in told.items() if count} == found


def test_contacts_are_sealed_anew_with_identity_data() -> None:
    """By `saltern party rekey`; one that cannot be opened stops all of it."""
    office = Office()
    ticket, bare = filed(office), filed(office, FileComplaint("other", "x"))
    keys = {1: SEALS.load_keys().keys[1], 2: bytes(range(32, 64))}
    office.registry.seals = Seals(lambda: KeyRing(2, keys), SEALS.make_nonce)
    before = stored(office, bare)
    assert office.do(RekeyParties()) == {"rekeyed": 0, "complaints": 1, "key": 2}
    assert office.do(RekeyParties())["complaints"] == 0
    office.registry.seals = Seals(lambda: KeyRing(2, {2: keys[2]}), SEALS.make_nonce)
    assert office.do(ReadContact(ticket))["contact"] == CONTACT
    assert stored(office, bare) == before
    office.registry.seals = Seals(lambda: KeyRing(3, {3: bytes(32)}), SEALS.make_nonce)
    assert office.ask(RekeyParties()).outcome is Outcome.INTERNAL


def test_the_deadline_is_that_of_the_day_of_filing() -> None:
    """Another setting holds for those that come later."""
    office = Office()
    office.registry.policy = DEFAULT_POLICY._replace(complaint_days=3)
    first = filed(office)
    office.registry.policy = DEFAULT_POLICY._replace(complaint_days=30)
    filed(office)
    assert stored(office, first).deadline == "2023-11-18"
    assert [key[:10] for key in office.rows(Table.WAITING_COMPLAINTS)] == ["2023-11-18", "2023-12-15"]


def test_whoever_waits_too_long_is_overdue() -> None:
    """From the first millisecond of the day after, in Shanghai, until the answer."""
    office = Office()
    ticket = filed(office)
    end = Millis(1_701_360_000_000)  # 2023-12-01T00:00:00+08:00
    assert not stored(office, ticket).is_overdue(Millis(end - 1))
    assert stored(office, ticket).is_overdue(end)
    office.do(MoveComplaint(ticket, "accept"))
    assert stored(office, ticket).is_overdue(end)
    office.do(MoveComplaint(ticket, "answer", "已更正"))
    assert not stored(office, ticket).is_overdue(end)


# --- over HTTP ---------------------------------------------------------------------


@pytest.fixture
def api() -> Api:
    return Api()


def test_anybody_files_and_looks_by_the_api(api: Api) -> None:
    """201 with the ticket; how it stands by the ticket, and nothing more."""
    answer = api.ask("POST", "/v1/complaints", GIVEN)
    assert answer.status == 201
    ticket = answer.json["ticket"]
    looked = api.ask("GET", f"/v1/complaints/{ticket.lower()}")
    assert (looked.status, looked.json) == (200, answer.json)
    for event in ("accept", "answer"):
        api.done(MoveComplaint(ticket, event, "已更正 Corrected"))
    looked = api.ask("GET", f"/v1/complaints/{ticket}").json
    assert [step["state"] for step in looked["steps"]] == ["received", "accepted", "answered"]
    assert looked["reply"] == "已更正 Corrected"
    assert set(looked) == {"ticket", "kind", "state", "filed", "deadline", "overdue", "subject", "steps", "reply"}
    assert set(looked["steps"][0]) == {"state", "at"}
    for path in ("", f"/{ticket}/history"):
        assert api.ask("GET", f"/v1/complaints{path}").status == 401
    assert api.ask("GET", "/v1/complaints/C20231114-2222222222").rule == "complaint-not-found"


def test_every_fault_of_a_complaint_at_once(api: Api) -> None:
    """Each with its field, in two languages; what was sent is not in it."""
    sent = {"kind": "x", "text": "", "phone": "12", "email": "wrong@@mail", "colour": "red"}
    answer = api.ask("POST", "/v1/complaints", sent)
    assert answer.status == 400
    assert [fault["path"] for fault in answer.json["faults"]] == ["kind", "text", "phone", "email", "colour"]
    assert "wrong@@mail" not in json.dumps(answer.json)


def test_whoever_looks_for_others_is_told_to_wait(api: Api) -> None:
    """Whoever he proves to be: a token fills no list either. What was wrong with a form is told before it counts."""
    limit = SourceLimit(lambda _: False, 360)
    api.api._public_limits = {"complaint.file": limit, "complaint.status": limit}
    for by in (ANONYMOUS, api.token("enterprise", "甲", api.done(AddParty(json.dumps(FORMS[0]).encode()))["party"])):
        assert api.ask("POST", "/v1/complaints", {}, by=by).status == 400
        for method, path, body in (("POST", "", GIVEN), ("GET", "/C1", None)):
            answer = api.ask(method, f"/v1/complaints{path}", body, by=by)
            assert (answer.status, answer.headers["Retry-After"]) == (429, "360")
    assert api.ask("GET", "/v1/complaints", by=api.token("operator", "客服")).status == 200


def test_an_auditor_reads_the_whole_history(api: Api) -> None:
    """Who did what and when; of who filed it that he left a contact."""
    ticket = api.ask("POST", "/v1/complaints", GIVEN).json["ticket"]
    operator, auditor = api.token("operator", "客服甲"), api.token("auditor", "王审计")
    for path, body in (("acceptance", None), ("answer", {"text": "已更正"}), ("closure", None)):
        answer = api.ask("POST", f"/v1/complaints/{ticket}/{path}", body, by=operator)
        assert answer.status == 200, answer
    told = api.ask("GET", f"/v1/complaints/{ticket}/history", by=auditor).json
    assert [(step["event"], step["who"].partition(" ")[0], step["note"]) for step in told["steps"]] == [
        ("file", "anybody", None),
        ("accept", "客服甲", None),
        ("answer", "客服甲", "已更正"),
        ("close", "客服甲", None),
    ]
    assert (told["text"], told["contact"]) == (TEXT, ["name", "phone", "email"])
    assert not [text for text in CONTACT.values() if text in json.dumps(told, ensure_ascii=False)]
    entries = api.ask("GET", "/v1/journal?count=1000", by=auditor).json["entries"]
    assert [each["action"] for each in entries if each["object"] == ticket] == [
        "complaint.file", "complaint.accept", "complaint.answer", "complaint.close",
    ]  # fmt: skip
    assert api.ask("POST", f"/v1/complaints/{ticket}/closure", by=auditor).rule == "role"


def test_what_others_said_is_not_for_everybody(api: Api) -> None:
    """Auditors and reviewers read it and handle nothing; an enterprise does neither, and files as anybody."""
    path = f"/v1/complaints/{api.ask('POST', '/v1/complaints', GIVEN).json['ticket']}"
    api.done(AddParty(json.dumps(FORMS[0]).encode()))
    for role, party, reads in (("auditor", "", 200), ("reviewer", "", 200), ("enterprise", "P000001", 403)):
        by = api.token(role, f"{role}甲", party)
        assert api.ask("GET", "/v1/complaints", by=by).status == reads
        assert api.ask("GET", f"{path}/history", by=by).status == reads
        assert api.ask("GET", path, by=by).status == 200
        assert api.ask("POST", "/v1/complaints", GIVEN, by=by).status == 201
        for act, body in (("acceptance", None), ("answer", {"text": "x"}), ("rejection", {"reason": "x"})):
            assert api.ask("POST", f"{path}/{act}", body, by=by).rule == "role"


def test_lists_by_state_and_by_what_is_overdue(api: Api) -> None:
    """In pages, in the order of filing."""
    tickets = sorted(api.ask("POST", "/v1/complaints", GIVEN).json["ticket"] for _ in range(5))
    api.done(MoveComplaint(tickets[1], "accept"))
    operator = api.token("operator", "客服", days=60)

    def listed(query: str) -> list[str]:
        found: list[str] = []
        after = ""
        while True:
            page = api.ask("GET", f"/v1/complaints?count=2{query}{after}", by=operator).json
            found += [row["ticket"] for row in page["complaints"]]
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"

    assert listed("") == tickets
    assert listed("&state=accepted") == [tickets[1]]
    assert listed("&overdue=true") == []
    assert listed("&overdue=false") == tickets
    api.now = Millis(api.now + 20 * 86_400_000)
    assert listed("&overdue=true") == tickets
    api.done(MoveComplaint(tickets[2], "reject", "重复"))
    assert listed("&overdue=true&state=received") == [tickets[0], *tickets[3:]]
    assert api.ask("GET", "/v1/complaints?state=x&overdue=1", by=operator).status == 400


# --- pages ---------------------------------------------------------------------------


class Pages:
    """The pages of an office, without a node."""

    def __init__(self, office: Office, **limited: SourceLimit) -> None:
        self.office = office
        self.pages = ComplaintPages(office.store, self, days=15, now_ms=lambda: office.now, **limited)
        self.result: Result | None = None

    async def call(self, request: Request) -> Result:
        """See Registrar."""
        return self.result or self.office.registry.run([request], self.office.now)[0]

    def ask(self, method: str = "GET", query: str = "", body: bytes = b"", **headers: str) -> Response:
        sent = FORM_HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
        request = HttpRequest(method, "/complaints", query, sent, body, credentials_safe=False)
        return asyncio.run(self.pages.answer(request))

    def post(self, fields: dict[str, str] | list[tuple[str, str]]) -> Response:
        return self.ask("POST", body=urlencode(fields).encode())


def test_a_form_is_filed_and_leads_to_its_page() -> None:
    """By a redirect: whoever reloads the page files nothing twice."""
    pages = Pages(Office())
    sent = pages.post(GIVEN | {"text": TEXT.replace("\n", "\r\n")})
    assert sent.status == 303
    place = urlsplit(dict(sent.headers)["Location"])
    ticket = parse_qs(place.query)["ticket"][0]
    assert place.path == "/complaints"
    assert stored(pages.office, ticket).text == TEXT
    assert pages.office.do(ReadContact(ticket))["contact"] == CONTACT
    shown = pages.ask(query=place.query)
    assert (shown.status, dict(shown.headers)["Cache-Control"]) == (200, "no-store")
    text = shown.body.decode()
    assert ticket in text
    assert "已收到 received" in text
    assert format_shanghai(stored(pages.office, ticket).filed_ms) in text
    assert not [each for each in (*CONTACT.values(), "查不到") if each in text]


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_field_is_told_beside_it(case: str) -> None:
    """With what was typed in all others, and nothing stored."""
    pages = Pages(Office())
    before = pages.office.dump()
    changes, name = WRONG[case]
    answer = pages.post(GIVEN | changes)
    text = answer.body.decode()
    assert answer.status == 400
    assert f'id="{name}-fault"' in text
    assert text.count('aria-invalid="true"') == 1
    assert 'role="alert"' in text
    for other, value in GIVEN.items():
        if other != name:
            assert (value in text) if other != "kind" else f'value="{value}" selected' in text
    assert pages.office.dump() == before


def test_two_faults_are_told_at_once() -> None:
    pages = Pages(Office())
    text = pages.post(GIVEN | {"kind": "", "email": "wrong@@mail"}).body.decode()
    assert 'id="kind-fault"' in text
    assert 'id="email-fault"' in text
    assert 'value="wrong@@mail"' in text
    assert "有 2 处需要更正" in text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"kind=other&text=%ff", 400), (b"\xff\xfe", 400), (b"", 400), (b"a&" * 100, 400),
        (b"kind=other&kind=service&text=x", 400), (b"kind=other&text=x&colour=red", 400),
        (b"kind=other&text=x&%F0%9F%90%9F=1", 400), (b'{"kind": "other", "text": "x"}', 400),
        (b"kind=other&text=x", 303),
    ],
)  # fmt: skip
def test_whatever_is_posted_is_answered(body: bytes, status: int) -> None:
    """Non-UTF-8, nothing, too much, twice the same, unknown: a page that says so."""
    pages = Pages(Office())
    answer = pages.ask("POST", body=body)
    assert answer.status == status
    assert answer.status == 303 or answer.body.startswith(b"<!doctype html>")
    assert len(pages.office.rows(Table.COMPLAINTS)) == (status == 303)


def test_repeated_and_unknown_fields_are_named() -> None:
    pages = Pages(Office())
    text = pages.post([("kind", "other"), ("text", "x"), ("text", "y"), ("colour", "red")]).body.decode()
    assert 'id="text-fault"' in text
    assert "colour: " in text


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
def test_only_forms_are_taken(kind: str) -> None:
    pages = Pages(Office())
    assert pages.ask("POST", body=b"kind=other&text=x", content_type=kind).status == 415


@settings(max_examples=60)
@given(
    st.dictionaries(st.sampled_from([*GIVEN, "more"]), st.text(st.characters(exclude_categories=["Cs"])), max_size=7)
)
def test_no_text_is_markup(fields: dict[str, str]) -> None:
    """Whatever is typed comes back as text, in a page of the same policy."""
    marked = {name: f"\"><script>alert('x')</script>{value}" for name, value in fields.items()}
    answer = Pages(Office()).post(marked)
    assert b"<script" not in answer.body
    assert "default-src 'none'" in dict(answer.headers)["Content-Security-Policy"]


@given(st.binary(max_size=80), st.text(max_size=40))
@settings(max_examples=60)
def test_any_octets_are_answered(body: bytes, query: str) -> None:
    pages = Pages(Office())
    assert pages.ask("POST", body=body).status in (303, 400)
    assert pages.ask("GET", query).status in (200, 400, 404)


def test_the_form_can_be_filled_in_by_a_link() -> None:
    """From the page of a prefix; bounded, and text."""
    pages = Pages(Office())
    assert 'value="88.118.7"' in pages.ask(query="subject=88.118.7").body.decode()
    long = pages.ask(query="subject=" + "x" * 5_000).body.decode()
    assert "x" * limits.COMPLAINT_SUBJECT_CHARS_MAX in long
    assert "x" * (limits.COMPLAINT_SUBJECT_CHARS_MAX + 1) not in long


def test_every_field_has_a_label_in_two_languages() -> None:
    text = Pages(Office()).ask().body.decode()
    for member in FORM:
        assert f'<label for="{member.name}">{member.zh} {member.en}' in text
        assert f'id="{member.name}"' in text
    for zh, en in KINDS.values():
        assert f"{zh} {en}" in text


def test_a_reply_is_read_on_the_page() -> None:
    """As text with its lines, in both endings; an overdue one says so."""
    pages = Pages(Office())
    office = pages.office
    ticket = filed(office)
    office.do(MoveComplaint(ticket, "accept"))
    office.do(MoveComplaint(ticket, "answer", "第一行\n<b>第二行</b>"))
    assert "第一行<br>&lt;b&gt;第二行&lt;/b&gt;" in pages.ask(query=f"ticket={ticket}").body.decode()
    other = filed(office)
    office.now = Millis(office.now + 30 * 86_400_000)
    assert "已超过答复期限" in pages.ask(query=f"ticket={other.lower()}").body.decode()
    missing = pages.ask(query="ticket=C20231114-2222222222")
    assert missing.status == 404
    assert "没有投诉" in missing.body.decode()


def test_the_page_of_a_ticket_says_what_it_is_about() -> None:
    """As text; a dash where nothing was named."""
    pages = Pages(Office())
    for subject, shown in (("88.118.7/<b>", "88.118.7/&lt;b&gt;"), ("", "–")):
        ticket = pages.office.do(FileComplaint(kind="other", text="x", subject=subject), ANONYMOUS)["ticket"]
        text = pages.ask(query=f"ticket={ticket}").body.decode()
        assert f"所涉标识或前缀 Identifier or prefix</th><td>{shown}</td>" in text


def test_limits_are_told_on_the_page() -> None:
    """What was typed stays; faults do not count."""
    taken = itertools.count()
    limit = SourceLimit(lambda _: next(taken) < 1, 360)
    pages = Pages(Office(), filing=limit, lookups=SourceLimit(lambda _: False, 1))
    assert [pages.post({"kind": "x"}).status for _ in range(3)] == [400, 400, 400]
    assert pages.post(GIVEN).status == 303
    refused = pages.post(GIVEN)
    assert (refused.status, dict(refused.headers)["Retry-After"]) == (429, "360")
    assert [name for name, _ in refused.headers].count("Retry-After") == 1
    assert "标签上的标识查不到" in refused.body.decode()
    assert pages.ask(query="ticket=C1").status == 429


@pytest.mark.parametrize("outcome", [Outcome.OVERLOADED, Outcome.STORE_FULL])
def test_a_registrar_that_cannot_is_told_on_the_page(outcome: Outcome) -> None:
    pages = Pages(Office())
    pages.result = Result(outcome, message="磁盘已满。The disk is full")
    answer = pages.post(GIVEN)
    assert answer.status == 503
    assert "The disk is full" in answer.body.decode()
    assert "标签上的标识查不到" in answer.body.decode()


def test_other_methods_are_told_which() -> None:
    answer = Pages(Office()).ask("DELETE")
    assert (answer.status, dict(answer.headers)["Allow"]) == (405, "GET, HEAD, POST")
