"""Incidents: opened, updated, reported, closed (Measures art. 14).

A report is made, signed and stored in one act: what was answered as reported can be got again, and is
what it was. Whatever is wrong with a form is told at once, and then nothing is stored.
"""

from __future__ import annotations

from typing import Any, Final

from core import limits
from core.clock import Millis, format_shanghai, format_utc
from core.errors import ConfigError, NodeError, Outcome
from core.incidents import PURPOSE, SEVERITIES, TRANSITIONS, Event, Severity, State
from core.party.rules import Fault
from core.signature import Signer
from core.store.engine import Table
from core.store.incident_rows import (
    LAST_INCIDENT_KEY,
    OPEN_INCIDENTS_KEY,
    Incident,
    Measure,
    Report,
    Step,
    incident_id,
    pack_incident,
    pack_last,
    pack_open,
    pack_report,
    report_key,
    unpack_incident,
    unpack_open,
)
from registry.commands import CloseIncident, OpenIncident, ReportIncident, Result, UpdateIncident
from registry.desk import Desk, read_form, refused_form, told
from registry.incident_fields import FIELDS, Form, read_incident, read_to
from registry.incident_report import report_document
from registry.refusals import fault, refusal

_TOLD_CHANGES: Final = ("kind", "severity")
"""What an update changed is told with both values of these and of times; texts are named alone."""


def open_incident(desk: Desk, command: OpenIncident) -> Result:
    """Open an incident; it is discovered now where the form does not say when."""
    form = read_incident(_members(command.form), whole=True)
    times = {"discovered_ms": desk.now_ms, "recovered_ms": Millis(0)} | form.values
    faults = [*form.faults, *_time_faults(times, form, desk.now_ms)]
    if faults:
        return refused_form("", faults)
    listed = unpack_open(desk.staging.get(Table.META, OPEN_INCIDENTS_KEY))
    if len(listed) >= limits.INCIDENTS_OPEN_MAX:
        raise refusal("incidents-open", Outcome.CONFLICT, incidents=limits.INCIDENTS_OPEN_MAX)
    last = int.from_bytes(desk.staging.get(Table.META, LAST_INCIDENT_KEY) or b"", "big") + 1
    members: dict[str, Any] = {"affected": "", "cause": ""} | times
    incident = Incident(
        **members, opened_ms=desk.now_ms, opener=desk.who,
        due_ms=Millis(times["discovered_ms"] + desk.reporting.within_ms), measures=_measures(desk, form),
        within_ms=Millis(desk.reporting.within_ms),
    )  # fmt: skip
    name = incident_id(last)
    desk.staging.put(Table.META, LAST_INCIDENT_KEY, pack_last(last))
    desk.staging.put(Table.META, OPEN_INCIDENTS_KEY, pack_open([*listed, name]))
    return told(name, Outcome.CREATED, _staged(desk, name, incident, Event.OPEN, TRANSITIONS[None, Event.OPEN]))


def update_incident(desk: Desk, command: UpdateIncident) -> Result:
    """Change members of an incident, and add measures; the message of the result says what was changed.

    It keeps the time limit that it was opened with. Another time of discovery never puts the report off.
    """
    name, old = command.incident, _incident(desk, command.incident)
    state = _next_state(name, old, Event.UPDATE)
    form = read_incident(_members(command.form), whole=False)
    new = old._replace(**form.values, measures=(*old.measures, *_measures(desk, form)))
    faults = [*form.faults, *_time_faults(new._asdict(), form, desk.now_ms)]
    if len(new.measures) > limits.INCIDENT_MEASURES_MAX:
        faults.append(fault("measures", "member-items", items=limits.INCIDENT_MEASURES_MAX))
    if faults:
        return refused_form(name, faults)
    changes = _changes(old, new)
    if not changes:
        return told(name, Outcome.OK, incident_document(name, old))
    new = new._replace(due_ms=Millis(min(old.due_ms, new.discovered_ms + old.within_ms)))
    note = "; ".join(changes)
    return told(name, Outcome.OK, _staged(desk, name, new, Event.UPDATE, state, note=note))._replace(message=note)


def report_incident(desk: Desk, command: ReportIncident) -> Result:
    """Make, sign and store the next revision of the report; the body of the result is the signed document."""
    name, incident = command.incident, _incident(desk, command.incident)
    state = _next_state(name, incident, Event.REPORT)
    to, faults = read_to(command.to)
    if faults:
        return refused_form(name, faults)
    if len(incident.reports) >= limits.INCIDENT_REPORTS_MAX:
        raise refusal("incident-reports", Outcome.CONFLICT, reports=limits.INCIDENT_REPORTS_MAX)
    signer = _signer(desk)
    stands = incident._replace(state=state.value)
    document = report_document(name, stands, desk.reporting, to=to, who=desk.who, now_ms=desk.now_ms)
    signed = signer.sign_document(PURPOSE, document)
    made = Report(desk.now_ms, to, desk.who, signed["signature"]["key_id"])
    desk.staging.put(Table.INCIDENT_REPORTS, report_key(name, document["revision"]), pack_report(signed))
    reported = incident._replace(reports=(*incident.reports, made))
    _staged(desk, name, reported, Event.REPORT, state, note=f"r{document['revision']}: {to}")
    return told(name, Outcome.CREATED, signed)


