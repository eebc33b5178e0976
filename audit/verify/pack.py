"""A pack for an inspection: its manifest, signed; its files by their digests; its months; what it leaves out.

What a manifest says: ``docs/reference/inspection-pack.md``. The signature is over ``"saltern inspection\\n"`` and the
canonical JSON (RFC 8785) of all other members. A pack has the months of some days: of all others that the node kept it
has the checkpoints, so that the chain of months goes on where a log is left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from audit.checkpoint import Checkpoint
from audit.verify.check import Checked
from audit.verify.export import CAUSES, MANIFEST_BYTES_MAX, FileFacts, check_file, check_signature, read_signed
from audit.verify.find import MANIFEST
from audit.verify.findings import Findings
from audit.verify.place import UnreadError, read_file
from audit.verify.trust import CHECKPOINT_BYTES_MAX, Keys, open_checkpoint, stream_and_month

_FORMAT: Final = "saltern-inspection"
_VERSION: Final = 1
_SIGNED: Final = b"saltern inspection\n"
_ABOVE_MAX: Final = 2  # folders from a stream up to the pack
_TILES: Final = "tile"
_MAINTENANCE: Final = "maintenance"


class PackedMonth(NamedTuple):
    """A month as a pack tells it. ``included``: its log is in the pack; else its checkpoint alone is."""

    stream: str
    month: str
    checkpoint: Checkpoint
    note: bytes
    file: str
    included: bool


class Pack(NamedTuple):
    """A manifest, read and believed in nothing yet. ``label``: of its folder, for people."""

    folder: Path
    label: str
    first: str
    last: str
    months: list[PackedMonth]
    files: dict[str, FileFacts]
    signed: bytes
    signature: dict[str, Any]

    @property
    def where(self) -> str:
        """The path of the manifest."""
        return f"{self.label}/{MANIFEST}"

    def left_out(self) -> dict[str, Checkpoint]:
        """Return the checkpoints of the months that are not in the pack, by origin."""
        return {each.checkpoint.origin: each.checkpoint for each in self.months if not each.included}


def is_pack(folder: Path) -> bool:
    """Whether there is the manifest of a pack in a folder."""
    try:
        return bool(json.loads(read_file(folder / MANIFEST, MANIFEST_BYTES_MAX))["format"] == _FORMAT)
    except (UnreadError, *CAUSES):
        return False


def pack_above(path: Path) -> Path | None:
    """Return the folder of the pack that a log lies in, or a stream of it."""
    above = [path.resolve(), *path.resolve().parents][1 : _ABOVE_MAX + 1]
    return next((folder for folder in above if is_pack(folder)), None)


def read_pack(folder: Path, label: str, findings: Findings) -> Pack | None:
    """Read the manifest of a pack."""

    def made(document: dict[str, Any], signed: bytes, signature: dict[str, Any]) -> Pack:
        return Pack(
            folder, label, str(document["from"]), str(document["to"]), [_month(each) for each in document["months"]],
            dict(map(_file, document["files"])), _SIGNED + signed, signature,
        )  # fmt: skip

    return read_signed(folder, label, (_FORMAT, _VERSION), made, findings)


def _month(told: dict[str, Any]) -> PackedMonth:
    """Errors: CAUSES."""
    note = str(told["checkpoint"]).encode()
    checkpoint = open_checkpoint(note, Keys()).checkpoint
    named = (str(told["stream"]), str(told["month"]))
    if (told["origin"], told["size"]) != (checkpoint.origin, checkpoint.size):
        raise ValueError(f"{told['origin']} {told['size']}")
    if stream_and_month(checkpoint.origin) != named:
        raise ValueError(f"{checkpoint.origin} {named}")
    return PackedMonth(*named, checkpoint, note, _inside(told["checkpoint_file"]), told["included"] is True)


def _file(told: dict[str, Any]) -> tuple[str, FileFacts]:
    """Errors: CAUSES."""
    return _inside(told["name"]), FileFacts(int(told["bytes"]), str(told["sha256"]), str(told["sm3"]))


def _inside(name: Any) -> str:
    """Return a path that leads out of no folder. Errors: ValueError."""
    if not isinstance(name, str) or not name or "\0" in name or "\\" in name:
        raise ValueError(f"{name!r}")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name:
        raise ValueError(f"{name!r}")
    return name


def check_pack(pack: Pack, keys: Keys | None, months: dict[str, Checked], findings: Findings) -> dict[str, Any]:
    """Check a pack, but the logs in it. That all of its months are there is told by its files."""
    signed = check_pack_manifest(pack, keys, findings)
    check_included(pack, months, findings)
    for month in pack.months:
        _check_month(pack, month, findings)
    for name, facts in pack.files.items():
        check_file(pack.folder, pack.label, name, facts, findings)
    for name in _names(pack.folder, ""):
        if name not in pack.files and name != MANIFEST:
            findings.problem(
                f"{pack.label}/{name}", "清单中没有此文件：没有任何保证",
                "the manifest does not have this file: nothing vouches for it",
            )  # fmt: skip
    return {
        "from": pack.first,
        "to": pack.last,
        "files": len(pack.files),
        "signed": signed,
        "trusted": keys is not None and signed,
    }


def check_included(pack: Pack, months: dict[str, Checked], findings: Findings) -> None:
    """Check that a pack leaves out no month of its days, and that the logs in it are those that it says.

    Else the manifest of a pack, laid beside a log, would excuse a month that was taken away.
    """
    listed = {each.checkpoint.origin: each for each in pack.months}
    for each in pack.months:
        later = each.stream == _MAINTENANCE  # of which a pack has all months since
        if not each.included and pack.first[:7] <= each.month and (later or each.month <= pack.last[:7]):
            findings.problem(
                f"{pack.where} {each.stream}/{each.month}", "此月在检查的日期之内，却未收入：月份被移走",
                "the pack leaves this month out, which lies within its days: it was taken away",
            )  # fmt: skip
    for origin, checked in months.items():
        known = listed.get(origin)
        if checked.month.stream and (known is None or not known.included):
            findings.problem(
                f"{checked.month.label}/checkpoint", "清单说此月未收入，日志却在此处：清单不属于这些日志",
                "the manifest leaves this month out, yet its log is here: it is not the manifest of these logs",
            )  # fmt: skip


def check_pack_manifest(pack: Pack, keys: Keys | None, findings: Findings) -> bool:
    """Check who signed a manifest, and the checkpoints in it; return whether that of the manifest is right."""
    signed = check_signature(pack.where, pack.signed, pack.signature, keys, findings)
    for month in pack.months:
        opened = open_checkpoint(month.note, keys or Keys())
        if opened.fault is not None:
            findings.problem(f"{pack.where} {month.stream}/{month.month}", *opened.fault)
    return signed


def _check_month(pack: Pack, month: PackedMonth, findings: Findings) -> None:
    where = f"{pack.label}/{month.file}"
    try:
        if read_file(pack.folder / month.file, CHECKPOINT_BYTES_MAX) != month.note:
            findings.problem(where, "与清单中的检查点不同", "this is not the checkpoint of the manifest")
    except UnreadError as error:
        findings.problem(where, error.zh, error.en)


def _names(folder: Path, below: str) -> Iterator[str]:
    """Yield the paths of files, but those of tiles, which their log proves."""
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
    except OSError:
        return
    for name, is_folder in entries:
        if not is_folder:
            yield below + name
        elif name != _TILES:
            yield from _names(folder / name, f"{below}{name}/")
