"""The reference top node over HTTP: messages of nodes to its desk and back, and pages of what it holds, as JSON.

POST /upstream/v1            an envelope (``sync/envelope.py``); the answer is one, of MEDIA_TYPE
GET  /v1/nodes               the nodes
GET  /v1/nodes/{id}/tables   what is held of each table of a node, and since when it said nothing about it
GET  /v1/routes/{prefix}     who answers for a prefix
GET  /healthz
     /witness/…              a witness (``node/witness_front.py``)

1. Whatever is not answered with 200 and an envelope is a failed try for whoever sent it.
2. At most TOPNODE_UNDER_WAY_MAX messages are held at once, each of UPSTREAM_BODY_BYTES_MAX, for BODY_S.
3. The store is asked in one thread of its own: what answers the Handle protocol never waits for a disk.
4. Told to misbehave, it does so between the octets and the desk (``sync/topnode/misbehave.py``): as a network would.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol, TypeVar

from aiohttp import web

from audit.witness_state import StateError
from core import limits
from core.clock import Millis
from core.errors import LimitError, NodeError, Outcome, RateError, StoreError, WireError
from core.outcomes import STATUSES
from core.peer import address_of, peer_of
from node.http_front import PlainResponse
from node.topnode_documents import node_document, route_document, tables_document
from resolver.ratelimit import Admits
from sync.table import TableKind
from sync.topnode.misbehave import DELAY_MS_MAX, Plan
from sync.topnode.store import TopStore

T = TypeVar("T")
Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]

MEDIA_TYPE: Final = "application/vnd.saltern.upstream"
_LOG: Final = logging.getLogger("saltern.topnode")
_BEHAVED: Final = Plan()


class Desk(Protocol):
    """Answers nodes. See ``sync.topnode.desk.TopDesk``."""

    def answer(self, octets: bytes, now_ms: Millis) -> bytes:
        """Return the sealed answer. Errors: WireError where nobody may be answered; StoreError, OSError, StateError."""


class TopFront:
    """Carries messages and pages. ``store_thread``: of one thread; ``plan``: how to misbehave at the next message."""

    def __init__(
        self, desk: Desk, store: TopStore, tables: dict[str, TableKind], store_thread: ThreadPoolExecutor, *,
        admits: Admits, now_ms: Callable[[], Millis], plan: Callable[[], Plan] = lambda: _BEHAVED,
    ) -> None:  # fmt: skip
        self._desk = desk
        self._store = store
        self._tables = tables
        self._thread = store_thread
        self._admits = admits
        self._now_ms = now_ms
        self._plan = plan
        self._under_way = 0
        self._processed = asyncio.Event()

    def application(self) -> web.Application:
        """Return what serves all of it but the witness."""
        application = web.Application(client_max_size=limits.UPSTREAM_BODY_BYTES_MAX, middlewares=[self._guarded])
        application.router.add_post("/upstream/v1", self._upstream)
        application.router.add_get("/v1/nodes", self._nodes)
        application.router.add_get("/v1/nodes/{id}/tables", self._node_tables)
        application.router.add_get("/v1/routes/{prefix:.+}", self._route)
        application.router.add_get("/healthz", self._health)
        return application

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Serve) -> web.StreamResponse:
        """Refuse whoever asks too much; turn errors into answers in words."""
        peer = peer_of(None if request.transport is None else request.transport.get_extra_info("peername"))
        try:
            if not self._admits(address_of(peer)):
                raise RateError
            return await handler(request)
        except NodeError as error:
            return _refusal(error)
        except (OSError, StateError) as error:
            if isinstance(error, ConnectionError):
                raise
            _LOG.error("a message is not answered: %s", error)
            return _refusal(StoreError("暂不可用，请稍后重试。Not available just now; try again later"))

    # --- messages ---
    async def _upstream(self, request: web.Request) -> web.StreamResponse:
        if self._under_way >= limits.TOPNODE_UNDER_WAY_MAX:
            raise NodeError("请求过多，请稍后重试。Too much is under way; try again later", outcome=Outcome.OVERLOADED)
        self._under_way += 1
        try:
            octets = await _body(request)
            return await self._answered(request, octets, self._plan())
        finally:
            self._under_way -= 1

    async def _answered(self, request: web.Request, octets: bytes, plan: Plan) -> web.StreamResponse:
        if plan.delay_before_ms:
            await asyncio.sleep(plan.delay_before_ms / 1_000)
        if plan.hold:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._processed.wait(), DELAY_MS_MAX / 1_000)
        if plan.drop_before:
            return _dropped(request)
        if plan.error_before:
            raise NodeError("按要求出错 told to fail")
        answer = await self._in_thread(lambda: self._delivered(octets, plan))
        self._processed.set()  # whoever was held goes on now
        self._processed = asyncio.Event()
        if plan.drop_after:
            return _dropped(request)
        if plan.error_after:
            raise NodeError("按要求出错 told to fail")
        if plan.delay_after_ms:
            await asyncio.sleep(plan.delay_after_ms / 1_000)
        if len(part := plan.truncated(answer)) < len(answer):
            return await _cut(request, answer, part)
        return PlainResponse(body=answer, content_type=MEDIA_TYPE)

    def _delivered(self, octets: bytes, plan: Plan) -> bytes:
        """Return the answer to a message, which the network may bring twice."""
        answer = self._desk.answer(octets, self._now_ms())
        if not plan.twice:
            return answer
        try:
            second = self._desk.answer(octets, self._now_ms())
        except NodeError:
            if plan.second:
                raise
            return answer
        return second if plan.second else answer

    # --- pages ---
    async def _nodes(self, _: web.Request) -> web.StreamResponse:
        nodes = await self._in_thread(self._store.nodes)
        return _json({"nodes": [node_document(node) for node in nodes]})

    async def _node_tables(self, request: web.Request) -> web.StreamResponse:
        node_id = request.match_info["id"]

        def read() -> dict[str, Any]:
            if self._store.node(node_id) is None:
                raise StoreError(f"没有节点 {node_id}。There is no node {node_id}", outcome=Outcome.NOT_FOUND)
            return tables_document(node_id, self._store.holdings(node_id, self._tables.values()), self._now_ms())

        return _json(await self._in_thread(read))

    async def _route(self, request: web.Request) -> web.StreamResponse:
        prefix = request.match_info["prefix"]
        route = await self._in_thread(lambda: self._store.route(prefix.encode("utf-8", "replace").upper()))
        if route is None:
            raise StoreError(f"前缀 {prefix} 没有路由。There is no route of {prefix}", outcome=Outcome.NOT_FOUND)
        return _json(route_document(prefix, route, self._tables[route.table]))

    async def _health(self, _: web.Request) -> web.StreamResponse:
        await self._in_thread(self._store.nodes)
        return _json({"ok": True})

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


async def _body(request: web.Request) -> bytes:
    """Errors: LimitError, WireError."""
    if (request.content_length or 0) > limits.UPSTREAM_BODY_BYTES_MAX:
        raise _too_long()
    try:
        async with asyncio.timeout(limits.BODY_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_long() from None
    except TimeoutError:
        raise WireError("消息发送过慢。The message takes too long") from None


def _too_long() -> LimitError:
    return LimitError(f"消息过长。The message is longer than {limits.UPSTREAM_BODY_BYTES_MAX} octets")


def _refusal(error: NodeError) -> web.StreamResponse:
    response = PlainResponse(status=STATUSES[error.ended].http, text=f"{error.message or error.ended.value}\n")
    if error.ended is Outcome.TOO_LARGE:
        response.force_close()
    return response


def _json(document: dict[str, Any]) -> web.StreamResponse:
    return PlainResponse(
        body=json.dumps(document, ensure_ascii=False).encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _dropped(request: web.Request) -> web.StreamResponse:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return PlainResponse()


async def _cut(request: web.Request, answer: bytes, part: bytes) -> web.StreamResponse:
    """Send part of what was announced, and end the connection."""
    response = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE, "Content-Length": str(len(answer))})
    await response.prepare(request)
    if part:
        await response.write(part)
    if request.transport is not None:
        request.transport.close()
    return response
