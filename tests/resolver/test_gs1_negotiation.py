"""What Accept and Accept-Language say, against a slow reading of the RFCs, and which link of a set they choose."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.wire.gs1link import Link
from resolver.gs1.choice import LevelLinks, best, choose, default_of, link_type, told_multi
from resolver.gs1.negotiate import (
    NEUTRAL,
    Wanted,
    languages,
    media_ranges,
    wants_linkset,
)

TAGS = ("zh", "zh-CN", "zh-TW", "en", "en-GB", "fr")
RANGES = (*TAGS, "zh-Hans-CN", "zh-Hant", "en-US", "*", "de")
weights = st.sampled_from(("", ";q=1", ";q=0.9", ";q=0.5", ";q=0.001", ";q=0", "; q=0.8"))
language_headers = st.lists(st.tuples(st.sampled_from(RANGES), weights), max_size=6, unique_by=lambda each: each[0])
TYPES = ("text/html", "text/plain", "application/pdf", "image/png")
type_headers = st.lists(
    st.tuples(st.sampled_from((*TYPES, "text/*", "*/*")), weights), max_size=5, unique_by=lambda each: each[0]
)


def header(members: list[tuple[str, str]]) -> str:
    return ", ".join(name + weight for name, weight in members)


def weight_of(text: str) -> float:
    return float(text.partition("=")[2] or 1)


def slow_step(members: list[tuple[str, str]], tag: str) -> int | None:
    """Return the step of a look-up (RFC 4647 §3.4) in which a tag is found, None where it is not wanted.

    What names the tag itself decides; without it a language that takes its regions, then "*".
    """
    refused = {name for name, weight in members if weight_of(weight) == 0}
    steps = []
    for name, _ in sorted((each for each in members if each[0] not in refused), key=lambda each: -weight_of(each[1])):
        primary, *rest = name.split("-")
        region = [part for part in rest if len(part) == 2]
        if name == "*":
            steps += ["any", ""]
        elif region:
            steps += [f"is {primary}-{region[0]}", f"is {primary}"]
        else:
            steps += [f"is {primary}", f"below {primary}"]
    primary = tag[:2]
    for name, step in ((tag, f"is {tag}"), (primary, f"below {primary}" if tag != primary else "-"), ("*", "any")):
        if name in refused:
            return None
        if step in steps:
            return steps.index(step)
    return None


@given(language_headers)
def test_languages_rank_as_they_are_looked_up(members: list[tuple[str, str]]) -> None:
    """An earlier step of a slow look-up ranks higher, the same step the same, no step 0."""
    said = languages(header(members))
    for one, other in permutations(TAGS, 2):
        steps = [slow_step(members, tag) for tag in (one, other)]
        ranks = [said.rank((tag,)) for tag in (one, other)]
        for step, rank, tag in zip(steps, ranks, (one, other), strict=True):
            if step is None:
                assert rank == (NEUTRAL if nothing_wanted(members) and not is_refused(members, tag) else 0)
            else:
                assert rank > NEUTRAL
        if None not in steps:
            assert (ranks[0] > ranks[1], ranks[0] == ranks[1]) == (steps[0] < steps[1], steps[0] == steps[1])


@given(language_headers, st.lists(st.sampled_from(TAGS), min_size=1, max_size=3))
def test_of_several_languages_the_best_counts(members: list[tuple[str, str]], tags: list[str]) -> None:
    """And a link that says none lies between what is wanted and what is not."""
    said = languages(header(members))
    assert said.rank(tags) == max(said.rank((tag,)) for tag in tags)
    assert said.rank(()) >= NEUTRAL


def nothing_wanted(members: list[tuple[str, str]]) -> bool:
    """Whether a header says at most what is not wanted."""
    return all(weight_of(weight) == 0 for _, weight in members)


def is_refused(members: list[tuple[str, str]], tag: str) -> bool:
    """Whether a header says of a tag, of its language or of all that it is not wanted."""
    return any(weight_of(weight) == 0 and name in (tag, tag[:2], "*") for name, weight in members)


def slow_weight(members: list[tuple[str, str]], kind: str) -> float:
    """RFC 9110 §12.5.1: the most special range that matches counts."""
    family = kind.partition("/")[0] + "/*"
    for wanted in (kind, family, "*/*"):
        for name, weight in members:
            if name == wanted:
                return weight_of(weight)
    return 0.0001 if nothing_wanted(members) else 0


@given(type_headers)
def test_media_types_rank_by_weight(members: list[tuple[str, str]]) -> None:
    """As a slow reading has it, for every pair of types."""
    said = media_ranges(header(members))
    for one, other in permutations(TYPES, 2):
        expected = slow_weight(members, one) - slow_weight(members, other) if members else 0
        difference = said.rank(one) - said.rank(other)
        assert (expected > 0, expected < 0) == (difference > 0, difference < 0)


@given(st.text() | st.text('zhenq=0.;,*/ -\x00\t"', max_size=300))
def test_no_header_raises(text: str) -> None:
    """Whatever a client sends."""
    assert languages(text).rank(("zh",)) >= 0
    assert media_ranges(text).rank("text/html") >= 0


@pytest.mark.parametrize("text", ["", "undefined", "zh;q=2", ";;;", "q=1", "zh;q=x", "zh_CN", "/", "text/", "a/b/c"])
def test_what_cannot_be_read_says_nothing(text: str) -> None:
    """As if the header was not there."""
    assert languages(text).rank(("en",)) == NEUTRAL
    assert media_ranges(text).rank("text/html") == NEUTRAL


def test_a_header_is_looked_at_up_to_a_bound() -> None:
    """What stands behind NEGOTIATED_MAX members does not count, however long it is."""
    many = ",".join(["fr"] * limits.NEGOTIATED_MAX)
    assert languages(f"{many},zh").rank(("zh",)) == 0
    assert languages(f"{many[3:]},zh").rank(("zh",)) > NEUTRAL


@pytest.mark.parametrize(
    ("accept", "typed", "expected"),
    [
        ("application/linkset+json", False, True), ("application/linkset+json", True, True),
        ("application/json", False, True), ("application/json", True, False),
        ("application/json;q=0.5, text/html", False, False), ("text/html, application/json;q=0.9", False, False),
        ("application/linkset+json;q=0", False, False), ("*/*", False, False), ("application/*", False, False),
        ("", False, False), ("text/html,application/xhtml+xml,*/*;q=0.8", False, False),
        ("application/linkset+json, */*", False, True),
    ],
)  # fmt: skip
def test_the_linkset_is_asked_for_by_name(accept: str, typed: bool, expected: bool) -> None:
    """By its own type, or by JSON where no type of link is asked for."""
    assert wants_linkset(media_ranges(accept), typed=typed) is expected


# --- choice -------------------------------------------------------------------
def link(name: str, tags: str = "", kind: str = "", context: str = "", rel: str = "gs1:pip") -> Link:
    return Link(f"https://a.example/{name}", rel, name, tuple(tags.split()), kind, tuple(context.split()))


def wanted(tags: str = "", types: str = "", *contexts: str) -> Wanted:
    return Wanted(languages(tags), media_ranges(types), frozenset(contexts))


ZH, EN, PDF, ANY = (
    link("zh", "zh", "text/html"),
    link("en", "en", "text/html"),
    link("pdf", "zh", "application/pdf"),
    link("any"),
)
CN, EU = link("cn", "zh", "text/html", "CN"), link("eu", "zh", "text/html", "EU HK")


@pytest.mark.parametrize(
    ("links", "asked", "expected"),
    [
        ([ZH, EN, PDF], wanted("zh", "text/html"), [ZH]),
        ([ZH, EN, PDF], wanted("zh-CN,zh;q=0.9,en;q=0.8", "text/html,*/*;q=0.8"), [ZH]),
        ([ZH, EN, PDF], wanted("zh", "application/pdf"), [PDF]),
        ([ZH, EN, PDF], wanted("en-GB", "*/*"), [EN]),
        ([ZH, EN], wanted("zh;q=0.1, en;q=0.2"), [EN]),
        ([ZH, EN], wanted("zh;q=0"), [EN]),
        ([ZH, PDF], wanted("", "text/html;q=0"), [PDF]),
        ([ZH, EN], wanted("zh;q=0, *"), [EN]),
        ([ZH, EN], wanted("", "*/*"), [ZH, EN]),
        ([ZH, EN], wanted("fr"), [ZH, EN]),
        ([ZH, EN, ANY], wanted("fr"), [ANY]),
        ([ZH, EN, ANY], wanted(), [ANY]),
        ([ZH, EN, ANY], wanted("zh"), [ZH]),
        ([ZH, link("zh2", "zh", "text/html")], wanted("zh", "text/html"), [ZH, link("zh2", "zh", "text/html")]),
        ([link("both", "zh en"), link("en", "en")], wanted("en"), [link("en", "en")]),
        ([link("both", "zh en"), link("en", "en")], wanted("zh"), [link("both", "zh en")]),
        ([EN], wanted("zh", "application/pdf"), [EN]),
        ([CN, EU, EN], wanted("en", "", "CN"), [CN]),
        ([CN, EU, ZH], wanted("", "", "HK"), [EU]),
        ([CN, EU, ZH], wanted("", "", "US"), [ZH]),
        ([CN, EU], wanted("", "", "US"), [CN, EU]),
        ([CN, ZH], wanted("zh"), [ZH]),
    ],
)  # fmt: skip
def test_the_best_link_of_a_type(links: list[Link], asked: Wanted, expected: list[Link]) -> None:
    """By context, language and media type, then the one that says least unasked; what is equal is left to choose."""
    assert list(best(links, asked)) == expected


def level(*links: Link, at: int = 0, path: str = "/01/06901234567892", ends: bool = False) -> LevelLinks:
    return LevelLinks(path, "盐", links, links[at], ends)


def test_a_default_gives_way_to_what_fits_better_alone() -> None:
    """Links of its type are what a request may get instead; nothing equal, and never a choice."""
    two = level(ZH, EN, link("faq", "en", rel="gs1:faqs"))
    assert default_of(two, wanted()) == ZH
    assert default_of(two, wanted("en")) == EN
    assert default_of(two, wanted("fr", "text/html")) == ZH
    assert default_of(level(ANY, EN, link("en2", "en", "text/html")), wanted("en")) == ANY
    assert default_of(level(ZH, ANY), wanted()) == ZH
    assert told_multi(two) == (ZH, EN)
    assert told_multi(level(ZH, link("faq", rel="gs1:faqs"))) == ()
    assert told_multi(level(ZH, link("zh2", "zh", "text/html"))) == ()
    assert told_multi(level(ZH, EN, link("json", "en", "application/json"))) == (ZH, EN)


def test_levels_are_walked_up() -> None:
    """The longest that has the type gives it; the default is the longest one's; one that ends gives its own to all."""
    lot, product = level(link("lot"), path="/01/06901234567892/10/L1"), level(ZH, link("faq", rel="gs1:faqs"))
    levels = [lot, product]
    assert [each.title for each in choose(levels, "", wanted())] == ["lot"]
    assert [each.title for each in choose(levels, "gs1:pip", wanted())] == ["lot"]
    assert [each.title for each in choose(levels, "gs1:faqs", wanted())] == ["faq"]
    assert choose(levels, "gs1:nosuchlt", wanted()) == ()
    assert choose([], "", wanted()) == ()
    ending = [level(link("recalled"), ends=True), product]
    assert [each.title for each in choose(ending, "gs1:faqs", wanted())] == ["recalled"]


def test_the_default_can_be_asked_for_by_name() -> None:
    """gs1:defaultLink is the default alone; gs1:defaultLinkMulti chooses among those of its type."""
    levels = [level(ZH, EN)]
    assert choose(levels, "gs1:defaultLink", wanted("en")) == (ZH,)
    assert choose(levels, "gs1:defaultLinkMulti", wanted("en")) == (EN,)
    assert choose(levels, "gs1:defaultLinkMulti", wanted()) == (ZH, EN)
    assert choose([level(ZH)], "gs1:defaultLinkMulti", wanted()) == ()


@pytest.mark.parametrize(
    "text", ["https://gs1.org/voc/pip", "http://www.gs1.org/voc/pip", "https://ref.gs1.org/voc/pip", "gs1:pip"]
)
def test_a_link_type_may_be_written_as_its_uri(text: str) -> None:
    """In each of the forms that were in use."""
    assert link_type(text) == "gs1:pip"
    assert (link_type("all"), link_type("linkset"), link_type("next")) == ("linkset", "linkset", "next")
