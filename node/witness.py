"""The witness of this node's logs: sends it their checkpoints, and keeps what it cosigned.

1. Each log (stream and month) whose checkpoint is newer than ``checkpoint.cosigned`` beside it is sent, with the proof
   that what was cosigned last is its beginning; of one log at most one checkpoint in an interval.
2. The answer is believed only as far as the witness's signature goes; it is kept as ``checkpoint.cosigned``: the
   checkpoint, and the witness's line behind that of the log. Only a larger one replaces it.
3. A witness that is away, refuses, or answers nonsense is asked again, later each time. Nothing else waits for it.
4. Where the witness holds a larger log, or one that is not the beginning of ours, one of two histories was signed and
   is gone: a fork. That log is not sent again; it is told to the operator, and entered into the maintenance log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from prometheus_client.core import Metric

from audit.checkpoint import Checkpoint, cosignature_time, parse_checkpoint
from audit.files import Files
from audit.merkle import consistency_proof
from audit.note import COSIGNATURE, NoteError, NoteKey, open_note, parse_vkey
from audit.published import CHECKPOINT, COSIGNED, months_of
from audit.tile import subtree_of
from audit.witness import CONFLICT, OK, AddCheckpoint, dump_request, parse_size
from core import clock, limits
from core.config import Config
from core.errors import ConfigError, NodeError
from core.outcomes import HTTP_SERVER_ERRORS, HTTP_UNPROCESSABLE
from core.streams import Stream
from node.metrics import family
from node.witness_times import LogName, Pace, Timetable

_LOG: Final = logging.getLogger("saltern.witness")
FORK: Final = "log.fork"
"""The act that is entered for a fork."""

_DASH: Final = "\u2014 "
_ASKED: Final = 3  # times in one go: with what we know, with what the witness says, with a log that grew meanwhile

Note = Callable[[str, str, str], None]
"""(act, object, reason): enters it into the maintenance log."""


class Ending(Enum):
    """How it ended to ask the witness about one log."""

    COSIGNED = "cosigned"
    NOTHING = "nothing"  # to send: it has the newest, or the log was dropped
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    GARBAGE = "garbage"
    FORK = "fork"


class _Current(NamedTuple):
    """What lies on the disk. ``cosigned``: by this witness, None if nothing is."""

    note: bytes
    checkpoint: Checkpoint
    cosigned: Checkpoint | None


class _AskingError(Exception):
    """Asking the witness led to nothing. ``ending`` says why."""

    def __init__(self, ending: Ending, why: str) -> None:
        super().__init__(why)
        self.ending = ending


class LogWitness:
    """Keeps one witness informed. ``logs``: folder of all logs; ``url``, ``key``: of the witness.

    ``published`` may be called by any thread, all else by the event loop that ``run`` runs in.
    """

    def __init__(
        self, logs: Path, url: str, key: NoteKey, note: Note, *,
        pace: Pace = Pace(), monotonic_s: Callable[[], float] = clock.monotonic_s,  # noqa: B008
        now_s: Callable[[], int] = clock.now_s, jitter: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self._logs = logs
        self._address = f"{url.rstrip('/')}/add-checkpoint"
        self._key = key
        self._note = note
        self._monotonic_s = monotonic_s
        self._now_s = now_s
        self._timetable = Timetable(pace, jitter)
        self._files = Files()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._published: list[LogName] = []
        self._forked: set[LogName] = set()
        self._failures: Counter[Ending] = Counter()
        self._last: dict[Stream, tuple[str, int, int]] = {}  # month, size, time (s) of the last cosignature
        self._told: dict[LogName, Ending] = {}

    def published(self, stream: Stream, month: str) -> None:
        """Take note that a log has a new checkpoint."""
        self._published.append(LogName(stream, month))
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self, stopping: asyncio.Event) -> None:
        """Inform the witness until ``stopping``, which cuts a question under way short."""
        self._loop = asyncio.get_running_loop()
        work = asyncio.create_task(self._work())
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        for task in (work, stop):
            task.cancel()
        ended, _ = await asyncio.gather(work, stop, return_exceptions=True)
        if isinstance(ended, Exception):
            _LOG.critical("the witness is not informed any more", exc_info=ended)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment."""
        size = family("saltern_log_witnessed_size")
        age = family("saltern_log_witnessed_age_seconds")
        for stream, (_, leaves, time_s) in self._last.items():
            size.add_metric((stream.value,), leaves)
            age.add_metric((stream.value,), self._now_s() - time_s)
        yield size
        yield age
        failures = family("saltern_log_witness_failures")
        for ending in (Ending.UNREACHABLE, Ending.REFUSED, Ending.GARBAGE, Ending.FORK):
            failures.add_metric((ending.value,), self._failures[ending])
        yield failures

    # --- the loop ---
    async def _work(self) -> None:
        await asyncio.to_thread(self._find)
        timeout = aiohttp.ClientTimeout(total=limits.WITNESS_ANSWER_S)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            while True:
                self._wake.clear()
                self._take_published()
                due = self._timetable.due(self._monotonic_s())
                for number, log in enumerate(due):
                    if await self._send(session, log) is Ending.UNREACHABLE:
                        for other in due[number + 1 :]:
                            self._timetable.failed(other, self._monotonic_s())
                        break
                    self._take_published()
                await self._wait()

    async def _wait(self) -> None:
        next_s = self._timetable.next_s()
        wait_s = None if next_s is None else max(0.0, next_s - self._monotonic_s())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), wait_s)

    def _take_published(self) -> None:
        while self._published:
            log = self._published.pop()
            if log not in self._forked:
                self._timetable.want(log)

    def _find(self) -> None:
        """Find what the witness has not seen; its last cosignatures, too."""
        try:
            months = months_of(self._logs)
        except OSError as error:
            _LOG.error("the logs cannot be listed for the witness: %s", error)
            return
        for stream in Stream:
            for month in months[stream.value]:
                log = LogName(stream, month)
                try:
                    current = self._read(log)
                except (OSError, ValueError):
                    continue  # it is told when that log is sent
                if current is not None and current.cosigned != current.checkpoint:
                    self._published.append(log)

    async def _send(self, session: aiohttp.ClientSession, log: LogName) -> Ending:
        self._timetable.begin(log)
        try:
            ending = await self._exchange(session, log)
            why = ""
        except _AskingError as error:
            ending, why = error.ending, str(error)
        except (OSError, ValueError) as error:
            ending, why = Ending.REFUSED, f"the log cannot be read: {error}"
        if ending in (Ending.COSIGNED, Ending.NOTHING):
            self._timetable.sent(log, self._monotonic_s())
            if self._told.pop(log, None) is not None:
                _LOG.warning("%s: the witness cosigns again", log)
            return ending
        self._failures[ending] += 1
        if ending is Ending.FORK:
            self._fork(log, why)
            return ending
        self._timetable.failed(log, self._monotonic_s())
        if self._told.get(log) is not ending:  # once, until it is another
            self._told[log] = ending
            _LOG.error("%s: not cosigned by the witness, it is asked again: %s", log, why)
        return ending

    def _fork(self, log: LogName, why: str) -> None:
        self._forked.add(log)
        self._timetable.drop(log)
        _LOG.critical(
            "%s: 见证方持有的日志与本节点不一致（分叉或回退），请立即查明。"
            "The witness holds another history of this log than this node (fork or rollback): %s", log, why,
        )  # fmt: skip
        try:
            self._note(FORK, str(log), why)
        except NodeError as error:
            _LOG.critical("%s: the fork is not entered into the maintenance log: %s", log, error.message)

    # --- one question ---
    async def _exchange(self, session: aiohttp.ClientSession, log: LogName) -> Ending:
        """Send one log. Errors: _AskingError, OSError, ValueError."""
        held: int | None = None  # what the witness says that it holds
        for _ in range(_ASKED):
            current = await asyncio.to_thread(self._read, log)
            if current is None:
                return Ending.NOTHING
            old, checkpoint = _old(current, held), current.checkpoint
            if held is None and current.cosigned == checkpoint:
                return Ending.NOTHING
            body = await asyncio.to_thread(self._request, log, current, old)
            status, answer = await self._post(session, body)
            if status == OK:
                await asyncio.to_thread(self._keep, log, current, answer)
                return Ending.COSIGNED
            if status == CONFLICT:
                size = parse_size(answer)
                if size is None or size == old:
                    raise _AskingError(Ending.GARBAGE, "409 with no size that differs from what was sent")
                if size > checkpoint.size:
                    await self._require_larger(log, size)
                held = size
            elif status == HTTP_UNPROCESSABLE and old:
                raise _AskingError(Ending.FORK, f"it holds another root of size {old}, which does not begin ours")
            elif status >= HTTP_SERVER_ERRORS:
                raise _AskingError(Ending.UNREACHABLE, f"it answers {status}")
            else:
                raise _AskingError(Ending.REFUSED, f"it answers {status}: {_told(answer)}")
        raise _AskingError(Ending.GARBAGE, "it says another size each time")

    async def _require_larger(self, log: LogName, size: int) -> None:
        """Errors: _AskingError(FORK) unless the log has grown to what the witness holds while it was asked."""
        current = await asyncio.to_thread(self._read, log)
        if current is not None and current.checkpoint.size < size:
            raise _AskingError(Ending.FORK, f"it holds {size} leaves, this node {current.checkpoint.size}")

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> tuple[int, bytes]:
        answer = b""
        try:
            async with session.post(self._address, data=body, allow_redirects=False) as response:
                async for piece in response.content.iter_chunked(limits.WITNESS_ANSWER_BYTES_MAX):
                    answer += piece
                    if len(answer) > limits.WITNESS_ANSWER_BYTES_MAX:
                        raise _AskingError(Ending.GARBAGE, "its answer is too long")
                return response.status, answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _AskingError(Ending.UNREACHABLE, str(error) or type(error).__name__) from None

    # --- the disk ---
    def _read(self, log: LogName) -> _Current | None:
        """Read what is published of a log, None if it was dropped. Errors: OSError, ValueError."""
        folder = self._folder(log)
        try:
            note = (folder / CHECKPOINT).read_bytes()
        except FileNotFoundError:
            return None
        return _Current(note, parse_checkpoint(open_note(note, ()).text), self._cosigned(log))

    def _cosigned(self, log: LogName) -> Checkpoint | None:
        """Return what this witness cosigned last; None where the file is another's, or no note."""
        try:
            note = open_note((self._folder(log) / COSIGNED).read_bytes(), [self._key])
            time_s = cosignature_time(note, self._key)
            checkpoint = parse_checkpoint(note.text)
        except (FileNotFoundError, ValueError):
            return None
        self._remember(log, checkpoint.size, time_s)
        return checkpoint

    def _request(self, log: LogName, current: _Current, old: int) -> bytes:
        """Return the body to send. Errors: OSError, ValueError."""
        folder, size = self._folder(log), current.checkpoint.size
        subtree = subtree_of(lambda path: (folder / path).read_bytes(), size)
        proof = consistency_proof(old, size, subtree) if 0 < old <= size else []
        return dump_request(AddCheckpoint(old, tuple(proof), current.note))

    def _keep(self, log: LogName, current: _Current, answer: bytes) -> None:
        """Keep a cosigned checkpoint. Errors: _AskingError for an answer without this witness's signature, OSError."""
        lines = [line for line in _text(answer).split("\n") if line.startswith(f"{_DASH}{self._key.name} ")]
        note = current.note + "".join(f"{line}\n" for line in lines[:1]).encode()
        try:
            time_s = cosignature_time(open_note(note, [self._key]), self._key)
        except ValueError as error:
            raise _AskingError(Ending.GARBAGE, f"its signature is none: {error}") from None
        folder, before = self._folder(log), self._cosigned(log)
        if before is None or before.size < current.checkpoint.size:
            self._files.replace(folder / COSIGNED, note)
            self._files.sync_folder(folder)
        self._remember(log, current.checkpoint.size, time_s)

    def _remember(self, log: LogName, size: int, time_s: int) -> None:
        last = self._last.get(log.stream)
        if last is None or (log.month, size) >= last[:2]:
            self._last[log.stream] = (log.month, size, time_s)

    def _folder(self, log: LogName) -> Path:
        return self._logs / log.stream.value / log.month


