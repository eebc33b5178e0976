"""The only place where objects meet: configuration in, assembled parts out."""

from __future__ import annotations

import resource
import secrets
import ssl
from collections.abc import Callable
from importlib.metadata import entry_points
from ipaddress import IPv6Network, ip_network
from pathlib import Path
from typing import Final, NamedTuple

from audit.spool import Spool
from core import clock, limits
from core.admission import ServerAdmins, parse_server_admins
from core.caller import Callers
from core.config import Config
from core.errors import ConfigError, NodeError, StoreError
from core.hdl.dialogues import Dialogues
from core.hdl.exchange import Transport
from core.hdl.logins import Logins
from core.hdl.prover import Prover
from core.ident.handle import HandleRules
from core.party.seal import NONCE_BYTES
from core.records import SiteInfo
from core.source_limit import SourceLimit
from core.store.case_row import adopt_case, require_case
from core.store.lmdb_engine import EarlierStoreError, LmdbEngine
from core.store.run_store import RunStore
from core.wire.codepoints import VERSION as PROTOCOL
from core.wire.sitefile import AddressPolicy
from node import VERSION
from node.duties import load_duties
from node.handle_http import HttpMessages
from node.handle_service import HandleService
from node.handle_tcp import TcpFront
from node.handle_udp import UdpFront
from node.http_connections import Connections
from node.http_front import HttpFront
from node.http_quick import QuickFront
from node.party_keys import load_keys
from node.public_pages import PublicPages
from node.routes import Routes
from node.sessions_api import SessionsApi
from node.signing import load_signer, public_key
from node.site import Ports, configured_site, server_choice, server_key, site_info
from node.telemetry import Counters, Front
from node.transfer_keys import import_keys
from node.turn import Turn
from registry.batch_api import BatchApi
from registry.client import RegistrarClient
from registry.complaint_pages import ComplaintPages
from registry.desk import Seals
from registry.handle_api import HandleApi as WritingHandleApi
from registry.http_api import ManagementApi
from registry.incident_report import Reporting
from registry.json_api import JsonApi as WritingApi
from registry.openapi import description
from registry.policy import Policy
from registry.rdap import Registrar as RdapRegistrar
from registry.rdap_api import RegistrationData
from registry.registrar import Registrar
from registry.service import Registry
from registry.verification import METHODS, Method
from resolver.browser import Browser
from resolver.failures import LoginFailures
from resolver.handle_api import HandleApi as ReadingHandleApi
from resolver.handle_quick import QuickHandles
from resolver.json_api import JsonApi as ReadingApi
from resolver.plain import PlainReads
from resolver.quick import QuickResolver
from resolver.ratelimit import Network, RateLimit, shared_table
from resolver.service import Resolver

_MAPPED: Final = IPv6Network("::ffff:0:0/96")  # IPv4 addresses in IPv6 (RFC 4291 §2.5.5.2)
_DAY_MS: Final = 86_400_000
_HOUR_MS: Final = 3_600_000
_PRIVATE: Final = tuple(  # loopback, RFC 1918, RFC 4193, link-local
    map(
        ip_network, ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7", "fe80::/10")
    )
)


def run_folder(config: Config) -> Path:
    """What lives only as long as the node runs."""
    return config.data / "run"


def store_folder(config: Config) -> Path:
    """The store."""
    return config.data / "store"


def handle_rules(config: Config) -> HandleRules:
    """The bounds of a handle, how handles are compared, and which server of its site this is. Errors: ConfigError."""
    site = configured_site(config)
    return HandleRules(
        config.integer("handle.prefix_length_max"),
        config.integer("handle.length_max"),
        config.flag("handle.case_sensitive"),
        None if site is None else server_choice(config, site),
    )


def server_admins(config: Config) -> ServerAdmins:
    """The server administrators. Errors: ConfigError."""
    rules = handle_rules(config)
    try:
        return parse_server_admins(config.items("handle.server_admins"), config.text("node.prefix"), rules)
    except NodeError as error:
        raise ConfigError(f"handle.server_admins: {error.message}") from None


