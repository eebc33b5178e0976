"""Key files: of identity data, of unit codes, of what a top node holds; outside the store.

One line a key, ``<id> <64 hexadecimal digits>``; the highest one is used for what is new, the others open what
was made with them. Lines that begin with # say something to people. Mode 0600; a new key is written
to a file beside it, synced and renamed, so that a crash leaves the old or the new one.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from core.durable import sync_path, write_new_file
from core.errors import ConfigError
from core.keyring import KEY_BYTES, KEY_ID_MAX, KeyRing


class KeyKind(NamedTuple):
    """What keys are for. ``setting`` names the file; ``head``: what it says.

    ``lost``: what is told where it is not there.
    """

    setting: str
    head: str
    lost: tuple[str, str]


PARTY_KEYS: Final = KeyKind(
    "party.keys",
    "# Saltern: keys of identity data. Keep a copy apart from the store: without them it cannot be read.\n",
    (
        "请放回副本；尚无主体时 `saltern party rekey` 可新建",
        "put the copy back, or, where there is no party yet, `saltern party rekey` makes one",
    ),
)
LOT_KEYS: Final = KeyKind(
    "lots.keys",
    "# Saltern: master keys of unit codes. Keep a copy apart from the store: without them no bag is known again,\n"
    "# and whoever has them can make codes that pass for genuine.\n",
    (
        "请放回副本；尚无批次时 `saltern lot rekey` 可新建",
        "put the copy back, or, where there is no lot yet, `saltern lot rekey` makes one",
    ),
)
TOP_KEYS: Final = KeyKind(
    "top.store_key",
    "# Saltern: keys of personal data that a top node holds. Keep a copy apart from the store.\n",
    (
        "请放回副本；丢失后须由各节点重新报送",
        "put the copy back; without it every node has to send its rows again",
    ),
)


def load_keys(path: Path, kind: KeyKind) -> KeyRing:
    """Read a key file. Errors: ConfigError that says what is wrong, and never shows a key."""
    name = kind.setting
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{name}: {path} 可被他人读取，应为 0600。{path} can be read by others; make it 0600")
        lines = path.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not ASCII"
        raise ConfigError(
            f"{name}: 无法读取 {path}，{kind.lost[0]}。Cannot read {path}: {reason}; {kind.lost[1]}"
        ) from None
    keys: dict[int, bytes] = {}
    for number, line in enumerate(lines, 1):
        if line.startswith("#") or not line.strip():
            continue
        try:
            key_id, key = line.split()
            keys[int(key_id)] = bytes.fromhex(key)
            right = 0 < int(key_id) <= KEY_ID_MAX and len(keys[int(key_id)]) == KEY_BYTES
        except ValueError:
            right = False
        if not right:
            raise ConfigError(f"{name}: {path} 第 {number} 行有误。{path}: line {number} is no key")
    if not keys:
        raise ConfigError(f"{name}: {path} 中没有密钥。{path} holds no key")
    return KeyRing(max(keys), keys)


def add_key(path: Path, kind: KeyKind) -> int:
    """Add a new key, which is used from now on; make the file if there is none. Return its id. Errors: ConfigError."""
    with _locked(path.parent, kind):
        return _add(path, kind)


def _add(path: Path, kind: KeyKind) -> int:
    keys = dict(load_keys(path, kind).keys) if path.exists() else {}
    number = max(keys, default=0) + 1
    keys[number] = secrets.token_bytes(KEY_BYTES)
    text = kind.head + "".join(f"{key_id} {key.hex()}\n" for key_id, key in sorted(keys.items()))
    beside = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        beside.unlink(missing_ok=True)
        write_new_file(beside, text.encode())
        beside.replace(path)
        sync_path(path.parent)
    except OSError as error:
        raise ConfigError(f"{kind.setting}: 无法写入 {path}。Cannot write {path}: {error.strerror}") from None
    return number


@contextmanager
def _locked(folder: Path, kind: KeyKind) -> Iterator[None]:
    """Let one process after the other add a key: none may lose what another one was told. Errors: ConfigError."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ConfigError(f"{kind.setting}: 无法写入 {folder}。Cannot write {folder}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
