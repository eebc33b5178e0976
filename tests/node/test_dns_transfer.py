"""Transfers of zones: who has a key gets one whole, signed, from one state of the store; nobody else gets anything."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import struct
from collections.abc import Iterator
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import clock, limits
from core.errors import StoreError
from core.store.memory_engine import MemoryEngine
from node.dns_transfer import Transfers, is_ahead
from resolver.zone import Zones
from tests.kit.dns_zone import APEX, KEY, KEYS, OTHER, PEER, UNKNOWN, ListedZones, as_text, records_of
from tests.kit.zones import ORS, SETTINGS, SUSPENDED, ZoneStore

BADSIG, BADKEY, BADTIME, BADTRUNC = 16, 17, 18, 22


class Bench:
    """Transfers of a zone that is a list; it knows which states of the store are open."""

    def __init__(self, names: int = 3, serial: int = 7, now_s: float | None = None) -> None:
        self.zones: Any = ListedZones(names, serial)
        self.open = self.opened = 0
        self.endings: list[str] = []
        self.store = MemoryEngine()
        self.fails = False
        now = clock.now_s() if now_s is None else now_s
        self.transfers = Transfers(self.zones, KEYS, self.snapshot, self.endings.append, lambda: now)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Any]:  # type: ignore[misc]
        if self.fails:
            raise StoreError("it cannot be read")
        self.open += 1
        self.opened += 1
        try:
            with self.store.snapshot() as snapshot:
                yield snapshot
        finally:
            self.open -= 1

    def ask(self, wire: bytes) -> list[bytes]:
        """Return the messages of the answer; none where it is not for this."""
        sent: list[bytes] = []

        async def send(message: bytes) -> None:
            sent.append(message)

        assert asyncio.run(self.transfers.answer(wire, PEER, send)) is bool(sent)
        assert self.open == 0
        return sent


def question(type_: str, key: dns.tsig.Key | None = KEY, serial: int | None = None, name: str = "oid-res.org.") -> Any:
    made = dns.message.make_query(name, type_)
    if serial is not None:
        soa = f"ns.{name} h.{name} {serial} 1 1 1 1"
        made.authority.append(dns.rrset.from_text(name, 0, "IN", "SOA", soa))
    if key is not None:
        made.use_tsig(key)
    return made


def read(made: Any, answers: list[bytes], key: dns.tsig.Key = KEY) -> list[dns.message.Message]:
    """Read signed answers as dnspython does, which checks the chain of signatures."""
    context, found = None, []
    for wire in answers:
        message = dns.message.from_wire(
            wire, keyring=key, request_mac=made.mac if context is None else b"", xfr=True, tsig_ctx=context,
            multi=len(answers) > 1,
        )  # fmt: skip
        assert message.had_tsig and message.id == made.id
        context = message.tsig_ctx
        found.append(message)
    return found


def bare(answer: bytes) -> dns.message.Message:
    return dns.message.from_wire(answer, keyring=False)


@pytest.mark.parametrize("type_", ["AXFR", "IXFR"])
@pytest.mark.parametrize("names", [0, 3, 2_000])
def test_a_zone_comes_whole_and_in_order(type_: str, names: int) -> None:
    bench = Bench(names)
    made = question(type_, serial=6 if type_ == "IXFR" else None)
    answers = bench.ask(made.to_wire())
    assert all(len(answer) <= limits.DNS_TRANSFER_MESSAGE_BYTES for answer in answers)
    assert len(answers) == 1 or (names == 2_000 and len(answers) > 5)
    messages = read(made, answers)
    with bench.store.snapshot() as snapshot:
        wanted = [as_text(each) for each in bench.zones.records(snapshot, APEX)]
    assert records_of(messages) == wanted
    assert all(message.rcode() == 0 and message.flags & dns.flags.AA for message in messages)
    assert bench.endings == ["whole"] and bench.opened <= 3


def test_others_have_their_turn_while_nothing_is_found_but_aliases_that_are_not_answered() -> None:
    """They make no message; the zone is what it is without them."""
    hidden, turns = 20 * limits.DNS_TRANSFER_ROWS, itertools.count()
    bench, store = Bench(), ZoneStore({f"oid:1.2.156.{number}": f"{SUSPENDED}/A" for number in range(hidden)})
    bench.zones = bench.transfers._zones = Zones(SETTINGS)
    bench.store = store.engine  # type: ignore[assignment]

    async def others() -> None:
        while True:
            await asyncio.sleep(0)
            next(turns)

    async def run() -> list[bytes]:
        sent: list[bytes] = []
        beside = asyncio.create_task(others())

        async def send(message: bytes) -> None:
            sent.append(message)

        await bench.transfers.answer(question("AXFR").to_wire(), PEER, send)
        beside.cancel()
        return sent

    (answer,) = asyncio.run(run())
    assert next(turns) >= hidden // limits.DNS_TRANSFER_ROWS
    assert bare(answer).answer[0].rdtype == dns.rdatatype.SOA
    assert len(store.records(bench.zones, ORS)) == len(ZoneStore().records(bench.zones, ORS))


@pytest.mark.parametrize("algorithm", [dns.tsig.HMAC_SHA256, dns.tsig.HMAC_SHA384, dns.tsig.HMAC_SHA512])
def test_each_algorithm_signs_every_message(algorithm: dns.name.Name) -> None:
    key = dns.tsig.Key("k.example.cn.", bytes(range(64)), algorithm)
    bench = Bench(500)
    transfers = Transfers(bench.zones, {key.name: key}, bench.snapshot, bench.endings.append, clock.now_s)  # type: ignore[arg-type]
    bench.transfers = transfers
    made = question("AXFR", key)
    answers = bench.ask(made.to_wire())
    assert len(answers) > 2 and max(map(len, answers)) <= limits.DNS_TRANSFER_MESSAGE_BYTES
    assert len(read(made, answers, key)) == len(answers)


def test_a_message_that_was_altered_or_left_out_is_found() -> None:
    """The signatures chain: each stands on the one before."""
    bench = Bench(800)
    made = question("AXFR")
    answers = bench.ask(made.to_wire())
    with pytest.raises(dns.tsig.BadSignature):
        read(made, [answers[0], answers[2]])
    with pytest.raises(dns.tsig.BadSignature):
        read(made, [answers[0], answers[1][:60] + bytes([answers[1][60] ^ 1]) + answers[1][61:]])


@pytest.mark.parametrize(("has", "single"), [(7, True), (8, True), (6, False), (7 - (1 << 31), False), (None, False)])
def test_an_ixfr_is_the_soa_alone_where_nothing_is_newer(has: int | None, single: bool) -> None:
    bench = Bench(3)
    made = question("IXFR", serial=None if has is None else has % (1 << 32))
    (answer,) = bench.ask(made.to_wire())
    found = records_of(read(made, [answer]))
    assert (len(found) == 1) is single
    assert bench.endings == ["current" if single else "whole"]


def test_a_signed_question_for_the_soa_is_answered_signed() -> None:
    bench = Bench()
    made = question("SOA")
    for answer in (*bench.ask(made.to_wire()), bench.transfers.answer_datagram(made.to_wire())):
        assert answer is not None
        ((name, type_, _, text),) = records_of(read(made, [answer]))
        assert (name, type_, text.split()[2]) == ("oid-res.org.", dns.rdatatype.SOA, "7")
    assert bench.endings == []


def test_nobody_gets_a_zone_by_udp() -> None:
    """An IXFR is answered with the SOA: come by TCP."""
    bench = Bench()
    made = question("IXFR", serial=1)
    answer = bench.transfers.answer_datagram(made.to_wire())
    assert answer is not None and len(records_of(read(made, [answer]))) == 1
    made = question("AXFR")
    answer = bench.transfers.answer_datagram(made.to_wire())
    assert answer is not None and read(made, [answer])[0].rcode() == dns.rcode.REFUSED
    answer = bench.transfers.answer_datagram(question("AXFR", None).to_wire())
    assert answer is not None and bare(answer).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("type_", ["AXFR", "IXFR"])
def test_without_a_key_a_transfer_is_refused(type_: str) -> None:
    bench = Bench()
    (answer,) = bench.ask(question(type_, None, serial=1).to_wire())
    told = bare(answer)
    assert told.rcode() == dns.rcode.REFUSED and told.tsig is None and not told.answer
    assert bench.opened == 0 and bench.endings == ["refused"]


@pytest.mark.parametrize("type_", ["AXFR", "SOA"])
def test_an_unknown_key_and_a_wrong_one_are_told_without_a_signature(type_: str) -> None:
    sha384 = dns.tsig.Key("knot.", KEY.secret, dns.tsig.HMAC_SHA384)
    for key, error in ((UNKNOWN, BADKEY), (sha384, BADKEY), (OTHER, BADSIG)):
        bench = Bench()
        made = question(type_, key)
        (answer,) = bench.ask(made.to_wire())
        told = bare(answer)
        assert told.rcode() == dns.rcode.NOTAUTH and not told.answer
        assert (told.tsig_error, told.mac, told.tsig[0].original_id) == (error, b"", made.id)  # type: ignore[index]
        assert told.keyname == key.name and bench.opened == 0


@given(st.integers(0, 31), st.integers(1, 255))
def test_each_octet_of_a_mac_counts(at: int, by: int) -> None:
    made = question("SOA")
    wire = made.to_wire()
    place = wire.rindex(made.mac) + at
    (answer,) = Bench().ask(wire[:place] + bytes([wire[place] ^ by]) + wire[place + 1 :])
    assert bare(answer).tsig_error == BADSIG and not bare(answer).answer


@pytest.mark.parametrize(("off_s", "right"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_a_time_that_is_off_is_told_signed_with_ours(off_s: int, right: bool) -> None:
    made = question("SOA")
    wire = made.to_wire()
    then = made.tsig[0].time_signed
    (answer,) = Bench(now_s=then + off_s).ask(wire)
    if right:
        assert bare(answer).rcode() == 0
        return
    told = bare(answer)
    assert told.rcode() == dns.rcode.NOTAUTH and told.tsig_error == BADTIME
    rdata = told.tsig[0]  # type: ignore[index]
    assert rdata.time_signed == then and int.from_bytes(rdata.other, "big") == then + off_s
    assert len(rdata.mac) == 32
    signed, _ = dns.tsig.sign(_without_tsig(answer), KEY, rdata, then, made.mac)  # type: ignore[no-untyped-call]
    assert signed.mac == rdata.mac  # type: ignore[attr-defined]


def _without_tsig(answer: bytes) -> bytes:
    at = answer.rindex(KEY.name.to_wire() or b"")
    assert struct.unpack_from("!H", answer, 10) == (1,)
    return answer[:10] + b"\0\0" + answer[12:at]


@pytest.mark.parametrize(
    ("octets", "rcode", "error"), [(9, 1, None), (15, 1, None), (16, 9, BADTRUNC), (31, 9, BADTRUNC)]
)
def test_a_mac_that_is_cut_is_not_enough(octets: int, rcode: int, error: int | None) -> None:
    """RFC 8945 §5.2.2.1: too short is malformed; what may be but is not allowed here is told so, signed."""
    made = question("AXFR")
    made.to_wire()
    rdata = made.tsig[0]
    plain = question("AXFR", None)
    plain.id = made.id
    cut = rdata.replace(mac=rdata.mac[:octets]).to_wire()
    wire = plain.to_wire()[:10] + b"\0\1" + plain.to_wire()[12:]
    wire += (KEY.name.to_wire() or b"") + struct.pack("!HHIH", 250, 255, 0, len(cut)) + cut
    (answer,) = Bench().ask(wire)
    told = bare(answer)
    assert told.rcode() == rcode and not told.answer
    assert told.tsig_error == error if error else told.tsig is None


@pytest.mark.parametrize(
    ("name", "type_", "rcode"),
    [("example.cn.", "AXFR", dns.rcode.NOTAUTH), ("a.oid-res.org.", "SOA", dns.rcode.NOTAUTH),
     ("oid-res.org.", "NAPTR", dns.rcode.REFUSED), ("OID-RES.org.", "AXFR", dns.rcode.NOERROR)],
)  # fmt: skip
def test_what_else_is_asked_with_a_key_is_refused_signed(name: str, type_: str, rcode: int) -> None:
    made = question(type_, name=name)
    (answer,) = Bench().ask(made.to_wire())
    assert read(made, [answer])[0].rcode() == rcode


def test_edns_is_answered_and_a_later_version_is_not_spoken() -> None:
    for edns, rcode in ((0, 0), (1, dns.rcode.BADVERS)):
        made = question("AXFR")
        made.use_edns(edns)
        (answer,) = Bench().ask(made.to_wire())
        (told,) = read(made, [answer])
        assert told.edns == 0 and told.rcode() == rcode


def test_what_is_not_for_this_is_left_to_others() -> None:
    """Plain questions, answers, other operations, and what is no message."""
    bench = Bench()
    answer = question("AXFR")
    answer.flags |= dns.flags.QR
    notify = question("SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    for wire in (question("SOA", None).to_wire(), answer.to_wire(), notify.to_wire(), b"", b"\0" * 12, bytes(11)):
        assert bench.ask(wire) == [] and bench.transfers.answer_datagram(wire) is None


@given(st.binary(max_size=200), st.integers(0, 250), st.binary(max_size=4))
def test_no_octets_break_it(noise: bytes, at: int, put: bytes) -> None:
    """Random octets, and a signed question with some octets exchanged: answered, or left; never an error."""
    wire = question("AXFR").to_wire()
    bench = Bench()
    for each in (noise, wire[:at] + put + wire[at + len(put) :]):
        for answer in bench.ask(each):
            bare(answer)


def test_a_store_that_cannot_be_read_is_told_as_a_failure() -> None:
    for type_ in ("SOA", "AXFR", "IXFR"):
        bench = Bench()
        bench.fails = True
        made = question(type_, serial=1 if type_ == "IXFR" else None)
        (answer,) = bench.ask(made.to_wire())
        assert read(made, [answer])[0].rcode() == dns.rcode.SERVFAIL


def test_the_loop_has_its_turn_between_messages() -> None:
    """Whoever resolves meanwhile waits for one message at most; 100 000 names are hundreds of them."""
    bench = Bench(20_000)
    seen: list[int] = []

    async def run() -> int:
        sent = 0

        async def send(_: bytes) -> None:
            nonlocal sent
            sent += 1

        async def watch() -> None:
            while True:
                seen.append(bench.zones.yielded)
                await asyncio.sleep(0)

        watcher = asyncio.create_task(watch())
        await bench.transfers.answer(question("AXFR").to_wire(), PEER, send)
        watcher.cancel()
        return sent

    sent = asyncio.run(run())
    steps = [after - before for before, after in itertools.pairwise(seen)]
    assert sent > 100 and max(steps) <= 2 * 40_000 // sent


@pytest.mark.parametrize("how", ["slow", "gone", "cancelled", "endless"])
def test_a_client_that_does_not_take_it_is_given_up_and_the_state_let_go(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DNS_TCP_IDLE_S", 0.01 if how == "slow" else 1_000.0)
    monkeypatch.setattr(limits, "DNS_TRANSFER_S", 0.05 if how == "endless" else 1_000.0)
    bench = Bench(20_000)
    errors = {"slow": TimeoutError, "endless": TimeoutError, "gone": ConnectionResetError}

    async def run() -> None:
        taken, begun = 0, asyncio.Event()

        async def send(_: bytes) -> None:
            nonlocal taken
            taken += 1
            if taken == 3:
                begun.set()
            if taken == 3 and how != "endless":
                if how == "gone":
                    raise ConnectionResetError
                await asyncio.Event().wait()
            await asyncio.sleep(0.002 if how == "endless" else 0)

        work = asyncio.create_task(bench.transfers.answer(question("AXFR").to_wire(), PEER, send))
        await begun.wait()
        if how == "cancelled":
            work.cancel()
        done, _ = await asyncio.wait([work], timeout=20)
        assert done, "it still waits for the client"
        with pytest.raises(errors.get(how, asyncio.CancelledError)):
            await work

    asyncio.run(run())
    assert bench.open == 0 and bench.endings == ["cut"]


def test_so_many_at_once_and_no_more() -> None:
    bench = Bench(2_000)

    async def run() -> list[bytes]:
        gate = asyncio.Event()

        async def held(_: bytes) -> None:
            await gate.wait()

        works = [
            asyncio.create_task(bench.transfers.answer(question("AXFR").to_wire(), PEER, held))
            for _ in range(limits.DNS_TRANSFERS_MAX)
        ]
        await asyncio.sleep(0)
        more: list[bytes] = []

        async def send(message: bytes) -> None:
            more.append(message)

        await bench.transfers.answer(question("AXFR").to_wire(), PEER, send)
        gate.set()
        await asyncio.gather(*works)
        return more

    (answer,) = asyncio.run(run())
    assert bare(answer).rcode() == dns.rcode.REFUSED
    assert bench.endings.count("whole") == limits.DNS_TRANSFERS_MAX
    assert len(bench.ask(question("AXFR").to_wire())) > 1, "there is room again"


@given(st.integers(0, 2**32 - 1), st.integers(1, 2**31 - 1))
def test_serials_compare_modulo_two_to_the_32(serial: int, more: int) -> None:
    later = (serial + more) % 2**32
    assert is_ahead(later, serial) and not is_ahead(serial, later) and not is_ahead(serial, serial)
