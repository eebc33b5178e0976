"""What the processes of a running node are made of: registrar, spool, limits, and all that a worker serves.

Apart from ``node/wiring.py``, which every command needs: what listens and answers takes long to import.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from audit.places import SPOOL_FOLDER
from audit.spool import Spool
from core import clock, limits
from core.caller import Callers
from core.config import Config
from core.disk import DiskGuard
from core.errors import NodeError
from core.events import Via
from core.hdl.dialogues import Dialogues
from core.hdl.exchange import Transport
from core.hdl.logins import Logins
from core.hdl.prover import Prover
from core.ident.handle import HandleRules
from core.monitor import read_round
from core.outcomes import HTTP_TEMPORARY_REDIRECT
from core.records import SiteInfo
from core.source_limit import SourceLimit
from core.store.lmdb_engine import LmdbEngine
from core.store.run_store import RunStore
from core.wire.codepoints import VERSION as PROTOCOL
from node import VERSION, wiring
from node.dns_service import DnsService
from node.dns_settings import make_zones, node_url
from node.dns_tcp import DnsTcpFront
from node.dns_udp import DnsUdpFront
from node.duties import load_duties
from node.handle_http import HttpMessages
from node.handle_service import HandleService
from node.handle_tcp import TcpFront
from node.handle_udp import UdpFront
from node.http_connections import Connections
from node.http_front import HttpFront
from node.http_quick import QuickFront
from node.log_api import LogApi
from node.public_pages import PublicPages
from node.recursion.api import ResolveApi
from node.recursion.service import Recursion, make_recursion
from node.routes import Routes
from node.seconds import Seconds
from node.sessions_api import SessionsApi
from node.signing import public_key
from node.site import Ports, server_key, site_info
from node.telemetry import Counters, Front
from node.turn import Turn
from registry.batch_api import BatchApi
from registry.client import RegistrarClient
from registry.complaint_pages import ComplaintPages
from registry.handle_api import HandleApi as WritingHandleApi
from registry.http_api import ManagementApi
from registry.json_api import JsonApi as WritingApi
from registry.json_api import origin_of
from registry.notes import Notes
from registry.openapi import description
from registry.rdap import Registrar as RdapRegistrar
from registry.rdap_api import RegistrationData
from registry.registrar import Registrar
from resolver.browser import Browser
from resolver.failures import LoginFailures
from resolver.gs1.front import DigitalLinks
from resolver.gs1.quick import QuickRedirects
from resolver.handle_api import HandleApi as ReadingHandleApi
from resolver.handle_quick import QuickHandles
from resolver.json_api import JsonApi as ReadingApi
from resolver.names import Names
from resolver.oid_documents import Operator
from resolver.oid_pages import OidPages
from resolver.plain import PlainReads
from resolver.quick import QuickResolver
from resolver.ratelimit import RateLimit, shared_table
from resolver.service import Resolver
from resolver.units import Units
from resolver.zone import Zones


def rate_limit(config: Config, front: Front, table: memoryview, refused: Callable[[Front], None]) -> RateLimit:
    """The limit of one front: ``http.rate_limit``, ``handle.rate_limit`` or ``dns.rate_limit``. Errors: ConfigError.

    ``table``: of Rates, one for each front. ``refused`` counts.
    """
    per_second, exempt = config.integer(f"{front}.rate_limit"), wiring.rate_limit_exempt(config)
    return RateLimit(per_second, table, exempt, clock.monotonic_ns, lambda: refused(front))


def _source_limit(
    config: Config, counters: Counters, table: memoryview, requests: int, window_s: int
) -> SourceLimit:  # fmt: skip
    """The limit of something that anybody may ask, whatever http.rate_limit is. Errors: ConfigError."""
    limited = RateLimit(
        requests, table, wiring.rate_limit_exempt(config), clock.monotonic_ns, lambda: counters.limited("http"),
        window_s=window_s,
    )  # fmt: skip
    return SourceLimit(limited.admits, -(-window_s // requests))


def rdap_registrar(config: Config) -> RdapRegistrar:
    """Who this node is in registration data. Errors: ConfigError."""
    duties = load_duties(config)
    return RdapRegistrar(duties.prefix, duties.public_url, duties.operator)


def make_registrar(config: Config, store: LmdbEngine, counters: Counters, seconds: Seconds) -> Registrar:
    """The registrar's socket side."""
    return Registrar(wiring.make_registry(config, store), clock.now_ms, counters.group, seconds.add)


def open_run_store(config: Config) -> RunStore:
    """Open what lives only as long as the node runs. Errors: StoreError."""
    return RunStore(wiring.run_folder(config) / "dialogues")


def make_spool(config: Config, worker: str) -> Spool:
    """The first half of a worker's resolution log."""
    guard = DiskGuard(wiring.disks(config), config.integer("log.disk_reserve"))
    sync_s = config.integer("log.sync_interval") / 1_000
    return Spool(config.data / SPOOL_FOLDER, worker, sync_s, has_room=guard.has_room)


