"""The grammar of handles: what is one, what it is folded to, and the words for what is none."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from core import limits
from core.errors import IdentifierError, Outcome
from core.ident.handle import (
    PREFIX_HANDLES,
    HandleRules,
    ancestors,
    check_handle,
    check_prefix,
    prefix_handle_of,
    prefix_of,
)

RULES = HandleRules()
CASED = HandleRules(case_sensitive=True)
WIDE = HandleRules(limits.PREFIX_CHARS_MAX, limits.HANDLE_CHARS_MAX)
ANY_TEXT = st.text(st.characters(codec=None), max_size=300)  # halves of surrogate pairs too
NEARLY = st.text(st.sampled_from("88.aZ/0NA 盐\t\n\x7f\x00é\u2028\ud800"), max_size=80)
SEGMENT = st.text(st.sampled_from("abcXYZ0189é盐-_"), min_size=1, max_size=6)
PREFIXES = st.lists(SEGMENT, min_size=1, max_size=6).map(".".join)
SUFFIXES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)
HANDLES = st.builds(lambda prefix, suffix: f"{prefix}/{suffix}", PREFIXES, SUFFIXES)


def refusal(text: str, rules: HandleRules = RULES) -> str:
    """Return the words with which a handle is refused."""
    with pytest.raises(IdentifierError) as caught:
        check_handle(text, rules)
    assert caught.value.ended is Outcome.INVALID_HANDLE
    return caught.value.message


# --- what is a handle -------------------------------------------------------

GOOD = {
    "88.118.7/SKU01": b"88.118.7/SKU01",
    "88.118.7/sku01": b"88.118.7/SKU01",
    "88.ab/c": b"88.AB/C",
    "88.118.7/": b"88.118.7/",
    "88.118.7//": b"88.118.7//",
    "88.118.7/a/b/c": b"88.118.7/A/B/C",
    "88.118.7/a b\xa0c": "88.118.7/A B\xa0C".encode(),
    "0.na/88.118.7": b"0.NA/88.118.7",
    "88.118.7": b"0.NA/88.118.7",
    "0.NA": b"0.NA/0.NA",
    "a": b"0.NA/A",
    "a b": b"0.NA/A B",
    "88.9999.1/食盐/bag-1": "88.9999.1/食盐/BAG-1".encode(),
    "盐.1/é": "盐.1/é".encode(),
    "88/\u0080\u2028\U0001f9c2": "88/\u0080\u2028\U0001f9c2".encode(),
    "a-b_c!/x": b"A-B_C!/X",
    ".".join("123456789abcdefg") + "/x": b"1.2.3.4.5.6.7.8.9.A.B.C.D.E.F.G/X",
}


@pytest.mark.parametrize(("text", "key"), GOOD.items(), ids=ascii)
def test_a_handle_is_folded_to_its_key(text: str, key: bytes) -> None:
    """Prefix and suffix; a name without "/" is the prefix handle 0.NA/<name>."""
    assert check_handle(text, RULES) == key
    assert RULES.key(text) == key


@pytest.mark.parametrize("char", ["ÿ", "ß", "é", "ı", "ſ", "ａ", "я", "ǆ", "\u212a"])
def test_only_ascii_letters_fold(char: str) -> None:
    """RFC 3651 s3: a-z and nothing else; Unicode's own case rules never touch a handle."""
    assert RULES.key(f"88.1/{char}") == f"88.1/{char}".encode()
    assert check_handle(f"88.1/{char}", RULES) == f"88.1/{char}".encode()


def test_every_ascii_letter_folds_and_no_other_octet() -> None:
    """All 128 of them, one by one."""
    for code in range(128):
        expected = code - 32 if ord("a") <= code <= ord("z") else code
        assert RULES.key(f"1/{chr(code)}") == b"1/" + bytes([expected])


KEPT = {
    "88.118.7/Sku01": b"88.118.7/Sku01",
    "88.ab/c": b"88.AB/c",
    "88.ab/c/D/é": "88.AB/c/D/é".encode(),
    "盐.a/b é": "盐.A/b é".encode(),
    "a-b_c!/x": b"A-B_C!/x",
    "0.na/88.ab": b"0.NA/88.AB",
    "0.site/Status/x": b"0.SITE/STATUS/X",
    "0.盐/x": "0.盐/X".encode(),
    "88.ab": b"0.NA/88.AB",
    "0/x": b"0/x",
    "00.a/x": b"00.A/x",
}


