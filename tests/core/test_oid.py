"""Object identifiers: arcs, roots, bounds; every text is one or is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import IdentifierError
from core.ident.oid import check_oid

ARC = st.integers(0, 2**128 - 1)
OIDS = st.one_of(
    st.tuples(st.sampled_from([0, 1]), st.integers(0, 39)), st.tuples(st.just(2), ARC)
).flatmap(lambda head: st.lists(st.integers(0, 10**6) | ARC, max_size=4).map(lambda tail: [*head, *tail])).map(
    lambda arcs: ".".join(map(str, arcs))
).filter(lambda oid: len(oid) <= limits.OID_CHARS_MAX)  # fmt: skip


@given(OIDS)
def test_an_oid_is_its_own_key(oid: str) -> None:
    """With the name of URNs in front or without, in any case."""
    assert check_oid(oid) == oid
    for scheme in ("urn:oid:", "URN:OID:", "Urn:Oid:"):
        assert check_oid(scheme + oid) == oid


@pytest.mark.parametrize(
    "oid",
    [
        "0.0", "1.39", "2.999", "1.2.156.99999.7", f"2.25.{2**128 - 1}",
        ".".join(["1"] * limits.OID_ARCS_MAX), "2." + "1" * 38,
    ],
)  # fmt: skip
def test_the_bounds_belong_to_it(oid: str) -> None:
    """Roots, second arcs, arcs of 128 bits, so many arcs."""
    assert check_oid(oid) == oid


@pytest.mark.parametrize(
    "oid",
    [
        "", "1", "2.", ".1.2", "1..2", "3.1", "0.40", "1.40", "1.02", "01.2", "1.-2", "1.2 ", " 1.2", "1.2\n", "1.２",
        "1,2", "1.2.a", f"2.25.{2**128}", "1.2.\ud800",
        ".".join(["1"] * (limits.OID_ARCS_MAX + 1)),
        "2." + "1" * limits.OID_CHARS_MAX, "urn:oid:", "urn:oid:urn:oid:1.2", "oid:1.2", "urn:uuid:1.2",
    ],
)  # fmt: skip
def test_what_is_no_oid_is_refused(oid: str) -> None:
    """Both languages say why."""
    with pytest.raises(IdentifierError) as error:
        check_oid(oid)
    assert "OID" in error.value.message
    assert error.value.message.isprintable()


@given(st.text(max_size=40) | st.text("0123.urn:oid", max_size=40))
def test_any_text_is_an_oid_or_is_refused(text: str) -> None:
    """Nothing but IdentifierError; what comes out is its own key."""
    try:
        oid = check_oid(text)
    except IdentifierError:
        return
    assert check_oid(oid) == oid
