"""Emergency registration over HTTP, and resolution of the copies as JSON; no script, nothing from elsewhere.

GET    /emergency/{node}                    a page with a form; {node}: id or prefix of a node
POST   /emergency/{node}                    the form: token, handle, act (put, delete), values, one a line
PUT    /emergency/{node}/records/{handle}   JSON as of PUT /api/handles; ``Authorization: Bearer TOKEN``
DELETE /emergency/{node}/records/{handle}
GET    /api/handles/{handle}                of prefixes that are answered from a copy now
GET    /v1/copies                           the copies, and how many answers came from each

Whoever has no token learns what /v1/copies tells, and whether a takeover is on. A body has EMERGENCY_BODY_BYTES_MAX,
TOPNODE_UNDER_WAY_MAX are read at once, and one source may make EMERGENCY_REQUESTS in EMERGENCY_WINDOW_S. Source of the
rules: ``node/emergency_desk.py``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from html import escape
from typing import Any, Final, TypeVar

from aiohttp import web

from core import limits
from core.clock import Millis
from core.errors import IdentifierError, LimitError, NodeError, Outcome, RecordError, ResponsibilityError, WireError
from core.ident.handle import check_handle
from core.outcomes import STATUSES
from core.peer import peer_of
from core.records import HandleValue, Values
from core.source_limit import SourceLimit
from core.store.homing import FOREIGN
from core.wire.form import FORM_TYPE, decode_form
from core.wire.handlejson import render_error
from core.wire.http import Request, Response, decode_path, media_type, problem_of, retry_after
from core.wire.jsonform import load_values, parse_values
from core.wire.page import KEPT_BY_NOBODY, page, paragraph
from node.emergency_desk import Asked, EmergencyDesk, Registered, closed
from node.http_front import PlainResponse
from node.topnode_copies import Copies
from node.topnode_serving import LONGEST, Serving
from sync.topnode.store import TopStore

T = TypeVar("T")

_TITLE: Final = "应急登记 Emergency registration"
_BEARER: Final = "bearer "
_RECORDS: Final = "/records/"
_HANDLES: Final = "/api/handles/"
_ACTS: Final = {"put": "登记或替换 Register or replace", "delete": "删除 Delete"}
_INDEX_DIGITS_MAX: Final = 9


class EmergencyFront:
    """Carries forms and JSON. ``thread``: of one thread, in which the store is asked."""

    def __init__(
        self, desk: EmergencyDesk, store: TopStore, copies: Copies, serving: Serving, thread: ThreadPoolExecutor, *,
        limit: SourceLimit, now_ms: Callable[[], Millis],
    ) -> None:  # fmt: skip
        self._desk = desk
        self._store = store
        self._copies = copies
        self._serving = serving
        self._thread = thread
        self._limit = limit
        self._now_ms = now_ms
        self._under_way = 0

    def add_to(self, application: web.Application) -> None:
        """Add the routes."""
        router = application.router
        router.add_get("/emergency/{node}", self._answering(self._form))
        router.add_post("/emergency/{node}", self._answering(self._post))
        router.add_put("/emergency/{node}/records/{handle:.*}", self._answering(self._put))
        router.add_delete("/emergency/{node}/records/{handle:.*}", self._answering(self._delete))
        router.add_get("/api/handles/{handle:.*}", self._answering(self._resolve))
        router.add_get("/v1/copies", self._answering(self._copies_page))

    def _answering(
        self, answer: Callable[[web.Request, Request], Awaitable[Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def run(raw: web.Request) -> web.StreamResponse:
            path, _, query = raw.raw_path.partition("?")
            name = None if raw.transport is None else raw.transport.get_extra_info("peername")
            headers = {key.lower(): value for key, value in raw.headers.items()}
            request = Request(raw.method, path, query, headers, b"", raw.secure, peer=peer_of(name))
            try:
                response = await answer(raw, request)
            except NodeError as error:
                response = problem_of(error, path)
            made = PlainResponse(status=response.status, body=response.body, headers=response.headers)
            if response.status == STATUSES[Outcome.TOO_LARGE].http:
                made.force_close()
            return made

        return run

    # --- resolution ---
    async def _resolve(self, _: web.Request, request: Request) -> Response:
        """Answer from a copy, in the event loop as the Handle protocol is."""
        rest = request.path.removeprefix(_HANDLES)
        handle = None
        try:
            handle = decode_path(rest)
            found = self._serving.answering(check_handle(handle, LONGEST)) if handle else None
            if found is None:
                raise ResponsibilityError(FOREIGN)
        except NodeError as error:
            return render_error(request, error, handle or None)
        return await found.json.handles(request, rest)

    async def _copies_page(self, _: web.Request, request: Request) -> Response:
        def read() -> list[dict[str, Any]]:
            found = []
            for node in self._store.nodes():
                copy = self._copies.current(node.node_id)
                if copy is not None:
                    found.append(
                        {
                            "node": node.node_id,
                            "prefix": node.prefix,
                            "deposit": copy.deposit,
                            "watermark": copy.watermark,
                            "emergency": self._desk.is_open(node.node_id),
                            "answers": dict(self._serving.counts.get(node.node_id, {})),
                        }
                    )
            return found

        return _json(Outcome.OK, {"copies": await self._in_thread(read)})

    # --- the page ---
    async def _form(self, raw: web.Request, request: Request) -> Response:
        self._limit.take(request.peer)
        node_id = await self._node(raw)
        if not await self._in_thread(lambda: self._desk.is_open(node_id)):
            return _page(Outcome.GONE, _note(closed().message))
        return _page(Outcome.OK, _form({}))

    async def _post(self, raw: web.Request, request: Request) -> Response:
        typed: dict[str, str] = {}
        try:
            self._limit.take(request.peer)
            if media_type(request.headers) != FORM_TYPE:
                raise WireError(f"Content-Type 应为 {FORM_TYPE}。It must be {FORM_TYPE}", outcome=Outcome.MEDIA_TYPE)
            given = decode_form(await self._body(raw), limits.EMERGENCY_FIELDS_MAX)
            typed = {name: values[0] for name, values in given.items()}
            act = typed.get("act", "put")
            if act not in _ACTS:
                raise RecordError("请选择操作。Choose what to do", outcome=Outcome.INVALID_VALUE)
            values = None if act == "delete" else values_of_lines(typed.get("values", ""))
            asked = Asked(
                await self._node(raw), typed.get("handle", "").strip(), values, typed.get("token", ""), request.peer
            )
            done = await self._in_thread(lambda: self._desk.register(asked))
        except NodeError as error:
            body = _note(error.message or error.ended.value)
            return _page(error.ended, body if error.ended is Outcome.GONE else body + _form(typed))
        return _page(Outcome.OK, _note(_said(done)) + _form({"handle": done.handle}))

    # --- JSON ---
    async def _put(self, raw: web.Request, request: Request) -> Response:
        self._limit.take(request.peer)
        body = await self._body(raw)
        return await self._change(raw, request, load_values(parse_values(body), self._now_ms() // 1_000))

    async def _delete(self, raw: web.Request, request: Request) -> Response:
        self._limit.take(request.peer)
        return await self._change(raw, request, None)

    async def _change(self, raw: web.Request, request: Request, values: Values | None) -> Response:
        given = request.headers.get("authorization", "")
        token = given[len(_BEARER) :] if given.lower().startswith(_BEARER) else ""
        handle = decode_path(request.path.partition(_RECORDS)[2])
        asked = Asked(await self._node(raw), handle, values, token, request.peer)
        done = await self._in_thread(lambda: self._desk.register(asked))
        return _json(
            done.outcome, {"handle": done.handle, "number": done.number or None, "outcome": done.outcome.value}
        )

    # --- pieces ---
    async def _body(self, raw: web.Request) -> bytes:
        """Errors: LimitError, WireError; NodeError where too many are read at once."""
        if self._under_way >= limits.TOPNODE_UNDER_WAY_MAX:
            raise NodeError("请求过多，请稍后重试。Too much is under way; try again later", outcome=Outcome.OVERLOADED)
        self._under_way += 1
        try:
            return await _body(raw)
        finally:
            self._under_way -= 1

    async def _node(self, raw: web.Request) -> str:
        """Return the id of the node that the path names. Errors: IdentifierError (NOT_FOUND)."""
        named = raw.match_info["node"].upper()
        nodes = await self._in_thread(self._store.nodes)
        ids = [node.node_id for node in nodes if named in (node.node_id.upper(), node.prefix.upper())]
        if len(ids) != 1:
            raise IdentifierError("没有此节点。There is no such node", outcome=Outcome.NOT_FOUND)
        return ids[0]

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


async def _body(raw: web.Request) -> bytes:
    """Errors: LimitError, WireError."""
    most = limits.EMERGENCY_BODY_BYTES_MAX
    body = bytearray()
    try:
        async with asyncio.timeout(limits.BODY_S):
            async for piece in raw.content.iter_any():
                body += piece
                if len(body) > most:
                    raise LimitError(f"请求过长。A request has {most} octets at most")
    except TimeoutError:
        raise WireError("请求发送过慢。The request takes too long") from None
    return bytes(body)


def values_of_lines(text: str) -> Values:
    """Return the values of lines ``index type data``. Errors: RecordError."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        index, _, rest = line.partition(" ")
        kind, _, data = rest.strip().partition(" ")
        if not (index.isascii() and index.isdigit() and len(index) <= _INDEX_DIGITS_MAX and kind):
            message = f"每行应为“索引 类型 数据”。A line is index, type, data: {line[:40]!r}"
            raise RecordError(message, outcome=Outcome.INVALID_VALUE)
        found.append(HandleValue(int(index), kind, data.strip().encode(), ttl=limits.TTL_S_DEFAULT))
    return tuple(found)


