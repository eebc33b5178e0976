"""Rows of the tables of aliases.

ALIASES       key: kind (1 octet of _CODES), then the value in UTF-8
              row: 1, then msgpack [key of what it is another name of, added_ms, who]
ALIASES_OF    key: of the record of what they name (``record_key``)
              row: 1, then msgpack [its whole key, keys of its aliases in ALIASES, sorted]

Two rows say the same, and are written in one batch. OIDs and GTINs sort so that what is below another is found by one
look: DNS asks whether there is any.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from core.clock import Millis, read_millis
from core.errors import StoreError
from core.ident.alias import Alias, AliasKind
from core.ident.handle import HandleKey
from core.store.engine import Table
from core.store.holding import Scannable
from core.store.prefix_rows import Rows
from core.store.record_rows import prefix_range, record_key
from core.store.versioned import pack_versioned, read_versioned
from core.who import Who, unpack_who

_CODES: Final = {
    AliasKind.GTIN: b"g",
    AliasKind.GTIN_LOT: b"l",
    AliasKind.GTIN_SERIAL: b"s",
    AliasKind.SSCC: b"c",
    AliasKind.GLN: b"n",
    AliasKind.OID: b"o",
    AliasKind.ECODE: b"e",
    AliasKind.BID: b"b",
    AliasKind.VAA: b"v",
}
_KINDS: Final = {code: kind for kind, code in _CODES.items()}


class AliasRow(NamedTuple):
    """What an alias is another name of: key of a handle; when it was added, and by whom."""

    target: HandleKey
    added_ms: Millis
    who: Who


class NamesRow(NamedTuple):
    """All aliases of one handle: its whole key, and their keys in ALIASES, sorted."""

    target: HandleKey
    aliases: tuple[bytes, ...]


# --- keys ---
def alias_key(alias: Alias) -> bytes:
    """Return the key of an alias in ALIASES."""
    return _CODES[alias.kind] + alias.value.encode()


def alias_of(key: bytes) -> Alias:
    """Read a key of ALIASES. Errors: StoreError."""
    kind = _KINDS.get(key[:1])
    if kind is None or not key[1:].isascii():
        raise StoreError(f"a key of aliases cannot be read: {key!r}")
    return Alias(kind, key[1:].decode())


# --- rows ---
def pack_alias(row: AliasRow) -> bytes:
    """Return the row of an alias."""
    return pack_versioned(tuple(row))


def unpack_alias(row: bytes) -> AliasRow:
    """Read the row of an alias. Errors: StoreError."""
    return read_versioned(row, "a row of aliases", _alias)


def _alias(packed: Any) -> AliasRow:
    target, added_ms, who = packed
    return AliasRow(HandleKey(_octets(target)), read_millis(added_ms), unpack_who(who))


def pack_names(row: NamesRow) -> bytes:
    """Return the row of all aliases of a handle."""
    return pack_versioned(tuple(row))


def unpack_names(row: bytes | None) -> NamesRow | None:
    """Read the row of all aliases of a handle; no row is none. Errors: StoreError."""
    return None if row is None else read_versioned(row, "a row of aliases by what they name", _names)


def _names(packed: Any) -> NamesRow:
    target, aliases = packed
    return NamesRow(HandleKey(_octets(target)), tuple(_octets(each) for each in aliases))


def _octets(each: object) -> bytes:
    if not isinstance(each, bytes) or not each:
        raise ValueError("no octets")
    return each


# --- reading ---
def target_of(rows: Rows, alias: Alias) -> HandleKey | None:
    """Return the key of what an alias is another name of, None where it is none. Errors: StoreError."""
    row = rows.get(Table.ALIASES, alias_key(alias))
    return None if row is None else unpack_alias(row).target


def names_of(rows: Rows, handle: bytes) -> tuple[bytes, ...]:
    """Return the keys in ALIASES of the aliases of a handle's key, sorted. Errors: StoreError."""
    row = unpack_names(rows.get(Table.ALIASES_OF, record_key(handle)))
    return () if row is None else row.aliases


def aliases_of(rows: Rows, handle: bytes) -> tuple[Alias, ...]:
    """Return the aliases of a handle's key, in the order of their keys. Errors: StoreError."""
    return tuple(map(alias_of, names_of(rows, handle)))


def begins_any(rows: Scannable, alias: Alias) -> bool:
    """Whether any alias of this kind begins with this value. Errors: StoreError."""
    start = alias_key(alias)
    return next((key.startswith(start) for key, _ in rows.scan(Table.ALIASES, start)), False)


def aliases_below(rows: Scannable, prefix: bytes) -> Iterator[tuple[HandleKey, tuple[Alias, ...]]]:
    """Yield what has aliases below a prefix, in the order of keys, and the aliases. Errors: StoreError."""
    for _, packed in rows.scan(Table.ALIASES_OF, *prefix_range(prefix)):
        row = unpack_names(packed)
        if row is not None:
            yield row.target, tuple(alias_of(key) for key in row.aliases)
