"""HTTP requests and responses without a socket, and what every route shares.

The transport fills a Request and sends a Response; nothing else of HTTP is known
to it. Source: RFC 9110; RFC 9457 (problem details).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from core import limits
from core.errors import IdentifierError, NodeError, Outcome, WireError
from core.outcomes import STATUSES
from core.records import ValueReference
from core.wire.jsontext import quote

Headers = tuple[tuple[str, str], ...]

CHALLENGED: Final = (Outcome.AUTHENTICATION_NEEDED, Outcome.AUTHENTICATION_FAILED, Outcome.SESSION_UNKNOWN)
_TEMPORARY: Final = (Outcome.OVERLOADED, Outcome.RATE_LIMITED)
_LATER: Final = (("Retry-After", str(limits.RETRY_AFTER_S)),)
BASIC_CHALLENGE: Final = ("WWW-Authenticate", 'Basic realm="handle"')


class Request(NamedTuple):
    """One request, its body read. ``headers``: names in lower case. ``path``: as sent, still encoded.

    ``credentials_safe``: over TLS, or plain where the configuration takes credentials.
    ``identity``: who asks, once that is proven; None for anybody. ``peer``: as ``core/peer.py`` has it.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    credentials_safe: bool
    identity: ValueReference | None = None
    peer: bytes = b""


class Response(NamedTuple):
    """One response; the transport adds Date and Content-Length. ``close`` ends the connection.

    ``challenge``: the ways to log in are still to be offered, for a request that ended so.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    close: bool = False
    challenge: Outcome | None = None


def decode_path(path: str) -> str:
    """Decode the percent encoding of a path; "+" stays. Errors: IdentifierError if it is not UTF-8."""
    try:
        return unquote_to_bytes(path.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError:
        raise IdentifierError("The path is not UTF-8 once its %-encoding is removed") from None


def parse_fields(text: str) -> dict[str, list[str]]:
    """Read a query or a form. Bounds: QUERY_FIELDS_MAX. Errors: WireError."""
    fields: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=limits.QUERY_FIELDS_MAX)
    except ValueError:
        raise WireError(f"More than {limits.QUERY_FIELDS_MAX} parameters") from None
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def media_type(headers: Mapping[str, str]) -> str:
    """Return the media type of the body in lower case, without parameters; empty if none is given."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def accepts_gzip(header: str) -> bool:
    """Whether Accept-Encoding names gzip with a q above 0; ``*`` does not count, as in the reference."""
    for part in header.lower().split(","):
        coding, _, parameters = part.partition(";")
        if coding.strip() == "gzip":
            name, _, weight = parameters.strip().partition("=")
            try:
                return name.strip() != "q" or float(weight) > 0
            except ValueError:
                return False
    return False


def retry_after(outcome: Outcome) -> Headers:
    """Return Retry-After (RFC 9110 §10.2.3) for what may well succeed a moment later; nothing for all else."""
    return _LATER if outcome in _TEMPORARY else ()


def problem(outcome: Outcome, detail: str, path: str, *, extra: Headers = (), close: bool = False) -> Response:
    """Return problem details for our own API (RFC 9457)."""
    status = STATUSES[outcome].http
    title = outcome.value.replace("-", " ").capitalize()
    body = (
        f'{{"type":"about:blank","title":{quote(title)},"status":{status},"detail":{quote(detail or title)},'
        f'"instance":{quote(_printable(path))},"outcome":"{outcome.value}"}}'
    )
    headers = (*extra, *retry_after(outcome), ("Content-Type", "application/problem+json"))
    return Response(status, headers, body.encode(), close, outcome if outcome in CHALLENGED else None)


def problem_of(error: NodeError, path: str) -> Response:
    """Return problem details for an error."""
    return problem(error.ended, error.message, path)


def _printable(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:1_024]
