"""Messages as octets: zstd over msgpack ``[name, member, …]``, members in the order of their class.

Decoding is total: a message, or a WireError. Bounds: UPSTREAM_MESSAGE_BYTES_MAX unpacked, UPSTREAM_ITEMS_MAX items,
UPSTREAM_MEMBERS_MAX members of all lists.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar, get_type_hints

import msgpack
import zstandard

from core import limits
from core.errors import WireError
from sync import messages
from sync.table import Members

T = TypeVar("T")

_LEVEL: Final = 1
_INT_MAX: Final = 2**63 - 1
_MESSAGES: Final = messages.Message.__args__
_CAUSES: Final = (
    ValueError, TypeError, KeyError, OverflowError, RecursionError, msgpack.UnpackException, zstandard.ZstdError,
)  # fmt: skip


def encode(message: messages.Message) -> bytes:
    """Return a message as octets."""
    packed: bytes = msgpack.packb((type(message).__name__, *message))
    return zstandard.ZstdCompressor(level=_LEVEL).compress(packed)


def decode(data: bytes) -> messages.Message:
    """Read a message. Errors: WireError."""
    try:
        packed = _decompress(data)
        name, *members = msgpack.unpackb(
            packed, max_array_len=limits.UPSTREAM_ITEMS_MAX + 1, max_map_len=0, list_hook=Members().count
        )
        kind, readers = _KINDS[name]
        if len(members) != len(readers):
            raise ValueError("members")
        message: messages.Message = kind(*(read(member) for read, member in zip(readers, members, strict=True)))
    except _CAUSES:
        raise WireError("不是上级节点协议的消息。This is no message of the upstream protocol") from None
    return message


def _decompress(data: bytes) -> bytes:
    """Return what was compressed; it says itself how long it is."""
    if zstandard.frame_content_size(data) not in range(limits.UPSTREAM_MESSAGE_BYTES_MAX + 1):
        raise ValueError("length")
    unpacked = zstandard.ZstdDecompressor().decompressobj()
    packed = unpacked.decompress(data)
    if not unpacked.eof or unpacked.unused_data:
        raise ValueError("length")
    return packed


# --- members ---
def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("text")
    return value


def _octets(value: Any) -> bytes:
    if type(value) is not bytes:
        raise TypeError("octets")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _INT_MAX:
        raise TypeError("number")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError("flag")
    return value


def _optional(value: Any) -> bytes | None:
    return None if value is None else _octets(value)


def _several(read: Callable[[Any], T], value: Any) -> tuple[T, ...]:
    if type(value) is not list:
        raise TypeError("list")
    return tuple(map(read, value))


def _record(kind: Callable[..., T], readers: tuple[Callable[[Any], Any], ...], value: Any) -> T:
    if type(value) is not list or len(value) != len(readers):
        raise TypeError("record")
    return kind(*(read(member) for read, member in zip(readers, value, strict=True)))


def _item(value: Any) -> messages.Item:
    serial, operation, key, row = value
    if type(key) is not bytes or not (row is None or type(row) is bytes):
        raise TypeError("item")
    return messages.Item(_number(serial), _number(operation), key, row)


def _pair_of_octets(value: Any) -> tuple[bytes, bytes]:
    first, second = value
    return _octets(first), _octets(second)


def _pair_of_texts(value: Any) -> tuple[str, str]:
    first, second = value
    return _text(first), _text(second)


_READERS: Final[dict[Any, Callable[[Any], Any]]] = {
    str: _text, bytes: _octets, int: _number, bool: _flag, bytes | None: _optional,
    tuple[str, ...]: partial(_several, _text),
    tuple[int, ...]: partial(_several, _number),
    tuple[messages.Item, ...]: partial(_several, _item),
    tuple[tuple[bytes, bytes], ...]: partial(_several, _pair_of_octets),
    tuple[tuple[str, str], ...]: partial(_several, _pair_of_texts),
}  # fmt: skip


def _readers_of(kind: Any) -> tuple[Callable[[Any], Any], ...]:
    return tuple(_READERS[hint] for hint in get_type_hints(kind).values())


def _read_records(kind: Any) -> Callable[[Any], Any]:
    return partial(_record, kind, _readers_of(kind))


_READERS.update(
    {
        messages.Holding: _read_records(messages.Holding),
        tuple[messages.Holding, ...]: partial(_several, _read_records(messages.Holding)),
        tuple[messages.Range, ...]: partial(_several, _read_records(messages.Range)),
        tuple[messages.Refused, ...]: partial(_several, _read_records(messages.Refused)),
        tuple[messages.Made, ...]: partial(_several, _read_records(messages.Made)),
    }
)

_KINDS: Final = {kind.__name__: (kind, _readers_of(kind)) for kind in _MESSAGES}
