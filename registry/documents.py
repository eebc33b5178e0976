"""What is told of a party, a prefix, a template and a change: rows as JSON has them, for API and command line.

Nothing here opens a sealed field: whoever may see one gives it in ``hidden``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.changes import Change
from core.clock import format_utc
from core.party.fields import FIELDS
from core.store.application_rows import Application
from core.store.hold_rows import Hold
from core.store.journal_rows import Entry, dump_entry
from core.store.party_rows import PartyRow
from core.store.template_rows import TemplateRow
from core.store.transfer_rows import Past
from registry.prefixes import dump_application
from registry.template_forms import ACTIVE, LEVELS, PASSIVE

SEALED: Final = "***"
"""Stands for an identity field that is not shown."""


def party_document(
    name: str, row: PartyRow, hidden: Mapping[str, str], hold: Hold | None = None
) -> dict[str, Any]:  # fmt: skip
    """Return a party. ``hidden``: what to show of its identity fields. ``hold``: what stops the party."""
    fields = {**row.plain, **hidden}
    steps = [
        {
            "at": _utc(step.at_ms),
            "method": step.method,
            "source": step.source,
            "evidence_sha256": step.evidence.hex() or None,
            "who": str(step.who),
            "result": step.result,
            "note": step.note or None,
        }
        for step in row.steps
    ]
    return {
        "party": name,
        "added": _utc(row.added_ms),
        "filed_by": str(row.filer),
        "confirmed": _utc(row.confirmed_ms),
        "kind": kind_of(row),
        "on_hold": _orders(hold),
        "awaits_identity": not row.sealed,  # it came with a prefix from another node
        **{field.name: fields[field.name] for field in FIELDS if field.name in fields},
        "verification": {"state": row.state.value, "steps": steps},
    }


def party_summary(name: str, row: PartyRow) -> dict[str, Any]:
    """Return what a list says of a party."""
    return {
        "party": name,
        "added": _utc(row.added_ms),
        "kind": kind_of(row),
        "name": row.plain.get("name", SEALED),
        "verification": row.state.value,
    }


def kind_of(row: PartyRow) -> str:
    """Return whether a party is an organisation or a person."""
    return "person" if row.person else "organisation"


def application_document(prefix: bytes, application: Application, hold: Hold | None = None) -> dict[str, Any]:
    """Return an application for a prefix with all of its steps. ``hold``: what stops the prefix."""
    steps = [
        {
            "at": _utc(step.at_ms),
            "event": step.event,
            "state": step.state,
            "who": str(step.who),
            "reason": step.reason or None,
            "evidence_sha256": step.evidence.hex() or None,
        }
        for step in application.steps
    ]
    return application_summary(prefix, application, hold) | {"steps": steps}


def application_summary(prefix: bytes, application: Application, hold: Hold | None = None) -> dict[str, Any]:
    """Return what a list says of an application. ``hold``: what stops the prefix."""
    filed = {"filed": _utc(application.filed_ms), "filed_by": str(application.filer)}
    return dump_application(prefix, application) | filed | {"on_hold": _orders(hold)}


def _orders(hold: Hold | None) -> list[str]:
    """Return the numbers of the orders that are in force; why is for who may list holds."""
    return [order.number for order in hold.orders] if hold else []


def template_document(row: TemplateRow, versions: Sequence[TemplateRow]) -> dict[str, Any]:
    """Return a version of a metadata template in its canonical form, with the states of all versions of its code."""
    template = row.template
    return template_summary(row) | {
        "description": template.description or None,
        "industry": {level: code or None for level, code in zip(LEVELS, template.industry, strict=True)},
        "items": [item._asdict() | {"unit": item.unit or None} for item in template.items],
        "filed_by": str(row.filer),
        "versions": [{"version": each.template.version, "state": each.state.value} for each in versions],
    }


def template_summary(row: TemplateRow) -> dict[str, Any]:
    """Return what a list says of a version of a metadata template."""
    return {
        "code": row.template.code,
        "version": row.template.version,
        "state": row.state.value,
        "name": row.template.name or None,
        "object_type": ACTIVE if row.template.active else PASSIVE,
        "party": row.template.party or None,
        "filed": _utc(row.added_ms),
        "published": _utc(row.published_ms) if row.published_ms else None,
        "withdrawn": _utc(row.withdrawn_ms) if row.withdrawn_ms else None,
    }


def change_document(serial: int, change: Change) -> dict[str, Any]:
    """Return a change. Its kind is the name in words: ``prefix-homed``."""
    return {
        "serial": serial,
        "kind": change.kind.name.lower().replace("_", "-"),
        "identifier": change.identifier,
        "at": _utc(change.at_ms),
    }


def entry_document(number: int, entry: Entry) -> dict[str, Any]:
    """Return an entry of the journal."""
    return {"number": number} | dump_entry(entry)


def past_document(line: int, past: Past) -> dict[str, Any]:
    """Return what happened to a prefix elsewhere. ``origin``: id of the key of the node there."""
    if isinstance(past.what, Change):
        document = change_document(past.number, past.what)
    else:
        document = entry_document(past.number, past.what)
    return {"line": line, "origin": past.origin} | document


def _utc(at_ms: int) -> str:
    return format_utc(at_ms // 1_000)
