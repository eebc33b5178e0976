"""The links of each level of a GS1 key, out of what is answered for it.

1. Links are the GS1_LINK values; one that does not read is passed over. Without any, or where nothing is marked as the
   default, the URL value is the default, described as gs1:pip; without that the first link; without any link the node's
   own page of the identifier.
2. What a level says itself comes before what it has from the level above: a unit and a lot say the values of their
   product, too (``resolver/units.py``).
3. Nobody is led past a code that was never issued, is out of use or held. A unit that is recalled has its page and
   nothing else. One of a delegated prefix is handled by the node of that prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote as percent_encode
from urllib.parse import unquote

from core import limits
from core.errors import Outcome, WireError
from core.ident.linktypes import HANDLED_BY, PIP
from core.records import HandleValue, Values
from core.wire.gs1link import Link, decode_link
from core.wire.valuetypes import GS1_LINK
from resolver.browser import first_url, recall_of
from resolver.gs1.choice import LevelLinks
from resolver.names import STOPS, Named
from resolver.referral import origin_of

_DESC: Final = "DESC"
_URL: Final = re.compile(r"(https?)://([^/?#]*)(.*)", re.IGNORECASE)
_HOST: Final = re.compile(r"[A-Za-z0-9.\[][A-Za-z0-9._~!$&'()*+,;=:@\[\]-]*")
_TOLD: Final = (Outcome.OK, Outcome.NO_VALUES)


class Found(NamedTuple):
    """The levels that lead on, the longest first, and the one that stops all further ones, if there is one."""

    levels: tuple[LevelLinks, ...]
    stop: Named | None = None


def find(named: Sequence[Named], base: str, path: str) -> Found:
    """Return the links of the levels. ``base``: scheme and host of this node. ``path``: of the whole key."""
    levels: list[LevelLinks] = []
    for place, each in enumerate(named):
        outcome = each.answer.outcome
        if outcome in STOPS:
            return Found(tuple(levels), each)
        if outcome is Outcome.SERVICE_REFERRAL:
            levels.append(_delegated(each, base, path))
        elif outcome in _TOLD:
            levels.append(_level(each, _above(named[place + 1 :]), base))
        if levels and levels[-1].ends:
            break
    return Found(tuple(levels))


def plain_redirect(named: Sequence[Named]) -> str | None:
    """Return where a request without a query is led to, whatever its headers say; None where they or the node's own
    address matter, and for all that is no plain redirect. Accept may still ask for the linkset.
    """
    if not named or named[0].answer.outcome is not Outcome.OK:
        return None
    level = _level(named[0], _above(named[1:]), "")
    return None if level.ends or level.multi or level.default.href.startswith("/") else level.default.href


def page_of(handle: str, base: str) -> str:
    """Return the address of the node's own page of a handle."""
    prefix, slash, suffix = handle.partition("/")
    return f"{base}/{percent_encode(prefix, safe='')}{slash}{percent_encode(suffix, safe='')}"


def _level(named: Named, above: frozenset[tuple[int, str, bytes]], base: str) -> LevelLinks:
    values = named.answer.values or ()
    page = page_of(named.handle, base)
    path = named.level.path
    recall = recall_of(named.answer)
    if recall:
        link = Link(page, PIP, recall)
        return LevelLinks(path, recall, (link,), link, ends=True)
    own = tuple(value for value in values if _content(value) not in above)
    inherited = tuple(value for value in values if _content(value) in above)
    title = _text(own) or _text(inherited) or named.handle
    groups = [(_links(group), first_url(group)) for group in (own, inherited)]
    links = [link for group, _ in groups for link in group]
    default = _default(groups, title) or (links[0] if links else Link(page, PIP, title))
    same = next((link for link in links if link.href == default.href), None)
    if same is None:
        links.append(default)
    elif default not in links:
        default = same
    return LevelLinks(path, title, tuple(links), default)


def _default(groups: Iterable[tuple[tuple[Link, ...], str | None]], title: str) -> Link | None:
    """Return what is marked as the default, or the URL value: of the level's own values first."""
    for links, url in groups:
        marked = next((link for link in links if link.default), None)
        if marked is not None:
            return marked
        address = None if url is None else _address(url)
        if address is not None:
            return Link(address, PIP, title)
    return None


def _address(url: str) -> str | None:
    """Return the address of a URL value as a linkset may have it: scheme in small letters, host in ASCII.

    None for a host that holds, percent-decoded, what no host may: an end of line would end the header.
    """
    match = _URL.fullmatch(url)
    if match is None:
        return None
    scheme, host, rest = match.groups()
    try:
        name = unquote(host).encode("idna").decode()
    except UnicodeError:
        return None
    return f"{scheme.lower()}://{name}{rest}" if _HOST.fullmatch(name) else None


def _delegated(named: Named, base: str, path: str) -> LevelLinks:
    """Return the one link, to the same key at the node that handles it, or to our page with its sites if it has no
    door for browsers.
    """
    origin = origin_of(named.handle, named.answer.values or ())
    href = page_of(named.handle, base) if origin is None else f"{origin}{path}"
    link = Link(href, HANDLED_BY, named.handle)
    return LevelLinks(named.level.path, named.handle, (link,), link, ends=True)


def _above(named: Sequence[Named]) -> frozenset[tuple[int, str, bytes]]:
    """Return the values of the next level that says any."""
    values = next((each.answer.values for each in named if each.answer.outcome is Outcome.OK), None)
    return frozenset(map(_content, values or ()))


def _content(value: HandleValue) -> tuple[int, str, bytes]:
    return value.value_index, value.type, value.data


def _links(values: Values) -> tuple[Link, ...]:
    """Bounds: GS1_LINKS_MAX, the first ones."""
    links = []
    for value in [value for value in values if value.type == GS1_LINK][: limits.GS1_LINKS_MAX]:
        try:
            links.append(decode_link(value.data))
        except WireError:
            continue
    return tuple(links)


def _text(values: Values) -> str:
    """Return the first description, on one line. Bounds: LINK_TITLE_CHARS_MAX."""
    for value in values:
        if value.type.upper() == _DESC:
            text = " ".join(value.data.decode("utf-8", "replace")[: 4 * limits.LINK_TITLE_CHARS_MAX].split())
            visible = "".join(char for char in text if char.isprintable())
            if visible:
                return visible[: limits.LINK_TITLE_CHARS_MAX]
    return ""
