"""What the services see of one message, and what they say to it.

The service of the Handle protocol (``node/handle_service.py``) takes envelopes,
challenges, sessions and signatures off; a reading or writing API gets an Asked and
returns a Reply, or raises a NodeError. AdmissionError(AUTHENTICATION_NEEDED) asks for
a challenge.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import Enum
from typing import NamedTuple

from core.admission import Identity
from core.errors import Outcome
from core.wire.codepoints import Version


class Transport(Enum):
    """How a message came."""

    UDP = "udp"
    TCP = "tcp"
    HTTP = "http"


class Asked(NamedTuple):
    """One request. ``identity`` is proven; ``in_session``: by an authenticated session.

    ``peer``: as ``core/peer.py`` has it.
    """

    op: int
    flags: int
    body: bytes
    version: Version
    identity: Identity | None = None
    in_session: bool = False
    transport: Transport = Transport.TCP
    peer: bytes = b""

    def has(self, flag: int) -> bool:
        """Whether a flag is set."""
        return bool(self.flags & flag)


class Reply(NamedTuple):
    """How it ended, and the body behind the digest.

    ``flags``: set besides the usual ones. ``private``: the body holds what is not public.
    ``more``: bodies of further messages, for lists.
    """

    outcome: Outcome
    body: bytes = b""
    flags: int = 0
    private: bool = False
    more: AsyncIterator[bytes] | None = None
