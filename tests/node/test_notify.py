"""NOTIFY over real sockets: a secondary hears of each change, and is believed as far as its signature goes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.tsig
import pytest

from core import limits
from core.config import Config
from core.errors import ConfigError
from core.store.memory_engine import MemoryEngine
from node.notified import read_notified
from node.notify import Notifier
from node.notify_times import Pace
from node.secondaries import Secondary, parse_secondaries
from tests.kit.dns_zone import KEY, OTHER, ListedZones

Judge = Callable[[dns.message.Message], dns.message.Message | None]
FAST = Pace(0.05, 0.2)


class Listening(asyncio.DatagramProtocol):
    """A secondary: keeps what it was told, and answers as the test has it."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.heard: list[dns.message.Message] = []
        self.more = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        message = dns.message.from_wire(data, keyring={KEY.name: KEY})
        self.heard.append(message)
        answer = self.judge(message)
        if answer is not None:
            self.transport.sendto(answer.to_wire(), addr)
        self.more.set()

    async def wait(self, number: int) -> None:
        while len(self.heard) < number:
            self.more.clear()
            await asyncio.wait_for(self.more.wait(), 20)


def agreed(message: dns.message.Message) -> dns.message.Message:
    return dns.message.make_response(message)


def silent(_: dns.message.Message) -> None:
    return None


def refused(message: dns.message.Message) -> dns.message.Message:
    answer = dns.message.make_response(message)
    answer.set_rcode(dns.rcode.NOTAUTH)
    return answer


def unsigned(message: dns.message.Message) -> dns.message.Message:
    answer = dns.message.Message(message.id)
    answer.flags, answer.question = dns.flags.QR, message.question
    answer.set_opcode(dns.opcode.NOTIFY)
    return answer


def by_another(message: dns.message.Message) -> dns.message.Message:
    answer = unsigned(message)
    answer.use_tsig(OTHER)
    answer.request_mac = message.mac or b""
    return answer


def query(message: dns.message.Message) -> dns.message.Message:
    answer = dns.message.make_response(message)
    answer.set_opcode(dns.opcode.QUERY)
    return answer


@contextlib.asynccontextmanager
async def telling(
    folder: Path, *judges: Judge, key: dns.tsig.Key | None = KEY
) -> AsyncIterator[tuple[Any, Notifier, list[Listening]]]:
    loop, zones = asyncio.get_running_loop(), ListedZones(1)
    places, listening = [], []
    for judge in judges:
        transport, protocol = await loop.create_datagram_endpoint(
            lambda judge=judge: Listening(judge),
            local_addr=("127.0.0.1", 0),  # type: ignore[misc]
        )
        places.append(Secondary(*transport.get_extra_info("sockname")))
        listening.append(protocol)
    notifier = Notifier(zones, MemoryEngine(), places, key, folder, pace=FAST)  # type: ignore[arg-type]
    stopping = asyncio.Event()
    work = asyncio.create_task(notifier.keep(stopping))
    try:
        yield zones, notifier, listening
    finally:
        stopping.set()
        await work
        for each in listening:
            each.transport.close()


def told(notifier: Notifier) -> dict[str, Any]:
    return {
        sample.name + ("@" + sample.labels["secondary"] if sample.labels else ""): sample.value
        for metric in notifier.collect()
        for sample in metric.samples
    }


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.notify._LOOK_S", 0.02)


def test_a_change_is_told_signed_with_the_soa_and_acknowledged(tmp_path: Path) -> None:
    async def run() -> None:
        async with telling(tmp_path, agreed, agreed) as (zones, notifier, secondaries):
            for each in secondaries:
                await each.wait(1)
            zones.serial_now = 8
            for each in secondaries:
                await each.wait(2)
                first, second = each.heard[:2]
                assert first.opcode() == dns.opcode.NOTIFY and first.flags & dns.flags.AA
                assert first.had_tsig and first.keyname == KEY.name and first.id != second.id
                assert first.question[0].to_text() == "oid-res.org. IN SOA"
                assert [message.answer[0][0].serial for message in (first, second)] == [7, 8]
            await settled(notifier, 8)
            assert all(len(each.heard) == 2 for each in secondaries)
            found = read_notified(tmp_path)
            assert found is not None and found.serial == 8 and found.changed_ms > 0
            assert [(each.zone, each.serial, each.fault) for each in found.heard] == [("oid-res.org", 8, "")] * 2

    asyncio.run(run())


