"""The registrar's decisions: validate, admit, stage; one commit for the whole group.

1. Each request ends on its own; a refused one stages nothing.
2. Record rows, counters, changes with their serials, and the idempotency token
   are one batch: either all of it is on the disk, or nothing.
3. Nothing is answered as done before the commit. If it fails, every request of the
   group is answered as failed: what one of them saw may rest on another.
4. Order of checks: grammar, responsibility, values, existence, right. The
   identity was proven before a request comes here (docs/standards/divergences.md).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from core import limits
from core.admission import ServerAdmins, may
from core.clock import Millis
from core.errors import AdmissionError, NodeError, Outcome, RecordError, StoreError
from core.ident.handle import (
    PREFIX_HANDLES,
    HandleKey,
    HandleRules,
    PrefixKey,
    check_handle,
    check_prefix,
    fold,
    prefix_handle_of,
    prefix_of,
)
from core.records import AdminPermission, ValuePermission, Values
from core.store.engine import Engine, ExpectationError, Table
from core.store.homing import require_served
from core.store.prefix_rows import HomedPrefix, pack_prefix
from core.wire.jsonform import RecordForm, load_values
from core.wire.valuetypes import HS_ADMIN
from registry import batch, tokens
from registry.commands import (
    Actor,
    Add,
    Command,
    Delete,
    Home,
    Modify,
    Put,
    PutBatch,
    Remove,
    Request,
    Result,
)
from registry.rows import QuickRows
from registry.staging import Staging
from registry.values import by_index, check_values, keep_secrets, keep_unchanged, permissions_needed, stamped


class Registry:
    """Runs groups of requests against one store."""

    def __init__(
        self,
        store: Engine,
        rules: HandleRules,
        *,
        root: bool = False,
        server_admins: ServerAdmins = frozenset(),
    ) -> None:
        self._store = store
        self._rules = rules
        self._root = root
        self._server_admins = server_admins

    def run(self, requests: Sequence[Request], now_ms: Millis) -> list[Result]:
        """Decide a group of requests and commit it; return one result each, in order.

        Errors: StorePanicError only; everything else is a Result.
        """
        for _ in range(limits.COMMIT_TRIES_MAX):
            try:
                return self._run_once(requests, now_ms)
            except ExpectationError:
                continue
            except StoreError as error:
                return [Result(error.ended, message=error.message)] * len(requests)
        return [Result(Outcome.OVERLOADED, message="Other writers were faster; try again")] * len(requests)

    def _run_once(self, requests: Sequence[Request], now_ms: Millis) -> list[Result]:
        with self._store.snapshot() as snapshot:
            staging = Staging(snapshot)
            tokens.sweep(staging, requests, now_ms)
            results = []
            for request in requests:
                work = _Work(self, Staging(snapshot) if request.dry_run else staging, request.actor, now_ms)
                results.append(tokens.once(work.staging, request, now_ms, work.run))
            staged = staging.batch()
        if any(staged.rows.values()):
            self._store.commit(staged)
        return results

    def require_served(self, staging: Staging, key: HandleKey) -> None:
        """Errors: ResponsibilityError if the node is not responsible for the handle."""
        prefix = prefix_of(key)
        if prefix == PREFIX_HANDLES or prefix not in staging.served:
            require_served(staging, key, root=self._root)
            staging.served[prefix] = True

    def check_handle(self, handle: str) -> HandleKey:
        """Return the key of a handle. Errors: IdentifierError."""
        return check_handle(handle, self._rules)

    def check_prefix(self, prefix: str) -> PrefixKey:
        """Return the key of a prefix. Errors: IdentifierError."""
        return check_prefix(prefix, self._rules)

    def has_every_right(self, actor: Actor) -> bool:
        """Whether the actor is the operator or a server administrator."""
        identity = actor.identity
        return identity is None or (fold(identity.handle), identity.value_index) in self._server_admins


class _Work:
    """One request, while it is decided."""

    def __init__(self, registry: Registry, staging: Staging, actor: Actor, now_ms: Millis) -> None:
        self.staging = staging
        self._registry = registry
        self._actor = actor
        self._now_ms = now_ms
        self._now_s = now_ms // 1_000
        self._every_right = registry.has_every_right(actor)

    def run(self, command: Command) -> Result:
        """Decide one command. Errors end as a Result, never as an exception."""
        if isinstance(command, PutBatch):
            return batch.run(command, self._now_s, self._put_form)
        name = command.prefix if isinstance(command, Home) else command.handle
        try:
            if isinstance(command, Put | Add | Modify):
                command = command._replace(values=stamped(command.values, self._now_s))
            match command:
                case Put():
                    return self.put(command)
                case Add():
                    outcome = self._add(command)
                case Modify():
                    outcome = self._modify(command)
                case Remove():
                    outcome = self._remove(command)
                case Delete():
                    outcome = self._delete(command)
                case Home():
                    outcome = self._home(command)
        except StoreError:
            raise
        except NodeError as error:
            return Result(error.ended, name, error.message)
        return Result(outcome, name)

    # --- operations ---
    def put(self, command: Put) -> Result:
        """Create or replace one record. Errors: NodeError."""
        handle = f"{command.handle}{uuid.uuid4()}" if command.mint else command.handle
        key = self._registry.check_handle(handle)
        self._registry.require_served(self.staging, key)
        check_values(command.values)
        old = self.staging.record(key)
        if old is None:
            self._require_create(key)
            self.staging.put_record(key, None, command.values, self._now_ms)
            return Result(Outcome.CREATED, handle)
        if not command.overwrite:
            return Result(Outcome.HANDLE_EXISTS, handle)
        self._replace(key, old, command.values)
        return Result(Outcome.OK, handle)

    def _put_form(self, form: RecordForm, command: PutBatch, quick: QuickRows) -> Outcome:
        """Create or replace one record of a batch. Errors: NodeError."""
        key = self._registry.check_handle(form.handle)
        prefix = prefix_of(key)
        if prefix != PREFIX_HANDLES:
            self._registry.require_served(self.staging, key)
            if self.staging.record_row(key) is None:
                rows = quick.rows(key, form.values)
                if rows is not None:
                    self._require_create(key)
                    self.staging.put_new_rows(prefix, key, rows, self._now_ms)
                    return Outcome.CREATED
        values = load_values(form.values, self._now_s, keep_timestamps=command.keep_timestamps)
        if command.keep_timestamps:
            values = keep_secrets(self.staging.record(key) or (), values)
        return self.put(Put(form.handle, values, command.overwrite)).outcome

    def _replace(self, key: HandleKey, old: Values, new: Values) -> None:
        new = keep_unchanged(old, new, self._now_s)
        if new == old:
            return
        needed = permissions_needed(old, new)
        p = AdminPermission
        if needed and not (
            self._may(key, old, needed, p.ADD_ADMIN) or (self._may(key, old, p.DELETE_HANDLE) and self._may_create(key))
        ):
            raise _not_allowed()
        self.staging.put_record(key, old, new, self._now_ms)

    def _add(self, command: Add) -> Outcome:
        if not command.values:
            raise RecordError("Value list was empty")
        key = self._served(command.handle)
        check_values(command.values)
        old = self._existing(key)
        before = by_index(old)
        conflicts = [value.value_index for value in command.values if value.value_index in before]
        if conflicts and not command.overwrite:
            raise RecordError(f"Index conflict for {conflicts[0]}", outcome=Outcome.VALUE_EXISTS)
        after = sorted((before | by_index(command.values)).values())
        self._change(key, old, tuple(after))
        return Outcome.OK if len(conflicts) == len(command.values) else Outcome.CREATED

    def _modify(self, command: Modify) -> Outcome:
        key = self._served(command.handle)
        old = self._existing(key)
        before, after = by_index(old), by_index(command.values)  # of one index twice the last counts
        admitted: list[int] = []
        for index, value in after.items():
            known = before.get(index)
            if known is None:
                raise RecordError("", outcome=Outcome.VALUE_NOT_FOUND)
            if known.permissions & ValuePermission.PUBLIC_WRITE and HS_ADMIN not in (known.type, value.type):
                admitted.append(index)
            elif not known.permissions & ValuePermission.ADMIN_WRITE:
                raise AdmissionError("Value is read-only", outcome=Outcome.ACCESS_DENIED)
        check_values(tuple(after.values()))
        needing = tuple(after.get(value.value_index, value) for value in old if value.value_index not in admitted)
        self._require(key, old, permissions_needed(tuple(v for v in old if v.value_index not in admitted), needing))
        new = keep_unchanged(old, tuple(after.get(value.value_index, value) for value in old), self._now_s)
        if new != old:
            self.staging.put_record(key, old, self._bounded(new), self._now_ms)
        return Outcome.OK

    def _remove(self, command: Remove) -> Outcome:
        key = self._served(command.handle)
        old = self._existing(key)
        if set(command.indexes) - by_index(old).keys():
            raise RecordError("", outcome=Outcome.VALUE_NOT_FOUND)
        new = tuple(value for value in old if value.value_index not in command.indexes)
        if not command.indexes:
            self._require(key, old, AdminPermission.REMOVE_VALUE)
            return Outcome.OK
        self._change(key, old, new)
        return Outcome.OK

    def _delete(self, command: Delete) -> Outcome:
        key = self._served(command.handle)
        old = self._existing(key)
        self._require(key, old, AdminPermission.DELETE_HANDLE)
        self.staging.delete_record(key, old, self._now_ms)
        return Outcome.OK

    def _home(self, command: Home) -> Outcome:
        prefix = self._registry.check_prefix(command.prefix)
        if self._actor.identity is not None:
            raise AdmissionError("Only the operator homes a prefix")
        if self.staging.get(Table.PREFIXES, prefix) is None:
            row = pack_prefix(HomedPrefix("hosted", self._now_ms))
            self.staging.home(prefix, row, self._now_ms)
            return Outcome.CREATED
        return Outcome.OK

    # --- pieces ---
    def _served(self, handle: str) -> HandleKey:
        key = self._registry.check_handle(handle)
        self._registry.require_served(self.staging, key)
        return key

    def _existing(self, key: HandleKey) -> Values:
        old = self.staging.record(key)
        if old is None:
            raise RecordError("", outcome=Outcome.HANDLE_NOT_FOUND)
        return old

    def _change(self, key: HandleKey, old: Values, new: Values) -> None:
        new = keep_unchanged(old, new, self._now_s)
        self._require(key, old, permissions_needed(old, new))
        if new != old:
            self.staging.put_record(key, old, self._bounded(new), self._now_ms)

    def _bounded(self, values: Values) -> Values:
        check_values(values)
        return values

    def _require(self, key: HandleKey, values: Values, needed: AdminPermission) -> None:
        if needed and not self._may(key, values, needed):
            raise _not_allowed()

    def _require_create(self, key: HandleKey) -> None:
        if not self._may_create(key):
            raise _not_allowed()

    def _may_create(self, key: HandleKey) -> bool:
        """Bit 001 of the prefix handle, or for a derived prefix 0.NA/a.b bit 004 of 0.NA/a."""
        if self._every_right:
            return True
        prefix, needed = prefix_of(key), AdminPermission.ADD_HANDLE
        if prefix == PREFIX_HANDLES and b"." in key[len(prefix) + 1 :]:
            parent, _, _ = key[len(prefix) + 1 :].rpartition(b".")
            prefix, needed = PrefixKey(parent), AdminPermission.ADD_DERIVED_PREFIX
        place = (prefix, self._actor.identity, needed)
        known = self.staging.rights.get(place)
        if known is None:
            above = prefix_handle_of(prefix)
            known = self._may(above, self.staging.record(above) or (), needed)
            self.staging.rights[place] = known
        return known

    def _may(self, key: HandleKey, values: Values, *alternatives: AdminPermission) -> bool:
        identity = self._actor.identity
        if self._every_right or identity is None:
            return True
        return may(values, identity, self.staging.record, *alternatives)


def _not_allowed() -> AdmissionError:
    return AdmissionError("")
