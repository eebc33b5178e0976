"""Names of DNS as text, with dnspython as the oracle."""

from __future__ import annotations

import dns.exception
import dns.name
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.errors import WireError
from core.wire.dns import Labels, name_to_wire
from core.wire.dns_text import labels_of, text_of
from tests.kit.dns_messages import names


@given(names)
def test_names_round_trip_as_text(name: Labels) -> None:
    """Any octets; the text is the one that dnspython writes, and both read it."""
    text = text_of(name)
    assert text == dns.name.Name((*name, b"")).to_text(omit_final_dot=True)
    assert labels_of(text) == name
    if name:
        assert labels_of(text + ".") == name


@given(st.text(alphabet=st.sampled_from([*'aZ0.-\\"@(); 012', "\n", "\x7f"]), max_size=20) | st.text(max_size=40))
@example("")
@example("\\")
@example("a..b")
@example("..")
@example("\\256")
@example("\\25")
@example("a" * 64)
@example("a." * 128)
@example("xn--a.盐")
@example("中\\.国")
@example("\u2488盐")
@example("a\ud800")
@example("盐" * 40)
def test_names_are_total_over_any_text(text: str) -> None:
    """Labels that fit or a WireError; of ASCII, those that dnspython reads."""
    try:
        labels = labels_of(text)
    except WireError:
        labels = None
    else:
        assert len(name_to_wire(labels)) <= 255
    if text.isascii() and text not in ("", "@"):
        assert labels == dnspython_reads(text)


def dnspython_reads(text: str) -> Labels | None:
    """None where it refuses."""
    try:
        return dns.name.from_text(text, origin=dns.name.root).labels[:-1]
    except dns.exception.DNSException:
        return None


def test_letters_that_are_not_ascii_become_a_labels() -> None:
    """In lower case; the full stops of Chinese keyboards are dots; ASCII keeps its case."""
    salt, sample = (b"xn--" + word.encode("punycode") for word in ("盐业", "例子"))
    assert labels_of("盐业.Oid-Res.org") == (salt, b"Oid-Res", b"org")
    assert labels_of("盐业。例子．org｡") == (salt, sample, b"org")
    assert labels_of("BÜCHER.example") == labels_of("bücher.example") == (b"xn--bcher-kva", b"example")


@pytest.mark.parametrize("text", ["", "a..b", ".a", "\\256", "a b\u0000盐", "盐\\.", "a\u2024盐"])
def test_what_is_no_name_is_said_in_both_languages(text: str) -> None:
    """An operator meets it in settings."""
    with pytest.raises(WireError, match=r"[一-龥]+.*[A-Za-z]{4}"):
        labels_of(text)


def test_the_root_is_a_dot() -> None:
    """As text; no labels."""
    assert (labels_of("."), text_of(())) == ((), ".")
