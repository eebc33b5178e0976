"""The recorded Diffie-Hellman sessions, reproduced octet by octet from both private values.

In process: the service of the Handle protocol with its real parts, a registrar that runs the registry at once, and
the reference server's exponent, session id, nonces, IVs and clock. Only the signatures of the server's key differ.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from core.clock import Millis
from core.hdl import dialogues
from core.hdl.dialogues import Dialogues
from core.hdl.exchange import Transport
from core.hdl.proof import ServerKey
from core.hdl.prover import Prover
from core.hdl.session import session_key as core_session_key
from core.ident.handle import HandleRules
from core.store.lmdb_engine import LmdbEngine
from core.store.run_store import RunStore
from core.wire.envelope import decode_envelope
from core.wire.site import decode_site
from node import handle_answers, handle_service
from node.handle_service import HandleService
from registry.commands import OPERATOR, Home, Put, Request, Result
from registry.handle_api import HandleApi as WritingHandleApi
from registry.notes import Notes
from registry.service import Registry
from resolver.handle_api import HandleApi as ReadingHandleApi
from resolver.service import Resolver
from tests.kit.handle_messages import Envelope, Flag, Message, Op, Value, bstr, encode_values
from tests.kit.handle_proofs import Credential, Session, request_digest, server_signature_holds, session_key
from tests.kit.handle_recorded import DH, PREFIX_VALUES, ZERO
from tests.kit.handle_replay import ANSWER_S, anchors, comparable
from tests.kit.logs import NoLog
from tests.kit.vectors import reference_records

MESSAGES = {each["name"]: each for each in DH["messages"]}
PROBE = DH["window_probe"]
NONCE_BYTES = 16
SIGNATURE_BYTES = 256


class DirectRegistrar:
    """See Registrar. Runs each request at once."""

    def __init__(self, registry: Registry, now_ms: Callable[[], Millis]) -> None:
        self._registry, self._now_ms = registry, now_ms

    async def call(self, request: Request) -> Result:
        return self._registry.run([request], self._now_ms())[0]


class Recording:
    """A service that draws what the reference server drew. ``octets``: nonces and IVs to come; ``now_s``: its time."""

    def __init__(self, folder: Path, session_id: int, exponent: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.octets: list[bytes] = []
        self.now_s = 1_700_000_000  # when the records were made
        self.key = rsa.generate_private_key(65_537, 2_048)
        ids = [session_id]
        for module in (dialogues, handle_answers, handle_service):
            drawn = SimpleNamespace(**{name: getattr(secrets, name) for name in ("compare_digest", "token_hex")})
            drawn.token_bytes = self._next_octets
            drawn.randbelow = lambda _: ids.pop() - 1
            monkeypatch.setattr(module, "secrets", drawn)
        store = self.store = LmdbEngine(folder / "store", map_size_bytes=1 << 26, create=True)
        self.run_store = RunStore(folder / "run")
        rules, admins = HandleRules(), frozenset({(b"0.NA/88.9999.1", 300)})
        resolver = Resolver(rules, root=True, server_admins=admins)
        registry = Registry(store, rules, root=True, server_admins=admins, founding=True)
        requests = [Request(Home(prefix), OPERATOR) for prefix in ("88.9999.1", "88.9999.2", "88.9999.3")]
        requests += [Request(Put(handle, values), OPERATOR) for handle, values in reference_records().items()]
        assert all(result.done for result in registry.run(requests, self.now_ms()))
        site = decode_site(PREFIX_VALUES[1])
        self.service = HandleService(
            (
                ReadingHandleApi(resolver, store, site, NoLog(), dict),
                WritingHandleApi(rules, store, DirectRegistrar(registry, self.now_ms), root=True),
            ),
            Prover(store, resolver.records),
            Dialogues(self.run_store, self.now_ms),
            server_key=ServerKey(self.key),
            site_serial=site.serial,
            sessions_offered=True,
            require_here=lambda _: None,
            notes=Notes(DirectRegistrar(registry, self.now_ms)),
            now_ms=self.now_ms,
            make_exponent=lambda: int(exponent, 16),
        )

    def now_ms(self) -> Millis:
        return Millis(self.now_s * 1_000)

    def _next_octets(self, count: int) -> bytes:
        octets = self.octets.pop(0)
        assert len(octets) == count
        return octets

    def answer(self, raw: bytes) -> bytes:
        """Answer one message as it came over TCP."""
        answers = asyncio.run(self.service.answer(decode_envelope(raw), raw[20:], Transport.TCP, b""))
        return answers.first.octets

    def answer_as_recorded(self, request: bytes, response: bytes, session: Session) -> bytes:
        """Answer with the nonce, the IV and the time of the recorded answer."""
        want = Message.decode(response, session)
        self.now_s = want.expiration - ANSWER_S
        self.octets = [want.body[-NONCE_BYTES:]] * (want.code == 402) + [response[20:36]] * want.encrypted
        return self.answer(request)

    def close(self) -> None:
        self.run_store.close()
        self.store.close()


def require_equal(recording: Recording, want: bytes, got: bytes, session: Session) -> None:
    """All octets are the same; of an answer that the server's key signed all but the signature, which must hold."""
    expected, answer = Message.decode(want, session), Message.decode(got, session)
    assert comparable(expected) == comparable(answer)
    signed = bool(expected.credential) and Credential.decode(expected.credential).kind == "HS_SIGNED"
    end = -SIGNATURE_BYTES if signed else None
    assert (got[:end], len(got)) == (want[:end], len(want))
    assert not signed or server_signature_holds(recording.key.public_key(), answer)


