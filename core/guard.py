"""Guessing made slow: how often somebody failed to prove who he is.

Counted is a pair of source and claim: the address that a request came from, and the identity or
token that it says to be. So nobody can lock out another one from elsewhere, and whoever guesses
at one secret has LOGIN_FAILURES tries and then one each LOGIN_FAILURE_S. By HTTP a failure counts for
HTTP_FAILURE_COST, of a bearer token, which is copied and not typed, for TOKEN_FAILURE_COST; a program
that speaks the Handle protocol and is set up wrong repeats itself more often than people do. What
claims nobody tests no secret, and is not counted.
"""

from __future__ import annotations

from typing import Final, Protocol

from core.admission import Identity
from core.errors import RateError
from core.peer import address_of

_SUBSCRIBER_BYTES: Final = 8  # /64: whoever has one IPv6 address has all of these (RFC 4291 §2.5.4)
_ADDRESS_BYTES: Final = 16


class Failures(Protocol):
    """Counts failures, for all workers together."""

    def wait_s(self, who: bytes) -> int:
        """Return how many seconds it takes until one more may fail; 0: none."""

    def note(self, who: bytes, cost: int) -> None:
        """Count one failure as so many."""


class _Uncounted:
    """See Failures. Counts nothing."""

    def wait_s(self, who: bytes) -> int:
        return 0

    def note(self, who: bytes, cost: int) -> None:
        """Forget it."""


UNCOUNTED: Final = _Uncounted()


class Guard:
    """Looks at who failed before. ``failures`` may be shared by several of them."""

    def __init__(self, failures: Failures) -> None:
        self._failures = failures

    def admit(self, peer: bytes, claim: str) -> None:
        """Errors: RateError where this source failed too often as that one: nothing it sends is looked at."""
        wait_s = self._failures.wait_s(_pair(peer, claim))
        if wait_s:
            raise RateError(
                f"登录失败次数过多，请在{wait_s}秒后重试。Too many failed log-ins; try again in {wait_s} s",
                retry_s=wait_s,
            )

    def failed(self, peer: bytes, claim: str, cost: int = 1) -> None:
        """Count one failure as so many."""
        self._failures.note(_pair(peer, claim), cost)


def claim_of(identity: Identity) -> str:
    """Return the name under which failures of an identity are counted, however it is spelt."""
    return f"{identity.value_index}:{identity.handle.upper()}"


def verified_claim(identity: Identity) -> str:
    """Return the name for verifications: whoever has the proofs of others verified is not locked out by theirs."""
    return f"verify {claim_of(identity)}"


def _pair(peer: bytes, claim: str) -> bytes:
    address = address_of(peer)
    source = address[:_SUBSCRIBER_BYTES] if len(address) == _ADDRESS_BYTES else address
    return source + b"\0" + claim.encode("utf-8", "surrogatepass")
