"""Rows of the table HANDED_BACK: what a top node registered while it answered for a node.

In the store of a node; the first two are written by the registrar, the third by whoever holds ``data/sync.lock``:

    key id of the top node                  1, then msgpack, the members of HandedState
    key id, "/", number of the change (8)   1, then msgpack, the members of KeptChange
    key id, "/seen"                         1, then msgpack, the members of Seen

In the copy of a node's store that a top node answers from:

    "made"                                  1, then msgpack, the members of MadeState
    "made/", number of the change (8)       1, then msgpack, the members of MadeChange
    "was/", key of a record                 1, then its row as the deposit has it, nothing where it has none

Numbers are big-endian, from 1 in each takeover.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

from core.clock import Millis, read_millis
from core.errors import StoreError
from core.records import Values
from core.store.engine import Table
from core.store.prefix_rows import Rows
from core.store.versioned import pack_versioned, read_versioned
from core.wire.values import encode_values
from core.wire.valuetypes import HS_SECKEY

T = TypeVar("T")

MADE_KEY: Final = b"made"
MADE_RANGE: Final = (b"made/", b"made0")  # "0" follows "/"
_WAS: Final = b"was/"

_VERSION: Final = b"\x01"
_NUMBER_BYTES: Final = 8
_SEEN: Final = b"/seen"
_DIGEST_BYTES: Final = 32
_INT_MAX: Final = 2**63 - 1


class HandedState(NamedTuple):
    """How far the changes of one takeover are here. ``taken``: number of the last one, 0 of none."""

    takeover: str = ""
    taken: int = 0


class KeptChange(NamedTuple):
    """A change that was not taken: this node kept its own. ``at_ms``: when it was registered above, ``who`` by;
    ``kept_ms``: when it was refused here; ``why``: in words for the operator.
    """

    takeover: str
    handle: str
    at_ms: Millis
    who: str
    kept_ms: Millis
    why: str


class Seen(NamedTuple):
    """A takeover as this node learnt of it. ``over_ms``: 0 while the top node answers for this node."""

    takeover: str
    seen_ms: Millis
    over_ms: Millis = Millis(0)


class MadeState(NamedTuple):
    """The list of changes in a copy. ``last``: number of the last one; ``open``: more may come."""

    takeover: str
    last: int
    open: bool


class MadeChange(NamedTuple):
    """One change in the list. Members: see ``sync.messages.Made``."""

    handle: str
    values: bytes | None
    before: bytes
    at_ms: Millis
    who: str


def handed_digest(values: Values | None) -> bytes:
    """Return what says whether a record is the same on both sides; empty where there is none.

    Shape: SHA-256 of the values as on the Handle wire, without secret keys, which leave no node.
    """
    if values is None:
        return b""
    return hashlib.sha256(encode_values(tuple(value for value in values if value.type.upper() != HS_SECKEY))).digest()


def handed_key(upstream: str) -> bytes:
    """Return the key of how far the changes of a top node are."""
    return upstream.encode()


def kept_key(upstream: str, number: int) -> bytes:
    """Return the key of a change that was not taken."""
    return handed_key(upstream) + b"/" + number.to_bytes(_NUMBER_BYTES, "big")


def seen_key(upstream: str) -> bytes:
    """Return the key of the takeover that this node knows of."""
    return handed_key(upstream) + _SEEN


def made_key(number: int) -> bytes:
    """Return the key of a change in the list of a copy."""
    return MADE_RANGE[0] + number.to_bytes(_NUMBER_BYTES, "big")


def number_of(key: bytes) -> int:
    """Return the number of the change that is under a key of MADE_RANGE."""
    return int.from_bytes(key[len(MADE_RANGE[0]) :], "big")


def was_key(record: bytes) -> bytes:
    """Return the key of what a record was. ``record``: its key in RECORDS."""
    return _WAS + record


def pack_was(row: bytes | None) -> bytes:
    """Return what a record was. ``row``: of RECORDS."""
    return _VERSION + (row or b"")


def unpack_was(row: bytes) -> bytes | None:
    """Read what a record was. Errors: StoreError."""
    if row[:1] != _VERSION:
        raise StoreError("a row of handed_back cannot be read: version")
    return row[1:] or None


def handed_state(rows: Rows, upstream: str) -> HandedState:
    """Return how far the changes of a top node are. Errors: StoreError."""
    row = rows.get(Table.HANDED_BACK, handed_key(upstream))
    return HandedState() if row is None else unpack_handed(row)


def seen_of(rows: Rows, upstream: str) -> Seen | None:
    """Return the last takeover of a top node, None if there was none. Errors: StoreError."""
    row = rows.get(Table.HANDED_BACK, seen_key(upstream))
    return None if row is None else unpack_seen(row)


def kept_range(upstream: str) -> tuple[bytes, bytes]:
    """Return start and stop of the keys of changes that were not taken; ``seen`` is in it, too."""
    return handed_key(upstream) + b"/", handed_key(upstream) + b"0"


def kept_of(rows: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[int, KeptChange]]:
    """Yield number and change of the rows of ``kept_range``. Errors: StoreError."""
    for key, row in rows:
        if not key.endswith(_SEEN):
            yield int.from_bytes(key[-_NUMBER_BYTES:], "big"), unpack_kept(row)


def made_state(rows: Rows) -> MadeState | None:
    """Return the state of a copy's list, None if there never was a takeover. Errors: StoreError."""
    row = rows.get(Table.HANDED_BACK, MADE_KEY)
    return None if row is None else unpack_made_state(row)