@pytest.mark.parametrize(("text", "key"), KEPT.items(), ids=ascii)
def test_where_case_matters_prefixes_and_handles_below_0_fold(text: str, key: bytes) -> None:
    """And suffixes are kept octet by octet."""
    assert check_handle(text, CASED) == CASED.key(text) == key


# --- what is none -----------------------------------------------------------

BAD = {
    "": "Empty handle invalid",
    "/": "The prefix before the first '/' is empty",
    "/x": "The prefix before the first '/' is empty",
    ".1/x": "The prefix '.1' has an empty segment",
    "1./x": "The prefix '1.' has an empty segment",
    "1..2/x": "The prefix '1..2' has an empty segment",
    "./x": "The prefix '.' has an empty segment",
    "1 2/x": "The prefix '1 2' holds a blank",
    " 1/x": "The prefix ' 1' holds a blank",
    "1\t2/x": "Character 2 is a control character (U+0009), which no handle may hold",
    "88.1/a\x00b": "Character 7 is a control character (U+0000), which no handle may hold",
    "88.1/a\n": "Character 7 is a control character (U+000A), which no handle may hold",
    "88.1/a\r\nX: y": "Character 7 is a control character (U+000D), which no handle may hold",
    "88.1/\x7f": "Character 6 is a control character (U+007F), which no handle may hold",
    "盐/\x1f": "Character 3 is a control character (U+001F), which no handle may hold",
    "88.1/\ud800": "The handle holds half of a surrogate pair, which is no character",
    "\ud800": "The handle holds half of a surrogate pair, which is no character",
    "8\ud800/x": "The prefix holds half of a surrogate pair, which is no character",
    "1" * 65 + "/x": "The prefix has 65 characters; at most 64 are allowed",
    ".".join("1" * 17) + "/x": "The prefix has more than 16 segments",
    "8/" + "x" * 254: "The handle has 256 characters; at most 255 are allowed",
    "盐" * 256: "The handle has 256 characters; at most 255 are allowed",
}


@pytest.mark.parametrize(("text", "message"), BAD.items(), ids=lambda text: ascii(text)[:40])
def test_what_is_no_handle_is_refused_with_the_reason(text: str, message: str) -> None:
    """Each text says what is wrong, where, and what would be right."""
    assert refusal(text) == message


@pytest.mark.parametrize("char", ["x", "盐", "\U0001f9c2"])
def test_bounds_count_characters_not_octets(char: str) -> None:
    """64 characters of prefix and 255 of handle pass, of any width; one more does not."""
    prefix = char * 64
    assert prefix_of(check_handle(f"{prefix}/{char}", RULES)) == prefix.encode().upper()
    assert "at most 64" in refusal(f"{prefix}{char}/{char}")
    longest = f"8/{char * 253}"
    assert len(longest) == 255
    assert check_handle(longest, RULES) == longest.encode().upper()
    assert "at most 255" in refusal(longest + char)


def test_a_handle_never_has_more_octets_than_the_reference_server_takes() -> None:
    """HANDLE_BYTES_MAX octets of UTF-8, whatever the character limit says."""
    assert len(check_handle("8/" + "盐" * 682, WIDE)) == limits.HANDLE_BYTES_MAX
    assert refusal("8/" + "盐" * 683, WIDE) == f"The handle has more than {limits.HANDLE_BYTES_MAX} octets of UTF-8"


def test_other_rules_move_the_bounds() -> None:
    """The operator's settings count, on the short way through the grammar as on the long one."""
    rules = HandleRules(prefix_length_max=4, length_max=8)
    assert check_handle("88.1/abc", rules) == b"88.1/ABC"
    assert refusal("88.1/abcd", rules) == "The handle has 9 characters; at most 8 are allowed"
    assert refusal("88.12/a", rules) == "The prefix has 5 characters; at most 4 are allowed"


