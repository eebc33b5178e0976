"""``deposit.json``: what is told of a deposit in the clear, signed by the node (``core/signature.py``).

Written in its canonical form (RFC 8785), without a line's end, and read in no other: no octet of it can be another.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

from core import limits
from core.clock import TIME_MS_END, Millis, format_utc
from core.signature import KEY_ID_DIGITS, Signer, canonical, key_id, verify_document
from sync.escrow.faults import DepositError
from sync.escrow.item import Head, Volume

PURPOSE: Final = "escrow deposit 1"
FULL: Final = "full"
DIFF: Final = "diff"
_VERSION: Final = 1
_SIGNATURE: Final = "signature"
_SERIAL_MAX: Final = 2**53 - 1
_REVISION_MAX: Final = 999_999
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_KEY_ID: Final = re.compile(rf"[0-9a-f]{{{KEY_ID_DIGITS}}}", re.ASCII)
_TABLE: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII)
_ID: Final = re.compile(r"\d{8}T\d{6}Z-(full|diff)(-r[1-9]\d{0,5})?", re.ASCII)
_CAUSES: Final = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


class Opening(NamedTuple):
    """What is known of a deposit before it is written. See Head."""

    prefix: str
    kind: str
    watermark: int
    since: int
    revision: int
    previous: str
    made_ms: Millis


def deposit_id(opening: Opening) -> str:
    """Return the id of a deposit, which sorts by its time, in UTC."""
    moment = re.sub("[-:]", "", format_utc(opening.made_ms // 1_000))
    return f"{moment}-{opening.kind}" + (f"-r{opening.revision}" if opening.revision else "")


def deposit_day(head: Head | Opening) -> str:
    """Return the day of a deposit in UTC, ``YYYY-MM-DD``."""
    return format_utc(head.made_ms // 1_000)[:10]


def is_deposit_id(text: str) -> bool:
    """Whether a text is an id of a deposit, and so a name of a folder."""
    return _ID.fullmatch(text) is not None


def is_full_id(text: str) -> bool:
    """Whether an id is that of a FULL."""
    match = _ID.fullmatch(text)
    return match is not None and match[1] == FULL


def is_table(name: str) -> bool:
    """Whether items may be counted under this name."""
    return _TABLE.fullmatch(name) is not None


def volume_name(number: int) -> str:
    """Return the name of a volume. ``number``: from 1."""
    return f"{number:04d}.vol"


def require_opening(opening: Opening) -> None:
    """Errors: ValueError for what no deposit can say of itself."""
    prefix, revision = opening.prefix, opening.revision
    if not 0 < len(prefix) <= limits.PREFIX_CHARS_MAX or prefix.startswith(".") or not prefix.isprintable():
        raise ValueError("prefix")
    if "/" in prefix or "\\" in prefix:
        raise ValueError("prefix")
    _between(opening.made_ms, 0, TIME_MS_END - 1)
    _between(revision, 0, _REVISION_MAX)
    _between(opening.watermark, 0, _SERIAL_MAX)
    _between(opening.since, 0, opening.watermark)
    if opening.kind == FULL:
        if opening.since or opening.previous:
            raise ValueError("a FULL builds on nothing")
    elif opening.kind != DIFF or not is_deposit_id(opening.previous):
        raise ValueError("kind")


def format_head(head: Head, signer: Signer) -> bytes:
    """Return deposit.json. Bounds: ESCROW_HEAD_BYTES_MAX. Errors: DepositError too-large."""
    document: dict[str, Any] = {"version": _VERSION} | head._asdict()
    document |= {"counts": dict(head.counts), "volumes": [volume._asdict() for volume in head.volumes]}
    octets = canonical(signer.sign_document(PURPOSE, document))
    if len(octets) > limits.ESCROW_HEAD_BYTES_MAX:
        raise DepositError("too-large", "deposit.json")
    return octets


def parse_head(octets: bytes, node: str = "") -> Head:
    """Read deposit.json. ``node``: key id of who must have signed it, empty: whoever it names.

    Errors: DepositError head, signature, signer, too-large.
    """
    if len(octets) > limits.ESCROW_HEAD_BYTES_MAX:
        raise DepositError("too-large", "deposit.json")
    try:
        document = json.loads(octets)
        if type(document) is not dict or canonical(document) != octets:
            raise ValueError("form")
    except _CAUSES:
        raise DepositError("head", "it is not the canonical form of a JSON object") from None
    signature = verify_document(PURPOSE, document)
    if signature is None:
        raise DepositError("signature", "deposit.json")
    try:
        head = _head(document)
    except _CAUSES as error:
        raise DepositError("head", str(error)) from None
    signer = key_id(signature.public_key)
    if head.node != signer or signer != (node or signer):
        raise DepositError("signer", f"{signer}, not {node or head.node}")
    return head


def _head(document: dict[str, Any]) -> Head:
    """Errors: those of _CAUSES."""
    members = {name: value for name, value in document.items() if name not in (_SIGNATURE, "version")}
    if document["version"] != _VERSION or type(document["version"]) is not int:
        raise ValueError("its version is not known here")
    if members.keys() != set(Head._fields):
        raise ValueError("members")
    for name, kind in Head.__annotations__.items():
        if kind in ("str", "int") and type(members[name]).__name__ != kind:
            raise TypeError(name)
    counts = members["counts"]
    if not 0 <= len(counts) <= limits.ESCROW_TABLES_MAX or not all(map(is_table, counts)):
        raise ValueError("counts")
    for count in counts.values():
        _between(count, 1, limits.ESCROW_ITEMS_MAX)
    volumes = tuple(_volume(each, number) for number, each in enumerate(members["volumes"], 1))
    if not 0 < len(volumes) <= limits.ESCROW_VOLUMES_MAX:
        raise ValueError("volumes")
    head = Head(**members | {"counts": tuple(sorted(counts.items())), "volumes": volumes})
    opening = Opening(*(getattr(head, name) for name in Opening._fields))
    require_opening(opening)
    if head.deposit != deposit_id(opening):
        raise ValueError("deposit")
    if not _KEY_ID.fullmatch(head.node) or not _SHA256.fullmatch(head.content_sha256):
        raise ValueError("node")
    _between(head.content_octets, 0, limits.ESCROW_CONTENT_BYTES_MAX)
    _between(sum(count for _, count in head.counts), 0, limits.ESCROW_ITEMS_MAX)
    return head


def _volume(packed: Any, number: int) -> Volume:
    volume = Volume(**packed)
    if volume.name != volume_name(number) or not _SHA256.fullmatch(volume.sha256):
        raise ValueError(f"volume {number}")
    _between(volume.octets, 1, limits.ESCROW_VOLUME_BYTES_MAX)
    return volume


def _between(number: Any, low: int, high: int) -> None:
    if type(number) is not int or not low <= number <= high:
        raise ValueError(f"{number!r:.40} is not between {low} and {high}")
