"""Certificate numbers: unified social credit code, resident identity card, passport.

```
USCC (GB 32100), 18 characters     identity card (GB 11643), 18 characters
 0  1  registering authority        0  6  region (GB/T 2260)
 1  1  kind of organisation         6  8  date of birth, yyyymmdd
 2  6  region (GB/T 2260)          14  3  order; odd for men
 8  9  organisation code            17  1  check digit, 0-9 or X
17  1  check character
```
The organisation code (GB 11714) is eight characters and a check digit of its own. Both check
digits of the whole are python-stdnum's; its ``validate`` is not used, because it refuses
letters for the authority (N: agriculture) and its table of birth places is old.
"""

from __future__ import annotations

import datetime
import re
from typing import Final

from stdnum.cn import ric, uscc

from core.party.regions import NATIONAL, Known, look_up
from core.party.rules import RuleError

USCC_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_CHARS: Final = 18
_ORGANISATION_WEIGHTS: Final = (3, 7, 9, 10, 5, 8, 4, 2)
_IDENTITY_CARD: Final = re.compile(r"[0-9]{17}[0-9X]")
_IDENTITY_CARD_CHARS: Final = 18
_BORN_YEAR_MIN: Final = 1880  # nobody born before is alive, and no card is older than 1984
_PASSPORT: Final = re.compile(r"[A-Z0-9]{5,17}")


def parse_uscc(text: str) -> str:
    """Return a unified social credit code, which ``text`` must be in capitals. Errors: RuleError."""
    if len(text) != _USCC_CHARS:
        raise RuleError("uscc.length", chars=len(text))
    if any(char not in USCC_ALPHABET for char in text):
        raise RuleError("uscc.alphabet")
    if text[-1] != uscc.calc_check_digit(text):
        raise RuleError("uscc.check-digit")
    if text[16] != organisation_check(text[8:16]):
        raise RuleError("uscc.organisation-code")
    region = uscc_region(text)
    if region != NATIONAL and look_up(region) is Known.UNKNOWN:
        raise RuleError("uscc.region")
    return text


def uscc_region(code: str) -> str:
    """Return the region that a unified social credit code was given in."""
    return code[2:8]


def organisation_check(code: str) -> str:
    """Return the check digit of the eight characters of an organisation code; letters count from A = 10."""
    total = sum(int(char, 36) * weight for char, weight in zip(code, _ORGANISATION_WEIGHTS, strict=True))
    return "0123456789X0"[11 - total % 11]


def parse_identity_card(text: str, today: datetime.date) -> str:
    """Return the number of a resident identity card, which ``text`` must be in capitals. Errors: RuleError."""
    if len(text) != _IDENTITY_CARD_CHARS:
        raise RuleError("identity-card.length", chars=len(text))
    if not _IDENTITY_CARD.fullmatch(text):
        raise RuleError("identity-card.digits")
    if text[-1] != ric.calc_check_digit(text):
        raise RuleError("identity-card.check-digit")
    born = _date(text[6:14])
    if born is None or born > today or born.year < _BORN_YEAR_MIN:
        raise RuleError("identity-card.date")
    if look_up(identity_card_region(text)) is Known.UNKNOWN:
        raise RuleError("identity-card.region")
    return text


def identity_card_region(number: str) -> str:
    """Return the region in which the holder was first registered."""
    return number[:6]


def parse_passport(text: str) -> str:
    """Return the number of a passport, which ``text`` must be in capitals. Errors: RuleError."""
    if not _PASSPORT.fullmatch(text):
        raise RuleError("passport")
    return text


def _date(digits: str) -> datetime.date | None:
    try:
        return datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
