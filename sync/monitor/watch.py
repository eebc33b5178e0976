"""Decides what is an anomaly and when it is over (docking agreement, annex 2). Pure: the time is passed in.

1. A condition of a subject is good or bad. It changes once CONFIRMED readings in a row say the other; the second it
   changed in is that of the first of them. So nothing flaps: what is bad once, or good once, changes nothing.
2. An anomaly has its number; the recovery ends just that one. Numbers rise, whatever was there before.
3. At most WATCH_OPEN_MAX anomalies are open, WATCH_ANOMALIES_A_DAY begin on a day of Asia/Shanghai. Where there are
   more, one more (``events``) says so, until none was left out for WATCH_CALM_MS; those that are still bad begin when
   there is room. Recoveries are always told.
4. What is open when the process ends is open when the next one begins: ``known``.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from core import limits
from core.clock import Millis, format_instant, shanghai_date
from sync.monitor.figures import NODE
from sync.monitor.happening import Happening, Kind, Status
from sync.monitor.observation import Observation, Way

CONFIRMED: Final = 2
FAILED_PERCENT: Final = 51
"""Of the ways that were asked: as many failures are an outage (docking agreement, annex 4)."""

RESOLUTION: Final = "resolution"
REGISTRATION: Final = "registration"
DISK: Final = "disk"
RESERVE: Final = "disk-reserve"
LOGS: Final = "logs"
PROCESSES: Final = "processes"
RATE_LIMITED: Final = "rate-limited"
LOGINS: Final = "log-ins"
AWAY: Final = "away"
EVENTS: Final = "events"
UPSTREAM: Final = "upstream "
_SECOND_MS: Final = 1_000
_NUMBER_DIGITS: Final = 8


class Upstream(NamedTuple):
    """A top node: ``since_ms`` it was found away, 0 while it answers; ``fault``: why, as it was found."""

    since_ms: int
    fault: str = ""


class Facts(NamedTuple):
    """What is read of the node at one moment.

    ``free_bytes``: of the fullest disk, ``stop`` and ``reserve``: below which registration or resolution stops, 0 for
    no guard. ``upstreams``: by key id. ``log_failures``, ``restarts``, ``limited``, ``refused_logins``: counted since
    the node started; one that falls has begun anew. ``delegated``: whether a prefix is still that of an enterprise
    node that is probed.
    """

    free_bytes: int
    stop: int = 0
    reserve: int = 0
    upstreams: Mapping[str, Upstream] = {}
    log_failures: int = 0
    restarts: int = 0
    limited: int = 0
    refused_logins: int = 0
    delegated: Callable[[str], bool] = lambda _: True


class _Place(NamedTuple):
    subject: str
    condition: str


class _Reading(NamedTuple):
    """What one look says of a condition. ``cause``: of what is bad, or of its end."""

    bad: bool
    at_ms: int
    kind: Kind
    cause: str = ""


class _State(NamedTuple):
    """One condition of one subject. ``number`` of its anomaly, empty while it is good.

    ``against``: readings in a row that say the other; ``since_ms``: time of the first of them.
    """

    number: str = ""
    against: int = 0
    since_ms: int = 0


class _Counted(NamedTuple):
    """A condition that is a number of events in a time. Bad from ``bad_from`` on, good below ``good_below``."""

    condition: str
    kind: Kind
    member: str
    window_ms: int
    bad_from: int
    good_below: int
    zh: str
    en: str


_COUNTED: Final = (
    _Counted(
        LOGS, Kind.SYSTEM, "log_failures", limits.WATCH_MINUTE_MS, 1, 1,
        "一分钟内留存日志写入或发布失败 {count} 次", "The statutory logs failed {count} times in a minute",
    ),
    _Counted(
        PROCESSES, Kind.SYSTEM, "restarts", limits.WATCH_RESTARTS_MS, limits.WATCH_RESTARTS, 1,
        "十分钟内进程重启 {count} 次", "Processes were started again {count} times in ten minutes",
    ),
    _Counted(
        RATE_LIMITED, Kind.ATTACK, "limited", limits.WATCH_MINUTE_MS, limits.WATCH_LIMITED, limits.WATCH_LIMITED // 2,
        "一分钟内 {count} 个请求因来源过频被拒绝", "{count} requests of sources that made too many in a minute",
    ),
    _Counted(
        LOGINS, Kind.ATTACK, "refused_logins", limits.WATCH_MINUTE_MS, limits.WATCH_LOGINS, limits.WATCH_LOGINS // 2,
        "一分钟内登录失败 {count} 次", "{count} failed log-ins in a minute",
    ),
)  # fmt: skip


class _Window:
    """How often something happened within a time, from a number that is counted up."""

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._marks: list[tuple[int, int]] = []  # time and increase; as many as there are looks within the time
        self._total: int | None = None

    def add(self, now_ms: int, total: int) -> int:
        """Take the number as it is now; return the increase within the time."""
        known = total if self._total is None else self._total
        increase = total - known if total >= known else total
        if increase:
            self._marks.append((now_ms, increase))
        self._total = total
        self._marks = [mark for mark in self._marks if now_ms - self._window_ms < mark[0] <= now_ms]
        return sum(more for _, more in self._marks)


class _Round(NamedTuple):
    """What was observed of one subject in one round. ``over``: it was judged, what still comes is late."""

    subject: str
    at_ms: int
    seen: dict[Way, Observation]
    over: bool = False


class Watch:
    """Watches one node.

    ``known``: all that happened before, in the order of numbers. ``last``: number that new ones lie behind.
    ``late_ms``: how long after the begin of a round its last observation comes.
    Bounds: WATCH_STATES_MAX conditions that are not simply good.
    """

    def __init__(self, known: Iterable[Happening] = (), *, late_ms: int, last: int = 0) -> None:
        self._late_ms = late_ms
        self._states: dict[_Place, _State] = {}
        self._open: dict[str, Happening] = {}
        self._last = last
        self._away_ms = -1
        self._day = datetime.date.min
        self._begun = 0
        self._left_out_ms: int | None = None
        self._rounds: dict[str, _Round] = {}
        self._over: list[_Round] = []
        self._windows = {each.condition: _Window(each.window_ms) for each in _COUNTED}
        for happening in known:
            self._keep(happening, happening.at_ms)

    @property
    def open(self) -> tuple[Happening, ...]:
        """The anomalies that are not over."""
        return tuple(self._open.values())

    def observe(self, seen: Observation) -> None:
        """Take what a probe found. The first of a new round ends the one before; what comes later for that is late."""
        known = self._rounds.get(seen.subject)
        if known is None and len(self._rounds) >= limits.WATCH_STATES_MAX:
            return
        if known is not None and 0 <= known.at_ms - seen.at_ms <= self._late_ms:
            if known.at_ms == seen.at_ms and not known.over:
                known.seen[seen.way] = seen
            return
        if known is not None and not known.over and len(self._over) < limits.WATCH_STATES_MAX:
            self._over.append(known)
        self._rounds[seen.subject] = _Round(seen.subject, seen.at_ms, {seen.way: seen})

    def tick(self, now_ms: Millis, facts: Facts) -> list[Happening]:
        """Look at everything; return what changed, in the order of numbers."""
        happened: list[Happening] = []
        for place, reading in (*self._of_probes(now_ms), *self._of_facts(now_ms, facts)):
            self._read(place, reading, now_ms, happened)
        self._forget(now_ms, facts, happened)
        self._tell_left_out(now_ms, happened)
        return happened

    def was_away(self, since_ms: int, now_ms: Millis, *, planned: bool) -> list[Happening]:
        """Tell that the node did not run: an anomaly and its recovery at once; nothing of less than WATCH_AWAY_MS, nor
        of what is told already: by a process that was killed before it noted that the node runs.

        ``planned``: it was told to stop.
        """
        if now_ms - since_ms < limits.WATCH_AWAY_MS or since_ms - since_ms % _SECOND_MS == self._away_ms:
            return []
        times = f"{format_instant(since_ms)} – {format_instant(now_ms)}"
        cause = f"节点未运行，且未收到停止指令。The node did not run, and had not been told to stop ({times})"
        if planned:
            cause = f"节点按指令停止。The node was told to stop ({times})"
        happened: list[Happening] = []
        place = _Place(NODE, AWAY)
        self._end(place, since_ms, _BACK, happened)  # of one whose recovery was not written any more
        self._begin(place, since_ms, _Reading(True, since_ms, Kind.SYSTEM, cause), now_ms, happened)
        self._end(place, now_ms, _BACK, happened)
        return happened

    # --- readings ---
    def _of_probes(self, now_ms: int) -> Iterator[tuple[_Place, _Reading]]:
        """Yield what rounds say that are over: another one began, or their time has passed, or the clock has jumped."""
        for known in tuple(self._rounds.values()):
            passed_ms = abs(now_ms - known.at_ms)
            if passed_ms >= self._late_ms and not known.over:
                self._over.append(known)
                self._rounds[known.subject] = known._replace(over=True)
            elif passed_ms >= 2 * self._late_ms:
                del self._rounds[known.subject]
        over, self._over = self._over, []
        for each in sorted(over, key=lambda known: known.at_ms):
            yield from _judge(each)

    def _of_facts(self, now_ms: int, facts: Facts) -> Iterator[tuple[_Place, _Reading]]:
        for condition, below, zh, en in (
            (DISK, facts.stop, "停止注册", "nothing is registered"),
            (RESERVE, facts.reserve, "停止解析", "nothing is resolved"),
        ):
            bad = facts.free_bytes < below
            if bad or facts.free_bytes >= below + below // limits.WATCH_DISK_MARGIN:
                cause = f"磁盘剩余 {facts.free_bytes} 字节，低于 {below}，{zh}。Free space is below the bound: {en}"
                enough = f"磁盘剩余 {facts.free_bytes} 字节。There is room again"
                yield _Place(NODE, condition), _Reading(bad, now_ms, Kind.SYSTEM, cause if bad else enough)
        for upstream, found in facts.upstreams.items():
            bad = bool(found.since_ms) and now_ms - found.since_ms >= limits.WATCH_UPSTREAM_MS
            if bad or not found.since_ms:
                cause = f"上级节点无应答。The top node does not answer: {found.fault}"
                told = cause if bad else "上级节点恢复应答。The top node answers again"
                at_ms = found.since_ms if bad else now_ms
                yield _Place(NODE, UPSTREAM + upstream), _Reading(bad, at_ms, Kind.NETWORK, told)
        for each in _COUNTED:
            count = self._windows[each.condition].add(now_ms, getattr(facts, each.member))
            bad = count >= each.bad_from
            if bad or count < each.good_below:
                cause = f"{each.zh}。{each.en}".format(count=count)
                yield _Place(NODE, each.condition), _Reading(bad, now_ms, each.kind, cause if bad else _CALM)
        yield _Place(NODE, AWAY), _Reading(False, now_ms, Kind.SYSTEM, _BACK)

    def _read(self, place: _Place, reading: _Reading, now_ms: int, happened: list[Happening]) -> None:
        """Take one reading."""
        state = self._states.get(place, _State())
        if reading.bad is bool(state.number):
            self._put(place, state._replace(against=0))
            return
        since_ms = state.since_ms if state.against else reading.at_ms
        state = state._replace(against=min(state.against + 1, CONFIRMED), since_ms=since_ms)
        if not self._put(place, state):
            self._left_out_ms = now_ms
        elif state.against < CONFIRMED:
            return
        elif reading.bad:
            self._begin(place, since_ms, reading, now_ms, happened)
        else:
            self._end(place, since_ms, reading.cause, happened)

    def _put(self, place: _Place, state: _State) -> bool:
        """Keep a state; those that are simply good are not kept. Return whether there is room for it."""
        if state == _State(since_ms=state.since_ms):
            self._states.pop(place, None)
        elif place in self._states or len(self._states) < limits.WATCH_STATES_MAX:
            self._states[place] = state
        else:
            return False
        return True

    # --- what changes ---
    def _begin(
        self, place: _Place, since_ms: int, reading: _Reading, now_ms: int, happened: list[Happening]
    ) -> None:  # fmt: skip
        """Begin an anomaly, if there is room for it."""
        today = shanghai_date(now_ms)
        crowded = len(self._open) >= limits.WATCH_OPEN_MAX
        if place.condition != EVENTS and (
            crowded or (today == self._day and self._begun >= limits.WATCH_ANOMALIES_A_DAY)
        ):
            self._left_out_ms = now_ms
            return
        at_ms = Millis(since_ms - since_ms % _SECOND_MS)
        cause = reading.cause[: limits.WATCH_CAUSE_CHARS]
        self._tell(Happening("", Status.ANOMALY, *place, reading.kind, at_ms, "", cause), now_ms, happened)

    def _end(self, place: _Place, at_ms: int, cause: str, happened: list[Happening]) -> None:
        """End the anomaly of a condition, if there is one."""
        begun = self._open.get(self._states.get(place, _State()).number)
        if begun is None:
            return
        at_ms = max(at_ms - at_ms % _SECOND_MS, begun.at_ms)
        cause = cause[: limits.WATCH_CAUSE_CHARS]
        self._tell(
            Happening("", Status.RECOVERED, *place, begun.kind, Millis(at_ms), begun.number, cause), at_ms, happened
        )

    def _tell(self, happening: Happening, now_ms: int, happened: list[Happening]) -> None:
        numbered = happening._replace(number=f"E{self._last + 1:0{_NUMBER_DIGITS}d}")
        self._keep(numbered, now_ms)
        happened.append(numbered)

    def _keep(self, happening: Happening, now_ms: int) -> None:
        """Take note of something that happened, now or before this process began."""
        self._last = max(self._last, int(happening.number[1:]))
        place = _Place(happening.subject, happening.condition)
        if happening.status is Status.RECOVERED:
            self._open.pop(happening.ends, None)
            if self._states.get(place, _State()).number == happening.ends:
                del self._states[place]
            return
        if place.condition == AWAY:
            self._away_ms = happening.at_ms
        self._open.pop(self._states.get(place, _State()).number, None)  # of rows that contradict one another
        self._open[happening.number] = happening
        self._states[place] = _State(happening.number)
        day = shanghai_date(now_ms)
        if day != self._day:
            self._day, self._begun = day, 0
        self._begun += happening.condition != EVENTS

    def _forget(self, now_ms: int, facts: Facts, happened: list[Happening]) -> None:
        """End the anomalies of what is not watched any more."""
        for each in tuple(self._open.values()):
            gone = ""
            if each.subject != NODE and not facts.delegated(each.subject):
                gone = (
                    "该前缀不再由企业节点解析，或已无可探测的站点。The prefix is not served by an enterprise node any "
                    "more, or has no site that can be asked"
                )
            elif each.condition.startswith(UPSTREAM) and each.condition[len(UPSTREAM) :] not in facts.upstreams:
                gone = "已断开该上级节点。The top node is not connected any more"
            if gone:
                self._end(_Place(each.subject, each.condition), now_ms, gone, happened)

    def _tell_left_out(self, now_ms: int, happened: list[Happening]) -> None:
        """Tell that anomalies were left out, and when there are none any more."""
        place, left_out_ms = _Place(NODE, EVENTS), self._left_out_ms
        known = place in self._states
        if left_out_ms is None and not known:
            return
        calm = left_out_ms is None or not 0 <= now_ms - left_out_ms < limits.WATCH_CALM_MS
        if calm and known:
            self._left_out_ms = None
            self._end(place, now_ms, "异常数量回到上限以内。As few anomalies as are told again", happened)
        elif not calm and not known:
            cause = "异常过多，其余未逐一报告。There are more anomalies than are told one by one"
            self._begin(place, now_ms, _Reading(True, now_ms, Kind.OTHER, cause), now_ms, happened)


_CALM: Final = "已恢复正常。It is calm again"
_BACK: Final = "节点恢复运行。The node runs again"


def _judge(seen: _Round) -> Iterator[tuple[_Place, _Reading]]:
    """Yield what one round says."""
    ways = {way: each for way, each in seen.seen.items() if way is not Way.REGISTRATION}
    failed = [each for each in ways.values() if each.rtt_us is None]
    kind = Kind.SYSTEM if seen.subject == NODE else Kind.NETWORK
    if ways:
        bad = len(failed) * 100 >= FAILED_PERCENT * len(ways)
        told = "; ".join(f"{each.way.value}: {each.fault}" for each in sorted(failed, key=lambda each: each.way.value))
        cause = f"解析探测失败。Probes of resolution fail: {told}" if bad else "解析恢复。It resolves again"
        yield _Place(seen.subject, RESOLUTION), _Reading(bad, seen.at_ms, kind, cause)
    registration = seen.seen.get(Way.REGISTRATION)
    if registration is not None:
        bad = registration.rtt_us is None
        cause = f"注册自测失败。The probe of registration fails: {registration.fault}" if bad else _REGISTERS
        yield _Place(seen.subject, REGISTRATION), _Reading(bad, seen.at_ms, kind, cause)


_REGISTERS: Final = "注册恢复。It registers again"
