"""Who may do what: administrators, groups, and the permission masks of HS_ADMIN.

Pure: records come through ``Records``. The identity named in an HS_ADMIN value
counts; index 0 there is any index of that handle; if it names an HS_VLIST value,
the members count, nested, cycles skipped. Lists and HS_ADMIN values count even
where they are not readable. One request that needs several bits needs them in one
HS_ADMIN value. Source: RFC 3651 §3.2.1, §3.2.7 and the reference server.

DIVERGES: handles are compared as the store compares them
(docs/standards/divergences.md#administrators-are-compared-folded).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from core import limits
from core.errors import WireError
from core.ident.handle import HandleKey, HandleRules
from core.records import ValueReference, Values
from core.wire.admin import decode_admin, decode_group
from core.wire.valuetypes import HS_ADMIN, HS_VLIST

Identity = ValueReference
"""Who asks, after authentication: value ``index`` of ``handle``."""


class Records(Protocol):
    """The records that are served here, and how their handles are compared."""

    def key(self, handle: str) -> HandleKey:
        """Return the key of any text that a record names as a handle."""

    def load(self, key: HandleKey) -> Values | None:
        """Return the values of a record that is served here; None for any other."""


ServerAdmins = frozenset[tuple[HandleKey, int]]
"""Identities that have every right (``handle.server_admins``)."""


def same_identity(named: ValueReference, identity: Identity, records: Records) -> bool:
    """Whether ``named`` means this identity; index 0 means any."""
    if named.value_index not in (0, identity.value_index):
        return False
    return records.key(named.handle) == records.key(identity.handle)


def may(values: Values, identity: Identity, records: Records, *alternatives: int) -> bool:
    """Whether one HS_ADMIN value admits the identity with all bits of one alternative.

    Bounds: ADMIN_GROUP_HANDLES_MAX records and ADMIN_GROUP_MEMBERS_MAX members are looked
    at for all groups together; whom the walk does not reach by then is not admitted.
    """
    groups = _Groups(identity, records)
    for value in values:
        if value.type != HS_ADMIN:
            continue
        try:
            admin = decode_admin(value.data)
        except WireError:
            continue  # nobody is an administrator by octets that cannot be read
        if any(admin.permissions & bits == bits for bits in alternatives):
            named = ValueReference(admin.handle, admin.value_index)
            if same_identity(named, identity, records) or groups.hold(named):
                return True
    return False


class _Groups:
    """The groups of one decision: each is walked once, whoever names it."""

    def __init__(self, identity: Identity, records: Records) -> None:
        self._identity = identity
        self._records = records
        self._seen: set[tuple[HandleKey, int]] = set()
        self._members_left = limits.ADMIN_GROUP_MEMBERS_MAX

    def hold(self, named: ValueReference) -> bool:
        """Whether the group, or one inside it, has the identity as a member.

        A group that was walked before did not hold it, or the decision had ended there.
        """
        waiting = [named]
        while waiting and len(self._seen) < limits.ADMIN_GROUP_HANDLES_MAX:
            group = waiting.pop()
            place = (self._records.key(group.handle), group.value_index)
            if place in self._seen:
                continue
            self._seen.add(place)
            for member in _members(group, self._records):
                self._members_left -= 1
                if self._members_left < 0:
                    return False
                if same_identity(member, self._identity, self._records):
                    return True
                waiting.append(member)
        return False


def _members(group: ValueReference, records: Records) -> Iterator[ValueReference]:
    for value in records.load(records.key(group.handle)) or ():
        if value.type == HS_VLIST and group.value_index in (0, value.value_index):
            try:
                yield from decode_group(value.data)
            except WireError:
                continue


def parse_server_admins(items: tuple[int | str, ...], node_prefix: str, rules: HandleRules) -> ServerAdmins:
    """Read ``handle.server_admins``: numbers are values of 0.NA/<node_prefix>.

    Errors: WireError for an item that is neither a number nor INDEX:HANDLE.
    """
    return frozenset(_parse_admin(item, node_prefix, rules) for item in items)


def _parse_admin(item: int | str, node_prefix: str, rules: HandleRules) -> tuple[HandleKey, int]:
    if isinstance(item, int):
        return rules.key(f"0.NA/{node_prefix}"), item
    identity = parse_identity(item)
    return rules.key(identity.handle), identity.value_index


def parse_identity(text: str) -> Identity:
    """Read ``INDEX:HANDLE``. Errors: WireError."""
    number, colon, handle = text.partition(":")
    if not (colon and handle and number.isascii() and number.isdecimal() and len(number) <= 10):
        raise WireError(f"{text[:60]!r} is no identity of the form 300:0.NA/88.118.7")
    index = int(number)
    if index > limits.VALUE_INDEX_MAX:
        raise WireError(f"the index {index} does not fit in 31 bits")
    try:
        handle.encode()
    except UnicodeEncodeError:
        raise WireError("the handle of the identity is not UTF-8") from None
    return Identity(handle, index)
