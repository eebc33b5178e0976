"""HTTP requests and responses without a socket, and what every route shares.

The transport fills a Request and sends a Response; nothing else of HTTP is known
to it. Source: RFC 9110; RFC 9457 (problem details).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qsl, unquote_to_bytes

from core import limits
from core.errors import IdentifierError, NodeError, Outcome, RateError, WireError
from core.outcomes import STATUSES
from core.records import ValueReference
from core.wire.jsontext import quote

Headers = tuple[tuple[str, str], ...]

CHALLENGED: Final = (Outcome.AUTHENTICATION_NEEDED, Outcome.AUTHENTICATION_FAILED, Outcome.SESSION_UNKNOWN)
_HTML: Final = "text/html"
_JSON: Final = "application/json"
_SHA_256: Final = re.compile(r"(?:^|[,\s])sha-256=:([A-Za-z0-9+/=]+):", re.ASCII)
_SHA_256_BYTES: Final = 32
_WEIGHT: Final = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)
_TEMPORARY: Final = (Outcome.OVERLOADED, Outcome.RATE_LIMITED)
_LATER: Final = (("Retry-After", str(limits.RETRY_AFTER_S)),)
BASIC_CHALLENGE: Final = ("WWW-Authenticate", 'Basic realm="handle"')

Told = Mapping[str, Any]
"""A member of ``faults`` or ``warnings``: path, rule, zh, en."""


class Request(NamedTuple):
    """One request, its body read. ``headers``: names in lower case. ``path``: as sent, still encoded.

    ``credentials_safe``: over TLS, or plain where the configuration takes credentials.
    ``identity``: who asks, once that is proven; None for anybody. ``peer``: as ``core/peer.py`` has it.
    ``bearer``: id of the token by which the request was proven instead, empty without.
    ``secure``: over TLS, also where a trusted proxy took it off.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    credentials_safe: bool
    identity: ValueReference | None = None
    peer: bytes = b""
    bearer: str = ""
    secure: bool = False


class Stream(Protocol):
    """A body that is read while it leaves. ``size_bytes``: in all. Whoever sends it closes it, also unread."""

    size_bytes: int

    def pieces(self) -> AsyncIterator[bytes]:
        """Read it from its beginning, once. Errors: ConnectionError where its rest cannot be had."""

    def close(self) -> None:
        """Free what it holds. It may be called again."""


class Response(NamedTuple):
    """One response; the transport adds Date and Content-Length. ``close`` ends the connection.

    ``challenge``: the ways to log in are still to be offered, for a request that ended so.
    ``stream``: the body instead of ``body``, where it is too large for memory.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    close: bool = False
    challenge: Outcome | None = None
    stream: Stream | None = None


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


def content_digest(headers: Mapping[str, str]) -> bytes:
    """Return the SHA-256 that Content-Digest gives of the body, empty where it gives none (RFC 9530 §2).

    Errors: WireError for one that cannot be read.
    """
    text = headers.get("content-digest", "")
    if not text:
        return b""
    match = _SHA_256.search(text)
    try:
        digest = base64.b64decode(match[1], validate=True) if match else b""
    except binascii.Error:
        digest = b""
    if len(digest) != _SHA_256_BYTES and (match or "sha-256" in text.lower() or "=" not in text):
        raise WireError("Content-Digest must be sha-256=:…:, the base64 of 32 octets")
    return digest


def media_type(headers: Mapping[str, str]) -> str:
    """Return the media type of the body in lower case, without parameters; empty if none is given."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def prefers_json(header: str) -> bool:
    """Whether Accept names JSON, and HTML not or less (RFC 9110 §12.5.1). ``*/*`` names nothing: a person asks."""
    weights = _weights(header)
    return weights.get(_JSON, 0.0) > weights.get(_HTML, 0.0)


def prefers_html(header: str, other: str = "") -> bool:
    """Whether Accept names HTML with a higher weight than JSON, or than ``other``, a media type (RFC 9110 §12.5.1).

    Ranges with ``*`` do not count: what names no type is a program.
    """
    weights = _weights(header)
    return weights.get(_HTML, 0.0) > max(weights.get(other, 0.0), weights.get(_JSON, 0.0))


def _weights(header: str) -> dict[str, float]:
    """Return the weights of the media types that Accept names. Bounds: HTTP_HEADERS_MAX of them."""
    weights: dict[str, float] = {}
    for part in header.lower().split(",")[: limits.HTTP_HEADERS_MAX]:
        kind, *parameters = (each.strip() for each in part.split(";"))
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        weights[kind] = float(weight) if _WEIGHT.fullmatch(weight) else 0.0
    return weights


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


def retry_as(error: NodeError, response: Response) -> Response:
    """Return the response to an error with Retry-After as the error has it."""
    if not isinstance(error, RateError) or error.retry_s == limits.RETRY_AFTER_S:
        return response
    others = tuple(each for each in response.headers if each[0] != "Retry-After")
    return response._replace(headers=(("Retry-After", str(error.retry_s)), *others))


def problem(
    outcome: Outcome, detail: str, path: str, *, rule: str = "", faults: Sequence[Told] = (),
    warnings: Sequence[Told] = (), extra: Headers = (), close: bool = False,
) -> Response:  # fmt: skip
    """Return problem details for our own API (RFC 9457).

    ``rule``: what refused it, a name of ``registry/refusals.py``. ``faults``: all that is wrong with
    what was sent; ``warnings``: what would be told beside it. Each stands in the answer only if there is any.
    """
    status = STATUSES[outcome].http
    title = outcome.value.replace("-", " ").capitalize()
    more = "".join(
        f',"{name}":{json.dumps(member, ensure_ascii=False)}'
        for name, member in (("rule", rule), ("faults", faults), ("warnings", warnings))
        if member
    )
    body = (
        f'{{"type":"about:blank","title":{quote(title)},"status":{status},"detail":{quote(detail or title)},'
        f'"instance":{quote(_printable(path))},"outcome":"{outcome.value}"{more}}}'
    )
    headers = (*extra, *retry_after(outcome), ("Content-Type", "application/problem+json"))
    return Response(status, headers, body.encode(), close, outcome if outcome in CHALLENGED else None)


def nothing_there(path: str) -> Response:
    """Return what is told where our own API has nothing at a path."""
    return problem(Outcome.NO_SUCH_ENDPOINT, "此路径下没有接口。There is nothing at this path", path)


def not_allowed(path: str, allowed: str) -> Response:
    """Return what is told where a path answers other methods."""
    detail = f"此路径只接受 {allowed}。This path answers {allowed}"
    return problem(Outcome.METHOD, detail, path, extra=(("Allow", allowed),))


def problem_of(error: NodeError, path: str) -> Response:
    """Return problem details for an error; its fields ``rule`` and ``faults`` are members of it."""
    faults = error.fields.get("faults")
    told = faults if isinstance(faults, list | tuple) else ()
    return retry_as(
        error, problem(error.ended, error.message, path, rule=str(error.fields.get("rule", "")), faults=told)
    )


def _printable(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:1_024]
