"""Idempotency: a request with a known token gets the first answer again.

The token is written in the transaction of the request that it names, so an answer
that was lost on its way is found again, and nothing is done twice.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import Final

import msgpack

from core import limits
from core.clock import Millis
from core.errors import NodeError, Outcome
from core.ident.handle import HandleRules
from core.store.engine import Table
from core.store.token_rows import TIME_ROW, TokenRow, pack_token, time_key, token_key, unpack_token
from registry.commands import (
    AddParty,
    AmendParty,
    Command,
    FileComplaint,
    IssueBearer,
    ReadContact,
    ReadIdentity,
    Request,
    Result,
)
from registry.desk import Seals
from registry.staging import Staging

TEMPORARY: Final = (Outcome.OVERLOADED, Outcome.STORE_FULL, Outcome.INTERNAL)
_PASSING: Final = (
    Outcome.REGISTRATION_CLOSED, Outcome.HELD, Outcome.NOT_FOUND, Outcome.NOT_RESPONSIBLE,
)  # fmt: skip
_NOT_KEPT: Final = (*TEMPORARY, *_PASSING)  # the same request may come again when the hold or the lack has passed


_SECRET: Final = (IssueBearer, ReadIdentity, ReadContact)
"""Commands whose answer holds a secret: it is given once, and kept nowhere."""


def once(
    staging: Staging, request: Request, rules: HandleRules, now_ms: Millis, run: Callable[[Command], Result]
) -> tuple[Result, bool]:
    """Run a request, or answer what it was answered before; return the answer, and whether it is given again.

    A token is kept IDEMPOTENCY_KEPT_MS; the same one with another request is CONFLICT.
    It belongs to who sent it, so one of anybody's is not looked at; nor is that of a request whose
    answer holds a secret, for the answer would be kept.
    """
    token = request.token
    if token is None or request.dry_run or request.actor.anonymous or isinstance(request.command, _SECRET):
        return run(request.command), False
    key = token_key(request.actor.owner(rules), token.key)
    row = staging.get(Table.TOKENS, key)
    if row is not None:
        known = unpack_token(row)
        if known.at_ms + limits.IDEMPOTENCY_KEPT_MS > now_ms:
            if known.body_digest != token.digest:
                return Result(Outcome.CONFLICT, message="This Idempotency-Key was used for another request"), False
            return _unpack(known.answer), True
        staging.put(Table.TOKEN_TIMES, time_key(known.at_ms, key), None)
    result = run(request.command)
    keep(staging, request, rules, now_ms, result)
    return result, False


def keep(staging: Staging, request: Request, rules: HandleRules, now_ms: Millis, result: Result) -> None:
    """Stage what a request was answered, for who sends it again; of one without a token nothing."""
    if request.token is None or request.dry_run or request.actor.anonymous or result.outcome in _NOT_KEPT:
        return
    key = token_key(request.actor.owner(rules), request.token.key)
    staging.put(Table.TOKENS, key, pack_token(TokenRow(request.token.digest, now_ms, _pack(result))))
    staging.put(Table.TOKEN_TIMES, time_key(now_ms, key), TIME_ROW)


def keyed(request: Request, seals: Seals | None) -> Request:
    """Return a request whose token tells nothing of personal data: its digest is kept, and few forms are likely.

    The oldest key of identity data makes it one that nobody can guess at. Without a key the request
    itself is refused, and its token need not be kept.
    """
    if request.token is None or not isinstance(request.command, AddParty | AmendParty | FileComplaint):
        return request
    try:
        keys = seals.load_keys().keys if seals else {}
    except NodeError:
        keys = {}
    if not keys:
        return request._replace(token=None)
    digest = hmac.digest(keys[min(keys)], request.token.digest, "sha256")
    return request._replace(token=request.token._replace(digest=digest))


def sweep(staging: Staging, requests: Sequence[Request], now_ms: Millis) -> None:
    """Remove tokens that are too old, before a group is run: more go than come.

    Bounds: IDEMPOTENCY_SWEEP for each request with a token.
    """
    most = limits.IDEMPOTENCY_SWEEP * sum(request.token is not None for request in requests)
    if not most:
        return
    stop = time_key(max(0, now_ms - limits.IDEMPOTENCY_KEPT_MS))
    for count, (place, _) in enumerate(staging.snapshot.scan(Table.TOKEN_TIMES, b"\0", stop)):
        if count == most:
            break
        staging.put(Table.TOKEN_TIMES, place, None)
        staging.put(Table.TOKENS, place[8:], None)


def _pack(result: Result) -> bytes:
    packed: bytes = msgpack.packb((result.outcome.value, *result[1:]))
    return packed


def _unpack(packed: bytes) -> Result:
    outcome, *others = msgpack.unpackb(packed)  # rows of earlier versions have fewer members
    return Result(Outcome(outcome), *others)
