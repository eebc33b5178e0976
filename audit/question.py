"""What an auditor asks the logs for, and whether a leaf holds it. The leaves alone decide what is told.

The first leaf of a month only links it to the one before (a checkpoint, or the entry ``log.begin``): it is told of by
``saltern log verify``, and is no entry here.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from audit.block import Block, BlockError, is_block, open_body, read_body, read_head
from audit.clients import client_of
from audit.entry import dump
from audit.reading import LogReadError
from audit.rows import is_protocol, row_document, via_numbers
from core.clock import TIME_MS_END, format_instant
from core.errors import NodeError, Outcome
from core.ident.handle import PREFIX_HANDLES

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
_PREFIX_HANDLES: Final = PREFIX_HANDLES + b"/"
_BEGIN: Final = b'"act":"log.begin"'
_NETWORK_BITS: Final = {4: 24, 6: 48}
_NETWORK_BYTES: Final = {4: 3, 6: 6}
_TIME_MEMBER: Final = b'"t":"'
_TIME_CHARS: Final = len("2026-11-21T08:00:00.123Z")


class QuestionError(NodeError):
    """The question cannot be answered from what the logs keep."""

    outcome = Outcome.MALFORMED


class Named(NamedTuple):
    """Identifiers that are asked for: one, or a prefix and all below it. ``fold``: of octets with "/", to their key."""

    key: bytes
    whole_prefix: bool
    fold: Callable[[bytes], bytes]

    @property
    def needle(self) -> bytes:
        """Octets that stand, in upper case, in every leaf which holds one of them."""
        key = self.key.removeprefix(_PREFIX_HANDLES) if not self.whole_prefix else self.key
        return b"" if key + b"/" == _PREFIX_HANDLES else key.upper()  # a prefix may be asked for without "0.NA/"

    def key_of(self, identifier: bytes) -> bytes:
        """Return the key of an identifier as asked: without "/" it is a prefix handle."""
        return self.fold(identifier if b"/" in identifier else _PREFIX_HANDLES + identifier)

    def holds(self, identifier: bytes) -> bool:
        """Whether an identifier as asked is one of them."""
        key = self.key_of(identifier)
        if self.whole_prefix:
            return key.startswith(self.key + b"/") or key == _PREFIX_HANDLES + self.key
        return key == self.key


class Clients(NamedTuple):
    """Clients that are asked for, as a month has them: some hashes, or networks from one to another of equal length.

    ``wider``: than what is asked for.
    """

    hashes: frozenset[bytes] | None
    lowest: bytes
    highest: bytes
    wider: bool = False

    def holds(self, hashed: bytes, network: bytes) -> bool:
        """Whether a client is one of them."""
        if self.hashes is not None:
            return hashed in self.hashes
        return len(network) == len(self.lowest) and self.lowest <= network <= self.highest


class Question(NamedTuple):
    """What is asked; None: anything. ``since_ms`` is in it, ``until_ms`` is not. ``network``: of clients."""

    since_ms: int = 0
    until_ms: int = TIME_MS_END
    named: Named | None = None
    network: IPNetwork | None = None
    protocol: str | None = None
    outcome: str | None = None

    @property
    def narrows(self) -> bool:
        """Whether more than the time is asked for."""
        return not (self.named is None and self.network is None and self.protocol is None and self.outcome is None)


class Found(NamedTuple):
    """An entry. ``leaf``: index of it; ``row``: its place in a block, None in a log of single entries."""

    month: str
    leaf: int
    row: int | None
    document: dict[str, Any]


def found_line(found: Found) -> bytes:
    """Return an entry as one line of JSON, with where it stands: ``month``, ``index`` and, of a resolution, ``row``."""
    place: dict[str, Any] = {"month": found.month, "index": found.leaf}
    if found.row is not None:
        place["row"] = found.row
    return dump(found.document | place)


def name_identifiers(text: str, fold: Callable[[bytes], bytes]) -> Named:
    """Return what an identifier names: with "/" one, without a prefix and all below it. Errors: UnicodeEncodeError."""
    octets = text.encode()
    if b"/" in octets:
        return Named(fold(octets), False, fold)
    return Named(octets.upper(), True, fold)


def read_network(text: str) -> IPNetwork:
    """Read an address or a network of clients. Errors: QuestionError for what is none, or is kept as no network is."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise QuestionError(
            f"{text!r} 不是地址或网段。It is no address and no network (192.0.2.7, 192.0.2.0/24, 2001:db8::/48)"
        ) from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is not None and network.prefixlen >= 96:
        return ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}")
    if isinstance(network, ipaddress.IPv6Network) and _NETWORK_BITS[6] < network.prefixlen < network.max_prefixlen:
        raise QuestionError(
            f"{text}: 日志只保留 IPv6 地址的 /48 网段和带密钥的摘要，请改用 /48 或单个地址。"
            "Of an IPv6 address the logs keep the /48 and a keyed hash: ask for a /48, a wider one, or one address"
        )
    return network


