"""Offline proofs: one file with an entry, its way to the root, and the checkpoint; checkable with a key alone."""

from __future__ import annotations

import base64
import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoint import parse_checkpoint
from audit.merkle import ProofError, check_inclusion, inclusion_proof, leaf_hash
from audit.note import NOTE_BYTES_MAX, open_note, parse_vkey
from audit.proof import EXTRA_BYTES_MAX, PROOF_BYTES_MAX, Proof, dump_proof, load_proof
from audit.tile import subtree_of
from tests.kit.trees import published
from tests.kit.vectors import load

FIXED = load("transparency/fixed-log.json")
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(FIXED["seed"]))
ENTRIES = [b"entry-0", b"entry-1", b"entry-2"]
FILES = published(ENTRIES, FIXED["name"], PRIVATE)
HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=64)
FILE = dump_proof(
    1, inclusion_proof(1, 3, subtree_of(FILES.__getitem__, 3)), FILES["checkpoint"], ENTRIES[1]
)  # fmt: skip


def test_the_file_of_the_fixed_log() -> None:
    """Entry 1 of 3, line by line as the vectors have them."""
    assert FILE.decode().split("\n") == [
        "c2sp.org/tlog-proof@v1",
        "extra ZW50cnktMQ==",
        "index 1",
        FIXED["roots"]["1"],
        FIXED["inclusion"]["second"],
        "",
        FIXED["name"],
        "3",
        FIXED["roots"]["3"],
        "",
        f"\u2014 {FIXED['name']} {FIXED['checkpoint']['blob']}",
        "",
    ]


def test_a_file_is_checked_with_the_key_alone() -> None:
    """As the docstring of the module says; another entry in its place is found out."""
    proof = load_proof(FILE)
    key = parse_vkey(FIXED["vkey"])
    note = open_note(proof.checkpoint, [key])
    assert note.signed_by == (key,)
    _, size, root = parse_checkpoint(note.text)
    check_inclusion(proof.index, size, leaf_hash(proof.extra), proof.hashes, root)
    with pytest.raises(ProofError):
        check_inclusion(proof.index, size, leaf_hash(b"entry-2"), proof.hashes, root)


@given(st.integers(0, 2**63 - 2), HASHES, st.binary(min_size=1, max_size=200), st.binary(max_size=100))
def test_files_make_the_round_trip(index: int, hashes: list[bytes], checkpoint: bytes, extra: bytes) -> None:
    """The checkpoint verbatim, whatever it is; with and without the entry."""
    assert load_proof(dump_proof(index, hashes, checkpoint, extra)) == Proof(index, tuple(hashes), checkpoint, extra)


@given(st.binary(max_size=300), st.integers(0, len(FILE)))
def test_any_octets_are_a_file_or_none(data: bytes, place: int) -> None:
    """And a file is written as it was read."""
    for each in (data, FILE[:place] + data, FILE[:place] + data + FILE[place + 1 :]):
        with contextlib.suppress(ProofError):
            assert dump_proof(*load_proof(each)) == each


def test_the_longest_file_fits() -> None:
    """The longest entry, 64 hashes, the longest checkpoint; nothing longer, and no hash of another length."""
    extra, hashes, checkpoint = bytes(EXTRA_BYTES_MAX), [bytes(32)] * 64, bytes(NOTE_BYTES_MAX)
    longest = dump_proof(2**63 - 2, hashes, checkpoint, extra)
    assert load_proof(longest).extra == extra
    assert len(longest) <= PROOF_BYTES_MAX
    for wrong in (
        (-1, hashes, checkpoint, extra),
        (2**63 - 1, hashes, checkpoint, extra),
        (0, [*hashes, bytes(32)], checkpoint, extra),
        (0, [bytes(31)], checkpoint, extra),
        (0, hashes, checkpoint + b"x", extra),
        (0, hashes, b"", extra),
        (0, hashes, checkpoint, extra + b"x"),
    ):
        with pytest.raises(ProofError):
            dump_proof(*wrong)


HASH = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "head",
    [
        "", "c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2\nindex 1", "index 1",
        "c2sp.org/tlog-proof@v1\nindex", "c2sp.org/tlog-proof@v1\nindex 01", "c2sp.org/tlog-proof@v1\nindex -1",
        "c2sp.org/tlog-proof@v1\nindex 1 ", "c2sp.org/tlog-proof@v1\nindex 1\r", "c2sp.org/tlog-proof@v1\nindex \u0661",
        f"c2sp.org/tlog-proof@v1\nindex {2**63}", "c2sp.org/tlog-proof@v1\nextra \nindex 1",
        "c2sp.org/tlog-proof@v1\nextra AA\nindex 1", "c2sp.org/tlog-proof@v1\nextra AA==",
        "c2sp.org/tlog-proof@v1\nindex 1\nextra AA==", "c2sp.org/tlog-proof@v1\nextra AA==\nextra AA==\nindex 1",
        "c2sp.org/tlog-proof@v1\nindex 1\nAA==", "c2sp.org/tlog-proof@v1\nindex 1\nx",
        f"c2sp.org/tlog-proof@v1\nindex 1\n{HASH} ", "c2sp.org/tlog-proof@v1\nindex 1" + f"\n{HASH}" * 65,
        "c2sp.org/tlog-proof@v1\nextra " + "A" * 98_304 + "\nindex 1",
    ],
)  # fmt: skip
def test_what_is_no_file_is_refused(head: str) -> None:
    """Header, extra, index, hashes."""
    load_proof(f"c2sp.org/tlog-proof@v1\nindex 1\n{HASH}\n\ncheckpoint\n".encode())
    with pytest.raises(ProofError):
        load_proof(f"{head}\n\ncheckpoint\n".encode())