# --- the recorded session ---

COUNTERS = "session-counters-are-strict"
OWN_ID = "errors-carry-the-clients-own-request-id"
ENDED = "an-ended-session-is-unknown-at-once"


class Difference(NamedTuple):
    """An exception: heading of the divergence, and what ours answers, made from request and recorded answer."""

    anchor: str
    mend: Callable[[bytes, Message], Message]


def error(code: int, said: str) -> Callable[[bytes, Message], Message]:
    """The recorded answer with another code and text, behind the digest if one was asked for."""

    def mend(raw: bytes, want: Message) -> Message:
        request = Message.decode(raw)
        digest = b"\3" + request_digest(request, 3) if request.flags & Flag.RRDG else b""
        flags = want.flags & ~int(Flag.RRDG) | request.flags & Flag.RRDG
        return replace(want, session_id=request.session_id, code=code, flags=int(flags), body=digest + bstr(said))

    return mend


def undecryptable(said: str | None = None) -> Callable[[bytes, Message], Message]:
    """The recorded code in an answer to this very request, of which no more than the envelope can be read."""

    def mend(raw: bytes, want: Message) -> Message:
        request = Envelope.decode(raw)
        ids = {"session_id": request.session_id, "request_id": request.request_id, "version": (2, 11), "serial": 1}
        body = want.body if said is None else bstr(said)
        return replace(want, **ids, flags=int(Flag.AUTH | Flag.RECU), body=body)  # type: ignore[arg-type]

    return mend


EXCEPTIONS = {
    "replay_add_value": Difference(COUNTERS, error(505, "Duplicate session counter 2 in session 11")),
    "counter_zero": Difference(COUNTERS, error(505, "Duplicate session counter 0 in session 11")),
    "counter_zero_replay": Difference(COUNTERS, error(505, "Duplicate session counter 0 in session 11")),
    "decrypt_bad_padding": Difference(
        OWN_ID,
        undecryptable("Unable to decrypt request message: the message cannot be decrypted with the session's key"),
    ),
    "decrypt_short": Difference(
        OWN_ID,
        undecryptable(
            "Unable to decrypt request message: an encrypted message has an IV and whole blocks of 16 octets"
        ),
    ),
    "decrypt_unknown_session": Difference(OWN_ID, undecryptable()),
    "decrypt_session_zero": Difference(OWN_ID, undecryptable()),
    "after_terminate": Difference(ENDED, error(500, "Invalid session id or session time out. Please try again.")),
}


class Played(NamedTuple):
    """What was answered, by name; ``drawn``: whether every number of the recorded answer was."""

    recording: Recording
    answers: dict[str, bytes]
    drawn: dict[str, bool]
    probed: list[int]
    refused: list[int]


def session_of(recorded: dict[str, Any], session_id: int) -> Session:
    return Session(session_id, bytes.fromhex(recorded["session_key_32"]))


