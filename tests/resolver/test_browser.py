"""Browser addresses: redirect, page, aliases, and nothing that a record could inject."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.node import Node, Reply, admin_value

PREFIX = "88.118.7"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("browser") / "node", PREFIX) as running:
        yield running


def register(node: Node, suffix: str, *values: tuple[str, Any]) -> str:
    forms = [{"index": at + 1, "type": kind, "data": data} for at, (kind, data) in enumerate(values)]
    forms.append(admin_value(f"0.NA/{PREFIX}"))
    assert node.put(f"{PREFIX}/{suffix}", forms).status in (200, 201)
    return f"/{PREFIX}/{suffix}"


def test_a_url_value_is_redirected_to(node: Node) -> None:
    """302 to the first http or https URL; ?noredirect shows the record."""
    path = register(node, "U", ("DESC", "盐"), ("URL", "https://a.example/盐?a=b c&d=é"), ("URL", "https://b.example"))
    reply = node.ask("GET", path)
    assert reply.status == 302
    assert reply.headers["Location"] == "https://a.example/%E7%9B%90?a=b%20c&d=%C3%A9"
    page = node.ask("GET", f"{path}?noredirect")
    assert page.status == 200
    assert "https://b.example" in page.body.decode()
    assert node.ask("HEAD", path).status == 302


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "https:///x", "//evil.example", "file:///etc"]
)
def test_only_http_addresses_are_redirected_to(node: Node, url: str) -> None:
    """Anything else is shown, not followed."""
    reply = node.ask("GET", register(node, "J", ("URL", url)))
    assert (reply.status, "Location" in reply.headers) == (200, False)


def test_a_line_feed_in_a_url_makes_no_header(node: Node) -> None:
    """It is encoded."""
    reply = node.ask("GET", register(node, "N", ("URL", "https://a.example/\r\nSet-Cookie: a=b")))
    assert reply.headers.get("Set-Cookie") is None


def test_a_page_escapes_everything(node: Node) -> None:
    """Values and handle are text, never markup; the page may run no script."""
    path = register(node, "H", ("DESC", "<script>alert(1)</script>"), ("<b>", "x"))
    reply = node.ask("GET", path)
    assert b"<script>" not in reply.body
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    missing = node.ask("GET", f"/{PREFIX}/%3Cscript%3E")
    assert (missing.status, b"<script>" in missing.body) == (404, False)


def test_what_nobody_would_see_is_spelt_out(node: Node) -> None:
    """What turns the order of characters around, or a control, stands as its number; octets as base64."""
    octets = {"format": "base64", "value": "AP8="}
    body = node.ask("GET", register(node, "B", ("DESC", "a\u202eb\tc\x0bd\r\ne"), ("OCTETS", octets))).body.decode()
    assert "a\\u202eb\tc\\u000bd<br>e" in body
    assert "\u202e" not in body
    assert "base64: AP8=" in body


def test_a_service_site_is_read_as_its_members(node: Node) -> None:
    """As the JSON interface reads it; servers and their interfaces as lists."""
    door = {"query": True, "admin": False, "protocol": "TCP", "port": 2641}
    site = {"version": 1, "protocolVersion": "2.11", "serialNumber": 1, "primarySite": True, "multiPrimary": False,
            "servers": [{"serverId": 1, "address": "192.0.2.7", "interfaces": [door]}]}  # fmt: skip
    form = {"format": "site", "value": site}
    page = node.ask("GET", register(node, "SITE", ("HS_SITE", form))).body.decode()
    assert "<li>primarySite: true</li>" in page
    assert "<li>address: 192.0.2.7</li>" in page
    assert "<li>query: true, admin: false, protocol: TCP, port: 2641</li>" in page


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        (f"/{PREFIX}/NOSUCH", PREFIX), (f"/{PREFIX.lower()}", PREFIX), (f"/0.NA/{PREFIX}.9", PREFIX),
        ("/99.1/X", ""), ("/88..7/x", ""), (f"/{'9' * 3_000}/x", ""),
    ],
)  # fmt: skip
def test_a_page_leads_to_the_registration_data_of_its_prefix(node: Node, path: str, prefix: str) -> None:
    """Of the prefix that is homed here; not where none is."""
    body = node.ask("GET", path).body.decode()
    assert (f'href="/prefixes/{prefix}"' in body) == bool(prefix)
    assert ("/prefixes/" in body) == bool(prefix)


def test_what_is_not_public_is_not_shown(node: Node) -> None:
    """The prefix handle's secret key stays in the store."""
    reply = node.ask("GET", f"/0.NA/{PREFIX}")
    assert reply.status == 200
    assert b"HS_SECKEY" not in reply.body
    assert node.secret.encode() not in reply.body


def test_an_alias_is_followed(node: Node) -> None:
    """Over several hops, to the URL of the last."""
    register(node, "TARGET", ("URL", "https://target.example"))
    register(node, "A2", ("HS_ALIAS", f"{PREFIX}/target"))
    reply = node.ask("GET", register(node, "A1", ("HS_ALIAS", f"{PREFIX}/A2")))
    assert (reply.status, reply.headers["Location"]) == (302, "https://target.example")


def test_aliases_in_a_circle_end(node: Node) -> None:
    """With a page that says so."""
    register(node, "C1", ("HS_ALIAS", f"{PREFIX}/c2"))
    register(node, "C2", ("HS_ALIAS", f"{PREFIX}/c3"))
    reply = node.ask("GET", register(node, "C3", ("HS_ALIAS", f"{PREFIX}/c1")))
    assert reply.status == 200
    assert "circle" in reply.body.decode()


def test_a_chain_of_aliases_is_bounded(node: Node) -> None:
    """However long."""
    for number in range(15):
        register(node, f"L{number}", ("HS_ALIAS", f"{PREFIX}/L{number + 1}"))
    reply = node.ask("GET", f"/{PREFIX}/L0")
    assert "too long" in reply.body.decode()


@pytest.mark.parametrize("alias", ["99.1/FAR", "", "no\x00handle"])
def test_an_alias_that_leads_away_is_shown(node: Node, alias: str) -> None:
    """Another node's identifier, or none at all: the record itself."""
    form = {"format": "base64", "value": "bm8AaGFuZGxl"} if "\x00" in alias else alias
    assert node.ask("GET", register(node, "AWAY", ("HS_ALIAS", form))).status == 200


def test_an_alias_is_not_followed_by_the_handle_interface(node: Node) -> None:
    """HS_ALIAS is the client's to follow there."""
    register(node, "TARGET", ("URL", "https://target.example"))
    register(node, "A3", ("HS_ALIAS", f"{PREFIX}/TARGET"))
    reply: Reply = node.get(f"{PREFIX}/A3")
    assert [value["type"] for value in reply.json["values"]] == ["HS_ALIAS", "HS_ADMIN"]


@pytest.mark.parametrize(("path", "status"), [("/99.1/X", 421), ("/", 200), ("/x", 421), ("/88..7/x", 400)])
def test_pages_for_people_who_are_lost(node: Node, path: str, status: int) -> None:
    """HTML with the reason, in both languages."""
    reply = node.ask("GET", path)
    assert reply.status == status
    assert reply.headers["Content-Type"] == "text/html;charset=utf-8"
