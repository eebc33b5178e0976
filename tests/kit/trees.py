"""Merkle trees as the standard defines them, slow and by recursion; and the files of a log of given entries."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoint import Checkpoint
from audit.merkle import leaf_hash
from audit.note import ed25519_key, sign_note
from audit.tile import WIDTH, Edge, bundle_path, pack_bundle, tile_path


def split_at(size: int) -> int:
    """Return the largest power of two below the size."""
    split = 1
    while split * 2 < size:
        split *= 2
    return split


def naive_root(entries: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    split = split_at(len(entries))
    return hashlib.sha256(b"\x01" + naive_root(entries[:split]) + naive_root(entries[split:])).digest()


def naive_inclusion(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962 §2.1.1."""
    if len(entries) == 1:
        return []
    split = split_at(len(entries))
    if index < split:
        return [*naive_inclusion(index, entries[:split]), naive_root(entries[split:])]
    return [*naive_inclusion(index - split, entries[split:]), naive_root(entries[:split])]


def naive_consistency(old: int, entries: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962 §2.1.2."""
    if old == len(entries):
        return [] if whole else [naive_root(entries)]
    split = split_at(len(entries))
    if old <= split:
        return [*naive_consistency(old, entries[:split], whole), naive_root(entries[split:])]
    return [*naive_consistency(old - split, entries[split:], False), naive_root(entries[:split])]


def published(entries: Sequence[bytes], name: str, private: Ed25519PrivateKey) -> dict[str, bytes]:
    """Return the files of a log that was written in one go, by path."""
    edge, tiles = Edge().grow(map(leaf_hash, entries))
    files = {tile_path(*place): octets for place, octets in tiles}
    for first in range(0, len(entries), WIDTH):
        some = entries[first : first + WIDTH]
        files[bundle_path(first // WIDTH, len(some))] = pack_bundle(some)
    key = ed25519_key(name, private.public_key().public_bytes_raw())
    files["checkpoint"] = sign_note(Checkpoint(name, edge.size, edge.root()).text, key, private.sign)
    return files
