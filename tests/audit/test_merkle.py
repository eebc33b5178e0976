"""Merkle trees: roots and proofs are those of RFC 6962, and no other proof is taken for one."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.merkle import (
    EMPTY_ROOT,
    PROOF_HASHES_MAX,
    SIZE_MAX,
    Frontier,
    ProofError,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
)
from tests.kit.trees import naive_consistency, naive_inclusion, naive_root
from tests.kit.vectors import load

RFC6962 = load("transparency/rfc6962.json")
FIXED = load("transparency/fixed-log.json")
SIZES = st.integers(1, 600)


def entries_of(size: int) -> list[bytes]:
    return [b"entry-%d" % index for index in range(size)]


def hashes_of(size: int) -> list[bytes]:
    return [leaf_hash(entry) for entry in entries_of(size)]


def blocks_of(hashes: Sequence[bytes]) -> Callable[[int, int], bytes]:
    """Full blocks of a tree that is all in memory; a block that is not full is asked for by nobody."""

    def subtree(level: int, number: int) -> bytes:
        block = hashes[number << level : (number + 1) << level]
        assert len(block) == 1 << level
        return root_of(block)

    return subtree


HASHES = hashes_of(600)
SUBTREE = blocks_of(HASHES)


# --- roots -------------------------------------------------------------------


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_rfc_6962(size: int) -> None:
    """Its eight leaves, each size of the tree, the empty one too."""
    leaves = [bytes.fromhex(leaf) for leaf in RFC6962["leaves"][:size]]
    assert root_of([leaf_hash(leaf) for leaf in leaves]).hex() == RFC6962["roots"][size]
    assert naive_root(leaves).hex() == RFC6962["roots"][size]


@given(st.lists(st.binary(max_size=80), max_size=70), st.data())
def test_every_way_to_a_root_leads_to_the_same(entries: list[bytes], data: st.DataObject) -> None:
    """All at once, one by one, and in pieces; as the definition says."""
    hashes = [leaf_hash(entry) for entry in entries]
    cut = data.draw(st.integers(0, len(entries)))
    single, pieces = Frontier(), Frontier()
    for each in hashes:
        single.append(each)
    pieces.extend(hashes[:cut])
    assert pieces.root() == naive_root(entries[:cut])
    pieces.extend(iter(hashes[cut:]))
    assert single.size == pieces.size == len(entries)
    assert root_of(hashes) == single.root() == pieces.root() == naive_root(entries)


def test_a_frontier_takes_hashes_only() -> None:
    """And is as before when it refuses some."""
    frontier = Frontier()
    assert frontier.root() == EMPTY_ROOT
    frontier.extend(HASHES[:5])
    for wrong in (b"", b"x" * 31, b"x" * 33):
        with pytest.raises(ProofError):
            frontier.extend([HASHES[5], wrong])
    assert (frontier.size, frontier.root()) == (5, root_of(HASHES[:5]))


# --- proofs are made as the standard says ---------------------------------------


def test_proofs_are_those_of_the_definition() -> None:
    """Every leaf and every earlier size of each tree of up to 34 leaves."""
    entries = entries_of(34)
    for size in range(1, 35):
        root = naive_root(entries[:size])
        for index in range(size):
            proof = inclusion_proof(index, size, SUBTREE)
            assert proof == naive_inclusion(index, entries[:size])
            check_inclusion(index, size, HASHES[index], proof, root)
            proof = consistency_proof(index + 1, size, SUBTREE)
            assert proof == naive_consistency(index + 1, entries[:size])
            check_consistency(index + 1, size, naive_root(entries[: index + 1]), root, proof)


def test_the_proofs_of_the_fixed_log() -> None:
    """As the vectors have them."""
    second = base64.b64decode(FIXED["inclusion"]["second"])
    roots = {int(size): base64.b64decode(root) for size, root in FIXED["roots"].items()}
    assert inclusion_proof(1, 3, SUBTREE) == [roots[1], second]
    assert consistency_proof(2, 3, SUBTREE) == [second]
    check_inclusion(1, 3, leaf_hash(b"entry-1"), [roots[1], second], roots[3])
    check_consistency(2, 3, roots[2], roots[3], [second])


@given(SIZES, st.data())
def test_inclusion_holds_for_the_leaf_at_its_place_only(size: int, data: st.DataObject) -> None:
    """Not for another leaf, not elsewhere, not under another root."""
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(index, size, SUBTREE), root_of(HASHES[:size])
    check_inclusion(index, size, HASHES[index], proof, root)
    with pytest.raises(ProofError):
        check_inclusion(index, size, leaf_hash(b"another"), proof, root)
    with pytest.raises(ProofError):
        check_inclusion(index, size, HASHES[index], proof, leaf_hash(b"another"))
    if size > 1:
        elsewhere = data.draw(st.integers(0, size - 1).filter(lambda other: other != index))
        with pytest.raises(ProofError):
            check_inclusion(elsewhere, size, HASHES[index], proof, root)


@given(SIZES, st.data())
def test_consistency_holds_for_the_beginning_only(new: int, data: st.DataObject) -> None:
    """Not for another tree of the old size, nor for another new one."""
    old = data.draw(st.integers(1, new))
    proof = consistency_proof(old, new, SUBTREE)
    old_root, new_root = root_of(HASHES[:old]), root_of(HASHES[:new])
    check_consistency(old, new, old_root, new_root, proof)
    forked = [*HASHES[: old - 1], leaf_hash(b"another")]
    with pytest.raises(ProofError):
        check_consistency(old, new, root_of(forked), new_root, proof)
    with pytest.raises(ProofError):
        check_consistency(old, new, old_root, root_of([*forked, *HASHES[old:new]]), proof)


@given(st.data())
def test_a_proof_that_was_changed_is_none(data: st.DataObject) -> None:
    """One bit, one hash less, one more, one of another length, two swapped: of both kinds of proofs."""
    new = data.draw(st.integers(2, 600))
    old = data.draw(st.integers(1, new - 1))
    old_root, root = root_of(HASHES[:old]), root_of(HASHES[:new])
    for check, proof in (
        (lambda changed: check_inclusion(old, new, HASHES[old], changed, root), inclusion_proof(old, new, SUBTREE)),
        (lambda changed: check_consistency(old, new, old_root, root, changed), consistency_proof(old, new, SUBTREE)),
    ):
        check(proof)
        place = data.draw(st.integers(0, len(proof) - 1))
        bit = data.draw(st.integers(0, 255))
        flipped = (int.from_bytes(proof[place]) ^ 1 << bit).to_bytes(32)
        other = data.draw(st.integers(0, len(proof) - 1))
        swapped = list(proof)
        swapped[place], swapped[other] = swapped[other], swapped[place]
        for changed in (
            [*proof[:place], flipped, *proof[place + 1 :]],
            [*proof[:place], *proof[place + 1 :]],
            [*proof[:place], data.draw(st.sampled_from([*proof, *HASHES])), *proof[place:]],
            [*proof, HASHES[0]],
            [*proof[:place], proof[place][:-1], *proof[place + 1 :]],
            [*proof[:place], proof[place] + b"\0", *proof[place + 1 :]],
            *([swapped] if place != other else []),
        ):
            with pytest.raises(ProofError):
                check(changed)


# --- what is refused whatever the hashes ----------------------------------------


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (5, 3), (-1, 3), (3, 3), (0, SIZE_MAX + 1)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    """Neither made nor taken."""
    with pytest.raises(ProofError):
        inclusion_proof(index, size, SUBTREE)
    for proof in ([], [HASHES[0]], HASHES[:2]):
        with pytest.raises(ProofError):
            check_inclusion(index, size, HASHES[0], proof, HASHES[0])


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 1), (0, 5), (2, 1), (-1, 3), (1, SIZE_MAX + 1)])
def test_a_tree_of_nothing_begins_none(old: int, new: int) -> None:
    """Nor does a larger one begin a smaller one: with no proof at all, and with any."""
    with pytest.raises(ProofError):
        consistency_proof(old, new, SUBTREE)
    for old_root in (EMPTY_ROOT, root_of(HASHES[:new]) if 0 <= new < 600 else EMPTY_ROOT):
        for proof in ([], [HASHES[0]], HASHES[:2]):
            with pytest.raises(ProofError):
                check_consistency(old, new, old_root, old_root, proof)


@pytest.mark.parametrize("wrong", [b"", b"x" * 31, b"x" * 33, b"x" * 64], ids=len)
def test_a_hash_has_32_octets(wrong: bytes) -> None:
    """The leaf's, the roots, those of a proof."""
    proof, old_root, root = [HASHES[1]], HASHES[0], root_of(HASHES[:2])
    check_inclusion(0, 2, HASHES[0], proof, root)
    check_consistency(1, 2, old_root, root, proof)
    for leaf, path, top in ((wrong, proof, root), (HASHES[0], [wrong], root), (HASHES[0], proof, wrong)):
        with pytest.raises(ProofError):
            check_inclusion(0, 2, leaf, path, top)
    for before, after, path in ((wrong, root, proof), (old_root, wrong, proof), (old_root, root, [wrong])):
        with pytest.raises(ProofError):
            check_consistency(1, 2, before, after, path)
    for size in (1, 2):
        with pytest.raises(ProofError):
            check_consistency(size, size, wrong, wrong, [])
    with pytest.raises(ProofError):
        check_inclusion(0, 1, wrong, [], wrong)


