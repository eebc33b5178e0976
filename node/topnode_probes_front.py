"""Probes at the reference top node over HTTP.

GET  /probes/v1               whom probes elsewhere are to ask, and how
POST /probes/v1               a report of one of them (``sync/topnode/reports.py``)
GET  /v1/nodes/{id}/probes    what was found of a node, and how the top node stands to it
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import web

from core import limits
from core.clock import Millis
from core.errors import LimitError, Outcome, StoreError, WireError
from core.outcomes import STATUSES
from node.http_front import PlainResponse
from node.topnode_documents import event_document, watched_document
from node.topnode_probing import InThread
from sync.topnode.reports import ReportError
from sync.topnode.store import TopStore
from sync.topnode.takeover import Takeovers


class Reports(Protocol):
    """See ``sync.topnode.probe_desk.ProbeDesk``."""

    def asked(self) -> dict[str, Any]:
        """Return what probes elsewhere are asked to do."""

    def last(self, node_id: str) -> dict[str, list[dict[str, Any]]]:
        """Return what each probe found of a node when it asked last."""

    def report(self, octets: bytes, now_ms: Millis) -> int:
        """Take a report; return how many results it has. Errors: ReportError, StoreError."""


class ProbesFront:
    """Carries reports and pages; ``add_to`` puts it into an application, which turns errors into answers."""

    def __init__(
        self, desk: Reports, store: TopStore, takeovers: Takeovers, in_thread: InThread, now_ms: Callable[[], Millis]
    ) -> None:  # fmt: skip
        self._desk = desk
        self._store = store
        self._takeovers = takeovers
        self._in_thread = in_thread
        self._now_ms = now_ms

    def add_to(self, application: web.Application) -> None:
        """Add the routes."""
        application.router.add_get("/probes/v1", self._asked)
        application.router.add_post("/probes/v1", self._report)
        application.router.add_get("/v1/nodes/{id}/probes", self._node)

    async def _asked(self, _: web.Request) -> web.StreamResponse:
        return _json(await self._in_thread(self._desk.asked))

    async def _report(self, request: web.Request) -> web.StreamResponse:
        if (request.content_length or 0) > limits.PROBE_REPORT_BYTES_MAX:
            raise LimitError(f"报告过长。The report is longer than {limits.PROBE_REPORT_BYTES_MAX} octets")
        try:
            async with asyncio.timeout(limits.BODY_S):
                octets = await request.content.read(limits.PROBE_REPORT_BYTES_MAX + 1)
                while len(octets) <= limits.PROBE_REPORT_BYTES_MAX and not request.content.at_eof():
                    octets += await request.content.read(limits.PROBE_REPORT_BYTES_MAX + 1 - len(octets))
        except TimeoutError:
            raise WireError("消息发送过慢。The message takes too long") from None
        if len(octets) > limits.PROBE_REPORT_BYTES_MAX:
            raise LimitError(f"报告过长。The report is longer than {limits.PROBE_REPORT_BYTES_MAX} octets")
        try:
            taken = await self._in_thread(lambda: self._desk.report(octets, self._now_ms()))
        except ReportError as error:
            return _json(error.document(), STATUSES[error.ended].http)
        return _json({"taken": taken})

    async def _node(self, request: web.Request) -> web.StreamResponse:
        node_id = request.match_info["id"]

        def read() -> dict[str, Any]:
            if self._store.node(node_id) is None:
                raise StoreError(f"没有节点 {node_id}。There is no node {node_id}", outcome=Outcome.NOT_FOUND)
            events = self._takeovers.events(node_id, limits.TAKEOVER_EVENTS_SHOWN)
            return watched_document(self._takeovers.state(node_id)) | {
                "probes": self._desk.last(node_id),
                "events": list(map(event_document, events)),
            }

        return _json(await self._in_thread(read))


def _json(document: dict[str, Any], status: int = STATUSES[Outcome.OK].http) -> web.StreamResponse:
    return PlainResponse(
        status=status,
        body=json.dumps(document, ensure_ascii=False).encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
