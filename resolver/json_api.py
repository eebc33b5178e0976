"""``GET /api/handles/…``, ``/api/site`` and ``/api/prefixes``: the reading half of the Handle JSON interface."""

from __future__ import annotations

import asyncio
from typing import Protocol

from core import limits
from core.admission import Identity
from core.errors import AdmissionError, IdentifierError, LimitError, NodeError, Outcome
from core.events import ResolutionLog, Via
from core.ident.handle import PrefixKey, check_handle, check_prefix, prefix_handle_of
from core.records import SiteInfo
from core.store.engine import Snapshot, Table
from core.store.homing import require_served
from core.store.prefix_rows import unpack_count
from core.store.record_rows import KEY_RAW_MAX, prefix_range, unpack_handle
from core.wire.handlejson import (
    Parameters,
    render,
    render_error,
)
from core.wire.http import Request, Response, decode_path
from core.wire.jsondata import dump_site
from core.wire.jsontext import quote
from resolver.service import Answer, Question, Resolver


class Store(Protocol):
    """What this API needs of a store."""

    def snapshot(self) -> Snapshot:
        """Begin to read."""


class JsonApi:
    """Answers reading requests."""

    def __init__(self, resolver: Resolver, store: Store, site: SiteInfo, log: ResolutionLog) -> None:
        self._resolver = resolver
        self._store = store
        self._site = site
        self._log = log

    async def handles(self, request: Request, rest: str) -> Response:
        """Answer GET, HEAD or POST on ``/api/handles/<rest>``. Errors: LogFullError."""
        parameters = None
        try:
            parameters = Parameters(request)
            handle = decode_path(rest)
            identity = _caller(request, parameters)
            prefix = parameters.text("prefix")
            if handle:
                with self._store.snapshot() as snapshot:
                    answer = self._resolver.resolve(snapshot, _question(handle, parameters, identity))
            elif prefix is None:
                raise IdentifierError("Empty handle invalid")
        except NodeError as error:
            return render_error(request, error, None, parameters)
        if not handle:
            return await self._list_handles(request, prefix or "", parameters, identity)
        self._log.record(Via.JSON, answer.outcome, request.peer, handle.encode(), identity)
        return _rendered(request, answer, parameters)

    async def site(self, request: Request) -> Response:
        """Answer ``/api/site``."""
        try:
            parameters = Parameters(request)
        except NodeError as error:
            return render_error(request, error)
        return render(request, Outcome.OK, members=f',"site":{dump_site(self._site)}', parameters=parameters)

    async def prefixes(self, request: Request) -> Response:
        """Answer ``/api/prefixes``: the homed prefixes, for server administrators."""
        parameters = None
        try:
            parameters = Parameters(request)
            page = _Page(parameters)
            identity = _caller(request, parameters)
            if identity is None:
                raise AdmissionError("", outcome=Outcome.AUTHENTICATION_NEEDED)
            if not self._resolver.is_server_admin(identity):
                raise AdmissionError("")
            with self._store.snapshot() as snapshot:
                homed = [prefix_handle_of(prefix) for prefix, _ in snapshot.scan(Table.PREFIXES, b"")]
        except NodeError as error:
            return render_error(request, error, None, parameters)
        if self._resolver.root:
            homed = sorted([*homed, prefix_handle_of(b"0.NA")])
        for key in homed:
            page.take(key.decode())
        return page.rendered(request, "", "prefixes", len(homed), parameters)

    # --- pieces ---
    async def _list_handles(
        self, request: Request, asked: str, parameters: Parameters, identity: Identity | None
    ) -> Response:
        try:
            page = _Page(parameters)
            prefix = self._admit_listing(asked, identity)
            total = await self._scan(prefix, page)
        except NodeError as error:
            return render_error(request, error, asked, parameters)
        return page.rendered(request, f',"prefix":{quote(asked)}', "handles", total, parameters)

    def _admit_listing(self, asked: str, identity: Identity | None) -> PrefixKey:
        """Errors: NodeError: not homed, no credentials, no right, in this order."""
        rules = self._resolver.rules
        name = asked[5:] if asked[:5].upper() == "0.NA/" else asked
        prefix = check_prefix(name, rules)
        with self._store.snapshot() as snapshot:
            require_served(snapshot, check_handle(f"{name}/", rules), root=self._resolver.root)
            if identity is None:
                raise AdmissionError("", outcome=Outcome.AUTHENTICATION_NEEDED)
            if not self._resolver.may_list(snapshot, prefix, identity):
                raise AdmissionError("")
        return prefix

    async def _scan(self, prefix: PrefixKey, page: _Page) -> int:
        """Fill the page; return how many handles the prefix has.

        Each turn of the event loop reads LIST_CHUNK keys from a snapshot of its own,
        so a long listing neither stops the others nor pins old pages.
        """
        start, stop = prefix_range(prefix)
        with self._store.snapshot() as snapshot:
            total = unpack_count(snapshot.get(Table.COUNTERS, prefix))
        if page.size is None and total > limits.LIST_HANDLES_MAX:
            raise LimitError(f"{total} handles are too many for one answer; ask with page= and pageSize=")
        more = True
        while more and not page.full:
            with self._store.snapshot() as snapshot:
                require_served(snapshot, prefix_range(prefix)[0], root=self._resolver.root)
                start, more = _scan_chunk(snapshot, start, stop, page)
            await asyncio.sleep(0)
        return total


