"""What lies under a path: months of logs by stream, exports, proofs."""

from __future__ import annotations

import os
import re
import stat
import urllib.parse
from pathlib import Path
from typing import Final, NamedTuple

from audit.verify.findings import Findings, plain
from audit.verify.place import Folder, Place, Published, Server, UnreadError
from audit.verify.trust import STREAMS

MONTH: Final = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")
FOLDERS_MAX: Final = 20_000  # looked into: four streams of a thousand months, and exports beside them
DEPTH_MAX: Final = 5  # folders below the path
MANIFEST: Final = "manifest.json"
LOG: Final = "log"
PROOF_SUFFIX: Final = ".tlog-proof"
_MONTHLY: Final = ("checkpoint", "tile", "vkey")
_NO_STREAM: Final = (
    "此日志没有任何月份：被删除或未复制",
    "this stream has no month at all: they were deleted, or not copied",
)
_NO_LOGS: Final = frozenset({"tile", "timestamps"})


class Found(NamedTuple):
    """A folder that may be a month's. ``stream``, ``month``: as the folders are called, empty where they are not."""

    place: Place
    stream: str
    month: str


class Group(NamedTuple):
    """The months of one stream, ascending. ``name``: of the stream, or the path where it is not unique.

    ``alone``: a month was given by itself, so that nothing is known of its neighbours.
    """

    name: str
    months: list[Found]
    alone: bool = False
    folder: Path | None = None


class Scope(NamedTuple):
    """All that lies under a path. Exports are folders, proofs are files; each with its label."""

    groups: list[Group]
    exports: list[tuple[Path, str]]
    proofs: list[tuple[Path, str]]


