"""Metadata templates: filed, published, withdrawn (tables T4 and T11 of the docking guide).

1. draft → published → withdrawn, each version by itself. A draft is replaced by filing it again; what was
   published never changes: what is to be otherwise is another version.
2. A code belongs to one party, or to the node (T4): an enterprise files, publishes and withdraws its own (T11).
3. Which records may be bound to a version is decided in ``registry/bindings.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from core import limits
from core.changes import ChangeKind
from core.errors import NodeError, Outcome
from core.store.engine import Table
from core.store.template_rows import (
    TEMPLATES_KEY,
    TemplateRow,
    TemplateState,
    pack_template,
    pack_template_counts,
    unpack_template,
    unpack_template_counts,
)
from core.who import Role
from core.wire.metadata import code_range, is_code, is_version, template_key, version_numbers
from registry.commands import AddTemplate, PublishTemplate, Result, WithdrawTemplate
from registry.desk import Desk, dump_faults, refused_form, told
from registry.refusals import refusal
from registry.staging import Staging
from registry.template_forms import read_template

_SHOWN_MAX: Final = 8  # versions that a refusal names, the newest first


def add_template(desk: Desk, command: AddTemplate) -> Result:
    """File a version as a draft, or put another one in the place of a draft."""
    form = read_template(command.form)
    template = form.template
    if template is None:
        return refused_form("", form.faults, form.warnings)
    if desk.standing.role is Role.ENTERPRISE and not template.party:
        template = template._replace(party=desk.standing.party)
    if template.party:
        desk.party(template.party)
    if owner_of(desk.staging, template.code) not in (None, template.party):
        raise refusal("template-owner", Outcome.CONFLICT, code=template.code)
    key = template_key(template.code, template.version)
    stored = desk.staging.get(Table.TEMPLATES, key)
    row = TemplateRow(template, TemplateState.DRAFT, desk.who, desk.now_ms)
    if stored is None:
        require_room(desk.staging, template.party)
        put_new(desk.staging, row)
    elif unpack_template(stored).state is not TemplateState.DRAFT:
        raise refusal("template-fixed", Outcome.CONFLICT, template=f"{template.code}@{template.version}")
    else:
        desk.staging.put(Table.TEMPLATES, key, pack_template(row))
    outcome = Outcome.CREATED if stored is None else Outcome.OK
    return _told(outcome, [row], {"warnings": dump_faults(form.warnings)})


def publish_template(desk: Desk, command: PublishTemplate) -> Result:
    """Publish a draft: the version that is named, else the newest."""
    rows = _rows(desk, command.code, command.version)
    drafts = [row for row in rows if row.state is TemplateState.DRAFT]
    if not drafts:
        raise _in_another_state(command.code, rows, TemplateState.DRAFT)
    row = drafts[-1]._replace(state=TemplateState.PUBLISHED, published_ms=desk.now_ms)
    _move(desk, row, ChangeKind.TEMPLATE_PUBLISHED)
    return _told(Outcome.OK, [row])


def withdraw_template(desk: Desk, command: WithdrawTemplate) -> Result:
    """Withdraw the version that is named, else every published one. What is bound to it stays."""
    rows = _rows(desk, command.code, command.version)
    published = [row for row in rows if row.state is TemplateState.PUBLISHED]
    if not published:
        raise _in_another_state(command.code, rows, TemplateState.PUBLISHED)
    withdrawn = [row._replace(state=TemplateState.WITHDRAWN, withdrawn_ms=desk.now_ms) for row in published]
    for row in withdrawn:
        _move(desk, row, ChangeKind.TEMPLATE_WITHDRAWN)
    return _told(Outcome.OK, withdrawn)


def versions_of(staging: Staging, code: str) -> list[TemplateRow]:
    """Return the versions of a code, the oldest first. Bounds: METADATA_VERSIONS_MAX."""
    if not is_code(code):
        return []
    return by_version(unpack_template(row) for _, row in staging.scan(Table.TEMPLATES, *code_range(code)))


def owner_of(staging: Staging, code: str) -> str | None:
    """Return whose a code is, "" for the node's, None where it is nobody's yet. Cost: unpacks one of its versions."""
    first = next(staging.scan(Table.TEMPLATES, *code_range(code)), None)
    return None if first is None else unpack_template(first[1]).template.party


def put_new(staging: Staging, row: TemplateRow) -> None:
    """Stage a version that is not there yet, and count it."""
    template = row.template
    counts = unpack_template_counts(staging.get(Table.META, TEMPLATES_KEY))
    counts[template.party] = counts.get(template.party, 0) + 1
    staging.put(Table.META, TEMPLATES_KEY, pack_template_counts(counts))
    staging.put(Table.TEMPLATES, template_key(template.code, template.version), pack_template(row))


def by_version(rows: Iterable[TemplateRow]) -> list[TemplateRow]:
    """Return versions of one code in their order."""
    return sorted(rows, key=lambda row: version_numbers(row.template.version))


def newest(rows: Sequence[TemplateRow]) -> TemplateRow:
    """Return the newest published version, else the newest. ``rows``: in their order, one at least."""
    return next((row for row in reversed(rows) if row.state is TemplateState.PUBLISHED), rows[-1])


def named(rows: Sequence[TemplateRow]) -> str:
    """Return versions as a refusal names them, the newest first."""
    newest = [f"{row.template.code}@{row.template.version}" for row in reversed(rows)]
    return ", ".join(newest[:_SHOWN_MAX]) + (", …" if len(newest) > _SHOWN_MAX else "") or "–"


def not_found(template: str) -> NodeError:
    """Return what is told where there is no such template."""
    return refusal("template-not-found", Outcome.NOT_FOUND, template=repr(template[: limits.PREFIX_CHARS_MAX]))


def same_version(rows: Sequence[TemplateRow], version: str) -> list[TemplateRow]:
    """Return the row of a version, of all of them where none is named."""
    if not version:
        return list(rows)
    numbers = version_numbers(version) if is_version(version) else ()
    return [row for row in rows if version_numbers(row.template.version) == numbers]


def _rows(desk: Desk, code: str, version: str) -> list[TemplateRow]:
    """Return the versions that are named. Errors: NodeError if there are none, or they are another's."""
    versions = versions_of(desk.staging, code)
    if versions:
        desk.require_own(versions[0].template.party)
    rows = same_version(versions, version)
    if not rows:
        raise not_found(f"{code}@{version}" if version else code)
    return rows


