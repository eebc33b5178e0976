"""DNS behind the transports: what is answered, dropped, cut, remembered and logged."""

from __future__ import annotations

from typing import Any

import dns.edns
import dns.opcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.errors import Outcome, StoreError
from core.events import Via
from core.store.engine import Batch, Table
from core.store.memory_engine import MemoryEngine
from core.store.zone_row import ZONE_KEY
from core.wire.dns import NotPlain
from node.dns_service import DnsService
from node.turn import Turn
from tests.kit.dns import StandInZones, answers, ask, is_cut, rcode, read
from tests.kit.logs import MemorySpool

PEER = bytes.fromhex("0fa0c0000201")
NAMES = ["n1.test", "n3.test", "N3.TeSt", "n40.test", "none.test", "other.example", "test", ".", "fail.test"]


class Desk:
    """A service, what it logged and counted, and the store behind it."""

    def __init__(self, via: Via = Via.DNS_UDP, udp_bytes: int | None = limits.DNS_UDP_BYTES) -> None:
        self.store = MemoryEngine()
        self.spool = MemorySpool()
        self.changes = 0
        self.now_s = 100.0
        self.turn = Turn(self.spool, lambda *_: None, lambda: None, lambda: self.now_s, lambda end: None)
        self.counted: list[int] = []
        self.service = DnsService(
            self.store, StandInZones(), self.turn, via,  # type: ignore[arg-type] # what is asked of zones
            udp_bytes=udp_bytes, observe=self.counted.append,
        )  # fmt: skip

    def ask(self, *messages: bytes) -> list[bytes | None]:
        found = answers(self.service, *messages, peer=PEER)
        self.turn.end()
        return found

    def one(self, message: bytes) -> bytes:
        (found,) = self.ask(message)
        assert found is not None
        return found

    def add(self, name: bytes) -> None:
        batch = Batch()
        self.changes += 1
        batch.put(Table.META, b"extra", name)
        batch.put(Table.META, ZONE_KEY, self.changes.to_bytes(8))
        self.store.commit(batch)


@pytest.fixture
def desk() -> Desk:
    return Desk()


# --- answers ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "type_", "wanted", "outcome"),
    [
        ("n2.test", "NAPTR", "NOERROR", Outcome.OK),
        ("n2.test", "TXT", "NOERROR", Outcome.NO_VALUES),
        ("none.test", "NAPTR", "NXDOMAIN", Outcome.HANDLE_NOT_FOUND),
        ("example", "NAPTR", "REFUSED", Outcome.NOT_RESPONSIBLE),
    ],
)
def test_a_question_of_class_in_is_answered_and_logged(
    desk: Desk, name: str, type_: str, wanted: str, outcome: Outcome
) -> None:
    """As the zones say; the log has the identifier that they name, and by which transport it was asked."""
    answer = desk.one(ask(name, type_, 77))
    assert (rcode(answer), read(answer).id) == (wanted, 77)
    assert desk.spool.rows == [(Via.DNS_UDP, outcome.value, PEER, name.encode(), "")]
    assert desk.counted == [read(answer).rcode()]


REFUSED: dict[str, tuple[bytes, str]] = {
    "class CH": (ask("version.bind", "TXT", rdclass="CH"), "REFUSED"),
    "class ANY": (ask("n1.test", rdclass="ANY"), "REFUSED"),
    "type OPT": (ask("n1.test", "OPT"), "NOTIMP"),
    "type MAILA": (ask("n1.test", "MAILA"), "NOTIMP"),
    "type TKEY": (ask("n1.test", "TKEY"), "NOTIMP"),
    "EDNS 1": (ask("n1.test", edns=1), "BADVERS"),
    "too long": (ask("n1.test", edns=0, options=[dns.edns.GenericOption(65_001, bytes(1_024))]), "FORMERR"),
}


