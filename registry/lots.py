"""Lots: registered by one row, and given to lines by blocks.

1. A lot is never changed or taken away: what was printed stays what it is. Only its units come into other states
   (``registry/lot_events.py``).
2. A block is given to one line, and to no other. The same question gets the same block again: by its token, or by
   line, start and size.

Source: design §2; reference "GS1 and serials" §2.2 (request token, short supply).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from core import limits
from core.changes import ChangeKind
from core.clock import format_utc
from core.errors import ConfigError, Outcome, RecordError, SealError
from core.ident.handle import HandleKey, prefix_of
from core.ident.unitcode import UnitCodes
from core.lotkeys import key_of_lot
from core.lots import Level
from core.party.rules import Fault
from core.store.application_rows import unpack_application
from core.store.engine import Table
from core.store.holding import Scannable, orders_on
from core.store.homing import load_values, require_served
from core.store.lot_rows import (
    Block,
    LotRow,
    Tally,
    index_in,
    indexed_key,
    lot_of_unit,
    lot_range,
    pack_block,
    pack_lot,
    unpack_block,
    unpack_lot,
)
from core.store.prefix_rows import Rows
from core.store.record_rows import record_key
from core.who import Role
from registry.commands import CreateLot, Result, TakeBlock
from registry.desk import Desk, dump, dump_faults, refused_form, told
from registry.lot_forms import check_lot, read_lot
from registry.refusals import fault, refusal

_TOKEN_CHARS: Final = limits.IDEMPOTENCY_KEY_CHARS_MAX


def create_lot(desk: Desk, command: CreateLot) -> Result:
    """Register a lot."""
    form = read_lot(command.form, desk.rules, desk.now_ms)
    if isinstance(form, list):
        return refused_form("", form)
    key, row = form
    require_own_prefix(desk.staging, desk.standing.role, desk.standing.party, key)
    require_served(desk.staging, key, root=False)
    if desk.staging.get(Table.LOTS, key) is not None:
        raise refusal("lot-known", Outcome.CONFLICT, lot=key.decode())
    if desk.staging.get(Table.RECORDS, record_key(key)) is not None:
        raise refusal("lot-record", Outcome.CONFLICT, lot=key.decode())
    warnings = list(_product_faults(desk, key, row))
    row = _with_key(desk, key, row)
    desk.staging.put(Table.LOTS, key, pack_lot(row))
    desk.staging.change(ChangeKind.LOT_CREATED, key, desk.now_ms)
    desk.staging.forget_decisions()  # a hold on its product is one on the lot
    document = lot_document(key, row) | {"warnings": dump_faults(warnings)}
    return told(key.decode(), Outcome.CREATED, document)


def weighed(result: Result, written: Callable[[], int], keep: Callable[[Result], None]) -> Result:
    """Return the result of a lot that was registered, with what its transaction wrote for it.

    ``written``: octets so far; ``keep`` stages the answer for who asks again, which is a part of them.
    One that is given again has it already.
    """
    if result.outcome is not Outcome.CREATED or b'"stored_bytes": ' in result.body:
        return result
    octets = -1
    while octets != written():
        octets = written()
        result = result._replace(body=dump(json.loads(result.body) | {"stored_bytes": octets}))
        keep(result)
    return result


def take_block(desk: Desk, command: TakeBlock) -> Result:
    """Give units of a lot to a line."""
    key, row = require_lot(desk, command.lot)
    line = " ".join(command.line.split())
    token = command.token
    if not 0 < len(line) <= limits.LOT_LINE_CHARS_MAX or not line.isprintable() or not _is_token(token):
        raise refusal("block-line", Outcome.INVALID_VALUE, chars=limits.LOT_LINE_CHARS_MAX, token=_TOKEN_CHARS)
    units = row.packaging.units
    if not 0 < command.size <= units:
        raise refusal("block-size", Outcome.INVALID_VALUE, units=units)
    if command.start >= 0 and command.start + command.size > units:
        raise refusal("block-range", Outcome.INVALID_VALUE, start=command.start, size=command.size, units=units)
    blocks = list(blocks_of(desk.staging, key))
    known = _known_block(blocks, command, line)
    if known is not None:
        return told(key.decode(), Outcome.OK, block_document(key, *known))
    if len(blocks) >= limits.LOT_BLOCKS_MAX:
        raise refusal("block-count", Outcome.CONFLICT, blocks=limits.LOT_BLOCKS_MAX)
    start, size = _free(blocks, command, units)
    block = Block(size, line, token, desk.now_ms)
    desk.staging.put(Table.LOT_BLOCKS, indexed_key(key, start), pack_block(block))
    return told(key.decode(), Outcome.CREATED, block_document(key, start, block))


def require_lot(desk: Desk, text: str) -> tuple[bytes, LotRow]:
    """Return key and row of a lot that may be changed. Errors: NodeError."""
    key = check_lot(text, desk.rules)
    require_own_prefix(desk.staging, desk.standing.role, desk.standing.party, key)
    row = desk.staging.get(Table.LOTS, key)
    if row is None:
        raise refusal("lot-not-found", Outcome.NOT_FOUND, lot=key.decode())
    require_served(desk.staging, key, root=False)
    return key, unpack_lot(row)


def require_own_prefix(rows: Rows, role: Role | None, party: str, lot: bytes) -> None:
    """Errors: NodeError if an enterprise asks for a lot below a prefix that it does not hold."""
    if role is Role.ENTERPRISE and not holds_prefix(rows, party, lot):
        raise refusal("lot-own-prefix")


def holds_prefix(rows: Rows, party: str, handle: bytes) -> bool:
    """Whether a party holds the prefix of a handle's key."""
    row = rows.get(Table.APPLICATIONS, prefix_of(HandleKey(handle)))
    return row is not None and unpack_application(row).party == party


