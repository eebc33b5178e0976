"""The grammar of object identifiers: integer arcs below one of three roots, ``1.2.156.99999.7``.

The key is the text itself, with no zero in front of an arc: two texts are the same OID exactly if they are equal.
Source: ITU-T X.660 §7 (roots, arcs); X.667 (arcs of 128 bits below 2.25).
"""

from __future__ import annotations

import re
from typing import Final

from core import limits
from core.errors import IdentifierError

_OID: Final = re.compile(r"(?:0|1|2)(?:\.(?:0|[1-9][0-9]*))+", re.ASCII)
_ROOTS_OF_40: Final = ("0", "1")
_SECOND_ARC_MAX: Final = 39
_ARC_MAX: Final = 2**128 - 1


def check_oid(text: str) -> str:
    """Return an OID as it is compared.

    Shape: 2 to OID_ARCS_MAX arcs, each at most 2**128 - 1, the second at most 39 below the roots 0 and 1; at most
    OID_CHARS_MAX characters. ``urn:oid:`` in front, in any case, is dropped.
    Errors: IdentifierError.
    Source: ITU-T X.660 §7.
    """
    oid = text[8:] if text[:8].lower() == "urn:oid:" else text
    if len(oid) > limits.OID_CHARS_MAX or _OID.fullmatch(oid) is None:
        raise IdentifierError(
            f"OID 应为以点分隔的整数，如 1.2.156.99999.7：{text[:80]!r}。An OID is integers with "
            "dots between them, the first of them 0, 1 or 2, with no zero in front"
        )
    arcs = oid.split(".")
    if len(arcs) > limits.OID_ARCS_MAX or (arcs[0] in _ROOTS_OF_40 and int(arcs[1]) > _SECOND_ARC_MAX):
        raise IdentifierError(
            f"OID 层数过多，或第二段超过39：{oid}。The OID has more than {limits.OID_ARCS_MAX} arcs, "
            "or its second arc is above 39"
        )
    if any(int(arc) > _ARC_MAX for arc in arcs):
        raise IdentifierError(f"OID 的一段超过 2^128：{oid}。An arc of the OID is above 2**128")
    return oid
