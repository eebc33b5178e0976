"""Tells the secondaries that a zone has changed (NOTIFY, RFC 1996), by UDP, signed by the first key of the file.

The keeper looks each second at the serial of the zones (``node/notify_times.py`` says who is told when). An answer is
believed as far as its signature goes. What is not acknowledged, or refused, is logged once, until it is otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
from prometheus_client.core import Metric

from core import clock
from core.clock import Millis
from core.config import Config
from core.errors import NodeError
from core.store.engine import Engine
from core.wire.dns import Labels
from core.wire.dns_text import text_of
from node import wiring
from node.dns_settings import make_zones
from node.metrics import family
from node.notified import Heard, Notified, write_notified
from node.notify_times import NotifyTimes, Pace, Pair
from node.secondaries import Secondary, parse_secondaries
from node.site import known_ports
from node.tsig_file import load_tsig
from resolver.zone import Zones

_LOG: Final = logging.getLogger("saltern.dns")
_LOOK_S: Final = 1.0
_SILENT: Final = "no answer"


class _Asked(NamedTuple):
    """A NOTIFY whose answer is awaited: its number, and the MAC that the answer's stands on."""

    number: int
    mac: bytes


class Clocks(NamedTuple):
    """What tells the time of day, and what never jumps."""

    now_ms: Callable[[], Millis] = clock.now_ms
    monotonic_s: Callable[[], float] = clock.monotonic_s