def blocks_of(rows: Scannable, lot: bytes) -> Iterator[tuple[int, Block]]:
    """Yield the blocks of a lot with their first indexes, in order. Bounds: LOT_BLOCKS_MAX."""
    for key, row in rows.scan(Table.LOT_BLOCKS, *lot_range(lot)):
        yield index_in(key), unpack_block(row)


# --- documents ---
def lot_document(key: bytes, row: LotRow) -> dict[str, Any]:
    """Return what was registered of a lot."""
    packaging = row.packaging
    return {
        "lot": key.decode(),
        "product": row.product,
        "count": packaging.units,
        "units_per_case": packaging.units_per_case or None,
        "cases_per_pallet": packaging.cases_per_pallet or None,
        "cases": packaging.cases,
        "pallets": packaging.pallets,
        "line": row.line or None,
        "produced": row.produced or None,
        "valid_until": row.valid_until or None,
        "scheme": row.scheme,
        "key_id": row.key_id,
        "created": format_utc(row.created_ms // 1_000),
    }


def states_document(row: LotRow, tally: Tally) -> dict[str, dict[str, int]]:
    """Return how many of each level are in each state."""
    allocated = tally.allocated(row.packaging)
    return {
        level.word: {"allocated": allocated[level]}
        | {state.value: counts[level] for state, counts in tally.states.items() if counts[level]}
        for level in Level
    }


def block_document(lot: bytes, start: int, block: Block) -> dict[str, Any]:
    """Return a block as JSON has it."""
    return {
        "lot": lot.decode(),
        "line": block.line,
        "from": start,
        "count": block.size,
        "token": block.token or None,
        "taken": format_utc(block.at_ms // 1_000),
    }


# --- pieces ---
def _product_faults(desk: Desk, lot: bytes, row: LotRow) -> Iterator[Fault]:
    """Yield what a product lacks.

    Errors: NodeError for an enterprise that names another one's, for one on hold, and for what is no product.
    """
    product = HandleKey(row.product_key)
    above = lot_of_unit(product)
    if product == lot or (above and desk.staging.get(Table.LOTS, above) is not None):
        raise refusal("lot-product-kind", Outcome.INVALID_VALUE, product=row.product)
    own = desk.standing.role is not Role.ENTERPRISE or holds_prefix(desk.staging, desk.standing.party, product)
    if not own:
        raise refusal("lot-own-product")
    orders = orders_on(desk.staging, product)
    if orders:
        raise refusal("on-hold", Outcome.CONFLICT, target=product.decode(), order=orders[0].number)
    if load_values(desk.staging, product, root=False) is None:
        yield fault("product", "lot-product-absent", product=row.product)


def key_refused(message: str) -> RecordError:
    """Return the refusal where the master key of a lot cannot be used. ``message``: in both languages."""
    return RecordError(message, outcome=Outcome.INTERNAL, rule="lot-key")


def _with_key(desk: Desk, lot: bytes, row: LotRow) -> LotRow:
    """Return the row of a new lot with its master key, and the value that this is checked by. Errors: NodeError."""
    try:
        if desk.lot_keys is None:
            raise ConfigError("lots.keys: 未指定密钥文件。No key file is named")
        row = row._replace(key_id=desk.lot_keys.current())
        return row._replace(check=UnitCodes(key_of_lot(desk.lot_keys, lot, row)).check_value())
    except (ConfigError, SealError) as error:
        raise key_refused(error.message) from None


def _known_block(blocks: list[tuple[int, Block]], command: TakeBlock, line: str) -> tuple[int, Block] | None:
    """Return the block that was given for the same question. Errors: NodeError for a token of another one."""
    if command.token:
        for start, block in blocks:
            if block.token == command.token:
                if block.line != line or command.start not in (-1, start) or block.size > command.size:
                    raise refusal("block-token", Outcome.CONFLICT)
                return start, block
    asked = (command.start, command.size, line)
    return next((each for each in blocks if (each[0], each[1].size, each[1].line) == asked), None)


def _is_token(token: str) -> bool:
    return len(token) <= _TOKEN_CHARS and token.isprintable()


def _free(blocks: list[tuple[int, Block]], command: TakeBlock, units: int) -> tuple[int, int]:
    """Return start and size of what is given. Errors: NodeError where nothing is free, or what is asked for is not."""
    if command.start >= 0:
        wanted = range(command.start, command.start + command.size)
        for start, block in blocks:
            if start < wanted.stop and wanted.start < start + block.size:
                raise refusal("block-taken", Outcome.CONFLICT, line=block.line, start=start, size=block.size)
        return command.start, command.size
    free = 0
    for start, block in blocks:
        if start > free:
            return free, min(command.size, start - free)
        free = start + block.size
    if free >= units:
        raise refusal("block-none", Outcome.CONFLICT)
    return free, min(command.size, units - free)
