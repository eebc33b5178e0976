"""The public pages as a person sees them: a real browser, at phone and desktop width, against a real node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.chromium import DESKTOP, PHONE, Chromium, needs_chromium
from tests.kit.node import Node, admin_value

PREFIX = "88.118.7"
LONG = "盐" * 300 + "https://p007.example.cn/" + "very-long-" * 60
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("pages") / "node", PREFIX) as running:
        forms = [{"index": 1, "type": "DESC", "data": LONG}, admin_value(f"0.NA/{PREFIX}")]
        assert running.put(f"{PREFIX}/LONG", forms).status == 201
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium") / "profile") as running:
        yield running


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("path", ["/", f"/{PREFIX}/LONG", f"/{PREFIX}/NOSUCH"])
def test_a_page_fits_and_nothing_of_it_is_refused(
    node: Node, browser: Chromium, path: str, size: tuple[int, int]
) -> None:
    """Whoever reads it scrolls downwards alone; the policy of the page refuses nothing that the page has."""
    tab = browser.tab(size)
    tab.open(f"http://127.0.0.1:{node.ready['http']}{path}")
    assert tab.overflow == 0
    assert tab.problems == []
