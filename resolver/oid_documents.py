"""The documents that DNS leads to for an OID: what is below it (CINF), and who registered it (RINF).

    <children oid="1.2.156" complete="true">          <registrant oid="1.2.156.7" prefix="88.118.7">
      <child oid="1.2.156.7" registered="true"/>        <name>…</name> <region>…</region> …
    </children>                                         <registration>https://…/prefixes/88.118.7</registration>
                                                      </registrant>

A child is registered where it is answered itself, else only something below it is. ``complete`` is false where
OID_CHILDREN_MAX rows were looked at and there are more. The registrant is who holds the prefix, by what RDAP shows of
him; of a natural person neither name nor address. The form is our own, and no conformance is claimed.
Source: ITU-T X.672 annexes C and D (what the services are for).
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final, NamedTuple
from urllib.parse import quote

from core import limits
from core.errors import Outcome
from core.ident.alias import Alias, AliasKind
from core.ident.handle import PREFIX_HANDLES, named_by, prefix_of
from core.lifecycle import State
from core.party.public import public_fields
from core.store.alias_rows import unpack_alias
from core.store.application_rows import unpack_application
from core.store.engine import Snapshot, Table
from core.store.party_rows import unpack_party
from core.store.prefix_rows import nearest_homed
from resolver.zone_rows import below_arc, find_target, standing_of

_PUBLIC: Final = (State.ALLOCATED.value, State.HOMED.value, State.SUSPENDED.value)  # as RDAP shows


class OidDocument(NamedTuple):
    """A document, XML in UTF-8. ``outcome``: OK; HELD or HANDLE_NOT_FOUND, as DNS answers the OID, without one."""

    outcome: Outcome
    xml: bytes = b""


class Operator(NamedTuple):
    """Who runs this node, and holds what no party does; and where others reach the node, without a slash at the end."""

    name: str
    url: str


def children_document(snapshot: Snapshot, oid: str, *, root: bool) -> OidDocument:
    """Return what is below an OID. ``oid``: as ``check_oid`` returns it.

    Bounds: OID_CHILDREN_MAX. Errors: StoreError.
    """
    target = find_target(snapshot, Alias(AliasKind.OID, oid), root=root)
    if target.outcome is not Outcome.OK:
        return OidDocument(target.outcome)
    lines = [
        "" if child is None else f'  <child oid="{child.oid}" registered="{str(child.registered).lower()}"/>\n'
        for child in _children(snapshot, oid, root=root)
    ]
    complete = str(lines[-1:] != [""]).lower()
    return _document("children", f'oid="{oid}" complete="{complete}"', "".join(lines))


def registrant_document(snapshot: Snapshot, oid: str, operator: Operator, *, root: bool) -> OidDocument:
    """Return who registered an OID. ``oid``: as ``check_oid`` returns it. Errors: StoreError."""
    target = find_target(snapshot, Alias(AliasKind.OID, oid), root=root)
    if target.outcome is not Outcome.OK:
        return OidDocument(target.outcome)
    prefix = prefix_of(target.key)
    if prefix == PREFIX_HANDLES:
        prefix = nearest_homed(snapshot, named_by(target.key)) or prefix
    fields = _holder(snapshot, prefix, operator)
    if operator.url:
        fields["registration"] = f"{operator.url}/prefixes/{quote(prefix, safe='')}"
    content = "".join(f"  <{name}>{_text(text)}</{name}>\n" for name, text in fields.items())
    return _document("registrant", f'oid="{oid}" prefix="{_text(prefix.decode())}"', content)


class _Child(NamedTuple):
    oid: str
    registered: bool


def _children(snapshot: Snapshot, oid: str, *, root: bool) -> Iterator[_Child | None]:
    """Yield what is directly below an OID; None at the end where there may be more."""
    (start, stop), at = below_arc(oid), below_arc(oid)[0]
    for _ in range(limits.OID_CHILDREN_MAX):
        key, row = next(snapshot.scan(Table.ALIASES, at, stop), (b"", b""))
        if not key:
            return
        at = key + b"\0"
        if standing_of(snapshot, unpack_alias(row).target, root=root) is Outcome.OK:
            arc = key[len(start) :].partition(b".")[0]
            yield _Child(f"{oid}.{arc.decode()}", key == start + arc)
            at = start + arc + b"/"  # behind all that is below it
    if next(snapshot.scan(Table.ALIASES, at, stop), None) is not None:
        yield None


def _holder(snapshot: Snapshot, prefix: bytes, operator: Operator) -> dict[str, str]:
    """Return what is public of who holds a prefix; of what no party holds, the operator."""
    row = snapshot.get(Table.APPLICATIONS, prefix)
    application = None if row is None else unpack_application(row)
    if application is None or application.own:
        return {"name": operator.name} if operator.name else {}
    party = snapshot.get(Table.PARTIES, application.party.encode()) if application.state in _PUBLIC else None
    if party is None:
        return {}
    holder = unpack_party(party)
    return public_fields(holder.plain, person=holder.person)


def _text(text: str) -> str:
    """Return text as it stands in XML, without what no XML may hold (XML 1.0 §2.2)."""
    return escape("".join(char for char in text if char.isprintable()))


def _document(name: str, attributes: str, content: str) -> OidDocument:
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} {attributes}>\n{content}</{name}>\n'
    return OidDocument(Outcome.OK, xml.encode())
