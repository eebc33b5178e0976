"""``/{AI}/…`` and ``/.well-known/gs1resolver``: the GS1-conformant resolver.

1. A key leads to the link that fits the request best (307), to the list of those that fit equally well (300), or gives
   its linkset. What does not parse is 400, what names nothing here 404.
2. Every answer may be read by pages of any origin, varies by Accept and Accept-Language, and says in one Link header
   where the linkset is; one for a compressed key also what the key is uncompressed. A node that handles the key
   itself is named instead of the linkset.
3. The log has the key as asked. What does not parse is no resolution, and OPTIONS resolves nothing.

Source: GS1-Conformant resolver standard 1.2; RFC 9110 §15.4.8; RFC 8288 §3; RFC 9264 §6.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple, Protocol
from urllib.parse import quote as percent_encode

from core.errors import IdentifierError, NodeError, Outcome, WireError
from core.events import ResolutionLog, Via
from core.ident.digital_link import CANONICAL, DigitalLink, parse_path
from core.ident.dl_compression import decompress
from core.ident.gs1_table import KEYS
from core.ident.linktypes import HANDLED_BY, PREFIX, VOCABULARY
from core.outcomes import HTTP_MULTIPLE_CHOICES, HTTP_NO_CONTENT, HTTP_TEMPORARY_REDIRECT, STATUSES
from core.store.engine import Snapshot, Table
from core.wire.gs1link import Link
from core.wire.http import Headers, Request, Response, not_allowed, parse_fields, prefers_html, problem
from core.wire.page import page, paragraph
from resolver.browser import LOCATION_SAFE, REASONS
from resolver.gs1.choice import LINKSET, LevelLinks, choose, link_type
from resolver.gs1.links import Found, find
from resolver.gs1.linkset import CONTEXT, choices, linkset
from resolver.gs1.negotiate import LINKSET_TYPE, Wanted, languages, media_ranges, wants_linkset
from resolver.names import Named

RESOLVER: Final = "/.well-known/gs1resolver"
METHODS: Final = "GET, HEAD, OPTIONS"
_HOST: Final = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_HOST_CHARS_MAX: Final = 255
_OPEN: Final[Headers] = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", METHODS),
    ("Access-Control-Expose-Headers", "Link"),
    ("Access-Control-Max-Age", "86400"),
    ("Vary", "Accept, Accept-Language"),
)
_CONTEXT_LINK: Final = f'<{CONTEXT}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
_UNKNOWN: Final = "本节点没有这个 GS1 标识。This node has nothing under this GS1 key."
_NO_SUCH_LINK: Final = "没有所要类型的链接。There is no link of the type that is asked for."
_CHOOSE: Final = "请选择 Choose"


class Store(Protocol):
    """What this front needs of a store."""

    def snapshot(self) -> Snapshot:
        """Begin to read."""


class Levels(Protocol):
    """What this front needs of the names."""

    def levels(self, snapshot: Snapshot, link: DigitalLink) -> tuple[Named, ...]:
        """Return the levels that name something here, the longest first. See ``resolver.names.Names``."""


class Asked(NamedTuple):
    """A key that was asked for. ``base``: scheme and host of this node as the client sees it."""

    link: DigitalLink
    compressed: bool
    base: str

    @property
    def uri(self) -> str:
        """The uncompressed URI at this node, without attributes."""
        return self.base + self.link.levels[0].path


class DigitalLinks:
    """Answers GS1 Digital Links. ``public_url``: node.public_url. ``operator``: who runs the node, may be empty."""

    def __init__(self, names: Levels, store: Store, log: ResolutionLog, *, public_url: str, operator: str = "") -> None:
        self._names = names
        self._store = store
        self._log = log
        self._public_url = public_url
        self._operator = operator

    async def answer(self, request: Request) -> Response:
        """Answer ``/{AI}/…``, or a compressed key. Errors: LogFullError."""
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            return _opened(not_allowed(request.path, METHODS))
        try:
            asked = self._asked(request)
            if request.method == "OPTIONS":
                return _opened(Response(HTTP_NO_CONTENT, (("Allow", METHODS),)), _links(asked))
            fields = parse_fields(request.query)
            with self._store.snapshot() as snapshot:
                named = self._names.levels(snapshot, asked.link)
        except NodeError as error:
            return _refused(request, error.ended, error.message)
        found = find(named, asked.base, asked.link.levels[0].path)
        types = media_ranges(request.headers.get("accept", ""))
        wanted = Wanted(
            languages(request.headers.get("accept-language", "")), types, frozenset(fields.get("context", ()))
        )
        kind = link_type(fields.get("linkType", [""])[0])
        if kind != LINKSET and wants_linkset(types, typed=bool(kind)):
            kind = LINKSET
        outcome, response = _answer(request, asked, found, (kind, wanted))
        identifier = request.path.lstrip("/").encode("utf-8", "surrogateescape")
        self._log.record(Via.DIGITAL_LINK, outcome, request.peer, identifier, None)
        return response

    def takes(self, path: str) -> bool:
        """Whether a path is a key of GS1: by its first segment, right or wrong, or as one segment, compressed.

        One segment that names a prefix which is homed here is that prefix.
        """
        first, slash, _ = path[1:].partition("/")
        if first in KEYS or slash or not first:
            return first in KEYS
        try:
            decompress(path)
        except IdentifierError:
            return False
        with self._store.snapshot() as snapshot:
            return snapshot.get(Table.PREFIXES, first.encode().upper()) is None

    def description(self, request: Request) -> Response:
        """Answer ``/.well-known/gs1resolver``. Source: JSON schema of a resolver description file 1.2.0."""
        if request.method == "OPTIONS":
            return _opened(Response(HTTP_NO_CONTENT, (("Allow", METHODS),)))
        if request.method not in ("GET", "HEAD"):
            return _opened(not_allowed(request.path, METHODS))
        try:
            root = self._base(request)
        except WireError as error:
            return _refused(request, error.ended, error.message)
        told = {
            "name": self._operator or "Saltern",
            "resolverRoot": root,
            "supportedPrimaryKeys": sorted(KEYS),
            "supportedLinkType": [{"namespace": VOCABULARY, "prefix": PREFIX}],
            "linkTypeDefaultCanBeLinkset": False,
            "jsonLdContextLocation": CONTEXT,
        }
        if self._operator:
            told["contact"] = {"fn": self._operator}
        body = json.dumps(told, ensure_ascii=False).encode()
        return _opened(Response(STATUSES[Outcome.OK].http, (("Content-Type", "application/json"),), body))

    def _asked(self, request: Request) -> Asked:
        """Errors: IdentifierError for what is no key, WireError without a host."""
        base = self._base(request)
        try:
            return Asked(_plain(request), False, base)
        except IdentifierError:
            compressed = _compressed(request)
            if compressed is None:
                raise
            return Asked(compressed, True, base)

    def _base(self, request: Request) -> str:
        """Return scheme and host that anchors begin with. Errors: WireError."""
        if self._public_url:
            return self._public_url
        host = request.headers.get("host", "")
        if len(host) > _HOST_CHARS_MAX or _HOST.fullmatch(host) is None:
            raise WireError("请求须有 Host 首部。The request needs the header Host")
        return f"{'https' if request.secure else 'http'}://{host.lower()}"


def _answer(request: Request, asked: Asked, found: Found, what: tuple[str, Wanted]) -> tuple[Outcome, Response]:
    """Return how it ends and what is told. ``what``: type of link, preferences."""
    kind, wanted = what
    if kind == LINKSET and found.levels:
        headers = _links(asked, _CONTEXT_LINK)
        body = linkset(found.levels, asked.base)
        content = (("Content-Type", LINKSET_TYPE),)
        return Outcome.OK, _opened(Response(STATUSES[Outcome.OK].http, content, body), headers)
    links = choose(found.levels, kind, wanted)
    if not links:
        return _nothing(request, asked, found)
    level = next(level for level in found.levels if links[0] in level.links)
    if len(links) > 1:
        return Outcome.OK, _opened(_choice(request, asked, level, links), _links(asked))
    (link,) = links
    location = with_query(link, request.query)
    if link.rel == HANDLED_BY:
        handler = f'<{link.href}>; rel="{VOCABULARY}{HANDLED_BY.removeprefix(PREFIX)}"'
        return Outcome.SERVICE_REFERRAL, _opened(_away(location), _joined(handler, *_same_as(asked)))
    return Outcome.OK, redirect(asked.uri, location, *_same_as(asked))


def redirect(uri: str, location: str, *more: str) -> Response:
    """Return the answer that leads on. ``uri``: of the key, uncompressed. ``more``: members of the Link header."""
    return _opened(_away(location), _joined(_linkset_of(uri), *more))


def _away(location: str) -> Response:
    return Response(HTTP_TEMPORARY_REDIRECT, (("Location", location),))


def _nothing(request: Request, asked: Asked, found: Found) -> tuple[Outcome, Response]:
    if found.stop is not None:
        answer = found.stop.answer
        reason = REASONS.get(answer.outcome, "")
        told = f"{reason}{answer.notice}" if answer.notice else reason
        return answer.outcome, _refused(request, answer.outcome, told)
    if not found.levels:
        return Outcome.HANDLE_NOT_FOUND, _refused(request, Outcome.HANDLE_NOT_FOUND, _UNKNOWN)
    return Outcome.VALUE_NOT_FOUND, _refused(request, Outcome.VALUE_NOT_FOUND, _NO_SUCH_LINK, _links(asked))


def _choice(request: Request, asked: Asked, level: LevelLinks, links: Sequence[Link]) -> Response:
    if prefers_html(request.headers.get("accept", ""), LINKSET_TYPE):
        items = "".join(
            f'<li><a href="{escape(link.href)}" rel="nofollow noopener">{escape(link.title)}</a> '
            f"{escape(', '.join((*link.hreflang, *filter(None, [link.type]), *link.context)))}</li>"
            for link in links
        )
        return page(Outcome.OK, _CHOOSE, f"<ul>{items}</ul>")._replace(status=HTTP_MULTIPLE_CHOICES)
    return Response(HTTP_MULTIPLE_CHOICES, (("Content-Type", LINKSET_TYPE),), choices(level, links, asked.base))


def with_query(link: Link, query: str) -> str:
    """Return the address of a link with the query of the request, before its fragment."""
    if not query or not link.fwqs:
        return link.href
    address, mark, fragment = link.href.partition("#")
    joined = f"{address}{'&' if '?' in address else '?'}{percent_encode(query, safe=LOCATION_SAFE)}"
    return joined + mark + fragment


def _refused(request: Request, outcome: Outcome, told: str, links: Headers = ()) -> Response:
    if prefers_html(request.headers.get("accept", "")):
        return _opened(page(outcome, "GS1 Digital Link", paragraph(told)), links)
    return _opened(problem(outcome, told, request.path), links)


def _opened(response: Response, links: Headers = ()) -> Response:
    """Return a response with the headers that all of them have."""
    return response._replace(headers=(*_OPEN, *links, *response.headers))


def _links(asked: Asked, *more: str) -> Headers:
    """Return the one Link header: linkset, what a compressed key is uncompressed, and more."""
    return _joined(_linkset_of(asked.uri), *_same_as(asked), *more)


def _linkset_of(uri: str) -> str:
    return f'<{uri}?linkType=linkset>; rel="linkset"; type="{LINKSET_TYPE}"'


def _same_as(asked: Asked) -> tuple[str, ...]:
    whole = asked.base + asked.link.canonical.removeprefix(CANONICAL)
    return (f'<{whole}>; rel="owl:sameAs"',) if asked.compressed else ()


def _joined(*links: str) -> Headers:
    return (("Link", ", ".join(links)),)


def _plain(request: Request) -> DigitalLink:
    """Errors: IdentifierError for what is no key, or begins with a stem: here is the root."""
    link = parse_path(request.path, request.query)
    if len(_segments(request)) != 2 * len(link.elements):
        raise IdentifierError("GS1 标识应从路径的第一段开始。The GS1 key begins with the first segment of the path")
    return link


def _compressed(request: Request) -> DigitalLink | None:
    """Read a key that is compressed as a whole, or behind its first element."""
    try:
        link = decompress(request.path, request.query)
    except IdentifierError:
        return None
    before = _segments(request)[:-1]
    return link if before in ([], link.path.split("/")[1:3]) else None


def _segments(request: Request) -> list[str]:
    return request.path.removesuffix("/").split("/")[1:]
