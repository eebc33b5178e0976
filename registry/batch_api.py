"""``POST /v1/records:batch``: many records in one request.

    application/json                          one array of records
    application/x-ndjson, application/jsonl   a record a line

``?overwrite=false`` refuses records that exist. The answer is that of
``registry.batch``; a refusal of the whole request is problem details.
"""

from __future__ import annotations

from typing import Final

from core.errors import AdmissionError, NodeError, Outcome, WireError
from core.outcomes import STATUSES
from core.wire.handlejson import Parameters
from core.wire.http import Request as HttpRequest
from core.wire.http import Response, media_type, problem, problem_of
from registry.commands import Actor, PutBatch, Request
from registry.json_api import Registrar, actor_of, idempotency_token, origin_of

_LINES: Final = {
    "application/json": False,
    "application/x-ndjson": True,
    "application/ndjson": True,
    "application/jsonl": True,
    "application/x-jsonlines": True,
}


class BatchApi:
    """Answers batches."""

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar

    def check_head(self, request: HttpRequest) -> None:
        """Refuse a batch by its head, before its long body is read. Errors: NodeError."""
        admit(request)
        self._lines(request)

    async def post(self, request: HttpRequest) -> Response:
        """Answer one batch."""
        try:
            actor = admit(request)
            lines = self._lines(request)
            overwrite = Parameters(request._replace(body=b"")).exact_flag("overwrite", default=True)
            command = PutBatch(request.body, lines, overwrite)
            asked = Request(command, actor, idempotency_token(request), sent=origin_of(request))
            result = await self._registrar.call(asked)
        except NodeError as error:
            return problem_of(error, request.path)
        if result.outcome is not Outcome.OK:
            return problem(result.outcome, result.message, request.path, rule=result.rule)
        return Response(STATUSES[Outcome.OK].http, (("Content-Type", "application/json"),), result.body)

    def _lines(self, request: HttpRequest) -> bool:
        lines = _LINES.get(media_type(request.headers))
        if lines is None:
            raise WireError(f"Content-Type must be one of {', '.join(_LINES)}", outcome=Outcome.MEDIA_TYPE)
        return lines


def admit(request: HttpRequest) -> Actor:
    """Return who asks. Errors: AdmissionError for anybody, and where no credentials are taken."""
    actor = actor_of(request)
    if not actor.anonymous:
        return actor
    raise AdmissionError(
        "请提供凭据：经 HTTPS，或在配置允许时从本机发送。"
        "Send credentials, over HTTPS or, where the configuration allows it, from this machine",
        outcome=Outcome.AUTHENTICATION_NEEDED if request.credentials_safe else Outcome.FORBIDDEN,
    )
