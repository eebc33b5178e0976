"""The codes of this node: the first two labels of each prefix that the operator holds by itself.

They say where the node may allocate prefixes (Measures art. 8). A code that was given stays given.
META "codes": codes joined by blanks; a store of an earlier version has no row yet, and they are
found by looking at every prefix, once.
"""

from __future__ import annotations

from typing import Final

from core.ident.handle import PrefixKey
from core.store.application_rows import unpack_application
from core.store.engine import Table
from registry.staging import Staging

_KEY: Final = b"codes"
_LABELS: Final = 2  # national code and node: "88.118"


def codes_of(staging: Staging) -> list[bytes]:
    """Return the codes of this node, in order."""
    row = staging.get(Table.META, _KEY)
    if row is None:
        row = _pack(_found(staging))
        staging.put(Table.META, _KEY, row)
    return row.split()


def add_code(staging: Staging, prefix: PrefixKey) -> None:
    """Stage that the code of a prefix is this node's."""
    known = set(codes_of(staging))
    if _code(prefix) not in known:
        staging.put(Table.META, _KEY, _pack({*known, _code(prefix)}))


def _found(staging: Staging) -> set[bytes]:
    own = {key for key, row in staging.scan(Table.APPLICATIONS) if unpack_application(row).own}
    own |= {key for key, _ in staging.scan(Table.PREFIXES) if staging.get(Table.APPLICATIONS, key) is None}
    return set(map(_code, own))


def _code(prefix: bytes) -> bytes:
    return b".".join(prefix.split(b".")[:_LABELS])


def _pack(codes: set[bytes]) -> bytes:
    return b" ".join(sorted(codes))
