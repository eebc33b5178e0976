"""The tests' own Handle client: replays the recorded exchanges, sees broken answers, carries messages."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from tests.kit.handle_client import Client, Http, Lost, Tcp, Udp, read_message
from tests.kit.handle_messages import (
    PLAIN,
    BadMessage,
    Envelope,
    Flag,
    Message,
    Op,
    Reader,
    Reply,
    Value,
    bstr,
    decode_values,
    encode_values,
    join_packets,
    split_packets,
)
from tests.kit.handle_proofs import Credential, KeyExchange, SecretKey, Session
from tests.kit.handle_recorded import DH, EXCHANGES, SERVER_KEY, UNANSWERED, mac_key, pair


class Replay:
    """Answers each request by the recorded one, if it is octet for octet (after decryption) the recorded request."""

    flags = Flag(0)

    def __init__(
        self, recorded: list[tuple[bytes, bytes]], session: Callable[[], Session | None] = lambda: None
    ) -> None:
        self.recorded, self.session = recorded, session

    def exchange(self, raw: bytes, *, handle: str = "/", more: Callable[[bytes], bool] = bool) -> list[bytes]:
        request, answer = self.recorded.pop(0)
        session = self.session()
        assert Message.decode(raw, session) == Message.decode(request, session)
        assert raw[:20] == request[:20]
        assert not more(answer)
        return [answer]


def recorded(*names: str) -> list[tuple[bytes, bytes]]:
    by_name = {each["name"]: each for each in DH["messages"]}
    return [(bytes.fromhex(by_name[name]["request"]), bytes.fromhex(by_name[name]["response"])) for name in names]


def session_client(*names: str) -> tuple[Client, list[dict[str, int]]]:
    """A client that replays, and what each recorded request had in the fields that vary."""
    client = Client(
        Replay(recorded(*names), lambda: client.session),
        SecretKey("0.NA/88.9999.1", 301, DH["challenge_secret"].encode(), 0x13),
        server_key=SERVER_KEY,
        clock=lambda: 0,
    )
    session = Session(DH["session_id"], bytes.fromhex(DH["session_key_32"]))
    messages = [Message.decode(request, session) for request, _ in recorded(*names)]
    return client, [
        {
            "request_id": each.request_id,
            "expiration": each.expiration,
            "flags": each.flags & ~int(Flag.CERT | Flag.ENCR),
        }
        for each in messages
    ]


def email(index: int, text: bytes) -> list[Value]:
    return [Value(index, "EMAIL", text)]


def test_the_client_speaks_the_recorded_session() -> None:
    """Set-up, challenge, changes clear and encrypted, termination: the very requests that the reference took."""
    names = ["session_setup", "create_with_mac", "challenge_answer", "add_value_with_mac", "add_value_encrypted"]
    names += ["add_value_encrypted_no_ENCR", "counter_jump_up", "counter_zero", "no_mac", "read_private"]
    names += ["read_missing_encrypted", "terminate_no_mac", "terminate"]
    client, heads = session_client(*names)
    head = dict(zip(names, heads, strict=True))
    head["session_setup"]["flags"] |= Flag.CERT
    half = KeyExchange(int(DH["client_private_x"], 16))
    assert client.open_session(exchange=half, **head["session_setup"]).proof == "HS_SIGNED"
    session = client.session
    assert session is not None and (session.id, session.key.hex()) == (DH["session_id"], DH["session_key_32"])

    octets = Reader(Message.decode(recorded("create_with_mac")[0][0]).body)
    handle, values = octets.text(), list(decode_values(octets))
    request = client.prepare(Op.CREATE, encode_values(handle, values), **head["create_with_mac"])
    challenge = client.send(request)
    assert (challenge.code, challenge.proof) == (402, "HS_MAC")
    created = client.answer(request, challenge, **head["challenge_answer"])
    assert (created.code, created.op, created.handle, created.proof) == (1, Op.CREATE, "88.9999.1/DHS1", "HS_MAC")

    assert client.add_values(handle, email(2, b"a@salt.example"), **head["add_value_with_mac"]).code == 1
    session.encrypt = True
    encrypted = client.add_values(handle, email(3, b"b@salt.example"), **head["add_value_encrypted"])
    assert (encrypted.code, encrypted.proof, encrypted.answers[0].encrypted) == (1, "HS_MAC", True)
    session.ask_encrypted = False
    clear = client.add_values(handle, email(4, b"c@salt.example"), **head["add_value_encrypted_no_ENCR"])
    assert (clear.code, clear.answers[0].encrypted) == (1, False)
    session.encrypt = False
    assert client.modify_values(handle, email(2, b"d@salt.example"), counter=1000, **head["counter_jump_up"]).code == 1
    assert client.modify_values(handle, email(2, b"f@salt.example"), counter=0, **head["counter_zero"]).code == 1
    missing = client.modify_values(handle, email(2, b"g@salt.example"), credential=b"", **head["no_mac"])
    assert (missing.code, missing.message) == (404, "Session request missing MAC code.")

    session.certify = False
    read = {"counter": counter_of("read_private"), **head["read_private"]}
    private = client.resolve("88.9999.1/MIXED", [4], public_only=False, **read)
    assert (private.code, private.values[0].data, private.answers[0].encrypted) == (1, b"hidden", True)
    session.encrypt, session.ask_encrypted = True, None
    read = {"counter": counter_of("read_missing_encrypted"), **head["read_missing_encrypted"]}
    assert client.resolve("88.9999.1/NOSUCH", **read).code == 100
    session.encrypt, session.certify = False, True
    refused = client.close_session(credential=b"", **head["terminate_no_mac"])
    assert (refused.code, client.session) == (502, session)
    ended = client.close_session(counter=counter_of("terminate"), **head["terminate"])
    assert (ended.code, ended.proof, client.session) == (1, "HS_SIGNED", None)


def head_of(message: Message) -> dict[str, int]:
    """What a recorded request had in the fields that vary."""
    return {"request_id": message.request_id, "expiration": message.expiration, "flags": message.flags}


CHALLENGED = [name for name in EXCHANGES if f"{name}#answer" in EXCHANGES and b"/ADM" in pair(f"{name}#answer")[0].body]


@pytest.mark.parametrize("name", CHALLENGED)
def test_the_client_answers_recorded_challenges(name: str) -> None:
    """Outside a session: the very op 200 that the reference took, and its final answer under the original's op code."""
    request, answered = pair(name)[0], pair(f"{name}#answer")[0]
    octets = Reader(answered.body)
    octets.text()
    handle, index, proof = octets.text(), octets.signed(), octets.bstr()
    secret = b"wrong" if name.startswith("wrong") else f"k{index - 400}".encode()
    both = [EXCHANGES[each] for each in (name, f"{name}#answer")]
    replay = Replay([(bytes.fromhex(each["request"]), bytes.fromhex(each["response"])) for each in both])
    client = Client(replay, SecretKey(handle, index, secret, proof[0]), clock=lambda: 0)
    challenge = client.send(client.prepare(request.op, request.body, **head_of(request)))
    assert (challenge.code, challenge.op) == (402, request.op)
    final = client.answer(request, challenge, **head_of(answered))
    assert final.code != 402 and final.answers[0].session_id == 0


