"""Bearer tokens: made, shown once, ended.

The text of a token leaves in the body of one result and is stored nowhere, not even as the first
answer of an idempotency key: a token whose answer is lost is revoked, and another one made.

Whoever comes with an operator's token makes tokens of enterprises alone: one who could make
reviewers would review what he files (``registry/roles.py``, rule 2).
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final

from core import limits
from core.clock import Millis, format_utc
from core.errors import Outcome
from core.store.bearer_rows import Bearer, format_bearer, pack_bearer, unpack_bearer
from core.store.engine import Table
from core.who import Role
from registry.commands import IssueBearer, Result, RevokeBearer
from registry.desk import Desk, told
from registry.refusals import refusal

ROLES: Final = (Role.OPERATOR, Role.REVIEWER, Role.ENTERPRISE, Role.AUDITOR)
_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 32
_DAY_MS: Final = 86_400_000


def issue_bearer(desk: Desk, command: IssueBearer) -> Result:
    """Make a token. Whoever has it has the role until it expires or is revoked."""
    if command.role not in {role.value for role in ROLES}:
        raise refusal("token-role", Outcome.INVALID_VALUE, roles=", ".join(role.value for role in ROLES))
    role = Role(command.role)
    if role is not Role.ENTERPRISE and desk.standing.role is not Role.LOCAL:
        raise refusal("token-above")
    if bool(command.party) is not (role is Role.ENTERPRISE):
        raise refusal("token-party", Outcome.INVALID_VALUE)
    if command.party:
        desk.party(command.party)
    if not 1 <= command.days <= limits.BEARER_DAYS_MAX:
        raise refusal("token-days", Outcome.INVALID_VALUE, days=limits.BEARER_DAYS_MAX)
    holder = require_name(command.holder)
    name, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    digest = hashlib.sha256(secret.encode()).digest()
    expires_ms = Millis(desk.now_ms + command.days * _DAY_MS)
    bearer = Bearer(digest, role, command.party, holder, desk.now_ms, expires_ms, Millis(0), desk.who)
    desk.staging.put(Table.BEARERS, name.encode(), pack_bearer(bearer))
    return told(name, Outcome.CREATED, dump_bearer(name, bearer) | {"secret": format_bearer(name, secret)})


def revoke_bearer(desk: Desk, command: RevokeBearer) -> Result:
    """End a token; one that has ended already stays as it is."""
    key = command.bearer.encode()
    row = desk.staging.get(Table.BEARERS, key)
    if row is None:
        raise refusal("token-not-found", Outcome.NOT_FOUND, token=repr(command.bearer[:40]))
    bearer = unpack_bearer(row)
    if not bearer.revoked_ms:
        bearer = bearer._replace(revoked_ms=desk.now_ms)
        desk.staging.put(Table.BEARERS, key, pack_bearer(bearer))
    return told(command.bearer, Outcome.OK, dump_bearer(command.bearer, bearer))


def require_name(text: str) -> str:
    """Return the name of a person as it is kept. Errors: NodeError."""
    name = text.strip()
    if not 0 < len(name) <= limits.PERSON_NAME_CHARS_MAX or not name.isprintable():
        raise refusal("actor", Outcome.INVALID_VALUE, chars=limits.PERSON_NAME_CHARS_MAX)
    return name


def dump_bearer(name: str, bearer: Bearer) -> dict[str, Any]:
    """Return a token as JSON has it, without what proves it."""
    return {
        "token": name,
        "role": bearer.role.value,
        "holder": bearer.holder,
        "party": bearer.party or None,
        "issued": format_utc(bearer.issued_ms // 1_000),
        "expires": format_utc(bearer.expires_ms // 1_000),
        "revoked": format_utc(bearer.revoked_ms // 1_000) if bearer.revoked_ms else None,
    }
