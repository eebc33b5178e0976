"""Noise for the Handle protocol: octets from nowhere, and clients that never have the right secret."""

from __future__ import annotations

import random
import socket
from typing import NamedTuple

from core.store.run_store import CHALLENGE
from tests.kit.handle_messages import Envelope, Message, Op, bstr
from tests.kit.handle_node import (
    answers_until_closed,
    assert_unharmed,
    client_of,
    datagrams_to,
    dialogues_of,
    line_to,
    memory_bytes,
    question,
)
from tests.kit.handle_proofs import SecretKey
from tests.kit.node import Node

GROWTH_BYTES_MAX = 64 << 20
_LOOK = 1_000


def garbage(chance: random.Random, prefix: str) -> bytes:
    """One message: noise, an envelope with noise, or a valid message with wrong bits."""
    match chance.randrange(4):
        case 0:
            return chance.randbytes(chance.randrange(400))
        case 1:
            noise = chance.randbytes(chance.randrange(300))
            return Envelope((2, 11), (2, 11), chance.choice((0, 1, 2**32 - 1)), 9, 0, len(noise)).encode() + noise
        case 2:
            op, size = chance.choice([*Op, 302, 402, 1000, 1001, 2001]), chance.randrange(60)
            return Message(
                op, body=bstr(f"{prefix}/GOOD") + chance.randbytes(size), request_id=9, session_id=chance.choice((0, 5))
            ).encode()
    octets = bytearray(question(chance.choice((f"{prefix}/GOOD", f"0.NA/{prefix}", "0.SITE/status")), 9).encode())
    for _ in range(chance.randrange(1, 6)):
        octets[chance.randrange(len(octets))] = chance.randrange(256)
    return bytes(octets)


class Endured(NamedTuple):
    """What a node endured, and how much its worker grew by it."""

    messages: int
    wrong: int
    growth_bytes: int


def endure(node: Node, messages: int, wrong: int, chance: random.Random) -> Endured:
    """Send noise over UDP and TCP and answer challenges wrongly; the same processes must go on as if nothing was."""
    prefix = node.prefixes[0]
    before, processes = memory_bytes(node), node.children()
    with datagrams_to(node) as datagrams:
        for number in range(messages):
            octets = garbage(chance, prefix)
            if number % 2:
                datagrams.send(octets)
                continue
            with line_to(node) as line:
                line.sendall(octets)
                line.shutdown(socket.SHUT_WR)
                assert all(answer.code for answer in answers_until_closed(line)), octets
    client = client_of(node, "kept", SecretKey(f"0.NA/{prefix}", 301, b"wrong", 0x13))
    with dialogues_of(node) as store:
        for number in range(wrong):
            assert client.delete(f"{prefix}/GOOD").code == 403
            if number % _LOOK == 0:
                assert client_of(node, "udp").resolve(f"0.NA/{prefix}").code == 1
        assert store.count(CHALLENGE) <= messages
    assert node.children() == processes
    assert_unharmed(node)
    growth = memory_bytes(node) - before
    assert growth < GROWTH_BYTES_MAX
    return Endured(messages, wrong, growth)
