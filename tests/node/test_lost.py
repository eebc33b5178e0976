"""Whoever is where nothing is, or sent what was not read: a person gets a page that leads on, a program a problem."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core import limits
from tests.kit.node import Node

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
TICKET = "C20261121-7KQ2M9XWTR"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("lost") / "node", "88.118") as running:
        yield running


@pytest.mark.parametrize(
    "path", ["/complaints/x", "/complaints/", f"/complaints/{TICKET}/x", "/about/x", "/about/", "/prefixes",
             "/prefixes/", "/prefixes/99.1", "/prefixes/88.118/x", "/healthz/x", "/log", "/.well-known/x",
             "/favicon.ico"],
)  # fmt: skip
def test_a_wrong_path_leads_a_person_on(node: Node, path: str) -> None:
    """In both languages; programs are told as before."""
    page = node.ask("GET", path, headers=BROWSER)
    assert (page.status, page.headers["Content-Type"]) == (404, "text/html;charset=utf-8")
    assert "style-src 'sha256-" in page.headers["Content-Security-Policy"]
    main = page.body.decode().partition("<main>")[2]
    for link in ("/", "/complaints"):
        assert f'<a href="{link}">' in main
    assert "。" in main
    for headers in ({}, {"Accept": "application/json"}, {"Accept": "*/*"}, {"Accept": "image/avif,image/*;q=0.8"}):
        told = node.ask("GET", path, headers=headers)
        assert told.status == 404
        assert told.json


@pytest.mark.parametrize("path", ["/v1", "/v1/x", "/api/x"])
def test_an_interface_speaks_json_to_everybody(node: Node, path: str) -> None:
    told = node.ask("GET", path, headers=BROWSER)
    assert (told.status, "json" in told.headers["Content-Type"]) == (404, True)


@pytest.mark.parametrize("spelt", [TICKET, TICKET.lower(), f"{TICKET}/"])
def test_an_address_with_a_ticket_leads_to_its_complaint(node: Node, spelt: str) -> None:
    """However it is typed; only to be read."""
    told = node.ask("GET", f"/complaints/{spelt}", headers=BROWSER)
    assert (told.status, told.headers["Location"]) == (302, f"/complaints?ticket={TICKET}")
    assert node.ask("POST", f"/complaints/{spelt}", b"", FORM_TYPE).status == 404


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_a_complaint_that_is_too_long_is_told_in_a_page(node: Node, chunked: bool) -> None:
    """In both languages, with a way back; a program gets a problem."""
    body = b"text=" + b"x" * limits.COMPLAINT_BODY_BYTES_MAX
    sent = {"Transfer-Encoding": "chunked"} if chunked else {}
    if chunked:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    page = node.ask("POST", "/complaints", body, FORM_TYPE | BROWSER | sent)
    assert (page.status, page.headers["Content-Type"]) == (413, "text/html;charset=utf-8")
    text = page.body.decode()
    assert "内容过长" in text
    assert "too long" in text
    told = node.ask("POST", "/complaints", body, FORM_TYPE | sent)
    assert (told.status, told.json["outcome"]) == (413, "too-large")
