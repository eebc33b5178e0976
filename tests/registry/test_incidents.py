"""Incidents: every state meets every act, every fault is told at once, and reports are kept as they were signed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.clock import Millis, format_shanghai, format_utc, parse_given
from core.errors import ConfigError, Outcome
from core.incidents import KINDS, PURPOSE, SEVERITIES, STATE_LABELS, TRANSITIONS, Event, Kind, Severity, State
from core.signature import Signer, key_id, verify_document
from core.store.engine import Table
from core.store.fsck import check_store
from core.store.incident_rows import OPEN_INCIDENTS_KEY, Incident, unpack_incident, unpack_open
from registry.commands import CloseIncident, Command, OpenIncident, ReportIncident, Token, UpdateIncident
from registry.incident_report import Reporting
from registry.management import OPERATIONS, outcomes_of
from tests.kit.governance import ANNA, BEN, INCIDENT, SIGNER, Office

HOUR_MS = 3_600_000
NAME = "I000001"
SOLVED = {"cause": "供电", "measures": ["换电源"]}
ASKED: dict[Event, Command] = {
    Event.UPDATE: UpdateIncident(NAME, json.dumps(SOLVED).encode()),
    Event.REPORT: ReportIncident(NAME, "省通信管理局"),
    Event.CLOSE: CloseIncident(NAME),
}


def form(**members: Any) -> bytes:
    """Return the form of an incident, with other members."""
    return json.dumps(json.loads(INCIDENT) | members).encode()


def changes(**members: Any) -> UpdateIncident:
    return UpdateIncident(NAME, json.dumps(members).encode())


def opened(**members: Any) -> Office:
    """Return an office in which one incident is open."""
    office = Office()
    assert office.do(OpenIncident(form(**members)))["incident"] == NAME
    return office


def stored(office: Office, name: str = NAME) -> Incident:
    return unpack_incident(office.rows(Table.INCIDENTS)[name])


def faults(office: Office, command: Command) -> dict[str, str]:
    """Return the faults of an act that is refused and stores nothing, by their paths."""
    before = office.dump(Table.JOURNAL, Table.META)
    result = office.ask(command)
    assert (result.outcome, result.rule) == (Outcome.INVALID_VALUE, "form"), result
    assert office.dump(Table.JOURNAL, Table.META) == before
    told = json.loads(result.body)["faults"]
    assert all(each["zh"] and each["en"] for each in told)
    return {each["path"]: each["rule"] for each in told}


# --- states -------------------------------------------------------------------


def in_state(state: State) -> Office:
    office = opened(severity="ordinary", **SOLVED)
    if state is State.REPORTED:
        office.do(ASKED[Event.REPORT])
    elif state is State.CLOSED:
        office.do(ASKED[Event.CLOSE])
    assert stored(office).state == state.value
    return office


@pytest.mark.parametrize("event", ASKED, ids=lambda event: event.value)
@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_every_act_meets_every_state(state: State, event: Event) -> None:
    """It moves as the table has it, is a step and an entry of the journal, or is refused and stores nothing else."""
    office = in_state(state)
    before, entries = office.dump(Table.JOURNAL, Table.META), len(office.journal())
    wanted = TRANSITIONS.get((state, event))
    result = office.ask(ASKED[event], BEN)
    entry = office.journal()[entries]
    assert (entry.action, entry.object, entry.who.name) == (f"incident.{event.value}", NAME, "ben")
    if wanted is None:
        assert (result.outcome, result.rule) == (Outcome.CONFLICT, "incident-closed")
        assert office.dump(Table.JOURNAL, Table.META) == before
        return
    assert result.done
    after = stored(office)
    assert after.state == wanted.value
    assert (after.steps[-1].event, after.steps[-1].state, after.steps[-1].who.name) == (
        event.value, wanted.value, "ben",
    )  # fmt: skip
    assert office.feed() == in_state(State.OPEN).feed()  # no change of what is registered


def test_the_tables_are_whole() -> None:
    """Every word is labelled; the codes of kinds are those of the national node; two severities need a report."""
    assert (set(KINDS), set(SEVERITIES), set(STATE_LABELS)) == (set(Kind), set(Severity), set(State))
    assert [rule.code for rule in KINDS.values()] == [1, 2, 3, 4]
    assert {name.value for name, rule in SEVERITIES.items() if rule.report_needed} == {"extraordinary", "major"}
    assert {event for _, event in TRANSITIONS} == set(Event)
    for operation in OPERATIONS:
        if operation.call in ("incident.update", "incident.report", "incident.close"):
            assert Outcome.CONFLICT in outcomes_of(operation)


@pytest.mark.parametrize("severity", Severity, ids=lambda severity: severity.value)
@pytest.mark.parametrize("cause", [False, True])
@pytest.mark.parametrize("measures", [False, True])
@pytest.mark.parametrize("reported", [False, True])
def test_what_closing_needs(severity: Severity, cause: bool, measures: bool, reported: bool) -> None:
    """Cause, measures, and where it is major or worse a report; all that lacks is told at once."""
    given = {name: SOLVED[name] for name, wanted in (("cause", cause), ("measures", measures)) if wanted}
    office = opened(severity=severity.value, **given)
    if reported:
        office.do(ASKED[Event.REPORT])
    missing = {} if cause else {"cause": "closing-cause"}
    missing |= {} if measures else {"measures": "closing-measures"}
    missing |= {"reports": "closing-report"} if SEVERITIES[severity].report_needed and not reported else {}
    if missing:
        assert faults(office, CloseIncident(NAME)) == missing
    else:
        told = office.do(CloseIncident(NAME))
        assert (told["state"], told["closed"], told["due"]) == ("closed", format_utc(office.now // 1_000), None)


@pytest.mark.parametrize("first", ["major", "ordinary"])
def test_what_was_ever_major_is_not_closed_without_a_report(first: str) -> None:
    """Opened as such or made such by an update, and lowered since, however often it was updated."""
    office = opened(severity=first, **SOLVED)
    office.do(changes(severity="extraordinary"))
    for severity in ("ordinary", "considerable", "ordinary"):
        office.do(changes(severity=severity))
    assert faults(office, CloseIncident(NAME)) == {"reports": "closing-report"}
    office.do(ASKED[Event.REPORT])
    office.do(CloseIncident(NAME))


# --- faults ---------------------------------------------------------------------


def test_every_fault_is_told_at_once() -> None:
    """Of members, times and measures; nothing is stored, no number is used up."""
    office = Office()
    given = {
        "title": " ", "description": "a\x00b", "kind": "fire", "severity": 4, "occurred": "2099-01-01T00:00",
        "discovered": "yesterday", "recovered": "2023-02-30T00:00Z", "cause": "x" * 4_001, "affected": ["a"],
        "measures": ["ok", "", {"at": "2099-01-01T00:00Z", "text": "x"}, {"at": 5, "text": "x"}, {"at": None}, 7],
        "titel": "x", "\u202e": "y",
    }  # fmt: skip
    assert faults(office, OpenIncident(json.dumps(given).encode())) == {
        "title": "member-length", "description": "incident-text", "kind": "member-choice", "severity": "member-type",
        "occurred": "incident-future", "discovered": "incident-time", "recovered": "incident-time",
        "cause": "member-length", "affected": "member-type", "measures[1]": "member-length",
        "measures[2].at": "incident-future", "measures[3].at": "member-type", "measures[4]": "member-type",
        "measures[5]": "member-type", "titel": "member-unknown", "#12": "member-unknown",
    }  # fmt: skip
    assert faults(office, OpenIncident(b"{}")) == dict.fromkeys(
        ("title", "description", "kind", "severity", "occurred"), "member-required"
    )
    assert office.do(OpenIncident(INCIDENT))["incident"] == NAME


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b'"x"', b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_form_is_refused(octets: bytes) -> None:
    """Whatever comes."""
    office = opened()
    for command in (OpenIncident(octets), UpdateIncident(NAME, octets)):
        result = office.ask(command)
        assert (result.outcome, result.rule) == (Outcome.MALFORMED, "json")


def test_times_that_do_not_fit_together_are_refused() -> None:
    """Nothing is noticed or over before it began; what is stored counts for what is changed."""
    office = Office()
    early = "2023-11-13T23:59Z"
    assert faults(office, OpenIncident(form(discovered=early, recovered=early))) == {
        "discovered": "incident-order", "recovered": "incident-order",
    }  # fmt: skip
    office.do(OpenIncident(form(discovered="2023-11-14T01:00Z")))
    assert faults(office, changes(recovered=early)) == {"recovered": "incident-order"}
    assert faults(office, changes(occurred="2023-11-14T02:00Z")) == {"discovered": "incident-order"}
    ahead = format_utc(office.now // 1_000 + 60)
    names = ("occurred", "discovered", "recovered")
    assert faults(office, changes(**dict.fromkeys(names, ahead))) == dict.fromkeys(names, "incident-future")
    office.do(changes(occurred="2023-11-14T08:30", recovered="2023-11-14T00:30+00:00"))  # Shanghai; the same moment
    assert stored(office).occurred_ms == stored(office).recovered_ms == parse_given("2023-11-14T00:30Z")


def test_what_is_given_now_is_not_in_the_future() -> None:
    """The second in which the registrar decides is not, the next one is."""
    office = Office()
    late = format_utc((office.now + 2_000) // 1_000)
    assert faults(office, OpenIncident(form(occurred=late))) == {"occurred": "incident-future"}
    office.do(OpenIncident(form(occurred=late, discovered=late)))


@pytest.mark.parametrize("member", ["title", "description", "kind", "severity", "occurred", "discovered"])
def test_what_an_incident_needs_is_not_taken_away(member: str) -> None:
    """An empty text is a fault; a null leaves it."""
    office = opened()
    assert set(faults(office, changes(**{member: ""}))) == {member}
    before = stored(office)
    office.do(changes(**{member: None}))
    assert stored(office) == before


def test_what_is_optional_is_taken_away() -> None:
    office = opened(recovered="2023-11-14T01:00Z", cause="x", affected="88.118")
    office.do(changes(recovered="", cause="", affected=""))
    after = stored(office)
    assert (after.recovered_ms, after.cause, after.affected) == (0, "", "")


def test_texts_are_kept_as_they_were_written() -> None:
    """Lines, wide blanks and any script; blanks around them go, line ends are one kind."""
    office = opened(description=" 第一行\r\n　第二行 <b>&amp; 𠮷 ", title=" 盐　业 ")
    assert (stored(office).description, stored(office).title) == ("第一行\n　第二行 <b>&amp; 𠮷", "盐　业")
    assert faults(office, changes(title="a\nb")) == {"title": "incident-text"}
    for hidden in ("\u202e", "\u200b", "\x1b", "\x7f", "\u2028"):
        assert faults(office, changes(cause=f"a{hidden}b")) == {"cause": "incident-text"}


# --- what an update tells -----------------------------------------------------------


def test_an_update_tells_what_it_changed() -> None:
    """A step with old and new of what weighs, the names of texts; what changes nothing is no step."""
    office = opened()
    office.do(changes(severity="ordinary", cause="x", occurred="2023-11-13T00:00Z", measures=["y"]))
    after = stored(office)
    assert after.steps[-1].note == (
        "severity: major → ordinary; occurred: 2023-11-14T08:00:00+08:00 → 2023-11-13T08:00:00+08:00; cause; "
        "measures: +1"
    )
    office.do(changes(cause="x", severity="ordinary"))
    office.do(changes())
    assert stored(office) == after


def test_the_journal_says_what_every_update_changed() -> None:
    """Also that of a step which the row keeps no more; of texts it has the names, and nothing in any language."""
    office = opened(severity="extraordinary")
    office.do(changes(severity="ordinary", cause="供电", measures=["切换"], recovered="2023-11-14T01:00Z"))
    for number in range(limits.INCIDENT_STEPS):
        office.do(changes(cause=f"x{number}"))
    assert not any("severity" in step.note for step in stored(office).steps)
    told = [entry.reason for entry in office.journal() if entry.action == "incident.update"]
    assert told[0] == (
        "severity: extraordinary → ordinary; recovered: – → 2023-11-14T09:00:00+08:00; cause; measures: +1"
    )
    assert set(told[1:]) == {"cause"}
    office.do(changes(cause=f"x{limits.INCIDENT_STEPS - 1}"))
    assert office.journal()[-1].reason == ""


def test_the_longest_change_fits_the_journal() -> None:
    """Nothing of it is cut."""
    office = opened(severity="considerable", kind="network")
    times = dict.fromkeys(("discovered", "recovered"), "2023-11-14T01:00Z")
    long = dict.fromkeys(("title", "description", "affected", "cause"), "z" * limits.INCIDENT_TITLE_CHARS_MAX)
    office.do(changes(kind="attack", severity="extraordinary", occurred="2023-11-13T01:00Z", **times, **long))
    office.do(changes(kind="network", severity="considerable", recovered="2023-11-14T02:00Z",
                      occurred="2023-11-13T02:00Z", discovered="2023-11-14T02:00Z", title="t", description="d",
                      affected="a", cause="c", measures=["m"] * limits.INCIDENT_MEASURES_MAX))  # fmt: skip
    reason = office.journal()[-1].reason
    assert reason == stored(office).steps[-1].note
    assert reason.endswith("; affected; cause; measures: +64")


def test_measures_are_added_with_their_times() -> None:
    """Now, or when somebody says; in the order in which they were told."""
    office = opened(measures=["one"])
    first = office.now
    office.do(changes(measures=[{"at": "2023-11-14T08:10", "text": "two"}, {"text": "three"}]), BEN)
    times = [first, parse_given("2023-11-14T00:10Z"), office.now]
    assert [(each.at_ms, each.text, each.who.name) for each in stored(office).measures] == list(
        zip(times, ["one", "two", "three"], ["anna", "ben", "ben"], strict=True)
    )


# --- bounds ------------------------------------------------------------------------


def test_measures_are_bounded() -> None:
    most = limits.INCIDENT_MEASURES_MAX
    office = opened(measures=["x"] * (most - 1))
    assert faults(office, changes(measures=["x"] * 2)) == {"measures": "member-items"}
    office.do(changes(measures=["x"]))
    assert faults(office, changes(measures=["x"])) == {"measures": "member-items"}
    assert faults(office, OpenIncident(form(measures=["x"] * (most + 1)))) == {"measures": "member-items"}


def test_the_longest_incident_is_reported_and_fits_everywhere() -> None:
    """As many reports as there may be, of texts as long as they may be; one more is refused, closing is not."""
    high = "𠮷"
    office = opened(
        title=high * limits.INCIDENT_TITLE_CHARS_MAX, description=high * limits.INCIDENT_TEXT_CHARS_MAX,
        cause="&" * limits.INCIDENT_TEXT_CHARS_MAX, affected=high * limits.INCIDENT_TEXT_CHARS_MAX,
        measures=[high * limits.INCIDENT_MEASURE_CHARS_MAX] * limits.INCIDENT_MEASURES_MAX,
    )  # fmt: skip
    to = high * limits.INCIDENT_TO_CHARS_MAX
    for revision in range(1, limits.INCIDENT_REPORTS_MAX + 1):
        assert office.do(ReportIncident(NAME, to))["revision"] == revision
    refused = office.ask(ReportIncident(NAME, to))
    assert (refused.outcome, refused.rule) == (Outcome.CONFLICT, "incident-reports")
    rows = office.rows(Table.INCIDENT_REPORTS)
    assert len(rows) == limits.INCIDENT_REPORTS_MAX
    assert max(map(len, rows.values())) < 524_288 < limits.BODY_BYTES_MAX
    office.do(CloseIncident(NAME))


def test_so_many_are_open_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused until one is closed; those that are closed do not count."""
    monkeypatch.setattr(limits, "INCIDENTS_OPEN_MAX", 2)
    office = opened(severity="ordinary", **SOLVED)
    office.do(OpenIncident(INCIDENT))
    refused = office.ask(OpenIncident(INCIDENT))
    assert (refused.outcome, refused.rule) == (Outcome.CONFLICT, "incidents-open")
    office.do(CloseIncident(NAME))
    assert office.do(OpenIncident(INCIDENT))["incident"] == "I000003"
    with office.store.snapshot() as snapshot:
        assert unpack_open(snapshot.get(Table.META, OPEN_INCIDENTS_KEY)) == ["I000002", "I000003"]
        assert list(check_store(snapshot)) == []


