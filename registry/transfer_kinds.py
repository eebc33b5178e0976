"""The body of a transfer: which kinds of lines there are, and how each is read out, checked and written.

``BODY`` is the only table of it, in the order of the file. A further kind is a form in
``core/wire/transferfile.py`` and a row here. A line is checked in the same way before anything of its
file is written and when it is written. Lots: ``transfer_lots.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from core import limits
from core.changes import Change, ChangeKind, Serial, unpack_change
from core.errors import Outcome, StoreError, WireError
from core.ident.handle import (
    PREFIX_HANDLES,
    HandleKey,
    HandleRules,
    PrefixKey,
    check_requested,
    named_by,
    prefix_handle_of,
    prefix_of,
)
from core.lotkeys import MasterKeys
from core.records import Values
from core.signature import KEY_ID_DIGITS
from core.store.engine import Snapshot, Table
from core.store.journal_rows import Entry, unpack_entry
from core.store.prefix_rows import nearest_homed
from core.store.record_rows import prefix_handles_below, prefix_range, record_key, unpack_handle, unpack_values
from core.store.template_rows import TemplateRow, TemplateState, pack_template, unpack_template
from core.store.transfer_rows import Past, history_key, history_range, pack_past, unpack_past
from core.who import Who
from core.wire.metadata import parse_binding, template_key
from core.wire.transferfile import (
    AliasLine,
    BlockLine,
    ChangeLine,
    EntryLine,
    EventLine,
    Line,
    LotLine,
    RecordLine,
    RunLine,
    TemplateLine,
)
from core.wire.values import decode_values, encode_values
from core.wire.valuetypes import METADATA_TEMPLATE
from registry import transfer_lots as lots
from registry.desk import Desk
from registry.refusals import refusal
from registry.template_forms import template_faults
from registry.templates import owner_of, put_new, require_room
from registry.transfer_aliases import check_alias_line, read_aliases, write_aliases
from registry.transfer_lots import LotsSoFar
from registry.transfer_pieces import (
    OBJECT,
    REASON,
    WORD,
    checked,
    checked_digest,
    checked_time,
    person_of,
    shown,
    who_of,
)
from registry.values import check_values

_ORIGIN: Final = re.compile(rf"(?:[0-9a-f]{{{KEY_ID_DIGITS}}})?", re.ASCII)
_CHANGES: Final = {kind.name.lower().replace("_", "-"): kind for kind in ChangeKind}
_CHANGE_NAMES: Final = {kind: name for name, kind in _CHANGES.items()}
_DIGEST_BYTES: Final = 32
_HOLDS: Final = "hold."
_ON_HOLD: Final = "on-hold"
_BOUND: Final = re.compile(METADATA_TEMPLATE.encode(), re.IGNORECASE)
"""What the row of every bound record holds, and hardly any other."""


class _Record(NamedTuple):
    key: HandleKey
    values: Values


class BodyKind(NamedTuple):
    """One kind of line.

    ``read``: the lines of a prefix, out of one state of the store. ``check``: what a line says; NodeError for
    what cannot be. ``write``: stages it. ``order``: where there is one, lines rise strictly by it. ``fit``: NodeError
    for what cannot be after the lines before it.
    """

    form: type[Any]
    read: Callable[[Snapshot, PrefixKey, MasterKeys], Iterator[Line]]
    check: Callable[[PrefixKey, HandleRules, Any], Any]
    write: Callable[[Desk, PrefixKey, int, Any, str], None]
    order: Callable[[Any], bytes] | None = None
    fit: Callable[[LotsSoFar, Any], None] | None = None

    @property
    def tag(self) -> str:
        """The name of the kind in the file."""
        return str(self.form.__struct_config__.tag)


# --- metadata templates ---
def _read_templates(snapshot: Snapshot, prefix: PrefixKey, _keys: MasterKeys) -> Iterator[Line]:
    """Yield the versions that records of the prefix are bound to. Cost: reads all of these records."""
    keys: set[bytes] = set()
    for _, record in snapshot.scan(Table.RECORDS, *prefix_range(prefix)):
        if _BOUND.search(record):
            keys.update(_bindings(unpack_values(record)))
    for key in sorted(keys):
        row = snapshot.get(Table.TEMPLATES, key)
        if row is not None:
            found = unpack_template(row)
            filer = person_of(found.filer)
            yield TemplateLine(pack_template(found._replace(filer=Who(filer.role, filer.name))))


def _bindings(values: Values) -> Iterator[bytes]:
    for value in values:
        binding = parse_binding(value.data) if value.type.upper() == METADATA_TEMPLATE else None
        if binding is not None and binding.version:
            yield template_key(*binding)


def _check_template(_prefix: PrefixKey, _rules: HandleRules, line: TemplateLine) -> TemplateRow:
    try:
        found = unpack_template(line.row)
    except StoreError as error:
        raise WireError(error.message) from None
    if found.state is TemplateState.DRAFT:
        raise WireError("模板未发布。A metadata template was not published")
    template = found.template._replace(party="")  # it is another's id here
    faults = template_faults(template)
    if faults:
        first = faults[0]
        code, path = f"{template.code}@{template.version}", f" {first.path}" if first.path else ""
        raise WireError(f"模板 {code}{path}：{first.zh}。Template {code}{path}: {first.en}")
    return found._replace(template=template, filer=who_of(person_of(found.filer)))


def _write_template(desk: Desk, _prefix: PrefixKey, _number: int, found: TemplateRow, _origin: str) -> None:
    """Stage a version that is not here, or a draft here, to which nothing is bound; any other stays as it is.

    It belongs to whoever has its code here, else to the node: the party that it had there has another id here.
    """
    key = _template_key(found)
    known = desk.staging.get(Table.TEMPLATES, key)
    owner = owner_of(desk.staging, found.template.code) or ""
    here = found._replace(template=found.template._replace(party=owner))
    if known is None:
        require_room(desk.staging, owner)
        put_new(desk.staging, here)
    elif unpack_template(known).state is TemplateState.DRAFT:
        desk.staging.put(Table.TEMPLATES, key, pack_template(here))
    else:
        return
    withdrawn = found.state is TemplateState.WITHDRAWN
    kind = ChangeKind.TEMPLATE_WITHDRAWN if withdrawn else ChangeKind.TEMPLATE_PUBLISHED
    desk.staging.change(kind, key, desk.now_ms)


def _template_key(found: TemplateRow) -> bytes:
    return template_key(found.template.code, found.template.version)


# --- records ---
def _read_records(snapshot: Snapshot, prefix: PrefixKey, _keys: MasterKeys) -> Iterator[Line]:
    """Yield the records below a prefix; before them prefix handles of prefixes below it, which it answers, too."""
    for key, row in snapshot.scan(Table.RECORDS, *prefix_handles_below(prefix)):
        handle = unpack_handle(key, row)
        if nearest_homed(snapshot, named_by(handle)) == prefix:
            yield _record_line(handle, row)
    for key, row in snapshot.scan(Table.RECORDS, *prefix_range(prefix)):
        yield _record_line(unpack_handle(key, row), row)


def _record_line(handle: bytes, row: bytes) -> RecordLine:
    return RecordLine(handle.decode(), encode_values(unpack_values(row)))


def _check_record(prefix: PrefixKey, rules: HandleRules, line: RecordLine) -> _Record:
    key = check_requested(line.handle, rules)
    if key != line.handle.encode():
        raise WireError(f"标识未规范化。The handle {line.handle!r} is not in its folded form")
    if not (prefix_of(key) == prefix or key.startswith(prefix_handle_of(prefix) + b".")):
        raise _foreign(line.handle, prefix)
    values = decode_values(line.values)
    check_values(values)
    return _Record(key, values)


def _write_record(desk: Desk, prefix: PrefixKey, _number: int, record: _Record, _origin: str) -> None:
    """Stage a record. Errors: NodeError where it is another's here, or bound to what is no template here."""
    if desk.staging.record_row(record.key) is not None:
        raise refusal("import-exists", Outcome.CONFLICT, handle=record.key.decode())
    if prefix_of(record.key) == PREFIX_HANDLES and nearest_homed(desk.staging, named_by(record.key)) != prefix:
        raise refusal("import-foreign", Outcome.CONFLICT, handle=record.key.decode())
    for key in _bindings(record.values):
        row = desk.staging.get(Table.TEMPLATES, key)
        if row is None or unpack_template(row).state is TemplateState.DRAFT:
            raise refusal("import-binding", Outcome.CONFLICT, handle=record.key.decode(), template=key.decode())
    desk.staging.put_record(record.key, None, record.values, desk.now_ms)


