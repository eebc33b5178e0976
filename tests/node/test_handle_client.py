"""The tests' own Handle messages and proofs held against the recorded exchanges: no server of ours takes part."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.kit.handle_messages import (
    Envelope,
    Flag,
    Message,
    Op,
    Reader,
    Reply,
    Site,
    admin_data,
    bstr,
    decode_reply,
    decode_values,
    encode_values,
    join_packets,
    split_packets,
)
from tests.kit.handle_proofs import (
    Credential,
    KeyExchange,
    RsaKey,
    SecretKey,
    Session,
    decode_rsa_key,
    encode_rsa_key,
    request_digest,
    rsa_proof_holds,
    secret_key_holds,
    server_signature_holds,
    session_key,
    session_mac,
)
from tests.kit.handle_recorded import (
    DH,
    EXCHANGES,
    MORE,
    PREFIX_VALUES,
    SERVER_KEY,
    TURNS,
    UNANSWERED,
    ZERO,
    Turn,
    mac_key,
    pair,
)

every_exchange = pytest.mark.parametrize("name", EXCHANGES)


# --- messages ---


def round_trip(raw: bytes) -> Message | None:
    """Decode and encode; None where only the envelope can be read."""
    if Envelope.decode(raw).encrypted:
        assert Envelope.decode(raw).encode() == raw[:20]
        return None
    message = Message.decode(raw)
    assert message.encode() == raw
    return message


def check_answer_body(answer: Message) -> Reply:
    reply = decode_reply(answer)
    if (answer.op, answer.code) == (Op.RESOLVE, 1):
        assert reply.handle is not None
        assert answer.body.endswith(encode_values(reply.handle, reply.values))
    return reply


@every_exchange
def test_recorded_messages_go_round(name: str) -> None:
    """Every octet of request and answer is accounted for, also in the bodies."""
    request, answer = (round_trip(bytes.fromhex(EXCHANGES[name][way])) for way in ("request", "response"))
    assert request is not None and answer is not None
    check_answer_body(answer)
    if request.op in (Op.CREATE, Op.ADD_VALUES, Op.MODIFY_VALUES):
        octets = Reader(request.body)
        handle, values = octets.text(), decode_values(octets)
        octets.end()
        assert encode_values(handle, values) == request.body


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn.flow)
def test_recorded_flows_go_round(turn: Turn) -> None:
    round_trip(turn.request)
    whole = join_packets(turn.answers[::-1])
    assert whole is not None
    if turn.transport == "udp":
        assert split_packets(whole) == turn.answers
    answer = round_trip(whole)
    if answer is not None:
        check_answer_body(answer)
    if turn.transport == "http" and answer is not None:
        assert re.match(rb"POST /[0-9A-Za-z.%_:-]+ HTTP/1.1\r\n", turn.head)


def test_recorded_session_goes_round() -> None:
    """Encrypted messages open to what the vectors say, and seal to the same octets under the same IV."""
    session = Session(DH["session_id"], bytes.fromhex(DH["session_key_32"]))
    opened = 0
    for each in DH["messages"]:
        for way in ("request", "response"):
            raw = bytes.fromhex(each[way])
            clear = bytes.fromhex(each.get(f"{way}_plain", ""))
            if not clear:
                assert each["name"].startswith("decrypt_") or round_trip(raw) is not None
                continue
            opened += 1
            assert session.unseal(raw[20:]) == clear
            assert session.seal(clear, raw[20:36]) == raw[20:]
            message = Message.decode(raw, session)
            assert message.signed_part() + bstr(message.credential) == clear
            assert Message.decode(message.encode(session), session) == message
            assert message.op in (Op.RESOLVE, Op.ADD_VALUES)
            if way == "response":
                check_answer_body(message)
    assert opened == 6


def test_bodies_of_the_library() -> None:
    """Referrals and renumbered errors, as the reference's encoder makes them."""
    found = {}
    for each in MORE["encoded_by_library_not_captured"]:
        payload = bytes.fromhex(each["header_body_credlen"])
        version = (2, 4) if "2.4" in each["name"] else (2, 11)
        raw = Envelope(version, (2, 11), 0, 1, 0, len(payload)).encode() + payload
        reply = decode_reply(Message.decode(raw))
        found[each["name"]] = (reply.code, reply.message, reply.handle, [value.type for value in reply.values])
    assert found["302 handle and value"] == (302, "", "0.NA/88.9999.1", ["HS_SERV"])
    assert found["302 empty handle, empty list"] == (302, "", "", [])
    assert found["7 to a 2.4 peer"] == (303, "Server temporarily disabled", None, [])
    assert found["202 to a 2.4 peer"] == (201, "Value indexes must be positive", None, [])
    assert found["7 to a 2.11 peer"][0] == 7


