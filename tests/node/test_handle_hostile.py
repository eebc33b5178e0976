"""A running node against peers of the Handle protocol over TCP and HTTP that are broken, slow, greedy or false."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core import limits
from core.store.run_store import CHALLENGE, SESSION
from tests.kit.handle_client import Client, read_message
from tests.kit.handle_messages import ENVELOPE_BYTES, PLAIN, Envelope, Flag, Message, Op, Value, bstr, encode_values
from tests.kit.handle_node import (
    administrator,
    answers_until_closed,
    assert_unharmed,
    client_of,
    dialogues_of,
    line_to,
    memory_bytes,
    question,
    record,
    rsa_key,
    secret_key,
)
from tests.kit.handle_proofs import Credential, KeyExchange, SecretKey, encode_dh_key
from tests.kit.node import Node

PREFIX = "88.118.7"
GOOD, BIG = f"{PREFIX}/GOOD", f"{PREFIX}/BIG"
MEDIA = {"Accept": "application/x-hdl-message", "Content-Type": "application/x-hdl-message"}
GROWTH_BYTES_MAX = 48 << 20
FAR = Envelope((2, 11), (2, 11), 0, 7, 0, 0xFFFF_FFFF)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("hostile") / "node", PREFIX)
    with made:
        assert made.put(GOOD, record(made, "https://a.example")).status == 201
        assert made.put(BIG, record(made, "x" * 100_000)).status == 201
        yield made


@pytest.fixture(autouse=True)
def unharmed(node: Node) -> Iterator[None]:
    """After each test the same processes answer, and the log shows no failure."""
    before = node.children()
    yield
    assert node.children() == before
    assert_unharmed(node)


# --- lengths, pieces, order ---


def test_a_message_of_four_gigabytes_is_refused_by_its_envelope(node: Node) -> None:
    """RC 4 with the request's own id, then the end; nothing of that size is set aside."""
    before = memory_bytes(node)
    for _ in range(50):
        with line_to(node) as line:
            line.sendall(FAR.encode())
            (answer,) = answers_until_closed(line)
            assert (answer.code, answer.request_id) == (4, 7)
            assert b"4294967295 octets" in answer.body
    assert memory_bytes(node) - before < 4 << 20


@pytest.mark.parametrize("size", [limits.MESSAGE_BYTES_MAX + 1, 3_000_000])
def test_a_client_that_sends_a_long_message_to_its_end_still_gets_its_refusal(node: Node, size: int) -> None:
    """It reads only when all is sent: what it sends behind the refusal is read away, or the answer would be lost."""
    for _ in range(5):
        with line_to(node) as line:
            line.sendall(FAR._replace(length=size).encode() + bytes(size))
            (answer,) = answers_until_closed(line)
            assert (answer.code, answer.request_id) == (4, 7)


def test_the_longest_message_is_taken(node: Node) -> None:
    """MESSAGE_BYTES_MAX octets are read and looked at: it is the handle that is refused, or the request."""
    spare = limits.MESSAGE_BYTES_MAX - len(question(GOOD).encode()) + ENVELOPE_BYTES
    message = question(GOOD)
    whole = replace(message, body=message.body + bytes(spare)).encode()
    assert Envelope.decode(whole).length == limits.MESSAGE_BYTES_MAX
    with line_to(node) as line:
        line.sendall(whole)
        assert [answer.code for answer in answers_until_closed(line)] == [1]


def test_a_message_may_come_octet_by_octet(node: Node) -> None:
    """However it is cut, it is the same message."""
    with line_to(node) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in question(GOOD).encode():
            line.sendall(bytes([octet]))
        assert [answer.code for answer in answers_until_closed(line)] == [1]


def test_a_thousand_requests_at_once_are_answered_in_their_order(node: Node) -> None:
    """With KPAL all of them: reads, and between them requests that are challenged, which take another way."""
    keep = Flag.KPAL | PLAIN
    sent = []
    for number in range(1, 1_001):
        message = question(GOOD, number, flags=keep)
        if number % 100 == 0:
            message = Message(Op.DELETE, body=bstr(GOOD), request_id=number, flags=int(keep))
        sent.append(message)
    with line_to(node) as line:
        line.sendall(b"".join(message.encode() for message in sent))
        with line.makefile("rb") as stream:
            answers = [Message.decode(read_message(stream.read)) for _ in sent]
    assert [answer.request_id for answer in answers] == list(range(1, 1_001))
    assert [answer.code for answer in answers] == [402 if each.op == Op.DELETE else 1 for each in sent]