# --- history ---
def _read_changes(snapshot: Snapshot, prefix: PrefixKey, _keys: MasterKeys) -> Iterator[Line]:
    """Yield what came with the prefix, then what happened to it here. Cost: reads the whole feed."""
    for past in read_history(snapshot, prefix):
        if isinstance(past.what, Change):
            yield _change_line(past.number, past.what, past.origin)
    after = Serial(0)
    while rows := snapshot.feed(after, limits.LIST_CHUNK):
        for serial, row in rows:
            if row.find(prefix) >= 0:  # else it names another; looked at again below
                change = unpack_change(row)
                if _is_about(prefix, change.identifier):
                    yield _change_line(serial, change, "")
        after = rows[-1][0]


def _change_line(number: int, change: Change, origin: str) -> ChangeLine:
    return ChangeLine(number, _CHANGE_NAMES[change.kind], change.identifier, change.at_ms, origin)


def _read_entries(snapshot: Snapshot, prefix: PrefixKey, _keys: MasterKeys) -> Iterator[Line]:
    """Yield the entries of the journal about a prefix. Cost: reads the whole journal."""
    for past in read_history(snapshot, prefix):
        if isinstance(past.what, Entry):
            yield _entry_line(past.number, past.what, past.origin)
    for key, row in snapshot.scan(Table.JOURNAL, b""):
        entry = unpack_entry(row)
        if _is_about(prefix, entry.object):
            yield _entry_line(int.from_bytes(key, "big"), entry, "")


