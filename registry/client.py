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


class RegistrarClient(asyncio.Protocol):
    """A worker's connection; made when it is needed, and again when it was lost.

    Bounds: REGISTRAR_WAITING_MAX requests under way; REGISTRAR_WAIT_S for a registrar
    that restarts; REGISTRAR_ANSWER_S for an answer.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._transport: asyncio.Transport | None = None
        self._frames = Frames()
        self._connecting = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[Result]] = {}
        self._number = 0

    async def call(self, request: Request) -> Result:
        """Have a request run. Errors: StoreError(OVERLOADED) if it was not even sent."""
        if len(self._waiting) >= limits.REGISTRAR_WAITING_MAX:
            raise StoreError("Too many changes are under way; try again")
        transport = await self._connected()
        self._number += 1
        number = self._number
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            transport.write(encode_request(number, request))
            return await asyncio.wait_for(future, limits.REGISTRAR_ANSWER_S)
        except TimeoutError:
            return _UNKNOWN
        finally:
            self._waiting.pop(number, None)

    async def _connected(self) -> asyncio.Transport:
        async with self._connecting:
            deadline = monotonic_s() + limits.REGISTRAR_WAIT_S
            while self._transport is None or self._transport.is_closing():
                try:
                    with short_path(self._folder) as path:
                        await asyncio.get_running_loop().create_unix_connection(lambda: self, path)
                except OSError:
                    if monotonic_s() > deadline:
                        raise StoreError("The registrar is not there; try again") from None
                    await asyncio.sleep(_RETRY_S)
            return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class
        self._frames = Frames()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
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