def test_equal_sizes_have_equal_roots_and_an_empty_proof() -> None:
    """A fork of one size is seen; a proof of nothing is none."""
    root = root_of(HASHES[:3])
    check_consistency(3, 3, root, root, [])
    for other, proof in ((root_of(HASHES[1:4]), []), (root, [root]), (root, [HASHES[0]])):
        with pytest.raises(ProofError):
            check_consistency(3, 3, root, other, proof)


@pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 4), (4, 7), (6, 7)])
def test_an_empty_proof_proves_nothing(old: int, new: int) -> None:
    """Of two sizes that differ, whatever the roots."""
    for new_root in (root_of(HASHES[:new]), root_of(HASHES[:old])):
        with pytest.raises(ProofError):
            check_consistency(old, new, root_of(HASHES[:old]), new_root, [])


def test_a_proof_is_as_long_as_the_way_to_the_root() -> None:
    """No node passes for a leaf or a root, even where all the hashes fit: the sizes say how many there must be."""
    two, four = root_of(HASHES[:2]), root_of(HASHES[:4])
    other = HASHES[9]
    check_consistency(3, 4, root_of(HASHES[:3]), four, [HASHES[2], HASHES[3], two])
    for index, size, leaf, proof, root in ((0, 1, HASHES[1], [HASHES[0]], two), (0, 4, four, [], four)):
        with pytest.raises(ProofError):
            check_inclusion(index, size, leaf, proof, root)
    for old_root, new_root, proof in (
        (node_hash(other, root_of(HASHES[:3])), node_hash(other, four), [HASHES[2], HASHES[3], two, other]),
        (HASHES[2], HASHES[2], [HASHES[2]]),
        (HASHES[2], node_hash(HASHES[2], HASHES[3]), [HASHES[2], HASHES[3]]),
    ):
        with pytest.raises(ProofError):
            check_consistency(3, 4, old_root, new_root, proof)


def test_a_proof_of_the_largest_tree_is_taken_and_no_longer_one() -> None:
    """The bound of hashes is that of the largest size."""
    path = HASHES[:63]
    root = HASHES[100]
    for each in path:
        root = node_hash(root, each)
    check_inclusion(0, SIZE_MAX, HASHES[100], path, root)
    for longer in (HASHES[:64], HASHES[: PROOF_HASHES_MAX + 1], HASHES):
        with pytest.raises(ProofError):
            check_inclusion(0, SIZE_MAX, HASHES[100], longer, root)
        with pytest.raises(ProofError):
            check_consistency(1, SIZE_MAX, HASHES[100], root, longer)
