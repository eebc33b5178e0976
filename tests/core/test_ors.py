"""Labels of OIDs and GTINs: both ways for each, and nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import IdentifierError
from core.ident.alias import gtin14
from core.ident.gs1 import check_digit
from core.ident.oid import check_oid
from core.ident.ors import gtin_of_labels, labels_of_gtin, labels_of_node, middle_of_labels, node_of_labels

ARC = st.integers(0, 999) | st.integers(0, 2**128 - 1)
OIDS = st.builds(
    lambda root, second, rest: ".".join(map(str, (root, second, *rest))),
    st.integers(0, 2), st.integers(0, 39), st.lists(ARC, max_size=6),
).filter(lambda oid: len(oid) <= 127)  # fmt: skip
GTINS = st.integers(0, 10**13 - 1).map(lambda number: f"{number:013}" + check_digit(f"{number:013}"))
LABEL = st.integers(0, 2**130).map(lambda arc: str(arc).encode()) | st.sampled_from(
    [b"gtin", b"GTIN", b"ors-dummy", b"01", b"00", b"", b"-1", b"+1", b"1 ", b"1\n", "٣".encode(), b"\xb2", b"1_0"]
) | st.binary(max_size=63)  # fmt: skip


@given(OIDS)
def test_an_oid_is_what_its_labels_say(oid: str) -> None:
    """One label an arc, from the right; no label is too long for DNS."""
    assert check_oid(oid) == oid
    labels = labels_of_node(oid)
    assert node_of_labels(labels) == oid
    assert b".".join(labels[::-1]).decode() == oid
    assert max(map(len, labels)) <= 63


@given(st.lists(LABEL, max_size=34))
def test_whatever_labels_come_are_those_of_one_or_of_none(labels: list[bytes]) -> None:
    """And where they are those of one, its labels are these; else its text is no OID."""
    node, gtin = node_of_labels(labels), gtin_of_labels(labels)
    if node is not None:
        assert labels_of_node(node) == tuple(labels)
        assert node in ("0", "1", "2") or check_oid(node) == node
    elif not any(b"." in label for label in labels):
        text = b".".join(labels[::-1]).decode("utf-8", "replace")
        with pytest.raises(IdentifierError):
            check_oid(text)
    if gtin is not None:
        assert labels_of_gtin(gtin) == tuple(labels)
        assert gtin14(gtin) == gtin


@given(GTINS)
def test_a_gtin_is_what_its_labels_say(gtin: str) -> None:
    """14 labels; what is above a name is shared by all below it."""
    labels = labels_of_gtin(gtin)
    assert len(labels) == 14
    assert gtin_of_labels(labels) == gtin
    for above in range(1, 14):
        assert middle_of_labels(labels[above:]) == gtin[1 : 14 - above]
    assert middle_of_labels(labels) is None


@pytest.mark.parametrize(
    ("oid", "name"),
    [
        ("1.2.156.99999.7", "7.99999.156.2.1"),
        ("2.25.340282366920938463463374607431768211455", "340282366920938463463374607431768211455.25.2"),
        ("0", "0"), ("1.39", "39.1"),
    ],
)  # fmt: skip
def test_an_oid_in_dns(oid: str, name: str) -> None:
    """As the facts have it; an arc of 39 digits is one label."""
    assert labels_of_node(oid) == tuple(name.encode().split(b"."))
    assert node_of_labels(tuple(name.encode().split(b"."))) == oid


@pytest.mark.parametrize("name", ["01.2.1", "٣.2.1", "40.1", "3", "1.3", "-7.2.1", "7.2.1.cn", "²", "1.²"])
def test_what_is_no_oid(name: str) -> None:
    """A zero in front, digits of other scripts, arcs that X.660 does not have."""
    assert node_of_labels(tuple(name.encode().split(b"."))) is None


def test_the_example_of_gs1_ons() -> None:
    """0.0.6.2.2.3.1.4.1.4.1.6.0.gtin is 00614141322602."""
    labels = tuple(b"0.0.6.2.2.3.1.4.1.4.1.6.0.gtin".split(b"."))
    assert labels_of_gtin("00614141322602") == labels
    assert gtin_of_labels(labels) == "00614141322602"
