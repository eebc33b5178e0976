"""The quick way of GS1 Digital Links answers with the octets of the long one, in every state of what is asked."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator

import pytest

from tests.kit.node import Node, saltern

PREFIX, PRODUCT, LOT, OTHER = "88.118.7", "88.118.7/SKU01", "88.118.7/L1", "88.118.8"
GTIN, BARE_GTIN, LINKED_GTIN, EVIL_GTIN = "06905330100014", "06905330100021", "06905330100038", "06905330100045"
LINKS = [
    {"href": "https://a.example.cn/zh", "rel": "gs1:pip", "title": "产品", "hreflang": ["zh"], "default": True},
    {"href": "https://a.example.cn/en", "rel": "gs1:pip", "title": "Product", "hreflang": ["en"]},
    {"href": "https://a.example.cn/recipe~~~~", "rel": "gs1:recipeInfo", "title": "Recipe"},
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node whose address is known, with a lot, a product without a URL, and one with links."""
    settings = {"node__public_url": "https://id.example.cn"}
    with Node(tmp_path_factory.mktemp("links"), PREFIX, OTHER, **settings) as running:
        config = ("--config", str(running.config))
        saltern("record", "put", PRODUCT, "--url", "https://p007.example.cn/sku/01?lang=zh", *config)
        value = json.dumps({"index": 2, "type": "DESC", "data": "盐"})
        saltern("record", "put", f"{PREFIX}/BARE", "--value", value, *config)
        linked = [
            json.dumps({"index": at, "type": "GS1_LINK", "data": json.dumps(link)})
            for at, link in enumerate(LINKS, 1)
        ]  # fmt: skip
        saltern("record", "put", f"{PREFIX}/LINKED", *(each for link in linked for each in ("--value", link)), *config)
        saltern("lot", "create", LOT, "--product", PRODUCT, "--count", "1000", "--units-per-case", "50", *config)
        for name, gtin in (("SKU01", GTIN), ("BARE", BARE_GTIN), ("LINKED", LINKED_GTIN)):
            saltern("alias", "add", f"{PREFIX}/{name}", f"gtin:{gtin}", *config)
        yield running


@pytest.fixture(scope="module")
def serials(node: Node) -> list[str]:
    done = saltern("lot", "codes", LOT, "--from", "0", "--count", "1000", "--config", str(node.config))
    return [json.loads(line)["identifier"].partition("/")[2] for line in done.stdout.splitlines()]


def answered(node: Node, path: str, *headers: str) -> list[bytes]:
    """Return the lines of an answer without a body, but for its Date; of one with a body its head."""
    with socket.create_connection(("127.0.0.1", node.ready["http"]), timeout=10) as channel:
        head = "\r\n".join([f"GET {path} HTTP/1.1", "Host: id.example.cn", *headers, "", ""])
        channel.sendall(head.encode())
        octets = b""
        while b"\r\n\r\n" not in octets:
            received = channel.recv(65_536)
            assert received, octets
            octets += received
    return [line for line in octets.partition(b"\r\n\r\n")[0].split(b"\r\n") if not line.startswith(b"Date:")]


def both(node: Node, path: str, *headers: str) -> list[bytes]:
    """Ask the quick way and the long one, which a header that it does not know makes it take."""
    quick, long = answered(node, path, *headers), answered(node, path, *headers, "X-Second-Look: 1")
    assert quick == long, path
    return quick


def location(lines: list[bytes]) -> str:
    return next((line[10:].decode() for line in lines if line.startswith(b"Location: ")), "")


def test_units_of_a_lot_are_redirected_alike(node: Node, serials: list[str]) -> None:
    """Each with its own address in the Link header; whatever state they are in."""
    for serial in random.Random(1).sample(serials, 30):
        lines = both(node, f"/01/{GTIN}/21/{serial}")
        assert location(lines) == "https://p007.example.cn/sku/01?lang=zh"
        assert any(f"<https://id.example.cn/01/{GTIN}/21/{serial}?linkType=linkset>".encode() in line for line in lines)


def test_every_other_path_too(node: Node, serials: list[str]) -> None:
    """Products, lots, a slash at the end, a stem, small letters, false codes, bad ones, other keys, handles."""
    unit = serials[5]
    false = unit[:-1] + ("3" if unit[-1] == "2" else "2")
    paths = [
        f"/01/{GTIN}", f"/01/{GTIN}/", f"/01/{GTIN}/10/L1", f"/01/{GTIN}/10/L1/21/{unit}", f"/01/{GTIN}/10/NONE",
        f"/01/{GTIN}/21/{unit.lower()}", f"/01/{GTIN}/21/{false}", f"/01/{GTIN}/21/{unit}/",
        f"/01/{GTIN}/21/{unit}?a=1",
        f"/01/{BARE_GTIN}", f"/01/{BARE_GTIN}/21/{unit}", f"/01/{LINKED_GTIN}", f"/01/{LINKED_GTIN}/21/X",
        f"/01/{GTIN[:-1]}5", f"/01/{GTIN[1:]}", "/01/", "/01", f"/01/{GTIN}/21/", f"/01/{GTIN}//21/{unit}",
        f"/01/{GTIN}/21/{unit}/10/L1", f"/01/{GTIN}/10/L1/10/L2", f"/01/{GTIN}/99/A", f"/01/{GTIN}/21/%41",
        f"/stem/01/{GTIN}", "/414/6901234567892", f"/{PRODUCT}", f"/01/{GTIN}/21/{'A' * 3_000}",
    ]  # fmt: skip
    for path in paths:
        both(node, path)
    for accept in ("*/*", "text/html", "application/linkset+json", "application/json;q=0.5, text/html"):
        for path in (f"/01/{GTIN}", f"/01/{GTIN}/21/{unit}", f"/01/{LINKED_GTIN}"):
            both(node, path, f"Accept: {accept}", "Accept-Language: en")
    assert location(both(node, f"/01/{LINKED_GTIN}", "Accept-Language: en")) == "https://a.example.cn/en"


