"""Side tables: the addresses of clients, apart from the logs, until their month is over (facts: transparency-log §5).

``clients/<YYYY-MM>/<stream>``, mode 0600, one record a leaf that has known clients, in the order of the leaves:

| octets | what |
|---|---|
| 4 | length of the rest, big-endian |
| n | msgpack ``[index of the leaf, [address, …]]``: 4 or 16 octets each |

Of a block the addresses stand in the order of its clients (``audit/block.py``); any other leaf has one. Beside them
lies ``key``, 32 octets: the key that the month's hashes of addresses are made with. Deleting both is the erasure.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgpack

from audit.clients import KEY_BYTES
from audit.files import Files

FOLDER: Final = "clients"
KEY_FILE: Final = "key"
_LENGTH_BYTES: Final = 4
_RECORD_BYTES_MAX: Final = 65_536  # 500 addresses take a sixth of it
_CAUSES: Final = (ValueError, TypeError, msgpack.UnpackException)


class SideError(ValueError):
    """A side table, or the key beside it, cannot be read."""


def month_folder(data: Path, month: str) -> Path:
    """Return where the side tables of a month lie."""
    return data / FOLDER / month


def month_key(files: Files, folder: Path) -> bytes:
    """Return the key of a month; make it if there is none. Errors: OSError, SideError."""
    path = folder / KEY_FILE
    if not path.exists():
        files.make_folder(folder.parent, 0o700)
        files.make_folder(folder, 0o700)
        files.replace(path, secrets.token_bytes(KEY_BYTES), 0o600)
        files.sync_folder(folder)
    return read_key(folder)


def read_key(folder: Path) -> bytes:
    """Return the key of a month. Errors: OSError, SideError."""
    key = (folder / KEY_FILE).read_bytes()
    if len(key) != KEY_BYTES:
        raise SideError(f"{folder / KEY_FILE} has {len(key)} octets, not {KEY_BYTES}")
    return key


def pack_side(leaf: int, addresses: Sequence[bytes]) -> bytes:
    """Return the record of a leaf."""
    body: bytes = msgpack.packb((leaf, addresses))
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def read_side(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the records of a side table, one in memory at a time. Errors: OSError, SideError."""
    with path.open("rb") as file:
        while head := file.read(_LENGTH_BYTES):
            length = int.from_bytes(head, "big")
            body = file.read(length) if length <= _RECORD_BYTES_MAX else b""
            if len(head) != _LENGTH_BYTES or len(body) != length:
                raise SideError(f"{path} is damaged")
            try:
                leaf, addresses = msgpack.unpackb(body)
            except _CAUSES:
                raise SideError(f"{path} is damaged") from None
            yield leaf, addresses
