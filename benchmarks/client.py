"""One HTTP connection kept open, as plain as it gets: prepared octets out, one answer in."""

from __future__ import annotations

import base64
import socket
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import quote

_CHUNK = 1 << 18


class Answer(NamedTuple):
    """One HTTP answer."""

    status: int
    body: bytes


class Connection:
    """A keep-alive connection to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> Answer:
        """Send one request and wait for its answer. Errors: ConnectionError."""
        self._socket.sendall(request)
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        head = bytes(data[:end]).lower()
        _, found, length = head.partition(b"\r\ncontent-length:")
        if not found:
            raise ConnectionError(f"an answer without Content-Length: {head!r}")
        size = end + 4 + int(length.partition(b"\r\n")[0])
        while len(data) < size:
            data += self._receive()
        return Answer(int(head.split(b" ", 2)[1]), bytes(data[end + 4 :]))

    def _receive(self) -> bytes:
        data = self._socket.recv(_CHUNK)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()


def request(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """Return the octets of a request."""
    members = {"Host": "127.0.0.1", "Accept": "*/*"} | (headers or {})
    if body:
        members |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in members.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def resolution(handle: str) -> bytes:
    """Return the request that resolves a handle over the Handle JSON interface."""
    return request("GET", f"/api/handles/{quote(handle, safe='/')}")


def basic(identity: str, secret: str) -> dict[str, str]:
    """Return the header of HTTP Basic for INDEX:HANDLE."""
    user = f"{quote(identity, safe='')}:{secret}".encode()
    return {"Authorization": f"Basic {base64.b64encode(user).decode()}"}
