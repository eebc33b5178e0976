"""The checks of the GS1 resolver test suite, as it makes them: what it sends, and what passes.

Source: reference "GS1 and serials" §1.2. Ids are those of the suite; ours are the requests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from core.ident.linktypes import LINK_TYPES
from tests.kit.node import Reply

ORIGIN = {"Origin": "https://ref.gs1.org"}
VOCABULARY = re.compile(r"https://(?:ref\.|www\.)?gs1\.org/voc/")
WALK_UP = {"01": "/10/KL8G", "414": "/254/KL8G"}
DL = re.compile(r"https://[^/]*\.[^/]*/(01|414)/(\d{4,})((?:/[^/]+/[^/]+)*)")
CONTEXT_LINK = ('rel="http://www.w3.org/ns/json-ld#context"', 'type="application/ld+json"')
Ask = Callable[..., Reply]


class Suite(NamedTuple):
    """One run. ``ask``: method, path with query, headers. ``origin``: scheme and host. ``path``: of the Digital Link.

    ``valid``: whether a document is a linkset. ``described``: whether one describes a resolver.
    """

    ask: Ask
    origin: str
    path: str
    valid: Callable[[Any], bool]
    described: Callable[[Any], bool]

    def verdicts(self) -> dict[str, bool]:
        """Return whether each check passes, none of them with a warning."""
        return dict([*self._address(), *self._headers(), *self._errors(), *self._linkset()])

    def _get(self, tail: str = "", **headers: str) -> Reply:
        sent = ORIGIN | {"Accept": "*/*"} | {name.replace("_", "-"): text for name, text in headers.items()}
        return self.ask("GET", self.path + tail, headers=sent)

    def _address(self) -> Iterator[tuple[str, bool]]:
        match = DL.fullmatch(self.origin + self.path)
        yield "isHttps", self.origin.startswith("https://")
        yield "plausibleDL", match is not None
        yield "validDL", match is not None and (match[1] != "01" or len(match[2]) == 14)
        yield "tlsOK", self._get().status > 0
        reply = self.ask("GET", "/.well-known/gs1resolver", headers=ORIGIN | {"Accept": "application/json"})
        yield "rdFile", reply.status == 200 and self.described(reply.json)
        yield "httpVersion", self.ask("HEAD", "/", headers=ORIGIN).status > 0  # http.client speaks 1.1 alone

    def _headers(self) -> Iterator[tuple[str, bool]]:
        reply = self.ask("OPTIONS", self.path, headers=ORIGIN | {"Access-Control-Request-Method": "GET"})
        methods = reply.headers.get("Access-Control-Allow-Methods", "")
        links = reply.headers.get("Link", "")
        yield "corsCheck", reply.headers.get("Access-Control-Allow-Origin") is not None
        yield "methodsCheck", all(method in methods for method in ("GET", "HEAD", "OPTIONS"))
        yield "linkOnRedirect", any('rel="linkset"' in each for each in links.split(","))
        yield "legacyLinkHeaders", 'rel="gs1:' not in links

    def _errors(self) -> Iterator[tuple[str, bool]]:
        wrong = self._get("/foo").status
        yield "reportWith400", wrong == 400
        yield "noErrorWith200", wrong != 200
        one, other = self._get(), self._get("/")
        yield "trailingSlash", (one.status, one.headers["Location"]) == (other.status, other.headers["Location"])
        key = "/".join(self.path.split("/")[:3])
        unknown = self.ask("GET", key + WALK_UP[key.split("/")[1]], headers=ORIGIN)
        yield "basicWalkUp", unknown.status != 404
        yield "qsPassedOn", "foo=bar" in self._get("?foo=bar").headers.get("Location", "")
        yield "ltLinksetNoRedirect", self._get("?linkType=linkset").status == 200
        accepted = self._get("?linkType=all", Accept="application/linkset+json")
        yield "ltAcceptHeader", accepted.status == 200
        yield "specificLinkTypeNotFound", self._get("?linkType=gs1:nosuchlt").status == 404

    def _linkset(self) -> Iterator[tuple[str, bool]]:
        reply = self._get(Accept="application/linkset+json")
        yield "validLinkset", self.valid(reply.json)
        links = reply.headers.get_all("Link")
        assert links is not None
        yield "linksetJsonldCheck", any(all(part in each for part in CONTEXT_LINK) for each in links[-1].split(","))
        yield "declaredContentType", reply.headers["Content-Type"] == "application/linkset+json"
        entries = json.loads(VOCABULARY.sub("gs1:", json.dumps(reply.json)))["linkset"]
        yield from self._entries(entries)

    def _entries(self, entries: list[dict[str, Any]]) -> Iterator[tuple[str, bool]]:
        """Walk up from the whole key; of a type that is there twice the longest level counts."""
        seen: set[str] = set()
        path = self.path
        while path:
            for entry in entries:
                if entry["anchor"] != self.origin + path:
                    continue
                for rel, links in entry.items():
                    if rel not in ("anchor", "itemDescription") and rel not in seen:
                        seen.add(rel)
                        yield from self._links(rel, links)
            path = "/".join(path.split("/")[:-2])
        yield "linkTypesDefined", all(rel[4:] in LINK_TYPES for rel in seen if rel.startswith("gs1:"))
        yield "defaultLinkExists", "gs1:defaultLink" in seen

    def _links(self, rel: str, links: list[dict[str, Any]]) -> Iterator[tuple[str, bool]]:
        if rel == "gs1:defaultLink":
            yield "singleDefaulLink", len(links) == 1
            yield "defaultLinkAlone", set(links[0]) == {"href", "title"}
            yield "defaultTarget", self._get().headers["Location"] == links[0]["href"]
            return
        multi = rel == "gs1:defaultLinkMulti"
        if multi:
            yield "singleMultiLink", len(links) > 1
        attributes = [{name: link.get(name) for name in ("type", "hreflang", "context")} for link in links]
        for place, link in enumerate(links):
            headers = {"Accept": link.get("type", "*/*")}
            if "hreflang" in link:
                headers["Accept_Language"] = link["hreflang"][0]
            reply = self._get("" if multi else f"?linkType={rel}", **headers)
            if attributes.count(attributes[place]) > 1:
                yield f"loFor{rel}{place}", reply.status == 300
            else:
                location = re.sub(r"[?&]linkType=.*", "", reply.headers.get("Location", ""))
                yield f"loFor{rel}{place}", location == link["href"]


CHECKS = frozenset(
    [
        "isHttps",
        "plausibleDL",
        "validDL",
        "tlsOK",
        "rdFile",
        "httpVersion",
        "corsCheck",
        "methodsCheck",
        "linkOnRedirect",
        "legacyLinkHeaders",
        "reportWith400",
        "noErrorWith200",
        "trailingSlash",
        "basicWalkUp",
        "qsPassedOn",
        "ltLinksetNoRedirect",
        "ltAcceptHeader",
        "specificLinkTypeNotFound",
        "validLinkset",
        "linksetJsonldCheck",
        "declaredContentType",
        "linkTypesDefined",
        "defaultLinkExists",
        "singleDefaulLink",
        "defaultTarget",
    ]
)
"""Those that every run makes."""
