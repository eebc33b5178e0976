"""The logs of the nodes at the top node: it witnesses their checkpoints, and takes the months that are over.

    witness/<SHA-256 of the origin>/checkpoint  what was cosigned last, of each log (``audit/witness_state.py``)
    log-hosts/<SHA-256 of the host>             key id of the node whose logs begin with this host
    months/<node>/<stream>/<YYYY-MM>/           a month as the node published it (``month_folder.py``)

1. A host belongs to the node whose checkpoint was taken first under it. No other node has logs there.
2. A month is taken with the checkpoint that was cosigned last, and every file of it is proven by that one.
3. Months that are complete and name one another agree: one begins with the final checkpoint of the one before.
4. A file that does not fit is thrown away and named; the month, where what is here was damaged, or leads nowhere.

``saltern log verify months/<node>`` reads what is complete as any log.
"""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import Final, NamedTuple

from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.files import Files
from audit.note import NoteKey, Sign, ed25519_key, open_note, parse_vkey
from audit.reading import months
from audit.tile import WIDTH, unpack_bundle
from audit.witness import CONFLICT, OK, Witness, parse_request
from audit.witness_state import FileState
from core import limits
from core.clock import UnixSeconds
from core.errors import Outcome
from core.outcomes import STATUSES
from core.streams import Stream, parse_log
from sync import messages
from sync.topnode.month_files import MonthFile, MonthFiles
from sync.topnode.month_folder import DamagedError, MonthFolder

WITNESS: Final = "witness"
_HOSTS: Final = "log-hosts"
_MONTHS: Final = "months"
_NODE: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_ORIGIN: Final = "{}/log/{}/{}"
_SAY_MONTH: Final = messages.Wanted(False, "", 0, "")


class LogNode(NamedTuple):
    """A node that is enrolled. ``node``: key id; ``origin``: host of its logs' names; ``vkeys``: of it, under any name.

    The last two as it told them when it connected.
    """

    node: str
    origin: str
    vkeys: tuple[str, ...]


class _FaultError(Exception):
    """Something is not taken. In words, Chinese and English."""