class Notifier:
    """Tells secondaries, and tells of them. See Collects. ``folder``: ``data/run``."""

    def __init__(
        self, zones: Zones, store: Engine, secondaries: Sequence[Secondary], key: dns.tsig.Key | None, folder: Path, *,
        pace: Pace = Pace(), clocks: Clocks = Clocks(),  # noqa: B008 - immutable
    ) -> None:  # fmt: skip
        self._zones = zones
        self._store = store
        self._key = key
        self._folder = folder
        self._clocks = clocks
        self._places = {str(each): each for each in secondaries}
        self._apexes = {text_of(apex): apex for apex in zones.apexes}
        self._times = NotifyTimes([Pair(place, apex) for place in self._places for apex in self._apexes], pace)
        self._changed_ms = Millis(0)
        self._faults: dict[Pair, str] = {}
        self._asked: dict[Pair, _Asked] = {}
        self._transports: dict[str, asyncio.DatagramTransport] = {}

    async def keep(self, stopping: asyncio.Event) -> None:
        """Look and tell until it is told to stop. Without secondaries there is nothing to do."""
        while self._places and not stopping.is_set():
            try:
                await self._round()
            except NodeError as error:
                _LOG.error("the serial of the zones cannot be read: %s", error.message)
            except Exception:
                _LOG.exception("secondaries are not told")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _LOOK_S)
        for transport in self._transports.values():
            transport.close()

    def collect(self) -> Iterator[Metric]:
        """Yield the serial that is told, and what each secondary acknowledged; nothing without secondaries."""
        serial = self._times.serial
        if serial is None:
            return
        yield family("saltern_dns_zone_serial", serial)
        heard = family("saltern_dns_notified_serial")
        behind = family("saltern_dns_notify_waiting")
        for pair, acknowledged in self._times.heard().items():
            if acknowledged is not None:
                heard.add_metric(pair, acknowledged)
            behind.add_metric(pair, acknowledged != serial)
        yield heard
        yield behind

    # --- a round ---
    async def _round(self) -> None:
        with self._store.snapshot() as snapshot:
            serial = self._zones.serial(snapshot)
            if serial != self._times.serial:
                self._times.look(serial)
                self._changed_ms = self._clocks.now_ms()
                self._write()
            due = self._times.due(self._clocks.monotonic_s())
            zones = {pair.zone for pair in due}
            soas = {zone: next(iter(self._zones.records(snapshot, self._apexes[zone]))).data for zone in zones}
        for pair in due:
            if pair in self._asked:
                self._fault(pair, self._faults.get(pair) or _SILENT)
            await self._tell(pair, soas[pair.zone])

    async def _tell(self, pair: Pair, soa: bytes) -> None:
        message = _notify(self._apexes[pair.zone], soa, self._key)
        octets = message.to_wire()
        self._asked[pair] = _Asked(message.id, message.mac or b"")
        self._times.sent(pair, self._clocks.monotonic_s())
        try:
            transport = await self._transport(pair.secondary)
            transport.sendto(octets)
        except OSError as error:
            self._fault(pair, error.strerror or type(error).__name__)

    async def _transport(self, place: str) -> asyncio.DatagramTransport:
        transport = self._transports.get(place)
        if transport is None or transport.is_closing():
            loop, secondary = asyncio.get_running_loop(), self._places[place]
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Answers(lambda octets: self._received(place, octets)),
                remote_addr=(secondary.address, secondary.port),
            )
            self._transports[place] = transport
        return transport

    def _received(self, place: str, octets: bytes) -> None:
        number = int.from_bytes(octets[:2], "big")
        for pair, asked in self._asked.items():
            if pair.secondary == place and asked.number == number:
                fault = self._judge(asked, octets)
                if fault:
                    self._fault(pair, fault)
                    return
                del self._asked[pair]
                self._times.acknowledged(pair)
                if self._faults.pop(pair, None) is not None:
                    _LOG.warning("%s 已确认。%s has heard of %s", pair.secondary, *pair)
                self._write()
                return

    def _judge(self, asked: _Asked, octets: bytes) -> str:
        """Return what is wrong with an answer, empty for nothing."""
        keyring = False if self._key is None else self._key
        try:
            answer = dns.message.from_wire(octets, keyring=keyring, request_mac=asked.mac)
        except (dns.exception.DNSException, ValueError) as error:
            return str(error) or type(error).__name__
        if not answer.flags & dns.flags.QR or answer.opcode() != dns.opcode.NOTIFY:
            return "no answer to NOTIFY"
        return "" if answer.rcode() == dns.rcode.NOERROR else dns.rcode.to_text(answer.rcode())

    def _fault(self, pair: Pair, fault: str) -> None:
        if self._faults.get(pair) != fault:
            self._faults[pair] = fault
            _LOG.warning(
                "%s 未确认区 %s 的变化，将继续通知。%s has not acknowledged a change of %s, it is told again: %s",
                *pair, *pair, fault,
            )  # fmt: skip
            self._write()

    def _write(self) -> None:
        heard = tuple(Heard(*pair, serial, self._faults.get(pair, "")) for pair, serial in self._times.heard().items())
        try:
            write_notified(self._folder, Notified(self._times.serial or 0, self._changed_ms, heard))
        except OSError as error:
            _LOG.error("who has heard of a zone is not written down: %s", error)


class _Answers(asyncio.DatagramProtocol):
    """What comes back from one secondary. That nobody listens there shows by there being no answer."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._take(data)


def _notify(apex: Labels, soa: bytes, key: dns.tsig.Key | None) -> dns.message.Message:
    """Return the message (RFC 1996 §3.7): the question is the zone, the answer section its SOA."""
    name = dns.name.Name((*apex, b""))
    message = dns.message.make_query(name, dns.rdatatype.SOA, id=secrets.randbelow(1 << 16))
    message.flags = dns.flags.AA
    message.set_opcode(dns.opcode.NOTIFY)
    data = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.SOA, soa, 0, len(soa))
    message.answer.append(dns.rrset.from_rdata(name, 0, data))
    if key is not None:
        message.use_tsig(key)
    return message


def make_notifier(config: Config, store: Engine) -> Notifier:
    """Return what tells the secondaries of the configuration. Errors: ConfigError."""
    zones = make_zones(config, known_ports(config))
    key = next(iter(load_tsig(config).values()), None)
    return Notifier(zones, store, parse_secondaries(config), key, wiring.run_folder(config))
