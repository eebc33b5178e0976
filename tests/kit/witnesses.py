"""A witness for tests: the real decision behind a real server, which can be told to misbehave."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.note import NoteKey, witness_key
from audit.witness import Witness
from audit.witness_state import FileState
from core.clock import UnixSeconds
from node.witness_front import witness_application

NAME = "witness.example/w1"
SEED = bytes(range(32, 64))
NOW_S = UnixSeconds(1_763_683_200)
PRIVATE = Ed25519PrivateKey.from_private_bytes(SEED)
KEY = witness_key(NAME, PRIVATE.public_key().public_bytes_raw())
Answers = Callable[[bytes], web.Response | None]


def witness(
    folder: Path, *logs: NoteKey, private: Ed25519PrivateKey = PRIVATE, state: FileState | None = None
) -> Witness:
    """Return a witness that holds what it knows in a folder."""
    key = witness_key(NAME, private.public_key().public_bytes_raw())
    return Witness(key, private.sign, logs, FileState(folder) if state is None else state)


class Server:
    """One that answers as the witness does, or as ``answers`` says of a body (None: as the witness does)."""

    def __init__(self, decides: Witness, now_s: Callable[[], UnixSeconds] = lambda: NOW_S) -> None:
        self.application = witness_application(decides, now_s)
        self.application.middlewares.append(self._middle)
        self.bodies: list[bytes] = []
        self.statuses: list[int] = []
        self.answers: Answers = lambda body: None
        self.url = ""

    @web.middleware
    async def _middle(self, request: web.Request, handler: Callable[..., object]) -> web.StreamResponse:
        body = await request.read() if request.method == "POST" else b""
        told = self.answers(body) if request.method == "POST" else None
        response = await handler(request) if told is None else told
        assert isinstance(response, web.StreamResponse)
        if request.method == "POST":
            self.bodies.append(body)
            self.statuses.append(response.status)
        return response

    @contextlib.asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[Server]:
        runner = web.AppRunner(self.application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, reuse_address=True)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()
