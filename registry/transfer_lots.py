"""Lots in a transfer: their lines, and what a line must fit to of those before it.

1. A lot comes with its own key, so that every code that was printed reads the same; here it is kept sealed under
   the newest master key of this node.
2. Only what happened comes: blocks, runs, events. How many are in each state, and what is listed in a case or on a
   pallet, is what the runs say, and is made of them here.
3. Each line is judged by itself, and by those before it (``LotsSoFar``), in the same way before anything of its file
   is written and when it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol

from core import limits
from core.changes import ChangeKind
from core.clock import parse_day
from core.errors import ConfigError, Outcome, SealError, WireError
from core.ident.handle import HandleRules, PrefixKey, check_handle, prefix_of
from core.ident.unitcode import INDEXES_MAX, LOT_KEY_BYTES, SCHEME, UnitCodes
from core.lotkeys import CurrentKeys, MasterKeys, codes_of_lot, key_of_lot, seal_lot_key
from core.lots import GONE, GRADES, Level, Packaging, UnitState
from core.party.readers import is_visible
from core.party.rules import Fault
from core.store.engine import Snapshot, Table
from core.store.holding import Scannable
from core.store.lot_rows import (
    NO_PARENT,
    PACKED,
    Block,
    LotEvent,
    LotRow,
    Run,
    contents_key,
    event_key,
    index_in,
    indexed_key,
    lot_in,
    lot_range,
    number_in,
    pack_block,
    pack_contents,
    pack_event,
    pack_lot,
    pack_run,
    pack_tally,
    unpack_block,
    unpack_event,
    unpack_lot,
    unpack_run,
    unpack_tally,
)
from core.store.record_rows import prefix_range
from core.wire.transferfile import BlockLine, EventLine, LotLine, RunLine, Trailer
from core.wire.values import decode_values
from registry.desk import Desk
from registry.lot_forms import check_lot, shared_faults
from registry.lots import key_refused
from registry.refusals import fault, refusal
from registry.transfer_pieces import Text, checked, checked_time, shown
from registry.values import check_values

LOT_TABLES: Final = (
    Table.LOT_CONTENTS, Table.LOT_RUNS, Table.LOT_EVENTS, Table.LOT_BLOCKS, Table.LOT_TALLIES, Table.LOTS,
)  # fmt: skip
"""In the order in which their rows are taken away: nothing is ever there without its lot."""

_TOKEN: Final = Text(limits.IDEMPOTENCY_KEY_CHARS_MAX, identifier=True)
_STATES: Final = {state.value: state for state in UnitState}
_EVENTS: Final = (*(name for name in _STATES if name != UnitState.ALLOCATED.value), PACKED)


class CameLot(NamedTuple):
    """A lot of a file: key of its handle, its row but for its key, and that in the clear."""

    lot: bytes
    row: LotRow
    lot_key: bytes


class CameBlock(NamedTuple):
    """A block of a file."""

    lot: bytes
    start: int
    block: Block


class CameRun(NamedTuple):
    """A run of a file."""

    lot: bytes
    start: int
    run: Run


class CameEvent(NamedTuple):
    """An event of a file."""

    lot: bytes
    number: int
    event: LotEvent


# --- reading them out ---
def read_lots(snapshot: Snapshot, prefix: PrefixKey, keys: MasterKeys) -> Iterator[LotLine]:
    """Yield the lots below a prefix. Errors: SealError if the master key of one is not there, or another one."""
    for lot, packed in snapshot.scan(Table.LOTS, *prefix_range(prefix)):
        row = unpack_lot(packed)
        codes_of_lot(keys, lot, row)  # which looks whether the key is the right one
        yield LotLine(
            lot.decode(), row.product, *row.packaging, row.line, row.produced, row.valid_until, row.scheme,
            key_of_lot(keys, lot, row), row.created_ms, row.values,
        )  # fmt: skip


def read_blocks(snapshot: Snapshot, prefix: PrefixKey, _keys: MasterKeys) -> Iterator[BlockLine]:
    """Yield the blocks of the lots below a prefix."""
    for key, packed in snapshot.scan(Table.LOT_BLOCKS, *prefix_range(prefix)):
        block = unpack_block(packed)
        token = shown(block.token, _TOKEN)
        yield BlockLine(lot_in(key).decode(), index_in(key), block.size, block.line, token, block.at_ms)


def read_runs(snapshot: Snapshot, prefix: PrefixKey, _keys: MasterKeys) -> Iterator[RunLine]:
    """Yield the runs of the lots below a prefix."""
    for key, packed in snapshot.scan(Table.LOT_RUNS, *prefix_range(prefix)):
        run, start = unpack_run(packed), index_in(key)
        yield RunLine(
            lot_in(key).decode(), start, run.stop - start, run.state.value, run.first_ms, run.last_ms, run.place,
            run.parent,
        )  # fmt: skip


def read_events(snapshot: Snapshot, prefix: PrefixKey, _keys: MasterKeys) -> Iterator[EventLine]:
    """Yield the events of the lots below a prefix."""
    for key, packed in snapshot.scan(Table.LOT_EVENTS, *prefix_range(prefix)):
        yield EventLine(lot_in(key).decode(), number_in(key), *unpack_event(packed))


# --- what a line says ---
def check_lot_line(prefix: PrefixKey, rules: HandleRules, line: LotLine) -> CameLot:
    """Return a lot. Errors: NodeError for what no node would register."""
    lot = _lot_of(prefix, rules, line.lot)
    if line.scheme != SCHEME or len(line.key) != LOT_KEY_BYTES:
        raise _wrong(lot, "单元码方案或密钥有误", "scheme or key of its unit codes is none")
    product = check_handle(line.product, rules)
    if "/" not in line.product:
        raise _wrong(lot, "产品不是标识", "its product is no handle")
    packaging = Packaging(line.count, line.units_per_case, line.cases_per_pallet)
    packed = packaging[1:]
    right = all(0 <= each <= limits.LOT_PACKED_MAX for each in packed) and (packed[0] or not packed[1])
    if not right or not 0 < packaging.units <= INDEXES_MAX or not packaging.fits:
        raise _wrong(lot, "数量有误", "its numbers cannot be")
    _check_words(lot, line.line)
    days = [parse_day(day) for day in (line.produced, line.valid_until) if day]
    if None in days or days != sorted(days, key=str):
        raise _wrong(lot, "日期有误", "its days cannot be")
    values = decode_values(line.values)
    check_values(values)
    wrong = next(shared_faults(values), None)
    if wrong is not None:
        raise WireError(f"{wrong.path}: {wrong.zh}。{wrong.en}")
    row = LotRow(
        line.product, b"" if product == line.product.encode() else product, packaging, line.line, line.produced,
        line.valid_until, SCHEME, 0, UnitCodes(line.key).check_value(), b"", checked_time(line.created_ms), line.values,
    )  # fmt: skip
    return CameLot(lot, row, line.key)


def check_block_line(prefix: PrefixKey, rules: HandleRules, line: BlockLine) -> CameBlock:
    """Return a block. Errors: NodeError."""
    lot = _lot_of(prefix, rules, line.lot)
    _check_range(lot, line.start, line.count)
    _check_words(lot, line.line)
    if not line.line:
        raise _wrong(lot, "码段没有生产线", "a block is of no line")
    token = checked("token", line.token, _TOKEN)
    return CameBlock(lot, line.start, Block(line.count, line.line, token, checked_time(line.at_ms)))


def check_run_line(prefix: PrefixKey, rules: HandleRules, line: RunLine) -> CameRun:
    """Return a run. Errors: NodeError."""
    lot = _lot_of(prefix, rules, line.lot)
    _check_range(lot, line.start, line.count)
    _check_words(lot, line.place)
    state = _STATES.get(line.state)
    if state is None:
        raise _wrong(lot, "没有这种状态", f"there is no state {line.state[:40]!r}")
    first, last = _times(lot, line)
    return CameRun(lot, line.start, Run(line.start + line.count, state, first, last, line.place, _parent(lot, line)))


def check_event_line(prefix: PrefixKey, rules: HandleRules, line: EventLine) -> CameEvent:
    """Return an event. Errors: NodeError."""
    lot = _lot_of(prefix, rules, line.lot)
    _check_range(lot, line.start, line.count)
    _check_words(lot, line.place)
    parent = _parent(lot, line)
    if line.event not in _EVENTS or line.grade not in ("", *GRADES) or (line.event == PACKED and parent is None):
        raise _wrong(lot, "事件有误", f"there is no such event: {line.event[:40]!r}, grade {line.grade[:40]!r}")
    if not 0 < line.number < 1 << 63:
        raise _wrong(lot, "事件序号有误", f"{line.number} is no number of an event")
    first, last = _times(lot, line)
    received = checked_time(line.received_ms)
    event = LotEvent(line.start, line.count, line.event, first, last, line.place, line.grade, parent, received)
    return CameEvent(lot, line.number, event)


def order_of_range(came: CameBlock | CameRun) -> bytes:
    """Return by what blocks and runs rise: their key in the store."""
    return indexed_key(came.lot, came.start)


def order_of_event(came: CameEvent) -> bytes:
    """Return by what events rise: their key in the store."""
    return event_key(came.lot, came.number)


# --- what a line must fit to ---
class _Rows(Scannable, Protocol):
    def floor(self, table: Table, key: bytes) -> tuple[bytes, bytes] | None:
        """Return the row with the greatest key that is not above ``key``."""


class LotsSoFar:
    """What was read of the lots of a file. ``rows``: where lines before the first one were written, if any were.

    Cost: the numbers of every lot that was met, and what is packed in the one that is read.
    """

    def __init__(self, rows: _Rows | None = None) -> None:
        self._rows = rows
        self._packagings: dict[bytes, Packaging] = {}
        self._place: tuple[Table, bytes] | None = None
        self._free = 0  # where the block or run before ends; number of the event before
        self._blocks = 0
        self._packed: dict[int, int] = {}

    def lot(self, came: CameLot) -> None:
        """Take a lot."""
        self._packagings[came.lot] = came.row.packaging

    def block(self, came: CameBlock) -> None:
        """Take a block. Errors: WireError where another one has some of it, or the lot has not so many units."""
        packaging = self._met(Table.LOT_BLOCKS, came.lot)
        self._take(came.lot, came.start, came.start + came.block.size, packaging.units)
        self._blocks += 1
        if self._blocks > limits.LOT_BLOCKS_MAX:
            raise _wrong(came.lot, "码段过多", f"it has more than {limits.LOT_BLOCKS_MAX} blocks")

    def run(self, came: CameRun) -> None:
        """Take a run. Errors: WireError where it lies over another one, or cannot be in what it is said to be in."""
        packaging = self._met(Table.LOT_RUNS, came.lot)
        lot, start, run = came
        self._take(lot, start, run.stop, packaging.total)
        parent = run.parent
        if parent is None or parent == NO_PARENT:
            return
        _check_parent(lot, packaging, parent, start, run.stop)
        by_rule = packaging.children(parent)
        if start < by_rule.stop and by_rule.start < run.stop:
            raise _wrong(lot, f"按规则已在 {parent} 中", f"{start} is in {parent} by rule")
        if run.state in GONE:
            return
        packed = self._packed.get(parent)
        if packed is None:
            packed = self._packed_before(lot, parent)
        self._packed[parent] = packed + run.stop - start
        if self._packed[parent] > limits.LOT_PACKED_MAX:
            raise _wrong(lot, f"{parent} 中过多", f"more than {limits.LOT_PACKED_MAX} are in {parent}")

    def event(self, came: CameEvent) -> None:
        """Take an event. Errors: WireError where it does not follow the one before, or cannot have happened."""
        packaging = self._met(Table.LOT_EVENTS, came.lot)
        lot, number, event = came
        if number != self._free + 1:
            raise _wrong(lot, "事件序号不连续", f"event {number} follows {self._free}")
        self._free = number
        stop = event.start + event.size
        if stop > packaging.total:
            raise _beyond(lot, stop, packaging.total)
        if event.parent is not None and event.parent != NO_PARENT:
            _check_parent(lot, packaging, event.parent, event.start, stop)

    def _take(self, lot: bytes, start: int, stop: int, end: int) -> None:
        if start < self._free:
            raise _wrong(lot, "范围重叠", f"{start} lies over the range before it")
        if stop > end:
            raise _beyond(lot, stop, end)
        self._free = stop

    def _met(self, table: Table, lot: bytes) -> Packaging:
        """Return the numbers of a lot; where another one or another table was read before, begin with what is there."""
        packaging = self._packagings.get(lot)
        if packaging is None:
            row = self._rows.get(Table.LOTS, lot) if self._rows is not None else None
            if row is None:
                raise _wrong(lot, "文件中没有该批次", "it is not in the file")
            packaging = self._packagings[lot] = unpack_lot(row).packaging
        if self._place != (table, lot):
            self._place = table, lot
            self._free = self._blocks = 0
            self._packed = {}
            if self._rows is not None:
                self._begin(self._rows, table, lot)
        return packaging

    def _begin(self, rows: _Rows, table: Table, lot: bytes) -> None:
        if table is Table.LOT_EVENTS:
            self._free = unpack_tally(rows.get(Table.LOT_TALLIES, lot)).events
            return
        start, stop = lot_range(lot)
        last = rows.floor(table, stop)
        if last is None or not last[0].startswith(start):
            return
        if table is Table.LOT_RUNS:
            self._free = unpack_run(last[1]).stop
            return
        self._free = index_in(last[0]) + unpack_block(last[1]).size
        self._blocks = sum(1 for _ in rows.scan(table, start, stop))

    def _packed_before(self, lot: bytes, parent: int) -> int:
        """Return how many runs before have put in something. Each wrote one row of contents, under its own start."""
        packed = 0
        if self._rows is not None:
            keys = contents_key(lot, parent), contents_key(lot, parent + 1)
            for key, _ in self._rows.scan(Table.LOT_CONTENTS, *keys):
                start = index_in(key)
                row = self._rows.get(Table.LOT_RUNS, indexed_key(lot, start))
                run = None if row is None else unpack_run(row)
                packed += 0 if run is None or run.state in GONE else run.stop - start
        return packed


# --- writing them ---
def key_faults(desk: Desk, trailer: Trailer) -> list[Fault]:
    """Return why this node can keep no key of a lot, where the file has any."""
    if not trailer.counts.get(str(LotLine.__struct_config__.tag)):
        return []
    try:
        _current(desk)
    except ConfigError:
        return [fault("lots.keys", "lot-key")]
    return []


def _current(desk: Desk) -> tuple[CurrentKeys, int]:
    """Return the master keys, and the id of the newest. Errors: ConfigError."""
    if desk.lot_keys is None:
        raise ConfigError("lots.keys: 未指定密钥文件。No key file is named")
    return desk.lot_keys, desk.lot_keys.current()


def write_lot(desk: Desk, _prefix: PrefixKey, _number: int, came: CameLot, _origin: str) -> None:
    """Stage a lot, its key sealed. Errors: NodeError where it is here, or the node has no master key."""
    if desk.staging.get(Table.LOTS, came.lot) is not None:
        raise refusal("lot-known", Outcome.CONFLICT, lot=came.lot.decode())
    try:
        keys, key_id = _current(desk)
        master = keys.master(key_id)
    except (ConfigError, SealError) as error:
        raise key_refused(error.message) from None
    sealed = seal_lot_key(master, keys.make_nonce(), came.lot, came.lot_key)
    row = pack_lot(came.row._replace(key_id=key_id, sealed_key=sealed))
    desk.staging.put(Table.LOTS, came.lot, row)
    desk.staging.note_lot(came.lot, row)
    desk.staging.change(ChangeKind.LOT_CREATED, came.lot, desk.now_ms)
    desk.staging.forget_decisions()  # a hold on its product is one on the lot


def write_block(desk: Desk, _prefix: PrefixKey, _number: int, came: CameBlock, _origin: str) -> None:
    """Stage a block."""
    desk.staging.put(Table.LOT_BLOCKS, indexed_key(came.lot, came.start), pack_block(came.block))


def write_run(desk: Desk, _prefix: PrefixKey, _number: int, came: CameRun, _origin: str) -> None:
    """Stage a run, that it is listed in what it is in, and the numbers of its states."""
    lot, start, run = came
    desk.staging.put(Table.LOT_RUNS, indexed_key(lot, start), pack_run(run))
    if run.parent is not None and run.parent != NO_PARENT:
        desk.staging.put(Table.LOT_CONTENTS, contents_key(lot, run.parent, start), pack_contents(run.stop))
    tally = unpack_tally(desk.staging.get(Table.LOT_TALLIES, lot))
    states = dict(tally.states)
    if run.state is not UnitState.ALLOCATED:
        packaging = unpack_lot(desk.staging.get(Table.LOTS, lot) or b"").packaging
        before = states.get(run.state, (0, 0, 0))
        units, cases, pallets = (before[level] + _overlap(packaging.span(level), start, run.stop) for level in Level)
        states[run.state] = units, cases, pallets
    desk.staging.put(Table.LOT_TALLIES, lot, pack_tally(tally._replace(states=states)))


def write_event(desk: Desk, _prefix: PrefixKey, _number: int, came: CameEvent, _origin: str) -> None:
    """Stage an event, and its number."""
    desk.staging.put(Table.LOT_EVENTS, event_key(came.lot, came.number), pack_event(came.event))
    tally = unpack_tally(desk.staging.get(Table.LOT_TALLIES, came.lot))
    desk.staging.put(Table.LOT_TALLIES, came.lot, pack_tally(tally._replace(events=came.number)))


def take_away(desk: Desk, table: Table, key: bytes) -> None:
    """Stage that a row of LOT_TABLES is not there any more."""
    if table is Table.LOTS and desk.staging.get(table, key) is not None:
        desk.staging.change(ChangeKind.LOT_ABANDONED, key, desk.now_ms)
    desk.staging.put(table, key, None)


# --- pieces ---
def _lot_of(prefix: PrefixKey, rules: HandleRules, text: str) -> bytes:
    """Return the key of a lot's handle. Errors: NodeError for one that is not of the prefix, or not folded."""
    lot = check_lot(text, rules)
    if lot != text.encode():
        raise WireError(f"批次未规范化。The lot {text!r} is not in its folded form")
    if prefix_of(check_handle(text, rules)) != prefix:
        named = prefix.decode()
        raise WireError(f"批次 {text} 不属于前缀 {named}。The lot {text} is not of the prefix {named}")
    return lot


