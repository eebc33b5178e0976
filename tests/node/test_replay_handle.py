"""The recorded exchanges of the binary protocol, replayed octet by octet over TCP, UDP and HTTP at a real node.

Sets a (0.NA is elsewhere), b, c, d (0.NA is here) and e (the first of three servers). Every field of an answer is
equal but for those that vary from run to run (see tests/kit/handle_replay.py) and the exceptions of one table.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from core import limits
from tests.kit.handle_client import Lost, Tcp, Udp, answer_version
from tests.kit.handle_messages import Flag, Message, decode_reply, split_packets
from tests.kit.handle_proofs import request_digest
from tests.kit.handle_replay import (
    ANSWER_S,
    Turn,
    anchors,
    ask,
    asked,
    bulk,
    differences,
    http_fields,
    recorded,
    reference_node,
    require_signed,
)
from tests.kit.node import Node
from tests.kit.vectors import load, reference_records

UDP_ANSWER_BYTES = limits.UDP_ANSWER_BYTES
SETS = {
    "a_tcp": "set_a_no_upstream_tcp",
    "a_udp": "set_a_no_upstream_udp",
    "b_tcp": "set_b_root_homed_tcp",
    "b_udp": "set_b_root_homed_udp",
    "b_http": "set_b_root_homed_http",
    "c_tcp": "set_c_suggest_equals_version_tcp",
    "c_udp": "set_c_suggest_equals_version_udp",
    "c_http": "set_c_suggest_equals_version_http",
    "d_tcp": "set_d_suggest_zero_tcp",
    "d_udp": "set_d_suggest_zero_udp",
    "d_http": "set_d_suggest_zero_http",
}
TURNS = {(key, name): turn for key, file in SETS.items() for name, turn in recorded(file).items()}
THREE = load("handle/set_e_three_server_site_tcp.json")["exchanges"]


# --- what differs on purpose ---

COPIED = Flag.CERT | Flag.CACR | Flag.ENCR | Flag.PUBL | Flag.RRDG | Flag.DNRF | Flag.MINT


def as_any_answer(request: Message, answer: Message) -> Message:
    """The recorded text and code in an answer to this very request."""
    version = answer_version(request)
    flags = Flag.AUTH | Flag.RECU | request.flags & COPIED
    body = answer.body
    if flags & Flag.RRDG:
        algorithm = 3 if version >= (2, 7) else 2
        body = bytes((algorithm,)) + request_digest(request, algorithm) + body
    return replace(answer, version=version, request_id=request.request_id, serial=1, flags=int(flags), body=body)


def as_at_the_root(name: str) -> Callable[[Message, Message], Message]:
    """The answer that set b has under the same name, to the request of set a."""

    def mend(request: Message, _: Message) -> Message:
        return replace(Message.decode(TURNS["b_tcp", name].answer), request_id=request.request_id)

    return mend


class Difference(NamedTuple):
    """An exception: heading of the divergence, and what ours answers, made from request and recorded answer."""

    anchor: str
    mend: Callable[[Message, Message], Message]


OWN_ID = "errors-carry-the-clients-own-request-id"
PREFIX_HANDLES = "prefix-handles-are-answered-for-every-homed-prefix"
BOUNDED = "answers-by-udp-are-bounded"

ADMINISTRATIVE_BY_UDP = {
    "a_udp": "add_value_challenge backup_noauth create_bad_index0 create_challenge_v2.1 create_challenge_v2.3 "
    "create_foreign_prefix home_na_not_na list_nas_noauth modify_missing_index modify_public_write_value "
    "remove_missing",
    "b_udp": "add_value_challenge backup_noauth create_bad_index0 create_challenge_v2.1 create_challenge_v2.3 "
    "create_challenge_v2.11 create_foreign_prefix home_na_not_na list_handles_noauth list_nas_noauth "
    "modify_missing_index modify_public_write_value remove_missing",
    "c_udp": "create_challenge_v2.1 create_challenge_v2.3",
    "d_udp": "create_challenge_v2.1 create_challenge_v2.3",
}
EXCEPTIONS: dict[tuple[str, str], Difference] = {
    **{
        (key, name): Difference(OWN_ID, as_any_answer)
        for key, names in ADMINISTRATIVE_BY_UDP.items()
        for name in names.split()
    },
    **{
        (key, name): Difference(PREFIX_HANDLES, as_at_the_root(name))
        for key in ("a_tcp", "a_udp")
        for name in ("resolve_prefix_handle", "resolve_prefix_handle_lower", "verify_auth_true_sha1")
    },
}
TRUNCATED = {("b_udp", "resolve_huge_100k"): BOUNDED}
"""Answers of which only the first packets come."""

UNANSWERED = {
    ("a_tcp", "resolve_not_found"): 100,
    ("a_udp", "resolve_not_found"): 100,
    ("a_tcp", "resolve_template_hit"): 100,
    ("a_udp", "resolve_template_hit"): 100,
    ("a_tcp", "create_challenge_v2.1"): 402,
    ("a_tcp", "create_challenge_v2.3"): 402,
}
"""Where the reference server waits for the root and answers nothing; what ours answers at once."""


def test_every_exception_has_its_heading() -> None:
    """In docs/standards/divergences.md, and it names an exchange that there is."""
    cited = {difference.anchor for difference in EXCEPTIONS.values()} | set(TRUNCATED.values())
    assert cited <= anchors()
    assert set(EXCEPTIONS) | set(TRUNCATED) <= set(TURNS)


def test_all_recorded_exchanges_are_there() -> None:
    """None got lost on the way; those without an answer are known."""
    assert len(TURNS) == 53 + 52 + 3 * 65 + 6 * 16
    assert {key for key, turn in TURNS.items() if not turn.answer} == set(UNANSWERED)


# --- the nodes ---


@pytest.fixture(scope="module")
def below_a_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Set a: 0.NA is elsewhere, so there is no template of 88.9999.2."""
    above = ("0.NA/88.9999.2", "0.NA/88.9999.3")
    records = {handle: values for handle, values in reference_records().items() if handle not in above}
    folder = tmp_path_factory.mktemp("below")
    with reference_node(folder, "88.9999.1", "88.9999.2", records=records | bulk(3)) as node:
        yield node


