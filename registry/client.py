"""How the registrar is reached: by a worker's event loop, or by the command line.

Both connect through ``/proc/self/fd``, so the path of the data folder may be as long
as it likes (a Unix socket's own path is cut at 108 octets).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from core import limits
from core.clock import monotonic_s
from core.errors import Outcome, StoreError, WireError
from registry.commands import Request, Result
from registry.protocol import Frames, decode_result, encode_request

SOCKET_NAME: Final = "registrar.sock"
_RETRY_S: Final = 0.02
_UNKNOWN: Final = Result(
    Outcome.OVERLOADED,
    message="The outcome is unknown: ask for the record, or repeat the request with the same Idempotency-Key",
)


@contextmanager
def short_path(folder: Path) -> Iterator[str]:
    """Give a short path of the registrar's socket in a folder. Errors: OSError if there is no folder."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)


class RegistrarClient:
    """A worker's way to the registrar: a connection that is made when needed, and again when lost.

    Bounds: REGISTRAR_WAITING_MAX requests under way; REGISTRAR_WAIT_S for a registrar
    that restarts; REGISTRAR_ANSWER_S for an answer.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._link: _Link | None = None
        self._connecting = asyncio.Lock()
        self._under_way = 0

    async def call(self, request: Request) -> Result:
        """Have a request run. Errors: StoreError(OVERLOADED) if it was not even sent."""
        if self._under_way >= limits.REGISTRAR_WAITING_MAX:
            raise StoreError("Too many changes are under way; try again")
        self._under_way += 1
        try:
            link = await self._connected(monotonic_s() + limits.REGISTRAR_WAIT_S)
            return await link.call(request)
        finally:
            self._under_way -= 1

    async def _connected(self, deadline_s: float) -> _Link:
        async with self._connecting:
            while self._link is None or self._link.lost:
                try:
                    with short_path(self._folder) as path:
                        _, self._link = await asyncio.get_running_loop().create_unix_connection(_Link, path)
                except OSError:
                    if monotonic_s() > deadline_s:
                        raise StoreError("The registrar is not there; try again") from None
                    await asyncio.sleep(_RETRY_S)
            return self._link


class _Link(asyncio.Protocol):
    """One connection, and the requests that wait on it."""

    def __init__(self) -> None:
        self.lost = False
        self._transport: asyncio.Transport | None = None
        self._frames = Frames()
        self._waiting: dict[int, asyncio.Future[Result]] = {}
        self._number = 0

    async def call(self, request: Request) -> Result:
        assert self._transport is not None
        self._number += 1
        number = self._number
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._transport.write(encode_request(number, request))
            return await asyncio.wait_for(future, limits.REGISTRAR_ANSWER_S)
        except TimeoutError:
            return _UNKNOWN
        finally:
            self._waiting.pop(number, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        for future in self._waiting.values():
            if not future.done():
                future.set_result(_UNKNOWN)

    def data_received(self, data: bytes) -> None:
        for body in self._frames.feed(data):
            number, result = decode_result(body)
            future = self._waiting.get(number)
            if future is not None and not future.done():
                future.set_result(result)


class BlockingClient:
    """The command line's connection, one request at a time."""

    def __init__(self, folder: Path) -> None:
        """Connect. Errors: OSError if no registrar listens there."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with short_path(folder) as path:
                self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self._socket.settimeout(limits.REGISTRAR_ANSWER_S)
        self._frames = Frames()
        self._number = 0

    def call(self, request: Request) -> Result:
        """Have a request run. Errors: StoreError(OVERLOADED) if the answer does not come."""
        self._number += 1
        try:
            self._socket.sendall(encode_request(self._number, request))
            while True:
                data = self._socket.recv(65_536)
                if not data:
                    raise ConnectionError("closed")
                for body in self._frames.feed(data):
                    return decode_result(body)[1]
        except (OSError, WireError) as error:
            raise StoreError(
                f"The node went away before it answered ({error}); the outcome is unknown, ask for the record"
            ) from None

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
