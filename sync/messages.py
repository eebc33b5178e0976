"""What a node and its top node say to one another. Octets: ``sync/form.py``; who says it: ``sync/envelope.py``.

Serials: of a table with the basis FEED those of the node's change feed, with DAYS those of ``sync/feeding.py``, with
WHOLE 1 and upwards. A row is None where there is none (any more). Keys and rows are octets (``sync/table.py``); a range
of keys runs from ``start`` (included) to ``stop`` (not included; None is the end of the table).
"""

from __future__ import annotations

from typing import NamedTuple


class Item(NamedTuple):
    """One change of one row. ``serial``: of the change; 0 of a row that is sent again. ``operation``: see Operation."""

    serial: int
    operation: int
    key: bytes
    row: bytes | None


class Connect(NamedTuple):
    """The first message of a node, and the first one after it could not reach the top node.

    ``prefix``: node.prefix. ``codes``: national code and node of all prefixes that it holds by itself (``88.118``), at
    most UPSTREAM_CODES_MAX. ``name``: of the operator. ``origin``: host of its logs' names; ``vkey``: of one
    of them.
    """

    prefix: str
    codes: tuple[str, ...]
    name: str
    software: str
    origin: str
    vkey: str


class Delta(NamedTuple):
    """The changes with serials above ``after`` up to ``to``. No items: nothing new.

    Applied only where the top node holds ``after`` of the table. ``digest``: ``items_digest``.
    """

    table: str
    after: int
    to: int
    digest: bytes
    items: tuple[Item, ...]


class Piece(NamedTuple):
    """A piece of a snapshot: all rows of a range of keys. Rows of the range that are not in it are gone.

    Pieces come in the order of keys, the first from b"", the last with ``stop`` None; then the top node holds ``at``.
    """

    table: str
    at: int
    start: bytes
    stop: bytes | None
    digest: bytes
    items: tuple[Item, ...]


class Repair(NamedTuple):
    """Rows to be put right, or that were refused before; applied where the top node holds ``at``."""

    table: str
    at: int
    digest: bytes
    items: tuple[Item, ...]


class Range(NamedTuple):
    """A range of keys of a table. ``rows``: how many are in it; ``digest``: ``rows_digest``."""

    start: bytes
    stop: bytes | None
    rows: int
    digest: bytes


class CompareRanges(NamedTuple):
    """Which of these ranges differ above? Answer: Differing."""

    table: str
    ranges: tuple[Range, ...]


class ListKeys(NamedTuple):
    """Which rows are in a range above? Answer: Keys, a page."""

    table: str
    start: bytes
    stop: bytes | None


class Review(NamedTuple):
    """A prefix for the national review, asked again until there is a verdict. Answer: Verdict.

    ``filed``: Unix milliseconds of the application: a later one for the same prefix is another review.
    """

    prefix: str
    party: str
    hosting: str
    filed_ms: int


class Checkpoint(NamedTuple):
    """A signed checkpoint of a log of the node. ``request``: as for a witness (C2SP tlog-witness). Answer: Cosigned."""

    request: bytes


class Month(NamedTuple):
    """A month of a log that is over. Which files it has follows from its checkpoint. Answer: Wanted."""

    stream: str
    month: str
    checkpoint: bytes


class MonthFile(NamedTuple):
    """Part of a file of such a month: from ``offset``, at most UPSTREAM_PART_BYTES; ``last``: its end. Answer: Wanted.

    ``path``: below the folder of the month, as Wanted named it.
    """

    stream: str
    month: str
    path: str
    offset: int
    data: bytes
    last: bool


class Deposit(NamedTuple):
    """A deposit with the escrow agent that the top node is. ``head``: octets of its deposit.json. Answer: Wanted."""

    head: bytes


class DepositFile(NamedTuple):
    """Part of a volume of a deposit, as MonthFile of a file. ``path``: name of the volume. Answer: Wanted."""

    deposit: str
    path: str
    offset: int
    data: bytes
    last: bool


class DepositAsk(NamedTuple):
    """What became of a deposit? Answer: DepositVerdict."""

    deposit: str


