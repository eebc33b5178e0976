"""Signatures: they hold for one text, one purpose and one key, and for no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from core.errors import WireError
from core.signature import Signer, canonical, dump_signature, key_id, load_signature, verify, verify_document

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
# RFC 8032 §7.1, test 1, gives the public key of this private one.
RFC_PRIVATE = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RFC_PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text("abcXYZ_1", max_size=4), parts, max_size=4),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text("abcXYZ_1", max_size=4), JSON, max_size=4)


def test_the_key_is_that_of_the_standard() -> None:
    assert Signer(Ed25519PrivateKey.from_private_bytes(RFC_PRIVATE)).public_key == RFC_PUBLIC
    assert key_id(RFC_PUBLIC) == "21fe31dfa154a261626bf854046fd227"


@given(st.binary(max_size=64), st.text("abc ", max_size=8))
def test_a_signature_holds_for_one_text_and_purpose(text: bytes, purpose: str) -> None:
    signature = SIGNER.sign(purpose, text)
    assert verify(purpose, text, signature)
    assert not verify(purpose, text + b".", signature)
    assert not verify(purpose + ".", text, signature)
    assert not verify(purpose, text, signature._replace(algorithm="SM2"))
    assert not verify(purpose, text, signature._replace(public_key=RFC_PUBLIC))


@given(DOCUMENTS, st.text("abc ", max_size=8))
def test_a_signed_document_is_read_back(document: dict[str, Any], purpose: str) -> None:
    """Whatever order and blanks it comes in; not with another member."""
    signed = SIGNER.sign_document(purpose, document)
    shuffled = json.loads(json.dumps(dict(reversed(signed.items())), indent=2))
    assert verify_document(purpose, shuffled) == load_signature(signed["signature"])
    assert verify_document(purpose, signed | {"more": 1}) is None


@pytest.mark.parametrize("member", ["algorithm", "key_id", "public_key", "value"])
def test_a_broken_signature_is_none(member: str) -> None:
    packed = dump_signature(SIGNER.sign("test", b""))
    for wrong in (None, 1, "", "AAAA", "ü", packed["value"][:-4]):
        assert verify_document("test", {"signature": packed | {member: wrong}}) is None
    assert verify_document("test", {"signature": packed | {"more": ""}}) is None
    del packed[member]
    with pytest.raises(WireError):
        load_signature(packed)


def test_a_signature_has_one_spelling() -> None:
    """Base64 has bits to spare at its end; who changes them changes the document."""
    signed = SIGNER.sign_document("test", {})
    for name in ("public_key", "value"):
        text = signed["signature"][name]
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        end = text.rstrip("=")
        other = end[:-1] + letters[letters.index(end[-1]) ^ 1] + text[len(end) :]
        assert verify_document("test", {"signature": signed["signature"] | {name: other}}) is None


@pytest.mark.parametrize("part", [1.5, 2**53, {"ü": 1}, b"", {1: 2}, [object()]])
def test_what_has_no_canonical_form_is_not_signed(part: Any) -> None:
    with pytest.raises(ValueError, match=r"canonical|integer|ASCII"):
        canonical({"a": part})


def test_the_canonical_form_is_that_of_the_standard() -> None:
    """RFC 8785 §3.2.3: names in order, no blanks, other characters as they are."""
    assert canonical({"b": ["盐", True, None], "a": {"z": 1, "A": '"\n'}}) == (
        '{"a":{"A":"\\"\\n","z":1},"b":["盐",true,null]}'.encode()
    )
