"""The rounds of probes: this node asks itself over its own ports, and the sites of delegated prefixes (annex 2).

1. Every ``monitor.probe_interval`` a round of its own: UDP, TCP, HTTP for ``0.NA/<prefix>``, the registrar for a row
   that says nothing. What it found stands in ``data/run/monitor.json`` when the round is over. The first one begins
   with the process.
2. Beside it, never at the same time twice, a round of PROBE_SITES_PER_ROUND delegated prefixes; where there are more,
   the next round goes on behind. Of each site that server is asked that the prefix handle hashes to, by what it offers;
   one answer of any site is enough for a way. Each probe ends with its time: a site that hangs holds up no other.
3. An address that the node would not take as a site's is not asked either (``prefix.site_networks``).
4. A server of a site that is not asked for the node's prefix handle has nothing to ask itself for, but registration.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from core import clock, limits, monitor
from core.clock import Millis
from core.config import Config
from core.errors import NodeError
from core.ident.handle import HandleRules, PrefixKey, prefix_handle_of
from core.monitor import Probed, Round, dump_round
from core.records import InterfaceKind, InterfaceProtocol, ServerInfo
from core.store.engine import Engine, Snapshot, Table
from core.store.prefix_rows import DELEGATED, unpack_prefix
from core.store.record_rows import record_key, unpack_values
from core.wire.site import PORTS, address_of
from core.wire.sitefile import AddressPolicy
from core.wire.valuetypes import HS_SITE, HS_SITE_6
from node import wiring
from node.probes import Found, Probe, Server, probe_http, probe_tcp, probe_udp
from node.site import known_ports
from registry.client import RegistrarClient
from registry.commands import Actor, Request
from registry.probe import Probe as RegistrationProbe
from resolver.referral import server_of
from sync.monitor.figures import NODE
from sync.monitor.observation import Observation, Way
from sync.monitor.watch import FAILED_PERCENT

_LOG: Final = logging.getLogger("saltern.monitor")
_HIMSELF: Final = Actor(local=True, name="node")
_SITES: Final = (HS_SITE, HS_SITE_6)
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on, and where to ask then
_PROBES: Final[dict[Way, Probe]] = {Way.UDP: probe_udp, Way.TCP: probe_tcp, Way.HTTP: probe_http}
_WAYS: Final = {
    InterfaceProtocol.UDP: Way.UDP, InterfaceProtocol.TCP: Way.TCP, InterfaceProtocol.HTTP: Way.HTTP,
}  # fmt: skip

Observe = Callable[[Observation], None]
Doors = tuple[tuple[Way, Server], ...]


class Site(NamedTuple):
    """A delegated prefix, and where it is asked: all doors of its servers."""

    prefix: str
    doors: Doors


class SelfProbes:
    """The node asks itself. ``registrar``: whether it took a change, else why not. ``file``: what was found."""

    def __init__(
        self, prefix: str, doors: Callable[[], Doors], registrar: Callable[[], Awaitable[Found]], *,
        limit_ms: int, period_s: int, file: Path,
    ) -> None:  # fmt: skip
        self._prefix = prefix
        self._doors = doors
        self._registrar = registrar
        self._limit_ms = limit_ms
        self._apart_s = max(period_s, -(-limit_ms * limits.PROBE_LATE // 1_000))  # that begins of rounds may lie
        self._file = file

    async def round(self, at_ms: Millis, observe: Observe, others: tuple[Probed, ...] = ()) -> None:
        """Ask once, tell what was found, and write it down. ``others``: what is known of enterprise nodes."""
        asked = [(way, _PROBES[way](server, self._prefix, self._limit_ms)) for way, server in self._doors()]
        ways = [*(way for way, _ in asked), Way.REGISTRATION]
        found = await asyncio.gather(*(probe for _, probe in asked), self._registrar())
        for way, each in zip(ways, found, strict=True):
            observe(Observation(NODE, way, at_ms, each.rtt_us, each.fault))
        *resolution, registration = found
        failed = sum(each.rtt_us is None for each in resolution)
        resolves = bool(resolution) and failed * 100 < FAILED_PERCENT * len(resolution)
        probes = tuple(Probed(NODE, way.value, each.rtt_us) for way, each in zip(ways, found, strict=True))
        self._write(
            Round(at_ms, self._apart_s, resolves or not resolution, registration.rtt_us is not None, probes + others)
        )

    def _write(self, found: Round) -> None:
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_bytes(dump_round(found))
            fresh.replace(self._file)
        except OSError as error:
            _LOG.error("what the probes found is not written down: %s", error)


class SiteProbes:
    """The node asks the sites of delegated prefixes.

    ``list_sites``: the next ones behind a prefix, and behind which it goes on; empty from the begin, and at the end.
    """

    def __init__(self, list_sites: Callable[[bytes], tuple[list[Site], bytes]], *, limit_ms: int) -> None:
        self._list_sites = list_sites
        self._limit_ms = limit_ms
        self._behind = b""
        self.found: tuple[Probed, ...] = ()
        """What the last round found."""

    async def round(self, at_ms: Millis, observe: Observe) -> None:
        """Ask the next sites."""
        sites, self._behind = self._list_sites(self._behind)
        room = asyncio.Semaphore(limits.PROBES_AT_ONCE)
        asked = await asyncio.gather(*(self._ask(site, room) for site in sites))
        observations = [
            Observation(site.prefix, way, at_ms, found.rtt_us, found.fault)
            for site, ways in zip(sites, asked, strict=True)
            for way, found in ways.items()
        ]
        for seen in observations:
            observe(seen)
        self.found = tuple(Probed(seen.subject, seen.way.value, seen.rtt_us) for seen in observations)

    async def _ask(self, site: Site, room: asyncio.Semaphore) -> dict[Way, Found]:
        """Ask all doors of a site; the quickest answer of a way counts."""

        async def ask(way: Way, server: Server) -> Found:
            async with room:
                return await _PROBES[way](server, site.prefix, self._limit_ms)

        asked = await asyncio.gather(*(ask(way, server) for way, server in site.doors))
        best: dict[Way, Found] = {}
        for (way, _), found in zip(site.doors, asked, strict=True):
            known = best.get(way)
            if known is None or known.rtt_us is None or (found.rtt_us is not None and found.rtt_us < known.rtt_us):
                best[way] = found
        return best


class Probing:
    """See the module: both kinds of rounds, until it is told to stop."""

    def __init__(self, own: SelfProbes, sites: SiteProbes, period_s: int, now_ms: Callable[[], Millis]) -> None:
        self.own = own
        self._sites = sites
        self._period_s = period_s
        self._now_ms = now_ms

    async def run(self, stopping: asyncio.Event, observe: Observe) -> None:
        """Probe; a round that fails unexpectedly is told, and the next one comes."""
        async with asyncio.TaskGroup() as rounds:
            rounds.create_task(self._each(stopping, lambda at: self.own.round(at, observe, self._sites.found)))
            rounds.create_task(self._each(stopping, lambda at: self._sites.round(at, observe)))

    async def _each(self, stopping: asyncio.Event, ask: Callable[[Millis], Awaitable[None]]) -> None:
        """Run rounds, the first at once: until then ``/v1/monitor`` says that nobody looked."""
        next_s = clock.monotonic_s()
        while not stopping.is_set():
            try:
                await ask(self._now_ms())
            except Exception:
                _LOG.exception("a round of probes failed")
            next_s = max(next_s + self._period_s, clock.monotonic_s())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), max(0.0, next_s - clock.monotonic_s()))
                return


# --- where to ask --------------------------------------------------------------
def make_probing(config: Config, store: Engine) -> Probing:
    """Return the probes of a node. Errors: ConfigError."""
    limit_ms, period_s = config.integer("monitor.limit"), config.integer("monitor.probe_interval")
    rules, allowed = wiring.handle_rules(config), wiring.policy(config).addresses
    client = RegistrarClient(wiring.run_folder(config))
    own = SelfProbes(
        config.text("node.prefix"), lambda: own_doors(config, rules), lambda: probe_registrar(client, limit_ms),
        limit_ms=limit_ms, period_s=period_s, file=wiring.run_folder(config) / monitor.FILE,
    )  # fmt: skip
    sites = SiteProbes(lambda behind: list_sites(store, behind, allowed), limit_ms=limit_ms)
    return Probing(own, sites, period_s, clock.now_ms)


def own_doors(config: Config, rules: HandleRules) -> Doors:
    """Return where this node asks itself; nowhere where another server of its site is asked for its prefix handle."""
    prefix = config.text("node.prefix")
    if not prefix or (rules.server is not None and not rules.server.takes(f"0.NA/{prefix}")):
        return ()
    ports = known_ports(config)
    handle, http = (
        Server(_LOOPBACK.get(text, text), port)
        for text, port in ((config.text("handle.address"), ports.handle), (config.text("http.address"), ports.http))
    )
    return (Way.UDP, handle), (Way.TCP, handle), (Way.HTTP, http)


async def probe_registrar(client: RegistrarClient, limit_ms: int) -> Found:
    """Have the registrar commit something."""
    begun = clock.monotonic_s()
    late_s = limit_ms * limits.PROBE_LATE / 1_000
    try:
        async with asyncio.timeout(late_s):
            result = await client.call(Request(RegistrationProbe(), _HIMSELF))
    except TimeoutError:
        return Found(None, f"{late_s:g} 秒内没有应答。No answer within {late_s:g} s")
    except NodeError as error:
        return Found(None, error.message)
    if not result.done:
        return Found(None, result.message or result.outcome.value)
    return Found(max(0, round((clock.monotonic_s() - begun) * 1_000_000)))


def list_sites(store: Engine, behind: bytes, allowed: AddressPolicy) -> tuple[list[Site], bytes]:
    """Return the next delegated prefixes that have a door to ask at, and behind which it goes on, empty at the end.

    Cost: PROBE_PREFIXES_READ rows at most.
    """
    found: list[Site] = []
    with store.snapshot() as snapshot:
        for read, (prefix, row) in enumerate(snapshot.scan(Table.PREFIXES, behind + b"\0"), 1):
            homed = unpack_prefix(row)
            if homed.hosting == DELEGATED and not homed.suspended:
                doors = tuple(_doors(snapshot, PrefixKey(prefix), allowed))
                if doors:
                    found.append(Site(prefix.decode(), doors))
            if len(found) == limits.PROBE_SITES_PER_ROUND or read == limits.PROBE_PREFIXES_READ:
                return found, prefix
    return found, b""


def is_probed(snapshot: Snapshot, prefix: str, allowed: AddressPolicy) -> bool:
    """Whether an enterprise node is asked for a prefix: it is delegated, and has a door to ask at."""
    row = snapshot.get(Table.PREFIXES, prefix.encode())
    if row is None:
        return False
    homed = unpack_prefix(row)
    doors = _doors(snapshot, PrefixKey(prefix.encode()), allowed)
    return homed.hosting == DELEGATED and not homed.suspended and next(doors, None) is not None


def _doors(snapshot: Snapshot, prefix: PrefixKey, allowed: AddressPolicy) -> Iterator[tuple[Way, Server]]:
    """Yield the doors of the sites that a prefix handle tells. Bounds: PROBE_SERVERS_MAX servers."""
    handle = prefix_handle_of(prefix)
    row = snapshot.get(Table.RECORDS, record_key(handle))
    values = () if row is None else unpack_values(row)
    sites = [value.data for value in values if value.type in _SITES and value.public_read]
    for data in sites[: limits.PROBE_SERVERS_MAX]:
        server = server_of(handle.decode(), data)
        if server is not None:
            yield from _of_server(server, allowed)


def _of_server(server: ServerInfo, allowed: AddressPolicy) -> Iterator[tuple[Way, Server]]:
    address = address_of(server.address)
    if not allowed.allows(address):
        return
    asked: set[Way] = set()
    for door in server.interfaces:
        way = _WAYS.get(InterfaceProtocol(door.protocol)) if door.protocol in tuple(InterfaceProtocol) else None
        if way is not None and way not in asked and door.kind & InterfaceKind.QUERY and door.port in PORTS:
            asked.add(way)
            yield way, Server(str(address), door.port)
