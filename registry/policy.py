"""What this node admits as a name and as an address, and when, beside the rules that hold everywhere.

``deny`` and ``hold`` are lists of patterns: ``*`` stands for any characters, ``?`` for one; case,
blanks and width do not matter. A prefix or the name of its party that fits one of ``deny`` is
refused; one that fits ``hold`` needs two reviewers. Source: Measures art. 8, 10; design §4.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import NamedTuple

from core import limits
from core.clock import Millis
from core.disk import always
from core.licence import ALWAYS, Window
from core.store.party_rows import PartyRow
from core.wire.sitefile import AddressPolicy


class Policy(NamedTuple):
    """What the configuration says. ``production``: people are told apart by uid or token.

    ``confirm_ms``: how long a confirmed contact counts. ``registration``: when it is open. ``complaint_days``: until
    a complaint is answered. ``import_keys``: ids of the keys whose exports are taken over; in development also
    those of others. ``has_room``: whether the disks have as much room as registration needs.
    """

    production: bool = False
    deny: tuple[str, ...] = ()
    hold: tuple[str, ...] = ()
    addresses: AddressPolicy = AddressPolicy((), public=True)
    confirm_ms: int = 365 * 86_400_000
    registration: Window = ALWAYS
    complaint_days: int = limits.COMPLAINT_DAYS
    import_keys: frozenset[str] = frozenset()
    has_room: Callable[[], bool] = always

    def is_overdue(self, party: PartyRow, now_ms: Millis) -> bool:
        """Whether the contact of a party has to be confirmed again."""
        return now_ms - party.confirmed_ms > self.confirm_ms


DEFAULT_POLICY = Policy()


def pattern_of(patterns: tuple[str, ...], *names: str) -> str | None:
    """Return the first pattern that one of the names fits, None if none does."""
    for pattern in patterns:
        plain = _folded(pattern).replace("[", "[[]")  # which is no sign here
        if any(fnmatchcase(_folded(name), plain) for name in names):
            return pattern
    return None


def _folded(name: str) -> str:
    """Return a name without regard to case, blanks and width, so that none of these is a way around a list."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())
