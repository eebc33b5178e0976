"""A proof of one entry in a file of its own (``.tlog-proof``): checked without the log."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final

from audit.checkpoint import Checkpoint
from audit.merkle import ProofError, check_inclusion, leaf_hash
from audit.note import NOTE_BYTES_MAX
from audit.proof import load_proof
from audit.verify.check import Given
from audit.verify.findings import Findings
from audit.verify.leaves import BLOCK
from audit.verify.place import UnreadError, open_file, read_file
from audit.verify.rows import block_opener
from audit.verify.trust import Keys, open_checkpoint

_ZIP: Final = b"PK\x03\x04"
PROOF_BYTES_MAX: Final = 131_072 + NOTE_BYTES_MAX


def checkpoint_of(path: Path, label: str) -> Given | None:
    """Return the checkpoint of a proof, which the log must contain if it is at hand; None where it cannot be read."""
    try:
        note = load_proof(read_file(path, PROOF_BYTES_MAX)).checkpoint
        return Given(label, note, open_checkpoint(note, Keys()).checkpoint)
    except (UnreadError, ValueError):
        return None  # check_proof tells of it


def check_proof(
    path: Path, label: str, keys: Keys | None, given: list[Given], findings: Findings
) -> dict[str, Any] | None:  # fmt: skip
    """Check a proof; return what it proves. ``given``: checkpoints of any log that are known from elsewhere."""
    if _is_zip(path):
        findings.problem(
            label, "这是 ZIP 文件：请先解压，再校验其目录", "this is a ZIP file: unpack it and verify its folder"
        )
        return None
    try:
        proof = load_proof(read_file(path, PROOF_BYTES_MAX))
        opened = open_checkpoint(proof.checkpoint, keys or Keys())
    except UnreadError as error:
        findings.problem(label, error.zh, error.en)
        return None
    except ValueError as error:
        findings.problem(
            label, f"不是证明（{error}）；校验日志请指定其目录",
            f"this is no proof ({error}); of a log name the folder",
        )  # fmt: skip
        return None
    checkpoint = opened.checkpoint
    if opened.fault is not None:
        findings.problem(label, *opened.fault)
    if not proof.extra:
        findings.problem(label, "文件中没有条目，无从证明", "the entry is not in the file: there is nothing to prove")
    else:
        try:
            check_inclusion(proof.index, checkpoint.size, leaf_hash(proof.extra), proof.hashes, checkpoint.root)
        except ProofError as error:
            findings.problem(
                f"{label} index {proof.index}", f"证明不成立：此条不在检查点所签的日志中，或文件被改动（{error}）",
                f"the proof fails: the entry is not in the log that was signed, or the file was altered ({error})",
            )  # fmt: skip
    for known in given:
        _compare(known, checkpoint, label, findings)
    return {
        "origin": checkpoint.origin,
        "index": proof.index,
        "size": checkpoint.size,
        "root": base64.b64encode(checkpoint.root).decode(),
        "signed": opened.signed,
        "trusted": keys is not None and opened.signed,
        "entry": _shown(proof.index, proof.extra),
    }


def _is_zip(path: Path) -> bool:
    try:
        with open_file(path) as file:
            return file.read(len(_ZIP)) == _ZIP
    except UnreadError:
        return False


def _compare(known: Given, checkpoint: Checkpoint, label: str, findings: Findings) -> None:
    if known.checkpoint[:2] != checkpoint[:2]:
        findings.note(
            f"{known.name}：与证明的检查点不是同一个，未能比较",
            f"{known.name}: this is another checkpoint than that of the proof; they were not compared",
        )
    elif known.checkpoint != checkpoint:
        findings.problem(
            label, f"与 {known.name} 大小相同而根不同：节点签发了两个互相矛盾的检查点",
            f"same size as {known.name} and another root: the node signed two checkpoints that contradict each other",
        )  # fmt: skip


def _shown(index: int, entry: bytes) -> Any:
    """Return the JSON of an entry, of a block those of all in it; of what cannot be printed the length."""
    try:
        if entry[:1] == BLOCK:
            return [each.document for each in block_opener()(index, entry)]
        shown = json.loads(entry)
        json.dumps(shown, ensure_ascii=False, indent=2).encode()
        return shown
    except (ValueError, RecursionError):
        return f"{len(entry)} octets"
