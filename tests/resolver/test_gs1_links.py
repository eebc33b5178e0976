"""The links of each level, and the linkset of any of them: pure, from values as a resolver answers them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import Outcome
from core.ident.digital_link import parse_path
from core.lots import UnitState, UnitValue
from core.records import HandleValue
from core.wire.gs1link import Link
from resolver.gs1.choice import LevelLinks, choose
from resolver.gs1.front import redirect, with_query
from resolver.gs1.links import Found, find, plain_redirect
from resolver.gs1.linkset import linkset
from resolver.gs1.negotiate import Wanted, languages, media_ranges
from resolver.names import Named
from resolver.service import Answer
from tests.core.test_gs1link import links as any_link
from tests.kit.gs1_node import ADDRESS, GTIN, fits, link

BASE = "https://id.example.cn"
PRODUCT, UNIT = f"/01/{GTIN}", f"/01/{GTIN}/21/L1ABCDEFGHJK"


def values(*kinds: tuple[str, str], start: int = 1) -> tuple[HandleValue, ...]:
    return tuple(HandleValue(at, kind, data.encode()) for at, (kind, data) in enumerate(kinds, start))


def named(path: str, *kinds: tuple[str, str], outcome: Outcome = Outcome.OK, start: int = 1) -> Named:
    handle = "88.118.7/SKU01" if path == PRODUCT else "88.118.7/L1ABCDEFGHJK"
    return Named(parse_path(path), handle, Answer(outcome, handle, values=values(*kinds, start=start)))


def found(*levels: Named) -> Found:
    return find(levels, BASE, levels[0].level.path)


def default(*levels: Named) -> Link:
    return found(*levels).levels[0].default


# --- the default ---------------------------------------------------------------
URL = ("URL", ADDRESS + "sku")
DESC = ("DESC", "盐\n 400 克")


def test_without_links_the_url_is_the_default_under_pip() -> None:
    """Its title is the description on one line, or the handle."""
    assert default(named(PRODUCT, URL, DESC)) == Link(ADDRESS + "sku", "gs1:pip", "盐 400 克")
    assert default(named(PRODUCT, URL)).title == "88.118.7/SKU01"


def test_without_a_url_it_is_the_page_of_the_node() -> None:
    """Of the identifier, percent-encoded; also where nothing is public."""
    assert default(named(PRODUCT, DESC)).href == f"{BASE}/88.118.7/SKU01"
    assert default(named(PRODUCT, outcome=Outcome.NO_VALUES)).href == f"{BASE}/88.118.7/SKU01"
    odd = Named(parse_path(PRODUCT), "88.118.7/a b?#盐/x", Answer(Outcome.OK, "", values=()))
    assert default(odd).href == f"{BASE}/88.118.7/a%20b%3F%23%E7%9B%90%2Fx"


def test_what_is_marked_is_the_default_else_the_url_else_the_first() -> None:
    """And each is among the links, under its own type, once."""
    one, two = link("one", "gs1:faqs"), link("two", "gs1:support", default=True)
    assert default(named(PRODUCT, URL, ("GS1_LINK", one), ("GS1_LINK", two))).title == "two"
    assert default(named(PRODUCT, URL, ("GS1_LINK", one))).href == ADDRESS + "sku"
    assert default(named(PRODUCT, ("GS1_LINK", one))).title == "one"
    same = link("sku", "gs1:homepage")
    level = found(named(PRODUCT, URL, ("GS1_LINK", same))).levels[0]
    assert [each.rel for each in level.links] == [level.default.rel] == ["gs1:homepage"]


def test_what_a_level_says_itself_comes_first() -> None:
    """A unit has the values of its product: what its lot adds outweighs them, the default of the product else."""
    product = (URL, ("GS1_LINK", link("pip", "gs1:pip", default=True)))
    above = named(PRODUCT, *product)
    assert default(named(UNIT, *product), above).title == "pip"
    assert default(named(UNIT, *product, ("URL", ADDRESS + "lot")), above).href == ADDRESS + "lot"
    own = ("GS1_LINK", link("lot", "gs1:traceability", default=True))
    assert default(named(UNIT, *product, own), above).title == "lot"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTPS://A.example/x", "https://A.example/x"), ("https://盐.example/盐", "https://xn--nzy.example/%E7%9B%90"),
        ("https://a.example/?q=a b", "https://a.example/?q=a%20b"), ("javascript:alert(1)", None), ("https:///x", None),
        ("https://-", None), ("ftp://a.example", None), ("https://" + "盐" * 99, None),
        ("https://a%0d%0aSet-Cookie:b=c/", None), ("https://a%2fb/", None), ("https://a b/", None),
        ("https://a%22%3e/", None), ("https://a%7f/", None), ("https://a%2ecn/", "https://a.cn/"),
    ],
)  # fmt: skip
def test_a_url_is_an_address_that_a_linkset_may_have(url: str, expected: str | None) -> None:
    """Or it is passed over, and the page of the node is left."""
    assert default(named(PRODUCT, ("URL", url))).href == (expected or f"{BASE}/88.118.7/SKU01")


def test_a_link_that_does_not_read_is_passed_over() -> None:
    """It may have been stored by an earlier version, or escrowed."""
    kinds = ("GS1_LINK", "{}"), ("GS1_LINK", link("one", "gs1:faqs"))
    assert [each.title for each in found(named(PRODUCT, *kinds)).levels[0].links] == ["one"]
    many = [("GS1_LINK", link(str(at), "gs1:faqs")) for at in range(limits.GS1_LINKS_MAX + 9)]
    assert len(found(named(PRODUCT, *many)).levels[0].links) == limits.GS1_LINKS_MAX


# --- who is not led on ------------------------------------------------------------
@pytest.mark.parametrize("outcome", [Outcome.NOT_ISSUED, Outcome.GONE, Outcome.HELD])
def test_nobody_is_led_past_a_code_that_is_none(outcome: Outcome) -> None:
    """The level ends it; what is longer still leads on, and what is above is not told."""
    bad, product = named(UNIT, outcome=outcome), named(PRODUCT, URL)
    assert found(bad, product) == Found((), bad)
    shorter = named(PRODUCT, outcome=outcome)
    leading = found(named(UNIT, URL), shorter)
    assert (len(leading.levels), leading.stop) == (1, shorter)


def test_a_unit_that_is_recalled_has_its_page_alone() -> None:
    """Whatever type of link is asked for, and whatever its product says."""
    state = HandleValue(UnitValue.STATE, UnitValue.STATE.name, UnitState.INACTIVE.value.encode())
    unit = named(UNIT, URL, ("GS1_LINK", link("faq", "gs1:faqs")))
    unit = unit._replace(answer=unit.answer._replace(values=(*(unit.answer.values or ()), state)))
    levels = found(unit, named(PRODUCT, URL)).levels
    wanted = Wanted(languages(""), media_ranges(""))
    assert [level.path for level in levels] == [UNIT]
    for asked in ("", "gs1:faqs", "gs1:nosuchlt"):
        (only,) = choose(levels, asked, wanted)
        assert only.href == f"{BASE}/88.118.7/L1ABCDEFGHJK"
    assert plain_redirect([unit]) is None


@pytest.mark.parametrize("outcome", [Outcome.UNSUPPORTED, Outcome.PREFIX_REFERRAL, Outcome.HANDLE_NOT_FOUND])
def test_a_level_that_says_nothing_is_passed_over(outcome: Outcome) -> None:
    """It is no reason to fail."""
    assert [level.path for level in found(named(UNIT, outcome=outcome), named(PRODUCT, URL)).levels] == [PRODUCT]


def test_where_nothing_matters_the_redirect_is_plain() -> None:
    """One default, of the node itself or negotiated it is none."""
    assert plain_redirect([named(PRODUCT, URL)]) == ADDRESS + "sku"
    assert plain_redirect([named(UNIT, URL), named(PRODUCT, URL)]) == ADDRESS + "sku"
    two = [("GS1_LINK", link("zh", "gs1:pip", default=True)), ("GS1_LINK", link("en", "gs1:pip", hreflang=["en"]))]
    others = [named(PRODUCT, *two), named(PRODUCT, DESC), named(PRODUCT, outcome=Outcome.SERVICE_REFERRAL)]
    for each in (*others, named(PRODUCT, outcome=Outcome.HELD)):
        assert plain_redirect([each]) is None
    assert plain_redirect([]) is None


# --- the linkset ---------------------------------------------------------------
@st.composite
def levels(draw: st.DrawFn) -> tuple[LevelLinks, ...]:
    made = []
    for path in draw(st.sampled_from(((PRODUCT,), (UNIT, PRODUCT)))):
        alike = any_link.map(lambda each: each._replace(rel="gs1:pip", hreflang=each.hreflang[:1]))
        chosen = draw(st.lists(any_link | alike, min_size=1, max_size=5))
        made.append(LevelLinks(path, draw(st.text(max_size=9)), tuple(chosen), draw(st.sampled_from(chosen))))
    return tuple(made)


@given(levels())
def test_every_linkset_fits_the_schema(made: tuple[LevelLinks, ...]) -> None:
    """One default a level, without attributes, and again under its own type; the same levels make the same octets."""
    octets = linkset(made, BASE)
    assert octets == linkset(made, BASE)
    document = json.loads(octets)
    assert fits(document)
    for entry, level in zip(document["linkset"], made, strict=True):
        assert entry["anchor"] == BASE + level.path
        (only,) = entry["https://gs1.org/voc/defaultLink"]
        assert only == {"href": level.default.href, "title": level.default.title}
        others = [told for key, told in entry.items() if key.rpartition("/")[2] not in HEADS]
        assert sum(map(len, others)) == len(level.links)
        assert level.default.href in [each["href"] for told in others for each in told]


HEADS = ("anchor", "itemDescription", "defaultLink", "defaultLinkMulti")


@given(levels())
def test_what_is_told_as_multi_is_what_a_request_gets(made: tuple[LevelLinks, ...]) -> None:
    """Each link of gs1:defaultLinkMulti is chosen by a request for what it says."""
    for entry, level in zip(json.loads(linkset(made, BASE))["linkset"], made, strict=True):
        multi = entry.get("https://gs1.org/voc/defaultLinkMulti", [])
        assert len(multi) != 1
        for told in multi:
            tags, kind = told.get("hreflang", [""])[0], told.get("type", "*/*")
            (chosen,) = choose([level], "", Wanted(languages(tags), media_ranges(kind)))
            assert chosen.href == told["href"]


# --- the query -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("href", "query", "expected"),
    [
        ("https://a.example/", "", "https://a.example/"), ("https://a.example/", "x=1", "https://a.example/?x=1"),
        ("https://a.example/?y", "x=1&z", "https://a.example/?y&x=1&z"),
        ("https://a.example/#top", "x=%20", "https://a.example/?x=%20#top"),
        ("https://a.example/", "x=a b\r\n盐\"", "https://a.example/?x=a%20b%0D%0A%E7%9B%90%22"),
    ],
)  # fmt: skip
def test_the_query_is_passed_on(href: str, query: str, expected: str) -> None:
    """Before a fragment, behind a query that is there, and never as a header of its own; or not at all."""
    assert with_query(Link(href, "gs1:pip", "x"), query) == expected
    assert with_query(Link(href, "gs1:pip", "x", fwqs=False), query) == href


def test_a_redirect_says_where_the_linkset_is() -> None:
    """In one Link header, which pages of any origin may read."""
    headers: dict[str, Any] = dict(redirect(BASE + PRODUCT, ADDRESS).headers)
    assert headers["Link"] == f'<{BASE}{PRODUCT}?linkType=linkset>; rel="linkset"; type="application/linkset+json"'
    assert (headers["Location"], headers["Access-Control-Allow-Origin"]) == (ADDRESS, "*")
