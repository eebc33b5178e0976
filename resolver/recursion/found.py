"""What was found elsewhere, whichever way."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

import msgspec

from core import limits
from core.clock import parse_utc
from core.errors import NodeError, Outcome
from core.wire.jsontext import parse

_MEMBER_BYTES: Final = 64  # what a member of a tuple costs, about


class NoAnswerError(NodeError):
    """Who was asked gave no answer of use: nothing follows of the identifier, and nothing is remembered."""

    outcome = Outcome.NO_ANSWER


class Service(NamedTuple):
    """One service of an OID: its name, and the URI or value."""

    service: str
    value: str


class Link(NamedTuple):
    """One link of a linkset (RFC 9264): what it is about, its type, where it leads; the rest empty where not said."""

    anchor: str
    rel: str
    href: str
    title: str = ""
    type: str = ""
    hreflang: str = ""


class Found(NamedTuple):
    """An answer of others. ``values``: the JSON array of a handle's values. ``secure``: see ``node/recursion/oids.py``.

    ``ttl_s``: how long it holds. ``asked``: who was asked, one after the other.
    """

    outcome: Outcome
    ttl_s: int
    asked: tuple[str, ...]
    values: bytes | None = None
    services: tuple[Service, ...] | None = None
    links: tuple[Link, ...] | None = None
    secure: bool | None = None

    @property
    def size_bytes(self) -> int:
        """About how much room it takes."""
        rows: list[Any] = [*(self.services or ()), *(self.links or ()), self.asked]
        return len(self.values or b"") + sum(len(text) + _MEMBER_BYTES for row in rows for text in row) + _MEMBER_BYTES


class _Ttl(msgspec.Struct):
    ttl: int | str


_Ttls = Annotated[list[_Ttl], msgspec.Meta(max_length=limits.VALUES_PER_RECORD_MAX)]


def ttl_of(values: bytes, now_s: int) -> int:
    """Return for how many seconds all values of a JSON array hold; RECURSION_UNSAID_S where there are none.

    ``now_s``: the time of day. Errors: WireError.
    """
    ttls = [_left(each.ttl, now_s) for each in parse(values, _Ttls)]
    return min(ttls, default=limits.RECURSION_UNSAID_S)


def _left(ttl: int | str, now_s: int) -> int:
    if isinstance(ttl, int):
        return max(ttl, 0)
    return max((parse_utc(ttl) or 0) - now_s, 0)
