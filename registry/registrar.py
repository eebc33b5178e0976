"""The registrar's socket: collects what is waiting, runs it as one group, answers.

1. All requests that one turn of the event loop brings are one group and one fsync;
   while it lasts the next group collects in the sockets.
2. Groups end at GROUP_REQUESTS_MAX requests or at a batch, so a commit stays short.
3. StorePanicError ends the process at once; the supervisor starts another.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, cast

from core import limits
from core.clock import Millis, monotonic_ns
from core.errors import Outcome, StoreError, WireError
from core.store.engine import StorePanicError
from registry.client import short_path
from registry.commands import ExportPrefix, NoteAct, NoteRefusal, PutBatch, ReadContact, ReadIdentity, Request, Result
from registry.probe import Probe
from registry.protocol import Frames, decode_request, encode_result
from registry.service import Registry

_LOG: Final = logging.getLogger("saltern.registrar")
_EXIT_PANIC: Final = 70
_NO_REGISTRATION: Final = (NoteRefusal, NoteAct, Probe, ReadIdentity, ReadContact, ExportPrefix)
_CREDENTIALS: Final = struct.Struct("iII")  # pid, uid, gid


def bind_socket(folder: Path) -> socket.socket:
    """Return the registrar's listening socket, mode 0600, in a folder that only the node may enter."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with short_path(folder) as path:
        Path(path).unlink(missing_ok=True)  # of a registrar that was killed
        listener.bind(path)
        Path(path).chmod(0o600)
    listener.listen(limits.WORKERS_MAX)
    return listener


class _Waiting(NamedTuple):
    connection: Connection
    number: int
    request: Request
    came_ns: int


def _unmeasured(answers: int, came_ns: int) -> None:
    """Measure nothing."""


class Registrar:
    """Runs what its connections bring. ``observe``: (requests, failed) of each group.

    ``measure``: one request that came then, on the clock that never jumps, wrote something and is answered now.
    """

    def __init__(
        self, registry: Registry, now_ms: Callable[[], Millis], observe: Callable[[int, int], None],
        measure: Callable[[int, int], None] = _unmeasured,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._now_ms = now_ms
        self._observe = observe
        self._measure = measure
        self._waiting: deque[_Waiting] = deque()
        self._scheduled = False

    def connection(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self)

    def submit(self, connection: Connection, number: int, request: Request, came_ns: int) -> None:
        """Take a request; it is run at the end of this turn. ``came_ns``: when its last octets came."""
        self._waiting.append(_Waiting(connection, number, request, came_ns))
        self._schedule()

    async def run(self, stopping: asyncio.Event) -> None:
        """Look now and then for refusals that were only counted, until it is told to stop."""
        while not stopping.is_set():
            self._tell_counted(last=False)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), limits.LOG_ROUND_S)

    def close(self) -> None:
        """Enter what was only counted."""
        self._tell_counted(last=True)

    def _tell_counted(self, *, last: bool) -> None:
        try:
            self._registry.tell_counted(self._now_ms(), last=last)
        except StoreError as error:
            _LOG.error("refusals that were counted are not entered yet: %s", error.message)
        except StorePanicError:
            _end_in_panic()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._run_group)

    def _run_group(self) -> None:
        self._scheduled = False
        group = self._next_group()
        try:
            results = self._registry.run([waiting.request for waiting in group], self._now_ms())
        except StorePanicError:
            _end_in_panic()
        except Exception:
            _LOG.exception("a group of %d requests failed", len(group))
            results = [Result(Outcome.INTERNAL, message="The registrar failed; see its log")] * len(group)
        self._observe(len(results), sum(not result.done for result in results))
        for waiting, result in zip(group, results, strict=True):
            waiting.connection.answer(waiting.number, result)
            if result.done and not (waiting.request.dry_run or isinstance(waiting.request.command, _NO_REGISTRATION)):
                self._measure(1, waiting.came_ns)
        if self._waiting:
            self._schedule()

    def _next_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        while self._waiting and len(group) < limits.GROUP_REQUESTS_MAX:
            group.append(self._waiting.popleft())
            if isinstance(group[-1].request.command, PutBatch):
                break
        return group


def _end_in_panic() -> NoReturn:
    _LOG.critical("the store cannot be used any more by this process; it ends and is started again")
    os._exit(_EXIT_PANIC)


class Connection(asyncio.Protocol):
    """One worker, or one command line."""

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self._uid = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class
        self._uid = _peer_uid(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        came_ns = monotonic_ns()
        try:
            for body in self._frames.feed(data):
                number, request = decode_request(body)
                if request.actor.local:
                    request = request._replace(actor=request.actor._replace(uid=self._uid))
                self._registrar.submit(self, number, request, came_ns)
        except WireError as error:
            _LOG.error("a connection is closed: %s", error.message)
            if self._transport is not None:
                self._transport.abort()

    def answer(self, number: int, result: Result) -> None:
        """Send a result; nobody may be there any more."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode_result(number, result))


def _peer_uid(channel: socket.socket) -> int:
    """Return the user id of the process at the other end (Linux, unix(7): SO_PEERCRED)."""
    _, uid, _ = _CREDENTIALS.unpack(channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(uid)