def test_values_of_the_records() -> None:
    """Site record, HS_ADMIN, keys: structure and way back."""
    assert admin_data("0.NA/88.9999.1", 300) == PREFIX_VALUES[101]
    assert encode_rsa_key(decode_rsa_key(PREFIX_VALUES[300])) == PREFIX_VALUES[300]
    site = Site.decode(PREFIX_VALUES[1])
    assert (site.protocol, site.flags, site.hash_option, site.attributes) == (
        (2, 11),
        0x80,
        2,
        (("desc", "bench site"),),
    )
    assert [each.protocol for each in site.servers[0].interfaces] == [1, 0, 2]


# --- request digests, answers to challenges ---


def check_digest(request: Message, answer: Message) -> int:
    reply = decode_reply(answer)
    assert bool(answer.flags & Flag.RRDG) == (reply.digest != b"" and answer.version >= (2, 1))
    if reply.digest:
        assert reply.digest_algorithm == (3 if answer.version >= (2, 7) else 2 if answer.version >= (2, 1) else 1)
        assert reply.digest == request_digest(request, reply.digest_algorithm)
    return bool(reply.digest)


def test_request_digests() -> None:
    """In challenges and in answers that were asked for one; over header and body; by the answer's version."""
    found = sum(check_digest(*pair(name)) for name in EXCHANGES if "#answer" not in name and name not in UNANSWERED)
    assert found > 60
    flows = [turn for turn in TURNS if not Envelope.decode(turn.request).encrypted]
    messages = [(Message.decode(turn.request), join_packets(turn.answers) or b"") for turn in flows]
    clear = [(asked, Message.decode(raw)) for asked, raw in messages if not Envelope.decode(raw).encrypted]
    assert sum(check_digest(asked, answer) for asked, answer in clear if asked.op != Op.ANSWER_CHALLENGE) > 15


def setup_secrets() -> dict[int, bytes]:
    """Secret keys of 88.9999.1/ADM by their index."""
    octets = Reader(bytes.fromhex(MORE["setup"][0]["body"]))
    octets.text()
    return {value.index: value.data for value in decode_values(octets) if value.type == "HS_SECKEY"}


class Proof(NamedTuple):
    kind: str
    identity: str
    proof: bytes

    @classmethod
    def of(cls, request: Message) -> Proof:
        octets = Reader(request.body)
        kind, handle, index, proof = octets.text(), octets.text(), octets.signed(), octets.bstr()
        octets.end()
        return cls(kind, f"{index}:{handle}", proof)


def proof_holds(proof: Proof, data: bytes) -> bool:
    if proof.kind == "HS_PUBKEY":
        return rsa_proof_holds(decode_rsa_key(PREFIX_VALUES[300]), data, proof.proof)
    secrets = {f"{index}:88.9999.1/ADM": data for index, data in setup_secrets().items()}
    secrets["301:0.NA/88.9999.1"] = PREFIX_VALUES[301]
    return secret_key_holds(secrets[proof.identity], data, proof.proof)


def test_proofs_in_the_flows() -> None:
    """RSA and secret key of the stock client: each op 200 fits the challenge just before it."""
    seen: set[str] = set()
    for before, turn in pairwise(TURNS):
        if Envelope.decode(turn.request).encrypted or "not_admin" in turn.flow:
            continue
        request = Message.decode(turn.request)
        if request.op != Op.ANSWER_CHALLENGE:
            continue
        challenge = decode_reply(Message.decode(join_packets(before.answers) or b""))
        proof = Proof.of(request)
        assert proof_holds(proof, challenge.nonce + challenge.digest), turn.flow
        assert not proof_holds(proof, challenge.nonce + bytes(32))
        seen.add(proof.kind)
    assert seen == {"HS_PUBKEY", "HS_SECKEY"}