def test_a_thousand_requests_and_the_end_are_all_answered(node: Node) -> None:
    """A client that closes its side behind its requests still gets every answer, and then the end."""
    with line_to(node) as line:
        line.sendall(b"".join(question(GOOD, number, Flag.KPAL | PLAIN).encode() for number in range(1, 1_001)))
        line.shutdown(socket.SHUT_WR)
        assert [answer.request_id for answer in answers_until_closed(line)] == list(range(1, 1_001))


@pytest.mark.parametrize("flags", [PLAIN, PLAIN | Flag.KPAL])
@pytest.mark.parametrize("op", [Op.RESOLVE, Op.DELETE])
def test_the_end_behind_a_request_is_no_reason_not_to_answer(node: Node, flags: int, op: int) -> None:
    """Of a read, which is answered at once, and of a change, which waits."""
    message = question(GOOD) if op == Op.RESOLVE else Message(op, body=bstr(GOOD), request_id=1)
    with line_to(node) as line:
        line.sendall(replace(message, flags=int(flags)).encode())
        line.shutdown(socket.SHUT_WR)
        assert [answer.code for answer in answers_until_closed(line)] == [1 if op == Op.RESOLVE else 402]


def test_half_a_message_and_the_end_is_closed(node: Node) -> None:
    """No answer, no wait."""
    for cut in (1, ENVELOPE_BYTES - 1, ENVELOPE_BYTES, 50):
        with line_to(node) as line:
            line.sendall(question(GOOD).encode()[:cut])
            line.shutdown(socket.SHUT_WR)
            assert answers_until_closed(line) == []


def test_without_keep_alive_the_first_is_answered_and_the_connection_closed(node: Node) -> None:
    """What stands behind it is never looked at; so it is when a kept connection ends with such a request."""
    with line_to(node) as line:
        line.sendall(b"".join(question(GOOD, number).encode() for number in (1, 2, 3)))
        assert [answer.request_id for answer in answers_until_closed(line)] == [1]
    with line_to(node) as line:
        flags = (PLAIN | Flag.KPAL, PLAIN | Flag.KPAL, PLAIN, PLAIN | Flag.KPAL)
        line.sendall(b"".join(question(GOOD, number, each).encode() for number, each in enumerate(flags, 1)))
        assert [answer.request_id for answer in answers_until_closed(line)] == [1, 2, 3]


def test_a_client_that_never_reads_is_not_read_from(node: Node) -> None:
    """It may send only so much; meanwhile others are answered, and the memory of the worker stays bounded."""
    before = memory_bytes(node)
    request = question(BIG, flags=PLAIN | Flag.KPAL).encode()
    with contextlib.ExitStack() as lines:
        for _ in range(5):
            line = lines.enter_context(line_to(node, receive_bytes=4_096))
            line.setblocking(False)
            sent = 0
            while select.select([], [line], [], 0.3)[1]:
                with contextlib.suppress(BlockingIOError):
                    sent += line.send(request * 1_000)
                assert sent < 64 << 20, "the node reads whatever comes"
        assert client_of(node, "tcp").resolve(GOOD).code == 1
        assert memory_bytes(node) - before < GROWTH_BYTES_MAX


# --- who asks ---


def test_wrong_credentials_for_ever(node: Node) -> None:
    """On one kept connection: 403 each time; no challenge is left behind, others are answered."""
    wrong = SecretKey(f"{PREFIX}/GUESSED", 301, b"wrong", 0x13)
    with dialogues_of(node) as store:
        before = store.count(CHALLENGE)
        client, other = client_of(node, "kept", wrong), client_of(node, "udp")
        for number in range(2_000):
            assert client.delete(GOOD).code == 403
            if number % 50 == 0:
                assert other.resolve(GOOD).code == 1
                assert store.count(CHALLENGE) <= before
        assert client.transport.connections == 1  # type: ignore[attr-defined]


def test_a_challenge_is_answered_once(node: Node) -> None:
    """Right or wrong: the second answer to the same challenge is 500."""
    client = client_of(node, "kept")
    for identity, code in ((secret_key(node, 2), 100), (SecretKey(f"0.NA/{PREFIX}", 301, b"wrong", 2), 403)):
        asked = client.prepare(Op.DELETE, bstr(f"{PREFIX}/NONE"))
        challenge = client.send(asked)
        assert [client.answer(asked, challenge, identity).code for _ in range(2)] == [code, 500]


