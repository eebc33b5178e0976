"""Ways to reach a party: telephone, e-mail, web address, domain name, IP address.

Conservative: ASCII alone, names of at least two labels, an international domain name in its
``xn--`` form. Nothing is looked up.
Source: RFC 5321 §4.1.2 (dot-string, no quoted form), RFC 1123 §2.1, RFC 3986 §3, ITU-T E.164.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from core.limits import DOMAIN_CHARS_MAX, EMAIL_CHARS_MAX, EMAIL_LOCAL_CHARS_MAX
from core.party.rules import RuleError

_BETWEEN: Final = re.compile(r"[ ()]")
_MOBILE: Final = re.compile(r"1[3-9][0-9]{9}")
_LANDLINE: Final = re.compile(r"0[0-9]{2,3}-?[0-9]{7,8}(-[0-9]{1,6})?")
_ABROAD: Final = re.compile(r"\+(?!86)[1-9][0-9]{6,14}")
_HOME: Final = re.compile(r"\+86(1[3-9][0-9]{9}|[1-9][0-9]{1,2}[0-9]{7,8})")
_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_SCHEMES: Final = ("http", "https")


def parse_phone(text: str) -> str:
    """Return a number without spaces and brackets, and a mobile or international one without hyphens.

    A mobile number of the mainland, a landline with its area code and perhaps an extension,
    or an international number from its "+" on. Errors: RuleError.
    """
    number = _BETWEEN.sub("", text)
    if _LANDLINE.fullmatch(number):
        return number
    digits = number.replace("-", "")
    if any(form.fullmatch(digits) for form in (_MOBILE, _HOME, _ABROAD)):
        return digits
    raise RuleError("phone")


def parse_email(text: str) -> str:
    """Return an address, its domain in small letters. Errors: RuleError."""
    local, at, domain = text.rpartition("@")
    fits = len(text) <= EMAIL_CHARS_MAX and len(local) <= EMAIL_LOCAL_CHARS_MAX
    if not (at and fits and _LOCAL.fullmatch(local) and _is_domain(domain)):
        raise RuleError("email")
    return f"{local}@{domain.lower()}"


def parse_domain(text: str) -> str:
    """Return a domain name in small letters. Errors: RuleError."""
    if not _is_domain(text):
        raise RuleError("domain")
    return text.lower()


def parse_url(text: str) -> str:
    """Return an address of the web as it was written. Errors: RuleError."""
    try:
        parts = urlsplit(text)
        host, named_user, _ = parts.hostname, parts.username is not None, parts.port
    except ValueError:
        raise RuleError("url") from None
    plain = text.isascii() and not any(char in text for char in ' "<>\\^`{|}')
    if not plain or parts.scheme not in _SCHEMES or named_user or not (host and _is_host(host)):
        raise RuleError("url")
    return text


def parse_address(text: str) -> str:
    """Return an IPv4 or IPv6 address in its usual form. Errors: RuleError."""
    try:
        if "%" in text:  # a zone is of one machine only
            raise ValueError("zone")
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise RuleError("address") from None


def _is_domain(text: str) -> bool:
    labels = text.split(".") if len(text) <= DOMAIN_CHARS_MAX else []
    return len(labels) > 1 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()


def _is_host(host: str) -> bool:
    if _is_domain(host):
        return True
    try:
        parse_address(host)
    except RuleError:
        return False
    return True