def test_proofs_of_the_permission_masks() -> None:
    """Where challenge and answer were both recorded, the proof holds, or does not where the secret was wrong."""
    found = {True: 0, False: 0}
    for name in EXCHANGES:
        challenge = name.removesuffix("#answer")
        if name == challenge or challenge not in EXCHANGES or "0.NA/88.9999.1" in name:
            continue
        reply, proof = decode_reply(pair(challenge)[1]), Proof.of(pair(name)[0])
        if proof.identity.endswith("ADM"):
            held = proof_holds(proof, reply.nonce + reply.digest)
            assert held == ("wrongsecret" not in name), name
            found[held] += 1
    assert found[True] > 10 and found[False] == 2


@pytest.mark.parametrize("method", [1, 2, 3, 0x12, 0x13, 0x22])
def test_each_mac_method(method: int) -> None:
    proof = SecretKey("0.NA/88", 301, b"secret", method).prove(b"nonce", b"digest", (2, 11))
    assert proof[0] == method
    assert secret_key_holds(b"secret", b"noncedigest", proof)
    assert not secret_key_holds(b"Secret", b"noncedigest", proof)
    assert not secret_key_holds(b"secret", b"nonceDigest", proof)


def test_usual_methods_by_version() -> None:
    """§2.11: PBKDF2 from 2.7, SHA-1 before; the bare MD5 of 2.0 (details §6)."""
    key = SecretKey("0.NA/88", 301, b"secret")
    assert key.prove(b"n", b"d", (2, 7))[0] == 0x22
    assert key.prove(b"n", b"d", (2, 6))[0] == 2
    assert len(key.prove(b"n", b"d", (2, 0))) == 16
    assert "secret" not in repr(key)


def test_rsa_proofs() -> None:
    """Hash name by version, or as told; PKCS#1 v1.5 over nonce || digest."""
    private = rsa.generate_private_key(65537, 2048)
    for version, told, name in [((2, 11), None, b"SHA-256"), ((2, 6), None, b"SHA1"), ((2, 11), "SHA1", b"SHA1")]:
        proof = RsaKey("0.NA/88", 300, private, told).prove(b"nonce", b"digest", version)
        assert Reader(proof).bstr() == name
        assert rsa_proof_holds(private.public_key(), b"noncedigest", proof)
        assert not rsa_proof_holds(private.public_key(), b"nonceDigest", proof)


# --- signatures of the server ---


@pytest.mark.parametrize("name", [name for name in EXCHANGES if name.startswith("hs_signed_")])
def test_signed_answers(name: str) -> None:
    """HS_SIGNED holds by the table of details §2, and for no other version, session, request or body."""
    answer = pair(name)[1]
    assert server_signature_holds(SERVER_KEY, answer)
    assert not server_signature_holds(decode_rsa_key(PREFIX_VALUES[300]), answer)
    assert not server_signature_holds(SERVER_KEY, replace(answer, expiration=answer.expiration + 1))
    if answer.version >= (2, 7):
        assert not server_signature_holds(SERVER_KEY, replace(answer, request_id=answer.request_id + 1))


def test_signed_session_answers() -> None:
    """Set-up of both sessions, those of the flows, termination, and the challenge after it."""
    raws = [bytes.fromhex(ZERO["setup_response"])]
    signed = ("session_setup", "terminate", "after_terminate")
    raws += [bytes.fromhex(each["response"]) for each in DH["messages"] if each["name"] in signed]
    raws += [join_packets(turn.answers) or b"" for turn in TURNS if turn.transport == "udp"]
    assert len(raws) > 9
    assert all(server_signature_holds(SERVER_KEY, Message.decode(raw)) for raw in raws)


# --- sessions ---


@pytest.mark.parametrize("case", [DH, ZERO], ids=["plain", "leading zero"])
def test_session_keys(case: dict[str, Any]) -> None:
    """Both halves of the exchange give the shared secret; its leading zero octets are stripped."""
    half = KeyExchange(int(case["client_private_x"], 16))
    assert half.public == int(case["client_public_y"], 16)
    assert half.p == int(DH["p"], 16) and half.g == DH["g"]
    secret = int(case["shared_secret"], 16)
    assert pow(int(case["server_public_y"], 16), int(case["client_private_x"], 16), half.p) == secret
    assert session_key(secret).hex() == case["session_key_32"]
    assert session_key(secret)[:16].hex() == case["aes_128_key"]
    setup = DH["messages"][0] if case is DH else {"request": ZERO["setup_request"], "response": ZERO["setup_response"]}
    request, answer = (Message.decode(bytes.fromhex(setup[way])) for way in ("request", "response"))
    reply = decode_reply(answer)
    assert half.key(reply.session_data).hex() == case["session_key_32"]
    assert request.body == half.setup_body("0.NA/88.9999.1", 301)
    check_digest(request, answer)


