"""A linkset of somebody else (RFC 9264 §4.2), read into links.

What is no link that a person could follow is left out: only http and https are led to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from core import limits
from core.errors import WireError
from core.wire.jsontext import parse
from resolver.recursion.found import Link

_SCHEMES: Final = ("http", "https")


def read_linkset(octets: bytes) -> tuple[Link, ...]:
    """Return the links in their order, the first GS1_LINKS_MAX of them. Errors: WireError for what is no linkset."""
    document = parse(octets)
    contexts = document.get("linkset") if isinstance(document, dict) else None
    if not isinstance(contexts, list):
        raise WireError("应答不是链接集。The answer is no linkset")
    links: list[Link] = []
    for link in _links(contexts):
        if len(links) == limits.GS1_LINKS_MAX:
            break
        links.append(link)
    return tuple(links)


def _links(contexts: list[Any]) -> Iterator[Link]:
    for context in contexts:
        members = context.items() if isinstance(context, dict) else ()
        for rel, targets in members:
            for target in targets if isinstance(targets, list) else ():
                if isinstance(target, dict) and _leads(href := _text(target.get("href"))):
                    yield Link(
                        _text(context.get("anchor")), _text(rel), href, _text(target.get("title")),
                        _text(target.get("type")), _language(target.get("hreflang")),
                    )  # fmt: skip


def _language(told: object) -> str:
    """Return the first language where there is an array of them."""
    return _text(told[0] if isinstance(told, list) and told else told)


def _text(told: object) -> str:
    """Return a text that may be shown; nothing for all else."""
    if not isinstance(told, str) or len(told) > limits.GS1_LINK_BYTES_MAX or not told.isprintable():
        return ""
    return told


def _leads(href: str) -> bool:
    try:
        parts = urlsplit(href)
        return parts.scheme in _SCHEMES and bool(parts.hostname)
    except ValueError:
        return False