@pytest.mark.parametrize("op", [Op.CREATE, Op.DELETE, Op.LIST_HANDLES, Op.SESSION_TERMINATE, Op.ANSWER_CHALLENGE])
def test_a_session_that_is_not_known_is_500(node: Node, op: int) -> None:
    """Clear, with a MAC of it, or encrypted; the answer carries the id as it was sent."""
    bodies = {Op.CREATE: encode_values(f"{PREFIX}/N", [administrator(node)])}
    body = bodies.get(Op(op), bstr(f"0.NA/{PREFIX}"))
    message = Message(op, body=body, request_id=3, session_id=0x1234_5678)
    with line_to(node) as line:
        line.sendall(message.encode())
        (answer,) = answers_until_closed(line)
    assert (answer.code, answer.op, answer.session_id, answer.request_id) == (500, op, 0x1234_5678, 3)


def session_of(node: Node, *, encrypt: bool = False, prove: bool = True) -> Client:
    """A client in a session of its own, proven by one change."""
    client = client_of(node, "kept", secret_key(node, 0x13))
    assert client.open_session(encrypt=encrypt).code == 1
    if prove:
        assert client.add_values(GOOD, [Value(9, "X", b"")], overwrite=True).code == 1
    return client


@pytest.mark.parametrize("encrypt", [False, True])
def test_a_counter_of_a_session_is_taken_once(node: Node, encrypt: bool) -> None:
    """505 for one that came, 0 and below; a lower one that did not come is taken, and nothing is done twice."""
    client = session_of(node, encrypt=encrypt)
    handle = f"{PREFIX}/COUNTED-{encrypt}"
    values = [Value(1, "URL", b"x"), administrator(node)]
    assert client.create(handle, values, counter=500).code == 1
    assert client.delete(handle, counter=500).code == 505
    assert client.resolve(handle, counter=500).code == 505
    assert client.delete(handle, counter=0).code == 505
    assert client.delete(handle, counter=-5).code == 505
    assert client.resolve(handle, counter=499).code == 1
    assert client.delete(handle, counter=501).code == 1
    assert client.delete(handle, counter=501).code == 505


def test_a_message_of_a_session_that_was_recorded_is_not_done_twice(node: Node) -> None:
    """The very same octets: 505, also by another connection and over HTTP."""
    client = session_of(node)
    request = client.prepare(Op.ADD_VALUES, encode_values(GOOD, [Value(77, "X", b"")]))
    assert client.send(request).code == 1
    assert client.remove_values(GOOD, [77]).code == 1
    for name in ("kept", "tcp", "http"):
        again = client_of(node, name)
        again.session = client.session
        raw = again.transport.exchange(request.encode(client.session))
        assert Message.decode(raw[0], client.session).code == 505
    assert client.resolve(GOOD, [77]).code == 200


def by_another_name(client: Client) -> Message:
    """A deletion whose MAC is right, in a credential that says that it is a signature."""
    request = client.prepare(Op.DELETE, bstr(GOOD))
    right = Credential.decode(request.credential)
    return replace(request, credential=right._replace(kind="HS_SIGNED").encode())


def test_a_change_in_a_session_needs_its_mac(node: Node) -> None:
    """Missing 404, wrong 502, also where it is encrypted; a public read needs none, and the session goes on."""
    wrong = Credential(600, "HS_MAC", b"HMAC-SHA256", bytes(32)).encode()
    signed = Credential(600, "HS_SIGNED", b"SHA-256", bytes(256)).encode()
    for encrypt in (False, True):
        client = session_of(node, encrypt=encrypt)
        assert client.delete(GOOD, credential=b"").code == 404
        assert client.delete(GOOD, credential=wrong).code == 502
        assert client.delete(GOOD, credential=signed).code == 502
        assert client.send(by_another_name(client)).code == 502
        assert client.delete(GOOD, credential=b"\0" * 9).code == 4
        assert client.resolve(GOOD, credential=b"").code == 1
        assert client.resolve(GOOD, credential=wrong).code == 502
        assert client.resolve(GOOD, public_only=False, credential=b"").code == 404
        assert client.raw(Op.SESSION_TERMINATE, bstr("/"), credential=b"").code == 502
        assert client.resolve(GOOD, public_only=False).code == 1
        assert client.close_session().code == 1


@pytest.mark.parametrize("credential", [b"", Credential(1, "HS_MAC", b"HMAC-SHA256", bytes(32)).encode()])
def test_a_first_request_without_its_mac_proves_nothing(node: Node, credential: bytes) -> None:
    """502 behind a right answer to the challenge, and the session still asks the next request for one."""
    client = session_of(node, prove=False)
    reply = client.delete(f"{PREFIX}/NONE", credential=credential)
    assert (reply.code, reply.challenge is not None) == (502, True)
    reply = client.delete(f"{PREFIX}/NONE")
    assert (reply.code, reply.challenge is not None) == (100, True)
    assert client.delete(f"{PREFIX}/NONE").challenge is None


