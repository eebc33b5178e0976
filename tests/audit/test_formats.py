"""The formats together: a whole log, file by file, is the one that others made; and they need nothing of the node."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoint import parse_checkpoint
from audit.merkle import check_consistency, check_inclusion, consistency_proof, inclusion_proof, leaf_hash, root_of
from audit.note import open_note, parse_vkey
from audit.tile import parse_path, subtree_of, unpack_bundle
from tests.kit.trees import published
from tests.kit.vectors import load

ROOT = Path(__file__).parent.parent.parent
FIXED = load("transparency/fixed-log.json")
FORMATS = ("merkle", "tile", "note", "checkpoint", "proof")
SIZE = FIXED["size"]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """The fixed log, all of its files."""
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(FIXED["seed"]))
    return published([b"entry-%d" % index for index in range(SIZE)], FIXED["name"], private)


def test_every_file_of_the_fixed_log_is_as_it_should_be(files: dict[str, bytes]) -> None:
    """How many of each kind there are; length and digest of those that are known."""
    kinds = Counter(path.split("/")[1] if "/" in path else path for path in files)
    assert len(files) == FIXED["files"]
    assert kinds == {"0": 274, "1": 2, "2": 1, "entries": 274, "checkpoint": 1}
    found = {
        path: {"bytes": len(files[path]), "sha256": hashlib.sha256(files[path]).hexdigest()}
        for path in FIXED["digests"]
    }
    assert found == FIXED["digests"]
    assert files["tile/entries/000"].startswith(b"\x00\x07entry-0")


def test_the_fixed_log_is_read_again(files: dict[str, bytes]) -> None:
    """All entries, in order, lead to the root that was signed; so do those of each size that is known."""
    bundles = sorted((parse_path(path).number, path) for path in files if path.startswith("tile/entries/"))
    entries = [entry for _, path in bundles for entry in unpack_bundle(files[path])]
    assert entries == [b"entry-%d" % index for index in range(SIZE)]
    leaves = [leaf_hash(entry) for entry in entries]
    for size, root in FIXED["roots"].items():
        assert base64.b64encode(root_of(leaves[: int(size)])).decode() == root
    key = parse_vkey(FIXED["vkey"])
    note = open_note(files["checkpoint"], [key])
    assert note.signed_by == (key,)
    assert parse_checkpoint(note.text) == (FIXED["name"], SIZE, root_of(leaves))


def test_proofs_out_of_the_tiles_of_the_fixed_log(files: dict[str, bytes]) -> None:
    """Of leaves along every edge, and from each size that is known to the whole."""
    root = base64.b64decode(FIXED["roots"][str(SIZE)])
    read: list[str] = []
    subtree = subtree_of(lambda path: read.append(path) or files[path], SIZE)  # type: ignore[func-returns-value]
    for index in (0, 1, 255, 256, 65_535, 65_536, 69_887, 69_888, SIZE - 1):
        check_inclusion(index, SIZE, leaf_hash(b"entry-%d" % index), inclusion_proof(index, SIZE, subtree), root)
    for size, old_root in FIXED["roots"].items():
        proof = consistency_proof(int(size), SIZE, subtree)
        check_consistency(int(size), SIZE, base64.b64decode(old_root), root, proof)
    assert len(read) == len(set(read)), "a tile was read twice"


def test_sm3_is_at_hand() -> None:
    """For the digests of manifests beside SHA-256: as GB/T 32905 has it."""
    vector = load("transparency/sm3.json")
    digest = hashes.Hash(hashes.SM3())
    digest.update(vector["text"].encode())
    assert digest.finalize().hex() == vector["sm3"]


@pytest.mark.parametrize("module", FORMATS)
def test_a_format_needs_nothing_of_the_node(module: str) -> None:
    """So that a verifier is these files and `cryptography`: told by the interpreter, each module on its own."""
    program = f"import audit.{module}, sys; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {[str(ROOT), *sys.path]!r}; {program}"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    loaded = set(answer.stdout.split())
    ours = {name for name in loaded if name.split(".")[0] in ("core", "audit", "registry", "resolver", "node")}
    assert ours <= {"audit", *(f"audit.{each}" for each in FORMATS)}
    assert f"audit.{module}" in ours
    packages = {name.split(".")[0] for name in loaded}
    outside = {name for name in packages if not name.startswith("_")} - sys.stdlib_module_names - {"audit"}
    assert outside == (set() if module in ("merkle", "tile") else {"cryptography"})
