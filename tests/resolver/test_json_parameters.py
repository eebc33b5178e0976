"""Parameters of the Handle JSON interface that the recorded exchanges do not show, by the facts of the reference."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.node import Node, admin_value

PREFIX = "88.118.7"
VALUES = [
    {"index": 9, "type": "URL", "data": "https://a.example"},
    {"index": 2, "type": "URL.SUB", "data": "sub"},
    {"index": 5, "type": "URLX", "data": "x"},
    {"index": 7, "type": "SECRET", "data": "hidden", "permissions": "1100"},
    admin_value(f"0.NA/{PREFIX}"),
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("parameters") / "node", PREFIX) as running:
        assert running.put(f"{PREFIX}/A", VALUES).status == 201
        yield running


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        ("", [9, 2, 5, 100]),
        ("?type=url", [9]),
        ("?type=URL.", [9, 2]),
        ("?type=URL.SUB", [2]),
        ("?type=URLX&index=9", [9, 5]),
        ("?index=5&index=9&index=5", [9, 5]),
        ("?index=7", []),
        ("?type=", []),
        ("?type=.", []),
        ("?index=77", []),
        ("?publicOnly=true", [9, 2, 5, 100]),
        ("?zzz&index=2", [2]),
    ],
)
def test_filters_are_or_ed_in_stored_order(node: Node, query: str, indexes: list[int]) -> None:
    """Index or type; no sub-types without the dot; nothing that is not public."""
    for reply in (node.get(f"{PREFIX}/A", query), node.ask("HEAD", f"/api/handles/{PREFIX}/A{query}")):
        assert reply.status == 200
    answer = node.get(f"{PREFIX}/A", query).json
    assert [value["index"] for value in answer["values"]] == indexes
    assert answer["responseCode"] == (1 if indexes else 200)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [("?publicOnly=false", 401, 402), ("?publicOnly=no&index=9", 200, 1), ("?publicOnly=no&index=7", 401, 402)],
)
def test_asking_for_more_than_the_public_part_asks_for_credentials(
    node: Node, query: str, status: int, code: int
) -> None:
    """Only if something that is not public was selected."""
    reply = node.get(f"{PREFIX}/A", query)
    assert (reply.status, reply.json["responseCode"]) == (status, code)


def test_with_the_right_everything_is_shown(node: Node) -> None:
    """And publicOnly takes it away again."""
    path = f"/api/handles/{PREFIX}/A"
    assert [v["index"] for v in node.ask("GET", path, headers=node.admin()).json["values"]] == [9, 2, 5, 7, 100]
    public = node.ask("GET", f"{path}?publicOnly", headers=node.admin()).json["values"]
    assert [value["index"] for value in public] == [9, 2, 5, 100]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"type": ["URL", "URLX"], "index": 2}, "application/json"),
        (b"type=URL&type=URLX&index=2", "application/x-www-form-urlencoded"),
    ],
)
def test_a_post_asks_as_a_get(node: Node, body: Any, kind: str) -> None:
    """Parameters in the body, as JSON or as a form."""
    reply = node.ask("POST", f"/api/handles/{PREFIX}/A", body, {"Content-Type": kind})
    assert [value["index"] for value in reply.json["values"]] == [9, 2, 5]


def test_the_status_of_a_put_says_what_happened(node: Node) -> None:
    """201 created or something added, 200 replaced, 409 exists, 400 what does not fit together."""
    handle, admin = f"{PREFIX}/PUT", admin_value(f"0.NA/{PREFIX}")
    url = {"index": 1, "type": "URL", "data": "a"}
    steps: list[tuple[Any, str, int, int]] = [
        ([url, admin], "", 201, 1),
        ([url, admin], "?overwrite=false", 409, 101),
        ({"values": [{**url, "data": "b"}, admin]}, "", 200, 1),
        ({"handle": handle.lower(), "values": [url, admin]}, "?overwrite=true", 200, 1),
        ({"handle": f"{PREFIX}/OTHER", "values": [url]}, "", 400, 4),
        ([{**url, "index": 2}], "?index=2", 201, 1),
        ([{**url, "index": 2, "data": "c"}], "?index=2", 200, 1),
        ([{**url, "index": 2}], "?index=2&overwrite=false", 409, 201),
        ([{**url, "index": 2}], "?index=3", 400, 4),
        ([{**url, "index": 2}, {**url, "index": 3}], "?index=various", 201, 1),
        ({**url, "index": 3, "data": "d"}, "?index=3", 200, 1),
    ]
    for body, query, status, code in steps:
        reply = node.put(handle, body, query)
        assert (reply.status, reply.json["responseCode"]) == (status, code), (query, reply.body)
    assert node.put(f"{PREFIX}/NOT-THERE", [url], "?index=1").status == 404
    assert node.delete(handle, "?index=2&index=3").status == 200
    assert (node.delete(handle, "?index=2").status, node.delete(handle).status) == (400, 200)
    assert node.delete(handle).status == 404


def test_listing_is_refused_in_the_order_of_the_reference(node: Node) -> None:
    """Not here 301, no credentials 402, no right 400; the prefix as asked stands in handle."""
    for prefix, headers, status, code in (
        ("99.1", {}, 400, 301),
        (PREFIX, {}, 401, 402),
        (f"0.na/{PREFIX}", {}, 401, 402),
    ):
        reply = node.ask("GET", f"/api/handles?prefix={prefix}", headers=headers)
        assert (reply.status, reply.json["responseCode"], reply.json["handle"]) == (status, code, prefix)


def test_the_site_is_described(node: Node) -> None:
    """Ports as they are, the server's public key."""
    answer = node.ask("GET", "/api/site").json
    assert list(answer) == ["responseCode", "site"]
    doors = {door["protocol"]: (door["port"], door["admin"]) for door in answer["site"]["servers"][0]["interfaces"]}
    assert doors == {
        "TCP": (node.ready["handle"], True),
        "UDP": (node.ready["handle"], False),
        "HTTP": (node.ready["http"], True),
        "HTTPS": (node.ready["https"], True),
    }
    assert answer["site"]["servers"][0]["publicKey"]["value"]["kty"] == "RSA"


@pytest.mark.parametrize(
    ("header", "zipped"), [("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("*", False), ("", False)]
)
def test_long_answers_are_zipped_when_asked(node: Node, header: str, zipped: bool) -> None:
    """From 1 024 octets on; 1 023 stay plain."""
    for size, large in ((10, False), (3_000, True)):
        node.put(f"{PREFIX}/Z", [{"index": 1, "type": "D", "data": "y" * size}, admin_value(f"0.NA/{PREFIX}")])
        reply = node.ask("GET", f"/api/handles/{PREFIX}/Z?index=1", headers={"Accept-Encoding": header})
        assert (reply.headers.get("Content-Encoding") == "gzip") == (zipped and large)
        body = gzip.decompress(reply.body) if zipped and large else reply.body
        assert b"y" * size in body