def test_session_key_keeps_32_octets() -> None:
    """Zero octets are stripped only as long as 32 remain."""
    assert session_key(1) == bytes(31) + b"\1"
    assert session_key(1 << 8 * 33) == b"\1" + bytes(31)


MADE_WRONG = ("wrong_mac request", "mac_under_16_bytes request")


def session_messages(case: dict[str, Any]) -> Iterator[Message]:
    """All messages of a session that carry HS_MAC, but those whose MAC was made wrong on purpose."""
    raws = {name: ZERO[name] for name in ZERO if name.endswith(("request", "response", "402"))}
    if case is DH:
        raws = {f"{each['name']} {way}": each[way] for each in DH["messages"] for way in ("request", "response")}
    session = Session(0, bytes.fromhex(case["session_key_32"]))
    for name, raw in raws.items():
        if name.startswith("decrypt_") or name in MADE_WRONG:
            continue
        message = Message.decode(bytes.fromhex(raw), session)
        if message.credential and Credential.decode(message.credential).kind == "HS_MAC":
            yield message


def test_session_macs() -> None:
    """Requests and answers of both recorded sessions, clear and encrypted."""
    for case, least in ((DH, 30), (ZERO, 3)):
        session = Session(0, bytes.fromhex(case["session_key_32"]))
        messages = list(session_messages(case))
        assert len(messages) >= least
        for message in messages:
            assert session.mac_holds(message)
            assert session.credential(message, Credential.decode(message.credential).counter) == message.credential
            assert not session.mac_holds(replace(message, code=message.code + 1))


def test_macs_made_wrong_on_purpose() -> None:
    """The vectors' own negatives: another key, and only the 16 octets of AES."""
    session = Session(0, bytes.fromhex(DH["session_key_32"]))
    wrong = [
        Message.decode(bytes.fromhex(each["request"]))
        for each in DH["messages"]
        if f"{each['name']} request" in MADE_WRONG
    ]
    assert [session.mac_holds(message) for message in wrong] == [False, False]
    short = session_mac(session.key[:16], wrong[1], Credential.decode(wrong[1].credential).counter)[1]
    assert short == Credential.decode(wrong[1].credential).signature


def test_session_macs_of_older_versions() -> None:
    """The one recorded answer of 2.8; the layouts below are pinned by what details §1 says of them."""
    name = next(name for name in EXCHANGES if name.startswith("hs_mac_answer"))
    assert Session(0, mac_key(name)).mac_holds(pair(name)[1])
    key, message = bytes(range(1, 33)), Message(1, session_id=5, request_id=6)
    signed = message.signed_part()
    ids = bytes.fromhex("00000005 00000006 00000007")
    old = hashlib.sha1(key[:4] + signed + key + bytes(42)).digest()
    due = {
        4: (b"\2", hashlib.sha1(key + signed + key).digest()),
        5: (b"\2", old),
        6: (b"SHA1", old),
        7: (b"HMAC-SHA256", hmac.digest(key, b"\2\7" + ids + signed, "sha256")),
        8: (b"HMAC-SHA256", hmac.digest(key, b"\2\10\2\13" + ids + signed, "sha256")),
    }
    for minor, mac in due.items():
        assert session_mac(key, replace(message, version=(2, minor)), 7) == mac


def test_signed_answers_of_2_6_in_a_session() -> None:
    """No vector has a session id here: two octets of it, the counter, six zeros, as details §2 says."""
    private = rsa.generate_private_key(65537, 2048)
    answer = Message(1, 1, session_id=0x01020304, version=(2, 6))
    signed = bytes.fromhex("0206 0102 00000007 000000000000") + answer.signed_part()
    signature = private.sign(signed, padding.PKCS1v15(), hashes.SHA1())
    answer = replace(answer, credential=Credential(7, "HS_SIGNED", b"SHA1", signature).encode())
    assert server_signature_holds(private.public_key(), answer)
