"""Sessions of the JSON interface without a socket: headers, proofs, how long sessions live, who asks."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import example, given
from hypothesis import strategies as st

from core import limits
from core.admission import Identity
from core.caller import Callers
from core.clock import Millis
from core.errors import AdmissionError, Outcome, StoreError, WireError
from core.guard import UNCOUNTED
from core.hdl import logins as logins_module
from core.hdl.authorization import login_proof, members_of, parse_authorization
from core.hdl.logins import Login, Logins, Proven
from core.hdl.proof import Proof, check, keys_of, mark_of, signature_proof
from core.hdl.prover import Prover
from core.ident.handle import HandleKey
from core.records import HandleValue, Values
from core.store.memory_engine import MemoryEngine
from core.store.run_store import LOGIN, Kind, Row, RunStore
from core.wire.codepoints import AUTH_PUBLIC_KEY, VERSION
from core.wire.http import Request
from tests.kit import logins as client
from tests.kit.handle_proofs import encode_rsa_key
from tests.kit.known import KnownRecords
from tests.kit.logs import NoNotes
from tests.kit.node import basic

ALICE = Identity("0.NA/88.1", 301)
NAMED = "301:0.NA/88.1"
KEY_NAMED = "300:0.NA/88.1"
SECRET = b"salt-secret-key"
KEY = rsa.generate_private_key(65_537, 2_048)
RECORD = (
    HandleValue(300, "HS_PUBKEY", encode_rsa_key(KEY.public_key())),
    HandleValue(301, "HS_SECKEY", SECRET),
)
MARK = mark_of(SECRET)
START = Millis(1_700_000_000_000)
ANY_TEXT = st.text(st.characters(codec=None), max_size=60)


def find(key: HandleKey) -> Values | None:
    """Return the one record that there is."""
    return RECORD if key == b"0.NA/88.1" else None


RECORDS = KnownRecords(find)


# --- the header -------------------------------------------------------------

HEADERS = {
    'Handle version="0", sessionId="x"': {"version": "0", "sessionId": "x"},
    'Handle sessionId="x",id="300:0.NA/P",alg="SHA256"': {"sessionId": "x", "id": "300:0.NA/P", "alg": "SHA256"},
    "handle sessionId=x , id=y": {"sessionId": "x", "id": "y"},
    'HANDLE   sessionId = "x" ,': {"sessionId": "x"},
    'Handle signature="a+/b=="': {"signature": "a+/b=="},
    'Handle id="1:88.1/a,b=c d"': {"id": "1:88.1/a,b=c d"},
    'Handle id="1:88.1/盐"': {"id": "1:88.1/盐"},
    'Handle cnonce="", salt=': {"cnonce": "", "salt": ""},
    "Handle ": {},
}


@pytest.mark.parametrize("text", HEADERS)
def test_members_are_read(text: str) -> None:
    """With and without quotes, blanks, version; the scheme in any case."""
    assert parse_authorization(text) == HEADERS[text]


UNREADABLE = {
    "empty": "",
    "another scheme": 'Basic sessionId="x"',
    "scheme with more behind it": 'Handles sessionId="x"',
    "no name": 'Handle ="x"',
    "no equals sign": "Handle sessionId",
    "quote not closed": 'Handle sessionId="x',
    "no comma": 'Handle sessionId="x" id="y"',
    "two commas": 'Handle sessionId="x",,id="y"',
    "a member twice": 'Handle sessionId="x", sessionId="y"',
    "a member twice, the same": 'Handle sessionId="x", sessionId="x"',
    "too many": "Handle " + ",".join(f"{chr(97 + n // 26)}{chr(97 + n % 26)}=1" for n in range(33)),
    "garbage": "Handle \x00\x01\x02",
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_none(text: str) -> None:
    """No error, no guess: the front says 401."""
    assert parse_authorization(text) is None


@given(
    text=st.one_of(ANY_TEXT, ANY_TEXT.map("Handle ".__add__), st.text('aA=", \t\n', max_size=60).map("Handle ".__add__))
)
@example(text="Handle \ud800=1")
def test_header_total_on_any_text(text: str) -> None:
    """Members or None, whatever the header holds."""
    members = parse_authorization(text)
    assert members is None or all(isinstance(each, str) for item in members.items() for each in item)


@given(members=st.dictionaries(st.text("abcXYZ", min_size=1, max_size=9), st.text(max_size=30), max_size=12))
def test_header_round_trip(members: dict[str, str]) -> None:
    """What a client writes is what is read, with blanks behind the commas or without."""
    members = {name: value.replace('"', "") for name, value in members.items()}
    for separator in (", ", ","):
        assert parse_authorization(client.header(members, separator)["Authorization"]) == members


BLANKS = " " * limits.HTTP_HEAD_BYTES_MAX
LONG = ["Handle a=" + BLANKS + '"', 'Handle a="x"' + BLANKS + '"', "Handle" + BLANKS + "1", "Handle a" + BLANKS + "1"]


@pytest.mark.parametrize("text", [*LONG, "Handle " + "a" * limits.HTTP_HEAD_BYTES_MAX])
def test_a_long_header_is_refused_at_once(text: str) -> None:
    """Nobody may keep a worker busy by a header of blanks."""
    before = time.process_time()
    assert parse_authorization(text) is None
    assert time.process_time() - before < 0.2


def request(header: str | None = None, body: bytes = b"", *, safe: bool = True) -> Request:
    headers = {"content-type": "application/json"} | ({} if header is None else {"authorization": header})
    return Request("PUT", "/api/sessions/this", "", headers, body, safe)


def test_a_body_says_what_the_header_does_not() -> None:
    """Of a JSON object; numbers as text, null as nothing; the header wins."""
    body = b'{"sessionId":"y","iterations":5,"salt":null,"id":"1:x"}'
    known = members_of(request('Handle sessionId="x"', body))
    assert known == {"sessionId": "x", "iterations": "5", "salt": "", "id": "1:x"}
    assert members_of(request(body=b"{}")) == {}
    assert members_of(request(body=body)._replace(headers={"content-type": "text/plain"})) == {}


@pytest.mark.parametrize("body", [b"[]", b"1", b"{", b'{"id":["x"]}', b"\xff", b'{"id":"\\ud800"}', b"[" * 9_000])
def test_a_body_that_is_no_object_of_texts_is_malformed(body: bytes) -> None:
    with pytest.raises(WireError):
        members_of(request(body=body))


def test_a_body_has_as_many_members_as_a_header() -> None:
    body = "{" + ",".join(f'"m{number}":1' for number in range(33)) + "}"
    with pytest.raises(WireError, match="32 members"):
        members_of(request(body=body.encode()))


# --- the proof --------------------------------------------------------------

BEGUN = client.Begun("session", bytes(range(16)))


def proves(proof: Proof, records: KnownRecords) -> bool:
    return check(proof, keys_of(proof, records), VERSION) is not None


def proven(members: client.Members, nonce: bytes = BEGUN.nonce) -> bool:
    return proves(login_proof(members, nonce), RECORDS)


@pytest.mark.parametrize("alg", client.MACS)
def test_every_mac_of_the_secret_proves(alg: str) -> None:
    """And proves nothing with another secret, over another nonce, for another value."""
    members = client.by_secret(BEGUN, NAMED, SECRET, alg)
    assert proven(members)
    assert proven(members | {"alg": alg.lower()})
    assert not proven(members, bytes(16))
    assert not proven(members | {"id": KEY_NAMED})
    assert not proven(members | {"cnonce": client.b64(bytes(16))})
    assert not proven(client.by_secret(BEGUN, NAMED, SECRET + b" ", alg))


@pytest.mark.parametrize("alg", ["SHA256", "SHA1", "SHA-256", "SHA-1"])
def test_every_digest_under_the_private_key_proves(alg: str) -> None:
    """And proves nothing over another nonce, by another key, under the name of another digest."""
    members = client.by_key(BEGUN, KEY_NAMED, KEY, alg.replace("-", "")) | {"alg": alg}
    assert proven(members)
    assert proven(members | {"id": "0:0.NA/88.1"})
    assert not proven(members, bytes(16))
    assert not proven(members | {"id": NAMED})
    assert not proven(members | {"alg": "SHA256" if "1" in alg else "SHA1"})
    assert not proven(client.by_key(BEGUN, KEY_NAMED, rsa.generate_private_key(65_537, 2_048)))


@pytest.mark.parametrize("identity", [NAMED, quote(NAMED, safe=""), quote(NAMED), "301:0.na/88.1", "301:88.1"])
def test_an_identity_is_plain_or_percent_encoded(identity: str) -> None:
    assert proven(client.by_secret(BEGUN, NAMED, SECRET) | {"id": identity})


RIGHT = client.by_secret(BEGUN, NAMED, SECRET)
SLOW = client.by_secret(BEGUN, NAMED, SECRET, "PBKDF2-HMAC-SHA1")
FAULTS: dict[str, client.Members] = {
    "no id": RIGHT | {"id": ""},
    "id without an index": RIGHT | {"id": "0.NA/88.1"},
    "index too large": RIGHT | {"id": "2147483648:0.NA/88.1"},
    "no type": RIGHT | {"type": ""},
    "another type": RIGHT | {"type": "HS_ADMIN"},
    "no alg": RIGHT | {"alg": ""},
    "unknown alg": RIGHT | {"alg": "HMAC-SHA512"},
    "no signature": RIGHT | {"signature": ""},
    "signature no base64": RIGHT | {"signature": "!"},
    "no cnonce": RIGHT | {"cnonce": ""},
    "cnonce too long": RIGHT | {"cnonce": client.b64(bytes(limits.SECRET_BYTES_MAX + 1))},
    "cnonce of other letters": RIGHT | {"cnonce": "ＭzＡ="},
    "half a surrogate pair": RIGHT | {"type": "HS_PUBKEY", "alg": "\ud800"},
    "half a surrogate pair in the id": RIGHT | {"id": "1:\ud800"},
    "no salt": SLOW | {"salt": ""},
    "no iterations": SLOW | {"iterations": ""},
    "negative iterations": SLOW | {"iterations": "-1"},
    "iterations beyond 31 bits": SLOW | {"iterations": "2147483648"},
    "iterations no number": SLOW | {"iterations": "１０"},
    "no length": SLOW | {"length": ""},
}


@pytest.mark.parametrize("members", FAULTS.values(), ids=FAULTS)
def test_members_that_make_no_proof_are_malformed(members: client.Members) -> None:
    with pytest.raises(WireError):
        login_proof(members, BEGUN.nonce)


BEYOND = [{"iterations": "2147483647"}, {"iterations": "0"}, {"length": "513"}, {"length": "520"}, {"length": "0"}]


@pytest.mark.parametrize("more", [{"iterations": str(limits.PBKDF2_ITERATIONS_MAX + 1)}, *BEYOND])
def test_a_derivation_beyond_the_bounds_is_never_begun(more: client.Members, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise one request could occupy a core for minutes."""
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", None)
    assert not proven(SLOW | more)


