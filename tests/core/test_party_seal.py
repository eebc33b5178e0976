"""Sealed identity fields: what was altered, cut, or moved does not open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import LimitError, SealError, StoreError
from core.keyring import KEY_BYTES, KeyRing
from core.limits import SEALED_BYTES_MAX
from core.party.seal import NONCE_BYTES, key_id_of, reseal, seal, unseal

RING = KeyRing(7, {7: bytes(range(32)), 3: bytes(range(32, 64))})
OLD = RING._replace(current=3)
NONCE = bytes(range(12))
SECRET = "11010519491231002X"
KNOWN = "0100000007000102030405060708090a0b7633e62af5d0f322b978a6b982d8485db18e566e598c97c7f69c13cf6f96f14f7fd4"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def sealed_secret() -> bytes:
    return seal(RING, NONCE, "P001", "legal_rep_id", SECRET)


@given(TEXTS, st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES), NAMES, NAMES)
def test_what_is_sealed_opens(text: str, nonce: bytes, party_id: str, field: str) -> None:
    """Under the current key; the layout has the id and the nonce in the clear, and nothing else."""
    sealed = seal(RING, nonce, party_id, field, text)
    assert unseal(RING, sealed, party_id, field) == text
    assert sealed[:17] == b"\x01" + (7).to_bytes(4, "big") + nonce
    assert len(sealed) == 33 + len(text.encode())


def test_the_layout_is_fixed() -> None:
    """Rows that were written must open after every later change."""
    assert sealed_secret().hex() == KNOWN
    assert unseal(RING, bytes.fromhex(KNOWN), "P001", "legal_rep_id") == SECRET


def test_every_flipped_bit_is_detected() -> None:
    """At every octet: version, key id, nonce, ciphertext, tag."""
    sealed = sealed_secret()
    for at in range(len(sealed)):
        for bit in range(8):
            flipped = bytearray(sealed)
            flipped[at] ^= 1 << bit
            with pytest.raises(SealError):
                unseal(RING, bytes(flipped), "P001", "legal_rep_id")


def test_a_key_id_that_names_another_key_is_detected() -> None:
    """Even where both ids have the same key: the id is bound, too."""
    twins = KeyRing(7, {7: bytes(32), 3: bytes(32)})
    sealed = seal(twins, NONCE, "P001", "phone", SECRET)
    for ring in (twins, RING):
        with pytest.raises(SealError):
            unseal(ring, sealed[:1] + (3).to_bytes(4, "big") + sealed[5:], "P001", "phone")


@pytest.mark.parametrize("cut", range(len(SECRET) + 33))
def test_what_was_cut_or_made_longer_is_detected(cut: int) -> None:
    """Any number of octets missing at the end, or one too many."""
    for wrong in (sealed_secret()[:cut], sealed_secret() + bytes(cut + 1)):
        with pytest.raises(SealError):
            unseal(RING, wrong, "P001", "legal_rep_id")


@given(NAMES, NAMES, NAMES, NAMES)
def test_a_moved_value_is_detected(party_id: str, field: str, other_party: str, other_field: str) -> None:
    """To another party, another field, or where both names together read the same."""
    sealed = seal(RING, NONCE, party_id, field, SECRET)
    places = [(other_party, other_field), (party_id + field, ""), ("", party_id + field), (field, party_id)]
    for place in places:
        if place != (party_id, field):
            with pytest.raises(SealError):
                unseal(RING, sealed, *place)


@given(st.binary(max_size=200))
def test_octets_of_any_kind_open_or_are_refused(data: bytes) -> None:
    """Nothing but SealError, which is a StoreError."""
    with pytest.raises(StoreError):
        unseal(RING, data, "P001", "phone")
    with pytest.raises(SealError):
        unseal(RING, b"\x01\x00\x00\x00\x07" + data, "P001", "phone")


def test_keys_change() -> None:
    """What the old key sealed opens as long as it is on the ring, and moves to the new one."""
    old = seal(OLD, NONCE, "P001", "phone", SECRET)
    assert (key_id_of(old), unseal(RING, old, "P001", "phone")) == (3, SECRET)
    new = reseal(RING, NONCE, "P001", "phone", old)
    assert (key_id_of(new), unseal(KeyRing(7, {7: RING.keys[7]}), new, "P001", "phone")) == (7, SECRET)
    with pytest.raises(SealError, match="key is not on the ring"):
        unseal(KeyRing(7, {7: RING.keys[7]}), old, "P001", "phone")


def test_errors_and_reprs_show_no_content() -> None:
    """Neither the text nor a key."""
    sealed = sealed_secret()
    for party_id, data in (("P002", sealed), ("P001", sealed[:-1])):
        with pytest.raises(SealError) as caught:
            unseal(RING, data, party_id, "legal_rep_id")
        assert SECRET not in caught.value.diagnostics()
        assert caught.value.__cause__ is None
    assert repr(RING) == "KeyRing(current=7, keys=[3, 7])"
    assert "\\x" not in repr(RING) and str(RING) == repr(RING)


@pytest.mark.parametrize("octets", [0, 11, 13, 16])
def test_a_nonce_has_twelve_octets(octets: int) -> None:
    """A mistake of the caller, not of the data."""
    with pytest.raises(ValueError, match="nonce"):
        seal(RING, bytes(octets), "P001", "phone", SECRET)


@pytest.mark.parametrize("octets", [0, 16, 24, 31, 33])
def test_a_key_has_thirty_two_octets(octets: int) -> None:
    """AES-256 and nothing weaker."""
    assert KEY_BYTES == 32
    with pytest.raises(ValueError, match="key"):
        seal(KeyRing(7, {7: bytes(octets)}), NONCE, "P001", "phone", SECRET)


@pytest.mark.parametrize("key_id", [-1, 2**32])
def test_a_key_id_has_four_octets(key_id: int) -> None:
    """And no sign."""
    with pytest.raises(ValueError, match="key id"):
        seal(KeyRing(key_id, {key_id: bytes(32)}), NONCE, "P001", "phone", SECRET)


def test_the_longest_text() -> None:
    """Fits exactly; one octet more does not."""
    text = "a" * (SEALED_BYTES_MAX - 33)
    assert unseal(RING, seal(RING, NONCE, "P001", "phone", text), "P001", "phone") == text
    with pytest.raises(LimitError):
        seal(RING, NONCE, "P001", "phone", text + "a")