@pytest.mark.parametrize("text", ["88.118.7", "a-b", "盐", "1" * 64, ".".join("1" * 16)])
def test_a_prefix_stands_alone(text: str) -> None:
    """check_prefix() takes what may stand before the "/"."""
    assert check_prefix(text, RULES) == text.encode().upper()


@pytest.mark.parametrize("text", ["", "88/1", ".", "8.", "8 8", "8\x008", "8\ud800", "1" * 65, ".".join("1" * 17)])
def test_what_is_no_prefix_is_refused(text: str) -> None:
    """With a reason, never with another kind of error."""
    with pytest.raises(IdentifierError):
        check_prefix(text, RULES)


# --- prefixes above ---------------------------------------------------------


def test_the_prefixes_above_come_nearest_first() -> None:
    """A prefix, then each one above it in the national tree."""
    assert ancestors(b"88.118.7") == [b"88.118.7", b"88.118", b"88"]
    assert ancestors(b"88") == [b"88"]


def test_prefix_handles_live_under_0_na() -> None:
    """The prefix handle of P is 0.NA/P, and its own prefix is 0.NA."""
    handle = prefix_handle_of(b"88.118.7")
    assert handle == b"0.NA/88.118.7"
    assert prefix_of(handle) == PREFIX_HANDLES == b"0.NA"
    assert prefix_of(b"88.118.7/A/B") == b"88.118.7"


# --- properties -------------------------------------------------------------


@given(text=st.one_of(ANY_TEXT, NEARLY))
@example(text="\ud800/")
@example(text="a" * 64 + "/\ud800")
def test_handle_total_on_any_text(text: str) -> None:
    """A key or an IdentifierError with a message that can be sent; nothing else."""
    for rules in (RULES, WIDE, CASED, HandleRules(1, 3)):
        try:
            key = check_handle(text, rules)
        except IdentifierError as error:
            assert error.message.encode()
        else:
            assert b"/" in key
            assert len(text) <= rules.length_max
            assert len(key) <= limits.HANDLE_BYTES_MAX
            assert all(octet >= 0x20 and octet != 0x7F for octet in key)


@given(text=st.one_of(ANY_TEXT, NEARLY))
def test_prefix_total_on_any_text(text: str) -> None:
    """A key or an IdentifierError; a key has no "/" and no empty segment."""
    try:
        key = check_prefix(text, RULES)
    except IdentifierError as error:
        assert error.message.encode()
    else:
        assert b"/" not in key
        assert all(key.split(b"."))


@given(handle=HANDLES)
def test_folding_is_idempotent_and_a_round_trip(handle: str) -> None:
    """The key of a key's text is the key; the text differs in the case of a-z alone."""
    assume(len(handle) <= 255 and handle.index("/") <= 64)
    key = check_handle(handle, RULES)
    assert RULES.key(key.decode()) == key
    assert check_handle(key.decode(), RULES) == key
    assert len(key.decode()) == len(handle)
    changed = {old for old, new in zip(handle, key.decode(), strict=True) if old != new}
    assert all("a" <= char <= "z" for char in changed)


@given(handle=HANDLES)
def test_both_ways_through_the_grammar_agree_on_any_handle(handle: str) -> None:
    """The short way for common handles gives what the long one gives, and both what key() gives."""
    assume(len(handle) <= 255 and handle.index("/") <= 64)
    prefix, _, suffix = handle.partition("/")
    for rules in (RULES, CASED):
        key = check_handle(handle, rules)
        folds = rules is RULES or prefix.startswith("0.")
        assert key == check_prefix(prefix, rules) + b"/" + (suffix.encode().upper() if folds else suffix.encode())
        assert key == rules.key(handle) == rules.key(key.decode())
        assert prefix_of(key) == check_prefix(prefix, rules)


@given(prefix=st.binary(max_size=200))
@example(prefix=b".".join([b"1"] * 40))
@example(prefix=b"." * 100)
def test_ancestors_are_bounded_for_any_bytes(prefix: bytes) -> None:
    """However many segments, the walk upwards ends after PREFIX_SEGMENTS_MAX prefixes."""
    found = ancestors(prefix)
    assert found[0] == prefix
    assert len(found) == min(prefix.count(b".") + 1, limits.PREFIX_SEGMENTS_MAX)
    assert all(below.startswith(above + b".") for below, above in pairwise(found))
