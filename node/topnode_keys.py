"""The keys of the reference top node, and the file with its public key that nodes are given.

``keys/top.pub`` is text: lines that begin with # for people, and one line, Base64 of the 32 octets of an Ed25519 key.
``saltern sync connect --key FILE`` reads it.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.note import NoteError, NoteKey, witness_key
from core import limits
from core.config import Config
from core.durable import write_new_file
from core.errors import ConfigError
from core.signature import PUBLIC_KEY_BYTES, Signer, key_id
from node.key_file import TOP_KEYS, load_keys
from node.signing import read_private_key, signing_key_pem


def read_public_key(path: Path) -> bytes:
    """Return the public key of a top node, 32 octets. Bounds: TOP_KEY_FILE_BYTES_MAX.

    Errors: ConfigError that says what is wrong with the file.
    """
    try:
        with path.open("rb") as file:
            text = file.read(limits.TOP_KEY_FILE_BYTES_MAX + 1).decode("utf-8")
    except OSError as error:
        raise ConfigError(f"无法读取公钥文件 {path}。Cannot read the public key {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _no_key(path, "it is no text") from None
    if "PRIVATE KEY" in text:
        raise _no_key(path, "it holds a private key: keep it secret, and give keys/top.pub of the top node")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(text) > limits.TOP_KEY_FILE_BYTES_MAX or len(lines) != 1:
        raise _no_key(path, "it is not one line beside lines that begin with #")
    try:
        octets = base64.b64decode(lines[0], validate=True)
    except (binascii.Error, ValueError):
        raise _no_key(path, "its line is not Base64") from None
    if len(octets) != PUBLIC_KEY_BYTES:
        raise _no_key(path, f"its line has {len(octets)} octets, not {PUBLIC_KEY_BYTES}")
    return octets


def _no_key(path: Path, why: str) -> ConfigError:
    return ConfigError(f"{path} 不是上级节点的公钥文件（keys/top.pub）。That is no public key of a top node: {why}")


def write_public_key(path: Path, public: bytes) -> None:
    """Write what ``read_public_key`` reads. Errors: OSError."""
    path.write_text(
        "# 上级节点公钥 Public key of a top node (Ed25519): saltern sync connect --key FILE\n"
        f"# 密钥编号 key id: {key_id(public)}\n"
        f"{base64.b64encode(public).decode()}\n",
        "utf-8",
    )


def make_signing_key(private: Path, public: Path, vkey: Path, name: str) -> None:
    """Make the key of a top node: PEM of mode 0600, the file for nodes, and that of its witness (``log.witness_key``).

    Errors: OSError, also where one is.
    """
    key = Ed25519PrivateKey.generate()
    write_new_file(private, signing_key_pem(key))
    octets = key.public_key().public_bytes_raw()
    write_public_key(public, octets)
    vkey.write_text(f"{witness_key(name, octets).vkey}\n", "utf-8")


def load_top_signer(config: Config) -> Signer:
    """Return what a top node signs with. Errors: ConfigError."""
    path = config.file("top.key")
    assert path is not None  # the loader takes no empty one
    return Signer(read_private_key(path, "top.key"))


def top_witness_key(config: Config, public: bytes) -> NoteKey:
    """Return the key of a top node's witness, which is its own under ``top.name``. Errors: ConfigError."""
    name = config.text("top.name")
    require_witness_name(name)
    return witness_key(name, public)


def require_witness_name(name: str) -> None:
    """Errors: ConfigError for a name that no witness can sign under."""
    try:
        witness_key(name, bytes(PUBLIC_KEY_BYTES))
    except NoteError as error:
        raise ConfigError(
            f"top.name = {name!r} 不能作为见证方名称，应如 top.example.cn。"
            f"No witness can sign under that name; give one as top.example.cn: {error}",
            setting="top.name",
        ) from None


def load_store_key(config: Config) -> bytes:
    """Return the key that personal data is sealed with, 32 octets. Errors: ConfigError."""
    path = config.file("top.store_key")
    assert path is not None  # the loader takes no empty one
    ring = load_keys(path, TOP_KEYS)
    return ring.keys[ring.current]
