"""Verifies statutory logs, exports and proofs: what an auditor runs (facts: transparency-log §3).

    python -m audit.verify PATH [--vkey FILE] [--checkpoint FILE]… [--json]

1. Nothing of the node is imported: the standard library, ``cryptography``, and the formats ``audit/merkle.py``,
   ``tile.py``, ``note.py``, ``checkpoint.py``, ``proof.py``. No configuration, no store, no running node is needed.
2. The root is recomputed from all entries. A tile is a cache, and is compared with them.
3. A key or a checkpoint from elsewhere is what a result rests on. Without either, a log is consistent with itself
   only: who wrote it could have written another.
4. Every file is looked at, and named where something is wrong, with the index of the entry. Input is never believed:
   all of it is bounded, and no content of it raises.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from audit.checkpoint import Checkpoint
from audit.verify.chain import Month, check_chain, check_drops
from audit.verify.check import Checked, Given, check_month
from audit.verify.export import check_export, read_manifest
from audit.verify.find import Found, Group, Scope, find, find_published
from audit.verify.findings import Findings, Report
from audit.verify.leaves import Drop
from audit.verify.offline import check_proof, checkpoint_of
from audit.verify.pack import Pack, check_included, check_pack, check_pack_manifest, is_pack, pack_above, read_pack
from audit.verify.place import Folder, Server
from audit.verify.trust import STREAMS, Keys, open_checkpoint, read_keys, stream_and_month

SELF_ONLY: Final = "仅自身一致 consistent with itself only"
BY_KEY: Final = "以给定的公钥为准 by the key given"
BY_CHECKPOINT: Final = (
    "与给定的检查点一致，其余仅自身一致 by the checkpoints given; beyond them consistent with itself only"
)
_MAINTENANCE: Final = "maintenance"

__all__ = ["Keys", "Report", "read_keys", "verify"]


def verify(
    path: str | Path, keys: Keys | None = None, checkpoints: Iterable[tuple[str, bytes]] = (), token: str = ""
) -> Report:  # fmt: skip
    """Verify what lies at a path or an address.

    ``path``: folder ``log/``, of a stream or of a month, an export, a pack for an inspection, a proof, a folder of
    these, or ``http(s)://…/log/``.
    ``keys``: trusted. ``checkpoints``: known from elsewhere, with the names of their files. ``token``: for a server.
    Memory: flat. Errors: ValueError for an address that is none.
    """
    findings = Findings()
    given = _read_given(checkpoints, keys, findings)
    if str(path).startswith(("http://", "https://")):
        scope = find_published(Server(str(path), token), findings)
    else:
        scope = find(Path(path), findings)
    packs = {label: read_pack(folder, label, findings) for folder, label in scope.exports if is_pack(folder)}
    scope = scope._replace(exports=[each for each in scope.exports if each[1] not in packs])
    manifests = [read_manifest(folder, label, findings) for folder, label in scope.exports]
    above = None if packs or str(path).startswith(("http://", "https://")) else _pack_above(Path(path), keys, findings)
    left_out = {origin: left for pack in (*packs.values(), above) if pack for origin, left in pack.left_out().items()}
    running = _Run(scope, keys, given, findings, left_out)
    proven = [known for file, label in scope.proofs if (known := checkpoint_of(file, label)) is not None]
    running.logs([*proven, *(known for each in manifests if each is not None for known in each.given)])
    if above is not None:
        check_included(above, running.months, findings)
    exports = {
        label: None if manifest is None else check_export(manifest, keys, running.months, findings)
        for (_, label), manifest in zip(scope.exports, manifests, strict=True)
    }
    exports |= {
        label: None if pack is None else check_pack(pack, keys, running.months, findings)
        for label, pack in packs.items()
    }
    proofs = {label: check_proof(file, label, keys, given, findings) for file, label in scope.proofs}
    if keys is None:
        findings.note(
            "未给定公钥：日志只证明与自身一致，写日志的人可以另写一套",
            "no key was given: the log is consistent with itself only, who wrote it could have written another",
        )
    trust = BY_KEY if keys is not None else BY_CHECKPOINT if given else SELF_ONLY
    return Report(trust, running.streams, exports, proofs, findings.problems, findings.notes, findings.count)


def _pack_above(path: Path, keys: Keys | None, findings: Findings) -> Pack | None:
    """Return the pack that a log lies in: it says which months are left out."""
    folder = pack_above(path)
    pack = None if folder is None else read_pack(folder, "..", findings)
    if pack is not None:
        check_pack_manifest(pack, keys, findings)
        findings.note(
            "日志在检查材料包中：清单的签名已检查，其他文件未检查；校验整个包请指定其目录",
            "the log lies in a pack: the signature of its manifest was checked, its other files were not; name the "
            "folder of the pack to verify all of it",
        )
    return pack


def _read_given(checkpoints: Iterable[tuple[str, bytes]], keys: Keys | None, findings: Findings) -> list[Given]:
    given = []
    for name, data in checkpoints:
        try:
            opened = open_checkpoint(data, keys or Keys())
        except ValueError as error:
            findings.problem(name, f"给定的检查点无法读取（{error}）", f"the checkpoint given cannot be read ({error})")
            continue
        given.append(Given(name, data, opened.checkpoint))
    return given


def _host(origin: str) -> str:
    """Return whose log it is."""
    return origin.rpartition("/log/")[0]


class _Run:
    """The logs of one verification. ``months``: those that could be read, by origin; ``streams``: for the report."""

    def __init__(
        self, scope: Scope, keys: Keys | None, given: list[Given], findings: Findings, left_out: dict[str, Checkpoint]
    ) -> None:  # fmt: skip
        self._scope, self._keys, self._given, self._findings = scope, keys, given, findings
        self._left_out = left_out
        self._not_packed = {stream_and_month(origin) for origin in left_out}
        self.months: dict[str, Checked] = {}
        self.streams: dict[str, dict[str, Any]] = {}
        self._known = given

    def logs(self, exported: list[Given]) -> None:
        """Check all months, then what they say of each other. ``exported``: checkpoints of exports, to be held to."""
        self._known = [*self._given, *exported]
        groups = {group.name: self._group(group) for group in self._scope.groups}
        drops, maintenance = self._drops(groups)
        by_origin = check_drops(drops, {origin: each.month for origin, each in self.months.items()}, self._findings)
        for group in self._scope.groups:
            read = [each for each in groups[group.name] if each is not None]
            self._beyond(read, group.alone)
            if group.alone:
                self._findings.note(
                    "只给了一个月份：月份的链未检查",
                    "one month was given by itself: the chain of months was not checked",
                )
                continue
            chained = [each.month for each in read if each.month.stream]
            check_chain(chained, by_origin, maintenance, self._findings, self._left_out)
        self._absent(by_origin)
        hosts = dict.fromkeys(_host(origin) for origin, each in self.months.items() if each.month.stream)
        for host in hosts:
            self._together([each.month for origin, each in self.months.items() if _host(origin) == host], by_origin)

    def _group(self, group: Group) -> list[Checked | None]:
        """Check the months of a stream, the newest first: one that ends meanwhile is read once it has ended."""
        checked = [self._month(found, group.name) for found in reversed(group.months)]
        for stream, months in self.streams.items():
            self.streams[stream] = dict(sorted(months.items()))
        return checked[::-1]

    def _month(self, found: Found, name: str) -> Checked | None:
        checked = check_month(found, self._keys, self._known, self._findings)
        told = self.streams.setdefault(name or "", {})
        month = found.month or found.place.label
        if checked is None:
            told[month] = {"size": None, "entries": None, "root": None, "signed": False, "trusted": False}
            return None
        if not name:
            del self.streams[name]
            told = self.streams.setdefault(checked.month.stream or name, {})
            month = checked.month.month or month
        told[month] = checked.document
        self.months[checked.month.checkpoint.origin] = checked
        return checked

    def _drops(self, groups: dict[str, list[Checked | None]]) -> tuple[list[Drop], bool]:
        """Return the deletions on record, and whether there is a log that would have them."""
        logs = [each for months in groups.values() for each in months if each and each.month.stream == _MAINTENANCE]
        folders = [group.folder for group in self._scope.groups if group.folder is not None]
        if not logs and len(folders) == 1 and folders[0] is not None:
            beside = folders[0].parent / _MAINTENANCE
            logs = self._beside(beside) if folders[0].name in STREAMS and beside.is_dir() else []
        drops = [drop._replace(written=each.month.month) for each in logs for drop in each.month.tree.drops]
        return drops, bool(logs)

    def _beside(self, folder: Path) -> list[Checked]:
        """Check the maintenance log beside the one stream that was given: it says what was deleted."""
        scope = find(folder, Findings())
        found = [each for group in scope.groups for each in group.months]
        placed = [
            each._replace(place=Folder(each.place.folder, f"../{each.place.label}"))
            for each in found if each.place.folder is not None
        ]  # fmt: skip
        read = [each for found in placed if (each := check_month(found, self._keys, [], self._findings))]
        self._findings.note(
            "删除记录取自相邻的维护日志 ../maintenance",
            "deletions were looked up in the maintenance log beside, ../maintenance",
        )
        check_chain([each.month for each in read], {}, True, self._findings, self._left_out)
        return read

    def _beyond(self, read: list[Checked], alone: bool) -> None:
        for at, each in enumerate(read):
            beyond, size = each.beyond, each.month.checkpoint.size
            if not beyond.files:
                continue
            label = each.month.label
            zh = f"检查点只含 {size} 条，目录中另有 {beyond.files} 个文件在其后（至 {beyond.last} 条）"
            en = f"the checkpoint covers {size} entries, {beyond.files} files reach behind it (up to {beyond.last})"
            if at + 1 < len(read):
                self._findings.problem(
                    f"{label}/{beyond.first}", f"{zh}：月份已结束，检查点被回退",
                    f"{en}: the month is over, so the checkpoint was rolled back",
                )  # fmt: skip
            else:
                self._findings.note(
                    f"{label}：{zh}，没有签名保证：复制时日志仍在增长，或检查点被回退；请用 --checkpoint 比较",
                    f"{label}: {en} and no signature covers them: the log grew while it was copied, or its checkpoint "
                    "was rolled back; compare with a later one by --checkpoint",
                )

    def _absent(self, drops: dict[str, Drop]) -> None:
        """Tell of given checkpoints whose month is not there."""
        if not self._scope.groups:
            return
        for given in self._given:
            checkpoint = given.checkpoint
            drop, left = drops.get(checkpoint.origin), self._left_out.get(checkpoint.origin)
            if checkpoint.origin in self.months:
                continue
            if left is not None:
                self._hold_left_out(given, left)
            elif drop is None:
                self._findings.problem(
                    given.name, f"此检查点的日志 {checkpoint.origin} 不在此处：月份缺失或被替换",
                    f"the log of this checkpoint, {checkpoint.origin}, is not here: the month is missing or replaced",
                )  # fmt: skip
            elif drop.checkpoint.size < checkpoint.size or (
                drop.checkpoint.size == checkpoint.size and drop.checkpoint.root != checkpoint.root
            ):
                self._findings.problem(
                    given.name, f"{checkpoint.origin} 已删除，但删除记录的检查点与此不符",
                    f"{checkpoint.origin} was deleted, and the checkpoint on record does not fit this one",
                )  # fmt: skip

    def _hold_left_out(self, given: Given, left: Checkpoint) -> None:
        """Hold a given checkpoint against that of a month that is not in the pack."""
        if given.checkpoint.size > left.size or (given.checkpoint.size == left.size and given.checkpoint != left):
            self._findings.problem(
                given.name, f"与清单中 {left.origin} 的检查点不符：日志被回退，或节点签发了互相矛盾的检查点",
                f"it does not fit the checkpoint of {left.origin} in the manifest: the log was rolled back, or the "
                "node signed checkpoints that contradict each other",
            )  # fmt: skip
        else:
            self._findings.note(
                f"{given.name}：{left.origin} 未收入此包，未能重新计算",
                f"{given.name}: {left.origin} is not in this pack, nothing could be computed",
            )

    def _together(self, read: list[Month], drops: dict[str, Drop]) -> None:
        """Hold the streams of a node against each other: all begin together, and go over to a month together."""
        read = sorted(read, key=lambda month: month.month)
        for stream in dict.fromkeys(month.stream for month in read):
            own = [month for month in read if month.stream == stream]
            first, last = own[0], own[-1]
            earlier = [month.label for month in read if month.month < first.month]
            if first.tree.begins and earlier:
                self._findings.problem(
                    f"{first.label} index 0", f"此日志声称自此开始，而其他日志更早（{earlier[0]}）：历史被替换",
                    f"the log says that it begins here, while others are older ({earlier[0]}): history was replaced",
                )  # fmt: skip
            later = [
                month for month in read
                if month.month > last.month and (stream, month.month) not in self._not_packed
            ]  # fmt: skip
            gone = {origin.rpartition("/")[2] for origin in drops if origin.split("/")[-2] == stream}
            begun = [month.label for month in later if month.checkpoint.size > 1 and month.month not in gone]
            if begun:
                self._findings.problem(
                    f"{last.label}", f"此日志止于此月，而其他日志已到 {begun[-1]}：其后的月份缺失",
                    f"the log ends with this month, while others go on ({begun[-1]}): later months are missing",
                )  # fmt: skip
            elif later:
                self._findings.note(
                    f"{last.label}：其他日志刚进入 {later[-1].month}",
                    f"{last.label}: other logs have just begun {later[-1].month}",
                )