@pytest.mark.parametrize("to", ["", " ", "x" * 101, "a\nb", "a\x00"])
def test_whom_it_is_for_is_a_name(to: str) -> None:
    assert set(faults(opened(), ReportIncident(NAME, to))) == {"to"}


@pytest.mark.parametrize("name", ["", "I000009", "I0000010", "x" * 1_000, "I000001/001"])
def test_an_incident_that_is_not_there(name: str) -> None:
    office = opened()
    for command in (UpdateIncident(name, b"{}"), ReportIncident(name, "x"), CloseIncident(name)):
        result = office.ask(command)
        assert (result.outcome, result.rule) == (Outcome.NOT_FOUND, "incident-not-found")


# --- the timer -----------------------------------------------------------------------


def test_the_timer_runs_from_the_discovery_until_the_first_report() -> None:
    """Whatever the severity; an update moves it only by an earlier discovery, with the time limit of its opening."""
    office = Office(reporting=Reporting(within_ms=2 * HOUR_MS))
    office.do(OpenIncident(form(discovered="2023-11-14T01:00Z", severity="ordinary", **SOLVED)))
    due = parse_given("2023-11-14T03:00Z")
    assert due is not None
    row = stored(office)
    assert (row.due_ms, row.is_overdue(due), row.is_overdue(due + 1)) == (due, False, True)
    office.registry.reporting = Reporting()
    office.do(changes(discovered="2023-11-14T00:30Z"))
    assert stored(office).due_ms == due - HOUR_MS // 2
    assert office.do(changes(cause="y"))["due"] == "2023-11-14T02:30:00Z"
    office.do(ASKED[Event.REPORT])
    row = stored(office)
    assert (row.awaits_report, row.is_overdue(due + 1)) == (False, False)