class Rates(NamedTuple):
    """What sources have taken, in memory that all workers share: made before they are forked."""

    http: memoryview
    tcp: memoryview
    udp: memoryview  # apart: whoever forges an address must not use up what its owner may ask by TCP
    logins: memoryview  # of failures to log in
    lookups: memoryview  # of registration data and tickets
    complaints: memoryview  # that were filed
    dns_tcp: memoryview
    dns_udp: memoryview  # apart, as above


def make_rates() -> Rates:
    """The memory of the limits, all buckets full."""
    return Rates(*(shared_table() for _ in Rates._fields))


class Fronts(NamedTuple):
    """What a worker serves."""

    http: HttpFront
    quick: QuickFront
    udp: UdpFront
    tcp: TcpFront
    dns_udp: DnsUdpFront
    dns_tcp: DnsTcpFront
    recursion: Recursion | None


class _Parts(NamedTuple):
    """What the fronts of one worker share."""

    config: Config
    store: LmdbEngine
    run: RunStore
    turn: Turn
    resolver: Resolver
    registrar: RegistrarClient
    prover: Prover
    failures: LoginFailures
    notes: Notes
    lookups: SourceLimit
    filing: SourceLimit
    recursion: Recursion | None
    site: SiteInfo
    rules: HandleRules
    root: bool
    names: Names
    url: str

    def require_here(self, handle: str) -> None:
        with self.store.snapshot() as snapshot:
            self.resolver.require_here(snapshot, handle)


def make_fronts(
    config: Config, store: LmdbEngine, run: RunStore, spool: Spool, counters: Counters, *,
    seconds: Seconds, ports: Ports, rates: Rates,
) -> Fronts:  # fmt: skip
    """One worker's fronts, with everything behind them."""
    http_admits = rate_limit(config, "http", rates.http, counters.limited).admits
    tcp_admits = rate_limit(config, "handle", rates.tcp, counters.limited).admits
    udp_admits = rate_limit(config, "handle", rates.udp, counters.limited).admits
    turn = Turn(spool, counters.resolution, counters.log_failed, measure=seconds.add)
    root, rules = config.flag("handle.root"), wiring.handle_rules(config)
    units = Units(wiring.lot_keys(config), root=root)
    resolver = Resolver(rules, root=root, server_admins=wiring.server_admins(config), units=units)
    site = site_info(config, ports)
    registrar = RegistrarClient(wiring.run_folder(config))
    parts = _Parts(
        config, store, run, turn, resolver, registrar, Prover(store, resolver.records),
        LoginFailures(rates.logins, clock.monotonic_ns), Notes(registrar, counters.login_refused),
        _source_limit(config, counters, rates.lookups, limits.LOOKUPS, limits.LOOKUPS_S),
        _source_limit(config, counters, rates.complaints, limits.COMPLAINTS, limits.COMPLAINTS_S),
        make_recursion(config, store, wiring.addresses(config)), site, rules, root,
        Names(resolver), node_url(config, ports),
    )  # fmt: skip
    service = _handle_service(parts)
    routes = _routes(parts, HttpMessages(service, counters.of_messages(Transport.HTTP)))
    plain_auth = config.text("http.plain_auth") == "loopback"
    connections = Connections(connections_max=_share(limits.HTTP_CONNECTIONS_MAX, 3))
    front = HttpFront(
        routes.answer, routes.check_head, plain_auth=plain_auth, admits=http_admits, observe=counters.http,
        connections=connections, proxies=wiring.trusted_proxies(config),
    )  # fmt: skip
    reads = PlainReads(store, rules, root=root, units=units)
    handles = QuickHandles(reads, resolver, site.serial, turn, clock.now_s)
    quick = QuickResolver(reads, resolver, turn, counters.of_http("GET", 200), counters.of_http("GET", 404))
    links = QuickRedirects(
        reads,
        parts.names,
        turn,
        counters.of_http("GET", HTTP_TEMPORARY_REDIRECT),
        public_url=load_duties(config).public_url,
    )
    return Fronts(
        front,
        QuickFront(
            quick,
            links,
            http_admits,
            turn,
            front.connection,
            connections=connections,
            count_refusal=counters.of_http("GET", 429),
        ),
        UdpFront(
            service,
            turn,
            udp_admits,
            config.integer("handle.udp_answer_max"),
            counters.of_messages(Transport.UDP),
            quick=handles,
        ),
        TcpFront(
            service,
            turn,
            tcp_admits,
            counters.of_messages(Transport.TCP),
            connections_max=_share(limits.HANDLE_CONNECTIONS_MAX, 3),
            quick=handles,
        ),
        *_dns_fronts(parts, make_zones(config, ports), counters, rates),
        parts.recursion,
    )


