"""Resolutions over HTTP that need no second look: the octets of ``json_api``, by splicing.

Public records asked as a whole, and records that are not there or held. The head is made once,
for each length of the body, and Date once a second.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from core import clock, limits
from core.errors import NodeError, Outcome
from core.events import ResolutionLog, Via
from core.outcomes import STATUSES
from core.store.engine import Table
from core.store.record_rows import ANSWER_HEAD_BYTES, has_public
from core.wire.http import retry_after
from core.wire.jsontext import quote
from resolver.plain import PlainReads
from resolver.service import Question, Resolver

_VARY: Final = "Vary: Accept-Encoding, User-Agent\r\n"


class _Shape:
    """What all answers of one outcome share."""

    def __init__(self, outcome: Outcome, vary: str = "", message: str = "") -> None:
        self.status = STATUSES[outcome].http_handles
        reason = HTTPStatus(self.status).phrase
        self.head = (
            f"HTTP/1.1 {self.status} {reason}\r\nContent-Type: application/json;charset=utf-8\r\n{vary}"
            "Content-Length: %d\r\nDate: "
        ).encode()
        told = f'"message":{quote(message)},' if message else ""
        self.body = f'{{"responseCode":{int(STATUSES[outcome].handle)},{told}"handle":'.encode()


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
_MISSING: Final = _Shape(Outcome.HANDLE_NOT_FOUND)
_ABSENT: Final = {
    Outcome.HANDLE_NOT_FOUND: _MISSING,
    Outcome.HELD: _MISSING,  # the same octets
    Outcome.NOT_ISSUED: _Shape(Outcome.NOT_ISSUED, message=Outcome.NOT_ISSUED.value),
    Outcome.GONE: _Shape(Outcome.GONE, message=Outcome.GONE.value),
}
_ANSWERS: Final = Table.ANSWERS
_VALUES: Final = b'","values":'


class QuickResolver:
    """Answers what is common; leaves the rest to ``JsonApi``. ``found``, ``missing`` count their answers."""

    def __init__(
        self, reads: PlainReads, resolver: Resolver, log: ResolutionLog,
        found: Callable[[], None], missing: Callable[[], None],
    ) -> None:  # fmt: skip
        self._reads = reads
        self._resolver = resolver
        self._log = log
        self._count_found = found
        self._count_missing = missing
        self._date = b""
        self._found_start = b""

    def begin(self) -> bool:
        """Begin to answer requests that have come; False where nothing can be answered just now."""
        date = clock.http_date()
        if date is not self._date:
            self._date, self._found_start = date, date + _FOUND.body + b'"'
        return self._log.writable and self._reads.begin()

    def end(self) -> None:
        """End what ``begin`` began."""
        self._reads.end()

    def plain(self, handle: bytes, gzip: bool, peer: bytes) -> tuple[bytes, ...] | None:
        """Return the answer in pieces, for a handle that JSON and a path leave as it is.

        Between ``begin`` and ``end``. None where the request needs a second look: also if this one failed, for
        the long way names the error and logs it. ``gzip``: whether the client takes it.
        """
        try:
            row = self._reads.row(_ANSWERS, handle)
        except Exception:
            return None
        if row is None or not has_public(row):
            return self.any(handle.decode(), gzip, peer)
        size = _FOUND_BYTES + len(handle) + len(row)
        if gzip and size >= limits.GZIP_BYTES_MIN:
            return None
        self._log.resolved(Via.JSON, Outcome.OK, peer, handle)
        self._count_found()
        return _found_head(size), self._found_start, handle, _VALUES, row[ANSWER_HEAD_BYTES:] + b"}"

    def any(self, handle: str, gzip: bool, peer: bytes) -> tuple[bytes, ...] | None:
        """Return the answer in pieces, for any handle. See ``plain``."""
        try:
            answer = self._resolver.resolve(self._reads.snapshot, Question(handle))
        except Exception:
            return None
        if answer.json is not None and answer.outcome is Outcome.OK:
            shape, values, count = _FOUND, b',"values":' + answer.json, self._count_found
        elif answer.outcome in _ABSENT:
            shape, values, count = _ABSENT[answer.outcome], b"", self._count_missing
        else:
            return None
        body = b"%b%b%b}" % (shape.body, quote(handle).encode(), values)
        if gzip and len(body) >= limits.GZIP_BYTES_MIN:
            return None
        self._log.resolved(Via.JSON, answer.outcome, peer, handle.encode())
        count()
        return shape.head % len(body), self._date, body


_FOUND_BYTES: Final = len(_FOUND.body) + len('"' + '","values":' + "}") - ANSWER_HEAD_BYTES


@lru_cache(maxsize=limits.QUICK_HEADS_MAX)
def _found_head(size: int) -> bytes:
    """Return the head of an answer with a body of so many octets, up to the value of Date."""
    return _FOUND.head % size
