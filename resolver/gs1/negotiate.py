"""What a request prefers: language, media type, context, as numbers that compare.

The higher a rank the better: 0 is not wanted, NEUTRAL is what neither side says anything of. Members of a header
that cannot be read are left out, and so are those behind the first NEGOTIATED_MAX. A header that only says what is not
wanted (en;q=0) leaves all else open.

Languages: ranges by weight, then as written, each looked up as RFC 4647 §3.4 does: zh-CN, then zh. Tags of links are
xx or xx-XX, so scripts are passed over: zh-Hans-CN is zh-CN. A language alone takes its regions behind itself, zh-TW
behind zh, which §3.4 leaves open.
Source: RFC 9110 §12.4.2, §12.5.1, §12.5.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from core import limits

NEUTRAL: Final = 1
LINKSET_TYPE: Final = "application/linkset+json"
_JSON: Final = "application/json"
_HTML: Final = "text/html"
_ANY: Final = "*"
_ANY_TYPE: Final = "*/*"
_WEIGHT: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
_RANGE: Final = re.compile(r"\*|[a-z]{1,8}(?:-[a-z0-9]{1,8})*")
_MEDIA_RANGE: Final = re.compile(r"\*/\*|[a-z0-9!#$&^_.+-]+/(?:\*|[a-z0-9!#$&^_.+-]+)")
_WHOLE: Final = 1_000
_STEPS: Final = 2  # of one range: what it names, then the language alone or what is more special
_REGION_CHARS: Final = 2


class Languages(NamedTuple):
    """What Accept-Language says. ``exact`` and ``below``: rank of a tag, and of all that begins with it and "-"."""

    exact: dict[str, int]
    below: dict[str, int]
    other: int = NEUTRAL
    unsaid: int = NEUTRAL

    def rank(self, tags: Iterable[str]) -> int:
        """Return the rank of what is in these languages, each ``xx`` or ``xx-XX``; none: it does not say."""
        return max(map(self._of, tags), default=self.unsaid)

    def names(self, tags: Iterable[str]) -> bool:
        """Whether one of these languages is asked for: not any language at all."""
        return any(self.exact.get(tag.lower()) or self.below.get(tag[:2].lower()) for tag in tags)

    def _of(self, tag: str) -> int:
        tag = tag.lower()
        found = self.exact.get(tag)
        return self.below.get(tag[:2], self.other) if found is None else found


class MediaRanges(NamedTuple):
    """What Accept says: weight in thousandths of each range."""

    weights: dict[str, int]

    def rank(self, kind: str) -> int:
        """Return the rank of a media type; empty: it is not known."""
        if not self.weights:
            return NEUTRAL
        if not kind:
            return 2 * self.weights.get(_ANY_TYPE, 0) or NEUTRAL
        for name in (kind, f"{kind.partition('/')[0]}/*", _ANY_TYPE):
            if name in self.weights:
                return 2 * self.weights[name]
        return 0 if any(self.weights.values()) else NEUTRAL

    def names(self, kind: str) -> bool:
        """Whether it asks for this type, or its family: not for anything at all."""
        return any(self.weights.get(name) for name in (kind, f"{kind.partition('/')[0]}/*"))


class Wanted(NamedTuple):
    """All that a request prefers."""

    languages: Languages
    types: MediaRanges
    contexts: frozenset[str] = frozenset()


def languages(header: str) -> Languages:
    """Read Accept-Language. Total. Bounds: NEGOTIATED_MAX."""
    members = [(weight, name) for name, weight in _members(header) if _RANGE.fullmatch(name)]
    if not members:
        return Languages({}, {})
    exact = {name: 0 for weight, name in members if not weight}
    below = dict(exact)
    ranged = sorted((each for each in members if each[0]), key=lambda each: -each[0])
    for place, (_, name) in enumerate(ranged):
        rank = _STEPS * (len(ranged) - place) + NEUTRAL
        primary, region = _short(name)
        if region:
            exact.setdefault(f"{primary}-{region}", rank)
            exact.setdefault(primary, rank - 1)
        else:
            exact.setdefault(primary, rank)
            below.setdefault(primary, rank - 1)
    other = exact.get(_ANY, 0 if ranged else NEUTRAL)
    return Languages(exact, below, other, other or NEUTRAL)


def _short(name: str) -> tuple[str, str]:
    """Return language and region of a range, without what stands between them."""
    primary, *rest = name.split("-")
    return primary, next((part for part in rest if len(part) == _REGION_CHARS and part.isalpha()), "")


def media_ranges(header: str) -> MediaRanges:
    """Read Accept; parameters of a type do not count. Total. Bounds: NEGOTIATED_MAX."""
    weights: dict[str, int] = {}
    for name, weight in _members(header):
        if _MEDIA_RANGE.fullmatch(name):
            weights[name] = max(weight, weights.get(name, 0))
    return MediaRanges(weights)


def wants_linkset(types: MediaRanges, *, typed: bool) -> bool:
    """Whether Accept asks for the linkset: by its own type, or by JSON where no type of link is asked for.

    ``typed``: one is.
    """
    page = types.weights.get(_HTML, 0)
    named = types.weights.get(LINKSET_TYPE, 0)
    return (named > 0 and named >= page) or (not typed and types.weights.get(_JSON, 0) > page)


def _members(header: str) -> Iterator[tuple[str, int]]:
    """Yield what a header names, in small letters, and its weight in thousandths."""
    for part in header.lower().split(",", limits.NEGOTIATED_MAX)[: limits.NEGOTIATED_MAX]:
        name, *parameters = (each.strip() for each in part.split(";", 8)[:8])
        weight = next((each[2:].strip() for each in parameters if each.startswith("q=")), "1")
        if _WEIGHT.fullmatch(weight):
            yield name, round(float(weight) * _WHOLE)