class LogDesk:
    """Takes checkpoints and months. ``data``: folder of the top node; ``key``: as a witness.

    Used by any threads, one after the other. Errors: OSError, StateError of the disk; nothing is answered then.
    """

    def __init__(self, data: Path, key: NoteKey, sign: Sign, files: Files | None = None) -> None:
        self._data = data
        self._key = key
        self._sign = sign
        self._files = files or Files()
        self._state = FileState(data / WITNESS, self._files)
        self._lock = threading.Lock()

    def checkpoint(self, node: LogNode, message: messages.Checkpoint, now_s: UnixSeconds) -> messages.Cosigned:
        """Answer as a witness that knows the logs of this node alone."""
        with self._lock:
            owner = self._owner(node.origin)
            if owner not in (None, node.node) or not self._is_below(node, message.request):
                return _refused(Outcome.NOT_FOUND, "this log is none of the node")
            try:
                keys = [
                    ed25519_key(_ORIGIN.format(node.origin, Stream.CHANGE.value, "1970-01"), public)
                    for public in _publics(node)
                ]
            except ValueError as error:
                return _refused(Outcome.FORBIDDEN, f"the node told no key of its logs: {error}")
            answer = Witness(self._key, self._sign, keys, self._state).add_checkpoint(message.request, now_s)
            if owner is None and answer.status in (OK, CONFLICT):
                self._own(node)
        return messages.Cosigned(answer.status, answer.body)

    def month(self, node: LogNode, message: messages.Month) -> messages.Wanted:
        """Take a month, or go on with it."""
        with self._lock:
            try:
                checkpoint = self._final(node, message)
                folder = self._folder(node, message.stream, message.month)
                have = folder.checkpoint()
                if have is not None and have != message.checkpoint:
                    raise _FaultError(
                        f"{checkpoint.origin} 已按另一检查点收齐。"
                        f"{checkpoint.origin} is complete with another checkpoint"
                    )
                if have is not None:
                    return messages.Wanted(True, "", 0, "")
                self._require_begins_later(node, message, checkpoint)
            except _FaultError as error:
                return messages.Wanted(False, "", 0, str(error))
            if folder.under_way() != message.checkpoint:
                folder.begin(message.checkpoint)
            return self._next(folder, MonthFiles(checkpoint.size), checkpoint)

    def month_file(self, node: LogNode, message: messages.MonthFile) -> messages.Wanted:
        """Take part of a file, if it is what comes next; say what does."""
        if parse_log(f"{message.stream}/{message.month}") is None:
            return _SAY_MONTH
        with self._lock:
            folder = self._folder(node, message.stream, message.month)
            note = folder.under_way()
            if note is None:
                return messages.Wanted(folder.checkpoint() is not None, "", 0, "")
            checkpoint = parse_checkpoint(open_note(note, ()).text)
            files = MonthFiles(checkpoint.size)
            place, offset = folder.next(files)
            if place < len(files) and (files[place].path, offset) == (message.path, message.offset):
                try:
                    self._take(node, message, folder, checkpoint, files[place])
                except _FaultError as error:
                    folder.forget()
                    return messages.Wanted(False, "", 0, str(error))
                except DamagedError as error:
                    folder.throw_away()
                    return messages.Wanted(False, "", 0, _thrown_away(checkpoint.origin, str(error)))
            return self._next(folder, files, checkpoint)

    # --- files ---
    def _take(
        self, node: LogNode, message: messages.MonthFile, folder: MonthFolder, checkpoint: Checkpoint, file: MonthFile
    ) -> None:
        """Errors: _FaultError, DamagedError."""
        name = f"{message.stream}/{message.month}/{file.path}"
        if len(message.data) > min(limits.UPSTREAM_PART_BYTES, file.bytes_max - message.offset):
            raise _FaultError(f"{name} 过长。{name} is too long")
        if not message.last:
            if message.data:
                folder.add(message.offset, message.data)
            return
        files, data = MonthFiles(checkpoint.size), folder.whole(message.data)
        if not folder.is_proven(file, data, files, checkpoint.root, _publics(node)):
            if file.edge and len(data) == file.bytes_max:
                raise DamagedError("右缘不通向检查点的根 its right edge does not lead to the root")
            if file.width == WIDTH or (file.width and file.level is None):
                folder.require_whole_above(file, files, checkpoint)
            raise _FaultError(f"{name} 与签署的检查点不符。{name} does not fit the checkpoint that was signed")
        if file.level is None and file.width and not file.number:
            self._require_begins(node, message.stream, unpack_bundle(data)[0])
        folder.put(file, message.offset, message.data)

    def _next(self, folder: MonthFolder, files: MonthFiles, checkpoint: Checkpoint) -> messages.Wanted:
        place, offset = folder.next(files)
        if place < len(files):
            return messages.Wanted(False, files[place].path, offset, "")
        try:
            folder.complete(files, checkpoint)
        except DamagedError as error:
            folder.throw_away()
            return messages.Wanted(False, "", 0, _thrown_away(checkpoint.origin, str(error)))
        return messages.Wanted(True, "", 0, "")

    # --- checkpoints ---
    def _final(self, node: LogNode, message: messages.Month) -> Checkpoint:
        """Return the checkpoint of a month, which this node signed and which was cosigned last. Errors: _FaultError."""
        origin = _ORIGIN.format(node.origin, message.stream, message.month)
        try:
            if parse_log(f"{message.stream}/{message.month}") is None:
                raise ValueError("no month of a log")
            note = open_note(message.checkpoint, [ed25519_key(origin, public) for public in _publics(node)])
            checkpoint = parse_checkpoint(note.text)
        except ValueError as error:
            raise _FaultError(f"检查点无法读取。The checkpoint cannot be read: {error}") from None
        if not note.signed_by or checkpoint.origin != origin or self._owner(node.origin) != node.node:
            raise _FaultError(
                f"检查点不是此节点为 {origin} 签署的。The checkpoint is not signed by this node as {origin}"
            )
        held = self._state.held(origin)
        if not checkpoint.size or held != (checkpoint.size, checkpoint.root):
            raise _FaultError(
                f"{origin} 最后见证的不是此检查点。The checkpoint is not the one of {origin} that was cosigned last"
            )
        return checkpoint

    def _require_begins_later(self, node: LogNode, message: messages.Month, checkpoint: Checkpoint) -> None:
        """Errors: _FaultError where a later month that is complete began behind another checkpoint of this one."""
        stream = Stream(message.stream)
        for month in months(self._data / _MONTHS / node.node, stream):
            if month <= message.month:
                continue
            try:
                entry = self._folder(node, stream.value, month).first_entry()
            except DamagedError:
                return  # it proves nothing any more
            if entry is not None and entry != message.checkpoint and _origin_of(entry) == checkpoint.origin:
                raise _FaultError(
                    f"{month} 接续的是此月的另一检查点。{month} begins behind another checkpoint of this month"
                )
            return

    def _require_begins(self, node: LogNode, stream: str, entry: bytes) -> None:
        """Errors: _FaultError where a month begins behind another checkpoint than that of the month that is here."""
        origin = _origin_of(entry)
        head, _, month = origin.rpartition("/")
        if head == _ORIGIN.format(node.origin, stream, "")[:-1] and parse_log(f"{stream}/{month}") is not None:
            have = self._folder(node, stream, month).checkpoint()
            if have is not None and have != entry:
                raise _FaultError(
                    f"首条不是 {month} 收齐时的检查点。"
                    f"The first entry is not the checkpoint that {month} is complete with"
                )

    @staticmethod
    def _is_below(node: LogNode, request: bytes) -> bool:
        """Whether a request is of a log of this node; also one that cannot be read, which the witness answers."""
        try:
            origin = _origin_of(parse_request(request).note)
        except ValueError:
            return True
        log = parse_log(origin.removeprefix(f"{node.origin}/log/"))
        return not origin or (log is not None and origin == _ORIGIN.format(node.origin, log[0].value, log[1]))

    # --- hosts ---
    def _host_path(self, host: str) -> Path:
        return self._data / _HOSTS / hashlib.sha256(host.encode()).hexdigest()

    def _owner(self, host: str) -> str | None:
        try:
            return self._host_path(host).read_text("ascii").strip()
        except FileNotFoundError:
            return None

    def _own(self, node: LogNode) -> None:
        path = self._host_path(node.origin)
        self._files.make_folder(path.parent)
        self._files.replace(path, f"{node.node}\n".encode())
        self._files.sync_folder(path.parent)

    def _folder(self, node: LogNode, stream: str, month: str) -> MonthFolder:
        """Return the folder of a month, whose names are of the layout. Errors: ValueError for no key id."""
        if not _NODE.fullmatch(node.node):
            raise ValueError(f"{node.node!r} is no key id")
        return MonthFolder(self._data / _MONTHS / node.node / stream, month, self._files)


def _publics(node: LogNode) -> frozenset[bytes]:
    """Errors: NoteError."""
    return frozenset(parse_vkey(vkey).public for vkey in node.vkeys)


def _origin_of(entry: bytes) -> str:
    """Return the origin of an entry that is a checkpoint, empty of any other."""
    try:
        return parse_checkpoint(open_note(entry, ()).text).origin
    except ValueError:
        return ""


def _refused(outcome: Outcome, why: str) -> messages.Cosigned:
    return messages.Cosigned(STATUSES[outcome].http, f"{why}\n".encode())


def _thrown_away(log: str, why: str) -> str:
    return f"{log} 已全部丢弃，将重新接收。All of {log} was thrown away and is taken anew: {why}"