def test_another_discovery_never_puts_the_report_off() -> None:
    """Later: the deadline stays; earlier than any before: it comes nearer, by as much as that."""
    office = Office(reporting=Reporting(within_ms=2 * HOUR_MS))
    office.do(OpenIncident(form(discovered="2023-11-14T01:00Z")))
    due = {"01:30": "03:00", "01:15": "03:00", "00:40": "02:40", "01:00": "02:40", "00:30": "02:30"}
    for discovered, until in due.items():
        told = office.do(changes(discovered=f"2023-11-14T{discovered}Z"))
        assert told["due"] == f"2023-11-14T{until}:00Z", discovered


def test_the_timer_begins_now_and_ends_with_the_incident() -> None:
    """24 hours without another setting; one that is closed without a report waits for none."""
    office = opened(severity="considerable", **SOLVED)
    row = stored(office)
    assert (row.discovered_ms, row.due_ms) == (office.now, office.now + 24 * HOUR_MS)
    office.do(CloseIncident(NAME))
    assert not stored(office).is_overdue(2**50)


# --- reports --------------------------------------------------------------------------


def test_each_report_is_a_revision_that_stays() -> None:
    """What was reported first stays as it was, after updates, later reports and the end; each verifies."""
    office = opened()
    first = office.do(ASKED[Event.REPORT])
    at = office.now
    office.do(changes(**SOLVED))
    second = office.do(ReportIncident(NAME, "工业和信息化部"), BEN)
    office.do(CloseIncident(NAME))
    last = office.do(ReportIncident(NAME, "省通信管理局"))
    kept = [json.loads(row[1:]) for row in office.rows(Table.INCIDENT_REPORTS).values()]
    assert kept == [first, second, last]
    for each in kept:
        signature = verify_document(PURPOSE, each)
        assert signature is not None
        assert signature.key_id == key_id(SIGNER.public_key)
    assert [each["state"]["name"] for each in kept] == ["reported", "reported", "closed"]
    assert (first["revision"], first["cause"], first["measures"], first["earlier"]) == (1, None, [], [])
    assert (second["revision"], second["cause"], second["by"]) == (2, "供电", "ben")
    made = {"utc": format_utc(at // 1_000), "shanghai": format_shanghai(at)}
    assert first["made"] == made
    assert second["earlier"] == [{"revision": 1, "at": made, "to": "省通信管理局"}]
    assert len(last["earlier"]) == 2
    reasons = [entry.reason for entry in office.journal() if entry.action == "incident.report"]
    assert reasons == ["省通信管理局", "工业和信息化部", "省通信管理局"]
    with office.store.snapshot() as snapshot:
        assert list(check_store(snapshot)) == []


def test_a_report_asked_for_again_is_the_same_one() -> None:
    """By its idempotency key: one revision, one signature."""
    office = opened()
    token = Token("key", bytes(32))
    (first,), (again,) = (office.run(ASKED[Event.REPORT], token=token) for _ in range(2))
    assert first.body == again.body
    assert len(office.rows(Table.INCIDENT_REPORTS)) == 1


def test_a_report_says_which_node_it_is_of() -> None:
    office = Office(reporting=Reporting("88.118", "某盐业", "Saltern 0.1.0"))
    office.do(OpenIncident(INCIDENT))
    assert office.do(ASKED[Event.REPORT])["node"] == {
        "prefix": "88.118", "operator": "某盐业", "software": "Saltern 0.1.0",
    }  # fmt: skip


def broken() -> Signer:
    raise ConfigError("node.signing_key: 没有 k，可这样新建。There is no k; make one")


@pytest.mark.parametrize("load_signer", [broken, None])
def test_without_a_key_nothing_is_reported(load_signer: Any) -> None:
    """A refusal that says why in both languages, and is written down; the incident is as it was."""
    office = Office(load_signer=load_signer)
    office.do(OpenIncident(INCIDENT))
    before = office.dump(Table.JOURNAL, Table.META)
    result = office.ask(ASKED[Event.REPORT])
    assert (result.outcome, result.rule) == (Outcome.CONFLICT, "signing-key")
    assert result.message.startswith("未生成报告：node.signing_key: ")
    assert "No report was made: " in result.message
    assert office.dump(Table.JOURNAL, Table.META) == before
    assert office.journal()[-1].rule == "signing-key"


def test_a_group_of_acts_is_one_after_the_other() -> None:
    """Opened, updated, reported and closed in one commit; and a dry run of it stores nothing."""
    office = Office()
    before = office.dump()
    commands = (OpenIncident(INCIDENT), *ASKED.values())
    assert office.run(commands[0], dry_run=True)[0].done
    assert office.dump() == before
    assert [result.done for result in office.run(*commands)] == [True] * 4
    assert stored(office).state == "closed"
    assert len(office.rows(Table.INCIDENTS)) == 1
    assert office.do(OpenIncident(INCIDENT), ANNA)["incident"] == "I000002"


# --- times ----------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(-14 * 60, 14 * 60))
def test_a_time_is_read_with_any_offset(seconds: int, minutes: int) -> None:
    """The same moment, however it is written."""
    sign = "-" if minutes < 0 else "+"
    local = seconds + minutes * 60
    if 0 <= local < 2**32:
        offset = f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
        assert parse_given(format_utc(local).replace("Z", offset)) == seconds * 1_000
    at_ms = Millis(seconds * 1_000)
    assert parse_given(format_utc(seconds)) == at_ms
    if seconds < 2**32 - 8 * 3_600:
        assert parse_given(format_shanghai(at_ms)) == at_ms == parse_given(format_shanghai(at_ms)[:19])


@pytest.mark.parametrize(
    "text",
    [
        "", "2026-11-21", "2026-11-21 08:00", "2026-11-21T08", "2026-11-21T08:00:00.5Z", "2026-11-21T08:00+8",
        "2026-11-21T08:00+08:60", "2026-11-21T08:00+14:01", "2026-02-30T08:00", "2026-11-21T24:00", "1969-12-31T23:59Z",
        "2106-02-07T06:28:16Z", "２０２６-11-21T08:00", "2026-11-21T08:00Z\n", "1970-01-01T07:59",
    ],
)  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    assert parse_given(text) is None
