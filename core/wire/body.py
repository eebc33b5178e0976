"""Bodies of requests and answers (RFC 3652 §3).

Requests, by operation:
    1                 bstr handle, array of int32 indexes, array of bstr types
    100, 102, 104     bstr handle, values
    103               bstr handle, array of int32 indexes
    200               bstr method, bstr handle, int32 index, bstr signed response
    201               bstr handle, int32 index, bstr nonce, bstr digest, bstr signed response
    400               2 mode, int32 seconds, bstr handle, int32 index, then mode 1 and 4:
                      bstr public key; mode 3: bstr handle, int32 index
    402               bstr encrypted key
    2001              bstr handle, int32 index
    the others        bstr handle, "/" for none

Answers: with RETURN_DIGEST each begins with the digest of the request: 1 octet
algorithm (0: a bstr follows), the raw digest; before version 2.1 there is none. Then
    error             bstr text
    1                 bstr handle, values
    100               bstr handle
    105, 302          array of bstr
    201               1 octet, 0 or 1
    2                 site information
    302, 303 (code)   bstr handle, values
    402 (code)        bstr nonce; before version 2.1 also bstr digest
    400               2 mode, bstr data, 2 spare octets
    the others        nothing

Octets behind a request's fields are passed over: the reference client's op 400 has two.
Errors: WireError from every decoder.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from core import limits
from core.errors import WireError
from core.records import ValueReference, Values
from core.wire.cursor import Cursor, bstr, text
from core.wire.message import DIGESTS, DigestAlgorithm
from core.wire.values import VALUE_BYTES_MIN, decode_value, encode_values

_INDEX_BYTES: Final = 4
_TEXT_BYTES_MIN: Final = 4
_SPARE: Final = b"\0\0"


class Question(NamedTuple):
    """Operation 1."""

    handle: str
    indexes: tuple[int, ...]
    types: tuple[str, ...]


class Change(NamedTuple):
    """Operations 100, 102, 104."""

    handle: str
    values: Values


class Removal(NamedTuple):
    """Operation 103."""

    handle: str
    indexes: tuple[int, ...]


class ChallengeResponse(NamedTuple):
    """Operation 200. ``signed``: what the method makes of nonce and digest."""

    method: str
    identity: ValueReference
    signed: bytes


class Verification(NamedTuple):
    """Operation 201."""

    identity: ValueReference
    nonce: bytes
    digest: bytes
    signed: bytes


class SessionSetup(NamedTuple):
    """Operation 400. ``key``: of modes 1 and 4; ``key_at``: of mode 3."""

    mode: int
    timeout_s: int
    identity: ValueReference
    key: bytes = b""
    key_at: ValueReference | None = None


SESSION_BY_CLIENT_KEY: Final = 1
SESSION_BY_STORED_KEY: Final = 3
SESSION_BY_DIFFIE_HELLMAN: Final = 4
_WITH_KEY: Final = (SESSION_BY_CLIENT_KEY, SESSION_BY_DIFFIE_HELLMAN)


# --- requests ----------------------------------------------------------------
def encode_handle(handle: str) -> bytes:
    """Return the body of an operation that names one handle."""
    return text(handle)


def decode_handle(body: bytes) -> str:
    """Read the body of an operation that names one handle."""
    return Cursor(body).text()


def encode_question(question: Question) -> bytes:
    """Return the body of operation 1."""
    return text(question.handle) + _encode_indexes(question.indexes) + encode_texts(question.types)


def decode_question(body: bytes) -> Question:
    """Read the body of operation 1. Bounds: QUERY_FIELDS_MAX indexes and types."""
    cursor = Cursor(body)
    handle = cursor.text()
    indexes = _decode_indexes(cursor)
    return Question(handle, indexes, cursor.array(cursor.text, limits.QUERY_FIELDS_MAX, _TEXT_BYTES_MIN))


def encode_change(change: Change) -> bytes:
    """Return the body of operations 100, 102, 104; also of the answer to operation 1."""
    return text(change.handle) + encode_values(change.values)


def decode_change(body: bytes) -> Change:
    """Read the body of operations 100, 102, 104. Bounds: VALUES_PER_RECORD_MAX."""
    cursor = Cursor(body)
    return Change(cursor.text(), _decode_values(cursor))


def encode_removal(removal: Removal) -> bytes:
    """Return the body of operation 103."""
    return text(removal.handle) + _encode_indexes(removal.indexes)


def decode_removal(body: bytes) -> Removal:
    """Read the body of operation 103. Bounds: QUERY_FIELDS_MAX."""
    cursor = Cursor(body)
    return Removal(cursor.text(), _decode_indexes(cursor))


def encode_challenge_response(answer: ChallengeResponse) -> bytes:
    """Return the body of operation 200."""
    return text(answer.method) + encode_reference(answer.identity) + bstr(answer.signed)


def decode_challenge_response(body: bytes) -> ChallengeResponse:
    """Read the body of operation 200."""
    cursor = Cursor(body)
    return ChallengeResponse(cursor.text(), decode_reference(cursor), cursor.bstr())


def encode_verification(verification: Verification) -> bytes:
    """Return the body of operation 201."""
    _, nonce, digest, signed = verification
    return encode_reference(verification.identity) + bstr(nonce) + bstr(digest) + bstr(signed)


def decode_verification(body: bytes) -> Verification:
    """Read the body of operation 201."""
    cursor = Cursor(body)
    return Verification(decode_reference(cursor), cursor.bstr(), cursor.bstr(), cursor.bstr())


def encode_session_setup(setup: SessionSetup) -> bytes:
    """Return the body of operation 400, with the two spare octets of the reference client."""
    tail = bstr(setup.key) if setup.mode in _WITH_KEY else b""
    if setup.mode == SESSION_BY_STORED_KEY and setup.key_at is not None:
        tail = encode_reference(setup.key_at)
    head = setup.mode.to_bytes(2, "big") + setup.timeout_s.to_bytes(4, "big", signed=True)
    return head + encode_reference(setup.identity) + tail + _SPARE


def decode_session_setup(body: bytes) -> SessionSetup:
    """Read the body of operation 400."""
    cursor = Cursor(body)
    setup = SessionSetup(cursor.uint16(), cursor.int32(), decode_reference(cursor))
    if setup.mode in _WITH_KEY:
        return setup._replace(key=cursor.bstr())
    if setup.mode == SESSION_BY_STORED_KEY:
        return setup._replace(key_at=decode_reference(cursor))
    return setup


def encode_reference(reference: ValueReference) -> bytes:
    """Return bstr handle, int32 index: also the whole body of operation 2001."""
    return text(reference.handle) + reference.value_index.to_bytes(_INDEX_BYTES, "big", signed=True)


def decode_reference(cursor: Cursor) -> ValueReference:
    """Read bstr handle, int32 index."""
    return ValueReference(cursor.text(), cursor.int32())


# --- answers -----------------------------------------------------------------
def encode_texts(texts: Iterable[str]) -> bytes:
    """Return an array of bstr: the answer to operations 105 and 302."""
    encoded = [text(each) for each in texts]
    return len(encoded).to_bytes(4, "big") + b"".join(encoded)


def decode_texts(cursor: Cursor) -> tuple[str, ...]:
    """Read an array of bstr. Bounds: WIRE_ARRAY_MAX."""
    return cursor.array(cursor.text, limits.WIRE_ARRAY_MAX, _TEXT_BYTES_MIN)


def encode_session_answer(mode: int, data: bytes) -> bytes:
    """Return the answer to operation 400."""
    return mode.to_bytes(2, "big") + bstr(data) + _SPARE


def decode_session_answer(cursor: Cursor) -> tuple[int, bytes]:
    """Read the answer to operation 400: mode and data."""
    return cursor.uint16(), cursor.bstr()


def encode_digest(algorithm: DigestAlgorithm, digest: bytes) -> bytes:
    """Return what an answer with RETURN_DIGEST begins with."""
    return bytes((algorithm.code,)) + digest


def decode_digest(cursor: Cursor) -> bytes:
    """Read what an answer with RETURN_DIGEST begins with; return the raw digest."""
    code = cursor.uint8()
    if code == 0:
        return cursor.bstr()
    if code not in DIGESTS:
        raise WireError(f"digest algorithm {code} is none of 1 MD5, 2 SHA-1, 3 SHA-256")
    return cursor.octets(DIGESTS[code].size)


def decode_answer_values(cursor: Cursor) -> Change:
    """Read handle and values: the answer to operation 1, and a referral."""
    handle = cursor.text()
    return Change(handle, _decode_values(cursor) if cursor.left else ())


def _encode_indexes(indexes: tuple[int, ...]) -> bytes:
    octets = b"".join(index.to_bytes(_INDEX_BYTES, "big", signed=True) for index in indexes)
    return len(indexes).to_bytes(4, "big") + octets


def _decode_indexes(cursor: Cursor) -> tuple[int, ...]:
    return cursor.array(cursor.int32, limits.QUERY_FIELDS_MAX, _INDEX_BYTES)


def _decode_values(cursor: Cursor) -> Values:
    return cursor.array(lambda: decode_value(cursor), limits.VALUES_PER_RECORD_MAX, VALUE_BYTES_MIN)
