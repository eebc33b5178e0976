"""Commands about upstreams, and of what they say, brought to the registrar by the process that asked them."""

from __future__ import annotations

from typing import NamedTuple


class ConnectUpstream(NamedTuple):
    """Send what is owed to a top node from now on, or change its address. ``public_key``: 32 octets. Local only."""

    url: str
    public_key: bytes
    name: str = ""


class DisconnectUpstream(NamedTuple):
    """Send a top node nothing more. ``upstream``: id of its key. Local only."""

    upstream: str


class TakeChange(NamedTuple):
    """Take over a change that an upstream registered while it answered for this node. Local only.

    ``takeover``, ``number``, ``handle``, ``before``, ``at_ms``, ``made_by``: see ``sync.messages``, Handed and Made.
    ``values``: as on the Handle wire, of a record that is to be ``deleted`` nothing.
    """

    upstream: str
    takeover: str
    number: int
    handle: str
    deleted: bool
    values: bytes
    before: bytes
    at_ms: int
    made_by: str
