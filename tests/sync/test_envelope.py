"""Who says a message: one signature, by one key, for one purpose and one receiver; anything else is a WireError."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import WireError
from core.signature import Signature, Signer, key_id
from sync.envelope import ANSWER, NUMBER_MAX, QUESTION, Envelope, open_envelope, seal

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
TO = key_id(OTHER.public_key)
SEALED = seal(QUESTION, SIGNER, 7, TO, b"payload")


@given(
    purpose=st.sampled_from([QUESTION, ANSWER]),
    number=st.integers(0, NUMBER_MAX),
    to=st.text(max_size=40),
    payload=st.binary(max_size=100),
)
def test_round_trip(purpose: str, number: int, to: str, payload: bytes) -> None:
    opened = open_envelope(purpose, seal(purpose, SIGNER, number, to, payload))
    assert opened == Envelope(SIGNER.public_key, number, to, payload)
    assert opened.sender_id == key_id(SIGNER.public_key)


@given(data=st.binary(max_size=300))
def test_total(data: bytes) -> None:
    with pytest.raises(WireError):
        open_envelope(QUESTION, data)


def test_every_truncation_and_every_altered_octet_is_refused() -> None:
    for cut in range(len(SEALED)):
        with pytest.raises(WireError):
            open_envelope(QUESTION, SEALED[:cut])
    with pytest.raises(WireError):
        open_envelope(QUESTION, SEALED + b"\0")
    for place in range(len(SEALED)):
        for bit in range(8):
            altered = bytearray(SEALED)
            altered[place] ^= 1 << bit
            with pytest.raises(WireError):
                open_envelope(QUESTION, bytes(altered))


def test_another_purpose() -> None:
    with pytest.raises(WireError, match="signature is wrong"):
        open_envelope(ANSWER, SEALED)
    with pytest.raises(WireError, match="signature is wrong"):
        open_envelope(QUESTION, seal("document", SIGNER, 7, TO, b"payload"))


def members(**changed: Any) -> bytes:
    """Return the envelope with other members, and the signature that it had."""
    names = ("algorithm", "public", "number", "to", "payload", "value")
    octets: bytes = msgpack.packb(
        [changed.get(name, had) for name, had in zip(names, msgpack.unpackb(SEALED), strict=True)]
    )
    return octets


@pytest.mark.parametrize(
    "changed",
    [
        {"public": OTHER.public_key},
        {"to": key_id(SIGNER.public_key)},
        {"number": 8},
        {"payload": b"Payload"},
        {"algorithm": "SM2"},
        {"algorithm": ""},
        {"value": b"\0" * 64},
        {"value": OTHER.sign(QUESTION, b"").value},
        {"public": b"\0" * 32},
        {"public": b"\xff" * 32},
    ],
    ids=str,
)
def test_what_another_key_signed_or_was_for_another(changed: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="signature is wrong"):
        open_envelope(QUESTION, members(**changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"number": -1}, {"number": NUMBER_MAX + 1}, {"number": 2**64 - 1}, {"number": 7.0}, {"number": True},
        {"public": SIGNER.public_key[:-1]}, {"public": SIGNER.public_key + b"\0"}, {"value": b""},
        {"to": TO.encode()}, {"to": None}, {"payload": "payload"}, {"algorithm": b"Ed25519"}, {"payload": []},
        {"payload": {}}, {"payload": msgpack.unpackb(SEALED)},
    ],
    ids=str,
)  # fmt: skip
def test_members_have_their_types_and_bounds(changed: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="no signed message"):
        open_envelope(QUESTION, members(**changed))


def test_what_is_too_long_or_deep_or_has_many_members_takes_little_memory() -> None:
    """16 MB of empty lists would be 1.3 GB, of anybody who can reach the port."""
    tracemalloc.start()
    for octets in (
        b"\0" * (limits.UPSTREAM_BODY_BYTES_MAX + 1),
        b"\x96" + b"\x90" * 1_000_000,
        b"\xdd\0\x0f\x42\x40" + b"\x90" * 1_000_000,
        b"\xdd\xff\xff\xff\xff" + b"\x90" * 1_000_000,
        b"\xdf\xff\xff\xff\xff" + b"\x90" * 1_000_000,
        b"\x96" * 1_000_000,
        b"\x96" + b"\x80" * 1_000_000,
    ):
        with pytest.raises(WireError):
            open_envelope(QUESTION, octets)
    assert tracemalloc.get_traced_memory()[1] < 2 * limits.UPSTREAM_BODY_BYTES_MAX
    tracemalloc.stop()


def test_the_octets_stay_as_they_are() -> None:
    """Pinned: Ed25519 signs alike each time (RFC 8032)."""
    assert SEALED.hex() == PINNED
    algorithm, public, *_, value = msgpack.unpackb(bytes.fromhex(PINNED))
    assert Signature(algorithm, public, value).key_id == "56475aa75463474c0285df5dbf2bcab7"


PINNED = (
    "96a745643235353139c42003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b807d92036356236"
    "30363733643665643838346266303163326332323264383261646130c4077061796c6f6164c440811710ce45fd5de92d1ce5"
    "767e39d72d9562fc2fb9438c402e4e209a9a579b6b61a69e5dcf490270141705312171a3e75e060a0d42ff6c0a129dd69652"
    "504705"
)
