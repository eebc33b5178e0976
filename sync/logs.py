"""Brings the logs up to one top node: checkpoints while they grow, the whole month once it is over.

One step is one exchange. What was acknowledged is kept durably before the next one; where a file is, the top node
knows. Whatever is lost on the way, or done twice, the next step goes on from what the top node says. A log that does
not go, because of itself or of what the top node says of it, waits with its fault, and stops no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from audit.published import months_of
from core import limits
from core.clock import Millis
from core.errors import WireError
from core.store.upstream_rows import LogSent
from sync import messages
from sync.checkpoints import Current, LogFaultError, held_after, question_of, read_current
from sync.months import part_of, require_over
from sync.words import visible

Ask = Callable[[messages.Question], messages.Answer]
"""Asks the top node. Its errors go through to whoever steps; then the same step is made again, later."""

Keep = Callable[[Mapping[str, LogSent]], None]
"""Keeps how far the logs are, durably, before it returns."""


class LogCourier:
    """Brings logs up. ``logs``: the folder of all logs; ``sent``: what was kept last. Used by one thread at a time."""

    def __init__(self, logs: Path, sent: Mapping[str, LogSent], keep: Keep) -> None:
        self._logs = logs
        self._sent = dict(sent)
        self._keep = keep
        self._told: dict[str, int] = {}  # by log: what the top node says that it holds, before it took a checkpoint
        self._wanted: dict[str, messages.Wanted] = {}  # of months under way, by log
        self._over: set[str] = set()
        self._idle: Counter[str] = Counter()  # exchanges in a row that brought a log no further

    @property
    def sent(self) -> Mapping[str, LogSent]:
        """How far each log is. A log with a fault says why."""
        return self._sent

    def hurry(self) -> None:
        """Have what waits for its time tried at once."""
        self._sent = {log: each._replace(sent_ms=Millis(0), next_ms=Millis(0)) for log, each in self._sent.items()}

    def step(self, ask: Ask, now_ms: Millis) -> bool:
        """Make one exchange at most; return whether there may be more to do, False where all is said for now.

        Errors: those of ``ask``, also WireError for an answer that is none; OSError where the logs cannot be listed;
        those of ``keep``.
        """
        later = self._find()
        for exchange in (self._send_checkpoint, self._send_month):
            for log in later:
                if self._is_due(log, now_ms):
                    try:
                        if exchange(ask, log, later[log], now_ms):
                            return True
                    except LogFaultError as error:
                        self._fault(log, error.message, now_ms)
                        return True
        return False

    def _find(self) -> dict[str, str]:
        """Return all logs by name, the newest month first, and the next log of the stream; forget what is gone."""
        later: dict[str, str] = {}
        for stream, months in months_of(self._logs).items():
            next_log = ""
            for month in reversed(months):
                log = f"{stream}/{month}"
                later[log], next_log = next_log, log
        for log in self._sent.keys() - later.keys():
            del self._sent[log]
        return later

    def _is_due(self, log: str, now_ms: Millis) -> bool:
        """A time that lies further ahead than any wait was set by another clock."""
        sent = self._of(log)
        waits = sent.fault and now_ms < sent.next_ms <= now_ms + limits.UPSTREAM_LOG_RETRY_MS
        return not sent.complete and not waits

    # --- checkpoints ---
    def _send_checkpoint(self, ask: Ask, log: str, later: str, now_ms: Millis) -> bool:
        sent, current = self._of(log), self._read(log)
        if current is None or current.checkpoint.size == sent.size:
            return False
        if not later and sent.sent_ms <= now_ms < sent.sent_ms + limits.UPSTREAM_CHECKPOINT_MS:
            return False
        held, size = self._told.get(log, sent.size), current.checkpoint.size
        answer = ask(question_of(self._logs / log, current, held))
        if not isinstance(answer, messages.Cosigned):
            raise _none()
        try:
            holds, taken = held_after(answer, held, size)
        except WireError:
            self._count(log)
            raise
        if taken:
            self._told.pop(log, None)
            self._set(log, LogSent(size, now_ms))
        else:
            self._count(log)
            if holds < sent.size:
                self._forget()
            self._told[log] = holds
        return True

    def _forget(self) -> None:
        """The top node has lost what it acknowledged: all is said again, and it tells what it still has."""
        self._sent.clear()
        self._told.clear()
        self._wanted.clear()
        self._keep(self._sent)

    # --- months ---
    def _send_month(self, ask: Ask, log: str, later: str, now_ms: Millis) -> bool:
        current = self._read(log)
        if not later or current is None or current.checkpoint.size != self._of(log).size:
            return False
        if log not in self._over:
            require_over(self._logs, log, current, later)
            self._over.add(log)
        wanted = self._wanted.get(log)
        if wanted is None:
            stream, month = log.split("/")
            answer = ask(messages.Month(stream, month, current.note))
        else:
            answer = ask(part_of(self._logs, log, wanted))
        if not isinstance(answer, messages.Wanted):
            raise _none()
        self._take_wanted(log, answer, now_ms)
        return True

    def _take_wanted(self, log: str, answer: messages.Wanted, now_ms: Millis) -> None:
        before = self._wanted.pop(log, None)
        if answer.have:
            self._set(log, self._of(log)._replace(complete=True, fault="", next_ms=Millis(0)))
        elif answer.fault:
            self._fault(log, visible(answer.fault, limits.UPSTREAM_REASON_CHARS_MAX), now_ms)
        else:
            if answer.path:
                self._wanted[log] = answer
            if answer == before or not answer.path:
                self._count(log)
            else:
                self._idle.pop(log, None)

    # --- what is known of a log ---
    def _read(self, log: str) -> Current | None:
        return read_current(self._logs / log)

    def _of(self, log: str) -> LogSent:
        return self._sent.get(log, LogSent())

    def _set(self, log: str, sent: LogSent) -> None:
        self._idle.pop(log, None)
        self._sent[log] = sent
        self._keep(self._sent)

    def _fault(self, log: str, fault: str, now_ms: Millis) -> None:
        self._told.pop(log, None)
        self._wanted.pop(log, None)
        self._over.discard(log)
        next_ms = Millis(now_ms + limits.UPSTREAM_LOG_RETRY_MS)
        self._set(log, self._of(log)._replace(fault=fault, next_ms=next_ms))

    def _count(self, log: str) -> None:
        """Errors: LogFaultError where a log has got no further for too long."""
        self._idle[log] += 1
        if self._idle[log] >= limits.UPSTREAM_LOG_TRIES:
            raise LogFaultError("上级节点每次答复都不前进。The answers of the top node lead no further")


def _none() -> WireError:
    return WireError("上级节点的答复与问题不符。The answer of the top node is to another question")