def _in_another_state(code: str, rows: Sequence[TemplateRow], wanted: TemplateState) -> NodeError:
    states = ", ".join(f"{row.template.version} {row.state.value}" for row in rows[-_SHOWN_MAX:])
    return refusal("template-state", Outcome.CONFLICT, code=code, wanted=wanted.value, states=states)


def require_room(staging: Staging, party: str) -> None:
    """Errors: NodeError if there are as many versions as may be, of a party or here. Cost: reads one row."""
    counts = unpack_template_counts(staging.get(Table.META, TEMPLATES_KEY))
    most = limits.METADATA_PARTY_VERSIONS_MAX
    if party and counts.get(party, 0) >= most:
        raise refusal("template-count", Outcome.CONFLICT, versions=most)
    if sum(counts.values()) >= limits.METADATA_VERSIONS_MAX:
        raise refusal("template-count", Outcome.CONFLICT, versions=limits.METADATA_VERSIONS_MAX)


def _move(desk: Desk, row: TemplateRow, kind: ChangeKind) -> None:
    key = template_key(row.template.code, row.template.version)
    desk.staging.put(Table.TEMPLATES, key, pack_template(row))
    desk.staging.change(kind, key, desk.now_ms)


def _told(outcome: Outcome, rows: Sequence[TemplateRow], more: dict[str, Any] | None = None) -> Result:
    template = rows[0].template
    versions = [row.template.version for row in rows]
    name = f"{template.code}@{template.version}" if len(rows) == 1 else template.code
    return told(
        name, outcome, {"code": template.code, "state": rows[0].state.value, "versions": versions} | (more or {})
    )
