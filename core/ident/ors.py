"""Names in DNS of OIDs (ITU-T X.672) and of GTINs (GS1 ONS): the labels that stand before the apex of their zone.

    1.2.156.99999.7   7 . 99999 . 156 . 2 . 1            one label an arc, the last arc first
    GTIN-14           d0 . d12 . d11 . … . d1 . gtin     without the check digit d13

Labels are octets in lower case. Every OID and GTIN has labels, and whatever labels come are those of one, or of none.
Source: ITU-T X.672 §7.3; GS1 ONS 2.0.1 §4.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from core.errors import IdentifierError
from core.ident.gs1 import check_digit
from core.ident.oid import check_oid

Labels = tuple[bytes, ...]

DUMMY: Final = b"ors-dummy"
"""Stands before the labels of an OID in a question, so that a DNAME at the OID's own name leads on, too."""

_GTIN: Final = b"gtin"
_ROOTS: Final = ("0", "1", "2")
_ARC: Final = re.compile(rb"0|[1-9][0-9]{0,38}")  # 2**128 has 39 digits
_DIGIT: Final = re.compile(rb"[0-9]")
_MIDDLE: Final = 12


def labels_of_node(node: str) -> Labels:
    """Return the labels of an OID, or of one of the roots 0, 1 and 2."""
    return tuple(reversed(node.encode().split(b".")))


def node_of_labels(labels: Sequence[bytes]) -> str | None:
    """Return the OID, or the root, that labels name; None where they name none, such as ``01``. Total."""
    if not labels or not all(map(_ARC.fullmatch, labels)):
        return None
    node = b".".join(reversed(labels)).decode()
    if node in _ROOTS:
        return node
    try:
        return check_oid(node)
    except IdentifierError:
        return None


def labels_of_gtin(gtin14: str) -> Labels:
    """Return the labels of a GTIN with 14 digits."""
    return (gtin14[0].encode(), *(digit.encode() for digit in reversed(gtin14[1:13])), _GTIN)


def gtin_of_labels(labels: Sequence[bytes]) -> str | None:
    """Return the GTIN, with 14 digits, that labels name; None where they name none. Total."""
    middle = middle_of_labels(labels[1:])
    if middle is None or len(middle) != _MIDDLE or _DIGIT.fullmatch(labels[0]) is None:
        return None
    digits = labels[0].decode() + middle
    return digits + check_digit(digits)


def middle_of_labels(labels: Sequence[bytes]) -> str | None:
    """Return what GTINs below a name share: digits 2, 3 and so on, 12 at most; None where none can be below. Total."""
    if not labels or labels[-1] != _GTIN or len(labels) > _MIDDLE + 1 or not all(map(_DIGIT.fullmatch, labels[:-1])):
        return None
    return b"".join(reversed(labels[:-1])).decode()
