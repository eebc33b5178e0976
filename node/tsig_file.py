"""The file of the keys that zone transfers are asked with (``dns.tsig_file``): TSIG, RFC 8945.

Mode 0600. The first key signs what this node sends of itself (NOTIFY). A key is written

    NAME ALGORITHM BASE64                                               one line
    ALGORITHM:NAME:BASE64                                               one line, as kdig -y and dig -y take it
    key "NAME" { algorithm ALGORITHM; secret "BASE64"; };               as tsig-keygen prints it
    key: / - id: NAME / algorithm: ALGORITHM / secret: BASE64           as keymgr -t prints it

Lines that begin with # say something to people.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import dns.exception
import dns.name
import dns.tsig

from core import limits
from core.config import Config
from core.errors import ConfigError

_SETTING: Final = "dns.tsig_file"
_ALGORITHMS: Final = {
    name.to_text(omit_final_dot=True): name
    for name in (dns.tsig.HMAC_SHA256, dns.tsig.HMAC_SHA384, dns.tsig.HMAC_SHA512)
}
# What tsig-keygen and keymgr print, members in any order. A match has no # before it on its first line.
_WORD: Final = r'"?([^\s";{}]+)"?'
_CLAUSE: Final = re.compile(rf"^[ \t]*key\s+{_WORD}\s*\{{([^{{}}]*)\}}\s*;?", re.MULTILINE | re.IGNORECASE)
_ITEM: Final = re.compile(
    rf"^(?:key:[ \t]*\n)?[ \t]*- *id: *{_WORD}((?:\n[ \t]+(?:algorithm|secret):[^\n]*)*)", re.MULTILINE
)
_MEMBER: Final = re.compile(rf"\b(algorithm|secret)(?::[ \t]*|\s+){_WORD}", re.IGNORECASE)

TsigKeys = Mapping[dns.name.Name, dns.tsig.Key]
"""Keys by name, in the order of the file. Never shown: the text form of a key tells its secret."""


def load_tsig(config: Config) -> TsigKeys:
    """Return the keys of the configuration, none without a file. Errors: ConfigError."""
    path = config.file(_SETTING)
    return {} if path is None else read_tsig(path)


def read_tsig(path: Path) -> TsigKeys:
    """Read a file of keys. Bounds: TSIG_FILE_BYTES_MAX, TSIG_KEYS_MAX.

    Errors: ConfigError that says what is wrong, and never shows a secret.
    """
    keys: dict[dns.name.Name, dns.tsig.Key] = {}
    for number, words in _entries(_text(path)):
        try:
            key = _key(words)
            if key.name in keys:
                raise ValueError("密钥名重复", "there are two keys of this name")
        except ValueError as error:
            zh, en = error.args
            raise ConfigError(
                f"{_SETTING}: {path} 第 {number} 行：{zh}。{path}, line {number}: {en}", setting=_SETTING
            ) from None
        keys[key.name] = key
    if not 0 < len(keys) <= limits.TSIG_KEYS_MAX:
        raise ConfigError(
            f"{_SETTING}: {path} 应有1至 {limits.TSIG_KEYS_MAX} 个密钥。"
            f"{path} holds {len(keys)} keys; it may hold 1 to {limits.TSIG_KEYS_MAX}",
            setting=_SETTING,
        )
    return keys


def _entries(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the keys in the order of the file: number of the line, and what should be name, algorithm and secret."""
    found: dict[int, list[str]] = {}

    def taken(match: re.Match[str]) -> str:
        members = {name.lower(): value for name, value in _MEMBER.findall(match[2])}
        number = match.string.count("\n", 0, match.start(1)) + 1
        found[number] = [match[1], *(members[name] for name in ("algorithm", "secret") if name in members)]
        return "\n" * match[0].count("\n")

    for form in (_CLAUSE, _ITEM):
        text = form.sub(taken, text)
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            words = line.split()
            found[number] = _turned(words[0]) if len(words) == 1 else words
    yield from sorted(found.items())


def _turned(word: str) -> list[str]:
    """Return the words of ALGORITHM:NAME:BASE64 in the order of the other forms."""
    algorithm, name, secret = [*word.split(":", 2), "", ""][:3]
    return [name, algorithm, secret] if secret else [word]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise ConfigError(
                    f"{_SETTING}: {path} 可被他人读取，应为 0600。{path} can be read by others; make it 0600",
                    setting=_SETTING,
                )
            octets = file.read(limits.TSIG_FILE_BYTES_MAX + 1)
        if len(octets) > limits.TSIG_FILE_BYTES_MAX:
            raise ConfigError(
                f"{_SETTING}: {path} 过大。{path} has more than {limits.TSIG_FILE_BYTES_MAX} octets", setting=_SETTING
            )
        return octets.decode().replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{_SETTING}: 无法读取 {path}。Cannot read {path}: {reason}", setting=_SETTING) from None


def _key(parts: Sequence[str]) -> dns.tsig.Key:
    """Read name, algorithm and secret. Errors: ValueError, its arguments the reason in Chinese and in English."""
    if len(parts) != 3:
        raise ValueError(
            "应为：名称 算法 BASE64，或 tsig-keygen、keymgr -t 的输出",
            "it should be NAME ALGORITHM BASE64, or what tsig-keygen or keymgr -t prints",
        )
    algorithm = _ALGORITHMS.get(parts[1].lower().rstrip("."))
    if algorithm is None:
        raise ValueError(f"算法应为 {' '.join(_ALGORITHMS)} 之一", f"the algorithm is one of {' '.join(_ALGORITHMS)}")
    try:
        name = dns.name.from_text(parts[0]).canonicalize()
    except (dns.exception.DNSException, UnicodeError):
        raise ValueError("名称不是域名", "its name is no domain name") from None
    try:
        secret = base64.b64decode(parts[2], validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) < limits.TSIG_SECRET_BYTES_MIN:
        raise ValueError(
            f"密钥应为 BASE64，至少 {limits.TSIG_SECRET_BYTES_MIN} 字节",
            f"its secret should be BASE64 of at least {limits.TSIG_SECRET_BYTES_MIN} octets",
        )
    return dns.tsig.Key(name, secret, algorithm)
