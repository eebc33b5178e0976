"""The public pages as a person sees them: a real browser, at phone and desktop width, against a real node.

``SALTERN_SHOTS=FOLDER`` keeps a picture of each page, to be looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.chromium import DESKTOP, PHONE, Chromium, Tab, needs_chromium
from tests.kit.duties import DUTIES, day, write_duties
from tests.kit.node import Node, admin_value

PREFIX = "88.118.7"
LONG = "盐" * 300 + "https://p007.example.cn/" + "very-long-" * 60
SHOTS = os.environ.get("SALTERN_SHOTS")
PAGES = {
    "home": "/",
    "about": "/about",
    "long": f"/{PREFIX}/LONG",
    "longer": f"/{PREFIX}/{'N' * 200}",
    "missing": f"/{PREFIX}/NOSUCH",
    "elsewhere": "/99.1/X",
}
SIZES = {"phone": PHONE, "desktop": DESKTOP}
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("pages") / "node", PREFIX)
    write_duties(made.config)
    with made as running:
        forms = [{"index": 1, "type": "DESC", "data": LONG}, {"index": 2, "type": "T." + "long_" * 40, "data": "盐"}]
        urls = [{"index": 1, "type": "URL", "data": "https://p007.example.cn/sku?a=1&b=2"}]
        for suffix, values in (("LONG", forms), ("SKU01", urls)):
            assert running.put(f"{PREFIX}/{suffix}", [*values, admin_value(f"0.NA/{PREFIX}")]).status == 201
        yield running


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node in development, of which nothing is configured."""
    with Node(tmp_path_factory.mktemp("bare") / "node", PREFIX) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium") / "profile") as running:
        yield running


def base(node: Node) -> str:
    return f"http://127.0.0.1:{node.ready['http']}"


def keep(tab: Tab, name: str) -> None:
    if SHOTS:
        tab.screenshot(Path(SHOTS) / f"{name}.png")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_nothing_of_it_is_refused(
    node: Node, browser: Chromium, name: str, size: str, dark: bool
) -> None:
    """Whoever reads it scrolls downwards alone; its policy refuses nothing that it has; its style is applied.

    Nothing comes from elsewhere.
    """
    tab = browser.tab(SIZES[size], dark=dark)
    tab.open(base(node) + PAGES[name])
    keep(tab, f"{name}-{size}-{'dark' if dark else 'light'}")
    assert tab.overflow == 0
    assert tab.problems == []
    assert tab.evaluate("document.documentElement.clientWidth") == SIZES[size][0]
    assert tab.evaluate("getComputedStyle(document.querySelector('nav')).display") == "flex"
    assert tab.evaluate("getComputedStyle(document.body).maxWidth") == "960px"
    assert tab.evaluate("getComputedStyle(document.body).color") == ("rgb(255, 255, 255)" if dark else "rgb(0, 0, 0)")
    assert all(url.startswith(base(node)) for url in tab.requests)


@pytest.mark.parametrize("size", SIZES)
def test_all_is_there_without_a_script(node: Node, browser: Chromium, size: str) -> None:
    """What the operator has to publish, and where it is found from."""
    tab = browser.tab(SIZES[size], scripting=False)
    tab.open(f"{base(node)}/")
    assert str(DUTIES["about.operator"]) in tab.text
    tab.click("nav a[href='/about']")
    tab.loaded()
    assert tab.address == f"{base(node)}/about"
    shown = tab.text
    for value in DUTIES.values():
        for text in value if isinstance(value, list) else [value]:
            assert str(text) in shown
    assert "有效 in force" in shown
    assert tab.evaluate("document.querySelector(\"nav a[href='/complaints']\").innerText") == "投诉 Complaints"
    assert tab.problems == []


@pytest.mark.parametrize("asked", ["88.118.7/SKU01", " 88.118.7/sku01 ", "88.118.7/LONG"])
def test_an_identifier_is_looked_up_without_a_script(node: Node, browser: Chromium, asked: str) -> None:
    """Typed in and sent: its own page, also where its address would lead a browser elsewhere."""
    tab = browser.tab(PHONE, scripting=False)
    tab.open(f"{base(node)}/")
    tab.fill("#identifier", asked)
    tab.click("button")
    tab.loaded()
    assert tab.address == f"{base(node)}/{asked.strip()}?noredirect"
    assert asked.strip() in tab.text
    assert tab.problems == []
    if "SKU" in asked.upper():
        assert tab.evaluate("document.querySelector('td a').href") == "https://p007.example.cn/sku?a=1&b=2"


@pytest.mark.parametrize(
    "asked",
    [
        "88.118.7/盐 50%?a#b+c&d",
        "88.118.7/a/../b",
        "88.118.7/..",
        "//evil.example/x",
        "\\\\evil.example/x",
        "<b>/<i>",
    ],
)
def test_whatever_is_typed_stays_here_and_is_what_is_asked_for(node: Node, browser: Chromium, asked: str) -> None:
    """No character of an identifier is taken for one of an address; what is no identifier is a page that says so."""
    tab = browser.tab(scripting=False)
    tab.open(f"{base(node)}/")
    tab.fill("#identifier", asked)
    tab.click("button")
    tab.loaded()
    assert tab.address.startswith(f"{base(node)}/")
    assert tab.evaluate("document.querySelector('h1').textContent") == asked
    assert tab.problems == []


def test_a_form_that_is_empty_is_not_sent(node: Node, browser: Chromium) -> None:
    """The browser says so by itself."""
    tab = browser.tab(scripting=False)
    tab.open(f"{base(node)}/")
    tab.click("button")
    assert tab.address == f"{base(node)}/"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("path", ["/", "/about"])
def test_what_is_not_configured_is_shown_as_such(bare: Node, browser: Chromium, path: str, size: str) -> None:
    """In development."""
    tab = browser.tab(SIZES[size])
    tab.open(base(bare) + path)
    keep(tab, f"bare{path.replace('/', '-')}-{size}")
    assert tab.overflow == 0
    assert tab.problems == []
    assert ("未配置 not configured" in tab.text) == (path == "/about")


def test_a_page_says_that_registration_is_closed(tmp_path: Path, browser: Chromium) -> None:
    """First of all that is on it."""
    made = Node(tmp_path / "node", PREFIX)
    write_duties(made.config, licence__valid_until=day(-1))
    with made as ended:
        tab = browser.tab(PHONE)
        for path in ("/", "/about"):
            tab.open(base(ended) + path)
            keep(tab, f"ended{path.replace('/', '-')}")
            assert "nothing is registered" in str(tab.evaluate("document.querySelector('main .note').innerText"))
        assert "已到期 ended" in tab.text
        assert tab.overflow == 0


def test_the_policy_of_a_page_is_strict(node: Node) -> None:
    """Nothing is allowed but one style sheet by its digest, and forms that lead back here."""
    for path in PAGES.values():
        policy = str(node.ask("GET", path).headers["Content-Security-Policy"])
        assert "unsafe" not in policy
        parts = {name: rest for name, _, rest in (part.strip().partition(" ") for part in policy.split(";"))}
        assert parts.pop("style-src").startswith("'sha256-")
        assert parts == {
            "default-src": "'none'", "form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'",
        }  # fmt: skip
