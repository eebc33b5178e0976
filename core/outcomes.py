"""The only table that turns an Outcome into a status of a protocol.

Sources: HTTP, RFC 9110, 429 in RFC 6585 §4, 451 in RFC 7725; the Handle JSON interface as the reference server
answers it; Handle response codes, RFC 3652 §2.2.2.2 with the later names; DNS
response codes, RFC 1035 §4.1.1. A house test keeps status numbers out of the
rest of the tree.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from core.errors import Outcome


class HandleCode(IntEnum):
    """Handle response codes (RFC 3652 §2.2.2.2; later names of the reference server)."""

    SUCCESS = 1
    ERROR = 2
    SERVER_BUSY = 3
    PROTOCOL_ERROR = 4
    OPERATION_DENIED = 5
    HANDLE_NOT_FOUND = 100
    HANDLE_ALREADY_EXISTS = 101
    INVALID_HANDLE = 102
    VALUES_NOT_FOUND = 200
    VALUE_ALREADY_EXISTS = 201
    INVALID_VALUE = 202
    SERVER_NOT_RESPONSIBLE = 301
    SERVICE_REFERRAL = 302
    PREFIX_REFERRAL = 303  # RFC 3652: RC_NA_DELEGATE
    INVALID_ADMIN = 400  # RFC 3652: RC_NOT_AUTHORIZED
    INSUFFICIENT_PERMISSIONS = 401  # RFC 3652: RC_ACCESS_DENIED
    AUTHENTICATION_NEEDED = 402
    AUTHENTICATION_FAILED = 403
    INVALID_CREDENTIAL = 404
    SESSION_TIMEOUT = 500
    SESSION_FAILED = 501
    INVALID_SESSION_KEY = 502
    SESSION_MESSAGE_REJECTED = 505


class Status(NamedTuple):
    """One Outcome in every protocol's own numbers.

    ``http``: our own API. ``http_handles``: ``/api/handles`` as the reference
    server answers. ``handle``: the Handle response code. ``dns``: the rcode.
    """

    http: int
    http_handles: int
    handle: HandleCode
    dns: int


_C = HandleCode

STATUSES: dict[Outcome, Status] = {
    Outcome.OK: Status(200, 200, _C.SUCCESS, 0),
    Outcome.CREATED: Status(201, 201, _C.SUCCESS, 0),
    Outcome.NO_VALUES: Status(200, 200, _C.VALUES_NOT_FOUND, 0),
    Outcome.HANDLE_NOT_FOUND: Status(404, 404, _C.HANDLE_NOT_FOUND, 3),
    Outcome.HANDLE_EXISTS: Status(409, 409, _C.HANDLE_ALREADY_EXISTS, 5),
    Outcome.VALUE_EXISTS: Status(409, 409, _C.VALUE_ALREADY_EXISTS, 5),
    Outcome.VALUE_NOT_FOUND: Status(404, 400, _C.VALUES_NOT_FOUND, 5),
    Outcome.INVALID_HANDLE: Status(400, 400, _C.INVALID_HANDLE, 3),
    Outcome.INVALID_VALUE: Status(400, 400, _C.INVALID_VALUE, 5),
    Outcome.MALFORMED: Status(400, 400, _C.PROTOCOL_ERROR, 1),
    Outcome.UNSUPPORTED: Status(501, 501, _C.OPERATION_DENIED, 4),
    Outcome.SERVICE_REFERRAL: Status(300, 300, _C.SERVICE_REFERRAL, 0),
    Outcome.PREFIX_REFERRAL: Status(300, 300, _C.PREFIX_REFERRAL, 0),
    Outcome.NOT_RESPONSIBLE: Status(421, 400, _C.SERVER_NOT_RESPONSIBLE, 5),
    Outcome.NOT_ISSUED: Status(404, 404, _C.HANDLE_NOT_FOUND, 3),
    Outcome.GONE: Status(410, 404, _C.HANDLE_NOT_FOUND, 3),
    Outcome.HELD: Status(451, 404, _C.HANDLE_NOT_FOUND, 3),
    Outcome.AUTHENTICATION_NEEDED: Status(401, 401, _C.AUTHENTICATION_NEEDED, 5),
    Outcome.AUTHENTICATION_FAILED: Status(401, 401, _C.AUTHENTICATION_FAILED, 5),
    Outcome.CREDENTIAL_MISSING: Status(401, 401, _C.INVALID_CREDENTIAL, 5),
    Outcome.SESSION_UNKNOWN: Status(401, 401, _C.SESSION_TIMEOUT, 5),
    Outcome.SESSION_FAILED: Status(400, 400, _C.SESSION_FAILED, 5),
    Outcome.SESSION_KEY_INVALID: Status(401, 401, _C.INVALID_SESSION_KEY, 5),
    Outcome.SESSION_REPLAYED: Status(401, 401, _C.SESSION_MESSAGE_REJECTED, 5),
    Outcome.FORBIDDEN: Status(403, 403, _C.INVALID_ADMIN, 5),
    Outcome.ACCESS_DENIED: Status(403, 403, _C.INSUFFICIENT_PERMISSIONS, 5),
    Outcome.OVERLOADED: Status(503, 503, _C.SERVER_BUSY, 2),
    Outcome.REGISTRATION_CLOSED: Status(403, 403, _C.OPERATION_DENIED, 5),
    Outcome.STORE_FULL: Status(503, 503, _C.SERVER_BUSY, 2),
    Outcome.LOG_FULL: Status(503, 503, _C.SERVER_BUSY, 2),
    Outcome.NO_ANSWER: Status(502, 502, _C.ERROR, 2),
    Outcome.RATE_LIMITED: Status(429, 429, _C.SERVER_BUSY, 5),
    Outcome.INTERNAL: Status(500, 500, _C.ERROR, 2),
    Outcome.CONFLICT: Status(409, 409, _C.ERROR, 5),
    Outcome.NOT_FOUND: Status(404, 404, _C.HANDLE_NOT_FOUND, 3),
    Outcome.TOO_LARGE: Status(413, 413, _C.PROTOCOL_ERROR, 1),
    Outcome.NO_SUCH_ENDPOINT: Status(404, 404, _C.PROTOCOL_ERROR, 4),
    Outcome.METHOD: Status(405, 405, _C.PROTOCOL_ERROR, 4),
    Outcome.UNKNOWN_METHOD: Status(501, 501, _C.PROTOCOL_ERROR, 4),
    Outcome.MEDIA_TYPE: Status(415, 400, _C.PROTOCOL_ERROR, 1),
}

# Statuses that no Outcome ends with: pieces of the HTTP dialogue itself.
HTTP_MULTIPLE_CHOICES = 300
HTTP_FOUND = 302
HTTP_SEE_OTHER = 303
HTTP_TEMPORARY_REDIRECT = 307
HTTP_REDIRECTS = (301, 302, 303, 307, 308)  # that lead a client on by themselves
HTTP_NO_CONTENT = 204
HTTP_UNPROCESSABLE = 422  # of a witness: the proof of consistency is wrong
HTTP_SERVER_ERRORS = 500  # from here on the other side failed, not the request


# Peers below 2.5 do not know this code and get the one they know instead.
_BEFORE_2_5: Final = {_C.INVALID_VALUE: _C.VALUE_ALREADY_EXISTS}


def handle_code(outcome: Outcome, version: tuple[int, int]) -> HandleCode:
    """Return the Handle response code for a peer of this protocol version."""
    code = STATUSES[outcome].handle
    return code if version >= (2, 5) else _BEFORE_2_5.get(code, code)


def handles_http_status(outcome: Outcome, *, secure: bool) -> int:
    """Return the HTTP status of the Handle JSON interface.

    The reference server never asks for credentials over plain HTTP: where it
    would answer 401 it answers 403.
    """
    if outcome is Outcome.AUTHENTICATION_NEEDED and not secure:
        return STATUSES[Outcome.FORBIDDEN].http_handles
    return STATUSES[outcome].http_handles