async def settled(notifier: Notifier, serial: int) -> None:
    for _ in range(1_000):
        numbers = told(notifier)
        heard = [value for name, value in numbers.items() if name.startswith("saltern_dns_notified_serial@")]
        waiting = [value for name, value in numbers.items() if name.startswith("saltern_dns_notify_waiting@")]
        if set(waiting) == {0} and set(heard) == {serial} == {numbers["saltern_dns_zone_serial"]}:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(told(notifier))


@pytest.mark.parametrize(
    ("judge", "fault"),
    [(silent, "no answer"), (refused, "NOTAUTH"), (unsigned, "TSIG"), (by_another, "signature"), (query, "NOTIFY")],
)
def test_what_is_no_good_answer_is_told_once_and_tried_again(
    tmp_path: Path, judge: Judge, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    async def run() -> None:
        async with telling(tmp_path, judge, agreed) as (_, notifier, (bad, good)):
            await bad.wait(3)
            await good.wait(1)
            waiting = {name: value for name, value in told(notifier).items() if "waiting" in name}
            assert sorted(waiting.values()) == [0, 1]
            found = read_notified(tmp_path)
            assert found is not None and fault in found.heard[0].fault and found.heard[0].serial is None
            assert len(caplog.records) == 1
            bad.judge = agreed
            await settled(notifier, 7)
            assert len(caplog.records) == 2 and "已确认" in caplog.text
            assert len(good.heard) == 1

    asyncio.run(run())


def test_without_a_key_it_is_told_without_a_signature(tmp_path: Path) -> None:
    async def run() -> None:
        async with telling(tmp_path, agreed, key=None) as (_, notifier, (heard,)):
            await settled(notifier, 7)
            assert not heard.heard[0].had_tsig

    asyncio.run(run())


def test_a_place_where_nobody_listens_is_tried_again(tmp_path: Path) -> None:
    """The system tells that nothing listens there; that is no end of the socket."""

    async def run() -> None:
        async with telling(tmp_path, agreed) as (_, notifier, (first,)):
            await settled(notifier, 7)
            place = Secondary(*first.transport.get_extra_info("sockname"))
        again = Notifier(ListedZones(1), MemoryEngine(), [place], KEY, tmp_path, pace=FAST)  # type: ignore[arg-type]
        stopping = asyncio.Event()
        work = asyncio.create_task(again.keep(stopping))
        for _ in range(1_000):
            if (found := read_notified(tmp_path)) and found.heard[0].fault:
                break
            await asyncio.sleep(0.01)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: Listening(agreed), local_addr=tuple(place))
        await settled(again, 7)
        stopping.set()
        await work
        transport.close()

    asyncio.run(run())


def config(*entries: str) -> Config:
    return Config(Path("/nowhere/node.toml"), {"dns.secondaries": entries})


def test_secondaries_are_addresses_with_a_port_or_none() -> None:
    found = parse_secondaries(config("192.0.2.1", "2001:DB8::1@5353", "192.0.2.1@53"))
    assert [str(each) for each in found] == ["192.0.2.1@53", "2001:db8::1@5353"]


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "ns.example.cn",
        "192.0.2.1@",
        "192.0.2.1@0",
        "192.0.2.1@65536",
        "192.0.2.1:53",
        "192.0.2.1@+5",
        "@53",
        "1@１",
    ],
)
def test_what_is_no_secondary_is_named(entry: str) -> None:
    with pytest.raises(ConfigError, match=r"dns\.secondaries.*地址@端口.*ADDRESS@PORT"):
        parse_secondaries(config(entry))
    with pytest.raises(ConfigError, match="至多"):
        parse_secondaries(config(*(f"192.0.2.{number}" for number in range(limits.DNS_SECONDARIES_MAX + 1))))
