"""Which link of a set a request is led to.

1. The longest level that has a link of the asked type gives it; without a type, the longest level gives its default.
2. Of several links of a type the best by context wins, then by language, then by media type (``negotiate.py``); then
   the one that says least that was not asked for. What is still equal is left to whoever asks: 300.
3. Links of the default's own type take its place where they fit the request better: they are gs1:defaultLinkMulti. The
   default wins what is equal, so this never ends in 300.

Source: GS1-Conformant resolver standard 1.2, R7, R8 and R10 of the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from core import limits
from core.ident.linktypes import DEFAULT_LINK, DEFAULT_LINK_MULTI, PREFIX
from core.wire.gs1link import Link
from resolver.gs1.negotiate import NEUTRAL, Wanted, languages, media_ranges, wants_linkset

LINKSET: Final = "linkset"
_ALL: Final = "all"  # the name of it before 2024
_WANTED: Final = NEUTRAL + 1
_VOCABULARIES: Final = tuple(
    f"{scheme}://{host}gs1.org/voc/" for scheme in ("https", "http") for host in ("", "ref.", "www.")
)


class LevelLinks(NamedTuple):
    """The links of one level. ``path``: of its URI. ``default``: one of the links. ``description``: of the item.

    ``ends``: whatever is asked, this level answers it with its default, and nothing above is looked at.
    """

    path: str
    description: str
    links: tuple[Link, ...]
    default: Link
    ends: bool = False

    @property
    def multi(self) -> tuple[Link, ...]:
        """The links of the default's type where there are several: candidates to take its place."""
        found = () if self.ends else tuple(link for link in self.links if link.rel == self.default.rel)
        return found if len(found) > 1 else ()


def link_type(asked: str) -> str:
    """Return an asked type as records have it: "gs1:pip" for its URI, LINKSET for all; empty where none is asked."""
    if asked == _ALL:
        return LINKSET
    for vocabulary in _VOCABULARIES:
        if asked.startswith(vocabulary):
            return PREFIX + asked[len(vocabulary) :]
    return asked


def choose(levels: Sequence[LevelLinks], asked: str, wanted: Wanted) -> tuple[Link, ...]:
    """Return the links of the best level that fit equally well: one, several to choose from, or none.

    ``levels``: the longest first. ``asked``: as link_type() has it, empty or a type.
    """
    for level in levels:
        if level.ends or asked == DEFAULT_LINK:
            return (level.default,)
        if not asked:
            return (default_of(level, wanted),)
        candidates = level.multi if asked == DEFAULT_LINK_MULTI else [link for link in level.links if link.rel == asked]
        if candidates:
            return best(candidates, wanted)
    return ()


def best(links: Sequence[Link], wanted: Wanted) -> tuple[Link, ...]:
    """Return those that fit best, in their order. One link alone fits whatever is wanted."""
    if len(links) == 1:
        return (links[0],)
    fitting = _highest(links, lambda link: _ranks(link, wanted))
    return _highest(fitting, lambda link: (-_unasked(link, wanted),))


def default_of(level: LevelLinks, wanted: Wanted) -> Link:
    """Return the default of a level, or the one of its type that fits the request better."""
    fitting = _highest(level.multi, lambda link: _ranks(link, wanted)) or (level.default,)
    if level.default in fitting:
        return level.default
    least = _highest(fitting, lambda link: (-_unasked(link, wanted),))
    return least[0] if len(least) == 1 else level.default


def told_multi(level: LevelLinks) -> tuple[Link, ...]:
    """Return what a linkset tells as gs1:defaultLinkMulti: links that a request gets by asking for what they say.

    None where that is fewer than two. Bounds: GS1_MULTI_MAX; none where there are more.
    """
    candidates = level.multi if len(level.multi) <= limits.GS1_MULTI_MAX else ()
    found = tuple(link for link in candidates if _by_itself(level, link))
    return found if len(found) > 1 else ()


def _by_itself(level: LevelLinks, link: Link) -> bool:
    types = media_ranges(link.type or "*/*")
    if wants_linkset(types, typed=False):
        return False
    return default_of(level, Wanted(languages(",".join(link.hreflang[:1])), types)) == link


def _ranks(link: Link, wanted: Wanted) -> tuple[int, ...]:
    return _context(link, wanted.contexts), wanted.languages.rank(link.hreflang), wanted.types.rank(link.type)


def _context(link: Link, contexts: frozenset[str]) -> int:
    if not contexts or not link.context:
        return NEUTRAL
    return 0 if contexts.isdisjoint(link.context) else _WANTED


def _unasked(link: Link, wanted: Wanted) -> int:
    """Return how many things a link says that nobody asked for."""
    tags = link.hreflang
    asked_tags = bool(tags) and wanted.languages.names(tags)
    return (
        (len(tags) - 1 if asked_tags else bool(tags))
        + (bool(link.type) and not wanted.types.names(link.type))
        + (bool(link.context) and wanted.contexts.isdisjoint(link.context))
    )


def _highest(links: Iterable[Link], key: Callable[[Link], tuple[int, ...]]) -> tuple[Link, ...]:
    keyed = [(key(link), link) for link in links]
    top = max((each for each, _ in keyed), default=())
    return tuple(link for each, link in keyed if each == top)
