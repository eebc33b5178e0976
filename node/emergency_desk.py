"""Emergency registration at the top node: a change of a record of a node that a takeover is on of, decided and kept.

1. It is taken while a takeover is on, under a token for the node and the prefix, by the rules of a registration:
   grammar, responsibility, holds, bounds, templates.
2. Who has rights in a record is decided by the node alone: such values stay as they are, and none is added. Prefix
   handles are the node's.
3. The record in the copy and the change in the list for the node (``core/store/handed_rows.py``) are one commit, which
   is on the disk before the answer. The feed of the copy is the node's: a change here has no serial.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from core import limits
from core.clock import Millis
from core.errors import AdmissionError, NodeError, Outcome, RecordError
from core.guard import Guard
from core.ident.handle import PREFIX_HANDLES, HandleKey, check_requested, prefix_of
from core.records import Values
from core.store.bounds_row import stored_rules
from core.store.engine import ExpectationError, Snapshot, Table
from core.store.handed_rows import MADE_KEY, MadeChange, handed_digest, made_key, pack, pack_was, was_key
from core.store.homing import require_served
from core.store.record_rows import record_key
from core.wire.values import encode_values
from node.emergency_tokens import EmergencyToken, EmergencyTokens, claim_of_token
from node.topnode_copies import Copies
from registry.bindings import check_binding
from registry.handed import has_keys, is_right, rights_of, without_secrets
from registry.staging import Staging
from registry.values import check_values, keep_unchanged
from sync.topnode.handing import Takeovers, open_list, takeover_of

_LOG: Final = logging.getLogger("saltern.topnode")


class Asked(NamedTuple):
    """A change that somebody asks for. ``values``: None deletes; ``peer``: as ``core/peer.py`` has it."""

    node_id: str
    handle: str
    values: Values | None
    token: str
    peer: bytes


class Registered(NamedTuple):
    """What was registered. ``number``: of the change in this takeover, 0 where the record was so already."""

    number: int
    handle: str
    outcome: Outcome


class EmergencyDesk:
    """Takes changes. To be called by one thread."""

    def __init__(
        self, takeovers: Takeovers, copies: Copies, tokens: EmergencyTokens, guard: Guard, now_ms: Callable[[], Millis]
    ) -> None:
        self._takeovers = takeovers
        self._copies = copies
        self._tokens = tokens
        self._guard = guard
        self._now_ms = now_ms

    def is_open(self, node_id: str) -> bool:
        """Whether changes are taken for a node."""
        return takeover_of(self._takeovers, node_id) is not None and self._copies.has(node_id)

    def register(self, asked: Asked) -> Registered:
        """Decide a change and keep it. Errors: NodeError; then nothing was changed."""
        if not self.is_open(asked.node_id):
            raise closed()
        token = self._proven(asked)
        for _ in range(limits.EMERGENCY_TRIES):
            try:
                done = self._register(asked, token)
            except ExpectationError:
                continue
            if done.number:
                said = (done.number, asked.node_id, done.handle, token.token)
                _LOG.info("emergency registration %d for node %s: %s, token %s", *said)
            return done
        raise NodeError("请重试。Try again", outcome=Outcome.OVERLOADED)

    def _proven(self, asked: Asked) -> EmergencyToken:
        """Return the token. Errors: AdmissionError, RateError."""
        claim = claim_of_token(asked.token)
        if claim:
            self._guard.admit(asked.peer, claim)
        token = self._tokens.proven(asked.token, self._now_ms())
        if token is None or token.node != asked.node_id:
            if claim:
                self._guard.failed(asked.peer, claim, limits.TOKEN_FAILURE_COST)
            message = "令牌无效、已过期，或不属于此节点。The token is wrong, has ended, or is for another node"
            raise AdmissionError(message, outcome=Outcome.AUTHENTICATION_FAILED, rule="emergency-token")
        return token

    def _register(self, asked: Asked, token: EmergencyToken) -> Registered:
        engine = self._copies.engine(asked.node_id)
        if engine is None:
            raise closed()
        now_ms = self._now_ms()
        with engine.snapshot() as snapshot:
            on = takeover_of(self._takeovers, asked.node_id)  # read behind the snapshot: see open_list
            if on is None:
                raise closed()
            staging = Staging(snapshot)
            key = _required(snapshot, asked.handle, token)
            old = staging.record(key)
            new = self._values(staging, asked, old, now_ms)
            outcome = Outcome.OK if old is not None else Outcome.CREATED
            if new == old:
                return Registered(0, asked.handle, Outcome.OK)
            if new is None:
                assert old is not None  # see _values
                staging.delete_record(key, old, now_ms)
            else:
                staging.put_record(key, old, new, now_ms)
            batch = staging.batch()
            for table in (Table.ALIASES, Table.ALIASES_OF):
                batch.rows.pop(table, None)  # aliases are the node's: they end there, once it has this change
            was = was_key(record_key(key))
            if snapshot.get(Table.HANDED_BACK, was) is None:
                batch.put(Table.HANDED_BACK, was, pack_was(snapshot.get(Table.RECORDS, record_key(key))))
            state = open_list(snapshot, batch, on)
        if state is None:
            raise closed()
        if state.last >= limits.EMERGENCY_CHANGES_MAX:
            raise NodeError(
                "本次接管的登记已满。No more changes are taken in this takeover", outcome=Outcome.STORE_FULL
            )
        state = state._replace(last=state.last + 1)
        values = None if new is None else encode_values(without_secrets(new))
        made = MadeChange(asked.handle, values, handed_digest(old), now_ms, f"{token.name} ({token.token})")
        batch.put(Table.HANDED_BACK, MADE_KEY, pack(state))
        batch.put(Table.HANDED_BACK, made_key(state.last), pack(made))
        batch.forget_changes()
        engine.commit(batch)
        return Registered(state.last, asked.handle, outcome)

    def _values(self, staging: Staging, asked: Asked, old: Values | None, now_ms: Millis) -> Values | None:
        """Return what a record is to be, None where it is to be gone. Errors: NodeError."""
        if asked.values is None:
            if old is None:
                raise RecordError("没有该标识。There is no such record", outcome=Outcome.HANDLE_NOT_FOUND)
            if has_keys(old):
                raise _other_rights()
            return None
        now_s = now_ms // 1_000
        given = keep_unchanged(old or (), tuple(value._replace(timestamp=now_s) for value in asked.values), now_s)
        kept = tuple(filter(is_right, old or ()))
        added = tuple(value for value in given if not is_right(value))
        if any(value not in kept for value in filter(is_right, given)):
            raise _other_rights()
        new = tuple(sorted((*added, *kept), key=lambda value: value.value_index))
        if old is not None and sorted(old, key=lambda value: value.value_index) == list(new):
            return old
        check_values(new)
        check_binding(staging, old or (), new)
        assert rights_of(new) == rights_of(old or ())  # the node looks at it, too
        return new


def _other_rights() -> NodeError:
    message = "管理权限只由该节点更改。Who has rights in a record is decided by the node alone"
    return AdmissionError(message, rule="emergency-rights")


def closed() -> NodeError:
    """Return what is told where no takeover is on."""
    return NodeError(
        "该节点未被接管，应急登记已关闭，请向该节点登记。"
        "No takeover of this node is on: emergency registration is closed; register at the node",
        outcome=Outcome.GONE, rule="emergency-closed",
    )  # fmt: skip


def _required(snapshot: Snapshot, handle: str, token: EmergencyToken) -> HandleKey:
    """Return the key of a handle that the token is good for. Errors: NodeError."""
    key = check_requested(handle, stored_rules(snapshot))
    prefix = prefix_of(key)
    if prefix == PREFIX_HANDLES or prefix != token.prefix.encode():
        message = f"令牌仅用于前缀 {token.prefix}。The token is for the prefix {token.prefix} alone"
        raise AdmissionError(message, rule="emergency-prefix")
    require_served(snapshot, key, root=False)
    return key
