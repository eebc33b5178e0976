"""``/oid/{oid}…``: what DNS leads to is there, and is what it says."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from tests.kit.node import Node, saltern

PREFIX, OID = "88.118.7", "1.2.156.99999.7"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with an OID, and two below it of which one has none of its own."""
    with Node(tmp_path_factory.mktemp("oids"), PREFIX, about__operator="示例盐业") as running:
        config = ("--config", str(running.config))
        for suffix, oid in (("SKU01", OID), ("SKU02", f"{OID}.2"), ("SKU03", f"{OID}.3.1")):
            saltern("record", "put", f"{PREFIX}/{suffix}", "--url", "https://p007.example.cn/", *config)
            saltern("alias", "add", f"{PREFIX}/{suffix}", f"oid:{oid}", *config)
        yield running


def test_the_address_of_an_oid_is_that_of_what_it_names(node: Node) -> None:
    """By a redirect to its page."""
    reply = node.ask("GET", f"/oid/{OID}")
    assert (reply.status, reply.headers["Location"]) == (302, f"/{PREFIX}/SKU01")


def test_the_children_are_told(node: Node) -> None:
    """Those that are registered, and those below which something is."""
    reply = node.ask("GET", f"/oid/{OID}/children.xml")
    assert reply.headers["Content-Type"] == "application/xml;charset=utf-8"
    children = ET.fromstring(reply.body)
    assert [(child.get("oid"), child.get("registered")) for child in children] == [
        (f"{OID}.2", "true"), (f"{OID}.3", "false"),
    ]  # fmt: skip


def test_the_registrant_is_told(node: Node) -> None:
    """Who holds the prefix: here the operator himself."""
    registrant = ET.fromstring(node.ask("GET", f"/oid/{OID}/registrant.xml").body)
    assert registrant.get("prefix") == PREFIX
    assert registrant.findtext("name") == "示例盐业"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/oid/1.2.156.99999.8", 404), (f"/oid/{OID}.3", 404), (f"/oid/{OID}/other.xml", 404), ("/oid/", 400),
        ("/oid", 404), ("/oid/1.02", 400), ("/oid/%FF", 400), (f"/oid/{'1.' * 2_000}1", 400),
        (f"/oid/{OID}/children.xml/more", 404),
    ],
)  # fmt: skip
def test_anything_else_is_refused(node: Node, path: str, status: int) -> None:
    """With a reason, and never a 5xx."""
    for method in ("GET", "HEAD"):
        assert node.ask(method, path).status == status
    assert node.ask("POST", f"/oid/{OID}").status == 405


def test_a_held_oid_is_not_answered(node: Node) -> None:
    """And is again when the hold is lifted."""
    config = ("--config", str(node.config))
    saltern("hold", "place", f"{PREFIX}/SKU02", "--order", "1", "--reason", "test", *config)
    for path in (f"/oid/{OID}.2", f"/oid/{OID}.2/children.xml", f"/oid/{OID}.2/registrant.xml"):
        assert node.ask("GET", path).status == 451
    saltern("hold", "lift", f"{PREFIX}/SKU02", "--order", "1", *config)
    assert node.ask("GET", f"/oid/{OID}.2").status == 302