def _scan_chunk(snapshot: Snapshot, start: bytes, stop: bytes, page: _Page) -> tuple[bytes, bool]:
    for count, (key, row) in enumerate(snapshot.scan(Table.RECORDS, start, stop)):
        if page.full or count == limits.LIST_CHUNK:
            return key, True
        page.take((unpack_handle(key, row) if len(key) >= KEY_RAW_MAX else key).decode())
    return stop, False


class _Page:
    """One page of a listing; without ``page`` and ``pageSize`` all of it."""

    def __init__(self, parameters: Parameters) -> None:
        number, size = parameters.number("page"), parameters.number("pageSize")
        self.number = number
        paged = size is not None and size >= 0 and (number is None or number >= 0)
        self.size = size if paged else None
        self._skip = (number or 0) * (size or 0) if paged else 0
        self._asked_size = size
        self._names: list[str] = []

    @property
    def full(self) -> bool:
        return self.size is not None and len(self._names) >= self.size

    def take(self, name: str) -> None:
        if self._skip:
            self._skip -= 1
        elif not self.full:
            self._names.append(quote(name))

    def rendered(self, request: Request, prefix: str, member: str, total: int, parameters: Parameters) -> Response:
        members = f'{prefix},"totalCount":"{total}"'
        if self.number is not None:
            members += f',"page":{self.number}'
        if self._asked_size is not None:
            members += f',"pageSize":{self._asked_size}'
        members += f',"{member}":[{",".join(self._names)}]'
        return render(request, Outcome.OK, members=members, parameters=parameters)


def _rendered(request: Request, answer: Answer, parameters: Parameters) -> Response:
    return render(
        request, answer.outcome, handle=answer.handle, message=answer.message,
        values=answer.values_json(), parameters=parameters,
    )  # fmt: skip


def _caller(request: Request, parameters: Parameters) -> Identity | None:
    """Return who asks. A script of a foreign page is nobody, whatever the browser sends along.

    DIVERGES: docs/standards/divergences.md#jsonp-is-anonymous
    """
    return None if parameters.text("callback") is not None else request.identity


def _question(handle: str, parameters: Parameters, identity: Identity | None) -> Question:
    return Question(
        handle,
        frozenset(parameters.indexes()),
        tuple(parameters.texts("type")),
        parameters.flag("publicOnly", default=identity is None),
        identity,
        refer=not parameters.flag("doNotRefer"),
    )
