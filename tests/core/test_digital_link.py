"""Digital Link URIs: the verdicts of GS1's Syntax Engine, forms, and what a resolver asks of a path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import IdentifierError
from core.ident.digital_link import DigitalLink, Element, parse_path, parse_uri
from tests.kit.gs1_links import links

VECTORS: Any = json.loads((Path(__file__).parent.parent / "vectors" / "gs1" / "dl-uri-vectors.json").read_text("utf-8"))
GTIN = "06901234567892"
SSCC = "069012345000000011"


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["uri"])
def test_a_uri_is_judged_and_read_as_by_the_syntax_engine(vector: dict[str, Any]) -> None:
    """Verdict, element string, canonical URI, ignored members of the query."""
    if not vector["valid"]:
        with pytest.raises(IdentifierError):
            parse_uri(vector["uri"])
        return
    link = parse_uri(vector["uri"])
    read = {"ai": link.element_string, "canonical": link.canonical, "ignored_query_params": list(link.ignored)}
    assert read == {name: vector[name] for name in read}


ACCEPTED = {
    "https://a/stem/more/00/069012345000000011": "(00)069012345000000011",
    "https://a/00/faux/01/06901234567892": "(01)06901234567892",
    "HTTPS://A.EXAMPLE:8443/01/06901234567892": "(01)06901234567892",
    "https://[2001:db8::1]/01/06901234567892": "(01)06901234567892",
    "https://a/01/06901234567892?": "(01)06901234567892",
    "https://a/01/06901234567892#?21=S": "(01)06901234567892",
    "https://a/01/06901234567892/22/A%2d1?99=X%2f9": "(01)06901234567892(22)A-1(99)X/9",
    "https://a/01/06901234567892/22/A+1": "(01)06901234567892(22)A+1",
    "https://a/01/06901234567892/21/%zz%2": "(01)06901234567892(21)%zz%2",
    "https://a/01/06901234567892/21/(a)%28": r"(01)06901234567892(21)\(a)\(",
    "https://a/01/06901234567892/235/XYZ?10=ABC": "(01)06901234567892(235)XYZ(10)ABC",
    "https://a/8004/6901234X?01=6901234567892": "(8004)6901234X(01)06901234567892",
    "https://a/8004/6901234X?01=%30%31%32345%36%35": "(8004)6901234X(01)00000001234565",
    "https://a/01/06901234567892#a?/#b": "(01)06901234567892",
    "https://a/415/6901234567892/8020/R?3900=100": "(415)6901234567892(8020)R(3900)100",
    "https://a/253/6901234567892D1?8030=abc": "(253)6901234567892D1(8030)abc",
    "https://a/8003/06901234567892": "(8003)06901234567892",
    "https://a/8013/1987654Ad4X4bL5ttr2310c2K": "(8013)1987654Ad4X4bL5ttr2310c2K",
    "https://a/01/06901234567892?&&&99=A&&98=B": "(01)06901234567892(99)A(98)B",
}


@pytest.mark.parametrize("uri", ACCEPTED)
def test_what_is_unusual_and_right(uri: str) -> None:
    """Stems, ports, fragments, percent-encoding, brackets, empty members, other keys as attributes."""
    assert parse_uri(uri).element_string == ACCEPTED[uri]


REFUSED = [
    "", "https://", "https://a", "https:///01/06901234567892", "https://a?17=270101", "//a/01/06901234567892",
    "https://a_b/01/06901234567892", "https://u@a/01/06901234567892", "https://01/06901234567892",
    "https://a/01/06901234567892/", "https://a/01//06901234567892", "https://a/01/06901234567892//21/S",
    "https://a/01/06901234567892/21/", "https://a/01/6901234567892", "https://a/01/06901234567893",
    "https://a/%30%31/06901234567892", "https://a/gtin/06901234567892", "https://a/01/06901234567892/foo",
    "https://a/01/06901234567892/21/S/10/L", "https://a/01/06901234567892/17/270101", "https://a/01/06901234567892/254/X",
    "https://a/01/06901234567892/235/X/21/S", "https://a/01/06901234567892?10=L", "https://a/01/06901234567892/21/S?10=L",
    "https://a/01/06901234567892?01=06901234567892", "https://a/01/06901234567892?17=270101&17=270101",
    "https://a/01/06901234567892?17=", "https://a/01/06901234567892?999=1", "https://a/01/06901234567892?9=1",
    "https://a/01/06901234567892?98=a+b", "https://a/01/06901234567892?17=270101;3103=000400",
    "https://a/01/06901234567892?37=1", "https://a/00/069012345000000011?02=06901234567892",
    "https://a/415/6901234567892", "https://a/253/6901234567892?8030=abc", "https://a/01/06901234567892?8030=abc",
    'https://a/01/06901234567892/21/"', "https://a/01/06901234567892/21/盐", "https://a/01/06901234567892/21/%E7%9B%90",
    "https://a/01/06901234567892/21/a b", "https://a/01/06901234567892?x=盐", "https://a/01/06901234567892/21/a^b",
    "https://a/01/06901234567892#盐", "https://a/01/06901234567892#a b",
    "https://a/01/06901234567892?99=%00", "https://a/01/0690123456789２", "https://a/stem?x=1", "https://a/01",
]  # fmt: skip


@pytest.mark.parametrize("uri", REFUSED)
def test_what_is_wrong_is_refused(uri: str) -> None:
    """Each in Chinese and English."""
    with pytest.raises(IdentifierError) as error:
        parse_uri(uri)
    chinese, stop, english = error.value.message.partition("。")
    assert chinese
    assert stop
    assert english.isascii()


def test_one_slash_at_the_end_of_a_path_is_left_out() -> None:
    """A resolver tolerates it (R14); two are none of that. A whole URI is judged as the Syntax Engine does."""
    link = parse_path(f"/01/{GTIN}/21/S1/", "linkType=gs1:pip")
    assert link == parse_path(f"/01/{GTIN}/21/S1", "linkType=gs1:pip")
    for path in (f"/01/{GTIN}//", f"/01/{GTIN}/21//", "/", ""):
        with pytest.raises(IdentifierError):
            parse_path(path)
    with pytest.raises(IdentifierError):
        parse_uri(f"https://a/01/{GTIN}/")


@pytest.mark.parametrize("sign", list("?#"))
def test_a_path_that_was_not_cut_is_refused(sign: str) -> None:
    """Query and fragment are no part of it."""
    with pytest.raises(IdentifierError):
        parse_path(f"/01/{GTIN}/21/S{sign}x")


def test_attributes_stay_in_order_and_ignored_members_as_written() -> None:
    """The canonical URI has those of a fixed length first, and nothing that was ignored."""
    link = parse_path(f"/01/{GTIN}", "b=%41&98=X%2F&3103=000400&linkType=all&a&17=270101&")
    assert link.attributes == (Element("98", "X/"), Element("3103", "000400"), Element("17", "270101"))
    assert link.ignored == ("b=%41", "linkType=all", "a", "")
    assert link.canonical == f"https://id.gs1.org/01/{GTIN}?3103=000400&17=270101&98=X%2F"


def test_levels_go_up_to_the_key() -> None:
    """The longest first, without attributes."""
    link = parse_path(f"/01/{GTIN}/22/2A/10/L1/21/S1", "17=270101&x=y")
    assert [level.path for level in link.levels] == [
        f"/01/{GTIN}/22/2A/10/L1/21/S1",
        f"/01/{GTIN}/22/2A/10/L1",
        f"/01/{GTIN}/22/2A",
        f"/01/{GTIN}",
    ]
    assert not any(level.attributes or level.ignored for level in link.levels)


def test_long_links_and_long_queries_are_refused() -> None:
    """Characters of path and query together; members."""
    most = limits.DIGITAL_LINK_CHARS_MAX - len(f"/01/{GTIN}")
    assert parse_path(f"/01/{GTIN}", "x" * most).ignored == ("x" * most,)
    with pytest.raises(IdentifierError, match=str(limits.DIGITAL_LINK_CHARS_MAX)):
        parse_path(f"/01/{GTIN}", "x" * (most + 1))
    members = limits.GS1_MEMBERS_MAX - 1
    assert len(parse_path(f"/01/{GTIN}", "&".join("x" * members)).ignored) == members
    with pytest.raises(IdentifierError, match=str(limits.GS1_MEMBERS_MAX)):
        parse_path(f"/01/{GTIN}", "&".join("x" * (members + 1)))


@given(links())
def test_a_link_is_read_again_from_its_own_forms(link: DigitalLink) -> None:
    """parse(canonical(x)) == x but for the order of attributes, and the canonical form is its own canonical form."""
    again = parse_uri(link.canonical)
    assert again.elements == link.elements
    assert sorted(again.attributes) == sorted(link.attributes)
    assert again.canonical == link.canonical
    assert parse_path("/stem" + link.path, link.query) == again


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_a_link_or_is_refused(path: str, query: str) -> None:
    """Nothing but IdentifierError, and what is read can be read again."""
    for read in (lambda: parse_path(path, query), lambda: parse_uri(path), lambda: parse_uri(f"https://a/{path}")):
        try:
            link = read()
        except IdentifierError as error:
            assert error.message.isprintable()
        else:
            assert parse_uri(link.canonical).canonical == link.canonical


PIECES = [
    "/",
    "/01/",
    GTIN,
    "/21/",
    "/10/",
    "S1",
    "%",
    "%2F",
    "%00",
    "?",
    "&",
    "=",
    "17=270101",
    "00",
    SSCC,
    "8004",
    "é",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.lists(st.sampled_from(PIECES), max_size=8))
def test_anything_like_a_link_is_one_or_is_refused(path: list[str], query: list[str]) -> None:
    """Pieces of links in any order: closer to real ones than any text."""
    try:
        link = parse_path("".join(path), "".join(query))
    except IdentifierError:
        return
    assert parse_uri(link.canonical)._replace(ignored=link.ignored) == link
