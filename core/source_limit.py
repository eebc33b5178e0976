"""What a front asks before it serves a source: a limit of its own beside that of all requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from core.errors import RateError
from core.peer import address_of


class SourceLimit(NamedTuple):
    """``admits``: whether the octets of an address may do it once more. ``retry_s``: until one more is admitted."""

    admits: Callable[[bytes], bool]
    retry_s: int

    def take(self, peer: bytes) -> None:
        """Count one request of a peer. Errors: RateError for one that made too many."""
        if not self.admits(address_of(peer)):
            raise RateError(
                f"此来源请求过多，请在{self.retry_s}秒后重试。Too many requests from this address; "
                f"try again in {self.retry_s} s",
                retry_s=self.retry_s,
            )


NO_LIMIT: Final = SourceLimit(lambda _: True, 1)
