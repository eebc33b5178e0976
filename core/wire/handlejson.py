"""Parameters and responses of the Handle JSON interface, as the reference server has them.

Order of members: ``responseCode, handle, values`` on success; ``responseCode,
message, values, handle`` otherwise, each only if present. Vary only on 2xx; the
CORS headers whenever Origin was sent; gzip from GZIP_BYTES_MIN on.
"""

from __future__ import annotations

import gzip
import json
import re
from typing import Final

import msgspec

from core import limits
from core.errors import NodeError, Outcome, WireError
from core.outcomes import STATUSES, handles_http_status
from core.wire.http import (
    Headers,
    Request,
    Response,
    accepts_gzip,
    media_type,
    parse_fields,
    retry_after,
    retry_as,
)
from core.wire.jsontext import parse, quote

_CALLBACK: Final = re.compile("[^A-Za-z0-9_$]")
_JSON_TYPE: Final = "application/json;charset=utf-8"
_SCRIPT_TYPE: Final = "application/javascript;charset=utf-8"
_DONE: Final = (Outcome.OK, Outcome.CREATED)
_DIGITS: Final = re.compile(r"[+-]?\d{1,10}", re.ASCII)


class Parameters:
    """The parameters of one request: of the query, or of the body of a POST.

    Errors: WireError from the constructor for a body that is no JSON object or form,
    and from the methods for a value of the wrong kind.
    """

    def __init__(self, request: Request) -> None:
        self._fields = parse_fields(request.query)
        if request.method == "POST":
            for name, values in _body_fields(request).items():
                self._fields.setdefault(name, []).extend(values)

    def text(self, name: str) -> str | None:
        """Return the first value, None if there is none."""
        values = self._fields.get(name)
        return values[0] if values else None

    def texts(self, name: str) -> list[str]:
        """Return all values."""
        return self._fields.get(name, [])

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a flag: present and empty, ``yes`` or ``true`` is on."""
        value = self.text(name)
        return default if value is None else value.lower() in ("", "yes", "true")

    def exact_flag(self, name: str, default: bool) -> bool:
        """Return a flag of a change: only ``true`` is on, as the reference server reads these."""
        value = self.text(name)
        return default if value is None else value.lower() == "true"

    def number(self, name: str) -> int | None:
        """Return a number, None if there is none."""
        value = self.text(name)
        return None if value is None else _number(name, value)

    def indexes(self) -> list[int]:
        """Return the values of ``index``."""
        return [_number("index", value) for value in self.texts("index")]


def _number(name: str, value: str) -> int:
    if _DIGITS.fullmatch(value) is None or not -(2**31) <= int(value) < 2**31:
        raise WireError(f"{name}: {value[:40]!r} is no number of 32 bits")
    return int(value)


def _body_fields(request: Request) -> dict[str, list[str]]:
    if not request.body:
        return {}
    if media_type(request.headers) == "application/json":
        members = parse(request.body, dict[str, msgspec.Raw])
        if len(members) > limits.QUERY_FIELDS_MAX:
            raise WireError(f"More than {limits.QUERY_FIELDS_MAX} parameters")
        return {name: _as_texts(parse(bytes(value))) for name, value in members.items()}
    if media_type(request.headers) == "application/x-www-form-urlencoded":
        return parse_fields(request.body.decode("utf-8", "replace"))
    return {}


def _as_texts(value: object) -> list[str]:
    items = value if isinstance(value, list) else [value]
    if len(items) > limits.QUERY_FIELDS_MAX:
        raise WireError(f"More than {limits.QUERY_FIELDS_MAX} parameters")
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in items if isinstance(item, str | int)]


def render(
    request: Request,
    outcome: Outcome,
    *,
    handle: str | None = None,
    message: str = "",
    values: bytes | None = None,
    members: str = "",
    parameters: Parameters | None = None,
) -> Response:
    """Return a response. ``members``: further members as JSON text, each with a comma in front."""
    code = int(STATUSES[outcome].handle)
    name = "" if handle is None else f',"handle":{quote(handle)}'
    text = "" if not message else f',"message":{quote(message)}'
    array = "" if values is None else f',"values":{values.decode()}'
    body = (
        f'{{"responseCode":{code}{name}{array}{members}}}'
        if outcome in _DONE
        else f'{{"responseCode":{code}{text}{array}{members}{name}}}'
    )
    return render_json(request, outcome, body, parameters)


def render_error(
    request: Request, error: NodeError, handle: str | None = None, parameters: Parameters | None = None
) -> Response:
    """Return the response for an error."""
    return retry_as(error, render(request, error.ended, handle=handle, message=error.message, parameters=parameters))


def render_json(request: Request, outcome: Outcome, text: str, parameters: Parameters | None = None) -> Response:
    """Return a response with this JSON text, dressed as the parameters ask."""
    status = handles_http_status(outcome, secure=request.credentials_safe)
    kind = _JSON_TYPE
    if parameters is not None:
        if parameters.flag("pretty"):
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
            text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        callback = parameters.text("callback")
        if callback is not None:
            text, kind = f"{_CALLBACK.sub('_', callback)}({text});", _SCRIPT_TYPE
    body = text.encode()
    headers: Headers = (*retry_after(outcome), ("Content-Type", kind))
    if status < 300:
        headers += (("Vary", "Accept-Encoding, User-Agent"),)
    if len(body) >= limits.GZIP_BYTES_MIN and accepts_gzip(request.headers.get("accept-encoding", "")):
        body = gzip.compress(body, compresslevel=6, mtime=0)
        headers += (("Content-Encoding", "gzip"),)
    needed = outcome is Outcome.AUTHENTICATION_NEEDED and request.credentials_safe
    return Response(status, (*cors(request), *headers), body, challenge=outcome if needed else None)


def refused_credentials(request: Request, ended: Outcome) -> Response:
    """Return 401 without a body: the credentials are wrong, or their session is not known."""
    return Response(STATUSES[ended].http_handles, cors(request), challenge=ended)


def options(request: Request) -> Response:
    """Return the answer to OPTIONS."""
    return Response(STATUSES[Outcome.OK].http_handles, cors(request))


def cors(request: Request) -> Headers:
    """Return the CORS headers where Origin was sent."""
    origin = request.headers.get("origin")
    if origin is None or not origin.isascii() or not origin.isprintable():
        return ()
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Max-Age", "86400"),
        ("Access-Control-Allow-Methods", "GET,POST,HEAD,PUT,DELETE"),
        ("Access-Control-Allow-Headers", "X-Requested-With,Authorization,Origin,Accept,Content-Type"),
    )
