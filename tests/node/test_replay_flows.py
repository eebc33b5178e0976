"""The recorded flows of the reference client library, done again by rule at a real node.

Their keys and most of the state before them are not known. So each recorded request is read by our codecs, and the
same operation is done by our client: over the same transport, inside a session or not, challenged or not, with the
same kind of key. The answer is the recorded one but for ids, proofs and minted names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from core.wire import body as bodies
from core.wire.credential import decode_credential
from core.wire.envelope import decode_envelope
from core.wire.message import decode_message, encode_message
from core.wire.publickey import decode_public_key, encode_public_key
from tests.kit.handle_bench import OPERATOR, PLAIN, Bench, bench
from tests.kit.handle_client import Client, Http, Tcp, Udp
from tests.kit.handle_messages import Envelope, Flag, Message, Op, Reader, Reply, Value, admin_data, bstr, join_packets
from tests.kit.handle_proofs import Identity, RsaKey, SecretKey
from tests.kit.handle_recorded import TURNS, Turn
from tests.kit.handle_replay import anchors, bulk, differences, require_same_set_up, require_signed
from tests.kit.vectors import load, reference_records

OUTCOMES = {each["name"]: each["outcome"] for each in load("handle/flows_auth_session.json")["flows"]}
FLOWS: dict[str, list[Turn]] = {}
for _turn in TURNS:
    FLOWS.setdefault(_turn.flow, []).append(_turn)
SET_UPS = [turn for turn in TURNS if turn.transport == "udp"]
MINTED = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
ENCRYPTED = {
    "session_mode4_seckey_encrypted_add": "session_mode4_rsa_add",
    "session_mode4_seckey_encrypted_remove": "session_mode4_rsa_remove",
}
"""Flows whose requests nobody can read any more, and those that did the same clearly."""

PROOF_FIRST = "handle-protocol-proof-first-then-existence-then-right"
EXCEPTIONS = {
    "create_not_admin_tcp": (PROOF_FIRST, 403),
    "create_not_admin_http": (PROOF_FIRST, 403),
}
"""Heading of the divergence, and our code: 0.NA/88.9999.2 has no key 301 that could prove anything."""

WHOLE_LISTS = {"list_handles_100k_http": "lists-are-whole-over-http"}


def test_every_exception_has_its_heading() -> None:
    """In docs/standards/divergences.md; each is one."""
    assert {anchor for anchor, _ in EXCEPTIONS.values()} | set(WHOLE_LISTS.values()) <= anchors()
    for name, (_, code) in EXCEPTIONS.items():
        assert code_of(name) != code
    assert len(FLOWS) == len(OUTCOMES) == 67


def code_of(flow: str) -> int:
    return int(re.split("[/ ]", OUTCOMES[flow])[1])


# --- our codecs read every recorded request ---


@pytest.mark.parametrize("number", range(len(TURNS)), ids=lambda number: f"{number}-{TURNS[number].flow}")
def test_a_recorded_request_is_read_and_written_again(number: int) -> None:
    """Envelope, message, credential and body; encrypted ones as far as the envelope."""
    raw = TURNS[number].request
    envelope = decode_envelope(raw)
    assert envelope.length == len(raw) - 20
    if envelope.encrypted:
        return
    message = decode_message(raw[20:])
    assert encode_message(message) == raw[20:]
    if message.credential:
        assert decode_credential(message.credential).kind == "HS_MAC"
    match message.header.op:
        case Op.SESSION_SETUP:
            setup = bodies.decode_session_setup(message.body)
            assert bodies.encode_session_setup(setup) == message.body
            assert encode_public_key(decode_public_key(setup.key)) == setup.key
        case Op.ANSWER_CHALLENGE:
            assert bodies.encode_challenge_response(bodies.decode_challenge_response(message.body)) == message.body
        case Op.RESOLVE:
            assert bodies.encode_question(bodies.decode_question(message.body)) == message.body
        case Op.CREATE | Op.ADD_VALUES | Op.MODIFY_VALUES:
            assert bodies.encode_change(bodies.decode_change(message.body)) == message.body
        case Op.REMOVE_VALUES:
            assert bodies.encode_removal(bodies.decode_removal(message.body)) == message.body
        case _:
            assert bodies.encode_handle(bodies.decode_handle(message.body)) == message.body


# --- the flows ---


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    records = reference_records() | bulk(60)
    with bench(tmp_path_factory.mktemp("flows"), "88.9999.8", records=records, set_up=False) as made:
        yield made


@pytest.mark.parametrize("turn", SET_UPS, ids=lambda turn: turn.flow)
def test_a_recorded_set_up_is_answered_the_same(server: Bench, turn: Turn) -> None:
    """By UDP, as the stock client asked: all but the id and the server's own key, and signed."""
    udp = Udp("127.0.0.1", server.node.ready["handle"])
    answer = Message.decode(udp.exchange(turn.request)[0])
    want = join_packets(turn.answers)
    assert want is not None
    require_same_set_up(Message.decode(want), answer)
    require_signed(server.node, answer)
    assert len(udp.packets) == len(turn.answers)


