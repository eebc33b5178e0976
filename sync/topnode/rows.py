"""What the reference top node's store holds besides the rows of the tables. Byte map: ``sync/topnode/store.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

import msgpack

from core.clock import Millis, read_millis
from core.signature import PUBLIC_KEY_BYTES, key_id
from core.store.versioned import read_versioned

T = TypeVar("T")

ENROLLED: Final = "enrolled"
WAITING: Final = "waiting"  # of a node, and of a review
REJECTED: Final = "rejected"  # the same
APPROVED: Final = "approved"
ASKED: Final = "asked"
VERDICTS: Final = (APPROVED, REJECTED, ASKED)

_VERSION: Final = b"\x01"
_INT_MAX: Final = 2**63 - 1


class Node(NamedTuple):
    """A node that connected. ``number``: of its last question. The texts are as in its last Connect.

    ``codes``: folded, those alone that no other node had before.
    """

    public_key: bytes
    prefix: str
    codes: tuple[str, ...]
    name: str
    software: str
    origin: str
    vkey: str
    enrolment: str
    since_ms: Millis
    last_ms: Millis
    number: int

    @property
    def node_id(self) -> str:
        """Return the key id. Shape: 32 hexadecimal digits."""
        return key_id(self.public_key)


class Held(NamedTuple):
    """What is held of a table of a node. First four: see Holding; the next four count rows; ``last_ms``: of a message.

    ``added``, ``changed``, ``removed``: that were applied; ``refused``: times that a row was refused.
    """

    serial: int = 0
    piece_at: int = 0
    piece_next: bytes = b""
    rows: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    refused: int = 0
    last_ms: Millis = Millis(0)


class ReviewRow(NamedTuple):
    """The national review of a prefix. ``verdict``: see Verdict; ``by``, ``at_ms``: who decided, and when."""

    prefix: str
    node_id: str
    party: str
    hosting: str
    filed_ms: int
    verdict: str = WAITING
    reason: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    at_ms: Millis = Millis(0)
    by: str = ""


class Route(NamedTuple):
    """Who answers for a prefix. ``table``: T2 or T7; ``key``, ``row``: of that table."""

    node_id: str
    table: str
    key: bytes
    row: bytes


class Told(NamedTuple):
    """One change of an identifier, as a node told it (T9)."""

    serial: int
    operation: int
    key: bytes


def pack(row: Node | Held | ReviewRow) -> bytes:
    """Return the octets of a row."""
    packed: bytes = msgpack.packb(row)
    return _VERSION + packed


def pack_refused(why: tuple[str, str, str]) -> bytes:
    """Return the octets of why a row was refused: rule, Chinese, English."""
    packed: bytes = msgpack.packb(why)
    return _VERSION + packed


def unpack_refused(row: bytes) -> tuple[str, str, str]:
    """Read why a row was refused. Errors: StoreError."""
    return _read(row, _refused)


def _refused(packed: Any) -> tuple[str, str, str]:
    rule, zh, en = packed
    require(str, rule, zh, en)
    return rule, zh, en


def unpack_node(row: bytes) -> Node:
    """Read a row of ``nodes``. Errors: StoreError."""
    return _read(row, _node)


def unpack_held(row: bytes | None) -> Held:
    """Read a row of ``holdings``; none is that of a table of which nothing came. Errors: StoreError."""
    return Held() if row is None else _read(row, _held)


def unpack_review(row: bytes) -> ReviewRow:
    """Read a row of ``reviews``. Errors: StoreError."""
    return _read(row, _review)


# --- pieces ---
def _node(packed: Any) -> Node:
    public, prefix, codes, name, software, origin, vkey, enrolment, since_ms, last_ms, number = packed
    if type(public) is not bytes or len(public) != PUBLIC_KEY_BYTES:
        raise ValueError("key")
    require(str, prefix, *codes, name, software, origin, vkey, enrolment)
    require(int, number)
    since, last = read_millis(since_ms), read_millis(last_ms)
    return Node(public, prefix, tuple(codes), name, software, origin, vkey, enrolment, since, last, number)


def _held(packed: Any) -> Held:
    serial, piece_at, piece_next, rows, added, changed, removed, refused, last_ms = packed
    require(bytes, piece_next)
    require(int, serial, piece_at, rows, added, changed, removed, refused)
    return Held(serial, piece_at, piece_next, rows, added, changed, removed, refused, read_millis(last_ms))


def _review(packed: Any) -> ReviewRow:
    prefix, node_id, party, hosting, filed_ms, verdict, reason, fields, at_ms, by = packed
    require(str, prefix, node_id, party, hosting, verdict, reason, by)
    require(int, filed_ms)
    pairs = tuple((name, why) for name, why in fields)
    require(str, *(text for pair in pairs for text in pair))
    return ReviewRow(
        prefix, node_id, party, hosting, filed_ms, verdict, reason, pairs, read_millis(at_ms), by
    )  # fmt: skip


def require(kind: type, *values: Any) -> None:
    """Errors: TypeError for values of another type, or numbers beyond what is kept."""
    for value in values:
        if type(value) is not kind or (type(value) is int and not 0 <= value <= _INT_MAX):
            raise TypeError(kind.__name__)


def _read(row: bytes, read: Callable[[Any], T]) -> T:
    return read_versioned(row, "a row of the top node's store", read)
