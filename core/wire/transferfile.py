"""The file that a prefix is transferred with: JSON lines, the last of which signs all others.

    header           format, version, prefix, who exported it and when
    application      how the prefix came about; ``party`` follows, but for an operator's own prefix
    party            public data of its holder and how that was verified, no field of identity
    prefix-handle    values of 0.NA/P, where there is such a record
    …                the body: a line for each handle that has aliases, each metadata template that a record
                     is bound to, each record, lot, block, run and event of a lot, change and entry of
                     the journal, in this order
    trailer          counts, digests, signature

Octets are base64, values are as on the Handle wire (RFC 3651 §3.1), times are Unix milliseconds. Each
line ends with a line feed. The first up to the fourth are the *head*. The chain, which lets an import
go on where it was cut, is SHA-256 of the head, then for each line of the body SHA-256 of the link
before and the line. A further kind is a form here and a row of ``registry/transfer_kinds.py``.

Bounds: TRANSFER_LINE_BYTES_MAX a line. docs/reference/transfer-file.md
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, Literal, NamedTuple

import msgspec

from core import limits
from core.errors import WireError
from core.signature import Signature, Signer, canonical, dump_signature, load_signature, verify_document
from core.wire.jsontext import parse

FORMAT: Final = "saltern-prefix-transfer"
VERSION: Final = 1
PURPOSE: Final = "prefix export"
_SHOWN: Final = 40  # characters of what a file says, in a message


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """One line; its kind is the tag."""


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody at the node that exports: a user id or a token of there means nothing elsewhere."""

    role: str
    name: str


class StepForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of an application."""

    at_ms: int
    event: str
    state: str
    who: Person
    reason: str
    evidence: bytes


class CheckForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a verification."""

    at_ms: int
    method: str
    source: str
    evidence: bytes
    who: Person
    result: str
    note: str


class HeaderLine(_Line, frozen=True, tag="header"):
    """``serial``: of the last change of the node that exports."""

    format: str
    version: int
    prefix: str
    node: str
    software: str
    exported_at: str
    serial: int
    case_sensitive: bool


class ApplicationLine(_Line, frozen=True, tag="application"):
    """``state``: whether it is suspended where it comes from."""

    state: Literal["homed", "suspended"]
    hosting: Literal["hosted", "delegated"]
    own: bool
    site: bytes
    filed_ms: int
    filer: Person
    held: bool
    approvals: list[Person]
    filers: list[Person]
    steps: list[StepForm]


class PartyLine(_Line, frozen=True, tag="party"):
    """``withheld``: names of the fields that the exporting node has and does not tell."""

    party: str
    person: bool
    plain: dict[str, str | list[str]]
    withheld: list[str]
    added_ms: int
    confirmed_ms: int
    state: str
    steps: list[CheckForm]


class PrefixHandleLine(_Line, frozen=True, tag="prefix-handle"):
    """The record 0.NA/P."""

    values: bytes


class AliasLine(_Line, frozen=True, tag="alias"):
    """What has aliases below the prefix. ``handle``: folded. ``aliases``: ``KIND:VALUE``, canonical, sorted."""

    handle: str
    aliases: list[str]


class TemplateLine(_Line, frozen=True, tag="template"):
    """A version of a metadata template. ``row``: as ``core/store/template_rows.py`` lays it out."""

    row: bytes


class RecordLine(_Line, frozen=True, tag="record"):
    """A record below the prefix, or the prefix handle of a prefix below it. ``handle``: folded."""

    handle: str
    values: bytes


class LotLine(_Line, frozen=True, tag="lot"):
    """A lot below the prefix. ``lot``: folded. ``key``: that of its unit codes, in the clear. 0: not packed so."""

    lot: str
    product: str
    count: int
    units_per_case: int
    cases_per_pallet: int
    line: str
    produced: str
    valid_until: str
    scheme: int
    key: bytes
    created_ms: int
    values: bytes


class BlockLine(_Line, frozen=True, tag="lot-block", rename={"start": "from"}):
    """Units of a lot that were given to a line."""

    lot: str
    start: int
    count: int
    line: str
    token: str
    at_ms: int


class RunLine(_Line, frozen=True, tag="lot-run", rename={"start": "from"}):
    """A range of indexes in one state. ``parent``: None by rule, -1 in nothing, or the index of what they are in."""

    lot: str
    start: int
    count: int
    state: str
    first_ms: int
    last_ms: int
    place: str
    parent: int | None


class EventLine(_Line, frozen=True, tag="lot-event", rename={"start": "from"}):
    """What happened to a range of indexes. ``number``: from 1, of its lot. ``parent``: None where it says nothing."""

    lot: str
    number: int
    start: int
    count: int
    event: str
    first_ms: int
    last_ms: int
    place: str
    grade: str
    parent: int | None
    received_ms: int


class ChangeLine(_Line, frozen=True, tag="change"):
    """A change of the feed. ``origin``: key id of the node whose serial it is; empty for the one that exports."""

    serial: int
    change: str
    identifier: str
    at_ms: int
    origin: str


class EntryLine(_Line, frozen=True, tag="entry"):
    """An entry of the journal. ``origin``: as of a change."""

    number: int
    at_ms: int
    who: Person
    action: str
    object: str
    outcome: str
    rule: str
    reason: str
    evidence: bytes
    origin: str


