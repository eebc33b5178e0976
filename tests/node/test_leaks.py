"""What looks for secrets finds them, however they are written and wherever they stand, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from core.store.bearer_rows import format_bearer
from node.leaks import LeakError, Secret, Watch, secrets_of

SECRET = bytes(range(200, 232))
OTHERS = [Secret(f"other {number}", hashlib.sha256(bytes([number])).digest()) for number in range(50)]
FORMS = {
    "octets": lambda octets: octets,
    "hex": lambda octets: octets.hex().encode(),
    "HEX": lambda octets: octets.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64url": base64.urlsafe_b64encode,
    "behind one octet": lambda octets: base64.b64encode(b"x" + octets),
    "behind two, before more": lambda octets: base64.b64encode(b"xy" + octets + b"more"),
    "base64url behind one": lambda octets: base64.urlsafe_b64encode(b"\xff" + octets),
}


def found(*parts: bytes, secrets: list[Secret] | None = None, digests: frozenset[bytes] = frozenset()) -> str:
    """Return what is told of data that comes in parts, nothing if all is well."""
    watch = Watch(iter([Secret("mine", SECRET)] if secrets is None else secrets), digests)
    try:
        for part in parts:
            watch.look("a file", part)
    except LeakError as error:
        return error.message
    return ""


@given(
    form=st.sampled_from(sorted(FORMS)), octets=st.binary(min_size=16, max_size=80), before=st.binary(max_size=99),
    after=st.binary(max_size=99), cut=st.integers(0, 400),
)  # fmt: skip
def test_a_secret_is_found_in_each_form_at_each_place(
    form: str, octets: bytes, before: bytes, after: bytes, cut: int
) -> None:  # fmt: skip
    """Also where it comes in two parts; what is told names it, and never shows it."""
    data = before + FORMS[form](octets) + after
    told = found(data[:cut], data[cut:], secrets=[*OTHERS, Secret("mine", octets)])
    assert "mine" in told
    assert octets.hex() not in told


@given(st.binary(max_size=4_000))
def test_other_octets_are_none(data: bytes) -> None:
    """Nor is a part of a secret, nor what is too short to be told from anything else."""
    assert not found(data)
    assert not found(data + SECRET[:-1] + b"\0" + SECRET[1:])
    assert not found(data + b"short", secrets=[Secret("mine", b"short")])


@pytest.mark.parametrize("text", [b"-----BEGIN PRIVATE KEY-----", b"saltern_0123456789ab_" + b"A" * 43])
def test_what_a_stranger_can_write_is_no_secret(text: bytes) -> None:
    """He could have it logged as an identifier, and no pack would ever be made again."""
    assert not found(text, digests=frozenset((bytes(32),)))


def test_parts_of_two_files_are_no_secret() -> None:
    """What one ends with and the next begins with never stands together."""
    watch = Watch(iter([Secret("mine", SECRET)]))
    watch.look("one", SECRET[:16])
    watch.look("another", SECRET[16:])


def test_a_token_is_found_by_the_digest_of_its_secret() -> None:
    """The node knows no more of it; another text of that form is none of its tokens."""
    secret = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    text = format_bearer("0123456789ab", secret).encode()
    digest = hashlib.sha256(secret.encode()).digest()
    assert "0123456789ab" in found(b"by " + text, secrets=[], digests=frozenset((digest,)))
    assert "0123456789ab" in found(b"by " + text[:20], text[20:], secrets=[], digests=frozenset((digest,)))
    assert not found(b"by " + text, secrets=[], digests=frozenset((bytes(32),)))


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ec"])
def test_a_private_key_is_found_by_its_text_and_by_its_numbers(kind: str) -> None:
    """The PEM text, a line of it, the octets of the number; the public half is none."""
    key: Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if kind == "ed25519":
        key = Ed25519PrivateKey.generate()
        number = key.private_bytes_raw()
    elif kind == "rsa":
        key = rsa.generate_private_key(65_537, 2_048)
        number = key.private_numbers().p.to_bytes(128, "big")
    else:
        key = ec.generate_private_key(ec.SECP256R1())
        number = key.private_numbers().private_value.to_bytes(32, "big").lstrip(b"\0")
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # fmt: skip
    secrets = list(secrets_of(Path("keys/node.pem"), pem))
    assert found(pem, secrets=secrets)
    for form in FORMS.values():
        assert "node.pem" in found(b"..." + form(number), secrets=secrets)
    lines = pem.splitlines()[1:-1]
    assert any(found(line, secrets=secrets) for line in lines)
    if kind == "rsa":  # the first lines are the modulus, which everybody knows
        assert not any(found(line, secrets=secrets) for line in lines[:5])
        assert all(found(line, secrets=secrets) for line in lines[7:20])
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    assert not found(public, secrets=secrets)
    assert not list(secrets_of(Path("keys/public.pem"), public))


def test_files_of_keys_and_of_secrets() -> None:
    """A key a line; of any other file all of it; the key of a month as it is."""
    lines = b"# Saltern: keys\n1 " + SECRET.hex().encode() + b"\n2 " + bytes(32).hex().encode() + b"\n"
    assert [each.octets for each in secrets_of(Path("identity.keys"), lines)] == [SECRET, bytes(32)]
    assert list(secrets_of(Path("admin.secret"), b"a-secret-of-an-administrator\n")) == [
        Secret("admin.secret", b"a-secret-of-an-administrator")
    ]
    assert list(secrets_of(Path("clients/2026-11/key"), b"\n" + SECRET[1:])) == [
        Secret("clients/2026-11/key", b"\n" + SECRET[1:])
    ]
