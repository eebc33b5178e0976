"""HTML pages: one frame for all that a browser is shown. No script, no picture, nothing from elsewhere.

The policy (CSP level 3) allows the one style sheet of the frame, by its digest, and forms that lead
back here. Chinese stands beside English on every page.
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
    ":root{color-scheme:light dark}"
    "body{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:0 1rem 2rem}"
    "header,footer{padding:.75rem 0}header{border-bottom:1px solid #8886}footer{border-top:1px solid #8886}"
    "nav a{margin-right:1rem}h1{font-size:1.5rem;overflow-wrap:anywhere}"
    "table{border-collapse:collapse;width:100%}th,td{border:1px solid #8886;padding:.3rem .6rem;text-align:left;"
    "vertical-align:top;overflow-wrap:anywhere}th{background:#8881}.wide{overflow-x:auto}"
    ".note{background:#fc02;border-left:.3rem solid #c80;padding:.5rem 1rem}"
    "form p{margin:.75rem 0}label{display:block;font-weight:600}"
    "input,select,textarea,button{font:inherit;padding:.4rem;max-width:100%;box-sizing:border-box}"
    "input[type=text],input[type=email],textarea{width:100%}"
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
_LINKS: Final = (("/", "首页 Home"),)


def page(outcome: Outcome, title: str, body: str) -> Response:
    """Return a page; ``body`` is HTML, ``title`` is text."""
    links = "".join(f'<a href="{path}">{name}</a>' for path, name in _LINKS)
    text = (
        f'<!doctype html><html lang="zh"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><header><nav>{links}</nav></header>"
        f"<main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
    return Response(STATUSES[outcome].http, _HEADERS, text.encode())


def paragraph(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"
