"""Resolutions over the Handle protocol that need no second look: the service's octets, sooner.

A plain question (operation 1, no session, no filters, nothing to be signed, digested or
encrypted, PUBLIC_ONLY) for a public record or a missing one. The answer is the fixed part,
packed at once, the handle as asked, and the stored row. A test holds it to the octets of
``node/handle_service.py``. Layouts: ``core/wire/envelope.py``, ``core/wire/message.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from core import limits
from core.clock import UnixSeconds
from core.errors import NodeError, Outcome
from core.events import ResolutionLog, Via
from core.outcomes import STATUSES
from core.store.engine import Table
from core.store.record_rows import public_wire
from core.wire.codepoints import VERSION, OpCode, OpFlag
from core.wire.message import answer_flags
from resolver.plain import PlainReads
from resolver.service import Question, Resolver

# What varies between plain questions: request id, lengths. The rest of envelope (8 octets) and header (16) is
# their form; sequence and expiration say nothing here.
_REQUEST: Final = struct.Struct(">8s4s4xI16s4xII")
_ANSWER: Final = struct.Struct(">8s4s4xI16sII")
_FRONT: Final = struct.Struct(">BBBBI")
_HEADER: Final = struct.Struct(">IIIHBB")
_HEAD: Final = _ANSWER.size
_HANDLE_AT: Final = _REQUEST.size
_ENVELOPE: Final = 20
_NO_CREDENTIAL: Final = bytes(4)
_AROUND: Final = _HEAD + len(_NO_CREDENTIAL)
_TAIL_BYTES: Final = 8
_TAILS: Final = (bytes(_TAIL_BYTES), bytes(_TAIL_BYTES) + _NO_CREDENTIAL)  # no indexes, no types
_EMPTY_TEXT: Final = bytes(4)
_COSTLY: Final = OpFlag.CERTIFIED | OpFlag.ENCRYPTED | OpFlag.RETURN_DIGEST
_RESOLUTION: Final = int(OpCode.RESOLUTION)
_RECORDS: Final = Table.RECORDS
_OK: Final = Outcome.OK


class _Form(NamedTuple):
    """What all questions of one form share: how the envelope and the header of the answer begin."""

    front: bytes
    found: bytes
    missing: bytes
    refer: bool


_UNKNOWN: Final = _Form(b"", b"", b"", refer=False)


class QuickHandles:
    """Answers what is common; leaves the rest to the service."""

    def __init__(
        self,
        reads: PlainReads,
        resolver: Resolver,
        site_serial: int,
        log: ResolutionLog,
        now_s: Callable[[], UnixSeconds],
    ) -> None:
        self._reads = reads
        self._resolver = resolver
        self._site_serial = site_serial
        self._log = log
        self._now_s = now_s
        self._forms: dict[tuple[bytes, bytes], _Form | None] = {}
        self._expiration = 0

    def begin(self) -> bool:
        """Begin to answer messages that have come; False where nothing can be answered just now."""
        self._expiration = self._now_s() + limits.HANDLE_ANSWER_S
        return self._log.writable and self._reads.begin()

    def end(self) -> None:
        """End what ``begin`` began."""
        self._reads.end()

    def answer(self, message: bytes, bytes_max: int, via: Via, peer: bytes) -> bytes | None:
        """Return envelope and message of the answer; None where the message needs a second look.

        Between ``begin`` and ``end``. ``message``: one message with its envelope. ``bytes_max``: a longer
        answer is left to others.
        """
        size = len(message)
        if size < _HANDLE_AT + _TAIL_BYTES:
            return None
        front, request_id, length, header, body_length, handle_length = _REQUEST.unpack_from(message)
        handle_end = _HANDLE_AT + handle_length
        if (
            length != size - _ENVELOPE
            or body_length != handle_length + 4 + _TAIL_BYTES
            or message[handle_end:] not in _TAILS
        ):
            return None
        form = self._forms.get((front, header), _UNKNOWN)
        if form is _UNKNOWN:
            form = self._form(front, header)
        if form is None:
            return None
        handle = message[_HANDLE_AT:handle_end]
        try:
            row = self._reads.row(_RECORDS, handle)
            wire = None if row is None else public_wire(row)
            if wire is None and not self._is_missing(handle, form):
                return None
        except NodeError:
            return None  # the service says what it is
        if wire is not None:
            head, body, outcome = form.found, message[_HEAD:handle_end] + wire, _OK
        else:
            head, body, outcome = form.missing, _EMPTY_TEXT, Outcome.HANDLE_NOT_FOUND
        size = len(body)
        if size > bytes_max - _AROUND:
            return None
        self._log.resolved(via, outcome, peer, handle)
        start = _ANSWER.pack(form.front, request_id, size + _AROUND - _ENVELOPE, head, self._expiration, size)
        return b"".join((start, body, _NO_CREDENTIAL))

    def _is_missing(self, handle: bytes, form: _Form) -> bool:
        """Whether there is no such record, and nothing stands in its place. Errors: NodeError."""
        if handle.startswith(b"0."):  # prefix handles, and 0.SITE/status
            return False
        try:
            name = handle.decode()
        except UnicodeDecodeError:
            return False
        question = Question(name, refer=form.refer, want="wire")
        return self._resolver.resolve(self._reads.snapshot, question).outcome is Outcome.HANDLE_NOT_FOUND

    def _form(self, front: bytes, header: bytes) -> _Form | None:
        """Return a form, None for one that needs a second look; and remember it. Bounds: QUICK_FORMS_MAX."""
        if len(self._forms) >= limits.QUICK_FORMS_MAX:
            self._forms.clear()
        form = self._forms[front, header] = _judged(front, header, self._site_serial)
        return form


def _judged(front: bytes, header: bytes, site_serial: int) -> _Form | None:
    major, _, envelope_flags, suggested_minor, session_id = _FRONT.unpack(front)
    op, code, flags, _, recursion, _ = _HEADER.unpack(header)
    if (
        op != _RESOLUTION
        or code
        or session_id
        or flags & _COSTLY
        or not flags & OpFlag.PUBLIC_ONLY
        or envelope_flags != VERSION.major
        or major != VERSION.major
    ):
        return None
    minor = min(suggested_minor, VERSION.minor)
    found, missing = [
        _HEADER.pack(op, int(STATUSES[outcome].handle), answer_flags(flags), site_serial, recursion, 0)
        for outcome in (Outcome.OK, Outcome.HANDLE_NOT_FOUND)
    ]
    return _Form(
        _FRONT.pack(VERSION.major, minor, VERSION.major, VERSION.minor, 0),
        found, missing, refer=not flags & OpFlag.NO_REFERRAL,
    )  # fmt: skip
