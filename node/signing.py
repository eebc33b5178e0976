"""The key that this node signs with: reports, exports. An Ed25519 key in a PEM file of mode 0600."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.config import Config
from core.errors import ConfigError
from core.signature import Signer


def signing_key_pem(key: Ed25519PrivateKey) -> bytes:
    """Return the PEM text of a key (RFC 8410)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_signer(config: Config) -> Signer:
    """Return what signs. Errors: ConfigError that says what is wrong and how a key is made, and shows no key."""
    path = config.file("node.signing_key")
    if path is None:
        raise ConfigError("node.signing_key: 未指定签名密钥。No signing key is named", setting="node.signing_key")
    return Signer(read_private_key(path, "node.signing_key"))


def public_key(config: Config) -> bytes | None:
    """Return the public key of what signs, 32 octets; None if there is no key that can be used."""
    try:
        return load_signer(config).public_key
    except ConfigError:
        return None


def read_private_key(path: Path, setting: str) -> Ed25519PrivateKey:
    """Read a key that signs. ``setting``: what names it. Errors: ConfigError that shows no key."""
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{setting}: {path} 可被他人读取，应为 0600。{path} can be read by others; make it 0600")
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        raise ConfigError(
            f"{setting}: 没有 {path}，请放回副本；从未有过时可这样新建。There is no {path}; put its copy "
            "back, or, where there never was one, make it: "
            f"(umask 077; openssl genpkey -algorithm ed25519 -out {path})"
        ) from None
    except OSError as error:
        raise ConfigError(f"{setting}: 无法读取 {path}。Cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise ConfigError(f"{setting}: {path} 不是 PEM 私钥。{path} is no private key in PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{setting}: {path} 不是 Ed25519 密钥。{path} is no Ed25519 key")
    return key
