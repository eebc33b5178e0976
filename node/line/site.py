"""The folder of a site: its blocks of codes, which line has which of them, its runs.

| name | what |
|---|---|
| ``site.json`` | the site's name |
| ``lock`` | held by whoever allocates |
| ``blocks/0001/request.json`` | what the node is asked for, with the token of the request; written before it is sent |
| ``blocks/0001/block.json`` | what the node gave, and the lot |
| ``blocks/0001/codes.jsonl`` | a code a line: units, then the cases and pallets that they are in |
| ``blocks/0001/complete.json`` | how many lines that file has, and its SHA-256: all of it is there |
| ``blocks/0001/refused.txt`` | instead: why the node gave none |
| ``allocations.log`` | append-only: sub-blocks of lines, and the runs that use them |
| ``runs/NAME/`` | a run: see ``run`` and ``upload`` |

All of it is secret: a code that is not on a bag yet is worth a bag.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from core import clock, limits
from core.clock import format_instant
from core.errors import Outcome, StoreError, WireError
from node.line import durable
from node.line.allocations import Allocations, Claim, Given, Take, next_claim, refusal
from node.line.codes import Code, Codes, unpack_code
from node.line.shape import Lot, Span, check_lot

F = TypeVar("F")
_NAME: Final = re.compile(r"[\w-][\w.-]*")
_TOKEN: Final = re.compile(rf"[A-Za-z0-9._~-]{{1,{limits.IDEMPOTENCY_KEY_CHARS_MAX}}}")


class Want(NamedTuple):
    """A block that the node was, or is to be, asked for."""

    number: int
    token: str
    lot: str
    line: str
    asked: int


class Held(NamedTuple):
    """A block of the site. ``complete``: all of its codes are here."""

    want: Want
    lot: Lot
    units: Span
    complete: bool


class _SiteForm(msgspec.Struct):
    name: str


class _RequestForm(msgspec.Struct):
    token: str
    lot: str
    line: str
    count: int


class _BlockForm(msgspec.Struct):
    lot: str
    units: int
    units_per_case: int
    cases_per_pallet: int
    first: int = msgspec.field(name="from")
    count: int = 0


class _CompleteForm(msgspec.Struct):
    codes: int
    sha256: str


class _TakeForm(msgspec.Struct, tag_field="act", tag="take"):
    token: str
    line: str
    lot: str
    block: int
    first: int = msgspec.field(name="from")
    count: int = 0
    asked: int = 0
    time: str = ""


class _RunForm(msgspec.Struct, tag_field="act", tag="run"):
    run: str
    id: str
    line: str
    lot: str
    tokens: list[str]
    time: str = ""


_ALLOCATION: Final = msgspec.json.Decoder(_TakeForm | _RunForm)


def check_name(text: str) -> str:
    """Return the name of a site, a line or a run, which is that of a folder, too. Errors: NodeError."""
    if len(text) > limits.LINE_NAME_CHARS_MAX or _NAME.fullmatch(text) is None:
        raise refusal(
            Outcome.INVALID_VALUE, "line-name",
            f"名称为 1 至 {limits.LINE_NAME_CHARS_MAX} 个字母、数字、汉字及 . _ -。"
            f"A name has 1 to {limits.LINE_NAME_CHARS_MAX} letters, digits and . _ -: {text[:100]!r}",
        )  # fmt: skip
    return text


def check_token(text: str | None) -> str:
    """Return a token, a new one if none is given. Errors: NodeError."""
    if text is not None and _TOKEN.fullmatch(text) is None:
        raise refusal(
            Outcome.INVALID_VALUE, "line-token",
            f"号段令牌为 1 至 {limits.IDEMPOTENCY_KEY_CHARS_MAX} 个字母、数字及 . _ ~ -。"
            f"A token has 1 to {limits.IDEMPOTENCY_KEY_CHARS_MAX} letters, digits and . _ ~ -",
        )  # fmt: skip
    return text or uuid.uuid4().hex


class Site:
    """One site's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def allocating(self) -> Iterator[None]:
        """Hold the site's lock. Errors: NodeError."""
        if not self.folder.is_dir():
            raise refusal(
                Outcome.NOT_FOUND, "line-site",
                f"没有站点目录 {self.folder}，请先执行 saltern line buffer take。"
                f"There is no folder {self.folder}; saltern line buffer take makes it",
            )  # fmt: skip
        with durable.locked(self.folder / "lock"):
            yield

    # --- blocks ---
    def begin(self, lot: str, count: int, name: str | None, token: str | None) -> Want:
        """Write down what the node is to be asked for, and return it; what was not finished is gone on with.

        The same token is the same request for ever. Errors: NodeError.
        """
        check_name(self.folder.resolve().name if name is None else name)
        durable.make_folder(self.folder / "blocks")
        with self.allocating():
            line = self._name(name)
            wants = self.wants()
            for want in wants:
                if want.token == token or (token is None and (want.lot, want.asked) == (lot, count)):
                    if token is None and (self._is_complete(want) or self._refused(want).exists()):
                        continue
                    if (want.lot, want.asked) != (lot, count):
                        raise refusal(
                            Outcome.CONFLICT, "line-token",
                            f"令牌 {token} 已用于另一请求。The token {token} is of another request: "
                            f"{want.lot}, {want.asked}",
                        )  # fmt: skip
                    return want
            want = Want(len(wants) + 1, check_token(token), lot, line, count)
            durable.make_folder(self.block_folder(want.number))
            form = _RequestForm(want.token, want.lot, want.line, want.asked)
            durable.write_whole(self.block_folder(want.number) / "request.json", _dump(form))
            return want

    def _name(self, name: str | None) -> str:
        path = self.folder / "site.json"
        known = _load(path, _SiteForm)
        if known is None:
            known = _SiteForm(self.folder.resolve().name if name is None else name)
            durable.write_whole(path, _dump(known))
        elif name is not None and name != known.name:
            raise refusal(
                Outcome.CONFLICT, "line-site",
                f"站点名称已定为 {known.name}。The name of this site is {known.name} already",
            )  # fmt: skip
        return known.name

    def block_folder(self, number: int) -> Path:
        """Return the folder of a block."""
        return self.folder / "blocks" / f"{number:04}"

    def wants(self) -> list[Want]:
        """Return all blocks that were asked for, in order. Errors: StoreError."""
        wants: list[Want] = []
        while (form := _load(self.block_folder(len(wants) + 1) / "request.json", _RequestForm)) is not None:
            wants.append(Want(len(wants) + 1, check_token(form.token), form.lot, form.line, form.count))
        return wants

    def pending(self) -> list[Want]:
        """Return what the node was asked for and has not answered. Errors: StoreError."""
        return [want for want in self.wants() if self.held(want) is None and not self._refused(want).exists()]

    def note(self, want: Want, lot: Lot, units: Span) -> None:
        """Write down what the node gave."""
        form = _BlockForm(lot.handle, lot.units, lot.units_per_case, lot.cases_per_pallet, units.first, units.size)
        durable.write_whole(self.block_folder(want.number) / "block.json", _dump(form))

    def complete(self, want: Want, codes: int, sha256: str) -> None:
        """Write down that all codes of a block are there."""
        path = self.block_folder(want.number) / "complete.json"
        durable.write_whole(path, _dump(_CompleteForm(codes, sha256)))

    def give_up(self, want: Want, why: str) -> None:
        """Write down that the node will never give it: the same request is another one next time."""
        durable.write_whole(self._refused(want), why.encode() + b"\n")

    def _refused(self, want: Want) -> Path:
        return self.block_folder(want.number) / "refused.txt"

    def held(self, want: Want) -> Held | None:
        """Return what the node gave for a request, None where it has not answered yet. Errors: StoreError."""
        form = _load(self.block_folder(want.number) / "block.json", _BlockForm)
        if form is None:
            return None
        try:
            lot = check_lot(Lot(form.lot, form.units, form.units_per_case, form.cases_per_pallet))
        except WireError as error:
            raise _damaged(self.block_folder(want.number) / "block.json", error.message) from None
        return Held(want, lot, Span(form.first, form.count), self._is_complete(want))

    def _is_complete(self, want: Want) -> bool:
        return (self.block_folder(want.number) / "complete.json").exists()

    def blocks(self) -> list[Held]:
        """Return the blocks that the node gave. Errors: StoreError."""
        return [held for want in self.wants() if (held := self.held(want)) is not None]

    def codes(self, held: Held) -> Iterator[Code]:
        """Yield the codes of a block; the last one only if the file is what was written. Errors: StoreError."""
        path = self.block_folder(held.want.number) / "codes.jsonl"
        mark = _load(path.with_name("complete.json"), _CompleteForm)
        digest, count, last = hashlib.sha256(), 0, None
        try:
            with path.open("rb") as file:
                for span in held.lot.around(held.units):
                    for index in range(span.first, span.end):
                        line = file.readline(limits.LINE_FRAME_BYTES_MAX)
                        digest.update(line)
                        if last is not None:
                            yield last
                        last = unpack_code(line, held.lot, index)
                        count += 1
                rest = file.read(1)
        except OSError as error:
            raise _damaged(path, str(error.strerror)) from None
        except WireError as error:
            raise _damaged(path, error.message) from None
        if mark is None or rest or (mark.codes, mark.sha256) != (count, digest.hexdigest()) or last is None:
            raise _damaged(path, "与写入时不同 not as it was written")
        yield last

    # --- allocations ---
    def allocations(self) -> tuple[Allocations, durable.Tail]:
        """Return what lines were given, and where the file ends. Errors: StoreError."""
        found = Allocations({}, {})

        def take(number: int, payload: bytes) -> None:
            try:
                form = _ALLOCATION.decode(payload)
                if isinstance(form, _TakeForm):
                    units = Span(form.first, form.count)
                    found.takes[form.token] = Take(form.token, form.line, form.lot, form.block, units, form.asked)
                else:
                    takes = tuple(found.takes[token] for token in form.tokens)
                    found.runs[form.run] = Claim(form.run, form.id, form.line, form.lot, takes)
            except (msgspec.MsgspecError, KeyError):
                raise _damaged(self._log, f"第 {number} 行 line {number}") from None

        return found, durable.read_frames(self._log, take)

    @property
    def _log(self) -> Path:
        return self.folder / "allocations.log"

    def give(self, line: str, count: int, lot: str | None, token: str | None) -> Given:
        """Give a line a sub-block of what nobody has.

        It lies within one block of the site: the first one that has enough, else the one that has most.
        Errors: NodeError.
        """
        with self.allocating():
            known, tail = self.allocations()
            before = known.takes.get(token or "")
            if before is not None:
                if (before.line, before.asked) != (line, count) or lot not in (None, before.lot):
                    raise refusal(
                        Outcome.CONFLICT, "line-token",
                        f"令牌 {token} 已用于另一请求。The token {token} is of another request: "
                        f"{before.line}, {before.lot}, {before.asked}",
                    )  # fmt: skip
                return Given(before, again=True, more=self._more(known, before.lot))
            number, handle, units = self._free(known, count, lot)
            take = Take(check_token(token), line, handle, number, units, count)
            form = _TakeForm(
                take.token, line, handle, number, *units, asked=count, time=format_instant(clock.now_ms())
            )  # fmt: skip
            self._append(tail, form)
            known.takes[take.token] = take
            return Given(take, again=False, more=self._more(known, handle))

    def _more(self, known: Allocations, lot: str) -> int:
        blocks = [held for held in self.blocks() if held.complete and held.lot.handle == lot]
        return sum(left_of(held, known).size for held in blocks)

    def _free(self, known: Allocations, count: int, lot: str | None) -> tuple[int, str, Span]:
        """Return block, lot and units of what a line gets. Errors: NodeError."""
        left = [
            (held.want.number, held.lot.handle, span)
            for held in self.blocks()
            if held.complete and lot in (None, held.lot.handle) and (span := left_of(held, known)).size
        ]
        if not left:
            raise refusal(
                Outcome.CONFLICT, "block-none",
                "站点已没有可分配的标识，请执行 saltern line buffer take。"
                "The site has no codes left; saltern line buffer take gets more",
            )  # fmt: skip
        if len({handle for _, handle, _ in left}) > 1:
            raise refusal(
                Outcome.CONFLICT, "line-lot",
                "站点有多个批次的标识，请用 --lot 指明。The site has codes of several lots; name one with --lot: "
                + ", ".join(sorted({handle for _, handle, _ in left})),
            )  # fmt: skip
        enough = [each for each in left if each[2].size >= count]
        number, handle, span = enough[0] if enough else max(left, key=lambda each: each[2].size)
        return number, handle, Span(span.first, min(span.size, count))

    def claim(
        self, run: str, line: str, lot: str | None, has_ended: Callable[[], bool], *, only_look: bool = False
    ) -> Claim:
        """Return a run, with every sub-block of its line that no other run has; one that has ended takes none.

        ``only_look``: nothing is written, the run takes nothing yet. Errors: NodeError.
        """
        with self.allocating():
            known, tail = self.allocations()
            claim = next_claim(known, run, line, lot, has_ended)
            if claim is not known.runs.get(run) and not only_look:
                tokens = [take.token for take in claim.takes]
                self._append(tail, _RunForm(run, claim.run_id, line, claim.lot, tokens, format_instant(clock.now_ms())))
            return claim

    def _append(self, tail: durable.Tail, form: _TakeForm | _RunForm) -> None:
        appender = durable.Appender(self._log, tail)
        try:
            appender.append([msgspec.json.encode(form)])
        finally:
            appender.close()

    def claimed(self, run: str, line: str) -> Claim:
        """Return a run that was begun. Errors: NodeError."""
        claim = self.allocations()[0].runs.get(run)
        if claim is None or claim.line != line:
            whose = ("", "") if claim is None else (f"，它属于生产线 {claim.line}", f"; it is of the line {claim.line}")
            raise refusal(
                Outcome.NOT_FOUND, "line-run",
                f"生产线 {line} 没有班次 {run}{whose[0]}。There is no run {run} of the line {line}{whose[1]}",
            )  # fmt: skip
        return claim

    def codes_of(self, takes: Sequence[Take]) -> tuple[Lot, Codes]:
        """Return the lot of sub-blocks, and the codes of these and of the cases and pallets that they are in.

        Errors: NodeError.
        """
        numbers = {take.block for take in takes}
        blocks = [held for held in self.blocks() if held.want.number in numbers and held.complete]
        if len(blocks) != len(numbers) or len({held.lot for held in blocks}) != 1:
            raise _damaged(self.folder / "blocks", "缺少号段或批次不符 a block is missing, or of another lot")
        lot = blocks[0].lot
        wanted = bytearray(lot.size)
        for take in takes:
            for span in lot.around(take.units):
                wanted[span.first : span.end] = b"\1" * span.size
        return lot, Codes(lot, (code for held in blocks for code in self.codes(held) if wanted[code.number]))


def left_of(held: Held, known: Allocations) -> Span:
    """Return what of a block no line has: it is given from the front."""
    end = max([take.units.end for take in known.takes.values() if take.block == held.want.number] or [0])
    begin = max(end, held.units.first)
    return Span(begin, held.units.end - begin)


def _dump(form: msgspec.Struct) -> bytes:
    return msgspec.json.format(msgspec.json.encode(form), indent=1) + b"\n"


def _load(path: Path, form: type[F]) -> F | None:
    """Return a small JSON file, None where there is none. Errors: StoreError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=form)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path, str(error.strerror)) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(
        f"{path} 已损坏或被改动。{path} is damaged, or was altered: {why}",
        outcome=Outcome.INTERNAL,
        rule="line-damaged",
    )
