"""Code points of the Handle protocol: operations, flags, versions, sizes.

Sources: RFC 3652 §2; the later ones as the reference server has them. Response
codes stand in ``core.outcomes``. Operations and flags that are not listed here
are kept as the numbers they are.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple


class OpCode(IntEnum):
    """Operations (RFC 3652 §2.2.2.1)."""

    RESOLUTION = 1
    GET_SITE_INFO = 2
    CREATE_HANDLE = 100
    DELETE_HANDLE = 101
    ADD_VALUE = 102
    REMOVE_VALUE = 103
    MODIFY_VALUE = 104
    LIST_HANDLES = 105
    CHALLENGE_RESPONSE = 200
    VERIFY_RESPONSE = 201
    HOME_PREFIX = 300
    UNHOME_PREFIX = 301
    LIST_PREFIXES = 302
    SESSION_SETUP = 400
    SESSION_TERMINATE = 401
    SESSION_EXCHANGE_KEY = 402
    NEXT_TRANSACTION = 1000
    RETRIEVE_TRANSACTIONS = 1001
    DUMP_HANDLES = 1002
    BACKUP = 1003
    KEY_LOGIN = 2001  # national SDKs


ADMINISTRATIVE: Final = frozenset(
    {
        OpCode.CREATE_HANDLE, OpCode.DELETE_HANDLE, OpCode.ADD_VALUE, OpCode.REMOVE_VALUE, OpCode.MODIFY_VALUE,
        OpCode.LIST_HANDLES, OpCode.HOME_PREFIX, OpCode.UNHOME_PREFIX, OpCode.LIST_PREFIXES,
        OpCode.SESSION_TERMINATE, OpCode.SESSION_EXCHANGE_KEY, OpCode.NEXT_TRANSACTION,
        OpCode.RETRIEVE_TRANSACTIONS, OpCode.DUMP_HANDLES, OpCode.BACKUP, OpCode.KEY_LOGIN,
    }
)  # fmt: skip
"""Operations that a query interface (UDP) refuses."""


class OpFlag:
    """Flags of a message (RFC 3652 §2.2.2.3); bits that are not listed mean nothing to this node.

    Plain integers: an IntFlag computes each "and" in Python, on the way of every message.
    """

    AUTHORITATIVE: Final = 0x8000_0000
    CERTIFIED: Final = 0x4000_0000
    ENCRYPTED: Final = 0x2000_0000
    RECURSIVE: Final = 0x1000_0000
    CACHE_CERTIFIED: Final = 0x0800_0000
    CONTINUOUS: Final = 0x0400_0000
    KEEP_ALIVE: Final = 0x0200_0000
    PUBLIC_ONLY: Final = 0x0100_0000
    RETURN_DIGEST: Final = 0x0080_0000
    OVERWRITE: Final = 0x0040_0000
    MINT: Final = 0x0020_0000
    NO_REFERRAL: Final = 0x0010_0000


class Version(NamedTuple):
    """A protocol version."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


VERSION: Final = Version(2, 11)
"""The highest version spoken; also what every answer suggests."""

DIGESTS_FROM: Final = Version(2, 1)
CODES_FROM: Final = Version(2, 5)
AES_SESSIONS_FROM: Final = Version(2, 4)
SHA256_FROM: Final = Version(2, 7)
SUGGESTED_SIGNED_FROM: Final = Version(2, 8)

REQUEST_ID_UNKNOWN: Final = 0xFFFF_FFFF
SITE_SERIAL_UNKNOWN: Final = 0xFFFF

AUTH_PUBLIC_KEY: Final = "HS_PUBKEY"
AUTH_SECRET_KEY: Final = "HS_SECKEY"  # noqa: S105 - the name of a method
"""The two ways to answer a challenge."""