def _dns_fronts(parts: _Parts, zones: Zones, counters: Counters, rates: Rates) -> tuple[DnsUdpFront, DnsTcpFront]:
    """DNS, both ways. They listen where there is a zone."""
    config, store, turn = parts.config, parts.store, parts.turn
    bytes_max = config.integer("dns.udp_answer_max")
    by_udp = DnsService(store, zones, turn, Via.DNS_UDP, udp_bytes=bytes_max, observe=counters.of_dns("udp"))
    by_tcp = DnsService(store, zones, turn, Via.DNS_TCP, udp_bytes=None, observe=counters.of_dns("tcp"))
    transfers = None
    if config.file("dns.tsig_file") is not None:  # dnspython is not imported where nobody has a key
        from node.dns_transfer import Transfers
        from node.tsig_file import load_tsig

        transfers = Transfers(zones, load_tsig(config), store.snapshot, counters.transfer, clock.now_s)
    return (
        DnsUdpFront(
            by_udp, turn, rate_limit(config, "dns", rates.dns_udp, counters.limited).admits, bytes_max,
            transfers=transfers,
        ),
        DnsTcpFront(
            by_tcp, turn, rate_limit(config, "dns", rates.dns_tcp, counters.limited).admits, transfers=transfers,
            connections_max=_share(limits.DNS_CONNECTIONS_MAX, 1),
        ),
    )  # fmt: skip


def _handle_service(parts: _Parts) -> HandleService:
    """The Handle protocol, whichever way it comes."""
    store, config = parts.store, parts.config
    return HandleService(
        (
            ReadingHandleApi(parts.resolver, store, parts.site, parts.turn, lambda: _status(store)),
            WritingHandleApi(parts.rules, store, parts.registrar, root=parts.root),
        ),
        parts.prover,
        Dialogues(parts.run, clock.now_ms),
        server_key=server_key(config),
        site_serial=parts.site.serial,
        sessions_offered=config.flag("handle.sessions"),
        require_here=parts.require_here,
        failures=parts.failures,
        notes=parts.notes,
    )


def _routes(parts: _Parts, messages: HttpMessages) -> Routes:
    """What answers over HTTP."""
    store, registrar, resolver, turn = parts.store, parts.registrar, parts.resolver, parts.turn
    logins = Logins(parts.run, clock.now_ms)
    notes = parts.notes
    duties = load_duties(parts.config)
    management = ManagementApi(
        parts.rules, store, registrar, root=parts.root, server_admins=wiring.server_admins(parts.config),
        now_ms=clock.now_ms, public_limits={
            "complaint.file": parts.filing, "complaint.status": parts.lookups, "monitor.show": parts.lookups,
        },
        keys=wiring.lot_keys(parts.config), last_round=partial(read_round, wiring.run_folder(parts.config)),
    )  # fmt: skip
    return Routes(
        reading=ReadingApi(resolver, store, parts.site, turn),
        writing=WritingApi(parts.rules, store, registrar, root=parts.root),
        batches=BatchApi(registrar),
        browser=Browser(resolver, store, turn),
        digital_links=DigitalLinks(
            parts.names, store, turn, public_url=duties.public_url, operator=duties.operator
        ),
        oids=OidPages(store, turn, Operator(duties.operator, parts.url), root=parts.root),
        public=PublicPages(duties, public_key(parts.config), VERSION, clock.now_ms),
        sessions=SessionsApi(
            logins, parts.prover, server_key(parts.config), parts.require_here,
            notes=notes, failures=parts.failures,
        ),
        callers=Callers(
            store, resolver.records, parts.prover, logins, failures=parts.failures, now_ms=clock.now_ms,
            note_login=lambda identity, request: notes.logged_in(identity, origin_of(request)),
        ),
        messages=messages.answer,
        management=management,
        notes=notes,
        registrations=RegistrationData(store, parts.rules, rdap_registrar(parts.config), limit=parts.lookups),
        complaints=ComplaintPages(
            store, registrar, days=parts.config.integer("complaint.days"), now_ms=clock.now_ms,
            filing=parts.filing, lookups=parts.lookups,
        ),
        resolving=ResolveApi(
            resolver, parts.names, store, turn, lookups=parts.lookups, recursion=parts.recursion
        ),
        logs=LogApi(parts.config.data / "log", management.require),
        description=description(VERSION),
        ready=lambda: turn.writable and _can_read(store),
    )  # fmt: skip


def _status(store: LmdbEngine) -> dict[str, object]:
    """What 0.SITE/status shows to server administrators."""
    with store.snapshot() as snapshot:
        serial = snapshot.serial()
    statistics = store.statistics()
    return {
        "software": f"Saltern {VERSION}",
        "protocol": str(PROTOCOL),
        "time": clock.format_utc(clock.now_s()),
        "records": statistics.rows["records"],
        "prefixes": statistics.rows["prefixes"],
        "lastChange": serial,
    }


def _share(connections: int, eighths: int) -> int:
    """As many connections, or eighths of the descriptors that this process may open if these are fewer.

    HTTP, the Handle protocol and DNS leave one eighth to TLS handshakes, the store and the registrar.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if soft == resource.RLIM_INFINITY else min(connections, soft * eighths // 8)


def _can_read(store: LmdbEngine) -> bool:
    try:
        with store.snapshot() as snapshot:
            snapshot.serial()
    except NodeError:
        return False
    return True