NAMES = st.sampled_from([*SLOW, "other"])
VALUES = st.one_of(ANY_TEXT, st.sampled_from([*SLOW.values(), *RIGHT.values(), "HS_PUBKEY", "SHA1", "MD5", "1"]))


@given(
    members=st.one_of(
        st.dictionaries(NAMES, VALUES), st.builds(SLOW.__or__, st.dictionaries(NAMES, VALUES, max_size=3))
    )
)
def test_proof_total_on_any_members(members: dict[str, str]) -> None:
    """A proof that is right or wrong, or WireError."""
    try:
        proof = login_proof(members, BEGUN.nonce)
    except WireError:
        return
    proves(proof, RECORDS)


def test_any_key_is_one_of_the_first_few() -> None:
    """Index 0 tries each RSA key: nobody may make the node try hundreds of slow ones."""
    other = HandleValue(1, "HS_PUBKEY", encode_rsa_key(rsa.generate_private_key(65_537, 2_048).public_key()))
    members = client.by_key(BEGUN, "0:0.NA/88.1", KEY)
    for others, right in ((limits.KEYS_TRIED_MAX - 1, True), (limits.KEYS_TRIED_MAX, False)):
        values = (*[other] * others, RECORD[0])
        assert proves(login_proof(members, BEGUN.nonce), KnownRecords(lambda _, v=values: v)) is right  # type: ignore[misc]


