"""Brings deposits up to one top node, and asks what became of them.

    Deposit → Wanted → DepositFile → Wanted → … → have → DepositAsk → DepositVerdict

One step is one exchange. The top node knows how much of a deposit is there: whatever is lost on the way or done twice,
the next step goes on from what it says. Deposits go in order, since a DIFF is nothing without what it builds on; one
that does not go waits with its fault, and those behind it wait for it, until there is a newer FULL.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from core import limits
from core.clock import Millis
from core.errors import WireError
from sync import messages
from sync.escrow.deposit import read_head_octets
from sync.escrow.faults import DepositError
from sync.escrow.head import is_deposit_id, is_full_id
from sync.escrow.volumes import disk_fault, open_regular
from sync.link import RefusalError, is_of_all
from sync.words import visible

TO_SEND: Final = ""
WAITING: Final = "waiting"
ACCEPTED: Final = "accepted"
REJECTED: Final = "rejected"
_UNKNOWN: Final = "unknown"
_VOLUME: Final = re.compile(r"\d{4}\.vol", re.ASCII)
_LOST: Final = "上级节点没有这份托管数据，将重新发送。The top node does not have the deposit; it is sent again"
_NO_FURTHER: Final = "上级节点每次答复都不前进。The answers of the top node lead no further"


class DepositSent(NamedTuple):
    """What became of a deposit at one top node.

    ``stage``: TO_SEND, WAITING (it is there, without a verdict), ACCEPTED or REJECTED; ``zh``, ``en``: why.
    ``fault``: why it did not go, empty where it does; ``next_ms``: not before it is tried, or asked for.
    """

    stage: str = TO_SEND
    zh: str = ""
    en: str = ""
    fault: str = ""
    next_ms: Millis = Millis(0)


Ask = Callable[[messages.Question], messages.Answer]
"""Asks the top node. Its errors go through to whoever steps; then the same step is made again, later."""

Keep = Callable[[str, DepositSent], None]
"""Keeps what became of a deposit, durably, before it returns."""


class DepositCourier:
    """Brings deposits up. ``folders``: those that are to go, by id; ``sent``: what was kept last, by id.

    Used by one thread at a time.
    """

    def __init__(self, folders: Callable[[], Mapping[str, Path]], sent: Mapping[str, DepositSent], keep: Keep) -> None:
        self._folders = folders
        self._sent = dict(sent)
        self._keep = keep
        self._wanted: tuple[str, messages.Wanted] | None = None  # of the deposit under way
        self._furthest = ("", "", 0)  # deposit, volume and offset that the top node asked for
        self._idle = 0  # exchanges in a row that brought it no further

    @property
    def sent(self) -> Mapping[str, DepositSent]:
        """What became of each deposit that is to go."""
        return self._sent

    def hurry(self) -> None:
        """Have what waits for its time tried at once."""
        self._sent = {deposit: sent._replace(next_ms=Millis(0)) for deposit, sent in self._sent.items()}

    def step(self, ask: Ask, now_ms: Millis) -> bool:
        """Make one exchange at most; return whether there may be more to do, False where all is said for now.

        Errors: those of ``ask``, but for a refusal of this deposit alone, which is its fault; WireError for an answer
        that is none; those of ``folders`` and ``keep``.
        """
        folders = {deposit: path for deposit, path in self._folders().items() if is_deposit_id(deposit)}
        for deposit in self._sent.keys() - folders.keys():
            del self._sent[deposit]
        newest_full = max(filter(is_full_id, folders), default="")
        blocked = False
        for deposit in sorted(folders):
            sent = self._of(deposit)
            sends = sent.stage == TO_SEND and deposit >= newest_full
            if ((sends and not blocked) or sent.stage == WAITING) and _is_due(sent, now_ms):
                try:
                    self._exchange(ask, deposit, folders[deposit], sent, now_ms)
                except DepositError as error:
                    self._fault(deposit, error.message, now_ms)
                except RefusalError as error:
                    if is_of_all(error):
                        raise
                    self._fault(deposit, error.message, now_ms)
                return True
            blocked = blocked or sends
        return False

    def _exchange(self, ask: Ask, deposit: str, folder: Path, sent: DepositSent, now_ms: Millis) -> None:
        """Errors: DepositError, RefusalError; those of ``step``."""
        if sent.stage == WAITING:
            self._ask_verdict(ask, deposit, sent, now_ms)
            return
        before = self._wanted[1] if self._wanted and self._wanted[0] == deposit else None
        question = messages.Deposit(read_head_octets(folder)) if before is None else _part(deposit, folder, before)
        answer = ask(question)
        if not isinstance(answer, messages.Wanted):
            raise _none()
        self._wanted = None
        if answer.have:
            self._set(deposit, DepositSent(WAITING))
        elif answer.fault:
            self._fault(deposit, visible(answer.fault, limits.UPSTREAM_REASON_CHARS_MAX), now_ms)
        else:
            self._count((deposit, answer.path, answer.offset))
            if self._idle >= limits.ESCROW_TRIES:
                self._fault(deposit, _NO_FURTHER, now_ms)
            elif answer.path:
                self._wanted = deposit, answer

    def _ask_verdict(self, ask: Ask, deposit: str, sent: DepositSent, now_ms: Millis) -> None:
        answer = ask(messages.DepositAsk(deposit))
        if not isinstance(answer, messages.DepositVerdict):
            raise _none()
        next_ms = Millis(now_ms + limits.ESCROW_ASK_MS)
        if answer.verdict in (ACCEPTED, REJECTED):
            zh, en = (visible(text, limits.UPSTREAM_REASON_CHARS_MAX) for text in (answer.zh, answer.en))
            self._set(deposit, DepositSent(answer.verdict, zh, en))
        elif answer.verdict == WAITING:
            self._sent[deposit] = sent._replace(next_ms=next_ms)
        elif answer.verdict == _UNKNOWN:
            self._set(deposit, DepositSent(TO_SEND, fault=_LOST, next_ms=next_ms))
        else:
            raise _none()

    def _of(self, deposit: str) -> DepositSent:
        return self._sent.get(deposit, DepositSent())

    def _count(self, asked: tuple[str, str, int]) -> None:
        """Count what brings a deposit no further, however the answers go round."""
        if asked > self._furthest:
            self._furthest, self._idle = asked, 0
        else:
            self._idle += 1

    def _set(self, deposit: str, sent: DepositSent) -> None:
        self._furthest, self._idle = ("", "", 0), 0
        self._sent[deposit] = sent
        self._keep(deposit, sent)

    def _fault(self, deposit: str, fault: str, now_ms: Millis) -> None:
        self._wanted = None
        next_ms = Millis(now_ms + limits.ESCROW_RETRY_MS)
        self._set(deposit, self._of(deposit)._replace(fault=fault, next_ms=next_ms))


def _is_due(sent: DepositSent, now_ms: Millis) -> bool:
    """A time that lies further ahead than any wait was set by another clock."""
    return not now_ms < sent.next_ms <= now_ms + limits.ESCROW_RETRY_MS


def _part(deposit: str, folder: Path, wanted: messages.Wanted) -> messages.DepositFile:
    """Return the part of a volume that the top node wants. Errors: DepositError."""
    path = folder / wanted.path
    if not _VOLUME.fullmatch(wanted.path):
        raise DepositError("missing", visible(wanted.path, limits.UPSTREAM_REASON_CHARS_MAX))
    descriptor = open_regular(path)
    try:
        octets = os.fstat(descriptor).st_size
        data = os.pread(descriptor, limits.UPSTREAM_PART_BYTES, wanted.offset)
    except OSError as error:
        raise disk_fault(path, error) from None
    finally:
        os.close(descriptor)
    end = wanted.offset + len(data)
    if wanted.offset > octets or (not data and end < octets):
        raise DepositError("cut", f"{path} has {octets} octets, and the top node {wanted.offset} of them")
    return messages.DepositFile(deposit, wanted.path, wanted.offset, data, end >= octets)


def _none() -> WireError:
    return WireError("上级节点的答复与问题不符。The answer of the top node is to another question")
