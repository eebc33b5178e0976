"""JSON text exactly as the reference server writes it, and JSON read within bounds.

Compact UTF-8; escaped are ``"``, backslash, control characters, U+2028 and
U+2029, nothing else. Source: bytes of the reference server.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from core.errors import WireError

T = TypeVar("T")

_ESCAPED: Final = re.compile('[\x00-\x1f"\\\\\u2028\u2029]')
_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quote(text: str) -> str:
    """Return a JSON string."""
    if _ESCAPED.search(text) is None:
        return f'"{text}"'
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    return _SHORT.get(char) or f"\\u{ord(char):04x}"


quote_name = lru_cache(maxsize=1_024)(quote)
"""quote() for the few texts that come again and again, such as value types."""


def parse(body: bytes, kind: type[T] | Any = Any) -> Any:
    """Read one JSON document of the given shape.

    Bounds: nesting is bounded by the interpreter's recursion limit, size by the caller.
    Errors: WireError that says what is wrong and, for a wrong shape, where.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise WireError(_placed(str(error))) from None
    except msgspec.DecodeError as error:
        raise WireError(f"Invalid JSON: {error}") from None
    except UnicodeDecodeError as error:
        raise WireError(f"Invalid JSON: octet {error.start} is not UTF-8") from None
    except RecursionError:
        raise WireError("Invalid JSON: nested too deeply") from None


def _placed(message: str) -> str:
    """``Expected `int`, got `str` - at `$[0].index``` becomes ``[0].index: expected int, got str``."""
    what, found, where = message.replace("`", "").partition(" - at $")
    what = what[:1].lower() + what[1:]
    return f"{where.lstrip('.')}: {what}" if found and where else what
