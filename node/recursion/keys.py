"""GS1 keys of others, over HTTP: the linkset of a GS1 resolver, redirects followed.

1. The base is the operator's own (``resolver.gs1``); whatever it redirects to is somebody else's: http or https, never
   from https to http, no user name, and an address that ``policy`` allows, as it is written or as it is looked up
   (``lookups.py``), the same that is connected to.
2. Nothing is kept between questions: no cookies, no credentials, no proxy of the environment.
3. The body is plain JSON of at most RECURSION_ANSWER_BYTES_MAX octets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import aiohttp
from yarl import URL

from core import limits
from core.errors import Outcome
from core.outcomes import HTTP_REDIRECTS, STATUSES
from core.upstream_url import UpstreamUrl
from core.wire.sitefile import AddressPolicy
from node.recursion.lookups import Addresses, ElsewhereError
from node.recursion.places import Place, allows
from resolver.recursion.found import Found, NoAnswerError
from resolver.recursion.linkset import read_linkset

_HEADERS: Final = {
    "Accept": "application/linkset+json, application/json;q=0.9",
    "Accept-Encoding": "identity",
    "User-Agent": "saltern",
}
_OK: Final = STATUSES[Outcome.OK].http
_NONE: Final = (STATUSES[Outcome.NOT_FOUND].http, STATUSES[Outcome.GONE].http)
_MEDIA: Final = ("application/linkset+json", "application/json", "application/ld+json")
_LIFETIME: Final = re.compile(r"(?:^|,)\s*(?:(no-store|no-cache|private)|(?:s-maxage|max-age)=\"?(\d{1,9}))", re.ASCII)


class KeyAsker:
    """Asks for GS1 keys. ``policy``: where redirects may lead, beside the base. ``name_servers``: see Addresses."""

    def __init__(self, base: UpstreamUrl, policy: AddressPolicy, name_servers: tuple[Place, ...] = ()) -> None:
        self._base = URL(str(base))
        self._own = (base.host, base.port)
        self._policy = policy
        self._name_servers = name_servers
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, path: str) -> Found:
        """Ask for the linkset of a key. ``path``: of a Digital Link, percent-encoded.

        Errors: NoAnswerError. Bounds: RECURSION_DEPTH_MAX redirects.
        """
        url = URL(f"{str(self._base).rstrip('/')}{path}?linkType=linkset", encoded=True)
        asked: tuple[str, ...] = ()
        while True:
            if str(url) in asked:
                raise NoAnswerError(f"重定向循环，回到 {_shown(url)}。The redirects lead back to {_shown(url)}")
            if len(asked) > limits.RECURSION_DEPTH_MAX:
                raise NoAnswerError("重定向过多。There are too many redirects")
            asked = (*asked, str(url))
            try:
                async with self._opened().get(url, allow_redirects=False) as response:
                    if response.status not in HTTP_REDIRECTS:
                        return await _told(response, asked)
                    url = self._onward(url, response.headers)
            except ElsewhereError:
                raise _refused(url) from None
            except aiohttp.ClientConnectorDNSError as error:
                raise (_refused(url) if isinstance(error.os_error, ElsewhereError) else _unreachable(url)) from None
            except (aiohttp.ClientError, OSError, ValueError):
                raise _unreachable(url) from None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        """Return the session, made where a loop runs."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=Addresses(self._own, self._policy, self._name_servers), limit=limits.RECURSIONS_MAX
            )
            self._session = aiohttp.ClientSession(
                connector=connector, headers=_HEADERS, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=limits.RECURSION_S), trust_env=False,
                max_line_size=limits.HTTP_HEAD_BYTES_MAX, max_field_size=limits.HTTP_HEAD_BYTES_MAX,
            )  # fmt: skip
        return self._session

    def _onward(self, url: URL, headers: Mapping[str, str]) -> URL:
        """Return where a redirect leads. Errors: NoAnswerError; ValueError for what is no URL."""
        location = headers.get("Location", "")
        if not location or len(location) > limits.GS1_LINK_BYTES_MAX:
            raise NoAnswerError("重定向没有去处。A redirect leads nowhere")
        onward = url.join(URL(location)).with_fragment(None)
        schemes = ("https",) if url.scheme == "https" else ("http", "https")
        host = onward.raw_host  # as it is connected to
        if onward.scheme not in schemes or not host or onward.user or onward.password:
            raise _refused(onward)
        if (host, onward.port) != self._own and not allows(self._policy, host):
            raise _refused(onward)
        return onward


async def _told(response: aiohttp.ClientResponse, asked: tuple[str, ...]) -> Found:
    """Errors: NoAnswerError, ClientError."""
    ttl_s = min(_lifetime_s(response.headers.getall("Cache-Control", [])), limits.RECURSION_TTL_S_MAX)
    if response.status in _NONE:
        return Found(Outcome.HANDLE_NOT_FOUND, ttl_s, asked)
    if response.status != _OK:
        raise NoAnswerError(f"GS1 解析器应答 {response.status}。The GS1 resolver answers {response.status}")
    if response.content_type not in _MEDIA or response.headers.get("Content-Encoding", "identity") != "identity":
        raise NoAnswerError("GS1 解析器的应答不是链接集。The answer of the GS1 resolver is no linkset")
    octets = bytearray()
    async for piece in response.content.iter_any():
        octets += piece
        if len(octets) > limits.RECURSION_ANSWER_BYTES_MAX:
            raise NoAnswerError("GS1 解析器的应答过长。The answer of the GS1 resolver is too long")
    return Found(Outcome.OK, ttl_s, asked, links=read_linkset(bytes(octets)))


def _lifetime_s(headers: list[str]) -> int:
    """Return for how long an answer may be kept (RFC 9111 §5.2.2); RECURSION_UNSAID_S where nothing is said."""
    said = _LIFETIME.findall(",".join(headers).lower())
    if any(never for never, _ in said):
        return 0
    return min((int(seconds) for _, seconds in said), default=limits.RECURSION_UNSAID_S)


def _shown(url: URL) -> str:
    return f"{url.scheme}://{url.host}"


def _refused(url: URL) -> NoAnswerError:
    return NoAnswerError(f"重定向指向不允许的地址 {_shown(url)}。A redirect leads to {_shown(url)}, which is not asked")


def _unreachable(url: URL) -> NoAnswerError:
    return NoAnswerError(f"无法到达 {_shown(url)}，或应答有误。{_shown(url)} cannot be reached, or answers wrongly")