class HandBack(NamedTuple):
    """What was registered at the top node while it answered for this node? Answer: Handed.

    ``takeover``: its id, empty where none is known yet; ``taken``: number of the last change of it that this node has,
    0 of none; ``kept``: numbers of changes that it did not take, since it had a later one of its own.
    """

    takeover: str
    taken: int
    kept: tuple[int, ...]


# --- answers ---
class Refused(NamedTuple):
    """A row that the top node does not take, and why. ``rule``: a word that stands for the reason."""

    serial: int
    key: bytes
    rule: str
    zh: str
    en: str


class Holding(NamedTuple):
    """What the top node holds of a table. ``piece_at``: serial of a snapshot under way, 0 without; ``piece_next``:
    where its next piece starts. ``rows``: how many there are.
    """

    table: str
    serial: int
    piece_at: int
    piece_next: bytes
    rows: int


class Receipt(NamedTuple):
    """Answer to Delta, Piece and Repair. ``why``: applied, duplicate, gap, piece or digest.

    ``duplicate``: it was applied before. ``gap``: ``after`` is not what is held. ``piece``: a snapshot is under way,
    or the piece does not fit. ``refused``: rows that were not taken; all others were, if ``why`` is applied.
    """

    why: str
    holding: Holding
    refused: tuple[Refused, ...]


class State(NamedTuple):
    """Answer to Connect. ``enrolment``: enrolled, waiting or rejected. ``name``: of the top node."""

    enrolment: str
    name: str
    now_ms: int
    holdings: tuple[Holding, ...]


class Differing(NamedTuple):
    """Answer to CompareRanges: the places in its list of those that differ. ``serial``: what is held."""

    serial: int
    places: tuple[int, ...]


class Keys(NamedTuple):
    """Answer to ListKeys: keys in order, and SHA-256 of each row. ``next``: where to go on, None at the end."""

    rows: tuple[tuple[bytes, bytes], ...]
    next: bytes | None


class Verdict(NamedTuple):
    """Answer to Review. ``verdict``: waiting, approved, rejected or asked. ``fields``: to be corrected,
    and why.
    """

    verdict: str
    reason: str
    fields: tuple[tuple[str, str], ...]


class Cosigned(NamedTuple):
    """Answer to Checkpoint: as a witness answers over HTTP."""

    status: int
    body: bytes


class Wanted(NamedTuple):
    """Answer to Month and MonthFile, Deposit and DepositFile. ``have``: it is complete, and all of it as it was signed.

    ``path``, ``offset``: what comes next; empty where ``have``, or where Month is to be said first. ``fault``: why
    something was thrown away, empty where nothing was.
    """

    have: bool
    path: str
    offset: int
    fault: str


class DepositVerdict(NamedTuple):
    """Answer to DepositAsk. ``verdict``: unknown, waiting, accepted or rejected; the words say why."""

    verdict: str
    zh: str
    en: str


class Made(NamedTuple):
    """A change that was registered at the top node. ``number``: from 1 in each takeover. ``values``: those of the
    record as on the Handle wire (``core/wire/values.py``), None where it was deleted. ``before``: SHA-256 of the
    values that it replaced, empty where there were none. ``who``: as the emergency page knew it.
    """

    number: int
    handle: str
    values: bytes | None
    before: bytes
    at_ms: int
    who: str


class Handed(NamedTuple):
    """Answer to HandBack. ``takeover``: empty where the top node did not take over. ``changes``: those behind
    ``taken``, in order. ``over``: there are no more, and the top node refers to this node again.
    """

    takeover: str
    changes: tuple[Made, ...]
    over: bool


class Refusal(NamedTuple):
    """The answer to a message that is not taken at all. ``number``: the last number of a message that was."""

    rule: str
    zh: str
    en: str
    number: int


Question = (
    Connect | Delta | Piece | Repair | CompareRanges | ListKeys | Review | Checkpoint | Month | MonthFile
    | Deposit | DepositFile | DepositAsk | HandBack
)  # fmt: skip
Answer = (
    Receipt | State | Differing | Keys | Verdict | Cosigned | Wanted | DepositVerdict | Handed | Refusal
)  # fmt: skip
Message = Question | Answer
