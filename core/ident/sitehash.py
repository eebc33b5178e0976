"""Which server of a site of several a handle belongs to.

Source: RFC 3651 §3.2.2 (hash option of HS_SITE); the digest and its reading are those
of the reference server: MD5 of the chosen part with a-z folded to A-Z, its last four
octets as a signed integer, the absolute value, modulo the number of servers. Clients
compute the same, so it folds whatever ``handle.case_sensitive`` says.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

BY_PREFIX, BY_SUFFIX, BY_ALL = 0, 1, 2
"""Hash options, as HS_SITE and core.records.HashOption have them."""


def site_hash(handle: str, option: int) -> int:
    """Return the hash of a handle, 0 … 2³¹, before the modulo.

    The parts of a handle without "/" are 0.NA, the text, and, as a whole, the text alone.
    Errors: ValueError for an option that nobody knows.
    """
    octets = _part(handle, option).encode().upper()  # bytes.upper() folds ASCII letters only
    digest = hashlib.md5(octets, usedforsecurity=False).digest()
    return abs(int.from_bytes(digest[-4:], "big", signed=True))


def _part(handle: str, option: int) -> str:
    prefix, slash, suffix = handle.partition("/")
    if option == BY_ALL:
        return handle
    if option == BY_PREFIX:
        return prefix if slash else "0.NA"
    if option == BY_SUFFIX:
        return suffix if slash else prefix
    raise ValueError(f"hash option {option}")


class ServerChoice(NamedTuple):
    """Which server of its site this node is: ``position`` of ``servers``, in the order of the list."""

    hash_option: int
    servers: int
    position: int

    def takes(self, handle: str) -> bool:
        """Whether a handle, as asked and of right grammar, belongs to this server."""
        return site_hash(handle, self.hash_option) % self.servers == self.position
