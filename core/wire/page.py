"""HTML pages: one frame for all that a browser is shown. No script, no picture, nothing from elsewhere.

The policy (CSP level 3) allows the one style sheet of the frame, by its digest, and forms that lead
back here. Chinese stands beside English on every page. No page is wider than the window: long words are
broken, and the rows of a table of class ``stack`` become blocks on a phone, each cell below its ``data-label``.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Final

from core.errors import Outcome
from core.outcomes import STATUSES
from core.wire.http import Headers, Response

_STYLE: Final = (
    ":root{color-scheme:light dark;--line:#8884;--soft:#8881}"
    "*{box-sizing:border-box}body{font:16px/1.6 system-ui,'Noto Sans CJK SC',sans-serif;max-width:60rem;margin:0 auto;"
    "padding:0 1rem 1rem;overflow-wrap:anywhere}a{color:#0a58ca}@media(prefers-color-scheme:dark){a{color:#8ab4f8}}"
    "header,footer{padding:.75rem 0}header{border-bottom:1px solid var(--line)}"
    "footer{border-top:1px solid var(--line);margin-top:2rem;font-size:.875rem;opacity:.75}"
    "nav{display:flex;flex-wrap:wrap;gap:.25rem 1rem;font-size:.95rem}h1{font-size:1.5rem;line-height:1.3}"
    "h2{font-size:1.15rem;margin:1.75rem 0 .5rem}code{font-size:.9em}"
    "table{border-collapse:collapse;width:100%}th,td{border:1px solid var(--line);padding:.4rem .6rem;text-align:left;"
    "vertical-align:top}th{background:var(--soft);font-weight:600}tbody th{width:14rem}"
    "td ul{margin:0;padding-left:1.2rem}.wide{overflow-x:auto}thead th,.narrow{white-space:nowrap}"
    ".note{background:#fc02;border-left:.3rem solid #c80;padding:.5rem 1rem}"
    "form p{margin:.75rem 0}label{display:block;font-weight:600}"
    "input,select,textarea,button{font:inherit;padding:.45rem .6rem;max-width:100%}"
    "input[type=text],input[type=search],input[type=email],textarea{width:100%}"
    "button{cursor:pointer;padding:.45rem 1.25rem}"
    "@media(max-width:40rem){table.stack,.stack tbody,.stack tr,.stack th,.stack td{display:block;width:auto}"
    ".stack thead{display:none}.stack tr{border:1px solid var(--line);margin-bottom:.75rem}"
    ".stack th,.stack td{border:0}.stack td[data-label]::before{content:attr(data-label);display:block;"
    "font-size:.8rem;opacity:.7}}"
)
_STYLE_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final[Headers] = (
    ("Content-Type", "text/html;charset=utf-8"),
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
KEPT_BY_NOBODY: Final = "no-store"
"""``cache`` of a page that shows what somebody typed, or what is his alone."""

_LINKS: Final = (("/", "首页 Home"), ("/about", "服务说明 About"), ("/complaints", "投诉 Complaints"))
_TOP_FOOT: Final = "Saltern · 参考顶级节点 Reference top node"
_FOOT: Final = "Saltern · 工业互联网标识解析二级节点 Secondary node for industrial identifiers"


def page(
    outcome: Outcome, title: str, body: str, *, cache: str = "no-cache", extra: Headers = (), of_node: bool = True
) -> Response:  # fmt: skip
    """Return a page; ``body`` is HTML, ``title`` is text.

    ``cache``: Cache-Control; a copy that somebody keeps is asked for again, where nothing else is said. ``of_node``:
    with the links and the foot of a node's pages; False for the reference top node.
    """
    links = "".join(f'<a href="{path}">{name}</a>' for path, name in _LINKS) if of_node else ""
    text = (
        f'<!doctype html><html lang="zh"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><header><nav>{links}</nav></header>"
        f"<main><h1>{escape(title)}</h1>{body}</main><footer>{_FOOT if of_node else _TOP_FOOT}</footer></body></html>"
    )
    return Response(STATUSES[outcome].http, (*extra, *_HEADERS, ("Cache-Control", cache)), text.encode())


def paragraph(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"