def _entry_line(number: int, entry: Entry, origin: str) -> EntryLine:
    """Return the line of an entry. What an order of the regulator rests on is not told: it may not be public."""
    told = not (entry.action.startswith(_HOLDS) or entry.rule == _ON_HOLD)
    return EntryLine(
        number, entry.at_ms, person_of(entry.who), shown(entry.action, WORD), shown(entry.object, OBJECT),
        shown(entry.outcome, WORD), shown(entry.rule, WORD), shown(entry.reason, REASON) if told else "",
        entry.evidence[:_DIGEST_BYTES], origin,
    )  # fmt: skip


def read_history(snapshot: Snapshot, prefix: PrefixKey) -> Iterator[Past]:
    """Yield what came with a prefix from other nodes, in the order in which it came."""
    for _, row in snapshot.scan(Table.HISTORY, *history_range(prefix)):
        yield unpack_past(row)


def _check_change(prefix: PrefixKey, _rules: HandleRules, line: ChangeLine) -> Past:
    kind = _CHANGES.get(line.change)
    if kind is None:
        raise WireError(f"不认识的变更 {line.change[:40]!r}。There is no kind of change {line.change[:40]!r}")
    if not _is_about(prefix, line.identifier):
        raise _foreign(line.identifier, prefix)
    at_ms = checked_time(line.at_ms)
    identifier = checked("identifier", line.identifier, OBJECT)
    return Past(_origin(line.origin), _number(line.serial), Change(kind, identifier, at_ms))


def _check_entry(prefix: PrefixKey, _rules: HandleRules, line: EntryLine) -> Past:
    if not _is_about(prefix, line.object):
        raise _foreign(line.object, prefix)
    entry = Entry(
        checked_time(line.at_ms), who_of(line.who), checked("action", line.action, WORD),
        checked("object", line.object, OBJECT), checked("outcome", line.outcome, WORD),
        checked("rule", line.rule, WORD), checked("reason", line.reason, REASON),
        checked_digest("evidence", line.evidence),
    )  # fmt: skip
    return Past(_origin(line.origin), _number(line.number), entry)


def _write_past(desk: Desk, prefix: PrefixKey, number: int, past: Past, origin: str) -> None:
    told = past if past.origin else past._replace(origin=origin)
    desk.staging.put(Table.HISTORY, history_key(prefix, number), pack_past(told))


BODY: Final = (
    BodyKind(AliasLine, read_aliases, check_alias_line, write_aliases, lambda named: record_key(named.target)),
    BodyKind(TemplateLine, _read_templates, _check_template, _write_template, _template_key),
    BodyKind(RecordLine, _read_records, _check_record, _write_record, lambda record: record_key(record.key)),
    BodyKind(LotLine, lots.read_lots, lots.check_lot_line, lots.write_lot, lambda came: came.lot, LotsSoFar.lot),
    BodyKind(
        BlockLine, lots.read_blocks, lots.check_block_line, lots.write_block, lots.order_of_range, LotsSoFar.block
    ),
    BodyKind(RunLine, lots.read_runs, lots.check_run_line, lots.write_run, lots.order_of_range, LotsSoFar.run),
    BodyKind(
        EventLine, lots.read_events, lots.check_event_line, lots.write_event, lots.order_of_event, LotsSoFar.event
    ),
    BodyKind(ChangeLine, _read_changes, _check_change, _write_past),
    BodyKind(EntryLine, _read_entries, _check_entry, _write_past),
)
RANK: Final = {kind.form: rank for rank, kind in enumerate(BODY)}


# --- what lines share ---
def _is_about(prefix: PrefixKey, identifier: str) -> bool:
    """Whether an identifier is the prefix, a handle of it, its prefix handle or one of a prefix below it."""
    key, own = identifier.encode(errors="replace").upper(), prefix_handle_of(prefix)
    return key in (prefix, own) or key.startswith((prefix + b"/", own + b"."))


def _foreign(identifier: str, prefix: bytes) -> WireError:
    named, shown = prefix.decode(), identifier[: limits.HANDLE_CHARS_MAX]
    return WireError(f"{shown!r} 不属于前缀 {named}。{shown!r} is not of the prefix {named}")


def _origin(origin: str) -> str:
    if not _ORIGIN.fullmatch(origin):
        raise WireError("origin 有误。origin is no id of a key")
    return origin


def _number(number: int) -> int:
    if not 0 < number < 1 << 63:
        raise WireError(f"{number} 不是序号。{number} is no serial")
    return number
