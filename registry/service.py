"""The registrar's decisions: validate, admit, stage; one commit for the whole group.

1. Each request ends on its own; a refused one stages nothing.
2. Record rows, counters, changes with their serials, and the idempotency token
   are one batch: either all of it is on the disk, or nothing.
3. Nothing is answered as done before the commit. If it fails, every request of the
   group is answered as failed: what one of them saw may rest on another.
4. Order of checks: grammar, server of the site, responsibility, values, existence,
   right. The identity was proven before a request comes here
   (docs/standards/divergences.md); anybody may do nothing but change values with
   public write, and is told AUTHENTICATION_NEEDED otherwise.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from core import limits
from core.admission import ServerAdmins, may
from core.clock import Millis
from core.errors import AdmissionError, NodeError, Outcome, RecordError, StoreError
from core.ident.handle import (
    PREFIX_HANDLES,
    HandleKey,
    HandleRules,
    PrefixKey,
    check_prefix,
    check_requested,
    prefix_handle_of,
    prefix_of,
)
from core.lotkeys import CurrentKeys
from core.records import AdminPermission, Values
from core.signature import Signer
from core.store.application_rows import unpack_application
from core.store.engine import Engine, ExpectationError, Table
from core.store.homing import ServedRecords, require_served
from core.store.prefix_rows import Rows, unpack_prefix
from core.who import Role, Who
from core.wire.jsonform import RecordForm, load_values
from registry import batch, own_prefixes, tokens
from registry.bindings import check_binding
from registry.commands import (
    FOR_ANYBODY,
    Actor,
    Add,
    Command,
    CreateLot,
    Delete,
    Governance,
    Home,
    Modify,
    Put,
    PutBatch,
    Remove,
    Request,
    Result,
    Unhome,
)
from registry.desk import Desk, Seals
from registry.governance import decide, object_of
from registry.incident_report import DEFAULT_REPORTING, Reporting
from registry.journal import Journal
from registry.lockout import locked_out
from registry.logbook import Logbook
from registry.lots import weighed
from registry.opening import require_open
from registry.policy import DEFAULT_POLICY, Policy
from registry.refusals import refusal
from registry.roles import CALL_NAMED, allows
from registry.rows import QuickRows
from registry.staging import Staging
from registry.standing import Standing, require_role, standing_of
from registry.values import (
    by_index,
    check_shapes,
    check_templates,
    check_values,
    keep_secrets,
    keep_unchanged,
    permissions_needed,
    public_writes,
    stamped,
)
from registry.verification import METHODS, Method

_EVERY_RIGHT: Final = (Role.LOCAL, Role.OPERATOR)
_WRITING: Final = CALL_NAMED["record.write"]


class Registry:
    """Runs groups of requests against one store."""

    def __init__(
        self,
        store: Engine,
        rules: HandleRules,
        *,
        root: bool = False,
        server_admins: ServerAdmins = frozenset(),
        seals: Seals | None = None,
        policy: Policy = DEFAULT_POLICY,
        methods: Mapping[str, Method] = METHODS,
        load_signer: Callable[[], Signer] | None = None,
        reporting: Reporting = DEFAULT_REPORTING,
        lot_keys: CurrentKeys | None = None,
        founding: bool = False,
    ) -> None:
        """Take what decides. ``founding``: the node is being made, and prefixes become the operator's own."""
        self._store = store
        self._rules = rules
        self._root = root
        self._server_admins = server_admins
        self._operators = tuple(sorted(server_admins))
        self.seals = seals
        self.policy = policy
        self.methods = methods
        self.load_signer = load_signer
        self.reporting = reporting
        self.lot_keys = lot_keys
        self.founding = founding
        self._journal = Journal()
        self._logbook = Logbook(rules)

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

    def tell_counted(self, now_ms: Millis, *, last: bool = False) -> None:
        """Enter how many refusals were only counted, though no request comes. ``last``: the registrar ends.

        Errors: StoreError, StorePanicError; then they are told with the next group.
        """
        if not self._logbook.waits(now_ms, last=last):
            return
        with self._store.snapshot() as snapshot:
            staging = Staging(snapshot)
            logbook = self._logbook.begin(staging, now_ms, last=last)
            self._store.commit(staging.batch())
        self._logbook = logbook

    def _run_once(self, requests: Sequence[Request], now_ms: Millis) -> list[Result]:
        with self._store.snapshot() as snapshot:
            staging = Staging(snapshot)
            logbook = self._logbook.begin(staging, now_ms)
            tokens.sweep(staging, requests, now_ms)
            results = []
            for request in requests:
                weigh = isinstance(request.command, CreateLot) and not request.dry_run
                written = staging.written() if weigh else 0
                work = _Work(self, Staging(snapshot) if request.dry_run else staging, request.actor, now_ms)
                keyed = tokens.keyed(request, self.seals)
                result, again = tokens.once(work.staging, keyed, self._rules, now_ms, work.run)
                if work.who is not None and not request.dry_run:
                    self._journal.enter(staging, work.who, now_ms, request.command, result)
                if not (again or request.dry_run):
                    logbook.enter(staging, request, work.who, now_ms, result)
                if weigh:
                    keep = partial(tokens.keep, work.staging, request, self._rules, now_ms)
                    result = weighed(result, partial(work.staging.written, written), keep)
                results.append(result)
            staged = staging.batch()
        if any(staged.rows.values()):
            self._store.commit(staged)
        self._logbook = logbook
        return results

    def desk(
        self, staging: Staging, actor: Actor, now_ms: Millis, home: Callable[[PrefixKey, bytes | None], None]
    ) -> Desk:
        """Return what acts of governance are decided with. Errors: NodeError for a token that does not live."""
        standing = standing_of(actor, self.records(staging), self._server_admins, now_ms)
        return Desk(
            staging, standing, now_ms, self._rules, self.policy, self.methods, self.seals, home,
            self._operators, self.load_signer, self.reporting, self.lot_keys,
        )  # fmt: skip

    def standing_for_records(self, actor: Actor, records: ServedRecords, now_ms: Millis) -> Standing:
        """Return the standing of who writes records: of a Handle identity, the record itself says what it may.

        Errors: NodeError for a token that does not live.
        """
        if actor.identity is None:
            return standing_of(actor, records, self._server_admins, now_ms)
        name = f"{actor.identity.value_index}:{actor.identity.handle}"
        if (self._rules.key(actor.identity.handle), actor.identity.value_index) in self._server_admins:
            return Standing(Who(Role.OPERATOR.value, name), Role.OPERATOR)
        return Standing(Who(name=name))

    def require_served(self, staging: Staging, key: HandleKey) -> None:
        """Errors: ResponsibilityError if the node is not responsible for the handle."""
        prefix = prefix_of(key)
        if prefix == PREFIX_HANDLES or prefix not in staging.served or staging.identifiers_held:
            require_served(staging, key, root=self._root)
            staging.served[prefix] = True

    def check_requested(self, handle: str) -> HandleKey:
        """Return the key of a handle that a request names. Errors: IdentifierError, ResponsibilityError."""
        return check_requested(handle, self._rules)

    def belongs_here(self, handle: str) -> bool:
        """Whether this server of the site is asked for a handle."""
        return self._rules.server is None or self._rules.server.takes(handle)

    def check_prefix(self, prefix: str) -> PrefixKey:
        """Return the key of a prefix. Errors: IdentifierError."""
        return check_prefix(prefix, self._rules)

    def records(self, rows: Rows) -> ServedRecords:
        """Return the records that admission looks at: those that are served here."""
        return ServedRecords(rows, self._rules, self._root)

    def locked_out(self, staging: Staging, prefix: PrefixKey, row: bytes | None) -> tuple[HandleKey, int] | None:
        """Return a server administrator whose record is no longer served once the prefix has this row, None without.

        An administrator in the prefix's own handle counts wherever else it is served from.
        """
        return locked_out(self._operators, staging, prefix, row, root=self._root)


