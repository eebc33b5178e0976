"""The Handle protocol over HTTP: a message in the body of a POST, whatever the path.

Both Content-Type and Accept name application/x-hdl-message. A list is answered with all of
its messages, one behind the other.

DIVERGES: docs/standards/divergences.md#lists-are-whole-over-http
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from core import limits
from core.errors import LimitError, NodeError, Outcome, StoreError, WireError
from core.hdl.exchange import Transport
from core.outcomes import STATUSES
from core.wire.envelope import ENVELOPE_BYTES, decode_envelope
from core.wire.http import Headers, Request, Response, media_type, problem_of
from node.handle_service import Answers, HandleService

MESSAGE_TYPE: Final = "application/x-hdl-message"
_HEADERS: Final[Headers] = (("Content-Type", MESSAGE_TYPE), ("Vary", "Accept-Encoding, User-Agent"))

Messages = Callable[[Request], Awaitable[Response]]


def is_message(request: Request) -> bool:
    """Whether a request carries a message of the Handle protocol."""
    return (
        request.method == "POST"
        and media_type(request.headers) == MESSAGE_TYPE
        and MESSAGE_TYPE in request.headers.get("accept", "").lower()
    )


class HttpMessages:
    """Answers messages that come over HTTP. ``observe`` counts them."""

    def __init__(self, service: HandleService, observe: Callable[[int], None]) -> None:
        self._service = service
        self._observe = observe

    async def answer(self, request: Request) -> Response:
        """Answer one message."""
        try:
            envelope = decode_envelope(request.body)
        except WireError as error:
            return problem_of(error, request.path)
        payload = request.body[ENVELOPE_BYTES:]
        self._observe(1)
        if len(payload) != envelope.length or envelope.length > limits.MESSAGE_BYTES_MAX:
            refusal: NodeError = WireError(
                f"A message of {envelope.length} octets is announced, {len(payload)} came; "
                f"at most {limits.MESSAGE_BYTES_MAX} are taken"
            )
            return _rendered(self._service.refuse(envelope, refusal).first.octets)
        answers = await self._service.answer(envelope, payload, Transport.HTTP, request.peer)
        try:
            whole = await _whole(answers)
        except StoreError as failed:
            return _rendered(self._service.refuse(envelope, failed).first.octets)
        if whole is None:
            refusal = LimitError(f"The list has more than {limits.LIST_BYTES_MAX} octets; ask for it over TCP")
            return _rendered(self._service.refuse(envelope, refusal).first.octets)
        return _rendered(whole)


async def _whole(answers: Answers) -> bytes | None:
    """Return all messages of an answer; None if they are too many. Bounds: LIST_BYTES_MAX."""
    parts, size = [answers.first.octets], 0
    if answers.more is not None:
        async for sent in answers.more:
            parts.append(sent.octets)
            size += len(parts[-1])
            if size > limits.LIST_BYTES_MAX:
                return None
    return b"".join(parts)


def _rendered(octets: bytes) -> Response:
    return Response(STATUSES[Outcome.OK].http, _HEADERS, octets)