def test_a_session_proves_only_whom_it_was_set_up_for(node: Node) -> None:
    """Another identity is served once and asked again; an anonymous session is always asked."""
    for named in ((f"0.NA/{PREFIX}", 300), ("", 0)):
        client = client_of(node, "kept", secret_key(node, 0x13))
        assert client.open_session(named).code == 1
        for _ in range(2):
            reply = client.delete(f"{PREFIX}/NONE")
            assert (reply.code, reply.challenge is not None) == (100, True)


GROUPS = {
    "small": KeyExchange(p=(1 << 1_023) - 1),
    "large": KeyExchange(p=(1 << 2_048) + 1),
    "even": KeyExchange(p=(1 << 1_100) + 2),
}


@pytest.mark.parametrize("group", GROUPS)
def test_a_bad_group_makes_no_session(node: Node, group: str) -> None:
    """501 for a modulus out of bounds or even."""
    client = client_of(node, "tcp", secret_key(node))
    with dialogues_of(node) as store:
        before = store.count(SESSION)
        assert client.open_session(exchange=GROUPS[group]).code == 501
        assert store.count(SESSION) == before


@pytest.mark.parametrize("y", ["0", "1", "p-1", "p", "p+1"])
def test_a_public_key_that_gives_itself_away_makes_no_session(node: Node, y: str) -> None:
    """501 for one whose secret anyone can tell."""
    half = KeyExchange()
    number = {"0": 0, "1": 1, "p-1": half.p - 1, "p": half.p, "p+1": half.p + 1}[y]
    body = b"\0\4" + bytes(4) + bstr("") + bytes(4) + bstr(encode_dh_key(number)) + bytes(2)
    assert client_of(node, "tcp").raw(Op.SESSION_SETUP, body).code == 501


def test_an_identity_that_no_handle_can_be_makes_no_session(node: Node) -> None:
    """It would lie in the dialogues, as long as a message."""
    client = client_of(node, "tcp")
    assert client.open_session((f"{PREFIX}/" + "x" * 200_000, 301)).code == 501


# --- proofs ---


def slow_proof(rounds: int, bits: int = 512) -> bytes:
    return b"\x22" + bstr(b"salt") + rounds.to_bytes(4) + bits.to_bytes(4) + bstr(bytes(20))


@pytest.mark.parametrize(("rounds", "bits"), [(2**31 - 1, 160), (2**32 - 1, 160), (0, 160), (1, 2**32 - 8), (1, 0)])
def test_a_proof_that_takes_for_ever_is_refused_at_once(node: Node, rounds: int, bits: int) -> None:
    """403, not hours of work."""
    client = client_of(node, "kept")
    asked = client.prepare(Op.DELETE, bstr(GOOD))
    challenge = client.send(asked)
    signed = slow_proof(rounds, bits)
    body = bstr("HS_SECKEY") + bstr(f"0.NA/{PREFIX}") + (301).to_bytes(4) + bstr(signed)
    request = client.prepare(Op.ANSWER_CHALLENGE, body, session_id=challenge.answers[0].session_id)
    assert client.send(request, asked=asked).code == 403


def test_slow_proofs_do_not_stop_resolution(node: Node) -> None:
    """While a queue of them waits, reads and quick proofs on other connections are answered; then they are, too."""
    body = bstr("HS_SECKEY") + bstr(f"0.NA/{PREFIX}") + (301).to_bytes(4)
    body += bstr(slow_proof(limits.PBKDF2_ITERATIONS_MAX, 160))
    with contextlib.ExitStack() as stack:
        waiting = []
        for number in range(60):
            line = stack.enter_context(line_to(node))
            line.sendall(Message(Op.DELETE, body=bstr(GOOD), flags=int(PLAIN | Flag.KPAL), request_id=number).encode())
            with line.makefile("rb") as stream:
                challenge = Message.decode(read_message(stream.read))
            answer = Message(Op.ANSWER_CHALLENGE, body=body, session_id=challenge.session_id, request_id=number)
            line.sendall(answer.encode())
            waiting.append(line)
        assert client_of(node, "tcp").resolve(GOOD).code == 1
        assert client_of(node, "udp").resolve(GOOD).code == 1
        assert client_of(node, "http", rsa_key(node)).delete(f"{PREFIX}/NONE").code == 100
        answered, _, _ = select.select(waiting, [], [], 0)
        assert len(answered) < len(waiting), "nothing was proven: the slow proofs were over already"
        assert [answers_until_closed(line)[0].code for line in waiting] == [403] * len(waiting)