@pytest.mark.parametrize(("message", "wanted"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_resolution_is_refused_and_not_logged(desk: Desk, message: bytes, wanted: str) -> None:
    assert rcode(desk.one(message)) == wanted
    assert desk.spool.rows == []
    assert len(desk.counted) == 1


@pytest.mark.parametrize("opcode", [1, 2, 4, 5, 15])
def test_another_operation_is_not_implemented(desk: Desk, opcode: int) -> None:
    """NOTIFY and UPDATE, too: the opcode is echoed."""
    message = bytearray(ask("n1.test"))
    message[2] = opcode << 3
    answer = desk.one(bytes(message))
    assert (answer[2] >> 3 & 0x0F, answer[3] & 0x0F) == (opcode, 4)


@pytest.mark.parametrize("type_", ["AXFR", "IXFR"])
def test_a_transfer_is_for_others_or_refused(desk: Desk, type_: str) -> None:
    message = ask("test", type_)
    with pytest.raises(NotPlain):
        desk.ask(message)
    assert rcode(desk.service.refuse(message)) == "REFUSED"


def test_an_answer_is_never_answered(desk: Desk) -> None:
    """Nor is what has no header, nor an answer to a question that is remembered."""
    message = bytearray(ask("n1.test"))
    desk.one(bytes(message))
    message[2] |= 0x80
    assert desk.ask(bytes(message), b"", b"\0", bytes(11)) == [None] * 4
    assert len(desk.spool.rows) == 1


def test_a_failure_is_servfail_and_not_remembered(desk: Desk) -> None:
    """A fault of ours, too: nothing of it is shown."""
    for _ in range(2):
        assert rcode(desk.one(ask("fail.test"))) == "SERVFAIL"
    assert desk.spool.rows == []


def test_a_store_that_cannot_be_read_is_servfail(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of what is remembered, until it can be read again."""

    def fails() -> Any:
        raise StoreError("away")

    assert rcode(desk.one(ask("n1.test"))) == "NOERROR"
    with monkeypatch.context() as patched:
        patched.setattr(desk.store, "snapshot", fails)
        assert rcode(desk.one(ask("n1.test"))) == "SERVFAIL"
    assert rcode(desk.one(ask("n1.test"))) == "NOERROR"
    assert len(desk.spool.rows) == 2


# --- the log ------------------------------------------------------------------


def test_while_the_log_is_full_nothing_is_resolved(desk: Desk) -> None:
    """SERVFAIL, also of what is remembered; with room the first question is answered, by an entry of its own."""
    desk.one(ask("n1.test"))
    desk.spool.full = True
    desk.ask(ask("n1.test"))  # its front is told to hold it back
    assert not desk.turn.writable
    for name in ("n1.test", "n2.test", "n1.test"):
        assert rcode(desk.one(ask(name))) == "SERVFAIL"
    desk.spool.full = False
    writes = desk.spool.writes
    found = desk.ask(*[ask("n1.test")] * 3)
    assert [rcode(each or b"") for each in found] == ["NOERROR"] * 3
    assert (len(desk.spool.rows), desk.spool.writes) == (4, writes + 3)
    assert desk.turn.writable
    desk.ask(*[ask("n1.test")] * 3)
    assert (len(desk.spool.rows), desk.spool.writes) == (7, writes + 4)


# --- length -------------------------------------------------------------------


def test_an_answer_by_udp_has_bounds(desk: Desk) -> None:
    """512 octets without EDNS, what the client takes with it, and ours; beyond them it is empty and says TC."""
    one = len(desk.one(ask("n1.test")))
    assert one < limits.DNS_PLAIN_UDP_BYTES
    for edns, bufsize, longest in ((-1, 0, 512), (0, 100, 512), (0, 700, 700), (0, 65_535, limits.DNS_UDP_BYTES)):
        whole = cut = 0
        for count in range(1, 60):
            message = ask(f"n{count}.test", edns=edns, bufsize=bufsize)
            answer = desk.one(message)
            assert len(answer) <= min(longest, limits.DNS_AMPLIFICATION_MAX * len(message))
            found = read(answer)
            if is_cut(answer):
                cut += 1
                assert not (found.answer or found.authority or found.additional)
            else:
                whole += 1
                assert len(found.answer[0]) == count
        assert whole and cut


def test_over_tcp_an_answer_is_whole() -> None:
    desk = Desk(Via.DNS_TCP, None)
    answer = desk.one(ask("n200.test"))
    assert not is_cut(answer)
    assert len(read(answer).answer[0]) == 200
    assert desk.spool.rows[0][0] is Via.DNS_TCP


@given(
    count=st.integers(1, 80), edns=st.booleans(), bufsize=st.integers(0, 65_535), padding=st.integers(0, 300),
    udp_bytes=st.integers(limits.DNS_PLAIN_UDP_BYTES, limits.DNS_UDP_BYTES_MAX),
)  # fmt: skip
def test_nobody_is_flooded_through_us(count: int, edns: bool, bufsize: int, padding: int, udp_bytes: int) -> None:
    """An answer is at most DNS_AMPLIFICATION_MAX times its question, else it is no longer than that and says TC."""
    options = [dns.edns.GenericOption(65_001, bytes(padding))] if edns else []
    message = ask(f"n{count}.test", edns=0 if edns else -1, bufsize=bufsize, options=options)
    answer = Desk(udp_bytes=udp_bytes).one(message)
    assert len(answer) <= limits.DNS_AMPLIFICATION_MAX * len(message)
    assert len(answer) <= udp_bytes
    if is_cut(answer):
        assert len(answer) <= len(message)


# --- the quick way ------------------------------------------------------------


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Questions, most of them plain; some with an octet changed."""
    octets = bytearray(ask(
        draw(st.sampled_from(NAMES)), draw(st.sampled_from(["NAPTR", "SOA", "ANY", "TXT", "MAILB"])),
        draw(st.integers(0, 65_535)), edns=draw(st.sampled_from([-1, 0, 1])),
        bufsize=draw(st.sampled_from([0, 512, 1_232])), want_dnssec=draw(st.booleans()),
        rdclass=draw(st.sampled_from(["IN", "IN", "IN", "CH"])),
    ))  # fmt: skip
    if draw(st.booleans()):
        octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
    return bytes(octets)


@pytest.mark.parametrize("udp_bytes", [None, limits.DNS_UDP_BYTES])
@given(asked=st.lists(messages(), max_size=20), change=st.integers(0, 20))
def test_the_quick_way_says_what_the_long_way_says(udp_bytes: int | None, asked: list[bytes], change: int) -> None:
    """The same octets, log and counts: one that remembers, against one a question that knows nothing.

    Each is asked twice; in between, once, the store changes.
    """
    desk = Desk(udp_bytes=udp_bytes)
    rows: list[Any] = []
    counted: list[int] = []
    for place, message in enumerate([*asked, *asked]):
        if place == change:
            desk.add(b"none")
        fresh = Desk(udp_bytes=udp_bytes)
        fresh.store = desk.store
        fresh.service._store = desk.store  # the same rows
        assert outcome(desk, message) == outcome(fresh, message)
        rows += fresh.spool.rows
        counted += fresh.counted
    assert desk.spool.rows == rows
    assert desk.counted == counted


def outcome(desk: Desk, message: bytes) -> object:
    try:
        return desk.ask(message)
    except NotPlain:
        return NotPlain


def test_a_change_is_seen_by_the_next_question(desk: Desk) -> None:
    """What is remembered holds until a zone changes; what else is written leaves it be."""
    assert rcode(desk.one(ask("new.test"))) == "NXDOMAIN"
    batch = Batch()
    batch.put(Table.RECORDS, b"88.1/X", b"x")
    desk.store.commit(batch)
    desk.ask()
    assert kept(desk) == 1
    desk.add(b"new")
    assert rcode(desk.one(ask("new.test"))) == "NOERROR"


def kept(desk: Desk) -> int:
    return len(desk.service._kept.keys() | desk.service._older.keys())  # nothing else shows it


def test_what_is_remembered_has_bounds(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In number and in octets; answers are the same."""
    monkeypatch.setattr(limits, "DNS_ANSWERS_KEPT_MAX", 10)
    seen = []
    for number in range(25):
        assert rcode(desk.one(ask(f"x{number}.test"))) == "NXDOMAIN"
        seen.append(kept(desk))
    assert max(seen) == 10
    monkeypatch.setattr(limits, "DNS_ANSWERS_KEPT_MAX", 1_000)
    monkeypatch.setattr(limits, "DNS_ANSWERS_KEPT_BYTES", 1_000)
    for number in range(50):
        desk.one(ask(f"y{number}.test"))
        both = desk.service._kept, desk.service._older  # the same
        assert number < 20 or sum(len(key) + len(each.rest) for half in both for key, each in half.items()) <= 1_000


def test_what_is_asked_for_often_is_not_forgotten_for_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other names, each asked once, do not have it made again."""
    monkeypatch.setattr(limits, "DNS_ANSWERS_KEPT_MAX", 20)
    desk, made = Desk(), []
    answer = StandInZones.answer

    def watched(self: StandInZones, snapshot: Any, name: Any, type_: int) -> Any:
        made.append(name)
        return answer(self, snapshot, name, type_)

    monkeypatch.setattr(StandInZones, "answer", watched)
    for number in range(200):
        desk.one(ask(f"x{number}.test"))
        if number % 5 == 0:
            assert rcode(desk.one(ask("n1.test"))) == "NOERROR"
    assert len(made) == 201


def test_a_number_is_not_part_of_what_is_remembered(desk: Desk) -> None:
    found = [desk.one(ask("n1.test", number=number)) for number in (1, 2, 65_535)]
    assert kept(desk) == 1
    assert [read(each).id for each in found] == [1, 2, 65_535]
    assert len({each[2:] for each in found}) == 1
