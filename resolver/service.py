"""The resolution service: one question, one Answer, whatever protocol asks.

Never asks the upstream, never waits, never alters what was registered (Measures
art. 11). Order of checks, as the reference server: grammar, responsibility,
existence, filters, permissions.

Selection: by index or type, in stored order. A type matches whatever its case;
one that ends in "." matches it and all its sub-types. ``public_only`` leaves out
what is not public; without it one selected value that is not public asks for
authentication, and then for the right to read (400) in one HS_ADMIN value.
"""

from __future__ import annotations

from typing import NamedTuple

from core import limits
from core.admission import Identity, ServerAdmins, may
from core.errors import IdentifierError, Outcome, ResponsibilityError
from core.ident.handle import (
    PREFIX_HANDLES,
    HandleKey,
    HandleRules,
    PrefixKey,
    ancestors,
    check_handle,
    fold,
    prefix_handle_of,
    prefix_of,
)
from core.records import AdminPermission, HandleValue, ValuePermission, ValueReference, Values
from core.store.engine import Snapshot, Table
from core.store.homing import load_values, require_served
from core.store.record_rows import record_key, unpack_answer, unpack_values
from core.wire.jsonform import dump_values
from core.wire.valuetypes import HS_SERV_PREFIX, HS_SITE_PREFIX
from resolver import template

_READABLE = ValuePermission.ADMIN_READ | ValuePermission.PUBLIC_READ


class Question(NamedTuple):
    """What is asked. ``public_only`` and ``identity`` decide what may be shown.

    ``want_json``: the ready JSON array will do where it is the whole answer.
    """

    handle: str
    indexes: frozenset[int] = frozenset()
    types: tuple[str, ...] = ()
    public_only: bool = True
    identity: Identity | None = None
    refer: bool = True
    want_json: bool = True


class Answer(NamedTuple):
    """What is answered, to be rendered by a front. ``handle`` is as asked.

    ``json`` is the ready array where the stored form is the answer; ``values``
    are there otherwise. Neither: no values belong to this outcome.
    """

    outcome: Outcome
    handle: str
    message: str = ""
    values: Values | None = None
    json: bytes | None = None

    def values_json(self) -> bytes | None:
        """Return the JSON array of the values, None where none belong here."""
        if self.json is None and self.values is not None:
            return dump_values(self.values)
        return self.json


class Resolver:
    """Answers questions from one snapshot each."""

    def __init__(self, rules: HandleRules, *, root: bool = False, server_admins: ServerAdmins = frozenset()) -> None:
        self.rules = rules
        self.root = root
        self.server_admins = server_admins

    def resolve(self, snapshot: Snapshot, question: Question) -> Answer:
        """Answer one question.

        Cost: two look-ups for a public record asked as a whole.
        """
        try:
            key = check_handle(question.handle, self.rules)
            require_served(snapshot, key, root=self.root)
        except (IdentifierError, ResponsibilityError) as error:
            return Answer(error.ended, question.handle, error.message)
        if question.want_json and question.public_only and not (question.indexes or question.types):
            ready = snapshot.get(Table.ANSWERS, record_key(key))
            if ready is not None:
                stored = unpack_answer(ready)
                outcome = Outcome.NO_VALUES if stored.nothing_public else Outcome.OK
                return Answer(outcome, question.handle, json=stored.values_json)
        return self._resolve_values(snapshot, question, key)

    def load(self, snapshot: Snapshot, key: HandleKey) -> Values | None:
        """Return all values of a record that lives here, None for any other."""
        return load_values(snapshot, key, root=self.root)

    def is_server_admin(self, identity: Identity) -> bool:
        """Whether the identity has every right."""
        return (fold(identity.handle), identity.value_index) in self.server_admins

    def may_list(self, snapshot: Snapshot, prefix: PrefixKey, identity: Identity) -> bool:
        """Whether the identity may list the handles of a prefix: bit 800 of the prefix handle."""
        values = self.load(snapshot, prefix_handle_of(prefix)) or ()
        return self.is_server_admin(identity) or may(
            values, identity, lambda key: self.load(snapshot, key), AdminPermission.LIST_HANDLES
        )

    def _resolve_values(self, snapshot: Snapshot, question: Question, key: HandleKey) -> Answer:
        row = snapshot.get(Table.RECORDS, record_key(key))
        if row is not None:
            stored = values = unpack_values(row)
        else:
            referral = self._referral(snapshot, question, key) if question.refer else None
            if referral is not None:
                return referral
            try:
                made = self._from_template(snapshot, question.handle, key)
            except template.UnsupportedTemplateError as error:
                return Answer(error.ended, question.handle, error.message)
            if made is None:
                return Answer(Outcome.HANDLE_NOT_FOUND, question.handle)
            stored, values = made
        return self._admitted(snapshot, question, stored, _select(values, question))

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
            identity = question.identity
            if identity is None:
                return Outcome.AUTHENTICATION_NEEDED
            if self.is_server_admin(identity) or may(
                stored, identity, lambda key: self.load(snapshot, key), AdminPermission.READ_VALUE
            ):
                return None
            return Outcome.FORBIDDEN
        return None

    def _referral(self, snapshot: Snapshot, question: Question, key: HandleKey) -> Answer | None:
        """Answer for a prefix handle that is not here: who is responsible for the prefix."""
        if prefix_of(key) != PREFIX_HANDLES:
            return None
        for above in ancestors(key[len(PREFIX_HANDLES) + 1 :])[1:]:
            values = tuple(
                value
                for value in self.load(snapshot, prefix_handle_of(above)) or ()
                if value.type in (HS_SITE_PREFIX, HS_SERV_PREFIX) and value.public_read
            )
            if values:
                return Answer(Outcome.PREFIX_REFERRAL, question.handle, values=values)
        return None

    def _from_template(self, snapshot: Snapshot, handle: str, key: HandleKey) -> tuple[Values, Values] | None:
        """Return the base's values and the made ones; None where no template applies."""
        templates = template.templates_of(self.load(snapshot, prefix_handle_of(prefix_of(key))) or ())
        cut = template.cut(handle, templates)
        if cut is None:
            return None
        base = self.load(snapshot, fold(cut.base)) or ()
        made = template.run(template.templates_of(base) or templates, cut, base, lambda ref: self._find(snapshot, ref))
        return None if made is None else (base, made)

    def _find(self, snapshot: Snapshot, reference: ValueReference) -> HandleValue | None:
        for value in self.load(snapshot, fold(reference.handle)) or ():
            if value.value_index == reference.value_index:
                return value
        return None


def _select(values: Values, question: Question) -> Values:
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
