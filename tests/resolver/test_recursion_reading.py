"""What identifiers are, and what others say of them: NAPTR, linksets, TTLs. Whatever comes, nothing else than told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import IdentifierError, WireError
from resolver.recursion.found import Found, Link, Service, ttl_of
from resolver.recursion.identifiers import Kind, read_identifier
from resolver.recursion.linkset import read_linkset
from resolver.recursion.naptr import Naptr, ors_name, services_of, substitute

OID = "1.2.156.99999.7"


@pytest.mark.parametrize(
    ("text", "kind", "alias"),
    [
        ("88.118.7/SKU01", Kind.HANDLE, None),
        (" 88.118.7/SKU01\n", Kind.HANDLE, None),
        ("10.1000/182", Kind.HANDLE, None),
        ("88.118", Kind.HANDLE, None),
        ("0.NA/1.2.3", Kind.HANDLE, None),
        ("88.118.7/a:b", Kind.HANDLE, None),
        ("盐/标识", Kind.HANDLE, None),
        (OID, Kind.OID, f"oid:{OID}"),
        (f"oid:{OID}", Kind.OID, f"oid:{OID}"),
        (f"URN:OID:{OID}", Kind.OID, f"oid:{OID}"),
        ("vaa:vaa12", Kind.VAA, "vaa:VAA12"),
        ("did:bid:ef12Abc", Kind.BID, "bid:did:bid:ef12Abc"),
        ("ECODE:12 34-56", Kind.ECODE, "ecode:123456"),
    ],
)
def test_an_identifier_is_told_by_its_form(text: str, kind: Kind, alias: str | None) -> None:
    asked = read_identifier(text)
    assert (asked.kind, None if asked.alias is None else str(asked.alias)) == (kind, alias)


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("gtin:6901234567892", [("01", "06901234567892")]),
        ("gtin+lot:6901234567892/L1", [("01", "06901234567892"), ("10", "L1")]),
        ("gtin+serial:6901234567892/A/B", [("01", "06901234567892"), ("21", "A/B")]),
        ("gln:6901234567892", [("414", "6901234567892")]),
        ("01/06901234567892", [("01", "06901234567892")]),
        ("/01/06901234567892/10/L1?17=271121", [("01", "06901234567892"), ("10", "L1")]),
        ("HTTPS://X.EXAMPLE/01/06901234567892/21/A%2FB", [("01", "06901234567892"), ("21", "A/B")]),
    ],
)
def test_a_key_by_its_kind_is_the_key_of_a_digital_link(text: str, elements: list[tuple[str, str]]) -> None:
    asked = read_identifier(text)
    assert asked.kind is Kind.GS1
    assert asked.link is not None
    assert [tuple(each) for each in asked.link.elements] == elements


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "没有标识"),
        ("gtn:6901234567892", "gtin:"),
        ("gtin-lot:6901234567892/1", "gtin+lot:"),
        ("salt:1", "KIND:VALUE"),
        ("1.02.3", "no zero in front"),
        ("1.40", "39"),
        ("oid:abc", "1.2.156"),
        ("01/06901234567893", "would be 2"),
        ("https://x.example/88.118/A", "GS1"),
        ("x" * 5_000, "too long"),
    ],
)
def test_what_is_misspelt_is_told_with_what_would_be_right(text: str, told: str) -> None:
    with pytest.raises(IdentifierError) as error:
        read_identifier(text)
    assert told in error.value.message


# --- NAPTR ----------------------------------------------------------------------
def test_the_name_of_an_oid_in_dns() -> None:
    """Source: reference/oid-dns.md §5.1."""
    assert ors_name(OID, "oid-res.org.") == "ors-dummy.7.99999.156.2.1.oid-res.org."


def test_services_come_as_a_client_takes_them() -> None:
    """UINF first, then by order, then by preference; what is no terminal rule of ORS is left out."""
    records = [
        Naptr(100, 20, "u", "ORS+RINF", "!^.*$!https://r.example/!"),
        Naptr(100, 10, "U", "ors+cinf", "!^.*$!https://c.example/!"),
        Naptr(200, 5, "u", "ORS+UINF", "!^.*$!https://late.example/!"),
        Naptr(100, 99, "u", "ORS+UINF", "!^(.*)$!https://u.example/\\1!"),
        Naptr(1, 1, "", "ORS+UINF", "!^.*$!https://not-terminal.example/!"),
        Naptr(1, 1, "u", "E2U+sip", "!^.*$!sip:x@example!"),
        Naptr(1, 1, "u", "ORS+COID", "!^9!https://does-not-fit.example/!"),
    ]
    assert services_of(records, OID) == (
        Service("ORS+UINF", f"https://u.example/{OID}"),
        Service("ORS+UINF", "https://late.example/"),
        Service("ORS+CINF", "https://c.example/"),
        Service("ORS+RINF", "https://r.example/"),
    )


@pytest.mark.parametrize(
    ("expression", "made"),
    [
        ("!^.*$!https://x.example/!", "https://x.example/"),
        (r"/^(1)\.(2).*$/http:\/\/x.example\/\2-\1/", "http://x.example/2-1"),
        (r"!^.*$!a\\b!", r"a\b"),
        ("!156!x!i", "x"),
        ("!^.*$!x!g", None),  # flags that nobody knows
        ("!^.*$!x", None),
        ("!^.*$!x!y!", None),
        ("!^.*$!!", None),
        ("!(!x!", None),
        (r"!^.*$!\1!", None),  # no such group
        ("!^.*$!a\x00b!", None),
        ("1^.*$1x1", None),
        ("", None),
    ],
)
def test_a_substitution_expression(expression: str, made: str | None) -> None:
    """Source: RFC 3402 §3.2."""
    assert substitute(expression, OID) == made


@given(st.text(max_size=60) | st.builds("!{}!{}!".format, st.text(max_size=20), st.text(max_size=20)))
def test_any_expression_gives_a_short_printable_text_or_none(expression: str) -> None:
    made = substitute(expression, OID)
    assert made is None or (made.isprintable() and 0 < len(made) <= limits.DIGITAL_LINK_CHARS_MAX)


def test_no_expression_takes_longer_than_its_length() -> None:
    """One that a backtracking matcher does not come to the end of."""
    assert substitute("!^(([0-9.]+)+)+x$!y!", "1" * 100_000) is None


# --- linksets --------------------------------------------------------------------
def test_links_are_read_in_their_order() -> None:
    rel, lang = "https://ref.gs1.org/voc/pip", ["zh", "en"]
    linkset = {
        "linkset": [
            {
                "anchor": "https://id.example/01/06901234567892", "itemDescription": "盐",
                rel: [
                    {"href": "https://x.example/p", "title": "产品", "type": "text/html", "hreflang": lang},
                    {"href": "javascript:alert(1)", "title": "no"}, {"href": 7}, "x",
                ],
                "https://ref.gs1.org/voc/epil": [{"href": "http://x.example/e", "title": "a\u001b[2J"}],
            },
            "nothing",
        ]
    }  # fmt: skip
    anchor = "https://id.example/01/06901234567892"
    assert read_linkset(json.dumps(linkset).encode()) == (
        Link(anchor, rel, "https://x.example/p", "产品", "text/html", "zh"),
        Link(anchor, "https://ref.gs1.org/voc/epil", "http://x.example/e"),
    )


def test_of_many_links_the_first_are_kept() -> None:
    many = {"linkset": [{"r": [{"href": f"https://x.example/{at}"} for at in range(1_000)]}]}
    assert len(read_linkset(json.dumps(many).encode())) == limits.GS1_LINKS_MAX


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just("href"), inner, max_size=4),
)


@given(st.binary(max_size=80) | st.builds(lambda it: json.dumps({"linkset": it}).encode(), JSON))
def test_any_octets_are_links_or_a_wire_error(octets: bytes) -> None:
    try:
        links = read_linkset(octets)
    except WireError:
        return
    assert all(link.href.startswith(("http://", "https://")) for link in links)


# --- TTLs ------------------------------------------------------------------------
def test_an_answer_holds_as_long_as_all_of_its_values() -> None:
    """An absolute TTL is what is left of it; of none it is said how long there may be none."""
    values = [{"ttl": 300}, {"ttl": "1970-01-01T00:02:00Z"}]
    assert ttl_of(json.dumps(values[:1]).encode(), 100) == 300
    assert ttl_of(json.dumps(values).encode(), 100) == 20
    assert ttl_of(json.dumps(values).encode(), 500) == 0
    assert ttl_of(b"[]", 0) == limits.RECURSION_UNSAID_S


def test_the_size_of_an_answer_grows_with_what_it_holds() -> None:
    small = Found(values=b"x", outcome=None, ttl_s=1, asked=())  # type: ignore[arg-type]
    assert small._replace(values=b"x" * 1_000).size_bytes - small.size_bytes == 999
    assert small._replace(links=(Link("a", "b", "c" * 500),)).size_bytes > small.size_bytes + 500
