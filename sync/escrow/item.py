"""What a deposit holds: items, each a row of the store or a key that it needs (``content.py`` says which)."""

from __future__ import annotations

from typing import NamedTuple


class Item(NamedTuple):
    """One row. ``table``: the stored name of a table (``core.store.engine.Table``), or a part of its own (``head``,
    ``identity-key``, ``lot-key``). ``row``: None where a DIFF says that it is gone.
    """

    table: str
    key: bytes
    row: bytes | None


class Volume(NamedTuple):
    """One file of a deposit. ``sha256``: of it as it is, hexadecimal."""

    name: str
    octets: int
    sha256: str


class Head(NamedTuple):
    """What is told of a deposit in the clear: ``deposit.json``, signed by the node.

    ``deposit``: its id, ``YYYYMMDDTHHMMSSZ-full`` or ``-diff``, and ``-rN`` behind it of revision N > 0; ids of one
    node sort by time. ``node``: key id of the key that signed. ``prefix``: node.prefix. ``kind``: full or diff.
    ``watermark``: serial of the last change that it holds; ``since``: that of the previous one, 0 of a FULL.
    ``revision``: counts re-sends of the same watermark, 0 first. ``previous``: id of the deposit that a DIFF builds on,
    empty of a FULL. ``made_ms``: when. ``counts``: items by table. ``content_octets``, ``content_sha256``: of the plain
    content, before compression. ``algorithm``: how it is encrypted; ``recipient``: id of the receiver's key.
    ``sealed_key``: what the receiver opens it with, as the algorithm has it.
    """

    deposit: str
    node: str
    prefix: str
    kind: str
    watermark: int
    since: int
    revision: int
    previous: str
    made_ms: int
    counts: tuple[tuple[str, int], ...]
    content_octets: int
    content_sha256: str
    algorithm: str
    recipient: str
    sealed_key: str
    volumes: tuple[Volume, ...]