def rate_limit_exempt(config: Config) -> tuple[Network, ...]:
    """The networks that no rate limit holds for. Errors: ConfigError that names the entry."""
    setting = "resolver.rate_limit_exempt"
    return tuple(_network(setting, each) for each in config.items(setting))


def _network(setting: str, entry: int | str) -> Network:
    try:
        if isinstance(entry, int) or "%" in entry:  # a number would be read as an address, a zone be overlooked
            raise ValueError(f"{entry!r} is no IPv4 or IPv6 network")
        network = ip_network(entry)
        if network.version == 6 and network.subnet_of(_MAPPED):
            raise ValueError(f"{entry!r}: write it as an IPv4 network; a mapped address counts as what it maps")
    except ValueError as error:
        raise ConfigError(f"{setting}: {error}", setting=setting) from None
    return network


def rate_limit(config: Config, front: Front, table: memoryview, refused: Callable[[Front], None]) -> RateLimit:
    """The limit of one front: ``http.rate_limit`` or ``handle.rate_limit``. Errors: ConfigError.

    ``table``: of Rates, one for each front. ``refused`` counts.
    """
    per_second, exempt = config.integer(f"{front}.rate_limit"), rate_limit_exempt(config)
    return RateLimit(per_second, table, exempt, clock.monotonic_ns, lambda: refused(front))