def resolve_clients(network: IPNetwork, key: bytes | None) -> Clients:
    """Return what a month has of the clients of a network. ``key``: of that month; None: gone.

    Without it an address, or a network narrower than is kept, stands for all of the network that is kept.
    """
    bits, octets = _NETWORK_BITS[network.version], _NETWORK_BYTES[network.version]
    if network.prefixlen > bits and key is not None:
        return Clients(frozenset(client_of(key, address.packed).hashed for address in network), b"", b"")
    return Clients(None, network[0].packed[:octets], network[-1].packed[:octets], network.prefixlen > bits)


class Sieve:
    """Finds in the leaves of one month what is asked for. ``clients``: of ``question.network``."""

    def __init__(self, question: Question, month: str, clients: Clients | None) -> None:
        self._question = question
        self._month = month
        self._clients = clients
        self._needle = question.named.needle if question.named is not None else b""
        self._vias = None if question.protocol is None else via_numbers(question.protocol)
        self._since = format_instant(question.since_ms).encode()
        self._until = format_instant(question.until_ms).encode() if question.until_ms < TIME_MS_END else b"~"

    def sift(self, index: int, leaf: bytes) -> Iterator[Found]:
        """Yield the entries of a leaf that are asked for. Errors: LogReadError for a leaf that cannot be read."""
        if is_block(leaf):
            yield from self._sift_block(index, leaf)
        elif leaf[:1] == b"{":
            yield from self._sift_entry(index, leaf)
        elif index:
            raise self._damaged(index, BlockError("it is no entry and no block"))

    def open(self, index: int, leaf: bytes) -> tuple[Block, list[int]] | None:
        """Return a block with the rows that are asked for; None where there are none. Errors: LogReadError."""
        question = self._question
        try:
            head = read_head(leaf)
            if head.latest_ms < question.since_ms or head.earliest_ms >= question.until_ms:
                return None
            body = open_body(leaf)
            if self._needle and self._needle not in body.upper():
                return None
            block = read_body(leaf, body)
        except BlockError as error:
            raise self._damaged(index, error) from None
        rows = list(range(head.rows))
        if head.earliest_ms < question.since_ms or head.latest_ms >= question.until_ms:
            times = block.times
            rows = [row for row in rows if question.since_ms <= times[row] < question.until_ms]
        if question.named is not None:
            holds, identifiers = question.named.holds, block.identifiers
            rows = [row for row in rows if holds(identifiers[row])]
        if self._vias is not None:
            rows = [row for row in rows if block.vias[row] in self._vias]
        if question.outcome is not None:
            rows = [row for row in rows if block.outcomes[row] == question.outcome]
        if self._clients is not None:
            rows = [row for row in rows if self._clients.holds(*block.clients[row])]
        return (block, rows) if rows else None

    def _sift_block(self, index: int, leaf: bytes) -> Iterator[Found]:
        found = self.open(index, leaf)
        if found is not None:
            block, rows = found
            for row in rows:
                yield Found(self._month, index, row, row_document(block, index, row))

    def _sift_entry(self, index: int, leaf: bytes) -> Iterator[Found]:
        if index == 0 and _BEGIN in leaf:  # quotes inside a text are escaped: what is found is a member
            return
        begin = leaf.rfind(_TIME_MEMBER) + len(_TIME_MEMBER)
        if begin < len(_TIME_MEMBER):
            raise self._damaged(index, BlockError("it has no time"))
        if not self._since <= leaf[begin : begin + _TIME_CHARS] < self._until:
            return
        try:
            entry = json.loads(leaf)
            asked = self._asks_for(entry)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._damaged(index, error) from None
        if asked:
            yield Found(self._month, index, None, entry)

    def _asks_for(self, entry: dict[str, Any]) -> bool:
        """Errors: KeyError, TypeError, ValueError."""
        question, origin = self._question, entry["from"]
        if question.outcome is not None and entry["res"]["code"] != question.outcome:
            return False
        if question.protocol is not None and not is_protocol(origin["protocol"] or "", question.protocol):
            return False
        if question.named is not None and not question.named.holds(entry["obj"].encode(errors="replace")):
            return False
        if self._clients is None:
            return True
        network = ipaddress.ip_network(origin["net"]) if origin["net"] else None
        octets = b"" if network is None else network.network_address.packed[: _NETWORK_BYTES[network.version]]
        return self._clients.holds(bytes.fromhex(origin["client"] or ""), octets)

    def _damaged(self, index: int, error: Exception) -> LogReadError:
        return LogReadError(
            f"{self._month} 第 {index} 叶无法读取。Leaf {index} of {self._month} cannot be read: {error}"
        )
