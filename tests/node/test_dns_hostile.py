"""A running node against DNS messages that are broken, foreign, forged or endless: it lives, and says little."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import dns.edns
import pytest

from core import limits
from core.wire.dns import Rcode
from tests.kit.dns import HOST, ask, framed, over_tcp, over_udp, rcode, read, unframed
from tests.kit.dns_noise import endure_dns, furnish, mutated, said
from tests.kit.node import Node
from tests.kit.spools import told

PREFIX = "88.118.7"
NAME = "7.99999.156.2.1.oid-res.org"
MUTANTS = 1_000
NOISE = 3_000
HEADER = bytes.fromhex("0001 0000 0001 0000 0000 0000")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("hostile") / "node", PREFIX) as made:
        furnish(made)
        yield made


@pytest.fixture(autouse=True)
def unharmed(node: Node) -> Iterator[None]:
    """After each test the same processes answer, and the log shows no failure."""
    before = node.children()
    yield
    assert node.children() == before
    for asked in (over_udp, over_tcp):
        assert rcode(asked(node.ready["dns"], ask(NAME))[0]) == "NOERROR"
    for sign in ("Traceback", "ERROR", "CRITICAL", "failed"):
        assert sign not in node.log(), node.log()[-3_000:]


@pytest.fixture
def line(node: Node) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.connect((HOST, node.ready["dns"]))
        opened.settimeout(20)
        yield opened


def mutants(count: int) -> list[bytes]:
    """Questions with octets changed, added, cut out or doubled; none has the number of the last."""
    chance = random.Random(20_260_731)
    seeds = [ask(NAME), ask(NAME, edns=0), ask("oid-res.org", "ANY", edns=0, want_dnssec=True), ask(NAME, "AXFR")]
    return [mutated(chance.choice(seeds), chance) for _ in range(count)]


def test_mutated_questions_by_udp(node: Node, line: socket.socket) -> None:
    """A thousand: each is answered by a message of DNS that is no flood, or not at all, and never as a failure."""
    sent = mutants(MUTANTS)
    longest = max(map(len, sent)) * limits.DNS_AMPLIFICATION_MAX
    codes = set()
    for answer in said(line, *sent):
        assert answer[2] & 0x80 and len(answer) <= min(longest, limits.DNS_UDP_BYTES)
        codes.add(Rcode(read(answer).rcode()))
    assert Rcode.FORMERR in codes
    assert Rcode.SERVFAIL not in codes


def test_mutated_questions_by_tcp(node: Node) -> None:
    """Some end their connection, none ends the worker; each that is answered is answered once."""
    sent = mutants(300)
    for start in range(0, len(sent), 10):
        answers = over_tcp(node.ready["dns"], *sent[start : start + 10])
        assert len(answers) <= 10
        assert Rcode.SERVFAIL not in {Rcode(read(each).rcode()) for each in answers}


def test_noise_between_what_is_right(node: Node, seed: int) -> None:
    """Recorded questions with wrong octets: answers can be read, are short, are of what was asked; the right ones too.

    `make soak` does it for long.
    """
    endured = endure_dns(node, NOISE, random.Random(seed))
    assert {"FORMERR", "NOTIMP", "NOERROR", "NXDOMAIN"} <= set(endured.codes)
    assert endured.right >= NOISE // 10


def test_octets_that_are_no_frames_by_tcp(node: Node) -> None:
    """A flood of anything: the connection is closed."""
    chance = random.Random(7)
    for _ in range(50):
        with socket.create_connection((HOST, node.ready["dns"]), 20) as line:
            try:
                line.sendall(chance.randbytes(20_000))
                line.shutdown(socket.SHUT_WR)
                while line.recv(65_535):
                    pass
            except (ConnectionResetError, BrokenPipeError, OSError):
                continue


LOOPS = {
    "to itself": b"\xc0\x0c",
    "to the header": b"\xc0\x00",
    "behind the end": b"\xff\xff",
    "in circles": b"\x01a\xc0\x0c",
    "back and forth": b"\x01a\xc0\x12\x00\x00\xc0\x0c",
    "half a pointer": b"\xc0",
}


@pytest.mark.parametrize("name", LOOPS.values(), ids=LOOPS)
def test_names_that_go_in_circles(line: socket.socket, name: bytes) -> None:
    """FORMERR, at once."""
    (answer,) = said(line, HEADER + name + b"\x00\x23\x00\x01")
    assert (answer[:2], answer[3] & 0x0F) == (b"\0\1", Rcode.FORMERR)


@pytest.mark.parametrize("name", [b"\x40" + bytes(64) + b"\0", b"\x3f" + b"a" * 63, (b"\x3f" + b"a" * 63) * 4 + b"\0"])
def test_names_that_are_too_long(line: socket.socket, name: bytes) -> None:
    """A label over 63 octets, one that is cut off, a name over 255."""
    (answer,) = said(line, HEADER + name + b"\x00\x23\x00\x01")
    assert answer[3] & 0x0F == Rcode.FORMERR


def test_the_longest_name_is_answered(line: socket.socket) -> None:
    """255 octets, below the zone."""
    zone = b"\x07oid-res\x03org\0"
    left = 255 - len(zone)
    name = (b"\x3f" + b"a" * 63) * (left // 64) + bytes([left % 64 - 1]) + b"b" * (left % 64 - 1) + zone
    assert len(name) == 255
    (answer,) = said(line, HEADER + name + b"\x00\x23\x00\x01")
    assert answer[3] & 0x0F == Rcode.NXDOMAIN


def test_an_answer_is_never_answered(line: socket.socket) -> None:
    """QR=1, whatever else: or two servers would talk in circles."""
    answers = []
    for seed in (ask(NAME), ask(NAME, edns=1), ask("example.org"), ask(NAME, rdclass="CH"), b"\0\1\0\0" + bytes(8)):
        for opcode in range(16):
            octets = bytearray(seed)
            octets[2] = 0x80 | opcode << 3
            answers.append(bytes(octets))
    assert said(line, *answers) == []
    assert said(line, *(bytes(size) for size in range(12))) == []


def test_every_type(node: Node, line: socket.socket) -> None:
    """Records or NODATA for those that records have, all logged; a refusal for the others, none logged."""
    with told(node) as new:
        codes: dict[int, set[str]] = {}
        for type_ in (*range(300), 32_768, 32_769, 65_280, 65_534, 65_535):
            (answer,) = said(line, ask(NAME, type_))
            codes.setdefault(read(answer).rcode(), set()).add(str(type_))
    meta = {str(type_) for type_ in range(128, 255)} - {"251", "252"}
    assert codes.pop(Rcode.NOTIMP) == meta | {"41"}
    assert codes.pop(Rcode.REFUSED) == {"251", "252"}
    resolved = codes.pop(Rcode.NOERROR)
    assert codes == {}
    assert len([each for each in new if each.identifier == b"oid:1.2.156.99999.7"]) == len(resolved)


def test_every_class(line: socket.socket) -> None:
    """There is nothing but the Internet."""
    for class_ in (0, *range(2, 6), 254, 255, 256, 65_535):
        octets = ask(NAME)
        (answer,) = said(line, octets[:-2] + class_.to_bytes(2))
        assert answer[3] & 0x0F == Rcode.REFUSED


@pytest.mark.parametrize("version", [1, 2, 255])
def test_later_versions_of_edns(line: socket.socket, version: int) -> None:
    """BADVERS, with ours in the OPT record; without the record."""
    (answer,) = said(line, ask(NAME, edns=version))
    found = read(answer)
    assert (found.rcode(), found.edns, len(found.answer)) == (Rcode.BADVERS, 0, 0)


def test_options_of_edns_are_passed_over(line: socket.socket) -> None:
    """Cookies, padding, client subnets, and any others."""
    options = [dns.edns.GenericOption(code, bytes(8)) for code in (8, 10, 12, 65_001)]
    (answer,) = said(line, ask(NAME, edns=0, options=options))
    found = read(answer)
    assert (found.rcode(), len(found.answer), found.options) == (Rcode.NOERROR, 1, ())


@pytest.mark.parametrize("size", [limits.DNS_QUERY_BYTES_MAX + 1, 2_049, 9_000, 60_000])
def test_a_question_that_is_too_long(node: Node, line: socket.socket, size: int) -> None:
    """FORMERR by UDP; by TCP its length ends the connection, behind what was asked before."""
    octets = ask(NAME, edns=0, options=[dns.edns.GenericOption(65_001, bytes(size))])
    (answer,) = said(line, octets)
    assert answer[3] & 0x0F == Rcode.FORMERR
    with socket.create_connection((HOST, node.ready["dns"]), 20) as stream:
        stream.sendall(framed(ask(NAME, number=5)) + len(octets).to_bytes(2))
        found = unframed(b"".join(iter(lambda: stream.recv(65_535), b"")))
        assert [read(each).id for each in found] == [5]


@pytest.mark.parametrize("opcode", [1, 2, 3, 4, 5, 6, 15])
def test_other_operations(line: socket.socket, opcode: int) -> None:
    """NOTIFY and UPDATE, too."""
    octets = bytearray(ask("oid-res.org", "SOA"))
    octets[2] = opcode << 3
    (answer,) = said(line, bytes(octets))
    assert (answer[2] >> 3 & 0x0F, answer[3] & 0x0F) == (opcode, Rcode.NOTIMP)


def test_more_connections_than_there_is_room_for(node: Node) -> None:
    """Those that are idle go; whoever asks is answered."""
    lines = []
    for _ in range(limits.DNS_CONNECTIONS_MAX + 50):
        lines.append(socket.create_connection((HOST, node.ready["dns"]), 20))
        if len(lines) % 100 == 0:
            assert rcode(over_tcp(node.ready["dns"], ask(NAME))[0]) == "NOERROR"
    assert rcode(over_tcp(node.ready["dns"], ask(NAME))[0]) == "NOERROR"
    for each in lines:
        each.close()
