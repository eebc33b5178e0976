"""An export: its manifest, signed; its files by their digests; its rows, entry by entry, where the log is at hand.

What a manifest says: ``docs/reference/log-export.md``. The signature is over ``"saltern log-export\\n"`` and the
canonical JSON (RFC 8785) of all other members. The key that signs it is the one that signs the checkpoints.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.checkpoint import Checkpoint
from audit.verify.check import Checked, Given
from audit.verify.find import MANIFEST
from audit.verify.findings import Findings
from audit.verify.place import UnreadError, open_file, read_file
from audit.verify.rows import FORMS, Rows
from audit.verify.trust import CHECKPOINT_BYTES_MAX, Keys, open_checkpoint, stream_and_month

MANIFEST_BYTES_MAX: Final = 16_777_216  # a thousand months with their checkpoints, some thousand files
T = TypeVar("T")
_FORMAT: Final = "saltern-log-export"
_VERSION: Final = 1
_SIGNED: Final = b"saltern log-export\n"
_KEY_ID_DIGITS: Final = 32
_CHUNK: Final = 1_048_576
CAUSES: Final = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


class FileFacts(NamedTuple):
    """What a manifest says of the octets of a file. Digests: hexadecimal."""

    octets: int
    sha256: str
    sm3: str


class ExportedMonth(NamedTuple):
    """A month as a manifest has it. ``note``: its checkpoint, verbatim; ``file``: where that lies, too.

    ``ends``: leaf and row of the first entry, and of the last; empty where there is none.
    """

    month: str
    checkpoint: Checkpoint
    note: bytes
    file: str
    entries: int
    ends: tuple[str, str, str, str]


class ExportedFile(NamedTuple):
    """A file as a manifest has it. Digests: hexadecimal."""

    name: str
    entries: int
    octets: int
    sha256: str
    sm3: str


class Manifest(NamedTuple):
    """A manifest, read and believed in nothing yet. ``where``: its path, for people; ``signature``: as it is."""

    folder: Path
    label: str
    stream: str
    first: str
    last: str
    form: str
    entries: int
    months: list[ExportedMonth]
    files: list[ExportedFile]
    signed: bytes
    signature: dict[str, Any]

    @property
    def where(self) -> str:
        """The path of the manifest."""
        return f"{self.label}/{MANIFEST}"

    @property
    def given(self) -> list[Given]:
        """Checkpoints that the log must contain, if it is at hand."""
        return [Given(f"{self.where} {each.month}", each.note, each.checkpoint) for each in self.months]


def read_manifest(folder: Path, label: str, findings: Findings) -> Manifest | None:
    """Read the manifest of an export."""

    def made(document: dict[str, Any], signed: bytes, signature: dict[str, Any]) -> Manifest:
        return Manifest(
            folder, label, str(document["stream"]), str(document["from"]), str(document["to"]), str(document["form"]),
            int(document["entries"]), [_month(each) for each in document["months"]],
            [_file(each) for each in document["files"]], _SIGNED + signed, signature,
        )  # fmt: skip

    return read_signed(folder, label, (_FORMAT, _VERSION), made, findings)


def read_signed(
    folder: Path, label: str, form: tuple[str, int], make: Callable[[dict[str, Any], bytes, dict[str, Any]], T],
    findings: Findings,
) -> T | None:  # fmt: skip
    """Read a manifest with its days; None where it cannot be read, which is told.

    ``form``: its format and version. ``make``: of its members, the canonical octets that are signed, the signature.
    """
    try:
        document = json.loads(read_file(folder / MANIFEST, MANIFEST_BYTES_MAX))
        if (document["format"], document["version"]) != form:
            raise ValueError(f"{document['format']} {document['version']}")
        signature = dict(document.pop("signature"))
        for day in ("from", "to"):
            datetime.date.fromisoformat(document[day])
        signed = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        return make(document, signed, signature)
    except UnreadError as error:
        findings.problem(f"{label}/{MANIFEST}", error.zh, error.en)
    except CAUSES as error:
        findings.problem(
            f"{label}/{MANIFEST}", f"清单无法读取（{error!r}）", f"the manifest cannot be read ({error!r})"
        )  # fmt: skip
    return None


def _month(told: dict[str, Any]) -> ExportedMonth:
    """Errors: CAUSES."""
    note = str(told["checkpoint"]).encode()
    checkpoint = open_checkpoint(note, Keys()).checkpoint
    if (told["origin"], told["size"]) != (checkpoint.origin, checkpoint.size):
        raise ValueError(f"{told['origin']} {told['size']}")
    first, first_row, last, last_row = (
        "" if told[name] is None else str(told[name]) for name in ("first_leaf", "first_row", "last_leaf", "last_row")
    )
    name = _plain(told["checkpoint_file"])
    return ExportedMonth(
        str(told["month"]), checkpoint, note, name, int(told["entries"]), (first, first_row, last, last_row)
    )


def _file(told: dict[str, Any]) -> ExportedFile:
    """Errors: CAUSES."""
    return ExportedFile(
        _plain(told["name"]), int(told["entries"]), int(told["bytes"]), str(told["sha256"]), str(told["sm3"])
    )  # fmt: skip


def _plain(name: Any) -> str:
    """Return a name that leads nowhere else. Errors: ValueError."""
    if not isinstance(name, str) or not name or name != Path(name).name or "\0" in name:
        raise ValueError(f"{name!r}")
    return name


def check_export(
    manifest: Manifest, keys: Keys | None, months: dict[str, Checked], findings: Findings
) -> dict[str, Any]:  # fmt: skip
    """Check an export. ``months``: of the logs at hand, by origin, which were held against its checkpoints."""
    signed = check_signature(manifest.where, manifest.signed, manifest.signature, keys, findings)
    for month in manifest.months:
        _check_month(manifest, month, keys, findings)
    _check_left_out(manifest, months, findings)
    whole = True
    for file in manifest.files:
        facts = FileFacts(file.octets, file.sha256, file.sm3)
        whole = check_file(manifest.folder, manifest.label, file.name, facts, findings) and whole
    _check_counts(manifest, findings)
    _check_names(manifest, findings)
    compared = 0
    if whole and manifest.form in FORMS:
        compared = Rows(manifest, months, findings).check()
    elif manifest.form not in FORMS:
        findings.note(
            f"{manifest.label}：{manifest.form} 的行未与日志逐条比较；摘要已检查",
            f"{manifest.label}: rows of {manifest.form} were not compared with the log; their digests were checked",
        )
    return {
        "stream": manifest.stream,
        "from": manifest.first,
        "to": manifest.last,
        "form": manifest.form,
        "entries": manifest.entries,
        "compared": compared,
        "signed": signed,
        "trusted": keys is not None and signed,
    }


def check_signature(
    where: str, signed: bytes, signature: dict[str, Any], keys: Keys | None, findings: Findings
) -> bool:  # fmt: skip
    """Whether a manifest is signed, by one of the keys where there are any. ``where``: its path."""
    try:
        public = base64.b64decode(signature["public_key"], validate=True)
        named = hashlib.sha256(public).hexdigest()[:_KEY_ID_DIGITS]
        if signature["algorithm"] != "Ed25519" or signature["key_id"] != named:
            raise ValueError(f"{signature['algorithm']} {signature['key_id']}")
        Ed25519PublicKey.from_public_bytes(public).verify(
            base64.b64decode(signature["value"], validate=True), signed
        )  # fmt: skip
    except (*CAUSES, InvalidSignature):
        findings.problem(
            where, "清单的签名不对：签发之后清单被改动",
            "the signature of the manifest is wrong: the manifest was altered after it was signed",
        )  # fmt: skip
        return False
    if keys is not None and public not in keys.publics:
        findings.problem(
            where, "清单不是可信公钥签发的：可能被另一密钥重签",
            "the manifest is not signed by a trusted key: another key may have signed it anew",
        )  # fmt: skip
        return False
    return True


def _check_month(manifest: Manifest, month: ExportedMonth, keys: Keys | None, findings: Findings) -> None:
    where = f"{manifest.where} {month.month}"
    if stream_and_month(month.checkpoint.origin) != (manifest.stream, month.month):
        findings.problem(
            where, f"检查点属于另一个日志：{month.checkpoint.origin}",
            f"the checkpoint is of another log: {month.checkpoint.origin}",
        )  # fmt: skip
    opened = open_checkpoint(month.note, keys or Keys())
    if opened.fault is not None:
        findings.problem(where, *opened.fault)
    try:
        beside = read_file(manifest.folder / month.file, CHECKPOINT_BYTES_MAX)
    except UnreadError as error:
        findings.problem(f"{manifest.label}/{month.file}", error.zh, error.en)
        return
    if beside != month.note:
        findings.problem(
            f"{manifest.label}/{month.file}", "与清单中的检查点不同", "this is not the checkpoint of the manifest"
        )  # fmt: skip


def _check_left_out(manifest: Manifest, months: dict[str, Checked], findings: Findings) -> None:
    """Tell of months of the days that the log has and the manifest has not."""
    listed = {each.checkpoint.origin for each in manifest.months}
    for origin, checked in months.items():
        stream, month = stream_and_month(origin) or ("", "")
        if stream == manifest.stream and manifest.first[:7] <= month <= manifest.last[:7] and origin not in listed:
            findings.problem(
                manifest.where, f"导出未包含 {checked.month.label}，而它在这些日期之内",
                f"the export leaves out {checked.month.label}, which lies within its days",
            )  # fmt: skip


def check_file(folder: Path, label: str, name: str, told: FileFacts, findings: Findings) -> bool:
    """Whether a file is what its manifest says. ``label``: of the folder. Memory: _CHUNK."""
    where = f"{label}/{name}"
    sha256, sm3, octets = hashlib.sha256(), hashes.Hash(hashes.SM3()), 0
    try:
        with open_file(folder / name) as opened:
            while chunk := opened.read(_CHUNK):
                sha256.update(chunk)
                sm3.update(chunk)
                octets += len(chunk)
    except UnreadError as error:
        findings.problem(where, error.zh, error.en)
        return False
    except OSError as error:
        findings.problem(where, f"文件无法读取（{error}）", f"the file cannot be read ({error})")
        return False
    found = FileFacts(octets, sha256.hexdigest(), sm3.finalize().hex())
    names = ("bytes", "SHA-256", "SM3")
    wrong = [name for name, one, other in zip(names, told, found, strict=True) if one != other]
    if wrong:
        findings.problem(
            where, f"与清单不符（{'、'.join(wrong)}）：导出之后文件被改动",
            f"it is not what the manifest says ({', '.join(wrong)}): the file was altered after the export",
        )  # fmt: skip
    return not wrong


def _check_counts(manifest: Manifest, findings: Findings) -> None:
    by_month, by_file = (sum(each.entries for each in held) for held in (manifest.months, manifest.files))
    if not manifest.entries == by_month == by_file:
        findings.problem(
            manifest.where, f"条数不一致：共 {manifest.entries}，各月合计 {by_month}，各文件合计 {by_file}",
            f"the counts differ: {manifest.entries} in all, {by_month} by month, {by_file} by file",
        )  # fmt: skip


def _check_names(manifest: Manifest, findings: Findings) -> None:
    known = {MANIFEST, *(each.file for each in manifest.months), *(each.name for each in manifest.files)}
    try:
        names = sorted(path.name for path in manifest.folder.iterdir())
    except OSError:
        return
    for name in names:
        if name not in known:
            findings.problem(
                f"{manifest.label}/{name}", "清单中没有此文件：没有任何保证",
                "the manifest does not have this file: nothing vouches for it",
            )  # fmt: skip
