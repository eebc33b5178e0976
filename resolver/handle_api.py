"""The reading operations of the Handle protocol: resolution, site information, lists.

Bodies as in ``core/wire/body.py``. Order of checks: grammar, responsibility, existence,
right; lists ask for a challenge before they look at anything but responsibility.
Source: RFC 3652 §3.2, §3.3 and the reference server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

from core import limits
from core.admission import Identity
from core.errors import AdmissionError, IdentifierError, Outcome
from core.events import ResolutionLog, Via
from core.hdl.exchange import Asked, Reply, Transport
from core.ident.handle import PREFIX_HANDLES, PrefixKey, check_handle, check_prefix, prefix_handle_of, prefix_of
from core.records import HandleValue, SiteInfo, ValuePermission
from core.store.engine import Snapshot, Table
from core.store.homing import is_held, require_served
from core.store.record_rows import KEY_RAW_MAX, prefix_range, unpack_handle
from core.wire import body as bodies
from core.wire.codepoints import CODES_FROM, OpCode, OpFlag
from core.wire.cursor import text
from core.wire.site import encode_site
from resolver.service import Answer, Question, Resolver

_STATUS: Final = b"0.SITE/STATUS"
_STATUS_TYPE: Final = "CNRI.SERVER_STATUS"
_REFERRALS: Final = (Outcome.PREFIX_REFERRAL, Outcome.SERVICE_REFERRAL)
_VIA: Final = {
    Transport.UDP: Via.HANDLE_UDP, Transport.TCP: Via.HANDLE_TCP, Transport.HTTP: Via.HANDLE_HTTP,
}  # fmt: skip
_PRIVATE: Final = int(ValuePermission.ADMIN_READ | ValuePermission.ADMIN_WRITE)


class Store(Protocol):
    """What this API needs of a store."""

    def snapshot(self) -> Snapshot:
        """Begin to read."""


class HandleApi:
    """Answers reading operations. ``status`` tells what ``0.SITE/status`` shows to server administrators."""

    def __init__(
        self,
        resolver: Resolver,
        store: Store,
        site: SiteInfo,
        log: ResolutionLog,
        status: Callable[[], dict[str, object]],
    ) -> None:
        self._resolver = resolver
        self._store = store
        self._site = encode_site(site)
        self._log = log
        self._status = status
        self._operations: dict[int, Callable[[Asked], Reply]] = {
            OpCode.RESOLUTION: self._resolve,
            OpCode.GET_SITE_INFO: self._site_info,
            OpCode.LIST_HANDLES: self._list_handles,
            OpCode.LIST_PREFIXES: self._list_prefixes,
        }
        self.operations: frozenset[int] = frozenset(self._operations)

    async def answer(self, asked: Asked) -> Reply:
        """Answer one request. Errors: NodeError."""
        return self._operations[asked.op](asked)

    def _resolve(self, asked: Asked) -> Reply:
        question = bodies.decode_question(asked.body)
        if question.handle[:2] == "0." and question.handle.encode().upper() == _STATUS:
            return self._site_status(asked, question)
        with self._store.snapshot() as snapshot:
            answer = self._resolver.resolve(
                snapshot,
                Question(
                    question.handle,
                    frozenset(question.indexes),
                    question.types,
                    public_only=asked.has(OpFlag.PUBLIC_ONLY),
                    identity=asked.identity,
                    refer=not asked.has(OpFlag.NO_REFERRAL),
                    want="wire",
                    need_right=asked.in_session,
                ),
            )
        self._note(asked, question, answer.outcome)
        if answer.outcome is Outcome.AUTHENTICATION_NEEDED:
            raise AdmissionError("", outcome=Outcome.AUTHENTICATION_NEEDED)
        return reply_to(answer, asked)

    def _site_info(self, _: Asked) -> Reply:
        return Reply(Outcome.OK, self._site)

    def _site_status(self, asked: Asked, question: bodies.Question) -> Reply:
        try:
            if not asked.has(OpFlag.PUBLIC_ONLY):
                self._require_server_admin(asked.identity)
            outcome = Outcome.NO_VALUES if asked.has(OpFlag.PUBLIC_ONLY) else Outcome.OK
        except AdmissionError as error:
            self._note(asked, question, error.ended)
            raise
        self._note(asked, question, outcome)
        if outcome is Outcome.NO_VALUES:
            return Reply(outcome, text(""))
        data = json.dumps(self._status()).encode()
        value = HandleValue(1, _STATUS_TYPE, data, permissions=_PRIVATE)
        return Reply(Outcome.OK, bodies.encode_change(bodies.Change(question.handle, (value,))), private=True)

    def _note(self, asked: Asked, question: bodies.Question, outcome: Outcome) -> None:
        """Write the entry of a resolution. Errors: LogFullError."""
        self._log.record(_VIA[asked.transport], outcome, asked.peer, question.handle.encode(), asked.identity)

    def _list_handles(self, asked: Asked) -> Reply:
        handle = bodies.decode_handle(asked.body)
        with self._store.snapshot() as snapshot:
            key = check_handle(handle, self._resolver.rules)  # every server of a site has its share of a list
            require_served(snapshot, key, root=self._resolver.root)
            if prefix_of(key) != PREFIX_HANDLES:
                raise IdentifierError("Handle is not a prefix handle")
            prefix = check_prefix(key[len(PREFIX_HANDLES) + 1 :].decode(), self._resolver.rules)
            if asked.identity is None:
                raise AdmissionError("", outcome=Outcome.AUTHENTICATION_NEEDED)
            if not self._resolver.may_list(snapshot, prefix, asked.identity):
                raise AdmissionError("")
            if is_held(snapshot, key):
                raise AdmissionError("", outcome=Outcome.HELD)
            first, start = self._names(snapshot, prefix, prefix_range(prefix)[0])
        body = bodies.encode_texts(first)
        if start is None:
            return Reply(Outcome.OK, body)
        return Reply(Outcome.OK, body, more=self._further(prefix, start))

    async def _further(self, prefix: PrefixKey, start: bytes | None) -> AsyncIterator[bytes]:
        """Yield the further bodies of a list, each read from a snapshot of its own. Errors: StoreError."""
        while start is not None:
            with self._store.snapshot() as snapshot:
                start = None if is_held(snapshot, prefix_handle_of(prefix)) else start
                names, start = ([], None) if start is None else self._names(snapshot, prefix, start)
            yield bodies.encode_texts(names)  # also none: the message before announced one more
            await asyncio.sleep(0)

    def _names(self, snapshot: Snapshot, prefix: PrefixKey, start: bytes) -> tuple[list[str], bytes | None]:
        """Return HANDLE_LIST_COUNT handles from a key on, and the key to go on from, None at the end."""
        names: list[str] = []
        for key, row in snapshot.scan(Table.RECORDS, start, prefix_range(prefix)[1]):
            if len(names) == limits.HANDLE_LIST_COUNT:
                return names, key
            names.append((unpack_handle(key, row) if len(key) >= KEY_RAW_MAX else key).decode())
        return names, None

    def _list_prefixes(self, asked: Asked) -> Reply:
        self._require_server_admin(asked.identity)
        with self._store.snapshot() as snapshot:
            homed = [prefix_handle_of(prefix).decode() for prefix, _ in snapshot.scan(Table.PREFIXES, b"")]
        if self._resolver.root:
            homed = sorted([*homed, prefix_handle_of(PREFIX_HANDLES).decode()])
        count = limits.HANDLE_LIST_COUNT
        pages = [bodies.encode_texts(homed[at : at + count]) for at in range(0, max(len(homed), 1), count)]
        return Reply(Outcome.OK, pages[0], more=_each(pages[1:]) if pages[1:] else None)

    def _require_server_admin(self, identity: Identity | None) -> None:
        """Errors: AdmissionError."""
        if identity is None:
            raise AdmissionError("", outcome=Outcome.AUTHENTICATION_NEEDED)
        if not self._resolver.is_server_admin(identity):
            raise AdmissionError("")


async def _each(pages: list[bytes]) -> AsyncIterator[bytes]:
    for page in pages:
        yield page


def reply_to(answer: Answer, asked: Asked) -> Reply:
    """Return an answer as the Handle protocol has it."""
    if answer.outcome is Outcome.OK:
        private = answer.values is not None and not all(value.public_read for value in answer.values)
        return Reply(Outcome.OK, text(answer.handle) + answer.values_wire(), private=private)
    if answer.outcome in _REFERRALS and asked.version < CODES_FROM:
        # Such peers read the code as something else: they are told that there is nothing.
        return Reply(Outcome.HANDLE_NOT_FOUND, text(""))
    if answer.outcome in _REFERRALS:
        at = "" if answer.outcome is Outcome.PREFIX_REFERRAL else _prefix_handle(answer.handle)
        return Reply(answer.outcome, text(at) + answer.values_wire())
    return Reply(answer.outcome, text(answer.message))


def _prefix_handle(handle: str) -> str:
    return f"0.NA/{handle.partition('/')[0]}"