def close_incident(desk: Desk, command: CloseIncident) -> Result:
    """End an incident. Cause and measures are known by then, and it is reported where that was ever needed."""
    name, incident = command.incident, _incident(desk, command.incident)
    state = _next_state(name, incident, Event.CLOSE)
    faults = []
    if not incident.cause:
        faults.append(fault("cause", "closing-cause"))
    if not incident.measures:
        faults.append(fault("measures", "closing-measures"))
    if incident.report_needed and not incident.reports:
        faults.append(fault("reports", "closing-report"))
    if faults:
        return refused_form(name, faults)
    closed = incident._replace(closed_ms=desk.now_ms)
    listed = unpack_open(desk.staging.get(Table.META, OPEN_INCIDENTS_KEY))
    desk.staging.put(Table.META, OPEN_INCIDENTS_KEY, pack_open(each for each in listed if each != name))
    return told(name, Outcome.OK, _staged(desk, name, closed, Event.CLOSE, state))


def incident_not_found(name: str) -> NodeError:
    """Return what is told where there is no such incident."""
    return refusal("incident-not-found", Outcome.NOT_FOUND, incident=repr(name[:40]))


# --- how it is told ----------------------------------------------------------
def incident_summary(name: str, incident: Incident) -> dict[str, Any]:
    """Return what a list says of an incident. ``due``: None where no report is awaited."""
    return {
        "incident": name,
        "title": incident.title,
        "kind": incident.kind,
        "severity": incident.severity,
        "state": incident.state,
        "occurred": _utc(incident.occurred_ms),
        "discovered": _utc(incident.discovered_ms),
        "recovered": _utc(incident.recovered_ms),
        "opened": _utc(incident.opened_ms),
        "closed": _utc(incident.closed_ms),
        "due": _utc(incident.due_ms) if incident.awaits_report else None,
        "reports": len(incident.reports),
    }


def incident_document(name: str, incident: Incident) -> dict[str, Any]:
    """Return an incident with its measures, reports and steps."""
    return incident_summary(name, incident) | {
        "description": incident.description,
        "affected": incident.affected or None,
        "cause": incident.cause or None,
        "opened_by": str(incident.opener),
        "measures": [
            {"at": _utc(each.at_ms), "text": each.text, "who": str(each.who)} for each in incident.measures
        ],
        "reports": [
            {"revision": revision, "at": _utc(each.at_ms), "to": each.to, "who": str(each.who), "key_id": each.key_id}
            for revision, each in enumerate(incident.reports, 1)
        ],
        "steps": [
            {"at": _utc(each.at_ms), "event": each.event, "state": each.state, "who": str(each.who),
             "note": each.note or None}
            for each in incident.steps
        ],
    }  # fmt: skip


def _utc(at_ms: int) -> str | None:
    return format_utc(at_ms // 1_000) if at_ms else None


# --- shared ------------------------------------------------------------------
def _members(octets: bytes) -> dict[str, Any]:
    form = read_form(octets)
    if not isinstance(form, dict):
        raise refusal("json", Outcome.MALFORMED, error="no object")
    return form


def _incident(desk: Desk, name: str) -> Incident:
    row = desk.staging.get(Table.INCIDENTS, name.encode())
    if row is None:
        raise incident_not_found(name)
    return unpack_incident(row)


def _next_state(name: str, incident: Incident, event: Event) -> State:
    state = TRANSITIONS.get((State(incident.state), event))
    if state is None:
        raise refusal("incident-closed", Outcome.CONFLICT, incident=name)
    return state


def _staged(
    desk: Desk, name: str, incident: Incident, event: Event, state: State, *, note: str = ""
) -> dict[str, Any]:  # fmt: skip
    """Stage an incident in its next state; return how it is told."""
    step = Step(desk.now_ms, event.value, state.value, desk.who, note)
    needed = incident.report_needed or SEVERITIES[Severity(incident.severity)].report_needed
    incident = incident._replace(state=state.value, steps=(*incident.steps, step), report_needed=needed)
    desk.staging.put(Table.INCIDENTS, name.encode(), pack_incident(incident))
    return incident_document(name, incident)


def _measures(desk: Desk, form: Form) -> tuple[Measure, ...]:
    return tuple(
        Measure(desk.now_ms if each.at_ms is None else each.at_ms, each.text, desk.who) for each in form.measures
    )


def _time_faults(times: dict[str, Any], form: Form, now_ms: Millis) -> list[Fault]:
    """Return what is wrong with times that are right by themselves: none lies ahead or before it occurred."""
    given = {name: times.get(f"{name}_ms") or 0 for name in ("occurred", "discovered", "recovered")}
    found = [fault(name, "incident-future") for name, at_ms in given.items() if at_ms > now_ms]
    found += [
        fault(name, "incident-order")
        for name in ("discovered", "recovered")
        if given[name] and given[name] < given["occurred"] <= now_ms
    ]
    found += [
        fault(f"measures[{each.place}].at", "incident-future")
        for each in form.measures
        if each.at_ms is not None and each.at_ms > now_ms
    ]
    return found


def _changes(old: Incident, new: Incident) -> list[str]:
    """Return what is different, in words."""
    found = []
    for field in FIELDS:
        before, after = getattr(old, field.stored), getattr(new, field.stored)
        if before == after:
            continue
        if field.stored.endswith("_ms"):
            before, after = (format_shanghai(each) if each else "–" for each in (before, after))
        elif field.name not in _TOLD_CHANGES:
            found.append(field.name)
            continue
        found.append(f"{field.name}: {before} → {after}")
    more = len(new.measures) - len(old.measures)
    return [*found, f"measures: +{more}"] if more else found


def _signer(desk: Desk) -> Signer:
    """Return what signs. Errors: NodeError in which the reason stands; nothing was stored then."""
    try:
        return desk.signer()
    except ConfigError as error:
        zh, _, en = error.message.partition("。")
        raise refusal("signing-key", Outcome.CONFLICT, zh=zh, en=en) from None