def test_a_key_that_is_none_proves_nothing() -> None:
    """Octets that are no key, or one of another kind: refused, no error."""
    proof = Proof(ALICE, AUTH_PUBLIC_KEY, signature_proof("SHA256", b"x"), b"data")
    assert not check(proof, (b"", b"\xff" * 40, SECRET), VERSION)


# --- how long a session lives -----------------------------------------------


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> Millis:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now = Millis(self.now + int(seconds * 1_000))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunStore]:
    store = RunStore(tmp_path / "dialogues")
    yield store
    store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logins(run: RunStore, clock: Clock) -> Logins:
    return Logins(run, clock)


def test_a_session_is_found_proven_and_ended(run: RunStore, logins: Logins, clock: Clock) -> None:
    """By everyone who shares the run store; ids and nonces are never the same."""
    first, second = logins.make(), logins.make(ALICE, MARK)
    assert len({first.session_id, second.session_id, first.nonce, second.nonce}) == 4
    assert len(first.nonce) == limits.NONCE_BYTES
    elsewhere = Logins(run, clock)
    assert elsewhere.find(first.session_id) == first
    assert elsewhere.find(second.session_id) == second
    known = elsewhere.prove(first, ALICE, MARK)
    assert known == logins.find(first.session_id) == first._replace(proven=Proven(ALICE, MARK, START))
    assert logins.end(first.session_id)
    assert not elsewhere.end(first.session_id)
    assert elsewhere.find(first.session_id) is None
    assert elsewhere.find(second.session_id) == second


