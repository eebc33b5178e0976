"""``/log/…``: the statutory logs as they are published, for those who may read them (call ``log.read``).

    /log/                                  months of each stream, JSON
    /log/vkeys                             vkeys of all months, a line each
    /log/{stream}/{month}/checkpoint       and checkpoint.cosigned, vkey: they change, or may
    /log/{stream}/{month}/tile/…           hashes and entries, which never change

Paths are those of C2SP tlog-tiles and of ``audit/published.py``, as they are written; anything else is not there.
Files are read off the event loop and piece by piece, LOG_FILES_OPEN at a time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

from audit.published import LogPath, OpenFile, months_of, open_published, parse_path, vkeys_of
from core import limits
from core.errors import NodeError, Outcome, StoreError
from core.outcomes import STATUSES
from core.wire.http import Headers, Request, Response, not_allowed, nothing_there, problem, problem_of
from registry.desk import dump

START: Final = "/log/"
CALL: Final = "log.read"
_VKEYS: Final = "vkeys"
_CHANGES: Final = ("Cache-Control", "private, no-cache")
_STAYS: Final = ("Cache-Control", "private, max-age=31536000, immutable")
_TEXT: Final[Headers] = (("Content-Type", "text/plain; charset=utf-8"), _CHANGES)
_OCTETS: Final[Headers] = (("Content-Type", "application/octet-stream"), _STAYS)
_JSON: Final[Headers] = (("Content-Type", "application/json"), _CHANGES)
_OK: Final = STATUSES[Outcome.OK].http

Require = Callable[[Request, str, str], Awaitable[None]]
"""Looks whether a request may make a call about something. Errors: NodeError."""


class LogApi:
    """Answers below ``/log/``. ``root``: folder of all logs. ``require``: who may."""

    def __init__(self, root: Path, require: Require) -> None:
        self._root = root
        self._require = require
        self._open = 0

    async def answer(self, request: Request) -> Response:
        """Answer one request, whatever it is."""
        rest = request.path[len(START) :]
        path = parse_path(rest)
        if path is None and rest not in ("", _VKEYS):
            return nothing_there(request.path)
        if request.method not in ("GET", "HEAD"):
            return not_allowed(request.path, "GET, HEAD")
        try:
            await self._require(request, CALL, rest if path is None else f"{path.stream}/{path.month}")
            return await self._listed(rest) if path is None else await self._file(request, path)
        except NodeError as error:
            return problem_of(error, request.path)
        except OSError as error:
            return problem_of(_unread(error), request.path)

    async def _listed(self, what: str) -> Response:
        if what == _VKEYS:
            vkeys = await asyncio.to_thread(vkeys_of, self._root)
            return Response(_OK, _TEXT, "".join(f"{vkey}\n" for vkey in vkeys).encode())
        return Response(_OK, _JSON, dump({"streams": await asyncio.to_thread(months_of, self._root)}))

    async def _file(self, request: Request, path: LogPath) -> Response:
        if self._open >= limits.LOG_FILES_OPEN:
            raise StoreError("正在读取的日志文件过多，请稍后重试。Too many files of the logs are being read; try again")
        self._open += 1
        opened = None
        try:
            opened = await asyncio.to_thread(open_published, self._root, path)
        finally:
            if opened is None:
                self._free()
        if opened is None:
            return problem(Outcome.NOT_FOUND, "没有此日志文件。The logs have no such file", request.path)
        headers = _OCTETS if path.tile else _TEXT
        return Response(_OK, headers, stream=_FileStream(opened, self._free))

    def _free(self) -> None:
        self._open -= 1


class _FileStream:
    """See Stream. ``closed`` is called once."""

    def __init__(self, opened: OpenFile, closed: Callable[[], None]) -> None:
        self.size_bytes = opened.size_bytes
        self._descriptor = opened.descriptor
        self._closed: Callable[[], None] | None = closed

    async def pieces(self) -> AsyncIterator[bytes]:
        at = 0
        while at < self.size_bytes:
            wanted = min(limits.LOG_PIECE_BYTES, self.size_bytes - at)
            try:
                piece = await asyncio.to_thread(os.pread, self._descriptor, wanted, at)
            except OSError as error:
                raise ConnectionAbortedError(error.strerror) from None
            if not piece:
                raise ConnectionAbortedError("a file of the logs became shorter")
            at += len(piece)
            yield piece

    def close(self) -> None:
        if self._closed is not None:
            os.close(self._descriptor)
            self._closed()
            self._closed = None


def _unread(error: OSError) -> StoreError:
    return StoreError(f"日志暂时无法读取。The logs cannot be read just now: {error.strerror}")
