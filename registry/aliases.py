"""Aliases: other names of what is registered, added and removed.

1. An alias names a record, a lot, or a unit, case or pallet of a lot that was issued and is in use; or any handle below
   a delegated prefix, of which nothing is stored here. No prefix handle: that names no object.
2. An alias names one handle. The same again changes nothing.
3. Nothing is changed while what it names is on hold, or its prefix suspended.
4. A record that is deleted loses its aliases (``Staging.delete_record``). A unit that goes out of use keeps them: who
   asks by an alias is told so, too.

Source: Measures art. 19.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from core import limits
from core.clock import format_utc
from core.errors import NodeError, Outcome, SealError
from core.ident.alias import Alias, AliasKind, parse_alias
from core.ident.handle import PREFIX_HANDLES, HandleKey, check_handle, check_prefix, check_requested, prefix_of
from core.ident.unitcode import SERIAL_CHARS
from core.lotkeys import NO_MASTER_KEYS, codes_of_lot
from core.lots import GONE
from core.party.rules import Fault
from core.store.alias_rows import (
    AliasRow,
    alias_key,
    alias_of,
    aliases_of,
    unpack_alias,
    unpack_names,
)
from core.store.engine import Table
from core.store.holding import Scannable
from core.store.homing import hosting_of, require_served
from core.store.lot_rows import lot_of_unit, unpack_lot
from core.store.prefix_rows import DELEGATED, Rows
from core.store.record_rows import prefix_range, record_key
from core.store.run_reading import run_at
from core.who import Role
from registry.alias_commands import AddAlias, RemoveAlias
from registry.commands import Result
from registry.desk import Desk, dump_faults, told
from registry.lots import holds_prefix, key_refused
from registry.reading import Document, Page, View
from registry.refusals import fault, refusal

_GTIN: Final = "GTIN"
"""Type of the value by which a record says its GTIN."""


def add_alias(desk: Desk, command: AddAlias) -> Result:
    """Give something registered another name."""
    target = check_requested(command.identifier, desk.rules)
    alias = parse_alias(command.alias)
    _require_own(desk, target)
    _require_free(desk, target)
    row = desk.staging.get(Table.ALIASES, alias_key(alias))
    known = None if row is None else unpack_alias(row)
    if known is not None and known.target != target:
        raise _taken(desk, alias, known.target)
    _require_registered(desk, target)
    if known is None:
        if len(desk.staging.names(target)) >= limits.ALIASES_PER_HANDLE_MAX:
            raise refusal("alias-count", Outcome.CONFLICT, aliases=limits.ALIASES_PER_HANDLE_MAX)
        known = AliasRow(target, desk.now_ms, desk.who)
        desk.staging.add_alias(alias, known, desk.now_ms)
    outcome = Outcome.CREATED if row is None else Outcome.OK
    warnings = dump_faults(list(_warnings(desk, alias, target)))
    document = alias_document(alias, known) | {"warnings": warnings}
    return told(str(alias), outcome, document)._replace(message=target.decode())


def remove_alias(desk: Desk, command: RemoveAlias) -> Result:
    """Take a name away."""
    alias = parse_alias(command.alias)
    row = desk.staging.get(Table.ALIASES, alias_key(alias))
    if row is None:
        raise refusal("alias-none", Outcome.NOT_FOUND, alias=str(alias))
    known = unpack_alias(row)
    _require_own(desk, known.target)
    if hosting_of(desk.staging, known.target, root=False) is not None:  # of a prefix that left, too, it may go
        _require_free(desk, known.target)
    desk.staging.remove_alias(alias, known.target, desk.now_ms)
    return told(str(alias), Outcome.OK, alias_document(alias, known))._replace(message=known.target.decode())


# --- what is looked at ---
def _require_own(desk: Desk, target: HandleKey) -> None:
    """Errors: NodeError for a prefix handle, and if an enterprise does not hold the prefix."""
    if prefix_of(target) == PREFIX_HANDLES:
        raise refusal("alias-prefix-handle", Outcome.INVALID_VALUE)
    if desk.standing.role is Role.ENTERPRISE and not holds_prefix(desk.staging, desk.standing.party, target):
        raise refusal("alias-own-prefix")


def _require_free(desk: Desk, target: HandleKey) -> None:
    """Errors: NodeError for what is not answered for here; HELD for what is stopped."""
    hosting = hosting_of(desk.staging, target, root=False)
    if hosting is None:
        raise refusal("alias-foreign", Outcome.NOT_RESPONSIBLE, prefix=prefix_of(target).decode())
    if hosting != DELEGATED:
        require_served(desk.staging, target, root=False)


def _require_registered(desk: Desk, target: HandleKey) -> None:
    """Errors: NodeError for what is hosted here and not registered."""
    staging = desk.staging
    if hosting_of(staging, target, root=False) == DELEGATED or staging.record_row(target) is not None:
        return
    lot = lot_of_unit(target)
    packed = staging.get(Table.LOTS, lot) if lot else None
    if packed is None:
        raise refusal("alias-unregistered", Outcome.NOT_FOUND, identifier=target.decode())
    if lot == target:
        return
    row = unpack_lot(packed)
    try:
        index = codes_of_lot(desk.lot_keys or NO_MASTER_KEYS, lot, row).index(target[-SERIAL_CHARS:])
    except SealError as error:
        raise key_refused(error.message) from None
    if index is None or index >= row.packaging.total:
        raise refusal("unit-unknown", Outcome.NOT_ISSUED)
    run = run_at(staging, lot, index)
    if run is not None and run.state in GONE:
        raise refusal("alias-gone", Outcome.GONE, identifier=target.decode())


def _taken(desk: Desk, alias: Alias, other: HandleKey) -> NodeError:
    """Return the refusal of an alias that is another's; an enterprise is told of its own alone."""
    if desk.standing.role is Role.ENTERPRISE and not holds_prefix(desk.staging, desk.standing.party, other):
        return refusal("alias-taken-elsewhere", Outcome.CONFLICT, alias=str(alias))
    return refusal("alias-taken", Outcome.CONFLICT, alias=str(alias), other=other.decode())