Body = AliasLine | TemplateLine | RecordLine | LotLine | BlockLine | RunLine | EventLine | ChangeLine | EntryLine
Line = HeaderLine | ApplicationLine | PartyLine | PrefixHandleLine | Body

_TRAILER: Final = "trailer"
_DECODER: Final = msgspec.json.Decoder(Line)
_FORMS: Final[tuple[type[_Line], ...]] = (
    HeaderLine, ApplicationLine, PartyLine, PrefixHandleLine, AliasLine, TemplateLine, RecordLine, LotLine, BlockLine,
    RunLine, EventLine, ChangeLine, EntryLine,
)  # fmt: skip
KINDS: Final = (*(str(form.__struct_config__.tag) for form in _FORMS), _TRAILER)


class _KindForm(msgspec.Struct):
    kind: str


class _SignatureForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    algorithm: str
    key_id: str
    public_key: str
    value: str


class _TrailerForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: Literal["trailer"]
    counts: dict[str, int]
    sha256: str
    head_sha256: str
    chain_sha256: str
    signature: _SignatureForm


class Digests(NamedTuple):
    """SHA-256 of all octets before the last line, of the head, and the last link of the chain."""

    whole: bytes
    head: bytes
    chain: bytes


class Trailer(NamedTuple):
    """What the last line says. ``counts``: lines of each kind. The signature is good; whose it is is not judged."""

    counts: dict[str, int]
    digests: Digests
    signature: Signature


def encode_line(line: Line) -> bytes:
    """Return a line with its line feed. Errors: WireError for one that is too long."""
    octets = msgspec.json.encode(line) + b"\n"
    if len(octets) > limits.TRANSFER_LINE_BYTES_MAX:
        raise WireError(f"一行超过 {limits.TRANSFER_LINE_BYTES_MAX} 字节。A line of over so many octets")
    return octets


def decode_line(octets: bytes) -> Line:
    """Read one line but the last. Errors: WireError that says what is wrong; a kind that is not known is named."""
    _check_ending(octets)
    try:
        line: Line = _DECODER.decode(octets)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _not_read(octets) from None
    return line


def _not_read(octets: bytes) -> WireError:
    """Return what is wrong with a line."""
    kind = str(parse(octets, _KindForm).kind)
    if kind not in KINDS:
        return WireError(
            f"不认识的行种类 {kind[:_SHOWN]!r}，可能由更新的版本导出。"
            f"There is no kind of line {kind[:_SHOWN]!r} here: a later version may have exported it"
        )
    parse(octets, Line)  # the same again, for its message
    return WireError("格式有误。A line of another form")


def is_trailer(octets: bytes) -> bool:
    """Whether a line is the last one by its kind. Total."""
    try:
        return bool(parse(octets, _KindForm).kind == _TRAILER)
    except WireError:
        return False


def encode_trailer(signer: Signer, counts: dict[str, int], digests: Digests) -> bytes:
    """Return the last line, signed."""
    document = {
        "kind": _TRAILER,
        "counts": counts,
        "sha256": digests.whole.hex(),
        "head_sha256": digests.head.hex(),
        "chain_sha256": digests.chain.hex(),
    }
    return canonical(signer.sign_document(PURPOSE, document)) + b"\n"


def decode_trailer(octets: bytes) -> Trailer:
    """Read the last line. Errors: WireError where it is none, was altered, or its signature is not good."""
    _check_ending(octets)
    document: dict[str, Any] = msgspec.to_builtins(parse(octets, _TrailerForm))
    signature = verify_document(PURPOSE, document)
    if signature is None:
        raise WireError("签名与文件末行不符。The signature is not that of the last line")
    digests = Digests(*(_digest(document[name]) for name in ("sha256", "head_sha256", "chain_sha256")))
    counts = document["counts"]
    if len(counts) > limits.TRANSFER_KINDS_MAX or not all(count > 0 for count in counts.values()):
        raise WireError("末行的行数有误。The counts of the last line are wrong")
    document["signature"] = dump_signature(load_signature(document["signature"]))
    if canonical(document) + b"\n" != octets:  # another spelling of the same is an altered file, too
        raise WireError("末行不是规范形式。The last line is not in its canonical form")
    return Trailer(counts, digests, signature)


def first_link(head: bytes) -> bytes:
    """Return the first link of the chain: SHA-256 of the head."""
    return hashlib.sha256(head).digest()


def next_link(link: bytes, line: bytes) -> bytes:
    """Return the link behind a line of the body."""
    return hashlib.sha256(link + line).digest()


class Digester:
    """Takes the lines of a file one after the other and keeps their digests."""

    def __init__(self) -> None:
        self._whole = hashlib.sha256()
        self._head = hashlib.sha256()
        self._link: bytes | None = None

    def feed(self, octets: bytes, *, head: bool) -> None:
        """Take a line."""
        self._whole.update(octets)
        if head:
            self._head.update(octets)
        else:
            self._link = next_link(self._link or self._head.digest(), octets)

    def digests(self) -> Digests:
        """Return the digests of what was taken so far."""
        head = self._head.digest()
        return Digests(self._whole.digest(), head, self._link or head)


def _check_ending(octets: bytes) -> None:
    if not octets.endswith(b"\n"):
        raise WireError("文件不完整或行过长。The file was cut, or a line of it is too long")
    if b"\n" in octets[:-1]:
        raise WireError("一行中有换行。A line feed within a line")


def _digest(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size or digest.hex() != text:
        raise WireError("末行的摘要有误。A digest of the last line is none")
    return digest
