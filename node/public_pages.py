"""``/`` and ``/about``: what the operator publishes, for people and for machines (Measures art. 6, 9, 12, 13).

Both answer HTML, and JSON where Accept prefers it: the same document. What is not configured, which is so in
development alone, is shown as such. ``/?identifier=…`` leads to the page of that identifier, without a script.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Final
from urllib.parse import quote

from core import limits
from core.clock import Millis
from core.errors import NodeError, Outcome
from core.licence import state_of
from core.outcomes import HTTP_FOUND, STATUSES
from core.signature import ALGORITHM, key_id
from core.wire.http import Headers, Request, Response, parse_fields, prefers_json, retry_after, retry_as
from core.wire.page import KEPT_BY_NOBODY, page, paragraph
from node.duties import Duties, validity

_CACHE: Final = f"public, max-age={limits.PUBLIC_PAGE_S}"
_VARY: Final[Headers] = (("Vary", "Accept"),)
_JSON: Final[Headers] = (("Content-Type", "application/json"), ("Cache-Control", _CACHE), *_VARY)
_NOTHING: Final = "未配置 not configured"
_LOOK_UP: Final = (
    '<form action="/" method="get" role="search"><p><label for="identifier">查询标识 Look up an identifier</label>'
    '<input type="search" id="identifier" name="identifier" required maxlength="2048" autocapitalize="off" '
    'autocomplete="off" spellcheck="false" placeholder="88.118.7/SKU01"></p>'
    "<p><button>查询 Look up</button></p></form>"
)
_MACHINES: Final = (
    "<h2>接口 For machines</h2><ul>"
    "<li><code>/api/handles/…</code> 解析与登记 resolve and register</li>"
    '<li><a href="/openapi.json"><code>/openapi.json</code></a> 管理接口 management API</li>'
    "<li><code>Accept: application/json</code> 本页的 JSON this page as JSON</li></ul>"
)


_LOST: Final = (
    '<ul><li><a href="/">查询标识 Look up an identifier</a></li><li><a href="/about">服务说明 About this node</a></li>'
    '<li><a href="/complaints">投诉与查询进度 Complain, or look up a complaint</a></li></ul>'
)
_UNREAD: Final = {
    Outcome.TOO_LARGE: "内容过长或未按时送达：请返回上一页，缩短后再提交。It is too long, or did not arrive in time: "
    "go back, shorten it and send it again.",
    Outcome.RATE_LIMITED: "请求过于频繁，请稍后再试。You ask too often; try again later.",
    Outcome.OVERLOADED: "服务繁忙，请稍后再试。The node is busy; try again later.",
}


def lost() -> Response:
    """Return the page for whoever is where nothing is."""
    words = paragraph("此地址没有内容。There is nothing at this address.")
    return page(Outcome.NO_SUCH_ENDPOINT, "没有此页 No such page", words + _LOST, extra=_VARY)


def unread(error: NodeError) -> Response:
    """Return the page for whoever sent what was not read."""
    words = paragraph(_UNREAD.get(error.ended, error.message))
    extra = (*_VARY, *retry_after(error.ended))
    return retry_as(error, page(error.ended, "未受理 Not taken", words + _LOST, cache=KEPT_BY_NOBODY, extra=extra))


class PublicPages:
    """Answers ``/`` and ``/about``. ``public_key``: that the node signs with, None where it has no key."""

    def __init__(
        self, duties: Duties, public_key: bytes | None, version: str, now_ms: Callable[[], Millis]
    ) -> None:  # fmt: skip
        self._duties = duties
        self._public_key = public_key
        self._version = version
        self._now_ms = now_ms

    def home(self, request: Request) -> Response:
        """Answer ``/``, and ``/?identifier=…`` by a redirect."""
        try:
            asked = parse_fields(request.query).get("identifier", [""])[0].strip()
            if asked:
                return Response(HTTP_FOUND, (("Location", address_of(asked)), ("Cache-Control", "no-store")))
        except NodeError as error:
            return page(error.ended, "Saltern", paragraph(error.message))
        if prefers_json(request.headers.get("accept", "")):
            return self._json()
        duties = self._duties
        title = duties.operator or "工业互联网标识解析二级节点 Secondary node"
        body = (
            '<p>工业互联网标识解析二级节点：查询本节点登记的标识，了解<a href="/about">服务内容、时限与收费</a>。</p>'
            '<p lang="en">A secondary node for industrial identifiers: look up what is registered here, and read about '
            '<a href="/about">services, time limits and fees</a>.</p>'
        )
        return _kept(title, self._notice() + _LOOK_UP + body + _MACHINES)

    def about(self, request: Request) -> Response:
        """Answer ``/about``."""
        if prefers_json(request.headers.get("accept", "")):
            return self._json()
        duties, now_ms = self._duties, self._now_ms()
        licence = duties.licence
        state = state_of(licence, now_ms)
        shown = "" if licence is None else validity(licence, state)
        key = "" if self._public_key is None else f"{ALGORITHM} {base64.b64encode(self._public_key).decode()}"
        sections = (
            ("服务 Services", (
                ("服务内容 Services", duties.services),
                ("办理时限 Time limits", duties.time_limits),
                ("收费 Fees", duties.fees),
                ("前缀 Prefix", duties.prefix),
            )),
            ("责任与投诉 Responsibility and complaints", (
                ("运营者 Operator", duties.operator),
                ("网站 Website", duties.website),
                ("责任部门 Department", duties.department),
                ("责任人 Person", duties.person),
                ("投诉联系 To complain", duties.complaint_contact),
            )),
            ("许可 Licence", (
                ("许可证编号 Number", duties.licence_number),
                ("发证机关 Issued by", duties.licence_issuer),
                ("许可范围 Scope", duties.licence_scope),
                ("有效期 Validity", shown),
            )),
            ("节点 Node", (
                ("软件 Software", f"Saltern {self._version}"),
                ("签名公钥 Public key of signatures", key),
                ("公钥编号 Key id", "" if self._public_key is None else key_id(self._public_key)),
            )),
        )  # fmt: skip
        return _kept("服务说明 About this node", self._notice() + "".join(_section(*each) for each in sections))

    def _notice(self) -> str:
        """What is to be known before all else: registration is closed."""
        if self._duties.registration.is_open(self._now_ms()):
            return ""
        return (
            '<p class="note">许可证未生效或已到期：不受理注册，解析照常。The licence is not in force: '
            "nothing is registered; resolution goes on.</p>"
        )

    def _json(self) -> Response:
        return Response(STATUSES[Outcome.OK].http, _JSON, json.dumps(self.document(), ensure_ascii=False).encode())

    def document(self) -> dict[str, Any]:
        """Return what is published; what is not configured is null, or an empty array."""
        duties, now_ms = self._duties, self._now_ms()
        licence = duties.licence
        key = self._public_key
        paths = {"home": "/", "about": "/about", "complaints": "/complaints", "openapi": "/openapi.json"}
        return {
            "operator": {"name": duties.operator or None, "website": duties.website or None},
            "services": duties.services,
            "time_limits": duties.time_limits,
            "fees": duties.fees,
            "responsible": {"department": duties.department or None, "person": duties.person or None},
            "complaints": {"contact": duties.complaint_contact or None},
            "licence": {
                "number": duties.licence_number or None,
                "issuer": duties.licence_issuer or None,
                "scope": duties.licence_scope or None,
                "valid_from": licence and licence.first_day.isoformat(),
                "valid_until": licence and licence.last_day.isoformat(),
                "state": state_of(licence, now_ms).value,
                "days_left": licence and licence.days_left(now_ms),
            },
            "registration": "open" if duties.registration.is_open(now_ms) else "closed",
            "prefix": duties.prefix or None,
            "software": {"name": "Saltern", "version": self._version},
            "signing_key": key and {
                "algorithm": ALGORITHM, "key_id": key_id(key), "public_key": base64.b64encode(key).decode(),
            },
            "links": {name: duties.public_url + path for name, path in paths.items()},
        }  # fmt: skip


def address_of(identifier: str) -> str:
    """Return the address of an identifier's own page here, safe to stand in a Location. Errors: NodeError if too long.

    Only the slash behind a prefix stands as it is: an identifier leads to no other host (``//host/…``)
    and is no step in a path (``..``). ``noredirect``: browsers let no form lead elsewhere (CSP form-action).
    """
    octets = identifier.encode("utf-8", "surrogateescape")
    if len(octets) > limits.HANDLE_BYTES_MAX:
        raise NodeError("标识过长。The identifier is too long", outcome=Outcome.INVALID_HANDLE)
    prefix, slash, suffix = octets.partition(b"/")
    if not {prefix, suffix}.isdisjoint((b"", b".", b"..")):
        return f"/{quote(octets, safe='')}?noredirect"
    return f"/{quote(prefix, safe='')}{slash.decode()}{quote(suffix, safe='')}?noredirect"


def _kept(title: str, body: str) -> Response:
    """Return a page of which others may keep a copy for a short while."""
    return page(Outcome.OK, title, body, cache=_CACHE, extra=_VARY)


def _section(title: str, rows: Sequence[tuple[str, str | Sequence[str]]]) -> str:
    shown = "".join(f'<tr><th scope="row">{name}</th><td>{_told(told)}</td></tr>' for name, told in rows)
    return f'<h2>{title}</h2><table class="stack"><tbody>{shown}</tbody></table>'


def _told(told: str | Sequence[str]) -> str:
    if not told:
        return _NOTHING
    if not isinstance(told, str):
        return f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in told)}</ul>"
    text = escape(told)
    return f'<a href="{text}" rel="noopener">{text}</a>' if told.startswith(("https://", "http://")) else text