def _source_limit(
    config: Config, counters: Counters, table: memoryview, requests: int, window_s: int
) -> SourceLimit:  # fmt: skip
    """The limit of something that anybody may ask, whatever http.rate_limit is. Errors: ConfigError."""
    limited = RateLimit(
        requests, table, rate_limit_exempt(config), clock.monotonic_ns, lambda: counters.limited("http"),
        window_s=window_s,
    )  # fmt: skip
    return SourceLimit(limited.admits, -(-window_s // requests))


def rdap_registrar(config: Config) -> RdapRegistrar:
    """Who this node is in registration data. Errors: ConfigError."""
    duties = load_duties(config)
    return RdapRegistrar(duties.prefix, duties.public_url, duties.operator)


def open_store(config: Config, *, read_only: bool = False, create: bool = False) -> LmdbEngine:
    """Open the store; whoever may write keeps in it whether case matters in its keys.

    One of an earlier version gets the tables that it lacks, also where it is opened for reading.
    Errors: StoreError; ConfigError if its keys were made with another handle.case_sensitive.
    """
    try:
        store = _engine(config, read_only=read_only, create=create)
    except EarlierStoreError:
        _complete(config)
        store = _engine(config, read_only=read_only)
    case_sensitive = config.flag("handle.case_sensitive")
    try:
        if not read_only:
            adopt_case(store, case_sensitive=case_sensitive)
        else:
            with store.snapshot() as snapshot:
                require_case(snapshot, case_sensitive=case_sensitive)
    except BaseException:
        store.close()
        raise
    return store


def _engine(config: Config, *, read_only: bool = False, create: bool = False) -> LmdbEngine:
    size = config.integer("store.map_size")
    return LmdbEngine(store_folder(config), map_size_bytes=size, read_only=read_only, create=create)


def _complete(config: Config) -> None:
    """Add the tables that a store of an earlier version lacks; LMDB's lock orders whoever writes."""
    try:
        open_store(config).close()
    except StoreError as error:
        raise StoreError(
            "存储由早期版本建立，须补齐数据表：请启动节点，或以节点的所有者身份运行此命令。"
            "The store was made by an earlier version and lacks tables: start the node, or run this command as "
            f"its owner ({error.message})"
        ) from None


def make_registry(config: Config, store: LmdbEngine, *, founding: bool = False) -> Registry:
    """The registration service on a store. ``founding``: by ``saltern init`` alone. Errors: ConfigError."""
    file = party_keys_file(config)
    return Registry(
        store, handle_rules(config), root=config.flag("handle.root"), server_admins=server_admins(config),
        seals=Seals(lambda: load_keys(file), lambda: secrets.token_bytes(NONCE_BYTES)),
        policy=policy(config), methods=verification_methods(), load_signer=lambda: load_signer(config),
        reporting=reporting(config), founding=founding,
    )  # fmt: skip


def reporting(config: Config) -> Reporting:
    """What reports of incidents say of this node, and when they are due."""
    within_ms = config.integer("incident.report_hours") * _HOUR_MS
    return Reporting(config.text("node.prefix"), config.text("about.operator"), f"Saltern {VERSION}", within_ms)


def policy(config: Config) -> Policy:
    """What is admitted as a name and as an address, and when. Errors: ConfigError that names the settings."""
    production = is_production(config)
    networks = tuple(_network("prefix.site_networks", each) for each in config.items("prefix.site_networks"))
    return Policy(
        production,
        _patterns(config, "prefix.deny"),
        _patterns(config, "prefix.hold"),
        AddressPolicy(networks if production else (*networks, *_PRIVATE), public=True),
        config.integer("party.confirm_days") * _DAY_MS,
        load_duties(config).registration,
        config.integer("complaint.days"),
        import_keys(config),
    )


def is_production(config: Config) -> bool:
    """Whether the node serves the public."""
    return config.text("node.profile") == "production"


def _patterns(config: Config, setting: str) -> tuple[str, ...]:
    patterns = config.items(setting)
    if len(patterns) > limits.POLICY_NAMES_MAX:
        raise ConfigError(f"{setting}: more than {limits.POLICY_NAMES_MAX} patterns", setting=setting)
    for pattern in patterns:
        if not isinstance(pattern, str) or not 0 < len(pattern) <= limits.POLICY_NAME_CHARS_MAX:
            raise ConfigError(f"{setting}: {pattern!r} is no pattern of 1 to {limits.POLICY_NAME_CHARS_MAX} characters")
    return tuple(map(str, patterns))


def verification_methods() -> dict[str, Method]:
    """The methods of verification: those of the node, and those of installed packages.

    An entry point of the group ``saltern.verification`` names something that makes a ``Method``.
    It cannot take the name of one of the node's own.
    """
    found = {each.name: each.load()() for each in entry_points(group="saltern.verification")}
    return found | METHODS


def party_keys_file(config: Config) -> Path:
    """The key file of identity data. Errors: ConfigError if none is named."""
    file = config.file("party.keys")
    if file is None:
        raise ConfigError("party.keys: 未指定密钥文件。No key file is named")
    return file


def make_registrar(config: Config, store: LmdbEngine, counters: Counters) -> Registrar:
    """The registrar's socket side."""
    return Registrar(make_registry(config, store), clock.now_ms, counters.group)


def open_run_store(config: Config) -> RunStore:
    """Open what lives only as long as the node runs. Errors: StoreError."""
    return RunStore(run_folder(config) / "dialogues")


def make_spool(config: Config, worker: str) -> Spool:
    """The first half of a worker's resolution log."""
    return Spool(config.data / "log" / "spool", worker, config.integer("log.sync_interval") / 1_000)


class Rates(NamedTuple):
    """What sources have taken, in memory that all workers share: made before they are forked."""

    http: memoryview
    tcp: memoryview
    udp: memoryview  # apart: whoever forges an address must not use up what its owner may ask by TCP
    logins: memoryview  # of failures to log in
    lookups: memoryview  # of registration data and tickets
    complaints: memoryview  # that were filed


def make_rates() -> Rates:
    """The memory of the limits, all buckets full."""
    return Rates(*(shared_table() for _ in Rates._fields))


class Fronts(NamedTuple):
    """What a worker serves."""

    http: HttpFront
    quick: QuickFront
    udp: UdpFront
    tcp: TcpFront


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
    lookups: SourceLimit
    filing: SourceLimit
    site: SiteInfo
    rules: HandleRules
    root: bool

    def require_here(self, handle: str) -> None:
        with self.store.snapshot() as snapshot:
            self.resolver.require_here(snapshot, handle)


def make_fronts(
    config: Config, store: LmdbEngine, run: RunStore, spool: Spool, counters: Counters, *, ports: Ports, rates: Rates
) -> Fronts:
    """One worker's fronts, with everything behind them."""
    http_admits = rate_limit(config, "http", rates.http, counters.limited).admits
    tcp_admits = rate_limit(config, "handle", rates.tcp, counters.limited).admits
    udp_admits = rate_limit(config, "handle", rates.udp, counters.limited).admits
    turn = Turn(spool, counters.resolution, counters.log_failed)
    root, rules = config.flag("handle.root"), handle_rules(config)
    resolver = Resolver(rules, root=root, server_admins=server_admins(config))
    site = site_info(config, ports)
    parts = _Parts(
        config, store, run, turn, resolver, RegistrarClient(run_folder(config)), Prover(store, resolver.records),
        LoginFailures(rates.logins, clock.monotonic_ns),
        _source_limit(config, counters, rates.lookups, limits.LOOKUPS, limits.LOOKUPS_S),
        _source_limit(config, counters, rates.complaints, limits.COMPLAINTS, limits.COMPLAINTS_S), site, rules, root,
    )  # fmt: skip
    service = _handle_service(parts)
    routes = _routes(parts, HttpMessages(service, counters.of_messages(Transport.HTTP)))
    plain_auth = config.text("http.plain_auth") == "loopback"
    connections = Connections(connections_max=_share(limits.HTTP_CONNECTIONS_MAX, 3))
    front = HttpFront(
        routes.answer, routes.check_head, plain_auth=plain_auth, admits=http_admits, observe=counters.http,
        connections=connections,
    )  # fmt: skip
    reads = PlainReads(store, rules, root=root)
    handles = QuickHandles(reads, resolver, site.serial, turn, clock.now_s)
    quick = QuickResolver(reads, resolver, turn, counters.of_http("GET", 200), counters.of_http("GET", 404))
    return Fronts(
        front,
        QuickFront(quick, http_admits, turn, front.connection, connections, count_refusal=counters.of_http("GET", 429)),
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
            connections_max=_share(limits.HANDLE_CONNECTIONS_MAX, 4),
            quick=handles,
        ),
    )


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
    )