def test_a_serial_with_a_name_of_its_own_is_not_like_its_lot(node: Node, serials: list[str]) -> None:
    """A row wins over the rule: for a unit of the lot, and for one of another prefix under the same GTIN."""
    config = ("--config", str(node.config))
    saltern("record", "put", f"{OTHER}/SKU", "--url", "https://other.example.cn/", *config)
    saltern(
        "lot", "create", f"{OTHER}/L2", "--product", f"{OTHER}/SKU", "--count", "9", "--units-per-case", "3", *config
    )
    done = saltern("lot", "codes", f"{OTHER}/L2", "--from", "0", "--count", "2", *config)
    strangers = [json.loads(line)["identifier"].partition("/")[2] for line in done.stdout.splitlines()]
    saltern("alias", "add", f"{OTHER}/SKU", f"gtin+serial:{GTIN}/{serials[21]}", *config)
    saltern("alias", "add", f"{OTHER}/{strangers[0]}", f"gtin+serial:{GTIN}/{strangers[0]}", *config)
    own = "https://p007.example.cn/sku/01?lang=zh"
    expected = (
        (serials[20], own), (serials[21], "https://other.example.cn/"), (serials[22], own),
        (strangers[0], "https://other.example.cn/"), (strangers[1], own), (serials[23], own),
    )  # fmt: skip
    for serial, address in expected * 2:
        assert location(both(node, f"/01/{GTIN}/21/{serial}")) == address
    for serial in (serials[21], strangers[0]):
        saltern("alias", "remove", f"gtin+serial:{GTIN}/{serial}", *config)
    assert location(both(node, f"/01/{GTIN}/21/{serials[21]}")) == own


def test_no_url_writes_a_header_of_its_own(node: Node) -> None:
    """What decodes to an end of line in the host is no address; the page of the identifier is left."""
    config = ("--config", str(node.config))
    saltern("record", "put", f"{PREFIX}/EVIL", "--url", "https://a%0d%0aSet-Cookie:b=c%0d%0aX:/", *config)
    saltern("alias", "add", f"{PREFIX}/EVIL", f"gtin:{EVIL_GTIN}", *config)
    lines = both(node, f"/01/{EVIL_GTIN}")
    assert location(lines) == f"https://id.example.cn/{PREFIX}/EVIL"
    assert not [line for line in lines if line.startswith(b"Set-Cookie")]


def test_what_was_written_is_seen_at_once(node: Node, serials: list[str]) -> None:
    """An event, another address, a hold, an alias that is taken away: nothing that was remembered is told again."""
    config = ("--config", str(node.config))
    path = f"/01/{GTIN}/21/{serials[7]}"
    before = location(both(node, path))
    event = {"event": "scrapped", "identifier": f"{PREFIX}/{serials[7]}", "time": "2026-01-01T08:00:00+08:00"}
    events = node.folder / "events.json"
    events.write_text(json.dumps([event]))
    saltern("lot", "events", LOT, str(events), *config)
    assert b" 410 " in both(node, path)[0]
    assert location(both(node, f"/01/{GTIN}/21/{serials[8]}")) == before
    saltern("record", "put", PRODUCT, "--url", "https://new.example.cn/~~~~", *config)
    for serial in serials[8:12]:
        assert location(both(node, f"/01/{GTIN}/21/{serial}")) == "https://new.example.cn/~~~~"
    saltern("hold", "place", f"{PREFIX}/{serials[9]}", "--order", "1", "--reason", "test", *config)
    assert b" 451 " in both(node, f"/01/{GTIN}/21/{serials[9]}")[0]
    assert location(both(node, f"/01/{GTIN}/21/{serials[10]}"))
    saltern("hold", "lift", f"{PREFIX}/{serials[9]}", "--order", "1", *config)
    saltern("alias", "remove", f"gtin:{GTIN}", *config)
    assert b" 404 " in both(node, f"/01/{GTIN}/21/{serials[10]}")[0]
    saltern("alias", "add", PRODUCT, f"gtin:{GTIN}", *config)
    assert location(both(node, f"/01/{GTIN}/21/{serials[10]}"))