def counter_of(name: str) -> int:
    session = Session(0, bytes.fromhex(DH["session_key_32"]))
    return Credential.decode(Message.decode(recorded(name)[0][0], session).credential).counter


def one_answer(answer: Message, **changes: Any) -> Replay:
    """Answers anything by one message."""
    transport = Replay([])
    transport.exchange = lambda raw, **_: [replace(answer, **changes).encode()]  # type: ignore[method-assign]
    return transport


def asked_again(request: Message, transport: Replay, **options: Any) -> Reply:
    return Client(transport, clock=lambda: 0, server_key=SERVER_KEY, **options).send(request)


BROKEN: dict[str, Callable[[Message], dict[str, Any]]] = {
    "request id": lambda answer: {"request_id": answer.request_id + 1},
    "op code": lambda _: {"op": 2},
    "version": lambda _: {"version": (2, 3)},
    "suggested version": lambda _: {"suggested": (2, 3)},
    "session id": lambda _: {"session_id": 9},
    "expiration": lambda _: {"expiration": 0},
    "RECU": lambda answer: {"flags": answer.flags & ~int(Flag.RECU)},
    "digest asked": lambda answer: {"flags": answer.flags & ~int(Flag.RRDG), "body": answer.body[33:]},
    "certification asked": lambda _: {"credential": b""},
    "request digest": lambda answer: {"body": answer.body[:5] + bytes(28) + answer.body[33:]},
    "does not hold": lambda answer: {"expiration": answer.expiration + 1},
    "octets": lambda answer: {"body": answer.body + b"\0"},
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_answers_are_seen(what: str) -> None:
    request, answer = pair("hs_signed_v2.10")
    assert asked_again(request, one_answer(answer)).proof == "HS_SIGNED"
    with pytest.raises(BadMessage, match=what):
        asked_again(request, one_answer(answer, **BROKEN[what](answer)))


def test_a_wrong_session_mac_is_seen() -> None:
    """A wrong MAC, and a counter of the server that comes twice."""
    client, _ = session_client()
    client.session = Session(DH["session_id"], bytes.fromhex(DH["session_key_32"]))
    request, answer = (Message.decode(raw) for raw in recorded("add_value_with_mac")[0])
    assert client.check(request, answer, request).proof == "HS_MAC"
    with pytest.raises(BadMessage, match="counter 3"):
        client.check(request, answer, request)
    client.session.seen.clear()
    with pytest.raises(BadMessage, match="HS_MAC"):
        client.check(request, replace(answer, expiration=answer.expiration + 1), request)


def test_answers_keep_the_rules() -> None:
    """Ids, version, op code and flags of every recorded answer are what Client.check asks for."""
    client = Client(Replay([]), clock=lambda: 0, server_key=SERVER_KEY)
    checked = 0
    for name in EXCHANGES:
        request, answer = pair(name)
        if name in UNANSWERED or request.version > (2, 11) or request.op == Op.ANSWER_CHALLENGE:
            continue
        if b"HS_MAC" in answer.credential:
            if not mac_key(name):
                continue
            client.session = Session(answer.session_id, mac_key(name))
        client.check(request, answer, request)
        client.session = None
        checked += 1
    assert checked > 130


# --- transports ---


def message_of(size: int, **fields: Any) -> Message:
    return Message(Op.LIST_HANDLES, 1, body=bstr(bytes(size)), **fields)


def test_packets_in_any_order() -> None:
    """Slices of 492 octets, bit 5 in each envelope; missing ones are waited for, false ones refused (§2.1)."""
    assert len(split_packets(message_of(492 - 32).encode())) == 1
    raw = message_of(3000, request_id=5).encode()
    packets = split_packets(raw)
    assert [len(packet) for packet in packets] == [512] * 6 + [len(raw) - 20 - 6 * 492 + 20]
    assert all(Envelope.decode(packet).length == len(raw) - 20 for packet in packets)
    assert join_packets(packets[::-1]) == raw
    assert join_packets([*packets[::2], packets[0], *packets[1::2]]) == raw
    assert join_packets(packets[1:]) is None
    assert join_packets([]) is None
    with pytest.raises(BadMessage, match="differ"):
        join_packets([packets[0], split_packets(message_of(3000, request_id=6).encode())[1]])
    with pytest.raises(BadMessage, match="two different"):
        join_packets([packets[0], packets[0][:-1] + b"x"])


@contextlib.contextmanager
def peer(work: Callable[[], None]) -> Iterator[None]:
    """Something on the other side for a moment."""
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(10)
    assert not thread.is_alive()


def listing(more: bool, *handles: str) -> bytes:
    body = len(handles).to_bytes(4) + b"".join(map(bstr, handles))
    return Message(Op.LIST_HANDLES, 1, PLAIN | more * Flag.CONT, body).encode()


def test_udp_takes_packets_as_they_come() -> None:
    """A request of several packets goes out, an answer comes in backwards; what is not whole is Lost."""
    request, answer = message_of(600).encode(), message_of(1200).encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))

        def work() -> None:
            packets = [line.recvfrom(1000) for _ in range(2)]
            assert join_packets([packet for packet, _ in packets]) == request
            for packet in split_packets(answer)[::-1]:
                line.sendto(packet, packets[0][1])

        transport = Udp("127.0.0.1", line.getsockname()[1])
        with peer(work):
            assert transport.exchange(request) == [answer]
        assert [Envelope.decode(packet).sequence for packet in transport.packets] == [2, 1, 0]
        transport.timeout_s = 0.05
        with pytest.raises(Lost, match="0 packets"):
            transport.exchange(request)


