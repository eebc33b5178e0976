"""Compressed Digital Links: the vectors of GS1's toolkit, and what it loses."""

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
from core.ident.dl_compression import compress, decompress
from tests.kit.gs1_links import links

FILE = Path(__file__).parent.parent / "vectors" / "gs1" / "dl-compression-vectors.json"
VECTORS: Any = json.loads(FILE.read_text("utf-8"))["vectors"]
BASE = "https://example.org"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
GRAI = "https://example.org/8003/06901234567892PALLET1"  # the toolkit looks for its check digit at place 13, not 14


def in_order(link: DigitalLink) -> DigitalLink:
    """Compressed, attributes have no order."""
    return link._replace(attributes=tuple(sorted(link.attributes)))


def packed(*fields: tuple[int, int]) -> str:
    """Bits as a path: value and width of each field."""
    bits = "".join(f"{value:0{width}b}" for value, width in fields)
    bits += "0" * (-len(bits) % 6)
    return "/" + "".join(ALPHABET[int(bits[at : at + 6], 2)] for at in range(0, len(bits), 6))


@pytest.mark.parametrize(
    "vector", [each for each in VECTORS if "compressed" in each], ids=lambda each: each["compressed"]
)
def test_a_link_is_compressed_and_read_as_by_the_toolkit(vector: dict[str, str]) -> None:
    """In both directions, and with a slash or a stem."""
    link = parse_uri(vector["uncompressed"])
    assert BASE + compress(link) == vector["compressed"]
    path = vector["compressed"].removeprefix(BASE)
    assert decompress(path) == decompress(path + "/") == decompress("/stem" + path) == parse_uri(vector["decompressed"])


@pytest.mark.parametrize("vector", [each for each in VECTORS if "error" in each], ids=lambda each: each["uncompressed"])
def test_a_wrong_check_digit_is_refused_before_and_behind_compression(vector: dict[str, str]) -> None:
    """But for a GRAI, where the toolkit is wrong: its digit stands behind the zero in front."""
    if vector["uncompressed"] == GRAI:
        assert decompress(compress(parse_uri(GRAI))) == parse_uri(GRAI)
        return
    with pytest.raises(IdentifierError):
        parse_uri(vector["uncompressed"])
    _, _, _, ai, value = vector["uncompressed"].split("/")
    wrong = DigitalLink((Element(ai, value),))
    with pytest.raises(IdentifierError):
        decompress(compress(wrong))


@pytest.mark.parametrize(
    "path",
    [
        "/01/06901234567892/21/00123", "/01/06901234567892/21/12345678901234567890", "/00/069012345000000011",
        "/253/6901234567892DOC1", "/253/6901234567892", "/255/6901234567892", "/255/6901234567892000",
        "/8003/06901234567892", "/01/06901234567892/235/TPX1", "/417/6901234567892/7040/1A-_",
        "/01/06901234567892/21/%22%25%2F", "/01/06901234567892/21/ABCDEF", "/01/06901234567892/21/abcdef",
    ],
)  # fmt: skip
def test_nothing_is_lost(path: str) -> None:
    """Zeros in front, many digits, serials behind digits or none, each encoding: what the toolkit loses, too."""
    link = parse_path(path)
    assert decompress(compress(link)) == link


def test_attributes_are_compressed_with_the_key() -> None:
    """Several AIs have one code together, and what is ignored is left out."""
    link = parse_path("/01/06901234567892", "3103=000400&17=271121&linkType=all")
    short = compress(link)
    assert decompress(short) == in_order(link._replace(ignored=()))
    assert len(short) < len(compress(parse_path("/01/06901234567892"))) + len("17=271121&3103=000400")


def test_a_key_stands_before_where_it_could_be_mistaken() -> None:
    """Another key is an attribute of it."""
    link = parse_path("/8004/6901234X", "01=06901234567892")
    assert compress(link) == "/8004/6901234X/AQyNo0UVqA"
    assert decompress("/8004/6901234X/AQyNo0UVqA") == link
    assert decompress("/stem/8004/6901234X/AQyNo0UVqA/", "linkType=all").ignored == ("linkType=all",)


def test_a_partly_compressed_link_is_read() -> None:
    """The GTIN is readable; lot and date are not."""
    whole = parse_path("/01/06901234567892/10/L1", "17=271121")
    # AI 10: ASCII, two characters; AI 17: a number of six digits.
    rest = packed((0x10, 8), (4, 3), (2, 5), (ord("L"), 7), (ord("1"), 7), (0x17, 8), (271121, 20))
    assert decompress("/01/06901234567892" + rest) == whole


