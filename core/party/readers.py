"""One reader for each kind of field: from the text of a form to a value.

A reader gets text that is not empty, within the field's bound and free of control
characters; it returns the normalised value or raises RuleError. What may be wrong between
two fields, and all that is a warning, is in ``core.party.check``.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable
from typing import Final, NamedTuple

from core.party.contacts import parse_address, parse_domain, parse_email, parse_phone, parse_url
from core.party.fields import IDENTITY_CARD, LONG_TERM, NO_LICENCE, OTHER, PASSPORT, USCC, Field, Kind
from core.party.numbers import parse_identity_card, parse_passport, parse_uscc
from core.party.regions import Known, look_up
from core.party.rules import RuleError

Value = str | datetime.date | tuple[str, ...]


class Asked(NamedTuple):
    """What a reader may look at beside the text.

    ``cert_type``: the kind of certificate, "" if the form does not say a known one.
    """

    field: Field
    today: datetime.date
    cert_type: str = ""


Reader = Callable[[str, Asked], Value]

_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BETWEEN_ITEMS: Final = re.compile("[;；]")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of control, format, surrogate, line and paragraph characters.

Unassigned and private characters may stand: rare characters of names are among them.
"""


def is_visible(text: str) -> bool:
    """Whether no character of a text is invisible. Cost: linear."""
    return (text.isascii() and text.isprintable()) or all(unicodedata.category(char) not in _INVISIBLE for char in text)


def narrow(text: str) -> str:
    """Return a code as it was meant: full-width characters, as Chinese keyboards make them, narrow."""
    return unicodedata.normalize("NFKC", text).strip()


def split(text: str, field: Field) -> tuple[str, ...]:
    """Return the items of a list, without those that are empty. Errors: RuleError if there are none, or too many."""
    items = tuple(item.strip() for item in _BETWEEN_ITEMS.split(text) if item.strip())
    if not 1 <= len(items) <= field.items_max:
        raise RuleError("items", items=field.items_max)
    return items


def _text(text: str, asked: Asked) -> str:
    return text


def _choice(text: str, asked: Asked) -> str:
    if text not in asked.field.choices:
        raise RuleError("choice", choices="、".join(asked.field.choices))
    return text


def _choices(text: str, asked: Asked) -> tuple[str, ...]:
    items = tuple(dict.fromkeys(_choice(item, asked) for item in split(text, asked.field)))
    if NO_LICENCE in items and len(items) > 1:
        raise RuleError("choice.contradiction", alone=NO_LICENCE)
    return items


def _person_name(text: str, asked: Asked) -> str:
    if not any(char.isalpha() or unicodedata.category(char) in ("Co", "Cn") for char in text):
        raise RuleError("person-name")
    return text


_CERTIFICATES: Final[dict[str, Reader]] = {
    USCC: lambda text, asked: parse_uscc(_capitals(text)),
    IDENTITY_CARD: lambda text, asked: parse_identity_card(_capitals(text), asked.today),
    PASSPORT: lambda text, asked: parse_passport(_capitals(text)),
    OTHER: _text,
}


def _organisation_certificate(text: str, asked: Asked) -> Value:
    return _CERTIFICATES[asked.cert_type or USCC](text, asked)


def _person_certificate(text: str, asked: Asked) -> Value:
    if asked.cert_type:
        return _CERTIFICATES[asked.cert_type](text, asked)
    try:  # the type is missing or wrong, which is a fault of its own: a passport's number is none
        return _CERTIFICATES[PASSPORT](text, asked)
    except RuleError:
        return _CERTIFICATES[IDENTITY_CARD](text, asked)


def _region(text: str, asked: Asked) -> str:
    code = narrow(text)
    if look_up(code) is Known.UNKNOWN:
        raise RuleError("region")
    return code


def _past_date(text: str, asked: Asked) -> datetime.date:
    day = _date(text)
    if day > asked.today:
        raise RuleError("date.future")
    return day


def _validity(text: str, asked: Asked) -> Value:
    return LONG_TERM if text == LONG_TERM else _date(text)


def _date(text: str) -> datetime.date:
    day = narrow(text)
    try:
        if not _ISO_DATE.fullmatch(day):  # fromisoformat also takes weeks and days of the year
            raise ValueError("form")
        return datetime.date.fromisoformat(day)
    except ValueError:
        raise RuleError("date") from None


def _capitals(text: str) -> str:
    """Return a number in capitals. Only ASCII is raised: other letters become what nobody typed."""
    number = narrow(text)
    return number.upper() if number.isascii() else number


READERS: Final[dict[Kind, Reader]] = {
    Kind.TEXT: _text,
    Kind.CHOICE: _choice,
    Kind.CHOICES: _choices,
    Kind.ORGANISATION_CERTIFICATE: _organisation_certificate,
    Kind.PERSON_CERTIFICATE: _person_certificate,
    Kind.PERSON_NAME: _person_name,
    Kind.REGION: _region,
    Kind.SECTION: lambda text, asked: _capitals(text),
    Kind.DIVISION: lambda text, asked: narrow(text),
    Kind.INDUSTRIES: lambda text, asked: tuple(dict.fromkeys(map(_capitals, split(text, asked.field)))),
    Kind.PHONE: lambda text, asked: parse_phone(narrow(text)),
    Kind.EMAIL: lambda text, asked: parse_email(narrow(text)),
    Kind.URL: lambda text, asked: parse_url(text),
    Kind.DOMAIN: lambda text, asked: parse_domain(narrow(text)),
    Kind.PAST_DATE: _past_date,
    Kind.VALIDITY: _validity,
    Kind.ADDRESSES: lambda text, asked: tuple(
        dict.fromkeys(parse_address(narrow(a)) for a in split(text, asked.field))
    ),
}