def test_a_session_that_nobody_proves_ends_soon(logins: Logins, clock: Clock) -> None:
    """LOGIN_NEW_S after it was made, however often it is used."""
    login = logins.make()
    clock.pass_(limits.LOGIN_NEW_S - 1)
    assert logins.find(login.session_id) == login
    clock.pass_(1)
    assert logins.find(login.session_id) is None
    assert not logins.end(login.session_id)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_session_ends_when_it_is_not_used(logins: Logins, clock: Clock, at_once: bool) -> None:
    """LOGIN_S after its last use; each use prolongs it, give or take a minute."""
    login = logins.make(ALICE, MARK) if at_once else logins.prove(logins.make(), ALICE, MARK)
    for _ in range(3):
        clock.pass_(limits.LOGIN_S - 1)
        assert logins.find(login.session_id) == login
    clock.pass_(limits.LOGIN_S)
    assert logins.find(login.session_id) is None


def test_a_session_has_an_end_however_often_it_is_used(logins: Logins, clock: Clock) -> None:
    """LOGIN_S_MAX after its identity was proven."""
    login = logins.make(ALICE, MARK)
    for _ in range(limits.LOGIN_S_MAX // 1_800 - 1):
        clock.pass_(1_800)
        assert logins.find(login.session_id) == login
    clock.pass_(1_800)
    assert logins.find(login.session_id) is None


def test_a_log_in_under_way_does_not_bring_back_what_was_ended(logins: Logins) -> None:
    """Who logs out is out."""
    login = logins.make()
    assert logins.end(login.session_id)
    assert logins.prove(login, ALICE, MARK) is None
    assert logins.find(login.session_id) is None


def test_use_within_a_minute_writes_nothing(run: RunStore, logins: Logins, clock: Clock) -> None:
    """A hundred requests a second are not a hundred writes a second."""
    login = logins.make(ALICE, MARK)
    key = login.session_id.encode()
    before = run.get(LOGIN, key, clock.now)
    clock.pass_(60)
    logins.find(login.session_id)
    assert run.get(LOGIN, key, clock.now) == before
    clock.pass_(1)
    logins.find(login.session_id)
    after = run.get(LOGIN, key, clock.now)
    assert before is not None
    assert after == before._replace(ends_ms=before.ends_ms + 61_000)


@pytest.mark.parametrize("session_id", ["", "nosuch", "x" * 65, "盐", "\ud800", "\x00", "a b"])
def test_ids_that_are_none(logins: Logins, session_id: str) -> None:
    assert logins.find(session_id) is None
    assert not logins.end(session_id)


@pytest.mark.parametrize("row", [b"", b"\x02", b"\x01", b"\x01\xc0", b"\x01\x92\xc0\xc0", b"\x01\xc1"])
def test_a_row_that_cannot_be_read_is_said(run: RunStore, logins: Logins, row: bytes) -> None:
    """Never taken for a session."""
    run.add(LOGIN, b"odd", Row(row, START + 1_000), START)
    with pytest.raises(StoreError):
        logins.find("odd")


def test_a_flood_leaves_rows_bounded_and_a_proven_session_alive(
    run: RunStore, logins: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each anonymous PUT is offered a new session: 2 000 of them push out one another."""
    monkeypatch.setattr(logins_module, "LOGIN", Kind(LOGIN.tag, 50, 100_000))
    mine = logins.make(ALICE, MARK)
    asked = callers(logins)
    for _ in range(2_000):
        asked.challenge(Outcome.AUTHENTICATION_NEEDED)
    assert run.count(LOGIN) <= 50
    assert logins.find(mine.session_id) == mine
    last = logins.make()
    assert logins.find(last.session_id) == last


# --- who asks ---------------------------------------------------------------


def callers(logins: Any) -> Callers:
    store = MemoryEngine()
    prover = Prover(store, lambda _: RECORDS)
    return Callers(
        store,
        lambda _: RECORDS,
        prover,
        logins,
        failures=UNCOUNTED,
        now_ms=lambda: START,
        note_login=NoNotes().logged_in,
    )


def identified(logins: Logins, header: str | None, *, safe: bool = True) -> Identity | None:
    return asyncio.run(callers(logins).identify(request(header, safe=safe))).identity


def refusal(logins: Logins, header: str) -> Outcome:
    with pytest.raises(AdmissionError) as caught:
        identified(logins, header)
    return caught.value.ended


def begun(login: Login) -> client.Begun:
    return client.Begun(login.session_id, login.nonce)


def text(members: client.Members) -> str:
    return client.header(members)["Authorization"]


def test_who_logs_in_is_known_and_so_is_the_session(logins: Logins) -> None:
    """By secret or key in the request itself; then by the id alone, until somebody else logs in to it."""
    login = begun(logins.make())
    alone = text({"sessionId": login.session_id})
    assert identified(logins, alone) is None
    assert identified(logins, text(client.by_secret(login, NAMED, SECRET))) == ALICE
    assert identified(logins, alone) == ALICE
    assert identified(logins, text(client.by_key(login, KEY_NAMED, KEY))) == ALICE._replace(value_index=300)
    assert identified(logins, alone) == ALICE._replace(value_index=300)


def test_a_session_is_worth_nothing_once_its_key_is_gone(logins: Logins) -> None:
    """Whoever replaces a key that leaked ends what it had opened."""
    login = logins.make(ALICE, mark_of(b"the secret before"))
    assert identified(logins, text({"sessionId": login.session_id})) is None


def test_basic_beside_sessions(logins: Logins) -> None:
    assert identified(logins, basic(NAMED, SECRET.decode())["Authorization"]) == ALICE
    for header in (basic(NAMED, "wrong")["Authorization"], "Basic", "Bearer x", "", "Handle", "Handle\tx"):
        assert refusal(logins, header) is Outcome.AUTHENTICATION_FAILED


def test_nobody_is_known_without_a_header_or_a_safe_channel(logins: Logins) -> None:
    """Where credentials are not safe a session is not looked at, so it is worth nothing to who listens."""
    login = logins.make(ALICE, MARK)
    assert identified(logins, None) is None
    assert identified(logins, text({"sessionId": login.session_id}), safe=False) is None
    assert identified(logins, "Handle garbage", safe=False) is None


def test_one_who_asks_the_server_to_sign_says_nothing_of_himself(logins: Logins) -> None:
    assert identified(logins, 'Handle version="0", cnonce="eHh4"') is None


@pytest.mark.parametrize("change", [{"signature": client.b64(b"x" * 32)}, {"id": "301:0.NA/99.1"}, {"alg": "x"}])
def test_a_wrong_log_in_leaves_the_session_as_it_was(logins: Logins, change: client.Members) -> None:
    """Anonymous stays anonymous, proven stays proven. The identity may also be one of a foreign prefix."""
    for login in (logins.make(), logins.make(ALICE, MARK)):
        wrong = text(client.by_secret(begun(login), NAMED, SECRET) | change)
        assert refusal(logins, wrong) is Outcome.AUTHENTICATION_FAILED
        assert logins.find(login.session_id) == login


def test_a_signature_is_worth_nothing_in_another_session(logins: Logins) -> None:
    """It was made over that session's nonce."""
    mine, other = logins.make(), logins.make()
    replayed = client.by_secret(begun(mine), NAMED, SECRET) | {"sessionId": other.session_id}
    assert refusal(logins, text(replayed)) is Outcome.AUTHENTICATION_FAILED
    assert logins.find(other.session_id) == other


@pytest.mark.parametrize("header", ["Handle x=", 'Handle sessionId="nosuch"', text(RIGHT), 'Handle clientCert="true"'])
def test_an_unknown_session_is_said_to_be_unknown(logins: Logins, header: str) -> None:
    assert refusal(logins, header) is Outcome.SESSION_UNKNOWN


def offered(logins: Any, ended: Outcome) -> list[str]:
    challenges = callers(logins).challenge(ended)
    assert {name for name, _ in challenges} == {"WWW-Authenticate"}
    return [value for _, value in challenges]


def test_both_ways_are_offered_with_a_session_that_is_there(logins: Logins) -> None:
    """An unknown session is told a new one alone; wrong credentials that they are wrong."""
    for ended, error in (
        (Outcome.AUTHENTICATION_NEEDED, None),
        (Outcome.AUTHENTICATION_FAILED, "Identity not verified"),
    ):
        plain, handle = offered(logins, ended)
        assert plain == 'Basic realm="handle"'
        members = parse_authorization(handle)
        assert members is not None
        login = logins.find(members["sessionId"])
        assert login is not None
        assert (client.b64(login.nonce), members.get("error")) == (members["nonce"], error)
    (alone,) = offered(logins, Outcome.SESSION_UNKNOWN)
    assert alone.startswith('Handle sessionId="')
    assert "error" not in alone


def test_without_a_run_store_basic_is_offered() -> None:
    """A disk that is full stops sessions, not the node."""

    class Full:
        def make(self) -> Login:
            raise StoreError("full")

    assert offered(Full(), Outcome.AUTHENTICATION_NEEDED) == ['Basic realm="handle"']