def test_words_of_the_query_come_out_as_such() -> None:
    """Behind the code F: neither key nor value is an AI."""
    gtin = (0x01, 8), (6901234567892, 47)
    # linkType=all: 8 characters of base64url, then encoding 3 and 3 characters
    word = (0xF, 4), (8, 7), *((ALPHABET.index(char), 6) for char in "linkType")
    value = (3, 3), (3, 7), *((ALPHABET.index(char), 6) for char in "all")
    link = decompress(packed(*gtin, *word, *value), "x=y")
    assert link == parse_path("/01/06901234567892", "linkType=all&x=y")


GTIN_BITS = (0x01, 8), (6901234567892, 47)


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "AQyNo0UVqA", "/AQyNo0UVq", "/AQyNo0UVqA=", "/AQyNo0UVqé", "//", "/A", "/foo", "/01/06901234567892",
        "/01/06901234567892/foo", "/00/069012345000000011/AQyNo0UVqA/AQyNo0UVqB",
        "/01/06901234567892/AQyNo0UVqA", "/8004/69/AQyNo0UVqA",
        packed((0x01, 8), (6901234567893, 47)),  # check digit
        packed((0x01, 8), (10**14, 47)),  # too many digits
        packed((0x04, 8), (0, 47)), packed((0x0E, 8), (0, 60)), packed((0xE0, 8), (0, 60)), packed((0x8A, 8), (0, 60)),
        packed((0x31, 8), (0x0A, 8), (0, 60)),
        packed(*GTIN_BITS, (0x21, 8), (5, 3), (2, 5), (0, 60)),  # encoding
        packed(*GTIN_BITS, *GTIN_BITS), packed(*GTIN_BITS, (1, 5)), packed(*GTIN_BITS, (0x21, 8), (0, 1)),
        packed((0x10, 8), (0, 3), (1, 5), (1, 4), (0, 8)),  # no key
        packed((0x00, 8), (69012345000000011, 60), *GTIN_BITS),  # two
        packed((0xF, 4), (1, 7), (0, 6), (0, 3), (127, 7), (0, 20)),
    ],
)  # fmt: skip
def test_what_is_no_compressed_link_is_refused(path: str) -> None:
    """Alphabet, codes, ends, numbers, keys."""
    with pytest.raises(IdentifierError):
        decompress(path)


def test_long_paths_are_refused() -> None:
    """And so is what would be too long uncompressed."""
    with pytest.raises(IdentifierError, match=str(limits.DIGITAL_LINK_CHARS_MAX)):
        decompress("/" + "A" * limits.DIGITAL_LINK_CHARS_MAX)
    word = ((0xF, 4), (1, 7), (0, 6), (4, 3), (127, 7), *((0, 7) for _ in range(127)))
    with pytest.raises(IdentifierError, match=str(limits.DIGITAL_LINK_CHARS_MAX)):
        decompress(packed((0x01, 8), (6901234567892, 47), *word * 10))


@given(links())
def test_every_link_is_read_again_from_its_compressed_form(link: DigitalLink) -> None:
    """All keys, qualifiers and attributes."""
    short = compress(link)
    assert decompress(short) == in_order(link)
    assert decompress("/stem" + short, "x=y") == in_order(link._replace(ignored=("x=y",)))


@given(st.text(ALPHABET, max_size=60), st.sampled_from(["", "/01/06901234567892", "/8004/6901234X", "/x"]))
def test_any_bits_are_a_link_or_are_refused(text: str, before: str) -> None:
    """Nothing but IdentifierError, and what is read is a link that can be written."""
    try:
        link = decompress(f"{before}/{text}")
    except IdentifierError as error:
        assert error.message.isprintable()
    else:
        assert parse_uri(link.canonical).canonical == link.canonical


@given(st.sampled_from(["A", "C", "D", "G"]), st.text(ALPHABET, max_size=30))
def test_any_bits_behind_a_code_of_gtin_are_read_or_refused(code: str, text: str) -> None:
    """Closer to real ones."""
    for path in (f"/AQyNo0UVqA{text}", f"/{code}gyNo0UVq{text}", f"/{code}wyNo0UVq{text}"):
        try:
            assert decompress(path).elements[0].ai in ("01", "414", "8010", "8017", "8018", "255")
        except IdentifierError:
            continue


@given(st.text(max_size=40))
def test_any_text_is_a_link_or_is_refused(text: str) -> None:
    """Nothing but IdentifierError."""
    for path in (text, "/" + text, "/01/06901234567892/" + text):
        try:
            decompress(path, text)
        except IdentifierError:
            continue
