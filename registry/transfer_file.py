"""A whole transfer file: how it is written line by line, and checked line by line before anything of it counts.

Neither holds more than the head, one line and the numbers of the lots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from core import limits
from core.errors import NodeError, WireError
from core.ident.handle import HandleRules, PrefixKey, check_prefix
from core.lotkeys import MasterKeys
from core.signature import Signer
from core.store.engine import Snapshot
from core.wire.transferfile import (
    Digester,
    Line,
    Trailer,
    decode_line,
    decode_trailer,
    encode_line,
    encode_trailer,
    is_trailer,
)
from registry.holds import require_no_hold
from registry.transfer_head import Head, Origin, decode_head, read_head
from registry.transfer_kinds import BODY, RANK
from registry.transfer_lots import LotsSoFar

_TAGS: Final = {kind.form: kind.tag for kind in BODY}


class Whole(NamedTuple):
    """A file that was read to its end and is right. ``head``: octets of it. ``total``: lines of the body."""

    prefix: PrefixKey
    head: bytes
    trailer_line: bytes
    trailer: Trailer
    total: int
    head_lines: int


def body_lines(counts: dict[str, int]) -> int:
    """Return how many lines of a body the last line counts. Errors: WireError for a kind that is not known here."""
    heads = ("header", "application", "party", "prefix-handle")
    for tag in counts:
        if tag not in (*heads, *_TAGS.values()):
            raise WireError(f"不认识的行种类 {tag[:40]!r}。There is no kind of line {tag[:40]!r} here")
    return sum(counts.get(tag, 0) for tag in _TAGS.values())


def export_lines(
    snapshot: Snapshot, prefix: PrefixKey, origin: Origin, signer: Signer, keys: MasterKeys
) -> Iterator[bytes]:
    """Yield every line of the export of a prefix, the last one signed. ``keys``: master keys of its lots.

    Errors: NodeError for a prefix not homed here, where anything of it is on hold in this state of the store, and
    where the master key of a lot is not there.
    Cost: reads the whole feed and the whole journal.
    """
    require_no_hold(snapshot, prefix)
    digester, counts = Digester(), Counter[str]()
    for line in read_head(snapshot, prefix, origin):
        yield _taken(digester, counts, line, head=True)
    for kind in BODY:
        for line in kind.read(snapshot, prefix, keys):
            yield _taken(digester, counts, line, head=False)
    yield encode_trailer(signer, dict(counts), digester.digests())


def _taken(digester: Digester, counts: Counter[str], line: Line, *, head: bool) -> bytes:
    octets = encode_line(line)
    digester.feed(octets, head=head)
    counts[str(line.__struct_config__.tag)] += 1
    return octets


class TransferCheck:
    """Takes a file line by line; says at its end that all of it is right.

    Every line is of its form and of the prefix, in its place, and none is missing, added or altered;
    a record keeps the rules of records, a lot those of lots. Whether the key that signed is to be trusted is not
    judged here.
    """

    def __init__(self, rules: HandleRules) -> None:
        self._rules = rules
        self._digester = Digester()
        self._counts: Counter[str] = Counter()
        self._lines = 0
        self._head_octets: list[bytes] = []
        self._head: Head | None = None
        self._prefix = PrefixKey(b"")
        self._rank = 0
        self._last = b""
        self._lots = LotsSoFar()
        self._trailer: tuple[bytes, Trailer] | None = None

    def feed(self, octets: bytes) -> None:
        """Take a line with its line feed. Errors: NodeError that names the line."""
        self._lines += 1
        try:
            self._feed(octets)
        except NodeError as error:
            message = f"第 {self._lines} 行 Line {self._lines}: {error.message}"
            raise WireError(message, outcome=error.ended, **error.fields) from None

    def _feed(self, octets: bytes) -> None:
        if self._trailer is not None:
            raise WireError("末行之后还有内容。There is something behind the last line")
        if is_trailer(octets):
            self._take_head()
            self._trailer = octets, decode_trailer(octets)
            return
        line = decode_line(octets)
        rank = RANK.get(type(line))
        self._counts[str(line.__struct_config__.tag)] += 1
        self._digester.feed(octets, head=rank is None)
        if rank is None:
            self._feed_head(octets)
        else:
            self._take_head()
            self._feed_body(rank, line)

    def _feed_head(self, octets: bytes) -> None:
        self._head_octets.append(octets)
        if self._head is not None or len(self._head_octets) * limits.TRANSFER_LINE_BYTES_MAX > (
            limits.TRANSFER_HEAD_BYTES_MAX
        ):
            raise WireError("文件头的行出现在文件体中或过多。A line of the head within the body, or too many of them")

    def _take_head(self) -> None:
        if self._head is None:
            self._head = decode_head(b"".join(self._head_octets))
            self._prefix = check_prefix(self._head.header.prefix, self._rules)
            if self._prefix.decode() != self._head.header.prefix:
                raise WireError("文件头中的前缀未规范化。The prefix of the header is not in its folded form")

    def _feed_body(self, rank: int, line: Line) -> None:
        kind = BODY[rank]
        if rank != self._rank:
            self._last = b""
        what = kind.check(self._prefix, self._rules, line)
        order = kind.order(what) if kind.order else b""
        if rank < self._rank or (kind.order and order <= self._last):
            raise WireError("行的顺序有误。The lines are not in their order")
        if kind.fit:
            kind.fit(self._lots, what)
        self._rank, self._last = rank, order

    def end(self) -> Whole:
        """Return what the file is. Errors: WireError where it was cut or altered."""
        if self._trailer is None:
            raise WireError("文件不完整：没有签名的末行。The file was cut: its last line, which signs it, is missing")
        line, trailer = self._trailer
        digests = self._digester.digests()
        if digests != trailer.digests or dict(self._counts) != trailer.counts:
            raise WireError(
                "文件内容与签名不符：传输中被改动、截断或调换。"
                "The content is not what was signed: it was altered, cut or put in another order on its way"
            )
        head = b"".join(self._head_octets)
        return Whole(
            self._prefix, head, line, trailer, body_lines(trailer.counts), len(self._head_octets)
        )  # fmt: skip


def read_lines(readline: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield the lines of a file. Bounds: TRANSFER_LINE_BYTES_MAX; a longer one has no line feed."""
    while line := readline(limits.TRANSFER_LINE_BYTES_MAX + 1):
        yield line