SESSION = session_of(DH, DH["session_id"])


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Send all messages in their order; the window was probed before the session was ended."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = tmp_path_factory.mktemp("session")
        recording = Recording(folder, DH["session_id"], DH["server_private_x"], monkeypatch)
        played = Played(recording, {}, {}, [], [])
        for name, each in MESSAGES.items():
            if name == "terminate_no_mac":
                probe(played)
            request, response = bytes.fromhex(each["request"]), bytes.fromhex(each["response"])
            played.answers[name] = recording.answer_as_recorded(request, response, SESSION)
            played.drawn[name] = not recording.octets
        yield played
        recording.close()


def probe(played: Played) -> None:
    """250 requests with the counters 2000 to 2249, then one with each counter of the recorded probe."""
    body = encode_values("88.9999.1/DHS1", [Value(2, "EMAIL", b"w@salt.example")])
    flags = int(Flag.CERT | Flag.RECU | Flag.CACR)
    request = Message(Op.MODIFY_VALUES, flags=flags, body=body, session_id=SESSION.id, request_id=7)
    for counters, codes in ((range(2000, 2250), played.probed), (map(int, PROBE["responseCodes"]), played.refused)):
        for counter in counters:
            signed = replace(request, credential=SESSION.credential(request, counter))
            codes.append(Message.decode(played.recording.answer(signed.encode())).code)


@pytest.mark.parametrize("name", MESSAGES)
def test_the_session_is_reproduced(played: Played, name: str) -> None:
    """Every octet of every answer: digests, counters, MACs, encryption, expiration."""
    each, got = MESSAGES[name], played.answers[name]
    request, want = bytes.fromhex(each["request"]), Message.decode(bytes.fromhex(each["response"]), SESSION)
    exception = EXCEPTIONS.get(name)
    if exception is None:
        assert played.drawn[name]
        assert want.code == int(each["responseCode"])
        require_equal(played.recording, bytes.fromhex(each["response"]), got, SESSION)
        return
    assert got != bytes.fromhex(each["response"]), f"no exception is needed any more: {exception.anchor}"
    mended = exception.mend(request, want)
    if want.credential and Credential.decode(want.credential).kind == "HS_MAC":
        counter = Credential.decode(want.credential).counter
        mended = replace(mended, credential=SESSION.credential(mended, counter))
    require_equal(played.recording, mended.encode(SESSION), got, SESSION)


def test_every_exception_has_its_heading() -> None:
    """In docs/standards/divergences.md."""
    assert {each.anchor for each in EXCEPTIONS.values()} <= anchors()
    assert set(EXCEPTIONS) <= set(MESSAGES)
    assert len(MESSAGES) == 27


def test_the_window_of_counters_is_the_recorded_one(played: Played) -> None:
    """After 250 counters in order nothing at or below the newest is taken."""
    assert played.probed == [1] * 250
    assert played.refused == list(PROBE["responseCodes"].values())


def test_the_keys_are_those_of_both_private_values() -> None:
    """As the vectors say, and as the tests' own arithmetic has it."""
    for recorded in (DH, ZERO):
        prime = int(DH["p"], 16)
        secret = pow(int(recorded["client_public_y"], 16), int(recorded["server_private_x"], 16), prime)
        assert session_key(secret, prime).hex() == recorded["session_key_32"]
        assert core_session_key(secret, 1_024).hex() == recorded["session_key_32"]


def test_a_secret_that_begins_with_a_zero_octet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is stripped of it: set-up, challenge and final answer are reproduced too."""
    messages = {name: bytes.fromhex(ZERO[name]) for name in ZERO if name.endswith(("_request", "_response", "_402"))}
    session = session_of(ZERO, Envelope.decode(messages["setup_response"]).session_id)
    recording = Recording(tmp_path, session.id, ZERO["server_private_x"], monkeypatch)
    for request, response in (
        ("setup_request", "setup_response"),
        ("create_request", "create_response_402"),
        ("answer_request", "answer_response"),
    ):
        got = recording.answer_as_recorded(messages[request], messages[response], session)
        assert recording.octets == []
        require_equal(recording, messages[response], got, session)
    recording.close()
