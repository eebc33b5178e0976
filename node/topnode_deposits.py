"""The reference top node as escrow agent: what answers the messages about deposits, and who judges them.

A deposit that is complete is judged in a thread of its own, one after the other; one that is rejected is told why. A
restart begins with those that wait for a verdict.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from core.clock import Millis
from node.topnode_copies import WaitingError
from sync import messages
from sync.escrow.deposit import read_head
from sync.escrow.faults import OF_THE_DISK, DepositError
from sync.escrow.sealing import Opener
from sync.topnode.deposits import ACCEPTED, WAITING, DepositDesk
from sync.topnode.desk import Taker
from sync.topnode.refusals import RefusalError
from sync.topnode.rows import Node

_LOG: Final = logging.getLogger("saltern.topnode")

Judge = Callable[[str, Path], None]
"""Judges a deposit: key id of its node, its folder. Errors: DepositError says why it is rejected; WaitingError."""


class DepositJudge:
    """Takes deposits, and has them judged."""

    def __init__(self, data: Path, opener: Opener, judge: Judge) -> None:
        self._judge = judge
        self._thread = ThreadPoolExecutor(1, "deposits")
        self._closed = False
        self.desk = DepositDesk(data, (opener.algorithm, opener.key_id), self._tell)

    def start(self) -> None:
        """Begin with the deposits that wait."""
        if not self._closed:
            self._thread.submit(self._settle_all)

    def close(self) -> None:
        """Judge no more; what is under way is left and waits again."""
        self._closed = True
        self._thread.shutdown(cancel_futures=True)

    def _tell(self, node: str, deposit: str) -> None:
        """See Told. Whatever could not be judged before is tried again, too."""
        self.start()

    def _settle_all(self) -> None:
        try:
            for node, deposit in self.desk.waiting():
                if not self._closed:
                    self._settle(node, deposit)
        except OSError:
            _LOG.exception("托管数据未能审核。Deposits could not be judged")

    def _settle(self, node: str, deposit: str) -> None:
        """Judge a deposit; one that cannot be read for the disk's sake waits on."""
        try:
            try:
                self._require_previous(node, deposit)
                self._judge(node, self.desk.folder(node, deposit))
            except DepositError as error:
                if error.rule in OF_THE_DISK:
                    raise
                zh, _, en = error.message.partition("。")
                self.desk.set_verdict(node, deposit, accepted=False, zh=zh, en=en)
                _LOG.warning("托管数据 %s 被拒。The deposit is rejected: %s", deposit, error.message)
            else:
                self.desk.set_verdict(node, deposit, accepted=True, zh="", en="")
                _LOG.info("托管数据 %s 已接受。The deposit is accepted", deposit)
        except (_NotNowError, WaitingError):
            return
        except Exception:
            _LOG.exception("托管数据 %s 未能审核。The deposit could not be judged", deposit)

    def _require_previous(self, node: str, deposit: str) -> None:
        """Errors: DepositError chain where a DIFF builds on one that was not accepted."""
        previous = read_head(self.desk.folder(node, deposit), node).previous
        verdict = self.desk.ask(node, messages.DepositAsk(previous)).verdict
        if previous and verdict == WAITING:
            raise _NotNowError
        if previous and verdict != ACCEPTED:
            raise DepositError("chain", previous)


class _NotNowError(Exception):
    """What a DIFF builds on waits itself."""


def deposit_takers(judge: DepositJudge | None) -> Mapping[type, Taker]:
    """Return what answers the messages about deposits."""
    if judge is None:
        return dict.fromkeys((messages.Deposit, messages.DepositFile, messages.DepositAsk), _without_key)
    desk = judge.desk

    def deposit(node: Node, message: Any, _: Millis) -> messages.Answer:
        return desk.deposit(node.node_id, node.prefix, message)

    def deposit_file(node: Node, message: Any, _: Millis) -> messages.Answer:
        return desk.deposit_file(node.node_id, message)

    def ask(node: Node, message: Any, _: Millis) -> messages.Answer:
        return desk.ask(node.node_id, message)

    return {messages.Deposit: deposit, messages.DepositFile: deposit_file, messages.DepositAsk: ask}


def _without_key(_: Node, message: Any, now_ms: Millis) -> messages.Answer:
    raise RefusalError("no-escrow-key")
