"""``GET /prefixes/{prefix}``: public registration data, as RDAP for programs and as a page for people.

Any page may read it (RFC 7480 §5.6). A source has a limit of its own here, so that nobody copies the
whole register quickly. Answers that are no data are errors of RFC 9083 §6.
"""

from __future__ import annotations

import json
from html import escape
from typing import Final, Protocol
from urllib.parse import quote

from core.clock import format_shanghai
from core.errors import NodeError, Outcome
from core.ident.handle import HandleRules, check_prefix
from core.outcomes import STATUSES
from core.source_limit import NO_LIMIT, SourceLimit
from core.store.engine import Snapshot
from core.wire.http import Headers, Request, Response, decode_path, prefers_html, retry_after, retry_as
from core.wire.page import page, paragraph
from registry.rdap import Registrar, Registration, error_document, registration_document, registration_of

RDAP: Final = "application/rdap+json"
SEGMENT: Final = "/prefixes/"
_METHODS: Final = "GET, HEAD"
_HEADERS: Final[Headers] = (("Access-Control-Allow-Origin", "*"), ("Vary", "Accept"))
_UNKNOWN: Final = "没有已分配的此前缀。No such prefix is allocated here"
_ELSEWHERE: Final = (
    "<ul><li><code>/prefixes/88.118.7</code> 前缀的注册信息 registration data of a prefix</li>"
    '<li><a href="/">查询标识 Look up an identifier</a></li>'
    '<li><a href="/complaints">投诉 Complain</a></li></ul>'
)
_STATUSES: Final = {
    "active": "已启用 active",
    "inactive": "已分配、未启用 inactive",
    "server hold": "已停止解析 server hold",
}
_ACTIONS: Final = {
    "registration": "注册 Registered",
    "reregistration": "重新注册 Registered again",
    "locked": "暂停 Suspended",
    "unlocked": "恢复 Resumed",
    "last changed": "最后变更 Last changed",
}
_LABELS: Final = {
    "name": "单位名称 Organisation",
    "website": "网站 Website",
    "industry": "行业 Industry",
    "region": "地区 Region",
    "address": "地址 Address",
    "profile": "简介 Description",
}


class Store(Protocol):
    """What this front needs of a store."""

    def snapshot(self) -> Snapshot:
        """Begin to read."""


class RegistrationData:
    """Answers questions for prefixes. ``limit``: of what one source may ask."""

    def __init__(
        self, store: Store, rules: HandleRules, registrar: Registrar, *, limit: SourceLimit = NO_LIMIT
    ) -> None:  # fmt: skip
        self._store = store
        self._rules = rules
        self._registrar = registrar
        self._limit = limit

    def answer(self, request: Request) -> Response:
        """Answer one request, whatever it is."""
        html = prefers_html(request.headers.get("accept", ""), RDAP)
        try:
            if request.method not in ("GET", "HEAD"):
                refusal = _error(Outcome.METHOD, f"此路径只接受 {_METHODS}。This path answers {_METHODS}", html=html)
                return refusal._replace(headers=(("Allow", _METHODS), *refusal.headers))
            found = self._look(request)
        except NodeError as error:
            return retry_as(error, _error(error.ended, error.message, html=html))
        if found is None:
            return _error(Outcome.NOT_FOUND, _UNKNOWN, html=html)
        if html:
            shown = _page(found, self._registrar)
            return shown._replace(headers=(*_HEADERS, *shown.headers))
        return _json(Outcome.OK, registration_document(found, self._registrar))

    def _look(self, request: Request) -> Registration | None:
        name = request.path.removeprefix(SEGMENT)
        if not name or "/" in name or not request.path.startswith(SEGMENT):
            return None
        prefix = check_prefix(decode_path(name), self._rules)
        self._limit.take(request.peer)
        with self._store.snapshot() as snapshot:
            return registration_of(snapshot, prefix)


def _json(outcome: Outcome, document: dict[str, object]) -> Response:
    body = json.dumps(document, ensure_ascii=False).encode()
    return Response(STATUSES[outcome].http, (*_HEADERS, ("Content-Type", RDAP)), body)


def _error(outcome: Outcome, words: str, *, html: bool) -> Response:
    if html:
        shown = page(outcome, "注册信息 Registration data", paragraph(words) + _ELSEWHERE)
    else:
        shown = Response(STATUSES[outcome].http, (("Content-Type", RDAP),), _body(outcome, words))
    return shown._replace(headers=(*_HEADERS, *retry_after(outcome), *shown.headers))


def _body(outcome: Outcome, words: str) -> bytes:
    return json.dumps(error_document(outcome, words), ensure_ascii=False).encode()


def _page(found: Registration, registrar: Registrar) -> Response:
    public = found.public
    rows = [("前缀 Prefix", escape(found.prefix)), ("状态 Status", escape(_STATUSES[found.status]))]
    rows += [("依令停止解析 On hold by order", escape(f"{each.number}：{each.reason}")) for each in found.orders]
    rows += [(_ACTIONS[each.action], format_shanghai(each.at_ms)) for each in found.happenings]
    rows.append(("注册服务机构 Registrar", escape(registrar.name)))
    if found.holder is None:
        rows.append(("持有者 Holder", escape(registrar.name)))
    elif found.holder.person:
        rows.append(("持有者 Holder", "自然人，信息不公开 A natural person, not shown"))
    for name, label in _LABELS.items():
        if name in public:
            text = escape(public[name])
            link = f'<a rel="nofollow noreferrer" href="{text}">{text}</a>'
            rows.append((label, link if name == "website" else text))
    table = "".join(f'<tr><th scope="row">{label}</th><td>{text}</td></tr>' for label, text in rows)
    complain = f"/complaints?subject={quote(found.prefix, safe='')}"
    body = (
        f'<table class="stack">{table}</table>'
        + paragraph("时间为北京时间。不公开任何个人信息。Times are those of Beijing. No personal data is public.")
        + f'<p><a href="{complain}">数据有误？投诉 Wrong data? Complain</a></p>'
    )
    return page(Outcome.OK, f"注册信息 Registration data: {found.prefix}", body)
