"""The deposits of the nodes at the top node, as their escrow agent takes them.

    deposits/<node>/<deposit>/         complete: deposit.json and its volumes, as the node signed them
    deposits/<node>/.part/             the one under way: deposit.json, the volumes so far; ``.file``: part of one
    deposits/<node>/<deposit>.verdict  what became of it: JSON {"verdict", "zh", "en", "head": SHA-256 of deposit.json}

1. A volume is there once it is proven by the head, synced and has its name: the first one missing comes next.
2. A deposit is complete by one rename. Whoever judges is told then, opens it and sets the verdict; until then it waits.
3. What is thrown away loses its deposit.json first: a part folder without one is nothing.
4. A rejected deposit is removed, an accepted one when there are ESCROW_FULLS_KEPT newer FULLs; verdicts stay longer.
5. A node has one deposit under way: another one takes its place. Bounded are number and octets of those it has here.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from audit.files import Files
from core import limits
from core.disk import free_bytes
from core.signature import canonical
from sync import messages
from sync.escrow.deposit import HEAD, PART
from sync.escrow.faults import OF_THE_DISK, DepositError
from sync.escrow.head import FULL, is_deposit_id, is_full_id, parse_head
from sync.escrow.item import Head
from sync.escrow.volumes import require_volume
from sync.words import visible

DEPOSITS: Final = "deposits"
UNKNOWN: Final = "unknown"
WAITING: Final = "waiting"
ACCEPTED: Final = "accepted"
REJECTED: Final = "rejected"
_FILE: Final = ".file"
_VERDICT: Final = ".verdict"
_NODE: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_HAVE: Final = messages.Wanted(True, "", 0, "")
_SAY_DEPOSIT: Final = messages.Wanted(False, "", 0, "")

Told = Callable[[str, str], None]
"""Is told of a deposit that is complete: key id of its node, its id. Called in the thread of the message."""


class _FaultError(Exception):
    """Something is not taken. In words, Chinese and English."""


class DepositDesk:
    """Takes deposits. ``data``: folder of the top node; ``recipient``: algorithm and id of its escrow key.

    Used by any threads, one after the other. Errors of all methods: OSError; nothing is answered then.
    """

    def __init__(
        self, data: Path, recipient: tuple[str, str], told: Told, *, files: Files | None = None,
        free: Callable[[Sequence[Path]], int] = free_bytes,
    ) -> None:  # fmt: skip
        self._data = data
        self._recipient = recipient
        self._told = told
        self._files = files or Files()
        self._free = free
        self._lock = threading.Lock()
        self._parsed: tuple[bytes, Head] | None = None  # the head that was read last, and its octets

    # --- from the node ---
    def deposit(self, node: str, prefix: str, message: messages.Deposit) -> messages.Wanted:
        """Take a deposit, or go on with it. ``node``: key id; ``prefix``: as it named it when it connected."""
        with self._lock:
            folder = self._node(node)
            try:
                head = self._head(message.head, node)
                if head.prefix.casefold() != prefix.casefold():
                    raise _FaultError(f"前缀 {head.prefix} 不是该节点的。{head.prefix} is not the prefix of the node")
                if self._known(folder, head, message.head) or self._reject_early(folder, head, message.head):
                    return _HAVE
                if self._under_way(folder) != message.head:
                    self._require_room(folder, head)
                    self._begin(folder, message.head)
            except (_FaultError, DepositError) as error:
                return _fault(error)
            answer = self._next(folder, head)
        if answer.have:
            self._told(node, head.deposit)
        return answer

    def deposit_file(self, node: str, message: messages.DepositFile) -> messages.Wanted:
        """Take part of a volume, if it is what comes next; say what does."""
        if not is_deposit_id(message.deposit):
            return _SAY_DEPOSIT
        with self._lock:
            folder = self._node(node)
            octets = self._under_way(folder)
            if octets is None:
                return _SAY_DEPOSIT
            try:
                head = self._head(octets, node)
            except DepositError as error:
                self._throw_away(folder)
                return _fault(error)
            if head.deposit != message.deposit:
                return _SAY_DEPOSIT
            place, offset = self._place(folder, head)
            if place < len(head.volumes) and (head.volumes[place].name, offset) == (message.path, message.offset):
                try:
                    self._take(folder, head, place, message)
                except (_FaultError, DepositError) as error:
                    (folder / PART / _FILE).unlink(missing_ok=True)
                    return _fault(error)
            answer = self._next(folder, head)
        if answer.have:
            self._told(node, head.deposit)
        return answer

    def ask(self, node: str, message: messages.DepositAsk) -> messages.DepositVerdict:
        """Say what became of a deposit."""
        if not is_deposit_id(message.deposit):
            return messages.DepositVerdict(UNKNOWN, "", "")
        with self._lock:
            folder = self._node(node)
            told = self._verdict(folder, message.deposit)
            if told is not None:
                return messages.DepositVerdict(told["verdict"], told["zh"], told["en"])
            there = (folder / message.deposit / HEAD).is_file()
            return messages.DepositVerdict(WAITING if there else UNKNOWN, "", "")

    # --- from whoever judges ---
    def folder(self, node: str, deposit: str) -> Path:
        """Return where a complete deposit lies."""
        return self._node(node) / deposit

    def waiting(self) -> list[tuple[str, str]]:
        """Return the deposits without a verdict, key id of the node and id, by time: what a restart begins with."""
        with self._lock:
            found: list[tuple[str, str]] = []
            root = self._data / DEPOSITS
            for folder in sorted(root.iterdir()) if root.is_dir() else []:
                if _NODE.fullmatch(folder.name):
                    self._remove_rejected(folder)
                    found += [
                        (folder.name, deposit)
                        for deposit in self._complete(folder)
                        if self._verdict(folder, deposit) is None
                    ]
            return sorted(found, key=lambda each: (each[1], each[0]))

    def set_verdict(self, node: str, deposit: str, *, accepted: bool, zh: str, en: str) -> None:
        """Set what became of a deposit that waits, durably; remove what is not needed any more.

        ``zh``, ``en``: why. Errors: KeyError where no such deposit waits.
        """
        with self._lock:
            folder = self._node(node)
            if self._verdict(folder, deposit) is not None or not (folder / deposit / HEAD).is_file():
                raise KeyError(deposit)
            octets = (folder / deposit / HEAD).read_bytes()
            self._put_verdict(folder, deposit, octets, (ACCEPTED if accepted else REJECTED, zh, en))
            if accepted:
                self._remove_old(folder)
            else:
                self._remove(folder / deposit)

    # --- a deposit that comes ---
    def _head(self, octets: bytes, node: str) -> Head:
        """Errors: DepositError."""
        if self._parsed is None or self._parsed[0] != octets or self._parsed[1].node != node:
            self._parsed = octets, parse_head(octets, node)
        return self._parsed[1]

    def _known(self, folder: Path, head: Head, octets: bytes) -> bool:
        """Whether all is here, or was. Errors: _FaultError where it was another deposit."""
        told = self._verdict(folder, head.deposit)
        if told is not None:
            same = told["head"] == hashlib.sha256(octets).hexdigest()
        else:
            have = _read(folder / head.deposit / HEAD)
            if have is None:
                return False
            same = have == octets
        if not same:
            raise _FaultError(f"{head.deposit} 已有另一份。There was another {head.deposit}")
        return True

    def _reject_early(self, folder: Path, head: Head, octets: bytes) -> bool:
        """Reject what can never be used, before it is sent; return whether that was so."""
        if (head.algorithm, head.recipient) != self._recipient:
            ours = " ".join(self._recipient)
            why = (f"不是为本上级节点的密钥 {ours} 加密的", f"It is not encrypted for the key of this top node, {ours}")
        elif head.kind != FULL and not (folder / head.previous / HEAD).is_file():
            why = (f"缺少其前一份 {head.previous}，请发送全量", f"{head.previous} is not here; send a FULL")
        else:
            return False
        self._files.make_folder(folder, 0o700)
        self._put_verdict(folder, head.deposit, octets, (REJECTED, *why))
        return True

    def _require_room(self, folder: Path, head: Head) -> None:
        """Errors: _FaultError."""
        complete = self._complete(folder)
        if len(complete) >= limits.ESCROW_NODE_DEPOSITS_MAX:
            raise _FaultError(f"此节点已有 {len(complete)} 份托管数据。There are {len(complete)} deposits of this node")
        told = sum(volume.octets for volume in head.volumes)
        held = sum(path.stat().st_size for deposit in complete for path in (folder / deposit).iterdir())
        if held + told > limits.ESCROW_NODE_BYTES_MAX:
            raise _FaultError(f"此节点的托管数据过多。The deposits of this node have {held} octets already")
        if told > self._free((self._data,)):
            raise _FaultError("上级节点磁盘空间不足。The disk of the top node has no room for it")

    def _begin(self, folder: Path, octets: bytes) -> None:
        self._throw_away(folder)
        self._files.make_folder(folder, 0o700)
        self._files.make_folder(folder / PART, 0o700)
        self._files.replace(folder / PART / HEAD, octets)
        self._files.sync_folder(folder / PART)

    def _take(self, folder: Path, head: Head, place: int, message: messages.DepositFile) -> None:
        """Errors: _FaultError, DepositError."""
        volume, part = head.volumes[place], folder / PART
        name = f"{head.deposit}/{volume.name}"
        if len(message.data) > min(limits.UPSTREAM_PART_BYTES, volume.octets - message.offset):
            raise _FaultError(f"{name} 过长。{name} is too long")
        if message.data:
            self._files.write_at(part / _FILE, message.offset, message.data)
        if message.offset + len(message.data) < volume.octets and not message.last:
            return
        try:
            require_volume(part / _FILE, volume)
        except DepositError as error:
            if error.rule in OF_THE_DISK:
                raise OSError(error.message) from None
            raise _FaultError(f"{name} 与签署的不符，已丢弃。{name} is not what was signed: thrown away") from None
        self._files.rename(part / _FILE, part / volume.name)
        self._files.sync_folder(part)

    def _place(self, folder: Path, head: Head) -> tuple[int, int]:
        """Return the place of the next volume, and how much of it is here; past the last one where all are."""
        part = folder / PART
        place = 0
        while place < len(head.volumes) and (part / head.volumes[place].name).is_file():
            place += 1
        try:
            return place, (part / _FILE).stat().st_size
        except FileNotFoundError:
            return place, 0

    def _next(self, folder: Path, head: Head) -> messages.Wanted:
        place, offset = self._place(folder, head)
        if place < len(head.volumes):
            return messages.Wanted(False, head.volumes[place].name, offset, "")
        (folder / PART / _FILE).unlink(missing_ok=True)
        self._files.sync_folder(folder / PART)
        self._remove(folder / head.deposit)  # what a crash left of it: it is not known here
        self._files.rename(folder / PART, folder / head.deposit)
        self._files.sync_folder(folder)
        return _HAVE

    # --- what is here ---
    def _node(self, node: str) -> Path:
        """Return the folder of a node. Errors: ValueError for no key id."""
        if not _NODE.fullmatch(node):
            raise ValueError(f"{node!r} is no key id")
        return self._data / DEPOSITS / node

    @staticmethod
    def _under_way(folder: Path) -> bytes | None:
        return _read(folder / PART / HEAD)

    @staticmethod
    def _complete(folder: Path) -> list[str]:
        """Return the ids of the deposits that are complete, by time."""
        if not folder.is_dir():
            return []
        return sorted(path.name for path in folder.iterdir() if is_deposit_id(path.name) and (path / HEAD).is_file())

    @staticmethod
    def _verdict(folder: Path, deposit: str) -> dict[str, Any] | None:
        """Return a verdict; None also where the file is damaged: the deposit is judged again."""
        try:
            told = json.loads(_read(folder / f"{deposit}{_VERDICT}") or b"null")
        except ValueError:
            return None
        return told if type(told) is dict and told.keys() == {"verdict", "zh", "en", "head"} else None

    def _put_verdict(self, folder: Path, deposit: str, octets: bytes, told: tuple[str, str, str]) -> None:
        verdict, zh, en = told
        zh, en = (visible(text, limits.UPSTREAM_REASON_CHARS_MAX) for text in (zh, en))
        document = {"verdict": verdict, "zh": zh, "en": en, "head": hashlib.sha256(octets).hexdigest()}
        self._files.replace(folder / f"{deposit}{_VERDICT}", canonical(document))
        self._files.sync_folder(folder)
        kept = sorted(path for path in folder.glob(f"*{_VERDICT}") if not (folder / path.stem).exists())
        for path in kept[: -limits.ESCROW_VERDICTS_MAX]:
            path.unlink()

    def _throw_away(self, folder: Path) -> None:
        self._remove(folder / PART)

    def _remove(self, deposit: Path) -> None:
        if deposit.is_dir():
            (deposit / HEAD).unlink(missing_ok=True)
            self._files.sync_folder(deposit)
            shutil.rmtree(deposit)

    def _remove_old(self, folder: Path) -> None:
        """Remove what has a verdict and is older than the FULLs that are kept."""
        told = [deposit for deposit in self._complete(folder) if self._verdict(folder, deposit) is not None]
        fulls = [deposit for deposit in told if is_full_id(deposit)]
        if len(fulls) >= limits.ESCROW_FULLS_KEPT:
            for deposit in told:
                if deposit < fulls[-limits.ESCROW_FULLS_KEPT]:
                    self._remove(folder / deposit)

    def _remove_rejected(self, folder: Path) -> None:
        """Remove what a crash left of deposits that were rejected, or removed."""
        for path in list(folder.iterdir()):
            if is_deposit_id(path.name):
                told = self._verdict(folder, path.name)
                if (told is not None and told["verdict"] == REJECTED) or not (path / HEAD).is_file():
                    self._remove(path)


def _fault(error: Exception) -> messages.Wanted:
    return messages.Wanted(False, "", 0, visible(str(error), limits.UPSTREAM_REASON_CHARS_MAX))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
