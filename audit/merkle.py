"""Merkle trees of the logs: hashes, roots, proofs and their checks (RFC 6962 §2.1 = RFC 9162 §2.1, SHA-256).

    empty tree  SHA-256("")
    leaf        SHA-256(00 || entry)
    node        SHA-256(01 || left || right)

A tree of n > 1 leaves is split at k, the largest power of two below n. So every subtree but those on the right edge is
a *full block*: the leaves ``[number * 2**level, (number + 1) * 2**level)``. The makers of proofs ask for full blocks
only and fold the right edge themselves. Nothing of the node is imported: a verifier may take this module alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
SIZE_MAX: Final = 2**63 - 1  # leaves of one tree; what a signed integer of 64 bits holds
PROOF_HASHES_MAX: Final = 64  # of one proof: one a level, and one more for a consistency proof
_sha256 = hashlib.sha256
_LENGTHS: Final = {HASH_BYTES}

Subtree = Callable[[int, int], bytes]
"""(level, number): hash of that full block."""


class ProofError(ValueError):
    """A proof cannot be made, or does not prove what it should."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf."""
    return _sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two hashes."""
    return _sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root over the hashes of leaves, in order. Cost: about 0.4 µs a hash. Errors: ProofError."""
    frontier = Frontier()
    frontier.extend(hashes)
    return frontier.root()


class Frontier:
    """A tree that grows, of which only the full blocks along its right edge are kept: at most one a level."""

    def __init__(self) -> None:
        self.size = 0
        self._blocks: list[bytes | None] = []  # by level

    def append(self, leaf: bytes) -> None:
        """Add the hash of a leaf. Errors: ProofError for what has no 32 octets."""
        self.extend((leaf,))

    def extend(self, hashes: Iterable[bytes]) -> None:
        """Add hashes of leaves, in order. Cost: about 0.4 µs each. Errors: ProofError, and nothing is added."""
        row = list(hashes)
        _check_lengths(row)
        self.size += len(row)
        level = 0
        while row:
            if level == len(self._blocks):
                self._blocks.append(None)
            waiting = self._blocks[level]
            if waiting is not None:
                row.insert(0, waiting)
            self._blocks[level] = row.pop() if len(row) % 2 else None
            halves = iter(row)
            row = [_sha256(b"\x01" + left + right).digest() for left, right in zip(halves, halves, strict=True)]
            level += 1

    def root(self) -> bytes:
        """Return the root of the tree as it is."""
        return _fold([block for block in reversed(self._blocks) if block is not None])


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Prove a leaf in a tree of a size. Shape: the leaf's sibling first. Errors: ProofError, those of subtree."""
    if not 0 <= index < size <= SIZE_MAX:
        raise ProofError(f"no leaf {index} in a tree of {size}")
    spans: list[tuple[int, int]] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low = middle
    return [_span(start, end, subtree) for start, end in reversed(spans)]


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """Prove that the tree of the old size is the beginning of that of the new size. Errors: as inclusion_proof."""
    if not 0 < old <= new <= SIZE_MAX:
        raise ProofError(f"a tree of {old} cannot be proven to begin one of {new}")
    spans: list[tuple[int, int]] = []
    low, high = 0, new
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low = middle
    if low:  # else the old tree is a full block, and who checks has its root
        spans.append((low, high))
    return [_span(start, end, subtree) for start, end in reversed(spans)]


def check_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf of this hash stands at this index of the tree (RFC 9162 §2.1.3.2). Errors: ProofError."""
    if not 0 <= index < size <= SIZE_MAX:
        raise ProofError(f"no leaf {index} in a tree of {size}")
    _check_lengths([leaf, root, *proof])
    found = leaf
    for each, is_left in _turns(index, size - 1, proof):
        found = node_hash(each, found) if is_left else node_hash(found, each)
    if found != root:
        raise ProofError("the proof leads to another root")


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the old tree is the beginning of the new one (RFC 9162 §2.1.4.2). Errors: ProofError.

    A tree of size 0 begins every tree and proves nothing: it is refused.
    """
    if not 0 < old <= new <= SIZE_MAX:
        raise ProofError(f"a tree of {old} cannot be proven to begin one of {new}")
    _check_lengths([old_root, new_root, *proof])
    if old == new:
        if proof:
            raise ProofError("the proof has hashes left over")
        if old_root != new_root:
            raise ProofError("two trees of one size have different roots")
        return
    if not proof:
        raise ProofError("the proof is empty")
    first, *others = proof if old & (old - 1) else (old_root, *proof)
    shared = (old & -old).bit_length() - 1  # levels of the last full block of the old tree
    before = after = first
    for each, is_left in _turns((old - 1) >> shared, (new - 1) >> shared, others):
        before = node_hash(each, before) if is_left else before
        after = node_hash(each, after) if is_left else node_hash(after, each)
    if (before, after) != (old_root, new_root):
        raise ProofError("the proof leads to other roots")


def _turns(node: int, last: int, proof: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield the hashes of a proof, and whether each stands to the left of what was found below it.

    ``node``, ``last``: numbers of the node to begin at and of the last one of its level. Errors: ProofError for a proof
    of another length than the way to the root.
    """
    for each in proof:
        if not last:
            raise ProofError("the proof has hashes left over")
        is_left = bool(node % 2) or node == last
        yield each, is_left
        while is_left and node and not node % 2:
            node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")


def _split(size: int) -> int:
    """Return the largest power of two below a size of at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def _span(start: int, end: int, subtree: Subtree) -> bytes:
    """Return the hash over the leaves [start, end), a node of the tree: full blocks, the largest first, folded."""
    blocks: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        blocks.append(subtree(level, start >> level))
        start += 1 << level
    return _fold(blocks)


def _fold(blocks: list[bytes]) -> bytes:
    """Return the root over full blocks, the largest first."""
    if not blocks:
        return EMPTY_ROOT
    *larger, folded = blocks
    for block in reversed(larger):
        folded = node_hash(block, folded)
    return folded


def _check_lengths(hashes: Sequence[bytes]) -> None:
    if not set(map(len, hashes)) <= _LENGTHS:
        raise ProofError(f"a hash has not {HASH_BYTES} octets")
