"""The only place where objects meet: configuration in, assembled parts out."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from core import clock
from core.admission import ServerAdmins, parse_server_admins
from core.config import Config
from core.errors import ConfigError, NodeError
from core.ident.handle import HandleRules
from core.records import HashOption, Interface, RsaKey, ServerInfo, SiteInfo
from core.store.lmdb_engine import LmdbEngine
from core.wire.publickey import encode_public_key
from node.http_front import HttpFront
from node.routes import Routes
from node.telemetry import Counters
from registry.batch_api import BatchApi
from registry.client import RegistrarClient
from registry.json_api import JsonApi as WritingApi
from registry.registrar import Registrar
from registry.service import Registry
from resolver.browser import Browser
from resolver.json_api import JsonApi as ReadingApi
from resolver.service import Resolver

_PROTOCOL: Final = (2, 11)
_HTTP: Final = 2
_HTTPS: Final = 3
_QUERY_AND_ADMIN: Final = 3


def run_folder(config: Config) -> Path:
    """What lives only as long as the node runs."""
    return config.data / "run"


def store_folder(config: Config) -> Path:
    """The store."""
    return config.data / "store"


def handle_rules(config: Config) -> HandleRules:
    """The bounds of a handle."""
    return HandleRules(config.integer("handle.prefix_length_max"), config.integer("handle.length_max"))


def server_admins(config: Config) -> ServerAdmins:
    """The server administrators. Errors: ConfigError."""
    try:
        return parse_server_admins(config.items("handle.server_admins"), config.text("node.prefix"))
    except NodeError as error:
        raise ConfigError(f"handle.server_admins: {error.message}") from None


def open_store(config: Config, *, read_only: bool = False, create: bool = False) -> LmdbEngine:
    """Open the store. Errors: StoreError."""
    return LmdbEngine(
        store_folder(config),
        map_size_bytes=config.integer("store.map_size"),
        read_only=read_only,
        create=create,
    )


def make_registry(config: Config, store: LmdbEngine) -> Registry:
    """The registration service on a store."""
    return Registry(store, handle_rules(config), root=config.flag("handle.root"), server_admins=server_admins(config))


def make_registrar(config: Config, store: LmdbEngine, counters: Counters) -> Registrar:
    """The registrar's socket side."""
    return Registrar(make_registry(config, store), clock.now_ms, counters.group)


def make_http_front(config: Config, store: LmdbEngine, counters: Counters, ports: Ports) -> HttpFront:
    """One worker's HTTP front, with everything behind it."""
    root, rules = config.flag("handle.root"), handle_rules(config)
    resolver = Resolver(rules, root=root, server_admins=server_admins(config))
    registrar = RegistrarClient(run_folder(config))
    routes = Routes(
        ReadingApi(resolver, store, site_info(config, ports), counters.resolution),
        WritingApi(rules, store, registrar, root=root),
        BatchApi(store, registrar, root=root),
        Browser(resolver, store, counters.resolution),
        lambda: _can_read(store),
    )
    plain_auth = config.text("http.plain_auth") == "loopback"
    return HttpFront(routes.answer, routes.check_head, plain_auth=plain_auth, observe=counters.http)


def _can_read(store: LmdbEngine) -> bool:
    try:
        with store.snapshot() as snapshot:
            snapshot.serial()
    except NodeError:
        return False
    return True


class Ports:
    """The ports in use, as the sockets have them; None is off."""

    def __init__(self, http: int, https: int | None, management: int) -> None:
        self.http = http
        self.https = https
        self.management = management


def site_info(config: Config, ports: Ports) -> SiteInfo:
    """Describe this node as a service site. Errors: ConfigError."""
    address = bytes(16)
    for item in config.items("node.public_addresses"):
        try:
            address = ipaddress.ip_address(str(item)).packed.rjust(16, b"\0")
            break
        except ValueError:
            raise ConfigError(f"node.public_addresses: {item!r} is no IP address") from None
    doors = [Interface(_QUERY_AND_ADMIN, _HTTP, ports.http)]
    if ports.https is not None:
        doors.append(Interface(_QUERY_AND_ADMIN, _HTTPS, ports.https))
    server = ServerInfo(1, address, _server_key(config), tuple(doors))
    return SiteInfo(1, *_PROTOCOL, 1, True, False, HashOption.BY_ALL, "", (), (server,))


def _server_key(config: Config) -> bytes:
    path = config.file("handle.server_key")
    if path is None:
        return b""
    try:
        key = load_pem_private_key(path.read_bytes(), None).public_key()
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"handle.server_key: cannot read {path}: {error}") from None
    if not isinstance(key, RSAPublicKey):
        raise ConfigError(f"handle.server_key: {path} is no RSA key")
    numbers = key.public_numbers()
    return encode_public_key(RsaKey(numbers.n, numbers.e))


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
