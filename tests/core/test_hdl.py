"""The dialogue of the Handle protocol: keys, counters and encryption of sessions, proofs of identity, log-ins."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.admission import Identity, Records
from core.errors import NodeError, StoreError, WireError
from core.hdl import session as sessions
from core.hdl.authorization import login_proof, members_of, parse_authorization
from core.hdl.proof import Proof, check, derive_key, keys_of
from core.hdl.prover import Prover
from core.hdl.session import Session, SessionError, agree, session_key, take_counter
from core.ident.handle import HandleKey
from core.records import DhKey, HandleValue, RsaKey, Values
from core.wire.codepoints import AUTH_PUBLIC_KEY, AUTH_SECRET_KEY, VERSION, Version
from core.wire.cursor import bstr
from core.wire.http import Request
from core.wire.publickey import encode_public_key
from tests.kit import handle_proofs as kit
from tests.kit.handle_recorded import DH, ZERO

ADMIN = Identity("0.NA/88.118.7", 301)
KEY = bytes(range(32))
SESSION_NEW = Session(KEY, ADMIN, 86_400)


def proves(proof: Proof, records: Records, version: Version) -> bool:
    """Whether one of the identity's keys proves it."""
    return check(proof, keys_of(proof, records), version) is not None


INT32 = st.integers(-(2**31), 2**31 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VERSIONS = st.sampled_from([(2, 0), (2, 1), (2, 4), (2, 7), (2, 11)]).map(lambda pair: Version(*pair))
WINDOW = 5


# --- counters of a session --------------------------------------------------------


@pytest.fixture(scope="module")
def small_window() -> Iterator[None]:
    """A window of a few counters, so that short sequences reach its edges."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "SESSION_COUNTERS", WINDOW)
        yield


@pytest.mark.usefixtures("small_window")
@given(st.lists(st.one_of(st.integers(-3, 14), INT32), max_size=40))
def test_counters_model(counters: list[int]) -> None:
    """No counter twice, whatever the order; 0 and below never; a new one above those that were forgotten always."""
    session, taken, kept, forgotten = SESSION_NEW, set[int](), list[int](), 0
    for counter in counters:
        after = take_counter(session, counter)
        assert (after is not None) == (counter > forgotten and counter not in kept)
        if after is None:
            continue
        assert counter > 0
        assert counter not in taken
        taken.add(counter)
        kept.append(counter)
        if len(kept) > WINDOW:
            forgotten = max(forgotten, kept.pop(0))
        assert (after.counters, after.forgotten) == (tuple(kept), forgotten)
        assert after._replace(counters=(), forgotten=0) == SESSION_NEW
        session = after
    higher = max([0, *taken]) + 1
    assert take_counter(session, higher) is not None


def test_the_window_is_that_of_the_reference() -> None:
    """199 are remembered; jumps are free; a lower one is taken as long as none above it is forgotten."""
    session: Session | None = SESSION_NEW
    for counter in (1_000, *range(1, limits.SESSION_COUNTERS)):
        assert session is not None
        session = take_counter(session, counter)
    assert session is not None
    assert len(session.counters) == limits.SESSION_COUNTERS
    assert take_counter(session, 1_000) is None
    session = take_counter(session, 500)
    assert session is not None
    assert session.forgotten == 1_000
    assert [take_counter(session, counter) for counter in (499, 501, 999, 1_000)] == [None] * 4
    assert take_counter(session, 1_001) is not None


# --- keys of a session --------------------------------------------------------------


def number(name: str) -> int:
    return int(str(DH[name]), 16)


def test_the_recorded_session_has_the_recorded_key() -> None:
    """Made again with the server's recorded exponent, also where the secret begins with zero octets."""
    p, g = number("p"), int(str(DH["g"]), 0)
    made = agree(DhKey(number("client_public_y"), p, g), number("server_private_x"))
    assert made.public == DhKey(number("server_public_y"), p, g)
    assert made.key.hex() == DH["session_key_32"]
    made = agree(DhKey(pow(g, int(ZERO["client_private_x"], 16), p), p, g), int(ZERO["server_private_x"], 16))
    assert made.key.hex() == ZERO["session_key_32"]


@given(st.integers(0, 2**1_024 - 1), st.integers(1_024, 2_048), st.integers(0, 130))
def test_a_session_key_of_leading_zeros_round_trip(secret: int, bits: int, zeros: int) -> None:
    """As long as p, zeros stripped as long as 32 octets remain, then the first 32."""
    secret >>= 8 * zeros
    made = session_key(secret, bits)
    assert len(made) == 32
    assert made == kit.session_key(secret, 1 << (bits - 1))


@given(st.integers(2, 2**512))
def test_both_sides_agree_round_trip(private: int) -> None:
    """The client of the tests, which shares no code, comes to the same key, each time to another one."""
    half = kit.KeyExchange(private)
    first, second = (agree(DhKey(half.public, half.p, half.g)) for _ in range(2))
    secret = pow(first.public.y, half.private, half.p)
    assert first.key == kit.session_key(secret, half.p)
    assert first.key != second.key


@given(st.integers(0, 2**2_100), st.integers(0, 2**1_100), st.integers(0, 2**1_100))
def test_agree_total_on_any_key(y: int, p: int, g: int) -> None:
    """A key of 32 octets or SessionError, whatever the group."""
    for modulus in (p, (1 << 1_023) | p | 1, (1 << 2_047) | p | 1):
        with contextlib.suppress(SessionError):
            made = agree(DhKey(y % (modulus + 2), modulus, g % (modulus + 2)), 3)
            assert len(made.key) == 32
            assert limits.DH_MODULUS_BITS_MIN <= modulus.bit_length() <= limits.DH_MODULUS_BITS_MAX


P = kit.DH_PRIME
BAD_KEYS = {
    "modulus too small": DhKey(5, (1 << limits.DH_MODULUS_BITS_MIN - 1) - 1, 2),
    "modulus too large": DhKey(5, (1 << limits.DH_MODULUS_BITS_MAX) + 1, 2),
    "modulus even": DhKey(5, P - 1, 2),
    "modulus zero": DhKey(5, 0, 2),
    **{f"y {y - P if y > 2 else y}": DhKey(y, P, 2) for y in (0, 1, P - 1, P, P + 5)},
    **{f"g {g - P if g > 2 else g}": DhKey(5, P, g) for g in (0, 1, P - 1, P, P + 2)},
    "order two": DhKey(pow(2, (P - 1) // 2, P), P, 2),
}


@pytest.mark.parametrize("what", BAD_KEYS)
def test_agree_refuses_what_gives_the_secret_away(what: str) -> None:
    """A modulus out of bounds or even, and numbers whose powers are known beforehand."""
    with pytest.raises(SessionError):
        agree(BAD_KEYS[what])


@given(st.binary(max_size=100), st.binary(min_size=16, max_size=16))
def test_encryption_round_trip(message: bytes, iv: bytes) -> None:
    """With the IV in front; the client of the tests reads it, and the other way round."""
    sealed = sessions.encrypt(KEY, message, iv)
    assert sealed[:16] == iv
    assert sessions.decrypt(KEY, sealed) == message
    peer = kit.Session(1, KEY)
    assert peer.unseal(sealed) == message
    assert sessions.decrypt(KEY, peer.seal(message, iv)) == message


@given(st.binary(max_size=80))
def test_decryption_total_on_any_bytes(octets: bytes) -> None:
    """Octets or WireError."""
    with contextlib.suppress(WireError):
        sessions.decrypt(KEY, octets)


# --- proofs ---------------------------------------------------------------------------

SECRET, NONCE, DIGEST = b"secret", bytes(range(16)), bytes(range(32))
RSA_PRIVATE = rsa.generate_private_key(65_537, 2_048)
OTHER_PRIVATE = rsa.generate_private_key(65_537, 1_024)
RSA_DATA, OTHER_DATA = (kit.encode_rsa_key(key.public_key()) for key in (RSA_PRIVATE, OTHER_PRIVATE))


class OneRecord:
    """The records of a store that has one."""

    def __init__(self, *values: tuple[int, str, bytes]) -> None:
        self.values: Values = tuple(HandleValue(index, kind, data) for index, kind, data in values)

    def key(self, handle: str) -> HandleKey:
        return HandleKey(handle.encode().upper())

    def load(self, key: HandleKey) -> Values | None:
        return self.values if key == b"0.NA/88.118.7" else None


RECORD = OneRecord(
    (300, "HS_PUBKEY", RSA_DATA), (301, "HS_SECKEY", SECRET), (302, "HS_SECKEY", b""), (303, "URL", SECRET),
    (304, "HS_PUBKEY", b"no key"), (305, "HS_PUBKEY", encode_public_key(DhKey(1, 2, 3))),
    (306, "HS_PUBKEY", OTHER_DATA),
)  # fmt: skip


def secret_proof(method: int, index: int = 301, secret: bytes = SECRET, handle: str = ADMIN.handle) -> Proof:
    signed = kit.secret_key_proof(secret, NONCE + DIGEST, method, rounds=10)
    return Proof(Identity(handle, index), AUTH_SECRET_KEY, signed, NONCE + DIGEST)


def rsa_proof(name: str, index: int = 300, private: rsa.RSAPrivateKey = RSA_PRIVATE) -> Proof:
    signed = kit.RsaKey(ADMIN.handle, index, private, name).prove(NONCE, DIGEST, VERSION)
    return Proof(Identity(ADMIN.handle, index), AUTH_PUBLIC_KEY, signed, NONCE + DIGEST)


@pytest.mark.parametrize("method", [0, 1, 2, 3, 0x12, 0x13, 0x22])
def test_every_mac_proves_with_the_right_secret_alone(method: int) -> None:
    """Not with another secret, value, handle, an empty one, over other data, cut short, or in another version."""
    version, other = (Version(2, 0), VERSION) if method == 0 else (VERSION, Version(2, 0))
    right = secret_proof(method)
    assert proves(right, RECORD, version)
    assert proves(right._replace(identity=Identity("0.na/88.118.7", 301)), RECORD, version)
    assert not proves(right, RECORD, other)
    wrong = [
        secret_proof(method, secret=b"Secret"), secret_proof(method, 302), secret_proof(method, 303),
        secret_proof(method, 302, secret=b""), secret_proof(method, 0), secret_proof(method, 300),
        secret_proof(method, 99), secret_proof(method, handle="0.NA/88.118.8"), secret_proof(method, handle=""),
        right._replace(data=NONCE + DIGEST[:-1]), right._replace(signed=right.signed[:-1]),
        right._replace(signed=b""), right._replace(method=AUTH_PUBLIC_KEY), right._replace(method="HS_X"),
        right._replace(identity=Identity("0.NA/\ud800", 301)),
    ]  # fmt: skip
    for proof in wrong:
        assert not proves(proof, RECORD, version), proof


@pytest.mark.parametrize("name", ["SHA-256", "SHA256", "\3", "SHA-1", "SHA1", "\2", "MD5", "\1"])
def test_every_name_of_a_digest_proves_with_the_right_key_alone(name: str) -> None:
    """By its index, and by index 0, which tries each RSA key of the record; never by a key of another kind."""
    for index in (300, 0):
        assert proves(rsa_proof(name, index), RECORD, VERSION)
    assert proves(rsa_proof(name, 0, OTHER_PRIVATE), RECORD, VERSION)
    for index in (301, 303, 304, 305, 306, 99, -1):
        assert not proves(rsa_proof(name, index), RECORD, VERSION)
    right = rsa_proof(name)
    for proof in (
        rsa_proof(name, private=OTHER_PRIVATE), right._replace(data=NONCE), right._replace(method=AUTH_SECRET_KEY),
        right._replace(signed=right.signed[:-1]), right._replace(signed=bstr(b"SHA-512") + bstr(bytes(256))),
        right._replace(signed=b"\0" * 8),
    ):  # fmt: skip
        assert not proves(proof, RECORD, VERSION)


@pytest.mark.parametrize("keys", [(), (b"",)])
def test_where_there_is_no_secret_nothing_proves_it(keys: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even what is compared in its place, so that both cases take as long."""
    monkeypatch.setattr("core.hdl.proof._NOBODY", SECRET)
    assert check(secret_proof(3), (SECRET,), VERSION)
    assert not check(secret_proof(3), keys, VERSION)


def test_index_0_finds_a_key_behind_one_that_cannot_be_read() -> None:
    """One damaged value of the record does not hide the others."""
    record = OneRecord((1, "HS_PUBKEY", b"no key"), (2, "HS_PUBKEY", RSA_DATA))
    assert proves(rsa_proof("SHA-256", 0), record, VERSION)


@given(
    st.binary(max_size=120), VERSIONS, st.sampled_from([AUTH_PUBLIC_KEY, AUTH_SECRET_KEY, "", "X"]), st.integers(0, 307)
)
def test_proofs_total_on_any_bytes(signed: bytes, version: Version, method: str, index: int) -> None:
    """Octets from nowhere prove nothing, and raise nothing."""
    proof = Proof(Identity(ADMIN.handle, index), method, signed, NONCE)
    assert proves(proof, RECORD, version) is False


@given(
    st.sampled_from([1, 2, 3, 0x12, 0x13, 0x22]),
    st.binary(max_size=12),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
def test_proofs_total_on_any_bytes_behind_a_code(code: int, octets: bytes, rounds: int, bits: int) -> None:
    """Of each method; beyond its bounds PBKDF2 is not even begun."""
    rounds = rounds if rounds > limits.PBKDF2_ITERATIONS_MAX else rounds % 10
    numbers = bstr(octets) + rounds.to_bytes(4, "big") + bits.to_bytes(4, "big") + bstr(octets)
    for signed in (octets, numbers, bstr(octets) + octets):
        assert check(Proof(ADMIN, AUTH_SECRET_KEY, bytes([code]) + signed, NONCE), (SECRET,), VERSION) is None


@given(st.integers(0, 2**1_100), st.integers(0, 2**70), st.binary(max_size=140))
def test_signatures_total_on_any_key(modulus: int, exponent: int, signature: bytes) -> None:
    """A record may hold any numbers: they are no key, or the signature is wrong."""
    proof = Proof(ADMIN, AUTH_PUBLIC_KEY, bstr(b"SHA-256") + bstr(signature), NONCE)
    for number_of in (modulus, modulus | 1, modulus | 1 << 1_023 | 1):
        assert check(proof, (encode_public_key(RsaKey(number_of, exponent)),), VERSION) is None


@pytest.mark.parametrize(
    ("iterations", "bits", "taken"),
    [(1, 8, True), (10, 512, True), (0, 160, False), (limits.PBKDF2_ITERATIONS_MAX + 1, 160, False), (1, 0, False),
     (1, 520, False), (1, 161, False)],
)  # fmt: skip
def test_pbkdf2_has_bounds(iterations: int, bits: int, taken: bool) -> None:
    """PBKDF2_ITERATIONS_MAX, PBKDF2_KEY_BITS_MAX, whole octets."""
    if taken:
        assert len(derive_key(SECRET, b"salt", iterations, bits)) == bits // 8
    else:
        with pytest.raises(WireError):
            derive_key(SECRET, b"salt", iterations, bits)


def test_only_so_many_slow_proofs_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those beyond PROOFS_MAX are told to try again; quick ones are checked all the while; then there is room."""
    monkeypatch.setattr(limits, "PROOFS_MAX", 3)

    class Store:
        def snapshot(self) -> contextlib.nullcontext[None]:
            return contextlib.nullcontext()

    async def run() -> None:
        prover = Prover(Store(), lambda _: RECORD)  # type: ignore[arg-type]
        waiting = [asyncio.ensure_future(prover.proves(secret_proof(0x22), VERSION)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(StoreError, match="Too many proofs"):
            await prover.proves(secret_proof(0x22), VERSION)
        assert await prover.proves(secret_proof(0x13), VERSION)
        assert all(await asyncio.gather(*waiting))
        assert not await prover.proves(secret_proof(0x22, secret=b"wrong"), VERSION)

    asyncio.run(run())


def test_keys_are_those_of_the_method() -> None:
    """A secret is never taken for a public key, nor the other way round."""
    assert keys_of(secret_proof(1), RECORD) == (SECRET,)
    assert keys_of(secret_proof(1, 300), RECORD) == ()
    assert keys_of(rsa_proof("SHA-256", 0), RECORD) == tuple(v.data for v in RECORD.values if v.type == "HS_PUBKEY")


# --- Authorization: Handle --------------------------------------------------------------


@given(
    st.one_of(TEXT, st.lists(st.sampled_from(["Handle ", "id", "=", '"', ",", " ", "x", "301:a/b", "\\"])).map("".join))
)
def test_authorization_total_on_any_text(header: str) -> None:
    """Members or None; a log-in of them is a proof or WireError."""
    for text in (header, f"Handle {header}"):
        members = parse_authorization(text)
        with contextlib.suppress(WireError):
            assert login_proof(members or {}, NONCE).data.startswith(NONCE)


@given(
    st.dictionaries(st.sampled_from(["id", "type", "alg", "signature", "cnonce", "salt", "iterations", "length"]), TEXT)
)
def test_login_total_on_any_members(members: dict[str, str]) -> None:
    """Also with all of them there, one of them wrong."""
    right = {"id": "301:a/b", "type": "HS_SECKEY", "alg": "PBKDF2-HMAC-SHA1", "signature": "QQ==", "cnonce": "QQ==",
             "salt": "QQ==", "iterations": "1", "length": "160"}  # fmt: skip
    assert login_proof(right, NONCE).slow
    with contextlib.suppress(WireError):
        login_proof(right | members, NONCE)


@given(st.binary(max_size=60))
def test_login_total_on_any_bytes_of_a_body(body: bytes) -> None:
    """Members or WireError."""
    with contextlib.suppress(NodeError):
        members_of(Request("PUT", "/", "", {"content-type": "application/json"}, body, credentials_safe=True))


def test_a_login_by_every_mac() -> None:
    """The members of the JSON interface prove what the octets of the binary one do."""
    data = NONCE + b"cnonce"
    for name, method in (
        ("MD5", 1),
        ("SHA1", 2),
        ("SHA-1", 2),
        ("SHA256", 3),
        ("HMAC-SHA1", 0x12),
        ("hmac-sha256", 0x13),
    ):
        mac = base64.b64encode(kit.secret_key_proof(SECRET, data, method)[1:]).decode()
        members = {
            "id": f"301:{ADMIN.handle}",
            "type": "HS_SECKEY",
            "alg": name,
            "signature": mac,
            "cnonce": "Y25vbmNl",
        }
        assert proves(login_proof(members, NONCE), RECORD, VERSION), name
        assert not proves(login_proof(members, bytes(16)), RECORD, VERSION)
