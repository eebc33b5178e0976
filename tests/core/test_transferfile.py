"""Lines of a transfer file: round trip, total on any octets, and a last line in which no octet can be another."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import WireError
from core.signature import Signer
from core.wire import transferfile as tf
from core.wire.transferfile import (
    Digester,
    Digests,
    Line,
    decode_line,
    decode_trailer,
    encode_line,
    encode_trailer,
    first_link,
    is_trailer,
    next_link,
)

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
OCTETS = st.binary(max_size=20)
NUMBER = st.integers(-(2**63), 2**63 - 1)
PERSON = st.builds(tf.Person, TEXT, TEXT)
STEP = st.builds(tf.StepForm, NUMBER, TEXT, TEXT, PERSON, TEXT, OCTETS)
CHECK = st.builds(tf.CheckForm, NUMBER, TEXT, TEXT, OCTETS, PERSON, TEXT, TEXT)
LINE: st.SearchStrategy[Line] = st.one_of(
    st.builds(tf.HeaderLine, TEXT, NUMBER, TEXT, TEXT, TEXT, TEXT, NUMBER, st.booleans()),
    st.builds(
        tf.ApplicationLine, st.sampled_from(["homed", "suspended"]), st.sampled_from(["hosted", "delegated"]),
        st.booleans(), OCTETS, NUMBER, PERSON, st.booleans(), st.lists(PERSON, max_size=2),
        st.lists(PERSON, max_size=2), st.lists(STEP, max_size=2),
    ),
    st.builds(
        tf.PartyLine, TEXT, st.booleans(), st.dictionaries(TEXT, TEXT | st.lists(TEXT, max_size=2), max_size=2),
        st.lists(TEXT, max_size=2), NUMBER, NUMBER, TEXT, st.lists(CHECK, max_size=2),
    ),
    st.builds(tf.PrefixHandleLine, OCTETS),
    st.builds(tf.RecordLine, TEXT, OCTETS),
    st.builds(
        tf.LotLine, TEXT, TEXT, NUMBER, NUMBER, NUMBER, TEXT, TEXT, TEXT, NUMBER, OCTETS, NUMBER, OCTETS,
    ),
    st.builds(tf.BlockLine, TEXT, NUMBER, NUMBER, TEXT, TEXT, NUMBER),
    st.builds(tf.RunLine, TEXT, NUMBER, NUMBER, TEXT, NUMBER, NUMBER, TEXT, st.none() | NUMBER),
    st.builds(
        tf.EventLine, TEXT, NUMBER, NUMBER, NUMBER, TEXT, NUMBER, NUMBER, TEXT, TEXT, st.none() | NUMBER, NUMBER,
    ),
    st.builds(tf.ChangeLine, NUMBER, TEXT, TEXT, NUMBER, TEXT),
    st.builds(tf.EntryLine, NUMBER, NUMBER, PERSON, TEXT, TEXT, TEXT, TEXT, TEXT, OCTETS, TEXT),
)  # fmt: skip
DIGEST = st.binary(min_size=32, max_size=32)
ANY = st.recursive(
    st.none() | st.booleans() | NUMBER | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(LINE)
def test_round_trip(line: Line) -> None:
    """Of every kind; a line is one line."""
    octets = encode_line(line)
    assert octets.count(b"\n") == 1
    assert decode_line(octets) == line
    assert json.loads(octets)["kind"] in tf.KINDS
    assert not is_trailer(octets)


@given(st.one_of(st.binary(max_size=80), ANY.map(lambda value: json.dumps(value).encode()), LINE.map(encode_line)), ANY)
def test_total_on_any_octets(octets: bytes, other: object) -> None:
    """A line or WireError, nothing else; also where a member is another one, missing, or one too many."""
    tried = [octets, octets + b"\n"]
    try:
        document: Any = json.loads(octets)
    except ValueError:
        document = None
    if isinstance(document, dict):
        tried += [
            json.dumps(changed).encode() + b"\n"
            for name in [*document, "more"]
            for changed in (
                document | {name: other}, {key: value for key, value in document.items() if key != name}
            )
        ]  # fmt: skip
    for each in tried:
        is_trailer(each)
        for decode in (decode_line, decode_trailer):
            try:
                decode(each)
            except WireError as error:
                assert error.message


@pytest.mark.parametrize("kind", ["bag", "hold", "unit-exception", "trailer2", ""])
def test_a_kind_that_is_not_known_is_named(kind: str) -> None:
    """Somebody may have a later version, and hears what this one lacks."""
    with pytest.raises(WireError, match=f"{kind!r}.*There is no kind of line {kind!r}"):
        decode_line(json.dumps({"kind": kind, "x": 1}).encode() + b"\n")


def test_a_line_is_bounded() -> None:
    """What is written no reader would take is not written."""
    with pytest.raises(WireError, match="octets"):
        encode_line(tf.RecordLine("88.1/x", bytes(limits.TRANSFER_LINE_BYTES_MAX)))


@given(st.dictionaries(st.sampled_from(tf.KINDS), st.integers(1, 2**40), max_size=4), DIGEST, DIGEST, DIGEST)
def test_trailer_round_trip(counts: dict[str, int], whole: bytes, head: bytes, chain: bytes) -> None:
    """Counts, digests and who signed."""
    octets = encode_trailer(SIGNER, counts, Digests(whole, head, chain))
    assert is_trailer(octets)
    trailer = decode_trailer(octets)
    assert (trailer.counts, trailer.digests) == (counts, Digests(whole, head, chain))
    assert trailer.signature.public_key == SIGNER.public_key


TRAILER = encode_trailer(SIGNER, {"header": 1, "record": 3}, Digests(bytes(32), b"h" * 32, b"c" * 32))


@given(st.integers(0, len(TRAILER) - 1), st.integers(1, 255))
def test_no_octet_of_the_trailer_can_be_another(at: int, flip: int) -> None:
    """Not even where JSON or base64 would read the same of it."""
    altered = bytearray(TRAILER)
    altered[at] ^= flip
    with pytest.raises(WireError):
        decode_trailer(bytes(altered))


@pytest.mark.parametrize(
    "spelling",
    [
        TRAILER.replace(b":", b": ", 1),
        b" " + TRAILER,
        TRAILER[:-1] + b" \n",
        TRAILER.replace(b"counts", b"c\\u006funts"),
    ],
)
def test_another_spelling_of_a_trailer_is_none(spelling: bytes) -> None:
    """The same document, and yet other octets."""
    assert json.loads(spelling) == json.loads(TRAILER)
    with pytest.raises(WireError, match="canonical"):
        decode_trailer(spelling)


def test_a_signature_made_for_something_else_is_none() -> None:
    """The purpose is signed, too."""
    document = json.loads(TRAILER)
    del document["signature"]
    other = SIGNER.sign_document("report", document)
    with pytest.raises(WireError, match="signature"):
        decode_trailer(json.dumps(other, separators=(",", ":"), sort_keys=True).encode() + b"\n")


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=3), st.lists(st.binary(max_size=9), max_size=4))
def test_the_digests_are_what_the_format_says(head: list[bytes], body: list[bytes]) -> None:
    """Of all octets, of the head, and the chain, which can be gone on with from any link."""
    digester = Digester()
    for line in head:
        digester.feed(line, head=True)
    link = first_link(b"".join(head))
    for line in body:
        digester.feed(line, head=False)
        link = next_link(link, line)
    whole, first = (hashlib.sha256(b"".join(each)).digest() for each in ([*head, *body], head))
    assert digester.digests() == Digests(whole, first, link)