def _said(done: Registered) -> str:
    if not done.number:
        return f"{done.handle}：内容相同，未作更改。Nothing was to be changed"
    return (
        f"{done.handle}：已登记，第 {done.number} 项，将移交该节点。"
        f"Registered as change {done.number}; it will be handed to the node"
    )


def _note(text: str) -> str:
    return f'<p class="note" role="status">{escape(text)}</p>'


def _form(typed: Mapping[str, str]) -> str:
    """Return the form with what was typed, but for the token."""
    acts = "".join(
        f'<option value="{act}"{" selected" if typed.get("act") == act else ""}>{words}</option>'
        for act, words in _ACTS.items()
    )
    handle, values = (escape(typed.get(name, "")) for name in ("handle", "values"))
    return (
        paragraph(
            "该节点当前无法提供服务，由本顶级节点依据其托管数据代为解析。此处的登记即时生效，节点恢复后移交。"
            "This node is away; the top node answers from its escrowed data. What is registered here holds at once, "
            "and is handed to the node when it is back."
        )
        + '<form method="post"><label for="token">令牌 Token</label>'
        '<p><input type="password" id="token" name="token" required autocomplete="off"></p>'
        '<label for="handle">标识 Handle</label>'
        f'<p><input type="text" id="handle" name="handle" required maxlength="{limits.HANDLE_CHARS_MAX}" '
        f'value="{handle}"></p>'
        f'<label for="act">操作 Act</label><p><select id="act" name="act">{acts}</select></p>'
        '<label for="values">标识值，每行：索引 类型 数据 Values, a line each: index, type, data</label>'
        f'<p><textarea id="values" name="values" rows="6">\n{values}</textarea><br>'
        "<small>1 URL https://example.cn/</small></p>"
        '<p><button type="submit">提交 Send</button></p></form>'
    )


def _page(outcome: Outcome, body: str) -> Response:
    return page(outcome, _TITLE, body, cache=KEPT_BY_NOBODY, extra=retry_after(outcome), of_node=False)


def _json(outcome: Outcome, document: dict[str, Any]) -> Response:
    headers = (("Content-Type", "application/json"), ("Cache-Control", KEPT_BY_NOBODY))
    return Response(STATUSES[outcome].http, headers, json.dumps(document, ensure_ascii=False).encode())
