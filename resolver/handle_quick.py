"""Resolutions over the Handle protocol that need no second look: the service's octets, sooner.

A plain question (operation 1, no session, no filters, nothing to be signed, digested or
encrypted, PUBLIC_ONLY) for a public record or a missing one. The answer is the fixed part,
packed at once, the handle as asked, and the stored row. A test holds it to the octets of
``node/handle_service.py``. Layouts: ``core/wire/envelope.py``, ``core/wire/message.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from core import limits
from core.clock import Millis
from core.errors import NodeError, Outcome
from core.events import ResolutionLog, Via
from core.outcomes import STATUSES
from core.wire.codepoints import VERSION, OpCode, OpFlag
from core.wire.message import answer_flags
from resolver.json_api import Store
from resolver.service import Question, Resolver

# Envelope, header, length of the handle; then envelope and header.
_REQUEST: Final = struct.Struct(">BBBBIIIIIIIHBBIII")
_ANSWER: Final = struct.Struct(">BBBBIIIIIIIHBBII")
_HEAD: Final = _ANSWER.size
_ENVELOPE: Final = 20
_HEADER: Final = 24
_PLAIN_TAIL: Final = bytes(8)  # no indexes, no types
_NO_CREDENTIAL: Final = bytes(4)
_EMPTY_TEXT: Final = bytes(4)
_SUGGESTED: Final = 0x03
_COSTLY: Final = OpFlag.CERTIFIED | OpFlag.ENCRYPTED | OpFlag.RETURN_DIGEST
_RESOLUTION: Final = int(OpCode.RESOLUTION)
_FOUND: Final = int(STATUSES[Outcome.OK].handle)
_MISSING: Final = int(STATUSES[Outcome.HANDLE_NOT_FOUND].handle)


class QuickHandles:
    """Answers what is common; leaves the rest to the service."""

    def __init__(
        self,
        resolver: Resolver,
        store: Store,
        site_serial: int,
        log: ResolutionLog,
        now_ms: Callable[[], Millis],
    ) -> None:
        self._resolver = resolver
        self._store = store
        self._site_serial = site_serial
        self._log = log
        self._now_ms = now_ms

    def answer(self, message: bytes, bytes_max: int, via: Via, peer: bytes) -> bytes | None:
        """Return envelope and message of the answer; None where the message needs a second look.

        ``message``: one message with its envelope. ``bytes_max``: a longer answer is left to others.
        """
        size = len(message)
        if size < _REQUEST.size + len(_PLAIN_TAIL):
            return None
        (
            major, _, envelope_flags, suggested_minor, session_id, request_id, _, length,
            op, code, flags, _, recursion, _, _, body_length, handle_length,
        ) = _REQUEST.unpack_from(message)  # fmt: skip
        handle_end = _HEAD + 4 + handle_length
        if (
            op != _RESOLUTION
            or code
            or session_id
            or flags & _COSTLY
            or not flags & OpFlag.PUBLIC_ONLY
            or envelope_flags != VERSION.major
            or major != VERSION.major
            or length != size - _ENVELOPE
            or body_length != handle_length + 12
            or message[handle_end : handle_end + 8] != _PLAIN_TAIL
            or message[handle_end + 8 :] not in (b"", _NO_CREDENTIAL)
        ):
            return None
        handle = message[_HEAD + 4 : handle_end]
        try:
            name = handle.decode()
        except UnicodeDecodeError:
            return None
        if name[:2] == "0.":  # prefix handles, and 0.SITE/status
            return None
        if not self._log.writable:
            return None
        try:
            with self._store.snapshot() as snapshot:
                found = self._resolver.resolve(
                    snapshot, Question(name, refer=not flags & OpFlag.NO_REFERRAL, want="wire")
                )
        except NodeError:
            return None  # the service says what it is
        if found.wire is not None:
            body, code = message[_HEAD:handle_end] + found.wire, _FOUND
        elif found.outcome is Outcome.HANDLE_NOT_FOUND:
            body, code = _EMPTY_TEXT, _MISSING
        else:
            return None
        whole = _HEAD + len(body) + len(_NO_CREDENTIAL)
        if whole > bytes_max:
            return None
        self._log.resolved(via, found.outcome, peer, handle)
        head = _ANSWER.pack(
            VERSION.major, min(suggested_minor, VERSION.minor), VERSION.major, VERSION.minor, 0, request_id, 0,
            whole - _ENVELOPE, op, code, answer_flags(flags), self._site_serial, recursion, 0,
            self._now_ms() // 1_000 + limits.HANDLE_ANSWER_S, len(body),
        )  # fmt: skip
        return head + body + _NO_CREDENTIAL
