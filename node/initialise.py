"""``saltern init``: keys, configuration, store, and the operator's own prefixes.

Nothing that is there is ever overwritten. Secrets lie in files of mode 0600.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import secrets
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from core import clock
from core.config import Config, load
from core.durable import write_new_file
from core.errors import ConfigError
from core.ident.handle import check_prefix
from core.records import (
    ADMIN_PERMISSIONS_ALL,
    AdminRecord,
    HandleValue,
    RsaKey,
    ValuePermission,
    ValueReference,
    Values,
)
from core.wire.admin import encode_admin, encode_group
from core.wire.publickey import encode_public_key
from core.wire.valuetypes import HS_ADMIN, HS_PUBKEY, HS_SECKEY, HS_VLIST
from node import wiring
from node.key_file import LOT_KEYS, PARTY_KEYS, add_key
from node.lock import DataLock
from node.signing import signing_key_pem
from registry.commands import OPERATOR, Home, Put, Request

_RSA_BITS: Final = 2_048
_SECRET_OCTETS: Final = 24
_CERTIFICATE_DAYS: Final = 825
_ADMIN_INDEX: Final = 100
_GROUP_INDEX: Final = 200
_PUBLIC_KEY_INDEX: Final = 300
_SECRET_KEY_INDEX: Final = 301
_PRIVATE: Final = int(ValuePermission.ADMIN_READ | ValuePermission.ADMIN_WRITE)

_TOML: Final = """\
# Saltern 节点配置 · configuration. All settings: saltern config explain
[node]
prefix = {prefix}
data = "data"

[http]
address = "127.0.0.1"
port = 8000

[https]
port = 8443
certificate = "keys/tls.crt"
key = "keys/tls.key"

[handle]
server_admins = [{admin}]
server_key = "keys/server.pem"

[management]
port = 8001
"""


def initialise(folder: Path, prefixes: tuple[str, ...]) -> Config:
    """Make a node in a folder; return its configuration.

    Errors: ConfigError if there is one already; IdentifierError for a prefix.
    """
    file = folder / "node.toml"
    if file.exists() or (folder / "keys").exists() or (folder / "data").exists():
        raise ConfigError(f"{folder} 中已有节点，未作改动。There is a node in {folder} already; nothing was changed")
    probe = Config(file, {})
    keys = [check_prefix(prefix, wiring.handle_rules(probe)) for prefix in prefixes]
    if len(set(keys)) != len(keys):
        raise ConfigError("同一前缀给出了两次。The same prefix is given twice")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "keys").mkdir(mode=0o700)
        admin_key = make_rsa_key(folder / "keys" / "admin.pem")
        make_rsa_key(folder / "keys" / "server.pem")
        secret = secrets.token_urlsafe(_SECRET_OCTETS)
        write_new_file(folder / "keys" / "admin.secret", f"{secret}\n".encode())
        make_certificate(folder / "keys" / "tls.crt", folder / "keys" / "tls.key")
        add_key(folder / "keys" / "identity.keys", PARTY_KEYS)
        add_key(folder / "keys" / "lots.keys", LOT_KEYS)
        write_new_file(folder / "keys" / "node.pem", signing_key_pem(Ed25519PrivateKey.generate()))
        # A JSON string is a basic string of TOML.
        file.write_text(_TOML.format(prefix=json.dumps(prefixes[0]), admin=_PUBLIC_KEY_INDEX), "utf-8")
        (folder / "data").mkdir(mode=0o700)
    except OSError as error:
        raise ConfigError(f"无法写入 {folder}。Cannot write to {folder}: {error.strerror}") from None
    config = load(file)
    _home(config, prefixes, admin_key, secret)
    return config


def _home(config: Config, prefixes: tuple[str, ...], key: RsaKey, secret: str) -> None:
    lock = DataLock(config.data)
    store = wiring.open_store(config, create=True)
    try:
        registry = wiring.make_registry(config, store, founding=True)
        requests = []
        for prefix in prefixes:
            values = administrator_record(prefix, prefixes[0], key, secret, clock.now_s())
            requests += [
                Request(Home(prefix), OPERATOR),
                Request(Put(f"0.NA/{prefix}", values), OPERATOR),
            ]
        for result in registry.run(requests, clock.now_ms()):
            if not result.done:
                raise ConfigError(f"{result.handle}: {result.message or result.outcome.value}")
    finally:
        store.close()
        lock.close()


def administrator_record(prefix: str, first: str, key: RsaKey, secret: str, now_s: int) -> Values:
    """Return the values of ``0.NA/<prefix>``: HS_ADMIN 100, HS_VLIST 200, HS_PUBKEY 300, HS_SECKEY 301.

    The administrators of the first prefix are members of every other prefix's group.
    """
    own = f"0.NA/{prefix}"
    members = [ValueReference(own, _PUBLIC_KEY_INDEX), ValueReference(own, _SECRET_KEY_INDEX)]
    if prefix != first:
        above = f"0.NA/{first}"
        members += [ValueReference(above, _PUBLIC_KEY_INDEX), ValueReference(above, _SECRET_KEY_INDEX)]
    admin = AdminRecord(ADMIN_PERMISSIONS_ALL, own, _GROUP_INDEX)
    return (
        HandleValue(_ADMIN_INDEX, HS_ADMIN, encode_admin(admin), timestamp=now_s),
        HandleValue(_GROUP_INDEX, HS_VLIST, encode_group(tuple(members)), timestamp=now_s),
        HandleValue(_PUBLIC_KEY_INDEX, HS_PUBKEY, encode_public_key(key), timestamp=now_s),
        HandleValue(_SECRET_KEY_INDEX, HS_SECKEY, secret.encode(), permissions=_PRIVATE, timestamp=now_s),
    )


def make_rsa_key(path: Path) -> RsaKey:
    """Make a private key of a Handle server or administrator, mode 0600; return its public part. Errors: OSError."""
    key = rsa.generate_private_key(65_537, _RSA_BITS)
    write_new_file(path, _pem(key))
    numbers = key.public_key().public_numbers()
    return RsaKey(numbers.n, numbers.e)


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def make_certificate(certificate: Path, key_path: Path) -> None:
    """Make a self-signed certificate for localhost, so that HTTPS works from the first minute."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.fromtimestamp(clock.now_s(), datetime.UTC)
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=_CERTIFICATE_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    write_new_file(key_path, _pem(key))
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
