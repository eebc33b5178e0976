"""Where objects meet: configuration in, assembled parts out, as every command needs them.

What the processes of a running node need besides: ``node/serving.py``. Nowhere else are objects joined.
"""

from __future__ import annotations

import logging
import secrets
import ssl
from importlib.metadata import entry_points
from ipaddress import IPv6Network, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from audit.pending import PendingError, unpack_pending
from audit.places import PENDING
from core import clock, limits
from core.admission import ServerAdmins, parse_server_admins
from core.config import Config
from core.disk import DiskGuard
from core.errors import ConfigError, NodeError, StoreError
from core.forwarded import TrustedProxies
from core.ident.handle import HandleRules
from core.party.seal import NONCE_BYTES
from core.store.bounds_row import adopt_bounds
from core.store.case_row import adopt_case, require_case
from core.store.lmdb_engine import EarlierStoreError, LmdbEngine
from core.store.log_queue import LogQueue
from core.wire.sitefile import AddressPolicy
from node import VERSION
from node.duties import load_duties
from node.key_file import LOT_KEYS, PARTY_KEYS, KeyKind, load_keys
from node.lot_keys import LotKeys
from node.signing import load_signer
from node.site import configured_site, server_choice
from node.transfer_keys import import_keys
from registry.desk import Seals
from registry.incident_report import Reporting
from registry.policy import Policy
from registry.service import Registry
from registry.verification import METHODS, Method
from resolver.ratelimit import Network

_LOG: Final = logging.getLogger("saltern.node")
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


def disks(config: Config) -> tuple[Path, ...]:
    """Folders on each file system that a node fills: data, store, logs and what is on its way to them."""
    return (config.data, store_folder(config), config.data / "log", config.data / "spool")


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


def trusted_proxies(config: Config) -> TrustedProxies:
    """The proxies that say for whom they ask. Errors: ConfigError that names the entry."""
    setting = "http.trusted_proxies"
    return TrustedProxies([_network(setting, each) for each in config.items(setting)])


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


def open_store(config: Config, *, read_only: bool = False, create: bool = False) -> LmdbEngine:
    """Open the store; whoever may write keeps in it whether case matters in its keys, and how long they are.

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
            adopt_bounds(store, config.integer("handle.prefix_length_max"), config.integer("handle.length_max"))
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


def log_host(config: Config) -> str:
    """What the names of this node's logs begin with: log.origin, else the host of node.public_url, else node.prefix."""
    host = config.text("log.origin") or urlsplit(config.text("node.public_url")).hostname
    return host or config.text("node.prefix") or "localhost"


def make_registry(config: Config, store: LmdbEngine, *, founding: bool = False) -> Registry:
    """The registration service on a store. ``founding``: by ``saltern init`` alone. Errors: ConfigError."""
    _number_on(config, store)
    file = key_file(config, PARTY_KEYS)
    return Registry(
        store, handle_rules(config), root=config.flag("handle.root"), server_admins=server_admins(config),
        seals=Seals(lambda: load_keys(file, PARTY_KEYS), lambda: secrets.token_bytes(NONCE_BYTES)),
        policy=policy(config), methods=verification_methods(), load_signer=lambda: load_signer(config),
        reporting=reporting(config), lot_keys=lot_keys(config), founding=founding,
    )  # fmt: skip


def _number_on(config: Config, store: LmdbEngine) -> None:
    """Number the rows of the log's queue behind those that the logs have. Errors: StoreError, OSError."""
    path = config.data / PENDING
    if not path.exists():
        return
    try:
        decided = unpack_pending(path.read_bytes()).queue
    except PendingError:
        return  # the keeper tells of it, and publishes nothing
    behind = LogQueue(store).go_on_behind(decided)
    if behind:
        _LOG.warning(
            "存储比日志旧（差 %d 行），应是由备份恢复。The store is older than the logs: it was "
            "put back from a copy", behind,
        )  # fmt: skip


def reporting(config: Config) -> Reporting:
    """What reports of incidents say of this node, and when they are due."""
    within_ms = config.integer("incident.report_hours") * _HOUR_MS
    return Reporting(config.text("node.prefix"), config.text("about.operator"), f"Saltern {VERSION}", within_ms)


def policy(config: Config) -> Policy:
    """What is admitted as a name and as an address, and when. Errors: ConfigError that names the settings."""
    production = is_production(config)
    return Policy(
        production,
        _patterns(config, "prefix.deny"),
        _patterns(config, "prefix.hold"),
        addresses(config),
        config.integer("party.confirm_days") * _DAY_MS,
        load_duties(config).registration,
        config.integer("complaint.days"),
        import_keys(config),
        DiskGuard(disks(config), config.integer("log.disk_stop")).has_room,
    )


def addresses(config: Config) -> AddressPolicy:
    """Which addresses somebody else may name for this node to ask, or refer to. Errors: ConfigError."""
    networks = tuple(_network("prefix.site_networks", each) for each in config.items("prefix.site_networks"))
    return AddressPolicy(networks if is_production(config) else (*networks, *_PRIVATE), public=True)


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


def key_file(config: Config, kind: KeyKind) -> Path:
    """The file of keys. Errors: ConfigError if none is named."""
    file = config.file(kind.setting)
    if file is None:
        raise ConfigError(f"{kind.setting}: 未指定密钥文件。No key file is named", setting=kind.setting)
    return file


def lot_keys(config: Config) -> LotKeys:
    """The master keys of unit codes, read when they are asked for. Errors: ConfigError if no file is named."""
    file = key_file(config, LOT_KEYS)
    return LotKeys(lambda: load_keys(file, LOT_KEYS), clock.monotonic_s)


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
        missing = [str(path) for path in (certificate, key) if path is not None and not path.exists()]
        which = ", ".join(missing or [str(certificate)])
        raise ConfigError(f"https.certificate, https.key: {which}: {error}") from None
    return context
