"""Public registration data of a running node, asked as curl and a browser would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import limits
from tests.kit.node import Node
from tests.node.test_rate_limits import get, http

OWN = "88.118"
URL = "https://id.example.cn"
EXEMPT = "127.0.0.1"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("rdap") / "node"
    with Node(folder, OWN, node__public_url=URL + "/", resolver__rate_limit_exempt=[f"{EXEMPT}/32"]) as running:
        yield running


def test_a_program_gets_rdap(node: Node) -> None:
    """With the media type, from any page, by GET and by HEAD."""
    answer = node.ask("GET", f"/prefixes/{OWN}", headers={"Accept": "application/rdap+json"})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/rdap+json")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert (answer.json["handle"], answer.json["status"]) == (OWN, ["active"])
    assert answer.json["links"][0]["href"] == f"{URL}/prefixes/{OWN}"
    assert {each["eventActor"] for each in answer.json["events"]} == {OWN}
    head = node.ask("HEAD", f"/prefixes/{OWN}")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(len(answer.body)), b"")


def test_a_program_that_takes_anything_gets_rdap(node: Node) -> None:
    """As curl does."""
    answer = node.ask("GET", f"/prefixes/{OWN}", headers={"Accept": "*/*", "User-Agent": "curl/8.14.1"})
    assert answer.headers["Content-Type"] == "application/rdap+json"


def test_a_browser_gets_a_page(node: Node) -> None:
    answer = node.ask("GET", f"/prefixes/{OWN}", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert OWN in answer.body.decode()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/prefixes/99.1", 404),
        ("/prefixes/", 404),
        ("/prefixes", 404),
        (f"/prefixes/{OWN}/x", 404),
        ("/prefixes/a..b", 400),
    ],
)
def test_what_is_not_there(node: Node, path: str, status: int) -> None:
    assert node.ask("GET", path).status == status


def test_a_source_may_look_at_so_many_and_no_more(node: Node) -> None:
    """Then 429 with Retry-After, for this path alone; others and the exempt go on."""
    source, other = "127.0.3.1", "127.0.3.2"
    answers = http(node, source, *[get(f"/prefixes/{OWN}")] * (limits.LOOKUPS + 20))
    statuses = [status for status, _, _ in answers]
    refused = statuses.count(429)
    assert 0 < refused <= 20
    assert statuses.count(200) == len(answers) - refused
    last = next(answer for answer in reversed(answers) if answer[0] == 429)
    assert int(last[1]["Retry-After"]) == limits.LOOKUPS_S // limits.LOOKUPS
    assert json.loads(last[2])["errorCode"] == 429
    assert [status for status, _, _ in http(node, source, get("/healthz"))] == [200]
    assert [status for status, _, _ in http(node, other, get(f"/prefixes/{OWN}"))] == [200]
    many = http(node, EXEMPT, *[get(f"/prefixes/{OWN}")] * (limits.LOOKUPS + 5))
    assert {status for status, _, _ in many} == {200}


def test_a_wrong_public_address_is_told(tmp_path: Path) -> None:
    """Before the node serves anything."""
    with pytest.raises(AssertionError, match=r"node\.public_url"):
        Node(tmp_path / "node", OWN, node__public_url="ftp://x").start()