@pytest.fixture(scope="module")
def at_the_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Sets b, c, d."""
    prefixes = ("88.9999.1", "88.9999.2", "88.9999.3")
    folder = tmp_path_factory.mktemp("root")
    with reference_node(folder, *prefixes, records=reference_records() | bulk(3), handle__root=True) as node:
        yield node


@pytest.fixture(scope="module")
def first_of_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Set e."""
    folder = tmp_path_factory.mktemp("three")
    doors = [{"query": True, "admin": True, "protocol": "TCP", "port": 2641}]
    servers = [{"serverId": number, "address": "10.0.0.1", "interfaces": doors} for number in (1, 2, 3)]
    (folder / "three.json").write_text(json.dumps({"version": 1, "serialNumber": 1, "servers": servers}))
    own = {each["handle"].upper() for each in THREE if each["responseCode"] == 1}
    records = {handle: values for handle, values in bulk(120).items() if handle in own}
    with reference_node(folder, "88.9999.1", records=records, handle__site="../three.json") as node:
        yield node


@pytest.fixture
def node(request: pytest.FixtureRequest, key: str) -> Node:
    found: Node = request.getfixturevalue("below_a_root" if key.startswith("a_") else "at_the_root")
    return found


# --- replaying ---


def of(keys: Any) -> Any:
    return pytest.mark.parametrize(("key", "name"), list(keys), ids="-".join)


def transport_of(key: str) -> str:
    return key.partition("_")[2]


@of(place for place, turn in TURNS.items() if turn.answer and place not in TRUNCATED)
def test_the_reference_exchange_is_answered_the_same(node: Node, key: str, name: str) -> None:
    """Field by field, in as many packets, behind the same HTTP headers."""
    turn, transport = TURNS[key, name], transport_of(key)
    got = ask(node, transport, turn)
    want, answer = Message.decode(turn.answer), Message.decode(got.answer)
    require_signed(node, answer)
    assert abs(answer.expiration - time.time() - ANSWER_S) < 60
    exception = EXCEPTIONS.get((key, name))
    if exception is None:
        assert differences(want, answer) == []
        assert len(got.packets) == len(turn.packets)
    else:
        assert differences(want, answer), f"no exception is needed any more: {exception.anchor}"
        assert differences(exception.mend(asked(transport, turn), want), answer) == []
    assert http_fields(got.head) == http_fields(turn.head)


@of(UNANSWERED)
def test_where_the_reference_stalls_ours_answers_at_once(node: Node, key: str, name: str) -> None:
    """A missing handle, a template of a prefix that has none here, a new handle: nobody waits for the root."""
    turn = TURNS[key, name]
    request, answer = asked(transport_of(key), turn), Message.decode(ask(node, transport_of(key), turn).answer)
    reply = decode_reply(answer)
    assert (reply.code, reply.op, reply.message) == (UNANSWERED[key, name], request.op, "")
    if ("b_tcp", name) in TURNS and name != "resolve_template_hit":  # with a root it is the same, and recorded
        want = Message.decode(TURNS["b_tcp", name].answer)
        assert differences(replace(want, request_id=request.request_id), answer) == []


@of(TRUNCATED)
def test_of_a_long_answer_by_udp_the_first_packets_come(node: Node, key: str, name: str) -> None:
    """They are those of the reference server, and tell how long the whole is."""
    turn = TURNS[key, name]
    udp = Udp("127.0.0.1", node.ready["handle"], timeout_s=1)
    with pytest.raises(Lost):
        udp.exchange(turn.request)
    count = UDP_ANSWER_BYTES // 512
    assert len(udp.packets) == count < len(turn.packets)
    want = list(turn.packets[:count])
    expiration = slice(20 + 16, 20 + 20)
    mended = bytearray(want[0])
    mended[expiration] = udp.packets[0][expiration]
    assert udp.packets == [bytes(mended), *want[1:]]
    with Tcp("127.0.0.1", node.ready["handle"]) as line:
        assert split_packets(line.exchange(turn.request)[0])[1:count] == want[1:]


@pytest.mark.parametrize("position", range(len(THREE)), ids=lambda position: THREE[position]["handle"])
def test_one_server_of_three_answers_for_its_share(first_of_three: Node, position: int) -> None:
    """Set e: 301 for what the hash gives to the others."""
    exchange = THREE[position]
    turn = Turn(bytes.fromhex(exchange["request"]), bytes.fromhex(exchange["response"]))
    answer = Message.decode(ask(first_of_three, "tcp", turn).answer)
    assert differences(Message.decode(turn.answer), answer) == []
    assert answer.code == exchange["responseCode"]