def operation(flow: str) -> tuple[Message, bytes]:
    """The request of a flow that is neither set-up nor answer to a challenge, and the last recorded answer."""
    clear = FLOWS[ENCRYPTED.get(flow, flow)]
    requests = [Message.decode(turn.request) for turn in clear]
    (found,) = [each for each in requests if each.op not in (Op.SESSION_SETUP, Op.ANSWER_CHALLENGE)]
    return found, FLOWS[flow][-1].answers[-1]


def identity(server: Bench, flow: str) -> Identity:
    if "not_admin" in flow:
        return SecretKey("0.NA/88.9999.2", 301, b"salt-secret-key")
    if "rsa" in flow:
        return server.root
    return SecretKey(OPERATOR, 301, b"salt-secret-key")


def prepare(server: Bench, flow: str, request: Message) -> None:
    """What the flows before this one had done, as its name and outcome tell."""
    handle, code = Reader(request.body).text(), code_of(flow)
    if request.op in (Op.HOME, Op.UNHOME) and code == 1:
        act = server.admin.home if request.op == Op.UNHOME else server.admin.unhome
        assert act(handle).code in (1, 301)
    elif handle == "88.9999.1/MIXED" and request.op != Op.RESOLVE:
        add = server.admin.add_values if request.op == Op.REMOVE_VALUES else None
        if add is not None:
            assert add(handle, [Value(904, "DESC", b"s")], overwrite=True).code == 1
        else:
            assert server.admin.remove_values(handle, [904]).code in (1, 200)
    elif Op.CREATE <= request.op <= Op.MODIFY_VALUES and not request.flags & Flag.MINT:
        server.admin.delete(handle)
        if code != 100 and (request.op != Op.CREATE or code == 101 or request.flags & Flag.OVRW):
            held = [Value(1, "URL", b"u"), Value(100, "HS_ADMIN", admin_data(OPERATOR, 200))]
            if request.op == Op.MODIFY_VALUES or code == 201:
                held.append(Value(2, "EMAIL", b"x@salt.example"))
            server.put(handle, held)


def run(server: Bench, flow: str, request: Message) -> Reply:
    """Do the operation over the flow's transport, in a session if it was in one."""
    http = FLOWS[flow][-1].transport == "http"
    line = Http("127.0.0.1", server.node.ready["http"]) if http else Tcp("127.0.0.1", server.node.ready["handle"])
    client = Client(line, identity(server, flow))
    challenged = any(Envelope.decode(turn.request).session_id for turn in FLOWS[flow]) and len(FLOWS[flow]) > 1
    if request.session_id:
        assert client.open_session(encrypt=flow in ENCRYPTED, certify=bool(request.flags & Flag.CERT)).code == 1
        if not challenged:  # the flow went on in a session that was authenticated before it
            assert client.resolve("88.9999.1/MIXED", [4], public_only=False).code == 1
    reply = client.raw(request.op, request.body, flags=request.flags)
    assert (reply.challenge is not None) == challenged
    return reply


@pytest.mark.parametrize("flow", FLOWS)
def test_a_recorded_flow_ends_the_same(server: Bench, flow: str) -> None:
    """The same code; where the recorded answer can be read, every field of it."""
    request, raw = operation(flow)
    prepare(server, flow, request)
    reply = run(server, flow, request)
    answer = reply.answers[0]
    anchor, code = EXCEPTIONS.get(flow, ("", code_of(flow)))
    assert (reply.code, reply.op) == (code, request.op)
    assert answer.encrypted == Envelope.decode(raw).encrypted
    if answer.encrypted:
        return
    want = replace(Message.decode(raw), session_id=answer.session_id, request_id=answer.request_id)
    if anchor:
        want = replace(want, code=code)
    if request.flags & Flag.MINT:
        want, answer = (replace(each, body=MINTED.sub(b"UUID", each.body)) for each in (want, answer))
        want, answer = (replace(each, code=2, body=bstr(each.body)) for each in (want, answer))
    assert differences(want, answer) == []
    if flow in WHOLE_LISTS:
        assert len(reply.answers) > 1, f"no exception is needed any more: {WHOLE_LISTS[flow]}"
        assert len(reply.handles) > 50
    else:
        assert len(reply.answers) == 1


def test_an_identity_with_index_0_is_proven_by_any_key_and_named_by_nobody(server: Bench) -> None:
    """400 outside a session, as by the reference server; the set-up of `create_rsa_index0` was not recorded."""
    anyone = RsaKey(OPERATOR, 0, server.root.private_key)
    with Tcp("127.0.0.1", server.node.ready["handle"]) as line:
        reply = Client(line, anyone).create("88.9999.1/IDX0", [Value(1, "X", b"x")], flags=PLAIN)
    assert (reply.code, reply.message) == (400, "")
