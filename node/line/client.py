"""A node's calls about lots, over HTTP, for one who waits for each: bounded in time, size and tries.

What a node did not answer, or answered as busy, is asked again; every change carries an Idempotency-Key, so that
asking again changes nothing. Over plain HTTP the token goes to this machine alone.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import ipaddress
import ssl
import stat
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from core import clock, limits
from core.errors import NodeError, Outcome, WireError
from core.ident.unitcode import INDEXES_MAX
from core.outcomes import STATUSES
from node.line.codes import Code, check_code
from node.line.shape import Kind, Lot, Span, check_lot, parse_lot
from node.line.words import printable

_BUSY: Final = STATUSES[Outcome.RATE_LIMITED].http
_JSON: Final = "application/json"
_LINES: Final = "application/x-ndjson"
_READ_BYTES: Final = 65_536


class Target(NamedTuple):
    """Where a node is. ``root``: a path in front of ``/v1``; ``context``: of TLS, None over plain HTTP."""

    host: str
    port: int
    root: str
    context: ssl.SSLContext | None


class Block(NamedTuple):
    """What the node gave."""

    lot: str
    line: str
    units: Span


_F = TypeVar("_F")


class _Answer(NamedTuple):
    status: int
    body: bytes
    retry_s: float


def read_token(path: Path) -> str:
    """Return the bearer token of a file of mode 0600. Errors: NodeError."""
    try:
        with path.open("rb") as file:
            mode = path.stat().st_mode
            text = file.read(limits.LINE_TOKEN_BYTES_MAX + 1).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(f"无法读取令牌文件 {path}。Cannot read the token of {path}: {error}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise _wrong(f"{path} 的权限应为 0600。Others may read {path}; its mode should be 0600")
    if not text or len(text) > limits.LINE_TOKEN_BYTES_MAX or not text.isprintable() or " " in text:
        raise _wrong(f"{path} 中没有令牌。There is no token in {path}")
    return text


def read_target(url: str, ca_file: Path | None) -> Target:
    """Return the node that an address names. ``ca_file``: whose certificates are believed. Errors: NodeError."""
    try:
        parts = urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:  # a port that is none, a host that is none
        parts, port = urlsplit(""), None
    secure = parts.scheme == "https"
    strange = parts.query or parts.fragment or parts.username or " " in parts.path or not url.isascii()
    if parts.scheme not in ("http", "https") or not parts.hostname or strange:
        raise _wrong(f"不是节点地址 Not the address of a node (https://HOST[:PORT]): {url!r}")
    if not secure and not _is_here(parts.hostname):
        raise _wrong(
            f"令牌不经明文 HTTP 发往其他机器，请用 https。Over plain HTTP no token goes to another machine: {url!r}"
        )
    context = None
    if secure:
        try:
            context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        except (OSError, ssl.SSLError) as error:
            raise _wrong(f"无法读取证书文件 {ca_file}。Cannot read the certificates of {ca_file}: {error}") from None
    default = http.client.HTTPS_PORT if secure else http.client.HTTP_PORT
    return Target(parts.hostname, port or default, parts.path.rstrip("/"), context)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wrong(message: str) -> NodeError:
    return NodeError(message, outcome=Outcome.INVALID_VALUE, rule="line-node")


class NodeClient:
    """Asks one node. Errors of every call: NodeError, with the rule of a refusal."""

    def __init__(self, target: Target, token: str) -> None:
        self._target = target
        self._headers = {"Authorization": f"Bearer {token}", "Accept": _JSON}
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- calls ---
    def show(self, handle: str) -> tuple[Lot, dict[str, dict[str, int]]]:
        """Return a lot, and how many of its codes are in each state, by kind."""
        form = self._ask("GET", f"/v1/lots/{quote(handle)}", _ShowForm)
        lot = Lot(form.lot.upper(), form.count, form.units_per_case or 0, form.cases_per_pallet or 0)
        if lot.handle != parse_lot(handle) or (lot.cases, lot.pallets) != (form.cases or 0, form.pallets or 0):
            raise WireError(f"节点的应答与批次不符。What the node answers is not of the lot {handle}")
        states = {
            printable(kind): {printable(state): count for state, count in each.items()}
            for kind, each in form.states.items()
        }
        return check_lot(lot), states

    def take_block(self, handle: str, line: str, count: int, token: str) -> Block:
        """Return the block of this token; the same one however often it is asked for."""
        body = msgspec.json.encode({"line": line, "count": count})
        headers = {"Content-Type": _JSON, "Idempotency-Key": token}
        form = self._ask("POST", f"/v1/lots/{quote(handle)}/blocks", _BlockForm, body, headers)
        block = Block(parse_lot(form.lot), form.line, Span(form.first, form.count))
        fits = block.units.first >= 0 and 0 < block.units.size <= count and block.units.end <= INDEXES_MAX
        if block.lot != parse_lot(handle) or block.line != line or not fits:
            raise WireError(
                f"节点给出的号段与请求不符。The node gave another block than was asked for: {printable(repr(form))}"
            )
        return block

    def codes(self, lot: Lot, span: Span) -> list[Code]:
        """Return codes, in the order of their indexes. Bounds: LINE_CODES_PAGE."""
        path = f"/v1/lots/{quote(lot.handle)}/codes?from={span.first}&count={span.size}"
        form = self._ask("GET", path, _CodesForm)
        if len(form.codes) != span.size:
            raise WireError(f"节点给出 {len(form.codes)} 个标识。The node gave {len(form.codes)} codes of {span.size}")
        return [
            check_code(
                Code(each.index, each.identifier.upper(), each.kind, _upper(each.case), _upper(each.pallet)), lot, index
            )
            for index, each in enumerate(form.codes, span.first)
        ]

    def send_events(self, handle: str, body: bytes, key: str) -> dict[str, Any]:
        """Return the answer to a batch of JSON lines: ``results``, in the order of its items."""
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        headers = {"Content-Type": _LINES, "Idempotency-Key": key, "Content-Digest": f"sha-256=:{digest}:"}
        form = self._ask("POST", f"/v1/lots/{quote(handle)}/events", _EventsForm, body, headers)
        if len(form.results) != body.count(b"\n"):
            raise WireError("节点的应答项数不符。The node answered another number of items than were sent")
        return {"results": form.results}

    # --- asking ---
    def _ask(self, method: str, path: str, form: type[_F], body: bytes = b"", headers: dict[str, str] | None = None,
             ) -> _F:  # fmt: skip
        answer = self._patiently(method, path, body, headers or {})
        if answer.status // 100 != 2:
            raise _refused(answer)
        try:
            return msgspec.json.decode(answer.body, type=form)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            why = printable(str(error))
            raise WireError(f"无法读取节点的应答。What the node answered cannot be read: {why}") from None

    def _patiently(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> _Answer:
        """Ask until the node answers. Bounds: LINE_TRIES. Errors: NodeError."""
        wait_s, why = limits.LINE_RETRY_S, ""
        for number in range(limits.LINE_TRIES):
            if number:
                clock.pause(wait_s)
                wait_s *= 2
            try:
                answer = self._once(method, path, body, headers)
            except ssl.SSLCertVerificationError as error:
                raise _wrong(
                    f"节点的证书不可信，请用 --ca 指明。The node's certificate is not believed; name it with --ca: "
                    f"{error.verify_message}"
                ) from None
            except (OSError, http.client.HTTPException) as error:
                self.close()
                why = printable(str(error)) or type(error).__name__
                continue
            if answer.status != _BUSY and answer.status // 100 != 5:
                return answer
            why = f"HTTP {answer.status}"
            wait_s = max(wait_s, min(answer.retry_s, limits.LINE_RETRY_S_MAX))
        raise NodeError(
            f"节点没有应答，已试 {limits.LINE_TRIES} 次；没有丢失任何内容，请稍后再次执行。"
            f"The node does not answer, {limits.LINE_TRIES} tries; nothing is lost, run it again later: {why}",
            outcome=Outcome.OVERLOADED, rule="line-unreachable",
        )  # fmt: skip

    def _once(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> _Answer:
        """Errors: OSError, HTTPException."""
        connection = self._connection = self._connection or self._connect()
        deadline = clock.monotonic_s() + limits.LINE_ANSWER_S
        connection.request(method, self._target.root + path, body or None, self._headers | headers)
        with connection.getresponse() as response:  # closed, or the connection takes no other request
            octets = bytearray()
            while more := response.read1(_READ_BYTES):
                octets += more
                if len(octets) > limits.LINE_ANSWER_BYTES_MAX or clock.monotonic_s() > deadline:
                    raise OSError("应答过长或过慢 the answer is too long, or takes too long")
            if response.length:
                raise http.client.IncompleteRead(bytes(octets), response.length)
        retry = response.headers.get("Retry-After", "")
        if response.will_close:
            self.close()
        return _Answer(response.status, bytes(octets), float(retry) if retry.isascii() and retry.isdigit() else 0.0)

    def _connect(self) -> http.client.HTTPConnection:
        host, port, _, context = self._target
        if context is None:
            return http.client.HTTPConnection(host, port, timeout=limits.LINE_TIMEOUT_S)
        return http.client.HTTPSConnection(host, port, timeout=limits.LINE_TIMEOUT_S, context=context)


def _upper(text: str | None) -> str | None:
    return None if text is None else text.upper()


def _refused(answer: _Answer) -> NodeError:
    """Return what a problem document says."""
    try:
        problem = msgspec.json.decode(answer.body, type=_ProblemForm)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        problem = _ProblemForm()
    said = printable(problem.detail or problem.title or f"HTTP {answer.status}")
    known = {outcome.value: outcome for outcome in Outcome}
    outcome = known.get(problem.outcome) or _BY_STATUS.get(answer.status, Outcome.INTERNAL)
    return NodeError(f"节点拒绝。The node refused it: {said}", outcome=outcome, rule=printable(problem.rule or ""))


_BY_STATUS: Final = {
    STATUSES[outcome].http: outcome
    for outcome in (
        Outcome.MALFORMED, Outcome.AUTHENTICATION_NEEDED, Outcome.FORBIDDEN, Outcome.NOT_FOUND, Outcome.CONFLICT,
        Outcome.TOO_LARGE,
    )
}  # fmt: skip


class _ShowForm(msgspec.Struct):
    lot: str
    count: int
    cases: int | None = None
    pallets: int | None = None
    units_per_case: int | None = None
    cases_per_pallet: int | None = None
    states: dict[str, dict[str, int]] = {}


class _BlockForm(msgspec.Struct):
    lot: str
    line: str
    count: int
    first: int = msgspec.field(name="from")


class _CodeForm(msgspec.Struct):
    index: int
    identifier: str
    kind: Kind
    case: str | None = None
    pallet: str | None = None


class _CodesForm(msgspec.Struct):
    codes: list[_CodeForm]


class _EventsForm(msgspec.Struct):
    results: list[dict[str, Any]]


class _ProblemForm(msgspec.Struct):
    detail: str | None = None
    title: str | None = None
    outcome: str = ""
    rule: str | None = None
