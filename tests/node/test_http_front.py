"""The bounds of bodies under way: their time, and their sum in one worker. Real sockets, small limits."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from core import limits
from core.wire.http import Request, Response
from node.http_front import HttpFront
from tests.kit.logs import everyone


async def answer(request: Request) -> Response:
    return Response(200, (), str(len(request.body)).encode())


async def check_head(_: Request) -> None:
    """Every head will do."""


def sent(*requests: bytes) -> list[bytes]:
    """Serve a front on loopback; send each request on a connection of its own; return the answers."""

    async def run() -> list[bytes]:
        front = HttpFront(answer, check_head, plain_auth=True, admits=everyone, observe=lambda *_: None)
        listener = socket.create_server(("127.0.0.1", 0))
        await front.listen(listener, None)
        answers = []
        for octets in requests:
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(octets)
            answers.append(await reader.read())
            writer.close()
        await front.drain()
        return answers

    return asyncio.run(asyncio.wait_for(run(), 30))


def put(announced: int, body: bytes) -> bytes:
    head = f"PUT /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {announced}\r\n\r\n"
    return head.encode() + body


def test_a_body_that_does_not_come_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """After BODY_S, although the connection is open."""
    monkeypatch.setattr(limits, "BODY_S", 0.05)
    monkeypatch.setattr(limits, "LINGER_S", 0)
    (refusal,) = sent(put(10, b"half"))
    assert refusal.startswith(b"HTTP/1.1 413")
    assert "did not come" in json.loads(refusal.partition(b"\r\n\r\n")[2])["detail"]


def test_the_bodies_of_a_worker_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond BODIES_BYTES_MAX 503; a body that was refused or answered counts no longer."""
    monkeypatch.setattr(limits, "BODIES_BYTES_MAX", 1_000)
    fits, too_much = put(900, b"x" * 900), put(1_100, b"x" * 1_100)
    answers = sent(fits, too_much, fits, too_much, fits)
    assert [octets.split(b" ", 2)[1] for octets in answers] == [b"200", b"503", b"200", b"503", b"200"]
