"""GS1_LINK values: what one may say, and that nothing else is read as one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import WireError
from core.ident.linktypes import LINK_TYPES
from core.wire.gs1link import Link, decode_link

LEAST = {"href": "https://a.example/", "rel": "gs1:pip", "title": "盐"}
CONFORMANCE = os.environ.get("SALTERN_CONFORMANCE_DIR")

words = st.from_regex(r"[a-z]{2,8}(-[a-z]{2,8})?", fullmatch=True)
languages = st.from_regex(r"[a-z]{2}(-[A-Z]{2})?", fullmatch=True)
links = st.builds(
    Link,
    href=st.from_regex(r"https?://[a-z0-9]{1,20}(:[1-9][0-9]{0,3})?(/[a-z0-9/]{0,20})?(\?a=b)?", fullmatch=True),
    rel=st.sampled_from(sorted(LINK_TYPES - {"defaultLink", "defaultLinkMulti", "handledBy"})).map("gs1:{}".format)
    | words.filter(lambda word: word not in ("linkset", "all") and not word.startswith("anchor")),
    title=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20),
    hreflang=st.lists(languages, max_size=4, unique=True).map(tuple),
    type=st.sampled_from(("", "text/html", "application/pdf", "image/svg+xml")),
    context=st.lists(st.from_regex(r"[A-Za-z0-9._~-]{1,12}", fullmatch=True), max_size=4, unique=True).map(tuple),
    default=st.booleans(),
    fwqs=st.booleans(),
)  # fmt: skip


def read(**members: Any) -> Link:
    return decode_link(json.dumps(LEAST | members).encode())


@given(links)
def test_what_is_written_is_read_again(link: Link) -> None:
    """As somebody writes it who leaves out what says nothing."""
    said = {name: member for name, member in link._asdict().items() if member not in ("", (), False)}
    assert decode_link(json.dumps(said | {"fwqs": link.fwqs}).encode()) == link


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(
        lambda tree: json.dumps(tree).encode()
    )
)
def test_any_octets_are_a_link_or_a_wire_error(data: bytes) -> None:
    """The codec is total."""
    try:
        decode_link(data)
    except WireError as error:
        assert error.message


@pytest.mark.parametrize("name", ["href", "rel", "title"])
@given(st.none() | st.integers() | st.text(max_size=30) | st.lists(st.text(max_size=5), max_size=3))
def test_any_member_is_read_or_refused(name: str, member: Any) -> None:
    """Whatever JSON stands in a member."""
    try:
        read(**{name: member})
    except WireError as error:
        assert error.message


def test_the_usual_case_is_made() -> None:
    """Of languages and media type; twice the same is once."""
    link = read(hreflang=["ZH-cn", "zh-CN", "EN"], type="Text/HTML", context=["CN", "CN"])
    assert (link.hreflang, link.type, link.context) == (("zh-CN", "en"), "text/html", ("CN",))


def test_what_is_left_out_says_nothing() -> None:
    """The query is passed on, and it is no default."""
    assert read() == Link("https://a.example/", "gs1:pip", "盐")


@pytest.mark.parametrize(
    "member",
    [
        {"href": "ftp://a.example/"}, {"href": "//a.example/"}, {"href": "/x"}, {"href": "https://"},
        {"href": "https:///x"}, {"href": "https://a.example/盐"}, {"href": "https://a.example/ x"},
        {"href": "https://a.example/\r\nX: y"}, {"href": "https://u@a.example/"}, {"href": "https://a.example:0/"},
        {"href": "https://a.example:99999/"}, {"href": "https://a.example/%zz"}, {"href": "HTTPS://a.example/"},
        {"href": "https://a.example/#a#b"}, {"href": "javascript:alert(1)"}, {"href": 'https://a.example/"><script>'},
        {"rel": ""}, {"rel": "gs1:nosuchlt"}, {"rel": "piP"}, {"rel": "https://gs1.org/voc/pip"},
        {"rel": "gs1:defaultLink"}, {"rel": "gs1:defaultLinkMulti"}, {"rel": "gs1:handledBy"}, {"rel": "linkset"},
        {"rel": "all"}, {"rel": "anchor"}, {"rel": "Next"}, {"rel": "next-"},
        {"title": ""}, {"title": "  "}, {"title": "a\nb"}, {"title": "a\u202eb"},
        {"hreflang": ["zh-Hans-CN"]}, {"hreflang": ["und"]}, {"hreflang": ["*"]}, {"hreflang": "zh"},
        {"hreflang": ["zh"] * (limits.GS1_LINK_ITEMS_MAX + 1)},
        {"type": "html"}, {"type": "text/html;charset=utf-8"}, {"type": "foo/bar"}, {"type": "text/"},
        {"context": ["a b"]}, {"context": [""]}, {"context": "CN"}, {"context": ["x" * 65]},
        {"default": 1}, {"fwqs": "no"}, {"public": True}, {"title": "x" * limits.GS1_LINK_BYTES_MAX},
    ],
    ids=str,
)  # fmt: skip
def test_what_no_link_may_say_is_refused(member: dict[str, Any]) -> None:
    """With a reason, and for good: a linkset made of what is stored always fits the schema."""
    with pytest.raises(WireError):
        read(**member)


@pytest.mark.parametrize("missing", LEAST)
def test_a_link_has_address_type_and_title(missing: str) -> None:
    """All three are needed (R6)."""
    with pytest.raises(WireError, match=missing):
        decode_link(json.dumps({name: text for name, text in LEAST.items() if name != missing}).encode())


def test_the_link_types_are_the_ratified_ones() -> None:
    """Our table against the list of GS1."""
    if CONFORMANCE is None:
        pytest.skip("SALTERN_CONFORMANCE_DIR is not set")
    listed = json.loads((Path(CONFORMANCE) / "gs1/gs1-webvoc/linktypes-v1.16.json").read_text("utf-8"))
    assert frozenset(listed) == LINK_TYPES
    assert len(LINK_TYPES) == 60
