"""What a line prints: the codes of the sub-blocks that it was given, in the order in which it got them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from node.line.allocations import Take
from node.line.codes import Code, Codes
from node.line.shape import Kind, Lot


def given_codes(takes: Sequence[Take], lot: Lot, codes: Codes, kind: Kind) -> Iterator[Code]:
    """Yield the codes of a kind: units of the sub-blocks, and cases and pallets that begin in them."""
    for take in takes:
        for span in lot.owned(take.units):
            if span.size and lot.kind(span.first) is kind:
                yield from (_code(index, lot, codes) for index in range(span.first, span.end))


def _code(index: int, lot: Lot, codes: Codes) -> Code:
    kind, outer = lot.kind(index), lot.parent(index)
    case = outer if kind is Kind.UNIT else None
    pallet = outer if kind is Kind.CASE else None if case is None else lot.parent(case)
    return Code(
        index, codes[index], kind, None if case is None else codes[case], None if pallet is None else codes[pallet]
    )