class _Work:
    """One request, while it is decided."""

    def __init__(self, registry: Registry, staging: Staging, actor: Actor, now_ms: Millis) -> None:
        self.staging = staging
        self.who: Who | None = None
        """Who asks, as far as it is proven; None where an earlier answer is given again."""
        self._registry = registry
        self._records = registry.records(staging)
        self._actor = actor
        self._now_ms = now_ms
        self._now_s = now_ms // 1_000
        self._every_right = False
        self._party = ""

    def run(self, command: Command) -> Result:
        """Decide one command. Errors end as a Result, never as an exception."""
        name = object_of(command)
        try:
            self.who = Who(token=self._actor.bearer)
            if isinstance(command, Governance | Home | Unhome):
                return self._govern(command)
            if self._actor.anonymous and not isinstance(command, Modify):
                return Result(Outcome.AUTHENTICATION_NEEDED, name)
            standing = self._registry.standing_for_records(self._actor, self._records, self._now_ms)
            self.who = standing.who
            require_open(self._registry.policy, command, self._now_ms)
            self._every_right = standing.role in _EVERY_RIGHT
            if self._actor.bearer:
                self._party = standing.party
                require_role(standing, allows(_WRITING, standing.role))
            return self._decide(command)
        except StoreError:
            raise
        except NodeError as error:
            return Result(error.ended, name, error.message, rule=str(error.fields.get("rule", "")))

    def _govern(self, command: Governance | Home | Unhome) -> Result:
        """Decide one act. Errors: NodeError; a row that cannot be read fails this act and no other."""
        if self._actor.anonymous and not isinstance(command, FOR_ANYBODY):
            raise AdmissionError("", outcome=Outcome.AUTHENTICATION_NEEDED)
        try:
            desk = self._registry.desk(self.staging, self._actor, self._now_ms, self._stage_prefix)
            self.who = desk.who
            require_open(desk.policy, command, self._now_ms)
            with self.staging.whole():
                match command:
                    case Home():
                        self._require_operator(desk)
                        outcome = own_prefixes.home(desk, command, founding=self._registry.founding)
                    case Unhome():
                        self._require_operator(desk)
                        outcome = own_prefixes.unhome(desk, command)
                    case _:
                        return decide(desk, command)
            return Result(outcome, command.prefix)
        except StoreError as error:
            return Result(Outcome.INTERNAL, object_of(command), error.message)

    def _require_operator(self, desk: Desk) -> None:
        if self._actor.bearer:
            require_role(desk.standing, desk.standing.role in _EVERY_RIGHT)
        if desk.standing.role not in _EVERY_RIGHT:
            raise _not_allowed()

    def _decide(self, command: Command) -> Result:
        if isinstance(command, Put | Add | Modify):
            command = command._replace(values=stamped(command.values, self._now_s))
        match command:
            case PutBatch():
                return batch.run(command, self._now_s, self._put_form)
            case Put():
                return self.put(command)
            case Add():
                return self._add(command)
            case Modify():
                outcome = self._modify(command)
            case Remove():
                outcome = self._remove(command)
            case Delete():
                outcome = self._delete(command)
            case _:
                raise AssertionError(command)
        return Result(outcome, object_of(command))

    # --- operations ---
    def put(self, command: Put) -> Result:
        """Create or replace one record. Errors: NodeError."""
        handle = self._minted(command.handle) if command.mint else command.handle
        key = self._served(handle)
        check_shapes(command.values)
        old = self.staging.record(key)
        if old is None:
            self._require_create(key)
            check_templates(command.values)
            self._stage(key, None, command.values)
            return Result(Outcome.CREATED, handle)
        if not command.overwrite:
            return Result(Outcome.HANDLE_EXISTS, handle)
        self._replace(key, old, command.values)
        return Result(Outcome.OK, handle, replaced=True)

    def _minted(self, stem: str) -> str:
        """Return a new handle that begins with the stem, and that this server of the site is asked for, as the stem."""
        self._registry.check_requested(stem)
        for _ in range(limits.MINT_TRIES_MAX):
            handle = f"{stem}{uuid.uuid4()}"
            if self._registry.belongs_here(handle):
                break
        return handle

    def _put_form(self, form: RecordForm, command: PutBatch, quick: QuickRows) -> Outcome:
        """Create or replace one record of a batch. Errors: NodeError."""
        key = self._registry.check_requested(form.handle)
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
        check_templates(new)
        self._stage(key, old, new)

    def _add(self, command: Add) -> Result:
        if not command.values:
            raise RecordError("Value list was empty")
        key = self._served(command.handle)
        check_shapes(command.values)
        old = self._existing(key)
        before = by_index(old)
        conflicts = [value.value_index for value in command.values if value.value_index in before]
        if conflicts and not command.overwrite:
            raise RecordError(f"Index conflict for {conflicts[0]}", outcome=Outcome.VALUE_EXISTS)
        after = sorted((before | by_index(command.values)).values())
        self._change(key, old, tuple(after))
        outcome = Outcome.OK if len(conflicts) == len(command.values) else Outcome.CREATED
        return Result(outcome, command.handle, replaced=bool(conflicts))

    def _modify(self, command: Modify) -> Outcome:
        key = self._served(command.handle)
        old = self._existing(key)
        after = by_index(command.values)  # of one index twice the last counts
        admitted, others = public_writes(old, tuple(after.values()), to_first=self._actor.anonymous)
        if others and self._actor.anonymous:
            raise AdmissionError("", outcome=Outcome.AUTHENTICATION_NEEDED)
        check_shapes(tuple(after.values()))
        needing = tuple(after.get(value.value_index, value) for value in old if value.value_index not in admitted)
        self._require(key, old, permissions_needed(tuple(v for v in old if v.value_index not in admitted), needing))
        new = keep_unchanged(old, tuple(after.get(value.value_index, value) for value in old), self._now_s)
        if new != old:
            self._stage(key, old, self._bounded(new))
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

    def _stage_prefix(self, prefix: PrefixKey, row: bytes | None) -> None:
        """Errors: AdmissionError if the row of the prefix would lock the server administrators out."""
        self._require_administrators(prefix, row)
        old = self.staging.get(Table.PREFIXES, prefix)
        if old is not None and row is not None and unpack_prefix(old).hosting == unpack_prefix(row).hosting:
            self.staging.rehome(prefix, row)  # suspended or resumed: its change says so
        else:
            self.staging.home(prefix, row, self._now_ms)

    def _require_administrators(self, prefix: PrefixKey, row: bytes | None) -> None:
        """Errors: AdmissionError if the row of the prefix would lock the server administrators out."""
        found = self._registry.locked_out(self.staging, prefix, row)
        if found is not None:
            key, index = found
            raise refusal("locked-out", admin=f"{index}:{key.decode()}")

    # --- pieces ---
    def _served(self, handle: str) -> HandleKey:
        key = self._registry.check_requested(handle)
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
            self._stage(key, old, self._bounded(new))

    def _stage(self, key: HandleKey, old: Values | None, new: Values) -> None:
        check_binding(self.staging, old or (), new)
        self.staging.put_record(key, old, new, self._now_ms)

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
        if self._party:
            return self._is_held(prefix_of(key))
        prefix, needed = prefix_of(key), AdminPermission.ADD_HANDLE
        if prefix == PREFIX_HANDLES and b"." in key[len(prefix) + 1 :]:
            parent, _, _ = key[len(prefix) + 1 :].rpartition(b".")
            prefix, needed = PrefixKey(parent), AdminPermission.ADD_DERIVED_PREFIX
        place = (prefix, self._actor.identity, needed)
        known = self.staging.rights.get(place)
        if known is None:
            above = prefix_handle_of(prefix)
            known = self._may(above, self._records.load(above) or (), needed)
            self.staging.rights[place] = known
        return known

    def _is_held(self, prefix: PrefixKey) -> bool:
        """Whether a prefix is that of the enterprise whose token is used; its prefix handle is the operator's."""
        known = self.staging.rights.get((prefix, self._party))
        if known is None:
            row = self.staging.get(Table.APPLICATIONS, prefix)
            known = row is not None and unpack_application(row).party == self._party
            self.staging.rights[prefix, self._party] = known
        return known

    def _may(self, key: HandleKey, values: Values, *alternatives: AdminPermission) -> bool:
        if self._every_right:
            return True
        if self._party:
            return self._is_held(prefix_of(key))
        identity = self._actor.identity
        return identity is not None and may(values, identity, self._records, *alternatives)


def _not_allowed() -> AdmissionError:
    return AdmissionError("", rule="record-right")
