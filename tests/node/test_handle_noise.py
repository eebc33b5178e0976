"""A running node against noise over TCP and HTTP: octets from nowhere, and bodies by somebody who may do all."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest

from core.wire.codepoints import OpCode
from tests.kit.handle_messages import ENVELOPE_BYTES, PLAIN, Envelope, Flag, Message, Op, Value, bstr, encode_values
from tests.kit.handle_node import (
    administrator,
    answers_until_closed,
    assert_unharmed,
    client_of,
    line_to,
    memory_bytes,
    record,
    rsa_key,
)
from tests.kit.node import Node
from tests.kit.noise import garbage

PREFIX = "88.118.7"
GOOD = f"{PREFIX}/GOOD"
MEDIA = {"Accept": "application/x-hdl-message", "Content-Type": "application/x-hdl-message"}
ANSWER_BYTES_MAX = 20_000  # the longest record of this node, and some
GROWTH_BYTES_MAX = 48 << 20


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("noise") / "node", PREFIX)
    with made:
        assert made.put(GOOD, record(made, "https://a.example")).status == 201
        yield made


@pytest.fixture(autouse=True)
def unharmed(node: Node) -> Iterator[None]:
    """After each test the same processes answer, and the log shows no failure."""
    before = node.children()
    yield
    assert node.children() == before
    assert_unharmed(node)


@pytest.mark.parametrize("name", ["tcp", "http"])
def test_noise_never_harms_the_node(node: Node, name: str) -> None:
    """500 messages: each answer is whole and bounded, the memory too; the seed is in the failure's message."""
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    before = memory_bytes(node)
    for _ in range(500):
        octets = garbage(chance, PREFIX)
        if name == "http":
            reply = node.ask("POST", "/x", octets, MEDIA)
            assert reply.status in (200, 400), (seed, octets)
            assert len(reply.body) < ANSWER_BYTES_MAX
            if reply.status == 200:
                assert Envelope.decode(reply.body).length == len(reply.body) - ENVELOPE_BYTES, (seed, octets)
            continue
        with line_to(node) as line:
            line.sendall(octets)
            line.shutdown(socket.SHUT_WR)
            for answer in answers_until_closed(line):
                assert len(answer.body) < ANSWER_BYTES_MAX
                assert answer.code, (seed, octets)
    assert memory_bytes(node) - before < GROWTH_BYTES_MAX, seed


def body_of(node: Node, chance: random.Random) -> bytes:
    """The body of some operation, as it should be or with wrong octets."""
    name = chance.choice((GOOD, f"{PREFIX}/NEW", f"0.NA/{PREFIX}.1", "0.NA/99.1", f"{PREFIX}/", "", "/", "\0"))
    kind = chance.choice(("URL", "HS_VLIST", "HS_SITE", "", "HS_NAMESPACE"))
    data, permissions = chance.randbytes(chance.randrange(20)), chance.randrange(256)
    values = [Value(chance.randrange(-2, 5), kind, data, permissions=permissions), administrator(node)]
    made = bytearray(
        chance.choice((
            encode_values(name, values),
            bstr(name) + chance.randrange(3).to_bytes(4) + (1).to_bytes(4) * 2,
            bstr("HS_SECKEY") + bstr(name) + bytes(4) + bstr(b"x"),
            bstr(name) + bytes(4) + bstr(b"n") + bstr(b"d") + bstr(b"\1"),
            (4).to_bytes(2) + bytes(4) + bstr(name) + bytes(4) + bstr(b"DH_PUB_KEY"),
            bstr(name),
            b"",
        ))
    )  # fmt: skip
    for _ in range(chance.choice((0, 0, 1, 3))):
        if made:
            made[chance.randrange(len(made))] = chance.randrange(256)
    return bytes(made)


@pytest.mark.parametrize("name", ["kept", "http"])
def test_noise_by_an_administrator_never_harms_the_node(node: Node, name: str) -> None:
    """600 requests of every operation in a session that may do all: none fails in the node, whatever it is called."""
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    client = client_of(node, name, rsa_key(node))
    assert client.open_session().code == 1
    assert client.delete(f"{PREFIX}/NONE").code == 100
    operations = [int(op) for op in OpCode if op not in (OpCode.SESSION_TERMINATE, OpCode.CHALLENGE_RESPONSE)]
    codes = set()
    for _ in range(600):
        op, body = chance.choice(operations), body_of(node, chance)
        flags = PLAIN & ~chance.choice((0, int(Flag.PUBL))) | chance.choice((0, Flag.OVRW, Flag.MINT, Flag.RRDG))
        client.checks = op != Op.SESSION_SETUP
        raw = client.transport.exchange(client.prepare(op, body, flags=int(flags)).encode())
        for each in raw:
            answer = Message.decode(each, client.session)
            assert answer.code not in (0, 2), (seed, op, body, answer)
            codes.add(answer.code)
    assert {1, 4, 5, 100, 102, 301} <= codes, codes
    assert client.resolve(f"0.NA/{PREFIX}", public_only=False).code == 1, seed
