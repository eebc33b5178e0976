"""What somebody may do here: role and party behind an identity, a token, or a person at this machine.

A Handle identity is an operator if it is a server administrator, and an enterprise if the prefix
handle ``0.NA/P`` of the prefix that it stands in names it in an HS_ADMIN value with the right to
add administrators, and P is allocated to a party. A key that may register and no more is no enterprise.
"""

from __future__ import annotations

from typing import NamedTuple

from core.admission import Identity, ServerAdmins, may
from core.clock import Millis
from core.errors import NodeError, Outcome
from core.ident.handle import PREFIX_HANDLES, prefix_handle_of, prefix_of
from core.lifecycle import State
from core.records import AdminPermission
from core.store.application_rows import unpack_application
from core.store.bearer_rows import unpack_bearer
from core.store.engine import Table
from core.store.homing import ServedRecords
from core.who import Role, Who
from registry.commands import Actor
from registry.refusals import refusal

_HOLDING = frozenset(state.value for state in (State.ALLOCATED, State.HOMED, State.SUSPENDED))


class Standing(NamedTuple):
    """Who asks, in which role. ``party``: of an enterprise, else empty."""

    who: Who
    role: Role | None = None
    party: str = ""


def standing_of(actor: Actor, records: ServedRecords, admins: ServerAdmins, now_ms: Millis) -> Standing:
    """Return the standing of an actor. Errors: NodeError(AUTHENTICATION_FAILED) for a token that does not live."""
    if actor.local:
        return Standing(Who(Role.LOCAL.value, actor.name.strip() or Role.LOCAL.value, actor.uid), Role.LOCAL)
    if actor.bearer:
        return _of_bearer(actor.bearer, records, now_ms)
    if actor.identity is None:
        return Standing(Who())
    return _of_identity(actor.identity, records, admins)


def _of_bearer(name: str, records: ServedRecords, now_ms: Millis) -> Standing:
    row = records.rows.get(Table.BEARERS, name.encode())
    bearer = None if row is None else unpack_bearer(row)
    if bearer is None or not bearer.lives(now_ms):
        raise refusal("token-not-known", Outcome.AUTHENTICATION_FAILED)
    return Standing(Who(bearer.role.value, bearer.holder, token=name), bearer.role, bearer.party)


def _of_identity(identity: Identity, records: ServedRecords, admins: ServerAdmins) -> Standing:
    name = f"{identity.value_index}:{identity.handle}"
    key = records.key(identity.handle)
    if (key, identity.value_index) in admins:
        return Standing(Who(Role.OPERATOR.value, name), Role.OPERATOR)
    prefix = prefix_of(key)
    if prefix == PREFIX_HANDLES:
        prefix = key[len(prefix) + 1 :]  # type: ignore[assignment] # the prefix that the prefix handle names
    row = records.rows.get(Table.APPLICATIONS, prefix)
    application = None if row is None else unpack_application(row)
    if application is not None and application.party and application.state in _HOLDING:
        values = records.load(prefix_handle_of(prefix)) or ()
        if may(values, identity, records, AdminPermission.ADD_ADMIN):
            return Standing(Who(Role.ENTERPRISE.value, name), Role.ENTERPRISE, application.party)
    return Standing(Who(name=name))


def require_role(standing: Standing, allowed: bool) -> None:
    """Errors: NodeError of the rule "role", or AUTHENTICATION_NEEDED for anybody."""
    if not allowed:
        if standing.who == Who():
            raise NodeError("", outcome=Outcome.AUTHENTICATION_NEEDED)
        raise refusal("role", role=standing.role.value if standing.role else "-")