def pack(row: HandedState | KeptChange | Seen | MadeState | MadeChange) -> bytes:
    """Return the octets of a row."""
    return pack_versioned(tuple(row))


def unpack_handed(row: bytes) -> HandedState:
    """Read how far changes are. Errors: StoreError."""
    return _read(row, lambda packed: HandedState(*_typed(packed, str, int)))


def unpack_kept(row: bytes) -> KeptChange:
    """Read a change that was not taken. Errors: StoreError."""

    def read(packed: Any) -> KeptChange:
        takeover, handle, at_ms, who, kept_ms, why = _typed(packed, str, str, int, str, int, str)
        return KeptChange(takeover, handle, read_millis(at_ms), who, read_millis(kept_ms), why)

    return _read(row, read)


def unpack_seen(row: bytes) -> Seen:
    """Read a takeover as this node knows it. Errors: StoreError."""

    def read(packed: Any) -> Seen:
        takeover, seen_ms, over_ms = _typed(packed, str, int, int)
        return Seen(takeover, read_millis(seen_ms), read_millis(over_ms))

    return _read(row, read)


def unpack_made_state(row: bytes) -> MadeState:
    """Read the state of a copy's list. Errors: StoreError."""
    return _read(row, lambda packed: MadeState(*_typed(packed, str, int, bool)))


def unpack_made(row: bytes) -> MadeChange:
    """Read a change of a copy's list. Errors: StoreError."""

    def read(packed: Any) -> MadeChange:
        handle, values, before, at_ms, who = _typed(packed, str, bytes | None, bytes, int, str)
        if len(before) not in (0, _DIGEST_BYTES):
            raise ValueError("before")
        return MadeChange(handle, values, before, read_millis(at_ms), who)

    return _read(row, read)


def check_handed(key: bytes, row: bytes, is_id: Callable[[bytes], object]) -> str:
    """Return what is wrong with a row of a node's HANDED_BACK, empty where nothing is. ``is_id``: of a key id."""
    upstream, slash, rest = key.partition(b"/")
    if not is_id(upstream):
        return "it is under no id of a key"
    try:
        if not slash:
            unpack_handed(row)
        elif slash + rest == _SEEN:
            unpack_seen(row)
        elif len(rest) == _NUMBER_BYTES:
            unpack_kept(row)
        else:
            return "its key has no number"
    except StoreError as error:
        return error.message
    return ""


def _typed(packed: Any, *kinds: Any) -> Any:
    if type(packed) is not list or len(packed) != len(kinds):
        raise ValueError("members")
    for value, kind in zip(packed, kinds, strict=True):
        right = isinstance(value, kind) if kind == bytes | None else type(value) is kind
        if not right or (type(value) is int and not 0 <= value <= _INT_MAX):
            raise ValueError("members")
    return packed


def _read(row: bytes, read: Callable[[Any], T]) -> T:
    return read_versioned(row, "a row of handed_back", read)