def _warnings(desk: Desk, alias: Alias, target: HandleKey) -> Iterator[Fault]:
    """Yield what somebody should look at: GTINs that contradict one another."""
    if alias.kind is AliasKind.GTIN:
        for value in desk.staging.record(target) or ():
            stated = value.data.decode(errors="replace").strip()
            if value.type.upper() == _GTIN and stated.zfill(len(alias.value)) != alias.value:
                yield fault("alias", "alias-gtin-other", stated=stated[: limits.ALIAS_CHARS_MAX])
    elif alias.kind is AliasKind.GTIN_LOT:
        packed = desk.staging.get(Table.LOTS, target)
        row = None if packed is None else unpack_lot(packed)
        gtin = alias.value.partition("/")[0]
        if row is not None and Alias(AliasKind.GTIN, gtin) not in aliases_of(desk.staging, row.product_key):
            yield fault("alias", "alias-gtin-lot", gtin=gtin, product=row.product)


# --- reading ---
def alias_document(alias: Alias, row: AliasRow) -> Document:
    """Return an alias as JSON has it."""
    return {"alias": str(alias), "kind": alias.kind.value, "identifier": row.target.decode()} | _added(row)


def _added(row: AliasRow) -> Document:
    return {"added": format_utc(row.added_ms // 1_000), "added_by": str(row.who)}


def show_alias(rows: Rows, alias: Alias) -> Document:
    """Return an alias and what it names. Errors: NodeError where there is no such alias."""
    row = rows.get(Table.ALIASES, alias_key(alias))
    if row is None:
        raise refusal("alias-none", Outcome.NOT_FOUND, alias=str(alias))
    return alias_document(alias, unpack_alias(row))


def aliases_from(
    rows: Scannable, start: bytes, stop: bytes | None
) -> Iterator[tuple[bytes, HandleKey, list[Document]]]:
    """Yield of each handle that has aliases: its key in ALIASES_OF, its key, and its aliases as JSON has them."""
    for place, packed in rows.scan(Table.ALIASES_OF, start, stop):
        names = unpack_names(packed)
        assert names is not None  # there is a row
        found = ((alias_of(key), rows.get(Table.ALIASES, key)) for key in names.aliases)
        yield place, names.target, [alias_document(alias, unpack_alias(row)) for alias, row in found if row is not None]


def list_aliases(view: View) -> Page:
    """Return a page: a row for each handle that has aliases. Bounds: looks at PAGE_CHUNK handles and aliases.

    Errors: NodeError for an ``after`` that is none.
    """
    start, stop = _span(view)
    try:
        after = bytes.fromhex(view.members.get("after", ""))
    except ValueError:
        raise refusal("page", Outcome.INVALID_VALUE) from None
    start = max(start, after + b"\0") if after else start
    rows: list[Document] = []
    looked_at, last = 0, b""
    for place, target, aliases in aliases_from(view.snapshot, start, stop):
        if len(rows) == view.rows_max or looked_at >= limits.PAGE_CHUNK:
            return Page(rows, last.hex())
        looked_at, last = looked_at + 1 + len(aliases), place
        if view.role is not Role.ENTERPRISE or holds_prefix(view.snapshot, view.standing.party, target):
            rows.append({"identifier": target.decode(), "aliases": aliases})
    return Page(rows, None)


def _span(view: View) -> tuple[bytes, bytes | None]:
    """Return start and stop of the keys that are asked for. Errors: IdentifierError."""
    if "identifier" in view.members:
        place = record_key(check_handle(view.members["identifier"], view.rules))
        return place, place + b"\0"
    if "prefix" in view.members:
        return prefix_range(check_prefix(view.members["prefix"], view.rules))
    return b"", None
