"""The recorded exchanges of the binary protocol, cut into requests and answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.kit.handle_messages import Message, Site
from tests.kit.handle_proofs import decode_rsa_key
from tests.kit.vectors import load

DH = load("handle/dh_session.json")
ZERO = DH["leading_zero_case"]
MORE = load("handle/more.json")
EXCHANGES = {each["name"]: each for each in MORE["exchanges"] if each["transport"] == "tcp"}
RECORDS = load("handle/records.json")["records"]
PREFIX_VALUES = {value["index"]: bytes.fromhex(value["data_hex"]) for value in RECORDS["0.NA/88.9999.1"]}
SERVER_KEY = decode_rsa_key(Site.decode(PREFIX_VALUES[1]).servers[0].public_key)
UNANSWERED = ("op_2000", "op_2001", "op_999")
"""The reference answers an unknown op code with nothing of the request in it (details §6)."""


def pair(name: str) -> tuple[Message, Message]:
    each = EXCHANGES[name]
    return Message.decode(bytes.fromhex(each["request"])), Message.decode(bytes.fromhex(each["response"]))


def mac_key(name: str) -> bytes:
    """The session key that the note of an exchange tells; none where it tells none."""
    return bytes.fromhex("".join(re.findall(r"session key ([0-9a-f]{64})", EXCHANGES[name]["note"])))


class Turn(NamedTuple):
    """One request of a recorded flow with its answer, both as they were on the wire."""

    flow: str
    transport: str
    request: bytes
    answers: list[bytes]
    head: bytes


def turns() -> Iterator[Turn]:
    """The turns of every flow; of HTTP the bodies."""
    for flow in load("handle/flows_auth_session.json")["flows"]:
        turn: Turn | None = None
        for each in flow["messages"]:
            octets, head = bytes.fromhex(each["hex"]), b""
            if each["transport"] == "http":
                head, _, octets = octets.partition(b"\r\n\r\n")
            if each["direction"] == "response":
                assert turn is not None
                turn.answers.append(octets)
                continue
            if turn is not None:
                yield turn
            turn = Turn(flow["name"], each["transport"], octets, [], head)
        assert turn is not None
        yield turn


TURNS = list(turns())
