"""Changes that an upstream registered while it answered for this node, taken over one by one.

1. A change is taken once: its number and what it does are one commit, whatever answer is lost.
2. A record that is here as it was above before the change gets the change; one that is already as it shall be stays.
   Any other was changed here meanwhile: this node keeps its own, notes it, and the upstream is told.
3. A change that no registration could make here (no hosted prefix, on hold, values that are wrong, other rights) is
   kept out in the same way. So each change ends, and none is asked for for ever.
4. Secret keys never leave a node: those of a record stay in it, and no value takes their place. Nor does a change
   delete a record with keys or groups, by which somebody has rights elsewhere.
"""

from __future__ import annotations

from typing import Final

from core import limits
from core.clock import TIME_MS_END, Millis, format_instant
from core.errors import NodeError, Outcome, StoreError
from core.ident.handle import PREFIX_HANDLES, HandleKey, check_requested, prefix_of
from core.records import HandleValue, ValuePermission, Values
from core.store.engine import Table
from core.store.handed_rows import (
    HandedState,
    KeptChange,
    handed_digest,
    handed_key,
    handed_state,
    kept_key,
    kept_of,
    kept_range,
    pack,
)
from core.store.homing import require_served
from core.wire.values import decode_values
from core.wire.valuetypes import HS_ADMIN, HS_SECKEY
from registry.bindings import check_binding
from registry.commands import Result
from registry.desk import Desk, told
from registry.national_review import ACTOR
from registry.refusals import refusal
from registry.upstream_commands import TakeChange
from registry.upstreams import require_upstream
from registry.values import RIGHTS, check_values

_MEANWHILE: Final = "本节点此间已另行更改。It was changed here meanwhile"
_OTHER_RIGHTS: Final = "不得更改管理权限。It would change who has rights"
_PREFIX_HANDLE: Final = "前缀标识只由本节点更改。A prefix handle is changed by this node alone"


def take_change(desk: Desk, command: TakeChange) -> Result:
    """Take one change, or note that this node keeps its own."""
    require_upstream(desk, command.upstream)
    if desk.who.name != ACTOR + command.upstream:
        raise refusal("upstream-actor")
    state = handed_state(desk.staging, command.upstream)
    if command.at_ms >= TIME_MS_END or len(command.handle) > limits.HANDLE_CHARS_MAX:
        raise refusal("handed-change", Outcome.INVALID_VALUE)
    if state.takeover != command.takeover:
        _forget_kept(desk, command.upstream)
        state = HandedState(command.takeover, 0)
    if not 0 < command.number <= limits.EMERGENCY_CHANGES_MAX or command.number > state.taken + 1:
        raise refusal("handed-number", Outcome.CONFLICT, number=state.taken + 1)
    if command.number <= state.taken:
        return told(command.handle, Outcome.OK, {"taken": state.taken})
    why = _taken(desk, command)
    if why:
        at_ms = Millis(command.at_ms)
        kept = KeptChange(command.takeover, command.handle, at_ms, command.made_by, desk.now_ms, why)
        desk.staging.put(Table.HANDED_BACK, kept_key(command.upstream, command.number), pack(kept))
    state = HandedState(command.takeover, command.number)
    desk.staging.put(Table.HANDED_BACK, handed_key(command.upstream), pack(state))
    document = {"taken": command.number, "kept": why or None}
    return told(command.handle, Outcome.OK, document)._replace(message=_said(command, why))


def _said(command: TakeChange, why: str) -> str:
    """Return what journal and log say: who registered it above, and when."""
    at = format_instant(Millis(command.at_ms))
    made = f"{at} {command.made_by}: takeover {command.takeover} of {command.upstream}, change {command.number}"
    return f"{made}: kept: {why}" if why else made


def _forget_kept(desk: Desk, upstream: str) -> None:
    """Take away what was kept out of an earlier takeover; the journal still tells of it."""
    for number, _ in kept_of(desk.staging.scan(Table.HANDED_BACK, *kept_range(upstream))):
        desk.staging.put(Table.HANDED_BACK, kept_key(upstream, number), None)


def _taken(desk: Desk, command: TakeChange) -> str:
    """Stage the change; return why it is kept out, empty where it is not. Errors: StoreError."""
    try:
        key = check_requested(command.handle, desk.rules)
        if prefix_of(key) == PREFIX_HANDLES:
            return _PREFIX_HANDLE
        require_served(desk.staging, key, root=False)
        return _changed(desk, command, key)
    except StoreError:
        raise
    except NodeError as error:
        return error.message[: limits.REASON_CHARS_MAX] or error.ended.value


def _changed(desk: Desk, command: TakeChange, key: HandleKey) -> str:
    staging = desk.staging
    old = staging.record(key)
    new = None if command.deleted else without_secrets(decode_values(command.values))
    digest = handed_digest(old)
    if digest == handed_digest(new):
        return ""
    if digest != command.before:
        return _MEANWHILE
    if new is None:
        assert old is not None  # else both digests were empty
        if has_keys(old):
            return _OTHER_RIGHTS
        staging.delete_record(key, old, desk.now_ms)
        return ""
    whole = _with_secrets(old or (), new)
    if rights_of(new) != rights_of(old or ()):
        return _OTHER_RIGHTS
    check_values(whole)
    check_binding(staging, old or (), new)
    staging.put_record(key, old, whole, desk.now_ms)
    return ""


def is_right(value: HandleValue) -> bool:
    """Whether somebody has a right by a value: by its type, or since everybody may write it."""
    return value.type.upper() in RIGHTS or bool(value.permissions & ValuePermission.PUBLIC_WRITE)


def has_keys(values: Values) -> bool:
    """Whether somebody may have rights elsewhere by a record: keys and groups are named by other records."""
    return any(value.type.upper() in RIGHTS - {HS_ADMIN} for value in values)


def rights_of(values: Values) -> Values:
    """Return the values by which somebody has a right, but for secret keys, in the order of their indexes."""
    found = (value for value in values if is_right(value) and value.type.upper() != HS_SECKEY)
    return tuple(sorted(found, key=lambda value: value.value_index))


def _with_secrets(old: Values, new: Values) -> Values:
    """Return the new values with the secret keys of the old ones, each where it was."""
    whole = list(new)
    for position, value in enumerate(old):
        if value.type.upper() == HS_SECKEY:
            whole.insert(position, value)
    return tuple(whole)


def without_secrets(values: Values) -> Values:
    """Return the values without secret keys, which are of the node that they were made for."""
    return tuple(value for value in values if value.type.upper() != HS_SECKEY)
