"""The changing operations of the Handle protocol: create, delete, values, homing.

Bodies as in ``core/wire/body.py``. A request without proof is told the faults of its own;
then it is asked for proof, and nothing of it reaches the registrar. Only operation 104
looks at the record before: values with public write are anyone's (RFC 3651 §3.1), so
whether proof is needed depends on them. Source: RFC 3652 §3.4 and the reference server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from core.errors import AdmissionError, IdentifierError, NodeError, Outcome, RecordError, ResponsibilityError
from core.events import PROTOCOLS, Via
from core.hdl.exchange import Asked, Reply, Transport
from core.ident.handle import PREFIX_HANDLES, HandleRules, check_handle, check_prefix, check_requested, prefix_of
from core.store.engine import Snapshot
from core.store.homing import load_values, require_served
from core.wire import body as bodies
from core.wire.codepoints import OpCode, OpFlag
from core.wire.cursor import text
from registry.commands import (
    ANONYMOUS,
    Actor,
    Add,
    Command,
    Delete,
    Home,
    Modify,
    Origin,
    Put,
    Remove,
    Request,
    Result,
    Unhome,
)
from registry.values import check_shapes, public_writes

_NEEDED: Final = Outcome.AUTHENTICATION_NEEDED
_VIA: Final = {Transport.UDP: Via.HANDLE_UDP, Transport.TCP: Via.HANDLE_TCP, Transport.HTTP: Via.HANDLE_HTTP}


class Store(Protocol):
    """What this API needs of a store."""

    def snapshot(self) -> Snapshot:
        """Begin to read."""


class Registrar(Protocol):
    """What this API needs of the registrar."""

    async def call(self, request: Request) -> Result:
        """Have a request run."""


class HandleApi:
    """Answers changing operations."""

    def __init__(self, rules: HandleRules, store: Store, registrar: Registrar, *, root: bool) -> None:
        self._rules = rules
        self._store = store
        self._registrar = registrar
        self._root = root
        self._operations: dict[int, Callable[[Asked], Command]] = {
            OpCode.CREATE_HANDLE: self._create,
            OpCode.DELETE_HANDLE: self._delete,
            OpCode.ADD_VALUE: self._add,
            OpCode.REMOVE_VALUE: self._remove,
            OpCode.MODIFY_VALUE: self._modify,
            OpCode.HOME_PREFIX: self._home,
            OpCode.UNHOME_PREFIX: self._unhome,
            OpCode.NEXT_TRANSACTION: _next_transaction,
            OpCode.RETRIEVE_TRANSACTIONS: _not_offered,
            OpCode.DUMP_HANDLES: _not_offered,
            OpCode.BACKUP: _not_offered,
        }
        self.operations: frozenset[int] = frozenset(self._operations)

    async def answer(self, asked: Asked) -> Reply:
        """Answer one request. Errors: NodeError."""
        command = self._operations[asked.op](asked)
        actor = Actor(asked.identity)
        if asked.identity is None:
            if not isinstance(command, Modify) or not self._is_anyones(command):
                raise AdmissionError("", outcome=_NEEDED)
            if not command.values:
                return Reply(Outcome.OK)
            actor = ANONYMOUS
        result = await self._registrar.call(Request(command, actor, sent=origin_by(asked.transport, asked.peer)))
        return _reply(asked, command, result)

    # --- reading requests: the faults of their own ---
    def _create(self, asked: Asked) -> Command:
        handle, values = bodies.decode_change(asked.body)
        self._require_here(handle)
        check_shapes(values)
        return Put(handle, values, asked.has(OpFlag.OVERWRITE), mint=asked.has(OpFlag.MINT))

    def _delete(self, asked: Asked) -> Command:
        handle = bodies.decode_handle(asked.body)
        try:
            self._require_here(handle)
        except ResponsibilityError:
            # As the reference server: a handle that is elsewhere is not found, after the challenge.
            if asked.identity is not None:
                raise RecordError("", outcome=Outcome.HANDLE_NOT_FOUND) from None
        return Delete(handle)

    def _add(self, asked: Asked) -> Command:
        handle, values = bodies.decode_change(asked.body)
        self._require_here(handle)
        if not values:
            raise RecordError("Value list was empty")
        check_shapes(values)
        return Add(handle, values, overwrite=asked.has(OpFlag.OVERWRITE))

    def _remove(self, asked: Asked) -> Command:
        handle, indexes = bodies.decode_removal(asked.body)
        self._require_here(handle)
        return Remove(handle, indexes)

    def _modify(self, asked: Asked) -> Command:
        handle, values = bodies.decode_change(asked.body)
        self._require_here(handle)
        return Modify(handle, values)

    def _home(self, asked: Asked) -> Command:
        return Home(self._named_prefix(asked))

    def _unhome(self, asked: Asked) -> Command:
        return Unhome(self._named_prefix(asked))

    def _named_prefix(self, asked: Asked) -> str:
        handle = bodies.decode_handle(asked.body)
        key = check_handle(handle, self._rules)  # every server of a site homes its prefixes
        if prefix_of(key) != PREFIX_HANDLES:
            raise IdentifierError("Handle is not a prefix handle")
        prefix = handle.partition("/")[2] if "/" in handle else handle
        if check_prefix(prefix, self._rules) == PREFIX_HANDLES:
            raise NodeError("0.NA itself is homed by the setting handle.root", outcome=Outcome.UNSUPPORTED)
        return prefix

    # --- pieces ---
    def _require_here(self, handle: str) -> None:
        """Errors: IdentifierError, ResponsibilityError."""
        key = check_requested(handle, self._rules)
        with self._store.snapshot() as snapshot:
            require_served(snapshot, key, root=self._root)

    def _is_anyones(self, command: Modify) -> bool:
        """Whether every value that is named has public write.

        Errors: NodeError value by value, up to the first that needs proof.
        """
        key = check_requested(command.handle, self._rules)
        with self._store.snapshot() as snapshot:
            stored = load_values(snapshot, key, root=self._root)
        if stored is None:
            raise RecordError("", outcome=Outcome.HANDLE_NOT_FOUND)
        return not public_writes(stored, command.values, to_first=True)[1]


def origin_by(transport: Transport, peer: bytes) -> Origin:
    """Return where a message came from. ``peer``: as ``core/peer.py`` has it."""
    return Origin(PROTOCOLS[_VIA[transport]], peer)


def _next_transaction(_: Asked) -> Command:
    raise NodeError("Next txn id no longer supported; upgrade required", outcome=Outcome.UNSUPPORTED)


def _not_offered(asked: Asked) -> Command:
    """Operations of mirrors and of backup: not offered, which only server administrators need to know."""
    if asked.identity is None:
        raise AdmissionError("", outcome=_NEEDED)
    raise NodeError(f"Operation {asked.op} is not offered", outcome=Outcome.UNSUPPORTED)


def _reply(asked: Asked, command: Command, result: Result) -> Reply:
    if not result.done:
        return Reply(result.outcome, text(result.message))
    replaced = OpFlag.OVERWRITE if result.replaced else 0
    body = text(result.handle) if isinstance(command, Put) else b""
    return Reply(Outcome.OK, body, flags=replaced)
