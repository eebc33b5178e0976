"""Rows of the tables PARTIES and PARTY_NUMBERS.

PARTIES        key: the party's id, ASCII
               0  1  version (1)
               1     msgpack map: added_ms, filer, person, plain {field: value}, sealed {field: octets},
                     state, steps, confirmed_ms, filers, prefixes
PARTY_NUMBERS  key: type and number of an organisation's certificate, joined by "/"
               0  1  version (1)
               1     id of the party
META           key "parties": number of the last id, eight octets, big-endian

``plain`` holds what anybody may know: text, or a list of texts; dates as yyyy-mm-dd. Every
field of identity lies in ``sealed``, as ``core/party/seal.py`` has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

import msgpack

from core import limits
from core.clock import Millis, read_millis
from core.errors import StoreError
from core.who import Who, unpack_who

LAST_KEY: Final = b"parties"
_VERSION: Final = b"\x01"

Plain = str | list[str]


class Verified(Enum):
    """How far the identity of a party is verified. The value is stored: never rename one."""

    UNVERIFIED = "unverified"
    FORMAT_OK = "format-ok"
    VERIFIED = "verified"
    FAILED = "failed"


class Check(NamedTuple):
    """One step of a verification.

    ``source``: what it rests on, in a few words. ``evidence``: SHA-256 of the file that was looked
    at, empty without. ``result``: value of Verified. ``note``: why it failed.
    """

    at_ms: Millis
    method: str
    source: str
    evidence: bytes
    who: Who
    result: str
    note: str = ""


class PartyRow(NamedTuple):
    """A party as it is stored. ``state`` and ``steps``: its verification, the newest PARTY_STEPS steps.

    ``filers``: whoever filed what is verified. ``prefixes``: folded, that it has applied for.
    ``confirmed_ms``: when its contact was last confirmed, first by being filed.
    """

    added_ms: Millis
    filer: Who
    person: bool
    plain: Mapping[str, Plain]
    sealed: Mapping[str, bytes]
    state: Verified = Verified.UNVERIFIED
    steps: tuple[Check, ...] = ()
    confirmed_ms: Millis = Millis(0)
    filers: tuple[Who, ...] = ()
    prefixes: tuple[str, ...] = ()


def party_id(number: int) -> str:
    """Return the id of the party with this number, 1 for the first."""
    return f"P{number:06}"


def number_key(cert_type: str, number: str) -> bytes:
    """Return the key of a certificate's number."""
    return f"{cert_type}/{number}".encode()


def pack_party(party: PartyRow) -> bytes:
    """Return the row of a party."""
    members = party._asdict() | {"state": party.state.value, "steps": party.steps[-limits.PARTY_STEPS :]}
    row: bytes = msgpack.packb(members)
    return _VERSION + row


def unpack_party(row: bytes) -> PartyRow:
    """Read the row of a party. Errors: StoreError if it cannot be read."""
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        party = PartyRow(**msgpack.unpackb(row[1:]))
        if not all(isinstance(each, bytes) for each in party.sealed.values()):
            raise ValueError("a sealed field is no octets")
        if not all(isinstance(each, str | list) for each in party.plain.values()):
            raise ValueError("a field is no text")
        if not isinstance(party.person, bool):
            raise ValueError("person")
        return party._replace(
            added_ms=read_millis(party.added_ms),
            filer=unpack_who(party.filer),
            filers=tuple(map(unpack_who, party.filers)),
            prefixes=tuple(map(_text, party.prefixes)),
            state=Verified(party.state),
            steps=tuple(map(_step, party.steps)),
            confirmed_ms=read_millis(party.confirmed_ms),
        )
    except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise StoreError(f"a row of parties cannot be read: {error}") from None


def _text(packed: Any) -> str:
    if not isinstance(packed, str):
        raise ValueError("no text")
    return packed


def _step(packed: Any) -> Check:
    at_ms, method, source, evidence, who, result, note = packed
    if not (all(isinstance(each, str) for each in (method, source, note)) and isinstance(evidence, bytes)):
        raise ValueError("a member of a step is no text")
    return Check(read_millis(at_ms), method, source, evidence, unpack_who(who), Verified(result).value, note)


def pack_number(party: str) -> bytes:
    """Return the row of a certificate's number."""
    return _VERSION + party.encode()


def unpack_number(row: bytes) -> str:
    """Read the row of a certificate's number: the party. Errors: StoreError if it cannot be read."""
    if row[:1] != _VERSION or not row[1:].isascii():
        raise StoreError("a row of party_numbers cannot be read")
    return row[1:].decode()
