"""Proves of octets that leave this node that no secret of it is inside: keys, secrets of administrators, tokens.

A secret is looked for as it is, in hexadecimal digits of either case, and in base64 of either alphabet at each of the
three places that it can have in a longer text.
Of a private key the secret numbers are looked for, also in the lines of its PEM text. Nothing that a stranger can know
is taken for a secret: he could have it logged, and no pack would ever be made again.

A secret of 16 octets or more is found by its pieces: all pieces of GRAM octets are in one set, and data is looked up
at such steps that a secret within it cannot be passed over. So the cost does not depend on how many there are.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519

from audit.side import KEY_FILE
from core.config import Config
from core.errors import ConfigError, NodeError, Outcome
from core.store.bearer_rows import parse_bearer, unpack_bearer
from core.store.engine import Snapshot, Table

GRAM: Final = 8
SECRET_OCTETS_MIN: Final = 16  # of what is looked for; shorter ones could stand anywhere
_FILE_BYTES_MAX: Final = 1_048_576
_TAIL: Final = 128  # octets that are looked at again with the next ones; the text of a token takes 64
_SETTINGS: Final = ("node.signing_key", "party.keys", "lots.keys", "handle.server_key", "https.key")
_PRIVATE: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)-----END", re.DOTALL)
_PUBLIC: Final = (b"-----BEGIN CERTIFICATE", b"-----BEGIN PUBLIC KEY", b"-----BEGIN RSA PUBLIC KEY")
_KEY_LINE: Final = re.compile(rb"[0-9]+ +([0-9a-fA-F]{32,})")
_TOKEN: Final = re.compile(rb"saltern_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


class Secret(NamedTuple):
    """A secret, and what to call it where it is found: its file, never its content."""

    name: str
    octets: bytes


class LeakError(NodeError):
    """A secret stands where it must not."""

    outcome = Outcome.INTERNAL

    def __init__(self, where: str, name: str = "") -> None:
        super().__init__(f"{where} 中含有机密（{name}），未生成文件。{where} holds a secret ({name}); nothing was made")


class Watch:
    """Looks at data for secrets. ``digests``: SHA-256 of the secrets of tokens."""

    def __init__(self, secrets: Iterator[Secret], digests: frozenset[bytes] = frozenset()) -> None:
        self._forms: dict[bytes, str] = {}
        self._digests = digests
        for secret in secrets:
            if len(secret.octets) >= SECRET_OCTETS_MIN:
                self._forms |= dict.fromkeys(_forms(secret.octets), secret.name)
        self._grams = {
            form[at : at + GRAM] for form in self._forms for at in range(len(form) - GRAM + 1)
        }  # fmt: skip
        lengths = [len(form) for form in self._forms]
        self._step = min(lengths, default=_TAIL) - GRAM + 1
        self._tail_octets = max((*lengths, _TAIL))
        self._where, self._tail = "", b""

    def look(self, where: str, data: bytes) -> None:
        """Look at the next octets of a file; parts of one come in order. Errors: LeakError."""
        if where != self._where:
            self._where, self._tail = where, b""
        data = self._tail + data
        self._tail = data[-self._tail_octets :]
        if b"saltern_" in data:
            self._look_for_tokens(where, data)
        if self._grams.isdisjoint([data[at : at + GRAM] for at in range(0, len(data) - GRAM + 1, self._step)]):
            return
        for form, name in self._forms.items():
            if form in data:
                raise LeakError(where, name)

    def _look_for_tokens(self, where: str, data: bytes) -> None:
        for match in _TOKEN.finditer(data):
            presented = parse_bearer(match[0].decode())
            if presented is not None and presented.digest in self._digests:
                raise LeakError(where, f"token {presented.name}")


def watch(config: Config, snapshot: Snapshot) -> Watch:
    """Return what looks for all secrets of a node. Errors: ConfigError for a file of keys that cannot be read."""
    bearers = [unpack_bearer(row).digest for _, row in snapshot.scan(Table.BEARERS, b"")]
    return Watch(_secrets(config, bearers), frozenset(bearers))


def _secrets(config: Config, digests: list[bytes]) -> Iterator[Secret]:
    named = [file for setting in _SETTINGS if (file := config.file(setting)) is not None]
    months = sorted((config.data / "clients").glob(f"*/{KEY_FILE}"))
    beside = {each for folder in {file.parent for file in named} if folder.is_dir() for each in folder.iterdir()}
    for file in (*named, *months):
        if file.exists():
            yield from secrets_of(file, _content(file))
    for file in sorted(beside - set(named)):  # secrets of administrators, keys that are not used any more
        try:
            yield from secrets_of(file, _content(file) if file.is_file() else b"")
        except ConfigError:
            continue  # of another user: not a file of this node
    for digest in digests:
        yield Secret("bearers", digest)


def _content(file: Path) -> bytes:
    """Errors: ConfigError."""
    try:
        if file.stat().st_size > _FILE_BYTES_MAX:
            return b""
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"无法读取 {file}，因而无法证明其内容未外泄。Cannot read {file}, so nothing can be proven of it: "
            f"{error.strerror}"
        ) from None


def secrets_of(file: Path, content: bytes) -> Iterator[Secret]:
    """Yield the secrets that a file holds: of a private key its numbers, of a file of keys each, else all of it."""
    name = file.name
    if blocks := _PRIVATE.findall(content):
        numbers = _numbers(content)
        yield from (Secret(name, octets) for octets in numbers)
        yield from (Secret(name, line) for block in blocks for line in _lines(block.split(), numbers))
    elif content.startswith(_PUBLIC):
        return
    elif lines := [match for line in content.splitlines() if (match := _KEY_LINE.fullmatch(line.strip()))]:
        yield from (Secret(name, bytes.fromhex(match[1].decode())) for match in lines)
    elif name == KEY_FILE:
        yield Secret(f"clients/{file.parent.name}/{name}", content)
    else:
        yield Secret(name, content.strip())


def _lines(lines: list[bytes], numbers: list[bytes]) -> Iterator[bytes]:
    """Yield the lines of a private key in PEM, as far as they are secret: what strangers know must not be found.

    Of a key that cannot be read here all lines.
    """
    body, forms = b"".join(lines), [form for number in numbers for form in _forms(number)]
    if not numbers:
        yield from lines
    for form in forms:
        begin = body.find(form)
        at = 0
        for line in lines if begin >= 0 else ():
            yield body[max(at, begin) : min(at + len(line), begin + len(form))]
            at += len(line)


def _numbers(content: bytes) -> list[bytes]:
    """Return the secret numbers of a private key, big-endian; none of one that cannot be read here."""
    try:
        key = serialization.load_pem_private_key(content, None)
    except (ValueError, TypeError):
        return []
    match key:
        case ed25519.Ed25519PrivateKey() | x25519.X25519PrivateKey():
            return [key.private_bytes_raw()]
        case rsa.RSAPrivateKey():
            all_of = key.private_numbers()
            secret = (all_of.d, all_of.p, all_of.q, all_of.dmp1, all_of.dmq1, all_of.iqmp)
            return [_octets(number) for number in secret]
        case ec.EllipticCurvePrivateKey():
            return [_octets(key.private_numbers().private_value)]
        case dsa.DSAPrivateKey():
            return [_octets(key.private_numbers().x)]
        case _:
            return []


def _octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _forms(octets: bytes) -> Iterator[bytes]:
    """Yield how a secret can stand in a text or in octets."""
    yield octets
    yield octets.hex().encode()
    yield octets.hex().upper().encode()
    for before in range(3):  # octets that stand before it in a group of three
        text = base64.b64encode(bytes(before) + octets)
        whole = text[-(-before * 4 // 3) : (before + len(octets)) * 8 // 6]
        yield whole
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))
