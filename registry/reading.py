"""What the management API reads: one state of the store, as far as somebody may see it.

An enterprise sees its own party and prefixes: of a list nothing else, and by name nothing else,
before it is looked whether there is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from core import limits, monitor
from core.changes import Serial, unpack_change
from core.clock import Millis
from core.complaints import parse_ticket
from core.errors import Outcome
from core.ident.handle import HandleRules, PrefixKey, check_prefix
from core.lotkeys import NO_MASTER_KEYS, MasterKeys
from core.store.application_rows import Application, unpack_application
from core.store.bearer_rows import unpack_bearer
from core.store.complaint_rows import Complaint, unpack_complaint
from core.store.engine import Snapshot, Table
from core.store.hold_rows import hold_kind, unpack_hold
from core.store.holding import hold_on_party, hold_on_prefix
from core.store.incident_rows import report_key, unpack_incident, unpack_report
from core.store.journal_rows import entry_key, unpack_entry
from core.store.log_hold_rows import unpack_log_hold
from core.store.party_rows import PartyRow, unpack_party
from core.store.template_rows import TemplateRow, TemplateState, unpack_template
from core.who import Role
from core.wire.metadata import code_range, is_code
from registry.bearers import dump_bearer
from registry.complaints import complaint_document, complaint_not_found, status_document, summary_document
from registry.documents import (
    SEALED,
    application_document,
    application_summary,
    change_document,
    entry_document,
    party_document,
    party_summary,
    template_document,
    template_summary,
)
from registry.holds import dump_hold
from registry.incidents import incident_document, incident_not_found, incident_summary
from registry.log_holds import dump_log_hold
from registry.members import Members
from registry.refusals import refusal
from registry.standing import Standing
from registry.templates import by_version, newest, not_found, same_version

COUNT: Final = 100
"""Rows of a page where nothing else is asked for."""

_REVISION: Final = re.compile(r"[1-9]\d{0,2}", re.ASCII)

Document = dict[str, Any]


class View(NamedTuple):
    """What is looked at. ``members``: of the path and the query. ``now_ms``: by which something is overdue.

    ``keys``: of the unit codes. ``round``: what the last self-probe found.
    """

    snapshot: Snapshot
    standing: Standing
    rules: HandleRules
    members: Members
    now_ms: Millis
    keys: MasterKeys = NO_MASTER_KEYS
    round: Callable[[], monitor.Round | None] = monitor.no_round

    @property
    def role(self) -> Role | None:
        """In which role."""
        return self.standing.role

    @property
    def rows_max(self) -> int:
        """How many rows at most."""
        count: int = self.members.get("count", COUNT)
        return count

    def require_own(self, party: str) -> None:
        """Errors: NodeError if an enterprise asks for another party."""
        if self.role is Role.ENTERPRISE and self.standing.party != party:
            raise refusal("own-party")


class Page(NamedTuple):
    """A part of a list. ``next``: after which row it goes on, None at its end."""

    rows: list[Document]
    next: str | int | None


def show_party(view: View) -> Document:
    """Return a party, its identity fields hidden. Errors: NodeError."""
    name = view.members["party"]
    view.require_own(name)
    row = view.snapshot.get(Table.PARTIES, name.encode())
    if row is None:
        raise refusal("party-not-found", Outcome.NOT_FOUND, party=name)
    party = unpack_party(row)
    return party_document(name, party, dict.fromkeys(party.sealed, SEALED), hold_on_party(view.snapshot, name))


def list_parties(view: View) -> Page:
    """Return a page of parties."""

    def document(key: bytes, row: bytes) -> Document | None:
        name = key.decode()
        if view.role is Role.ENTERPRISE and view.standing.party != name:
            return None
        party: PartyRow = unpack_party(row)
        return party_summary(name, party)

    return _page(view, Table.PARTIES, document)


def show_prefix(view: View) -> Document:
    """Return the application for a prefix, and what became of it. Errors: NodeError."""
    prefix = check_prefix(view.members["prefix"], view.rules)
    row = view.snapshot.get(Table.APPLICATIONS, prefix)
    application = None if row is None else unpack_application(row)
    view.require_own(application.party if application else "")
    if application is None:
        raise refusal("prefix-not-found", Outcome.NOT_FOUND, prefix=prefix.decode())
    return application_document(prefix, application, hold_on_prefix(view.snapshot, prefix))


def list_prefixes(view: View) -> Page:
    """Return a page of applications."""

    def document(key: bytes, row: bytes) -> Document | None:
        application: Application = unpack_application(row)
        if view.role is Role.ENTERPRISE and view.standing.party != application.party:
            return None
        return application_summary(key, application, hold_on_prefix(view.snapshot, PrefixKey(key)))

    return _page(view, Table.APPLICATIONS, document)


def list_bearers(view: View) -> Page:
    """Return a page of tokens, without what proves them."""
    return _page(view, Table.BEARERS, lambda key, row: dump_bearer(key.decode(), unpack_bearer(row)))


def list_holds(view: View) -> Page:
    """Return a page of what is on hold. Errors: NodeError for an ``after`` that is none."""
    try:
        after = bytes.fromhex(view.members.get("after", ""))
    except ValueError:
        raise refusal("page", Outcome.INVALID_VALUE) from None
    rows: list[Document] = []
    last = after
    for key, row in view.snapshot.scan(Table.HOLDS, after + b"\0" if after else b""):
        if len(rows) == view.rows_max:
            return Page(rows, last.hex())
        rows.append(dump_hold(hold_kind(key), unpack_hold(row)))
        last = key
    return Page(rows, None)


def list_held_logs(view: View) -> Page:
    """Return a page of logs on legal hold."""
    return _page(view, Table.LOG_HOLDS, lambda key, row: dump_log_hold(key.decode(), unpack_log_hold(key, row).orders))


def show_monitor(view: View) -> Document:
    """Return whether the node found itself working: for whoever probes it from outside."""
    return monitor.document(view.round(), view.now_ms)


def show_template(view: View) -> Document:
    """Return a version of a metadata template, else what is newest of it. Errors: NodeError."""
    code, version = view.members["code"], view.members.get("version", "")
    scanned = view.snapshot.scan(Table.TEMPLATES, *code_range(code)) if is_code(code) else ()
    versions = [row for row in by_version(unpack_template(row) for _, row in scanned) if _is_told(view, row)]
    found = same_version(versions, version)
    if not found:
        raise not_found(code)
    return template_document(newest(found), versions)


def list_templates(view: View) -> Page:
    """Return a page of versions of metadata templates."""

    def document(_: bytes, row: bytes) -> Document | None:
        template = unpack_template(row)
        return template_summary(template) if _is_told(view, template) else None

    return _page(view, Table.TEMPLATES, document)


def _is_told(view: View, row: TemplateRow) -> bool:
    """Whether somebody sees it: what was published is for everybody, a draft is not for other enterprises."""
    others = view.role is Role.ENTERPRISE and row.template.party != view.standing.party
    return row.state is not TemplateState.DRAFT or not others


def show_status(view: View) -> Document:
    """Return what anybody may know of a complaint who has its ticket. Errors: NodeError."""
    return status_document(*find_complaint(view.snapshot, view.members["ticket"]), view.now_ms)


def show_complaint(view: View) -> Document:
    """Return a complaint and its history, without who filed it. Errors: NodeError."""
    return complaint_document(*find_complaint(view.snapshot, view.members["ticket"]), view.now_ms)


def find_complaint(snapshot: Snapshot, name: str) -> tuple[str, Complaint]:
    """Return the complaint of a ticket, however it is typed. Errors: NodeError."""
    ticket = parse_ticket(name)
    row = None if ticket is None else snapshot.get(Table.COMPLAINTS, ticket.encode())
    if ticket is None or row is None:
        raise complaint_not_found(name)
    return ticket, unpack_complaint(row)


def list_complaints(view: View) -> Page:
    """Return a page of complaints, of one state or of those that are overdue where that is asked."""

    def document(key: bytes, row: bytes) -> Document | None:
        told = summary_document(key.decode(), unpack_complaint(row), view.now_ms)
        wanted = all(view.members.get(name, _said(told[name])) == _said(told[name]) for name in ("state", "overdue"))
        return told if wanted else None

    return _page(view, Table.COMPLAINTS, document)


def _said(member: str | bool) -> str:
    return member if isinstance(member, str) else str(member).lower()


def list_changes(view: View) -> Page:
    """Return a page of the change feed."""
    after = view.members.get("after", 0)
    found = view.snapshot.feed(Serial(after), view.rows_max + 1)
    rows = [change_document(serial, unpack_change(row)) for serial, row in found[: view.rows_max]]
    return Page(rows, rows[-1]["serial"] if len(found) > view.rows_max else None)


def list_entries(view: View) -> Page:
    """Return a page of the journal."""
    rows: list[Document] = []
    for key, row in view.snapshot.scan(Table.JOURNAL, entry_key(view.members.get("after", 0) + 1)):
        if len(rows) == view.rows_max:
            return Page(rows, rows[-1]["number"])
        rows.append(entry_document(int.from_bytes(key, "big"), unpack_entry(row)))
    return Page(rows, None)


def list_incidents(view: View) -> Page:
    """Return a page of incidents."""
    return _page(view, Table.INCIDENTS, lambda key, row: incident_summary(key.decode(), unpack_incident(row)))


def show_incident(view: View) -> Document:
    """Return an incident with its measures, reports and steps. Errors: NodeError."""
    name = view.members["incident"]
    row = view.snapshot.get(Table.INCIDENTS, name.encode())
    if row is None:
        raise incident_not_found(name)
    return incident_document(name, unpack_incident(row))


def show_report(view: View) -> Document:
    """Return a signed report as it was made. Errors: NodeError."""
    name, number = view.members["incident"], view.members["revision"]
    if view.snapshot.get(Table.INCIDENTS, name.encode()) is None:
        raise incident_not_found(name)
    revision = int(number) if _REVISION.fullmatch(number) else 0
    row = view.snapshot.get(Table.INCIDENT_REPORTS, report_key(name, revision))
    if row is None:
        raise refusal("report-not-found", Outcome.NOT_FOUND)
    return unpack_report(row)


def _page(view: View, table: Table, document: Callable[[bytes, bytes], Document | None]) -> Page:
    """Return the rows of a table that somebody may see. Bounds: looks at PAGE_CHUNK rows."""
    after = view.members.get("after", "").encode()
    rows: list[Document] = []
    last = after
    for looked_at, (key, row) in enumerate(view.snapshot.scan(table, after + b"\0" if after else b"")):
        if looked_at == limits.PAGE_CHUNK or len(rows) == view.rows_max:
            return Page(rows, last.decode())
        last = key
        told = document(key, row)
        if told is not None:
            rows.append(told)
    return Page(rows, None)
