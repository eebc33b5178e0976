"""Resolutions over HTTP that need no second look: the octets of ``json_api``, by splicing.

Public records asked as a whole, and records that are not there. The head is made once,
up to the length of the body; Date comes from the front.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from core import limits
from core.errors import NodeError, Outcome
from core.events import ResolutionLog, Via
from core.outcomes import STATUSES
from core.wire.http import retry_after
from core.wire.jsontext import quote
from resolver.json_api import Store
from resolver.service import Question, Resolver

_VARY: Final = "Vary: Accept-Encoding, User-Agent\r\n"


class _Shape:
    """What all answers of one outcome share."""

    def __init__(self, outcome: Outcome, vary: str) -> None:
        self.status = STATUSES[outcome].http_handles
        reason = HTTPStatus(self.status).phrase
        self.head = (
            f"HTTP/1.1 {self.status} {reason}\r\nContent-Type: application/json;charset=utf-8\r\n{vary}"
            "Content-Length: %d\r\nDate: "
        ).encode()
        self.body = f'{{"responseCode":{int(STATUSES[outcome].handle)},"handle":'.encode()


def refusal(error: NodeError) -> tuple[bytes, bytes]:
    """Return head and body of an answer that says why, as ``render_error`` makes it."""
    status = STATUSES[error.ended].http_handles
    body = f'{{"responseCode":{int(STATUSES[error.ended].handle)},"message":{quote(error.message)}}}'.encode()
    later = "".join(f"{name}: {value}\r\n" for name, value in retry_after(error.ended))
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{later}Content-Type: application/json;charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nDate: "
    )
    return head.encode(), body


_FOUND: Final = _Shape(Outcome.OK, _VARY)
_MISSING: Final = _Shape(Outcome.HANDLE_NOT_FOUND, "")


class QuickResolver:
    """Answers what is common; leaves the rest to ``JsonApi``. ``count`` is told method and status."""

    def __init__(self, resolver: Resolver, store: Store, log: ResolutionLog, count: Callable[[str, int], None]) -> None:
        self._resolver = resolver
        self._store = store
        self._log = log
        self._count = count

    def resolve(self, handle: str, gzip: bool, peer: bytes) -> tuple[bytes, bytes] | None:
        """Return the head of the answer up to the value of Date, and its body.

        None where the request needs a second look: also if this one failed, for the long way
        names the error and logs it. ``gzip``: whether the client takes it.
        """
        if not self._log.writable:
            return None
        try:
            with self._store.snapshot() as snapshot:
                answer = self._resolver.resolve(snapshot, Question(handle))
        except Exception:
            return None
        if answer.json is not None and answer.outcome is Outcome.OK:
            shape, values = _FOUND, b',"values":' + answer.json
        elif answer.outcome is Outcome.HANDLE_NOT_FOUND:
            shape, values = _MISSING, b""
        else:
            return None
        body = b"%b%b%b}" % (shape.body, quote(handle).encode(), values)
        if gzip and len(body) >= limits.GZIP_BYTES_MIN:
            return None
        self._log.resolved(Via.JSON, answer.outcome, peer, handle.encode())
        self._count("GET", shape.status)
        return shape.head % len(body), body