def _routes(parts: _Parts, messages: HttpMessages) -> Routes:
    """What answers over HTTP."""
    store, registrar, resolver, turn = parts.store, parts.registrar, parts.resolver, parts.turn
    logins = Logins(parts.run, clock.now_ms)
    management = ManagementApi(
        parts.rules, store, registrar, root=parts.root, server_admins=server_admins(parts.config), now_ms=clock.now_ms,
        public_limits={"complaint.file": parts.filing, "complaint.status": parts.lookups},
    )  # fmt: skip
    return Routes(
        reading=ReadingApi(resolver, store, parts.site, turn),
        writing=WritingApi(parts.rules, store, registrar, root=parts.root),
        batches=BatchApi(registrar),
        browser=Browser(resolver, store, turn),
        public=PublicPages(load_duties(parts.config), public_key(parts.config), VERSION, clock.now_ms),
        sessions=SessionsApi(
            logins, parts.prover, server_key(parts.config), parts.require_here,
            note_failed=management.note_failed, failures=parts.failures,
        ),
        callers=Callers(
            store, resolver.records, parts.prover, logins, failures=parts.failures, now_ms=clock.now_ms
        ),
        messages=messages.answer,
        management=management,
        registrations=RegistrationData(store, parts.rules, rdap_registrar(parts.config), limit=parts.lookups),
        complaints=ComplaintPages(
            store, registrar, days=parts.config.integer("complaint.days"), now_ms=clock.now_ms,
            filing=parts.filing, lookups=parts.lookups,
        ),
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

    HTTP and the Handle protocol leave one eighth to TLS handshakes, the store and the registrar.
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


def tls_context(config: Config) -> ssl.SSLContext | None:
    """Return the TLS context, None if no certificate is configured. Errors: ConfigError."""
    certificate, key = config.file("https.certificate"), config.file("https.key")
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"https.certificate, https.key: {certificate}: {error}") from None
    return context
