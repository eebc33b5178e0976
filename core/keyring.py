"""Keys that are kept outside the store, by their ids: a newer one takes over, the older ones still open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

KEY_BYTES: Final = 32
KEY_ID_MAX: Final = 2**32 - 1


class KeyRing(NamedTuple):
    """The keys by their ids, and which one is used for what is new. The others open what was made with them."""

    current: int
    keys: Mapping[int, bytes]

    def __repr__(self) -> str:
        """Show no key."""
        return f"KeyRing(current={self.current}, keys={sorted(self.keys)})"
