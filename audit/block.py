"""Blocks of resolutions: one leaf of the resolution log, at most 500 entries, columns compressed together.

| octets | what |
|---|---|
| 1 | version (1); no other leaf begins with this octet |
| 2 | number of entries, big-endian |
| 8 | earliest time in it, Unix milliseconds, big-endian |
| 8 | latest time in it, the same |
| n | Zstandard frame (RFC 8878) of msgpack: the columns, see below |

Columns, an array:

0. node, text; 1. version of the software, text;
2. times: ``[[ms since the earliest, entries], …]``;
3. protocols: an octet an entry, number of ``core.events.Via``;
4. outcomes: ``[[name, …], octets]``, an octet an entry: which of the names;
5. clients: ``[hashes, [network, …]]``, hashes of eight octets each one behind the other (``audit/clients.py``), of the
   clients that are known; networks of 3 or 6 octets;
6. which client: two octets an entry, big-endian, FFFF for an unknown one;
7. ports: two octets an entry, big-endian;
8. identifiers as asked: ``[octets, …]``;
9. who: ``{entry: "INDEX:HANDLE"}`` of those whose identity was proven.

Reading is total: ``BlockError`` for what is no block.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any, Final, NamedTuple

import msgpack
import zstandard

from audit.clients import ADDRESS_BYTES, HASH_BYTES, UNKNOWN, Client
from audit.frame import Row

VERSION: Final = 1
ROWS_MAX: Final = 500
LEAF_BYTES_MAX: Final = 65_535
COLUMNS_BYTES_MAX: Final = 4_194_304  # of what one leaf holds; 500 identifiers and names of 2 048 octets take half
CUT_BYTES: Final = 2_048  # of the identifier of an entry that is too long for a leaf by itself
_HEAD: Final = struct.Struct(">BHQQ")
_COLUMNS: Final = 10
NOBODY: Final = 0xFFFF  # stands for a client that is unknown
_LEVEL: Final = 1
_CAUSES: Final = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, struct.error, OverflowError, zstandard.ZstdError,
    msgpack.UnpackException, RecursionError,
)  # fmt: skip


class BlockError(ValueError):
    """A leaf is no block."""


class _Zstandard(threading.local):
    """A decompressor a thread: making one takes half as long as using it, and two threads must not share one."""

    def __init__(self) -> None:
        self.decompress = zstandard.ZstdDecompressor().decompress


_ZSTANDARD: Final = _Zstandard()


class Head(NamedTuple):
    """What is told of a block without opening it."""

    rows: int
    earliest_ms: int
    latest_ms: int


class Block(NamedTuple):
    """A block, opened: columns of equal length, an entry each. ``who``: of those that were proven."""

    node: str
    version: str
    times: list[int]
    vias: bytes
    outcomes: list[str]
    clients: list[Client]
    ports: list[int]
    identifiers: list[bytes]
    who: dict[int, str]


class Columns(NamedTuple):
    """What of a block is counted, as it is stored: columns of equal length, an entry each, but for ``runs``.

    ``runs``: milliseconds since the earliest, and how many entries in a row have that time. ``names``: outcomes, by the
    numbers of ``codes``. ``clients``: how many are known; ``which``: one of them, or NOBODY.
    """

    runs: list[tuple[int, int]]
    vias: bytes
    names: list[str]
    codes: bytes
    clients: int
    which: tuple[int, ...]
    identifiers: list[bytes]


Times = Sequence[tuple[int, int]]
"""Unix milliseconds and how many entries have them, in order."""


def pack_blocks(
    times: Times, rows: Sequence[Row], clients: Mapping[bytes, Client], node: str, version: str
) -> list[tuple[bytes, list[bytes]]]:  # fmt: skip
    """Return the leaves of entries in their order, each with the addresses of its clients.

    More than one where they are too large for one. ``clients``: of any address (``Clients``). Bounds: 1 to ROWS_MAX
    entries.
    Cost: about 1 µs an entry.
    """
    leaf, addresses = _pack(times, rows, clients, node, version)
    if len(leaf) <= LEAF_BYTES_MAX:
        return [(leaf, addresses)]
    if len(rows) == 1:  # longer than anything that is written here: it must not keep the others waiting
        via, outcome, peer, identifier, who = rows[0]
        row: Row = (via, outcome, peer, identifier[:CUT_BYTES], who[: CUT_BYTES // 4])
        return [_pack(times, [row], clients, node, version)]
    half = len(rows) // 2
    first, second = _split(times, half)
    return [
        *pack_blocks(first, rows[:half], clients, node, version),
        *pack_blocks(second, rows[half:], clients, node, version),
    ]


def _pack(
    times: Times, rows: Sequence[Row], clients: Mapping[bytes, Client], node: str, version: str
) -> tuple[bytes, list[bytes]]:  # fmt: skip
    vias, outcomes, peers, identifiers, who = zip(*rows, strict=True)
    earliest = min(at for at, _ in times)
    latest = max(at for at, _ in times)
    names = {name: number for number, name in enumerate(dict.fromkeys(outcomes))}
    addresses = [peer[2:] for peer in peers]
    distinct = list(dict.fromkeys(addresses))
    numbers: dict[bytes, int] = {}
    if not set(map(len, distinct)) <= ADDRESS_BYTES:
        numbers = dict.fromkeys(distinct, NOBODY)
        distinct = [address for address in distinct if len(address) in ADDRESS_BYTES]
    numbers.update(zip(distinct, range(len(distinct)), strict=True))
    found = [clients[address] for address in distinct]
    columns = (
        node, version, [(at - earliest, count) for at, count in times], bytes(vias),
        (list(names), bytes([names[name] for name in outcomes])),
        (b"".join([hashed for hashed, _ in found]), [network for _, network in found]),
        _big_endian([numbers[address] for address in addresses]),
        b"".join([peer[:2] if peer else b"\0\0" for peer in peers]),
        identifiers, {number: name for number, name in enumerate(who) if name} if any(who) else {},
    )  # fmt: skip
    body: bytes = zstandard.ZstdCompressor(level=_LEVEL).compress(msgpack.packb(columns))
    return _HEAD.pack(VERSION, len(rows), earliest, latest) + body, distinct


def is_block(leaf: bytes) -> bool:
    """Whether a leaf is a block, and not a text."""
    return leaf[:1] == b"\x01"


def read_head(leaf: bytes) -> Head:
    """Read what stands in front. Errors: BlockError."""
    if len(leaf) < _HEAD.size or leaf[0] != VERSION:
        raise BlockError("the leaf is no block of version 1")
    _, rows, earliest, latest = _HEAD.unpack_from(leaf)
    if not 0 < rows <= ROWS_MAX or earliest > latest:
        raise BlockError("the head of the block is not possible")
    return Head(rows, earliest, latest)


def open_block(leaf: bytes) -> Block:
    """Read a block. Errors: BlockError."""
    return read_body(leaf, open_body(leaf))


def open_body(leaf: bytes) -> bytes:
    """Return the msgpack of a block's columns, in which every identifier stands as it was asked. Errors: BlockError.

    Cost: a tenth of reading it; so who looks for an identifier looks there first.
    """
    read_head(leaf)
    try:
        body: bytes = _ZSTANDARD.decompress(leaf[_HEAD.size :], max_output_size=COLUMNS_BYTES_MAX)
    except zstandard.ZstdError as error:
        raise BlockError(f"the block cannot be read: {error}") from None
    return body


def read_body(leaf: bytes, body: bytes) -> Block:
    """Read a block whose body is open already. Errors: BlockError."""
    head = read_head(leaf)
    try:
        columns = msgpack.unpackb(body, strict_map_key=False)
        if len(columns) != _COLUMNS:
            raise ValueError(f"{len(columns)} columns")
        return _block(head, columns)
    except _CAUSES as error:
        raise BlockError(f"the block cannot be read: {error}") from None


def read_columns(leaf: bytes) -> Columns:
    """Read what of a block is counted. Cost: 0.2 µs an entry, a half of reading all of it. Errors: BlockError."""
    head, body = read_head(leaf), open_body(leaf)
    try:
        _, _, runs, vias, (names, codes), (_, networks), which, _, identifiers, _ = msgpack.unpackb(
            body, strict_map_key=False
        )
        columns = Columns(
            [(since, count) for since, count in runs], vias, names, codes, len(networks),
            struct.unpack(f">{head.rows}H", which), identifiers,
        )  # fmt: skip
        known = set(columns.which) - {NOBODY}
        if not all(type(each) is int for run in columns.runs for each in run) or {type(codes), type(vias)} != {bytes}:
            raise TypeError("a time, a protocol or an outcome is none")
        if type(names) is not list or type(identifiers) is not list or set(map(type, names)) != {str}:
            raise TypeError("a column is none")
        lengths = {len(codes), len(vias), len(identifiers)}
        if sum(count for _, count in columns.runs) != head.rows or lengths != {head.rows}:
            raise ValueError("the columns do not fit each other")
        if max(codes) >= len(names) or not known <= set(range(len(networks))) or set(map(type, identifiers)) != {bytes}:
            raise ValueError("a column is not possible")
    except _CAUSES as error:
        raise BlockError(f"the block cannot be read: {error}") from None
    return columns


def _block(head: Head, columns: list[Any]) -> Block:
    """Errors: _CAUSES."""
    node, version, runs, vias, (names, codes), (hashes, networks), which, ports, identifiers, who = columns
    times: list[int] = []
    for since, count in runs:
        if not 0 < count <= head.rows or not 0 <= since <= head.latest_ms - head.earliest_ms:
            raise ValueError("a run of times is not possible")
        times.extend(repeat(head.earliest_ms + since, count))
    known = [Client(hashes[at : at + HASH_BYTES], network) for at, network in _placed(networks)]
    clients = [UNKNOWN if number == NOBODY else known[number] for number in _from_big_endian(which)]
    block = Block(
        str(node), str(version), times, vias, [names[code] for code in codes], clients, _from_big_endian(ports),
        identifiers, who,
    )  # fmt: skip
    lengths = {len(column) for column in block[2:8]}
    if not all(type(network) is bytes and len(network) in (3, 6) for network in networks):
        raise ValueError("a client's network is none")
    texts = isinstance(vias, bytes) and all(type(each) is bytes for each in identifiers)
    named = all(type(each) is str for each in (*names, *who.values())) and all(0 <= row < head.rows for row in who)
    if lengths != {head.rows} or not texts or not named or len(hashes) != HASH_BYTES * len(networks):
        raise ValueError("the columns do not fit each other")
    return block


def _placed(networks: list[bytes]) -> list[tuple[int, bytes]]:
    return [(number * HASH_BYTES, network) for number, network in enumerate(networks)]


def _split(times: Times, rows: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the times of the first so many entries, and of the others."""
    first: list[tuple[int, int]] = []
    second: list[tuple[int, int]] = []
    for at, count in times:
        taken = min(count, rows)
        rows -= taken
        if taken:
            first.append((at, taken))
        if count > taken:
            second.append((at, count - taken))
    return first, second


def _big_endian(numbers: list[int]) -> bytes:
    return struct.pack(f">{len(numbers)}H", *numbers)


def _from_big_endian(octets: bytes) -> list[int]:
    return list(struct.unpack(f">{len(octets) // 2}H", octets))
