"""Redirects of GS1 Digital Links that need no second look: the octets of ``front``, by splicing.

1. A path that was redirected is remembered for one state of the store, and so is, for each lot, what its units have in
   common: the answers of those that are answered alike differ in their serial number alone.
2. Only where no header and no query matter (``plain_redirect``), and where node.public_url says what links begin with.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple

from core import clock, limits
from core.errors import Outcome
from core.events import ResolutionLog, Via
from core.ident.alias import Alias, AliasKind
from core.ident.digital_link import DigitalLink, Element, parse_path
from core.ident.handle import prefix_of
from core.store.alias_rows import begins_any
from core.store.lot_rows import lot_of_unit
from core.wire.http import Response
from resolver.gs1.front import redirect
from resolver.gs1.links import plain_redirect
from resolver.names import Named, Names
from resolver.plain import PlainReads

_UNIT_START: Final = b"/01/"
_SERIAL_START: Final = b"/21/"
_GTIN_DIGITS: Final = 14
_SERIAL_AT: Final = len(_UNIT_START) + _GTIN_DIGITS + len(_SERIAL_START)
_SERIAL: Final = "21"
_PLACE: Final = "~~~~"  # no serial number; percent-encoded nowhere


class _Alike(NamedTuple):
    """Units of a lot that are answered alike: what they share, and the octets around each serial number."""

    shared: object
    parts: tuple[bytes, ...]


class QuickRedirects:
    """Redirects what is common; leaves the rest to ``DigitalLinks``. ``found`` counts its answers.

    ``reads``: begun and ended by whoever asks (``QuickResolver``).
    """

    def __init__(
        self, reads: PlainReads, names: Names, log: ResolutionLog, found: Callable[[], None], *, public_url: str
    ) -> None:
        self._reads = reads
        self._names = names
        self._log = log
        self._count_found = found
        self._public_url = public_url
        self._state = -1
        self._heads: dict[bytes, bytes] = {}
        self._prefixes: dict[bytes, bytes] = {}
        self._lots: dict[tuple[bytes, bytes], _Alike] = {}

    def redirect(self, path: bytes, peer: bytes) -> tuple[bytes, ...] | None:
        """Return the answer in pieces; None where a second look is needed. ``path``: ``/01/…``, nothing encoded."""
        if not self._public_url:
            return None
        state = self._reads.snapshot.state()
        if state != self._state:
            self._state = state
            for kept in (self._heads, self._prefixes, self._lots):
                kept.clear()
        try:
            head = self._of_unit(path) or self._heads.get(path) or self._made(path)
        except Exception:  # the long way names the error
            return None
        if head is None:
            return None
        self._log.resolved(Via.DIGITAL_LINK, Outcome.OK, peer, path[1:])
        self._count_found()
        return head, clock.http_date()

    def _of_unit(self, path: bytes) -> bytes | None:
        """Return the head for a unit that is answered like another one of its lot, None for any other path."""
        prefix = self._prefixes.get(path[:_SERIAL_AT])
        if prefix is None:
            return None
        serial = path[_SERIAL_AT:]
        key = prefix + serial
        alike = self._lots.get((path[:_SERIAL_AT], lot_of_unit(key)))
        if alike is None or self._reads.shared(key) is not alike.shared:
            return None
        return serial.join(alike.parts)

    def _made(self, path: bytes) -> bytes | None:
        """Return the head for any path, and remember what it has in common with others. Bounds: QUICK_LINKS_MAX."""
        link = parse_path(path.decode())
        if link.path.encode() != path:  # one slash more, a stem before: the long way says what is right
            return None
        named = self._names.levels(self._reads.snapshot, link)
        head = self._head(link, named)
        if head is None:
            return None
        if not self._keep_alike(path, link, named, head):
            if len(self._heads) >= limits.QUICK_LINKS_MAX:
                self._heads.clear()
            self._heads[path] = head
        return head

    def _keep_alike(self, path: bytes, link: DigitalLink, named: tuple[Named, ...], head: bytes) -> bool:
        """Remember what a unit shares with others, if it does."""
        key = named[0].handle.encode()
        serial = path[_SERIAL_AT:]
        if [each.ai for each in link.elements] != ["01", _SERIAL] or not key.endswith(b"/" + serial):
            return False
        shared = self._reads.shared(key)
        if shared is None or self._has_own_names(path, lot_of_unit(key)):
            return False
        elements = (link.elements[0], Element(_SERIAL, _PLACE))
        placed = named[0]._replace(level=DigitalLink(elements), handle=f"{prefix_of(key).decode()}/{_PLACE}")
        around = self._head(DigitalLink(elements), (placed, *named[1:]))
        parts = () if around is None else tuple(around.split(_PLACE_OCTETS))
        if serial.join(parts) != head:  # an address of the record has the place's own character
            return False
        if len(self._lots) >= limits.LOTS_KEPT_MAX:
            self._lots.clear()
            self._prefixes.clear()
        self._prefixes[path[:_SERIAL_AT]] = prefix_of(key) + b"/"
        self._lots[path[:_SERIAL_AT], lot_of_unit(key)] = _Alike(shared, parts)
        return True

    def _has_own_names(self, path: bytes, lot: bytes) -> bool:
        """Whether a serial that begins as those of the lot has an alias of its own, which wins over the rule."""
        gtin, code = path[len(_UNIT_START) :][:_GTIN_DIGITS], lot[lot.find(b"/") + 1 :]
        return begins_any(self._reads.snapshot, Alias(AliasKind.GTIN_SERIAL, f"{gtin.decode()}/{code.decode()}"))

    def _head(self, link: DigitalLink, named: tuple[Named, ...]) -> bytes | None:
        location = plain_redirect(named)
        return None if location is None else _octets(redirect(self._public_url + link.path, location))


_PLACE_OCTETS: Final = _PLACE.encode()


def _octets(response: Response) -> bytes:
    """Return the octets of an answer without a body, up to the value of Date."""
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    return "\r\n".join([*lines, "Content-Length: 0", "Date: "]).encode("ascii")