@pytest.mark.parametrize("handle", ["", "/", "x" * 200_000, "0.NA/\x00", "\x01", "99.1/x", f"{PREFIX}/" + "y" * 3_000])
def test_an_identity_out_of_the_ordinary_proves_nothing(node: Node, handle: str) -> None:
    """403 for each method."""
    for kind in ("HS_SECKEY", "HS_PUBKEY", "", "X" * 10_000):
        client = client_of(node, "kept", replace(SecretKey(handle, 301, b"x", 2), kind=kind))
        assert client.delete(GOOD).code == 403


# --- HTTP ---


def post(node: Node, body: bytes, headers: dict[str, str] = MEDIA, path: str = "/x") -> tuple[int, str, bytes]:
    reply = node.ask("POST", path, body, headers)
    return reply.status, reply.headers.get_content_type(), reply.body


def test_a_wrong_length_over_http_is_refused(node: Node) -> None:
    """RC 4 in a message with the request's id; less than an envelope is 400."""
    raw = question(GOOD, 5).encode()
    for octets in (raw + b"\0", raw[:-1], raw[:ENVELOPE_BYTES], FAR._replace(request_id=5).encode() + raw):
        status, kind, body = post(node, octets)
        answer = Message.decode(body)
        assert (status, kind, answer.code, answer.request_id) == (200, MEDIA["Accept"], 4, 5)
    for octets in (b"", raw[: ENVELOPE_BYTES - 1]):
        assert post(node, octets)[0] == 400


def test_a_message_too_long_over_http_is_refused(node: Node) -> None:
    """Beyond MESSAGE_BYTES_MAX RC 4, though the body of a request may be longer."""
    size = limits.MESSAGE_BYTES_MAX + 1
    assert Message.decode(post(node, FAR._replace(length=size).encode() + bytes(size))[2]).code == 4


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": MEDIA["Accept"]}, {"Accept": MEDIA["Accept"]}, {}, MEDIA | {"Content-Type": "text/plain"},
     MEDIA | {"Accept": "text/html"}],
)  # fmt: skip
def test_only_both_media_types_make_a_message(node: Node, headers: dict[str, str]) -> None:
    """Else it is a request for a page, and no page is made of it."""
    status, kind, _ = post(node, question(GOOD).encode(), headers)
    assert 400 <= status < 500
    assert kind != MEDIA["Accept"]


def test_any_path_carries_a_message(node: Node) -> None:
    """The handle is in the message."""
    for path in ("/", "/%2F", f"/{PREFIX}%2FGOOD", "/%ff%00", "/" + "x" * 2_000):
        assert Message.decode(post(node, question(GOOD).encode(), path=path)[2]).code == 1


# --- messages that nobody knows ---


@pytest.mark.parametrize("name", ["kept", "tcp", "http", "udp"])
def test_an_operation_that_nobody_knows_is_refused_by_its_number(node: Node, name: str) -> None:
    """RC 5, 4 for the reserved 0; flags that nobody knows change nothing."""
    client = client_of(node, name)
    for op, code in ((0, 4), (3, 5), (199, 5), (999, 5), (2_000, 5), (0xFFFF_FFFF, 5)):
        for flags in (PLAIN, PLAIN | 0x000F_FFFF):
            reply = client.raw(op, bstr(GOOD), flags=flags)
            assert (reply.code, reply.op) == (code, op)


def test_compressed_messages_are_refused(node: Node) -> None:
    """Nobody ever defined how they are compressed."""
    octets = bytearray(question(GOOD).encode())
    octets[2] |= 0x80
    with line_to(node) as line:
        line.sendall(octets)
        (answer,) = answers_until_closed(line)
    assert answer.code == 4
    assert b"Compressed" in answer.body


def test_the_node_keeps_no_descriptor_of_a_connection_that_is_gone(node: Node) -> None:
    """Connections that end in the middle of anything leave nothing behind."""
    folder = Path(f"/proc/{node.children()['worker-0']}/fd")
    before = len(list(folder.iterdir()))
    for number in range(100):
        with line_to(node) as line:
            line.sendall((question(BIG, flags=PLAIN | Flag.KPAL).encode() * 5)[: number * 3 + 1])
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert client_of(node, "tcp").resolve(GOOD).code == 1
    assert len(list(folder.iterdir())) <= before + 2