def _check_range(lot: bytes, start: int, count: int) -> None:
    if not (0 <= start < INDEXES_MAX and 0 < count <= INDEXES_MAX - start):
        raise _wrong(lot, "范围有误", f"{count} indexes from {start} on cannot be")


def _check_words(lot: bytes, text: str) -> None:
    """Errors: WireError for what is no name of a line or place; it may be empty."""
    if len(text) > limits.LOT_LINE_CHARS_MAX or not is_visible(text):
        raise _wrong(
            lot, "生产线或地点有误", f"a line or place takes at most {limits.LOT_LINE_CHARS_MAX} visible characters"
        )


def _times(lot: bytes, line: RunLine | EventLine) -> tuple[Any, Any]:
    first, last = checked_time(line.first_ms), checked_time(line.last_ms)
    if last < first:
        raise _wrong(lot, "时间有误", "a range of times ends before it begins")
    return first, last


def _parent(lot: bytes, line: RunLine | EventLine) -> int | None:
    if line.parent is not None and not NO_PARENT <= line.parent < INDEXES_MAX:
        raise _wrong(lot, "上级有误", f"{line.parent} is no index of a case or pallet")
    return line.parent


def _check_parent(lot: bytes, packaging: Packaging, parent: int, start: int, stop: int) -> None:
    if not packaging.fits_in(parent, start, stop):
        raise _wrong(lot, f"不能装入 {parent}", f"{start} to {stop - 1} cannot be in {parent}")


def _beyond(lot: bytes, stop: int, end: int) -> WireError:
    return _wrong(lot, f"超出 {end}", f"it goes up to {end}, and not to {stop}")


def _overlap(span: range, start: int, stop: int) -> int:
    return max(0, min(stop, span.stop) - max(start, span.start))


def _wrong(lot: bytes, zh: str, en: str) -> WireError:
    name = lot.decode()
    return WireError(f"批次 {name}：{zh}。Lot {name}: {en}")
