"""The resolution service: one question, one Answer, whatever protocol asks.

Never asks the upstream, never waits, never alters what was registered (Measures
art. 11). Order of checks, as the reference server: grammar, server of the site,
responsibility, existence, filters, permissions.

A lot and its units have no records of their own, and are answered as if they had (``resolver/units.py``): a code
that was never made is NOT_ISSUED, one of a unit that is out of use GONE.

A handle that is on hold or below a suspended prefix is HELD, whether or not there is one. One below a
delegated prefix is answered with a referral to where it is served.
DIVERGES: docs/standards/divergences.md#delegated-prefixes-are-service-referrals

Selection: by index or type, in stored order. A type matches whatever its case;
one that ends in "." matches it and all its sub-types. ``public_only`` leaves out
what is not public; without it one selected value that is not public asks for
authentication, and then for the right to read (400) in one HS_ADMIN value.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from core import limits
from core.admission import Identity, ServerAdmins, may
from core.errors import IdentifierError, Outcome, ResponsibilityError
from core.ident.handle import (
    PREFIX_HANDLES,
    HandleKey,
    HandleRules,
    PrefixKey,
    ancestors,
    check_requested,
    prefix_handle_of,
    prefix_of,
)
from core.records import AdminPermission, HandleValue, ValuePermission, ValueReference, Values
from core.store.engine import Snapshot, Table
from core.store.holding import orders_on
from core.store.homing import FOREIGN, STOPPED, ServedRecords, hosting_of, is_held, require_served
from core.store.prefix_rows import DELEGATED
from core.store.record_rows import public_wire, record_key, unpack_answer, unpack_values
from core.wire.jsonform import dump_values
from core.wire.values import encode_values
from core.wire.valuetypes import HS_SERV, HS_SERV_PREFIX, HS_SITE, HS_SITE_6, HS_SITE_PREFIX
from resolver import template
from resolver.units import Units

_READABLE = ValuePermission.ADMIN_READ | ValuePermission.PUBLIC_READ
_ABOVE = frozenset((HS_SITE_PREFIX, HS_SERV_PREFIX))
_DELEGATE = frozenset((HS_SITE, HS_SITE_6, HS_SERV))


class Question(NamedTuple):
    """What is asked. ``public_only`` and ``identity`` decide what may be shown.

    ``want``: the form that will do where the stored one is the whole answer. ``need_right``:
    the right to read is asked for even if every value is public, as in a session.
    """

    handle: str
    indexes: frozenset[int] = frozenset()
    types: tuple[str, ...] = ()
    public_only: bool = True
    identity: Identity | None = None
    refer: bool = True
    want: Literal["json", "wire", "values"] = "json"
    need_right: bool = False


class Answer(NamedTuple):
    """What is answered, to be rendered by a front. ``handle`` is as asked.

    ``json`` or ``wire`` is the ready form where the stored one is the answer; ``values``
    are there otherwise. None of them: no values belong to this outcome. ``notice``: for people, what a
    public order of the regulator says.
    """

    outcome: Outcome
    handle: str
    message: str = ""
    values: Values | None = None
    json: bytes | None = None
    wire: bytes | None = None
    notice: str = ""

    def values_wire(self) -> bytes:
        """Return the values as on the Handle wire, with their count."""
        return self.wire if self.wire is not None else encode_values(self.values or ())

    def values_json(self) -> bytes | None:
        """Return the JSON array of the values, None where none belong here."""
        if self.json is None and self.values is not None:
            return dump_values(self.values)
        return self.json


class _HeldError(Exception):
    """What an answer would be made of is on hold."""

    def __init__(self, notice: str) -> None:
        super().__init__(notice)
        self.notice = notice


class Resolver:
    """Answers questions from one snapshot each."""

    def __init__(
        self, rules: HandleRules, *, root: bool = False, server_admins: ServerAdmins = frozenset(),
        units: Units | None = None,
    ) -> None:  # fmt: skip
        self.rules = rules
        self._units = units or Units(root=root)
        self.root = root
        self.server_admins = server_admins

    def resolve(self, snapshot: Snapshot, question: Question) -> Answer:
        """Answer one question.

        Cost: two look-ups for a public record asked as a whole.
        """
        try:
            key = check_requested(question.handle, self.rules)
        except (IdentifierError, ResponsibilityError) as error:
            return Answer(error.ended, question.handle, error.message)
        hosting = hosting_of(snapshot, key, root=self.root)
        if hosting is None:
            return Answer(Outcome.NOT_RESPONSIBLE, question.handle, FOREIGN)
        if hosting == STOPPED or is_held(snapshot, key):
            return Answer(Outcome.HELD, question.handle, notice=_notice(snapshot, key))
        if hosting == DELEGATED:
            return self._service_referral(snapshot, question, key)
        if question.want == "json" and question.public_only and not (question.indexes or question.types):
            ready = snapshot.get(Table.ANSWERS, record_key(key))
            if ready is not None:
                return _ready(question, ready)
            unit = self._unit(snapshot, Table.ANSWERS, question, key)
            if unit is not None:
                return unit if isinstance(unit, Answer) else _ready(question, unit)
        return self._resolve_values(snapshot, question, key)

    def require_here(self, snapshot: Snapshot, handle: str) -> HandleKey:
        """Return the key of a handle that this node answers for.

        Errors: IdentifierError, ResponsibilityError.
        """
        key = check_requested(handle, self.rules)
        require_served(snapshot, key, root=self.root)
        return key

    def records(self, snapshot: Snapshot) -> ServedRecords:
        """Return the records that are served here, for proofs and rights."""
        return ServedRecords(snapshot, self.rules, self.root)

    def is_server_admin(self, identity: Identity) -> bool:
        """Whether the identity has every right."""
        return (self.rules.key(identity.handle), identity.value_index) in self.server_admins

    def may_list(self, snapshot: Snapshot, prefix: PrefixKey, identity: Identity) -> bool:
        """Whether the identity may list the handles of a prefix: bit 800 of the prefix handle."""
        records = self.records(snapshot)
        values = records.load(prefix_handle_of(prefix)) or ()
        return self.is_server_admin(identity) or may(values, identity, records, AdminPermission.LIST_HANDLES)

    def _resolve_values(self, snapshot: Snapshot, question: Question, key: HandleKey) -> Answer:
        row = snapshot.get(Table.RECORDS, record_key(key)) or self._unit(snapshot, Table.RECORDS, question, key)
        if isinstance(row, Answer):
            return row
        if row is not None:
            if question.want == "wire" and question.public_only and not (question.indexes or question.types):
                wire = public_wire(row)
                if wire is not None:
                    return Answer(Outcome.OK, question.handle, wire=wire)
            stored = values = unpack_values(row)
        else:
            referral = self._referral(snapshot, question, key) if question.refer else None
            if referral is not None:
                return referral
            try:
                made = self._from_template(snapshot, question.handle, key)
            except template.UnsupportedTemplateError as error:
                return Answer(error.ended, question.handle, error.message)
            except _HeldError as error:
                return Answer(Outcome.HELD, question.handle, notice=error.notice)
            if made is None:
                return Answer(Outcome.HANDLE_NOT_FOUND, question.handle)
            stored, values = made
        return self._admitted(snapshot, question, stored, select(values, question))

    def _unit(self, snapshot: Snapshot, table: Table, question: Question, key: HandleKey) -> Answer | bytes | None:
        """Return the row of a lot or a unit that has no record, or the answer where it has none; None for neither.

        DIVERGES: docs/standards/divergences.md#units-of-lots-have-no-records
        Errors: SealError where the key of the lot is not here.
        """
        self._units.begin(snapshot.state())
        row = self._units.quick_row(table, key)
        if row is not None:
            return row
        found = self._units.find(snapshot, key)
        if found is None:
            return None
        if found.outcome is not Outcome.OK:
            return Answer(found.outcome, question.handle, found.outcome.value)
        return self._units.row(snapshot, table, found)

    def _admitted(self, snapshot: Snapshot, question: Question, stored: Values, selected: Values) -> Answer:
        if question.public_only:
            selected = tuple(value for value in selected if value.public_read)
        else:
            refused = self._refusal(snapshot, question, stored, selected)
            if refused is not None:
                return Answer(refused, question.handle)
        if not selected:
            return Answer(Outcome.NO_VALUES, question.handle, values=())
        return Answer(Outcome.OK, question.handle, values=selected)

    def _refusal(self, snapshot: Snapshot, question: Question, stored: Values, selected: Values) -> Outcome | None:
        """Source: the reference server: a value that nobody may read, met first, is refused at once."""
        for value in selected:
            if value.public_read:
                continue
            if not value.permissions & _READABLE:
                return Outcome.ACCESS_DENIED
            return self._unreadable(snapshot, question.identity, stored)
        return self._unreadable(snapshot, question.identity, stored) if question.need_right else None

    def _unreadable(self, snapshot: Snapshot, identity: Identity | None, stored: Values) -> Outcome | None:
        """Return why somebody may not read what is not public, None if he may: bit 400 of the record."""
        if identity is None:
            return Outcome.AUTHENTICATION_NEEDED
        if self.is_server_admin(identity):
            return None
        admitted = may(stored, identity, self.records(snapshot), AdminPermission.READ_VALUE)
        return None if admitted else Outcome.FORBIDDEN

    def _service_referral(self, snapshot: Snapshot, question: Question, key: HandleKey) -> Answer:
        """Answer for a handle below a delegated prefix: the public sites in the prefix handle, whatever is asked."""
        if not question.refer:
            return Answer(Outcome.HANDLE_NOT_FOUND, question.handle)
        above = prefix_handle_of(prefix_of(key))
        return self._referring(snapshot, question, Outcome.SERVICE_REFERRAL, above, _DELEGATE)

    def _referring(
        self, snapshot: Snapshot, question: Question, outcome: Outcome, above: HandleKey, types: frozenset[str]
    ) -> Answer:
        """Answer with the public values of a prefix handle; HELD if it is on hold itself."""
        if is_held(snapshot, above):
            return Answer(Outcome.HELD, question.handle, notice=_notice(snapshot, above))
        return Answer(outcome, question.handle, values=self._public(snapshot, above, types))

    def _public(self, snapshot: Snapshot, key: HandleKey, types: frozenset[str]) -> Values:
        values = self.records(snapshot).load(key) or ()
        return tuple(value for value in values if value.type in types and value.public_read)

    def _referral(self, snapshot: Snapshot, question: Question, key: HandleKey) -> Answer | None:
        """Answer for a prefix handle that is not here: who is responsible for the prefix."""
        if prefix_of(key) != PREFIX_HANDLES:
            return None
        for above in ancestors(key[len(PREFIX_HANDLES) + 1 :])[1:]:
            key = prefix_handle_of(above)
            if self._public(snapshot, key, _ABOVE):
                return self._referring(snapshot, question, Outcome.PREFIX_REFERRAL, key, _ABOVE)
        return None

    def _from_template(self, snapshot: Snapshot, handle: str, key: HandleKey) -> tuple[Values, Values] | None:
        """Return the base's values and the made ones; None where no template applies.

        Errors: UnsupportedTemplateError; _HeldError where what they are made of is on hold.
        """
        records = self.records(snapshot)
        own = prefix_handle_of(prefix_of(key))
        templates = template.templates_of(records.load(own) or ())
        cut = template.cut(handle, templates)
        if cut is None:
            return None
        for source in (own, records.key(cut.base)):
            if orders_on(snapshot, source):
                raise _HeldError(_notice(snapshot, source))
        base = records.load(records.key(cut.base)) or ()
        made = template.run(template.templates_of(base) or templates, cut, base, lambda ref: _find(records, ref))
        return None if made is None else (base, made)


def _ready(question: Question, row: bytes) -> Answer:
    stored = unpack_answer(row)
    outcome = Outcome.NO_VALUES if stored.nothing_public else Outcome.OK
    return Answer(outcome, question.handle, json=stored.values_json)


def _notice(snapshot: Snapshot, key: HandleKey) -> str:
    """Return numbers and reasons of the orders that may be told."""
    return "；".join(f"{order.number}：{order.reason}" for order in orders_on(snapshot, key) if order.public)


def _find(records: ServedRecords, reference: ValueReference) -> HandleValue | None:
    for value in records.load(records.key(reference.handle)) or ():
        if value.value_index == reference.value_index:
            return value
    return None


def select(values: Values, question: Question) -> Values:
    """Return the values that are asked for, in their order: by index or type, all of them where neither is named."""
    if not question.indexes and not question.types:
        return values
    exact, families = set(), []
    for asked in question.types[: limits.QUERY_FIELDS_MAX]:
        name = asked.encode().upper()
        if name.endswith(b"."):
            families.append(name)
        exact.add(name.removesuffix(b"."))
    exact.discard(b"")
    families = [family for family in families if family != b"."]

    def wanted(value: HandleValue) -> bool:
        name = value.type.encode().upper()
        return value.value_index in question.indexes or name in exact or name.startswith(tuple(families))

    return tuple(value for value in values if wanted(value))
