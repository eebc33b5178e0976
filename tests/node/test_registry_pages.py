"""Pages of what is registered, in a real browser at phone and desktop width: prefixes, identifiers, a ticket.

``SALTERN_SHOTS=FOLDER`` keeps a picture of each page, to be looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.kit.chromium import DESKTOP, PHONE, Chromium, Tab, needs_chromium
from tests.kit.node import Node, admin_value, saltern
from tests.node.test_governance_story import CLERK, FIRST, HERO, NODE_CODE, PREFIX, SECOND, do

SHOTS = os.environ.get("SALTERN_SHOTS")
SIZES = {"phone": PHONE, "desktop": DESKTOP}
SUBJECT = f"{PREFIX}/<b>SKU09"
ORDER = "浙盐令2026-15"
pytestmark = needs_chromium


class Made(NamedTuple):
    """A node with an enterprise's prefix, an order on it, an identifier on hold, one that is not, and a complaint."""

    base: str
    ticket: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("pages")
    papers = folder / "licence.json"
    papers.write_text("{}")
    with Node(folder / "node", NODE_CODE) as node:
        party = str(do(node, "party", "add", form=HERO)["party"])
        for reviewer in (FIRST, SECOND):
            do(node, "party", "verify", party, "--method", "manual", "--evidence", str(papers), by=reviewer)
        do(node, "prefix", "apply", PREFIX, "--party", party, by=CLERK)
        assert do(node, "prefix", "review", PREFIX, "--approve", by=FIRST)["state"] == "homed"
        admins = {"index": 101, "type": "HS_VLIST", "data": {"format": "vlist", "value": [
            {"handle": f"0.NA/{NODE_CODE}", "index": 300}, {"handle": f"0.NA/{NODE_CODE}", "index": 301},
        ]}}  # fmt: skip
        values = [
            {"index": 1, "type": "DESC", "data": "加碘食用盐\n小包装"},
            {"index": 2, "type": "METADATA_KEYWORD", "data": "盐 " * 60},
            {"index": 3, "type": "OCTETS", "data": {"format": "base64", "value": "AP8="}},
            admin_value(f"0.NA/{NODE_CODE}"), admins,
        ]  # fmt: skip
        for suffix in ("SKU01", "SKU02"):
            assert node.put(f"{NODE_CODE}/{suffix}", values).status == 201
        saltern("hold", "place", f"{NODE_CODE}/SKU02", "--order", ORDER, "--reason", "抽检不合格", "--public",
                "--actor", CLERK, "--config", str(node.config))  # fmt: skip
        saltern("hold", "place", PREFIX, "--order", ORDER, "--reason", "抽检不合格", "--public",
                "--actor", CLERK, "--config", str(node.config))  # fmt: skip
        said = {"kind": "wrong-data", "subject": SUBJECT, "text": "单位名称写错了"}
        ticket = str(node.ask("POST", "/v1/complaints", said).json["ticket"])
        do(node, "complaint", "accept", ticket)
        do(node, "complaint", "answer", ticket, "--text", "已更正 Corrected")
        yield Made(f"http://127.0.0.1:{node.ready['http']}", ticket)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium") / "profile") as running:
        yield running


def paths(made: Made) -> dict[str, str]:
    return {
        "ticket": f"/complaints?ticket={made.ticket}",
        "organisation": f"/prefixes/{PREFIX}",
        "own": f"/prefixes/{NODE_CODE}",
        "held": f"/{NODE_CODE}/SKU02",
        "identifier": f"/{NODE_CODE}/SKU01",
        "site": f"/0.NA/{NODE_CODE}",
    }


def show(browser: Chromium, made: Made, name: str, size: str) -> Tab:
    tab = browser.tab(SIZES[size], scripting=False)
    tab.open(made.base + paths(made)[name])
    if SHOTS:
        tab.screenshot(Path(SHOTS) / f"{name}-{size}.png")
    return tab


def lines_of(tab: Tab, selector: str) -> list[Any]:
    """Return on how many lines the text of each element stands."""
    found = tab.evaluate(
        f"[...document.querySelectorAll({selector!r})].map(each => {{const range = document.createRange();"
        "range.selectNodeContents(each);"
        "return new Set([...range.getClientRects()].map(box => Math.round(box.top))).size})"
    )
    assert found
    return list(found)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["ticket", "organisation", "own", "held", "identifier", "site"])
def test_a_page_fits(made: Made, browser: Chromium, name: str, size: str) -> None:
    """Nothing lies beyond the edge, and its data have room: most of a phone's width."""
    tab = show(browser, made, name, size)
    assert (tab.overflow, tab.problems) == (0, [])
    if size == "phone" and name != "held":
        narrowest = tab.evaluate("Math.min(...[...document.querySelectorAll('td')].map(each => each.offsetWidth))")
        assert narrowest > 280


@pytest.mark.parametrize("size", SIZES)
def test_a_ticket_stands_on_one_line(made: Made, browser: Chromium, size: str) -> None:
    """So that it is copied without a fault."""
    tab = show(browser, made, "ticket", size)
    assert tab.evaluate("document.querySelector('td').innerText") == made.ticket
    assert set(lines_of(tab, "td")) == {1}


@pytest.mark.parametrize("size", SIZES)
def test_types_and_times_of_an_identifier_are_not_broken(made: Made, browser: Chromium, size: str) -> None:
    tab = show(browser, made, "identifier", size)
    assert set(lines_of(tab, "td[data-label^='类型']")) == {1}
    assert set(lines_of(tab, "td[data-label^='更新']")) == {1}
    assert "METADATA_KEYWORD" in tab.text


def test_an_identifier_is_shown_as_the_json_interface_reads_it(made: Made, browser: Chromium) -> None:
    """Structures by their members, octets as base64, times of Beijing; and it leads to its prefix."""
    tab = show(browser, made, "identifier", "desktop")
    shown = tab.evaluate("[...document.querySelectorAll('td[data-label^=\"数据\"]')].map(each => each.innerText)")
    assert shown[0] == "加碘食用盐\n小包装"
    assert shown[2] == "base64: AP8="
    assert shown[3].split("\n") == [f"handle: 0.NA/{NODE_CODE}", "index: 200", "permissions: 111111111111"]
    assert shown[4].split("\n") == [f"handle: 0.NA/{NODE_CODE}, index: {index}" for index in (300, 301)]
    changed = tab.evaluate("document.querySelector('td[data-label^=\"更新\"]').innerText")
    assert changed.endswith("+08:00")
    assert "时间为北京时间" in tab.text
    tab.click("main p a")
    tab.loaded()
    assert tab.address == f"{made.base}/prefixes/{NODE_CODE}"


def test_what_is_on_hold_says_so(made: Made, browser: Chromium) -> None:
    """With the order, which is public, and what is known of its prefix."""
    held = show(browser, made, "held", "desktop")
    assert f"{ORDER}" in held.text
    held.click("main p a")
    held.loaded()
    assert held.address == f"{made.base}/prefixes/{NODE_CODE}"
    below = show(browser, made, "organisation", "phone")
    assert f"{ORDER}：抽检不合格" in below.text
    assert HERO["name"] in below.text
