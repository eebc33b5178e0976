"""Which deposits a node is rebuilt from: the newest one, and what it builds on, down to a FULL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from core import limits
from sync.escrow.deposit import HEAD, read_head
from sync.escrow.faults import DepositError
from sync.escrow.head import FULL, is_deposit_id
from sync.escrow.item import Head

_DEPTH: Final = 3  # <out>/<prefix>/<day>/<deposit>, also asked for further down


class Found(NamedTuple):
    """A deposit that lies in a folder."""

    path: Path
    head: Head


def find_chain(folder: Path, node: str = "") -> list[Path]:
    """Return the folders of a FULL and of the DIFFs on it, in order, up to the newest deposit below a folder.

    ``node``: key id of the node whose deposits are meant; empty: there is one. Nothing newer is passed over: where a
    newer deposit is not whole, or lacks what it builds on, whoever restores has to move it away. Volumes are looked
    for, not read. Bounds: ESCROW_FOLDERS_MAX, ESCROW_CHAIN_MAX.
    Errors: DepositError none, several, twice, missing, chain, cut, altered, head, signature, signer, disk, too-large.
    """
    found, faults = _find(folder, node)
    if len({(each.head.node, each.head.prefix) for each in found.values()}) > 1:
        names = sorted({f"{each.head.prefix} {each.head.node}" for each in found.values()})
        raise DepositError("several", ", ".join(names[:10]))
    newest = max(found.values(), key=_order, default=None)
    newest_id = "" if newest is None else newest.head.deposit
    for name in sorted(faults, reverse=True):
        if name > newest_id:
            raise faults[name]
    if newest is None:
        raise DepositError("none", str(folder))
    return [each.path for each in _down(newest, found, faults)]


def _order(found: Found) -> tuple[int, int, bool, int]:
    head = found.head
    return head.watermark, head.made_ms, head.kind == FULL, head.revision


def _down(newest: Found, found: dict[str, Found], faults: dict[str, DepositError]) -> list[Found]:
    """Return the chain. Errors: DepositError."""
    chain = [newest]
    while True:
        each = chain[-1]
        for volume in each.head.volumes:
            _require_there(each.path / volume.name, volume.octets)
        if each.head.kind == FULL:
            return chain[::-1]
        previous = found.get(each.head.previous)
        if previous is None:
            cause = faults.get(each.head.previous)
            raise DepositError("chain", f"{each.head.deposit} → {each.head.previous}") from cause
        if previous.head.watermark != each.head.since or previous.head.made_ms > each.head.made_ms:
            raise DepositError("chain", f"{each.head.deposit} → {previous.head.deposit}: another watermark")
        chain.append(previous)
        if len(chain) > limits.ESCROW_CHAIN_MAX:  # also where they go in a circle
            raise DepositError("too-large", f"more than {limits.ESCROW_CHAIN_MAX} deposits on one FULL")


def _require_there(path: Path, octets: int) -> None:
    try:
        size = path.stat().st_size
    except OSError:
        raise DepositError("missing", str(path)) from None
    if size != octets:
        raise DepositError("cut" if size < octets else "altered", f"{path} has {size} of {octets} octets")


def _find(folder: Path, node: str) -> tuple[dict[str, Found], dict[str, DepositError]]:
    """Return deposits by id, and what is wrong with others by the name of their folder."""
    found: dict[str, Found] = {}
    faults: dict[str, DepositError] = {}
    for path in _folders(folder):
        try:
            head = read_head(path)
        except DepositError as error:
            faults[path.name] = DepositError(error.rule, f"{path}: {error.what}")
            continue
        if head.node != (node or head.node):
            continue
        same = found.get(head.deposit)
        if same is not None and same.head != head:
            raise DepositError("twice", f"{same.path}, {path}")
        found[head.deposit] = same or Found(path, head)
    return found, faults


def _folders(folder: Path) -> Iterator[Path]:
    """Yield folders of deposits, also those whose head is gone. Errors: DepositError."""
    level, seen = [folder], 0
    try:
        for depth in range(_DEPTH + 1):
            below: list[Path] = []
            for each in level:
                seen += 1
                if seen > limits.ESCROW_FOLDERS_MAX:
                    raise DepositError("too-large", f"{folder}: more than {limits.ESCROW_FOLDERS_MAX} folders")
                if is_deposit_id(each.name) or (each / HEAD).exists():
                    yield each
                elif depth < _DEPTH:
                    below += sorted(path for path in each.iterdir() if path.is_dir() and path.name[0] != ".")
            level = below
    except OSError as error:
        raise DepositError("disk", f"{folder}: {error.strerror}") from None
