"""What a running node tells of one object, by each way: its handle, its aliases, GS1 Digital Links, OIDs in DNS.

Whatever a killed worker takes with it is asked again; a failure of the node's own is none of that.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote, unquote, urlsplit

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from core.ident.alias import AliasKind, parse_alias
from core.ident.ors import DUMMY, labels_of_gtin, labels_of_node
from tests.kit.handle_client import Client, Lost, Tcp, Udp
from tests.kit.handle_node import HOST
from tests.kit.node import Node, Reply

ORS: Final = "oid-res.org"
ONS: Final = "gs1.id.onsepc.com"
LONG_WAY: Final = {"X-Second-Look": "1"}
_WAIT_S: Final = 20.0
_ONCE_S: Final = 1.0
_AIS: Final = {
    AliasKind.GTIN: "/01/{}", AliasKind.GTIN_LOT: "/01/{}/10/{}", AliasKind.GTIN_SERIAL: "/01/{}/21/{}",
    AliasKind.SSCC: "/00/{}", AliasKind.GLN: "/414/{}",
}  # fmt: skip
_STATUSES: Final = {404: "none", 421: "none", 410: "gone", 451: "held"}
_RULE: Final = re.compile(r"!\^\.\*\$!(.+)!")
_BROKEN: Final = (OSError, http.client.HTTPException, EOFError, Lost, dns.exception.DNSException)
T = TypeVar("T")


class Told(NamedTuple):
    """How it ended (ok, none, gone, held), and the values: index, type, data, TTL."""

    ending: str
    values: frozenset[tuple[int, str, bytes, int]] = frozenset()

    @property
    def url(self) -> str:
        """The address that it leads to."""
        return next(data.decode() for _, kind, data, _ in self.values if kind == "URL")


def insist(ask: Callable[[], T]) -> T:
    """Ask again as long as the connection breaks. Errors: the last one after _WAIT_S."""
    end = time.monotonic() + _WAIT_S
    while True:
        try:
            return ask()
        except _BROKEN:
            if time.monotonic() > end:
                raise


class Asking:
    """Asks one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._port: int = node.ready["dns"]
        port = node.ready["handle"]
        self._handles = [Client(Udp(HOST, port, _ONCE_S)), Client(Tcp(HOST, port, timeout_s=_WAIT_S))]
        self.asked = 0

    def _get(self, path: str, headers: dict[str, str] | None = None) -> Reply:
        self.asked += 1
        reply = insist(lambda: self._node.ask("GET", path, headers=headers))
        assert reply.status < 500, (path, reply.status, reply.body)
        return reply

    # --- by handle
    def by_handle(self, handle: str) -> Iterator[Told]:
        """Yield what is told by JSON, UDP and TCP, which do not all say why there is none."""
        found = self._get(f"/api/handles/{quote(handle, safe='/')}").json
        assert found["responseCode"] in (1, 100), found
        yield _told(found["values"]) if found["responseCode"] == 1 else Told("none")
        for client in self._handles:
            self.asked += 1
            reply = insist(lambda client=client: client.resolve(handle))  # type: ignore[misc]
            assert reply.code in (1, 100), reply
            values = frozenset((each.index, each.type, each.data, each.ttl) for each in reply.values)
            yield Told("ok" if reply.code == 1 else "none", values)

    # --- by other names
    def by_name(self, name: str) -> tuple[str, Told]:
        """Return the handle, and what is told of it."""
        reply = self._get(f"/v1/resolve?identifier={quote(name, safe='')}")
        if reply.status != 200:
            return "", Told(_STATUSES[reply.status])
        assert reply.json["authoritative"] is True, reply.body
        return str(reply.json["handle"]), _told(reply.json["values"])

    def by_link(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield ending and address, by the quick way and the long one, whose answers are the same but for the time."""
        replies = [self._get(path, headers) for headers in (None, LONG_WAY)]
        quick, long = ([each for each in reply.headers.items() if each[0] != "Date"] for reply in replies)
        assert quick == long, path
        for reply in replies:
            ending = "ok" if reply.status == 307 else _STATUSES[reply.status]
            yield ending, reply.headers.get("Location", "")

    def by_dns(self, name: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield ending, and services with their addresses, by UDP and by TCP."""
        for answer in self.records(name):
            rules = [each for rrset in answer.answer for each in rrset if rrset.rdtype == dns.rdatatype.NAPTR]
            services = {each.service.decode(): _RULE.fullmatch(each.regexp.decode()) for each in rules}
            assert bool(services) is (answer.rcode() == dns.rcode.NOERROR), answer
            assert services or answer.rcode() == dns.rcode.NXDOMAIN, answer
            yield ("ok" if services else "none"), {kind: rule[1] for kind, rule in services.items() if rule}

    def records(self, name: str, type_: str = "NAPTR") -> Iterator[dns.message.Message]:
        """Yield the answers by UDP and by TCP."""
        for query in (dns.query.udp, dns.query.tcp):
            self.asked += 1
            made = dns.message.make_query(name, type_)
            yield insist(lambda query=query, made=made: query(made, HOST, _ONCE_S, self._port))  # type: ignore[misc]

    # --- all of them
    def assert_one(self, handle: str, wanted: Told, aliases: Iterable[str], links: Iterable[str]) -> None:
        """Have every way tell the same: what is ``wanted``, of this handle. ``links``: Digital Links by rule."""
        for found in self.by_handle(handle):
            assert found == (wanted if wanted.ending == "ok" else Told("none")), handle
        for alias in aliases:
            self.assert_alias(alias, handle, wanted)
        for link in links:
            self._assert_name(link[1:], handle, wanted)
            self.assert_link(link, wanted)

    def _assert_name(self, name: str, handle: str, wanted: Told) -> None:
        found, told = self.by_name(name)
        assert told == wanted, (name, handle)
        assert found == (handle if wanted.ending == "ok" else ""), (name, found)

    def assert_alias(self, text: str, handle: str, wanted: Told) -> None:
        """Have an alias lead to what is told of its handle, on every protocol that knows its kind."""
        self._assert_name(text, handle, wanted)
        alias = parse_alias(text)
        if alias.kind in _AIS:
            self.assert_link(_AIS[alias.kind].format(*alias.value.split("/")), wanted)
        for name in dns_names(text):
            for ending, services in self.by_dns(name):
                assert ending == ("ok" if wanted.ending in ("ok", "gone") else "none"), (name, wanted.ending)
                if ending == "ok":
                    self._assert_services(text, handle, services)

    def _assert_services(self, alias: str, handle: str, services: dict[str, str]) -> None:
        kind, _, value = alias.partition(":")
        if kind == "gtin":
            assert [urlsplit(each).path for each in services.values()] == [f"/01/{value}"], services
            return
        assert services["ORS+COID"] == f"urn:oid:{value}"
        assert unquote(urlsplit(services["ORS+UINF"]).path) == f"/{handle}", services

    def assert_link(self, path: str, wanted: Told) -> None:
        """Have a Digital Link lead where the object's URL leads."""
        for ending, address in self.by_link(path):
            assert ending == wanted.ending, (path, ending, wanted)
            assert address == (wanted.url if ending == "ok" else ""), (path, address)


def dns_names(alias: str) -> list[str]:
    """Return the names that an alias has in DNS."""
    kind, _, value = alias.partition(":")
    if kind == "gtin":
        return [_text(labels_of_gtin(value), ONS)]
    if kind == "oid":
        return [_text(labels_of_node(value), ORS), _text((DUMMY, *labels_of_node(value)), ORS)]
    return []


def _text(labels: Iterable[bytes], zone: str) -> str:
    return ".".join([*(label.decode() for label in labels), zone])


def _told(values: list[dict[str, Any]]) -> Told:
    found = set()
    for each in values:
        assert each["data"]["format"] == "string", each
        found.add((each["index"], each["type"], each["data"]["value"].encode(), each["ttl"]))
    return Told("ok", frozenset(found))


@contextlib.contextmanager
def naming(what: object) -> Iterator[None]:
    """Say at an error of the block what was done before."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"behind {what}: {error}") from error
