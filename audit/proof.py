"""Offline proofs of single entries: one file with all that there is to check (C2SP tlog-proof, ``.tlog-proof``).

    c2sp.org/tlog-proof@v1
    extra <Base64 of the entry>
    index 1
    QHZrIDNCkCb1PVRQJnmoOXBrR0H43K86i7pfQbX/4HU=
    BJ19zbVrz+vTEzBMmDnxlqPUtu873AsIKY+TrIGR8Kg=

    <the checkpoint, as it was published>

The hashes are those of an inclusion proof, the leaf's sibling first. To check one: ``open_note`` of the checkpoint with
the keys that are trusted, then ``check_inclusion`` of ``leaf_hash(extra)`` under its root.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from audit.merkle import HASH_BYTES, PROOF_HASHES_MAX, SIZE_MAX, ProofError
from audit.note import NOTE_BYTES_MAX, NoteError, decode_base64

HEADER: Final = "c2sp.org/tlog-proof@v1"
EXTRA_BYTES_MAX: Final = 65_535  # the longest entry of a log
PROOF_BYTES_MAX: Final = 1_179_648  # of a file: a note, 87 380 characters of an entry, 64 hashes have less
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})")


class Proof(NamedTuple):
    """A proof, read and not yet checked. ``extra``: the entry itself, empty if it is not given along."""

    index: int  # type: ignore[assignment] # hides the method of tuples, which nobody calls
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes


def dump_proof(index: int, proof: Sequence[bytes], checkpoint: bytes, extra: bytes = b"") -> bytes:
    """Return the octets of the file. Errors: ProofError for what load_proof would not take."""
    _check(Proof(index, tuple(proof), checkpoint, extra))
    lines = [HEADER, *([f"extra {base64.b64encode(extra).decode()}"] if extra else []), f"index {index}"]
    lines.extend(base64.b64encode(each).decode() for each in proof)
    return "\n".join([*lines, "", ""]).encode() + checkpoint


def load_proof(data: bytes) -> Proof:
    """Read a file. Errors: ProofError."""
    head, blank, checkpoint = data.partition(b"\n\n")
    if not blank or len(data) > PROOF_BYTES_MAX:
        raise ProofError("the file is no proof: it is too long, or has no checkpoint under an empty line")
    try:
        first, *lines = head.decode("ascii").split("\n")
        extra = decode_base64(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
        index = _INDEX.fullmatch(lines[0]) if lines else None
        hashes = tuple(decode_base64(line) for line in lines[1 : PROOF_HASHES_MAX + 2])
    except (NoteError, UnicodeDecodeError):
        raise ProofError("the file is no proof: a line is not Base64") from None
    if first != HEADER or index is None or extra == b"":
        raise ProofError("the file is no proof: its first lines are not those of one")
    proof = Proof(int(index[1]), hashes, checkpoint, extra or b"")
    _check(proof)
    return proof


def _check(proof: Proof) -> None:
    if not 0 <= proof.index < SIZE_MAX:
        raise ProofError("the index of the proof is none of a leaf")
    if len(proof.hashes) > PROOF_HASHES_MAX or not {HASH_BYTES}.issuperset(map(len, proof.hashes)):
        raise ProofError(f"the proof has more than {PROOF_HASHES_MAX} hashes, or some without {HASH_BYTES} octets")
    if len(proof.extra) > EXTRA_BYTES_MAX or not 0 < len(proof.checkpoint) <= NOTE_BYTES_MAX:
        raise ProofError("the proof has too long an entry, no checkpoint, or too long a one")