def find(path: Path, findings: Findings) -> Scope:
    """Find out what lies under a path."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
    except (FileNotFoundError, NotADirectoryError):
        findings.problem(str(path), "此路径不存在", "there is nothing at this path")
        return Scope([], [], [])
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        findings.problem(str(path), f"此路径无法读取（{why}）", f"this path cannot be read ({why})")
        return Scope([], [], [])
    if not stat.S_ISDIR(mode):
        return Scope([], [], [(path, plain(path.name))])
    path = path.resolve()
    if _is_month(path):
        stream = path.parent.name if path.parent.name in STREAMS else ""
        label = f"{stream}/{path.name}" if stream else plain(path.name)
        found = Found(Folder(path, label), stream, path.name if MONTH.fullmatch(path.name) else "")
        return Scope([Group(stream, [found], alone=True)], [], [])
    base = path.parent if path.name in STREAMS or any(_months_in(path)) else path
    scope = Scope([], [], [])
    _Search(base, scope, findings).look(path, 0)
    if not any(scope):
        findings.problem(
            str(path), "此处没有日志、导出或证明", "there is no log here, no export and no proof"
        )  # fmt: skip
    return scope._replace(groups=_named(scope.groups))


def _is_month(folder: Path) -> bool:
    return any(_there(folder / name) for name in _MONTHLY) and not _there(folder / MANIFEST)


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _months_in(folder: Path) -> list[str]:
    return [name for name in _listed(folder) if MONTH.fullmatch(name) and _is_month(folder / name)]


def _listed(folder: Path) -> list[str]:
    """Return the folders in a folder. What begins with a dot is on its way out (``audit/dropping.py``)."""
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []


class _Search:
    def __init__(self, base: Path, scope: Scope, findings: Findings) -> None:
        self._base, self._scope, self._findings = base, scope, findings
        self._left = FOLDERS_MAX

    def look(self, folder: Path, depth: int) -> None:
        """Add what is in a folder, and in the folders below it."""
        self._left -= 1
        if self._left < 0 or depth > DEPTH_MAX:
            return
        label = plain(os.path.relpath(folder, self._base))
        if _there(folder / MANIFEST):
            self._scope.exports.append((folder, plain(folder.name) if folder == self._base else label))
            if not _there(folder / LOG):  # of a pack; an export has no log
                return
        below = _listed(folder)
        months = [name for name in below if name not in _NO_LOGS and _is_month(folder / name)]
        stream = folder.name if folder.name in STREAMS else ""
        if months:
            named = [name for name in below if name in months or (stream and MONTH.fullmatch(name))]
            found = [
                Found(Folder(folder / name, f"{label}/{plain(name)}"), stream, name if MONTH.fullmatch(name) else "")
                for name in named
            ]
            self._scope.groups.append(Group(label, found, folder=folder))
        for proof in sorted(folder.glob(f"*{PROOF_SUFFIX}")):
            self._scope.proofs.append((proof, plain(os.path.relpath(proof, self._base))))
        streams = set(below) & set(STREAMS)
        if folder.name not in STREAMS and not _there(folder.parent / MANIFEST):  # a pack says what it leaves out
            self._absent(folder, streams)
        for name in below:
            if name not in months:
                before = len(self._scope.groups)
                self.look(folder / name, depth + 1)
                if name in STREAMS and len(streams) > 1 and len(self._scope.groups) == before:
                    self._empty(folder, name)

    def _absent(self, folder: Path, streams: set[str]) -> None:
        """Streams that are not there, told where others have months: all begin together."""
        if not any(_months_in(folder / name) for name in streams):
            return
        absent = [os.path.relpath(folder / name, self._base) for name in STREAMS if name not in streams]
        if len(absent) == 1:  # nobody copies three of four by choice
            self._findings.problem(
                absent[0], "没有此日志，而其他三种都在：被删除或未复制",
                "this log is not here, while the three others are: it was deleted, or not copied",
            )  # fmt: skip
            return
        for label in absent:
            _tell_absent(label, self._findings)

    def _empty(self, folder: Path, name: str) -> None:
        """A stream without months: told where other streams beside it have some."""
        if any(_months_in(folder / other) for other in STREAMS if other != name):
            self._findings.problem(os.path.relpath(folder / name, self._base), *_NO_STREAM)


def _tell_absent(label: str, findings: Findings) -> None:
    findings.note(
        f"{label}：没有此日志。节点的四种日志同时开始，缺少的被删除或未复制",
        f"{label}: this stream is not here. The four streams of a node begin together: it was deleted, or not copied",
    )


def _named(groups: list[Group]) -> list[Group]:
    """Call groups by the name of the stream where it is unique."""
    names = [Path(group.name).name for group in groups]
    return [
        group._replace(name=name) if name in STREAMS and names.count(name) == 1 else group
        for group, name in zip(groups, names, strict=True)
    ]


def find_published(server: Server, findings: Findings) -> Scope:
    """Find out what a web server has below an address: all streams, one of them, or one month."""
    parts = urllib.parse.urlsplit(server.base).path.strip("/").split("/")
    if len(parts) > 1 and MONTH.fullmatch(parts[-1]) and parts[-2] in STREAMS:
        place = Published(server, "", "/".join(parts[-2:]))
        return Scope([Group(parts[-2], [Found(place, parts[-2], parts[-1])], alone=True)], [], [])
    try:
        listed = server.months()
    except UnreadError as error:
        findings.problem(server.base, error.zh, error.en)
        return Scope([], [], [])
    groups = []
    for stream, months in listed.items():
        if stream not in STREAMS or len(months) > FOLDERS_MAX or not all(map(MONTH.fullmatch, months)):
            findings.problem(
                server.base, "服务器的月份清单中有不认识的名称", "the server's list of months has names that are none"
            )  # fmt: skip
            continue
        path = f"{stream}/{{}}/"
        found = [Found(Published(server, path.format(each), f"{stream}/{each}"), stream, each) for each in months]
        if found:
            groups.append(Group(stream, found))
    for stream in STREAMS if groups else ():
        if not listed.get(stream):
            _tell_absent(stream, findings)
    findings.note(
        "经网络只检查检查点所需的文件，不检查多余的文件",
        "over the network only what the checkpoint needs is looked at, no other file",
    )
    return Scope(groups, [], [])