@pytest.mark.parametrize(("keep", "connections"), [(False, 2), (True, 1)])
def test_tcp_keeps_its_connection_if_told(keep: bool, connections: int) -> None:
    """Lists come in several messages until one is without CONT; KPAL is asked for by `keep`."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def work() -> None:
            for _ in range(connections):
                line, _ = server.accept()
                with line, line.makefile("rb") as stream:
                    for _ in range(2 // connections):
                        request = Message.decode(read_message(stream.read))
                        assert bool(request.flags & Flag.KPAL) == keep
                        line.sendall(listing(True, "a", "b") + listing(False, "c"))

        with peer(work), Tcp("127.0.0.1", server.getsockname()[1], keep=keep) as transport:
            client = Client(transport, check=False)
            assert client.list_handles("0.NA/88").handles == ("a", "b", "c")
            assert client.list_handles("0.NA/88").raw == (listing(True, "a", "b"), listing(False, "c"))
            assert transport.connections == connections


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers by a list of two messages, and notes how it was asked."""

    asked: ClassVar[list[tuple[str, str | None, str | None]]] = []
    answer = b""

    def do_POST(self) -> None:
        self.asked.append((self.path, self.headers["Accept"], self.headers["Content-Type"]))
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-hdl-message")
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_http_posts_to_the_handle() -> None:
    """Both media types, the handle percent-encoded; a list that ends in CONT is refused."""
    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        client = Client(Http("127.0.0.1", server.server_port), check=False)
        Answering.answer = listing(True, "a") + listing(False, "b")
        with peer(server.handle_request):
            assert client.list_handles("0.NA/88.盐 1").handles == ("a", "b")
        assert Answering.asked == [("/0.NA%2F88.%E7%9B%90%201", *["application/x-hdl-message"] * 2)]
        Answering.answer = listing(True, "a")
        with peer(server.handle_request), pytest.raises(BadMessage, match="CONT"):
            client.list_handles("0.NA/88")
