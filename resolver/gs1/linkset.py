"""A linkset of GS1 as RFC 9264 JSON: an entry a level, the longest first, and in it the links by type.

The same levels make the same octets. The default stands as gs1:defaultLink with address and title alone, and again
under its own type. Source: RFC 9264 §4.2; JSON schema of a GS1 linkset.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from core.ident.linktypes import DEFAULT_LINK, DEFAULT_LINK_MULTI, PREFIX, VOCABULARY
from core.wire.gs1link import Link
from resolver.gs1.choice import LevelLinks, told_multi

CONTEXT: Final = "https://ref.gs1.org/standards/resolver/linkset-context"
"""What makes JSON-LD of a linkset."""


def linkset(levels: Sequence[LevelLinks], base: str) -> bytes:
    """Return the linkset of some levels. ``base``: scheme and host that anchors begin with."""
    return _dump([_entry(level, base) for level in levels])


def choices(level: LevelLinks, links: Sequence[Link], base: str) -> bytes:
    """Return the linkset of some links of one level and one type, for whoever has to choose."""
    return _dump([_head(level, base) | {_key(links[0].rel): _told(links)}])


def _dump(entries: list[dict[str, Any]]) -> bytes:
    return json.dumps({"linkset": entries}, ensure_ascii=False, separators=(",", ":")).encode()


def _head(level: LevelLinks, base: str) -> dict[str, Any]:
    return {"anchor": base + level.path, "itemDescription": level.description}


def _entry(level: LevelLinks, base: str) -> dict[str, Any]:
    entry = _head(level, base)
    entry[_key(DEFAULT_LINK)] = [{"href": level.default.href, "title": level.default.title}]
    multi = told_multi(level)
    if multi:
        entry[_key(DEFAULT_LINK_MULTI)] = _told(multi)
    for rel in sorted({link.rel for link in level.links}):
        entry[_key(rel)] = _told(link for link in level.links if link.rel == rel)
    return entry


def _key(rel: str) -> str:
    return VOCABULARY + rel.removeprefix(PREFIX) if rel.startswith(PREFIX) else rel


def _told(links: Iterable[Link]) -> list[dict[str, Any]]:
    return [_members(link) for link in links]


def _members(link: Link) -> dict[str, Any]:
    told: dict[str, Any] = {"href": link.href, "title": link.title}
    told |= {"hreflang": list(link.hreflang)} if link.hreflang else {}
    told |= {"type": link.type} if link.type else {}
    told |= {"context": list(link.context)} if link.context else {}
    return told if link.fwqs else told | {"fwqs": False}
