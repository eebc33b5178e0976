"""Names of DNS as people write them: ``7.99999.156.2.1.oid-res.org``, with or without the dot at the end.

Source: RFC 1035 §5.1 (``\\.`` and ``\\DDD``); RFC 5890 §2.3.2.1 (A-labels); UTS 46 (what they are made of).
"""

from __future__ import annotations

import re
from typing import Final

from core import limits
from core.errors import WireError
from core.wire.dns import Labels, name_to_wire

_CHARS_MAX: Final = 4 * limits.DNS_NAME_BYTES_MAX  # each octet as \\DDD
_DOT: Final = r"[.\u3002\uff0e\uff61]"  # also those of Chinese and Japanese keyboards, as UTS 46 has it
_LABEL: Final = re.compile(r"(?:\\[0-9]{3}|\\[^0-9]|[^\\.\u3002\uff0e\uff61])+")
_NAME: Final = re.compile(rf"{_LABEL.pattern}(?:{_DOT}{_LABEL.pattern})*{_DOT}?")
_ESCAPE: Final = re.compile(rb"\\(?:([0-9]{3})|(.))", re.DOTALL)
_MARKED: Final = frozenset(b'"().;\\@$')  # what means something in a zone file


def labels_of(text: str) -> Labels:
    """Read a name; ``.`` is the root. ASCII stays as written, a label of other letters becomes its A-label.

    Errors: WireError: an empty or overlong label, a lone backslash, letters that no name may have.
    """
    if text == ".":
        return ()
    if len(text) > _CHARS_MAX or _NAME.fullmatch(text) is None:
        raise WireError(f"应为以点分隔的域名：{text[:80]!r}。A domain name is labels with dots between them")
    labels = tuple([_label_of(label) for label in _LABEL.findall(text)])
    name_to_wire(labels)
    return labels


def text_of(labels: Labels) -> str:
    """Write a name, without the dot at the end; ``labels_of`` reads it back."""
    return ".".join(map(_text_of_label, labels)) or "."


def _label_of(text: str) -> bytes:
    if text.isascii():
        return _ESCAPE.sub(_unescaped, text.encode())
    import idna  # its tables are large, and seldom needed

    try:
        return idna.alabel(idna.uts46_remap(text))
    except idna.IDNAError as error:
        raise WireError(f"不能用于域名的标签：{text[:80]!r}。Not a label of a domain name: {error}") from None


def _unescaped(escape: re.Match[bytes]) -> bytes:
    number = int(escape[1] or 0)
    if number > 0xFF:
        raise WireError(f"\\{number} 大于 \\255。An octet is at most \\255")
    return escape[2] or bytes((number,))


def _text_of_label(label: bytes) -> str:
    return "".join(
        f"\\{chr(octet)}" if octet in _MARKED else chr(octet) if 0x20 < octet < 0x7F else f"\\{octet:03}"
        for octet in label
    )
