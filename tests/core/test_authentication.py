"""Proof by secret key: reading HTTP Basic, and comparing with HS_SECKEY."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import limits
from core.admission import Identity
from core.authentication import Credentials, parse_basic, proves
from core.ident.handle import HandleKey
from core.records import HandleValue, Values
from tests.kit.known import KnownRecords

ALICE = Identity("0.NA/88.1", 301)
SECRET = b"salt-secret-key"
RECORD = (
    HandleValue(300, "HS_PUBKEY", SECRET),
    HandleValue(301, "HS_SECKEY", SECRET),
    HandleValue(302, "HS_SECKEY", b""),
    HandleValue(303, "hs_seckey", SECRET),
)


def header(user: str, secret: bytes = SECRET, scheme: str = "Basic") -> str:
    """Return the header that a client sends."""
    return f"{scheme} " + base64.b64encode(user.encode() + b":" + secret).decode()


def find(key: HandleKey) -> Values | None:
    """Return the one record that there is."""
    return RECORD if key == b"0.NA/88.1" else None


RECORDS = KnownRecords(find)


# --- reading ----------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
@pytest.mark.parametrize("user", ["301%3A0.NA%2F88.1", "301%3a0.NA/88.1"])
def test_the_user_is_a_percent_encoded_identity(user: str, scheme: str) -> None:
    """The colon of INDEX:HANDLE is encoded, since a colon ends the user (RFC 7617)."""
    assert parse_basic(header(user, scheme=scheme)) == Credentials(ALICE, SECRET)


def test_the_recorded_header_of_a_stock_client_is_read() -> None:
    """As it stands in the exchanges with the reference server."""
    assert parse_basic("Basic MzAxJTNBMC5OQSUyRjg4Ljk5OTkuMTpzYWx0LXNlY3JldC1rZXk=") == Credentials(
        Identity("0.NA/88.9999.1", 301), SECRET
    )


@pytest.mark.parametrize("secret", [b"", b":", b"a:b", b"\xff\x00", "盐".encode(), b"x" * limits.SECRET_BYTES_MAX])
def test_a_secret_is_octets(secret: bytes) -> None:
    """Colons belong to it, it need not be UTF-8, it may be empty."""
    assert parse_basic(header("1%3Ax", secret)) == Credentials(Identity("x", 1), secret)


def b64(octets: bytes) -> str:
    return "Basic " + base64.b64encode(octets).decode()


UNREADABLE = {
    "empty": "",
    "scheme alone": "Basic",
    "another scheme": header("1%3Ax", scheme="Bearer"),
    "Handle": 'Handle version="0", sessionId="x"',
    "no base64": "Basic !!!",
    "base64 with rubbish": header("1%3Ax") + "!",
    "base64 cut off": "Basic MzAxJTNBMC5OQ",
    "other letters": "Basic ＭzＡ=",
    "half a surrogate pair": "Basic \ud800",
    "no colon": b64(b"301%3A0.NA/88.1"),
    "plain identity, whose colon ends the user": b64(b"301:0.NA/88.1:secret"),
    "no identity": b64(b"alice:secret"),
    "index too large": b64(b"2147483648%3Ax:secret"),
    "user no UTF-8": b64(b"1%3A\xff:secret"),
    "user no UTF-8 once decoded": b64(b"1%3A%FF:secret"),
    "secret too long": header("1%3Ax", b"x" * (limits.SECRET_BYTES_MAX + 1)),
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_none(text: str) -> None:
    """No error, no guess: the front says 401."""
    assert parse_basic(text) is None


@given(text=st.one_of(st.text(st.characters(codec=None), max_size=60), st.text(max_size=40).map("Basic ".__add__)))
@example(text="Basic \x00")
def test_basic_total_on_any_text(text: str) -> None:
    """Credentials or None, whatever the header holds."""
    credentials = parse_basic(text)
    assert credentials is None or isinstance(proves(credentials, RECORDS), bool)


@given(octets=st.one_of(st.binary(max_size=60), st.binary(max_size=20).map(b"1%3A".__add__)))
def test_basic_any_bytes_behind_base64(octets: bytes) -> None:
    """The same for whatever the base64 holds, up to the comparison with a key."""
    credentials = parse_basic(b64(octets))
    assert credentials is None or isinstance(proves(credentials, RECORDS), bool)


@given(
    handle=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    index=st.integers(0, 2**31 - 1),
    secret=st.binary(max_size=60),
)
def test_basic_round_trip(handle: str, index: int, secret: bytes) -> None:
    """What a client encodes is what is read, for every handle and secret."""
    user = quote(f"{index}:{handle}", safe="")
    assert parse_basic(header(user, secret)) == Credentials(Identity(handle, index), secret)


def test_a_secret_never_shows() -> None:
    """Credentials may stand in a log line or a traceback; the secret may not."""
    shown = repr(Credentials(ALICE, SECRET)) + str(Credentials(ALICE, SECRET))
    assert "salt" not in shown
    assert "0.NA/88.1" in shown


# --- proving ----------------------------------------------------------------

PROOFS = [
    (("0.NA/88.1", 301), SECRET, True),
    (("0.na/88.1", 301), SECRET, True),
    (("88.1", 301), SECRET, True),
    (("0.NA/88.1", 301), SECRET + b" ", False),
    (("0.NA/88.1", 301), b"", False),
    (("0.NA/88.1", 300), SECRET, False),
    (("0.NA/88.1", 302), b"", False),
    (("0.NA/88.1", 303), SECRET, False),
    (("0.NA/88.1", 0), SECRET, False),
    (("0.NA/88.1", 999), SECRET, False),
    (("88.1/x", 301), SECRET, False),
]


@pytest.mark.parametrize(("identity", "secret", "proven"), PROOFS, ids=str)
def test_only_the_named_secret_key_proves(identity: tuple[str, int], secret: bytes, proven: bool) -> None:
    """Not a key of another index or type, not an empty one, not a missing record; the handle is folded."""
    assert proves(Credentials(Identity(*identity), secret), RECORDS) is proven


def test_nobody_is_proven_by_a_secret_that_is_the_same_everywhere() -> None:
    """Where there is no key the comparison is with random octets of this process."""
    for guess in (b"", bytes(32), b"\xff" * 32, SECRET):
        assert not proves(Credentials(Identity("88.1/x", 1), guess), KnownRecords(lambda _: None))