def _old(current: _Current, held: int | None) -> int:
    """Return the size that the witness holds, as far as is known. Errors: _AskingError(FORK): our log went back."""
    cosigned, checkpoint = current.cosigned, current.checkpoint
    if cosigned is not None:
        if cosigned.size > checkpoint.size:
            raise _AskingError(Ending.FORK, f"it cosigned {cosigned.size} leaves, this node has {checkpoint.size}")
        if cosigned.size == checkpoint.size and cosigned.root != checkpoint.root:
            raise _AskingError(Ending.FORK, f"it cosigned another root of size {cosigned.size}")
    if held is not None:
        return held
    return 0 if cosigned is None else cosigned.size


def _text(answer: bytes) -> str:
    return answer.decode("utf-8", "replace")


def _told(answer: bytes) -> str:
    """Return what a witness says, so that it is one short line of the node's log."""
    return "".join(each for each in _text(answer[:200]) if each.isprintable())


def load_witness(config: Config, note: Note) -> LogWitness | None:
    """Return what informs the witness of the configuration, None without one. Errors: ConfigError."""
    url = config.text("log.witness")
    if not url:
        return None
    return LogWitness(config.data / "log", _checked(url), _load_key(config), note)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(
            f"log.witness: {url!r} 不是网址，应如 https://witness.example.cn。"
            "That is no web address, as https://witness.example.cn",
            setting="log.witness",
        )
    return url


def _load_key(config: Config) -> NoteKey:
    path = config.file("log.witness_key")
    if path is None:
        raise ConfigError(
            "log.witness_key: 设置了见证方，但未指定其公钥文件。There is a witness, but no file with its vkey is named",
            setting="log.witness_key",
        )
    try:
        with path.open("rb") as file:
            key = parse_vkey(file.read(limits.WITNESS_KEY_FILE_BYTES_MAX).decode().strip())
        if key.kind != COSIGNATURE:
            raise NoteError("it is the key of a log, not of a witness")
    except OSError as error:
        raise ConfigError(f"log.witness_key: 无法读取 {path}。Cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(
            f"log.witness_key: {path} 不是见证方的 vkey。{path} is no vkey of a witness: {error}"
        ) from None
    return key
