"""A block of codes from the node into the site's folder.

1. What the node is asked for is on the disk, with its token, before it is asked.
2. What it gave is on the disk before codes are fetched; codes are appended page by page, each synced.
3. A command that was cut goes on where it was: the token gets the same block again, whole lines of codes stay.
4. A page with a code that cannot be, or that contradicts what was told before, is not kept.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, Protocol

from core import limits
from core.durable import sync_path
from core.errors import NodeError, Outcome, WireError
from node.line import durable
from node.line.client import Block
from node.line.codes import Code, pack_code, unpack_code
from node.line.intake import Intake
from node.line.shape import Lot, Span
from node.line.site import Held, Site, Want


class Source(Protocol):
    """Where blocks come from: a node. Errors of every call: NodeError."""

    def show(self, handle: str) -> tuple[Lot, dict[str, dict[str, int]]]:
        """Return a lot and the states of its codes."""

    def take_block(self, handle: str, line: str, count: int, token: str) -> Block:
        """Return the block of this token; the same one however often it is asked for."""

    def codes(self, lot: Lot, span: Span) -> list[Code]:
        """Return codes, in the order of their indexes."""


class Supplied(NamedTuple):
    """A block that is whole in the site's folder. ``again``: it was, before."""

    held: Held
    again: bool


def take(site: Site, source: Source, want: Want) -> Supplied:
    """Have a block of the site whole in its folder. Errors: NodeError; run it again to go on."""
    folder = site.block_folder(want.number)
    with durable.locked(folder / "lock"):
        held = site.held(want)
        if held is not None and held.complete:
            return Supplied(held, again=True)
        if held is None:
            held = _ask(site, source, want)
        count, sha256 = _fetch(site, source, held)
        site.complete(want, count, sha256)
        return Supplied(held._replace(complete=True), again=False)


def _ask(site: Site, source: Source, want: Want) -> Held:
    try:
        block = source.take_block(want.lot, want.line, want.asked, want.token)
    except NodeError as error:
        if error.ended is Outcome.CONFLICT and error.fields.get("rule"):  # with this token it was never given
            site.give_up(want, error.message)
        raise
    lot, _ = source.show(want.lot)
    if block.units.end > lot.units:
        raise WireError(f"节点给出的号段超出批次。The node gave a block beyond the end of the lot: {block.units}")
    for held in _of_lot(site, lot.handle):
        if held.lot != lot:
            raise WireError(f"批次 {lot.handle} 与此前不同。The lot {lot.handle} is not what the node said before")
        if held.units.first < block.units.end and block.units.first < held.units.end:
            raise WireError(
                f"节点给出的号段与站点已有的重叠。The node gave a block that the site has already: {block.units}"
            )
    site.note(want, lot, block.units)
    return Held(want, lot, block.units, complete=False)


def _fetch(site: Site, source: Source, held: Held) -> tuple[int, str]:
    """Have all codes in the file; return how many, and the SHA-256 of the file."""
    path = site.block_folder(held.want.number) / "codes.jsonl"
    intake = Intake(held.lot)
    for other in _of_lot(site, held.lot.handle):
        if other.complete:
            intake.take(site.codes(other))
    digest = hashlib.sha256()
    with durable.telling(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            done = _whole_lines(file, held, intake, digest.update)
            file.truncate()
            for span in _pages(held, done):
                codes = source.codes(held.lot, span)
                try:
                    intake.take(codes)
                except WireError:  # it may be an earlier page that was wrong: all of them are asked for again
                    file.truncate(0)
                    raise
                octets = b"".join(map(pack_code, codes))
                digest.update(octets)
                file.write(octets)
                file.flush()
                os.fsync(descriptor)
                done += span.size
            os.fsync(descriptor)
        sync_path(path.parent)
    return done, digest.hexdigest()


def _of_lot(site: Site, handle: str) -> list[Held]:
    return [held for held in site.blocks() if held.lot.handle == handle]


def _whole_lines(file: BinaryIO, held: Held, intake: Intake, take: Callable[[bytes], None]) -> int:
    """Return how many lines of the file are what they should be, each given to ``take``; leave it behind them."""
    count = size_bytes = 0
    for span in held.lot.around(held.units):
        for index in range(span.first, span.end):
            line = file.readline(limits.LINE_FRAME_BYTES_MAX)
            try:
                intake.take([unpack_code(line, held.lot, index)])
            except WireError:
                file.seek(size_bytes)
                return count
            take(line)
            count += 1
            size_bytes += len(line)
    file.seek(size_bytes)
    return count


def _pages(held: Held, done: int) -> Iterator[Span]:
    """Yield what is not there yet, a page at a time."""
    for span in held.lot.around(held.units):
        first = span.first + min(done, span.size)
        done -= first - span.first
        while first < span.end:
            page = Span(first, min(limits.LINE_CODES_PAGE, span.end - first))
            yield page
            first = page.end
