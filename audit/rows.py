"""Rows of a block, told as entries of the resolution log: the one schema of ``audit/entry.py``."""

from __future__ import annotations

from typing import Any

from audit.block import Block
from audit.clients import Client
from audit.entry import VERSION, origin_document, who_document
from core.clock import format_instant
from core.events import PROTOCOLS, Via
from core.streams import Stream
from core.who import Who

ACTION = "resolve"
_NAMES = {via.value: name for via, name in PROTOCOLS.items()}


def protocol_name(via: int) -> str:
    """Return what the logs call a protocol; its number where a later version of the node wrote it."""
    return _NAMES.get(via, str(via))


def via_numbers(protocol: str) -> frozenset[int]:
    """Return the numbers of a protocol: one, or all of a transport."""
    return frozenset(via.value for via in Via if is_protocol(PROTOCOLS[via], protocol))


def is_protocol(name: str, protocol: str) -> bool:
    """Whether an entry's protocol is the one that is asked for: ``http`` means all that begin with it."""
    return name == protocol or name.startswith(f"{protocol}/")


def identifier_text(identifier: bytes) -> str:
    """Return an identifier as asked; octets that are no UTF-8 as ``\\xNN``."""
    return identifier.decode(errors="backslashreplace")


def row_document(block: Block, leaf: int, row: int) -> dict[str, Any]:
    """Return an entry of a block. ``leaf``: its index."""
    client: Client = block.clients[row]
    name = block.who.get(row, "")
    return {
        "v": VERSION,
        "stream": Stream.RESOLUTION.value,
        "t": format_instant(block.times[row]),
        "who": who_document(Who("", name)),
        "from": origin_document(client, block.ports[row], protocol_name(block.vias[row])),
        "act": ACTION,
        "obj": identifier_text(block.identifiers[row]),
        "before": None,
        "after": None,
        "evidence": None,
        "res": {"code": block.outcomes[row], "reason": None},
        "req": f"{leaf}.{row}",
        "up": None,
        "node": block.node,
        "ver": block.version,
    }
