"""A witness over HTTP: octets to ``audit/witness.py`` and back, nothing else.

POST /add-checkpoint                      a checkpoint to cosign
GET  /<SHA-256 of the origin>/checkpoint  the last one that was cosigned
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from aiohttp import web

from audit.witness import OK, TEXT, Answer
from audit.witness_state import StateError
from core import limits
from core.clock import UnixSeconds
from core.errors import Outcome
from core.outcomes import STATUSES
from node.http_front import PlainResponse

_LOG: Final = logging.getLogger("saltern.witness")


class Cosigner(Protocol):
    """Decides. See ``audit.witness.Witness``."""

    def add_checkpoint(self, body: bytes, now_s: int) -> Answer:
        """Answer a request. Cost: waits for the disk. Errors: OSError, StateError."""

    def cosigned(self, origin_sha256: str) -> bytes | None:
        """Return the last cosigned checkpoint of the origin with this digest. Errors: OSError, StateError."""


def witness_application(witness: Cosigner, now_s: Callable[[], UnixSeconds]) -> web.Application:
    """Return what serves a witness; it may be mounted below a prefix."""

    async def add_checkpoint(request: web.Request) -> web.StreamResponse:
        try:
            async with asyncio.timeout(limits.BODY_S):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _response(_failed(Outcome.TOO_LARGE, "the request is too long"))
        except TimeoutError:
            return _response(_failed(Outcome.MALFORMED, "the request takes too long"))
        return await _answered(lambda: witness.add_checkpoint(body, now_s()))

    async def cosigned(request: web.Request) -> web.StreamResponse:
        def read() -> Answer:
            note = witness.cosigned(request.match_info["digest"])
            return _failed(Outcome.NOT_FOUND, "no checkpoint") if note is None else Answer(OK, TEXT, note)

        return await _answered(read)

    application = web.Application(client_max_size=limits.WITNESS_BODY_BYTES_MAX)
    application.router.add_post("/add-checkpoint", add_checkpoint)
    application.router.add_get("/{digest:[0-9a-f]{64}}/checkpoint", cosigned)
    return application


async def _answered(work: Callable[[], Answer]) -> web.StreamResponse:
    """Answer by what waits for the disk; a disk that fails cosigns nothing."""
    try:
        return _response(await asyncio.to_thread(work))
    except (OSError, StateError) as error:
        _LOG.error("the witness cannot read or write what it holds: %s", error)
        return _response(_failed(Outcome.OVERLOADED, "try again later"))


def _failed(outcome: Outcome, why: str) -> Answer:
    return Answer(STATUSES[outcome].http, TEXT, f"{why}\n".encode())


def _response(answer: Answer) -> web.StreamResponse:
    headers = {"Content-Type": answer.media_type, "Cache-Control": "no-cache"}
    return PlainResponse(status=answer.status, body=answer.body, headers=headers)
