"""The figures of the monthly report: name, Chinese, English, unit, and what each one says. The only table of them.

docs/reference/monthly-report.md is held to it by a test.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Definition(NamedTuple):
    """``unit``: of the value in the JSON; empty for a text. ``says``: Chinese and English."""

    name: str
    zh: str
    en: str
    unit: str
    says: tuple[str, str]


_MEAN: Final = (
    "当月全部应答的时延之和除以应答数；时延自首个字节到达至应答交给内核",
    "sum of the latencies of all answers of the month, divided by their number; "
    "from the first octet that came to the answer's hand-over to the kernel",
)
_MAX: Final = ("当月单次最大时延；其所在的秒见下一项", "largest single latency; the second it happened in follows")
_MIN: Final = ("当月单次最小时延；其所在的秒见下一项", "smallest single latency; the second it happened in follows")
_AT: Final = ("上一项所在的秒；有多个时取最早", "second of the figure above; the earliest of several")
_PEAK: Final = ("当月最忙一秒内的应答数", "answers in the busiest second of the month")
_COUNT: Final = ("当月应答数", "answers of the month")


def _latencies(name: str, zh: str, en: str) -> tuple[Definition, ...]:
    return (
        Definition(f"{name}_rtt_mean", f"{zh}平均时延（RTT）", f"{en} RTT, mean", "ms", _MEAN),
        Definition(f"{name}_rtt_max", f"{zh}最大时延", f"{en} RTT, largest", "ms", _MAX),
        Definition(f"{name}_rtt_max_at", f"{zh}最大时延发生时间", f"{en} RTT, largest, in the second", "", _AT),
        Definition(f"{name}_rtt_min", f"{zh}最小时延", f"{en} RTT, smallest", "ms", _MIN),
        Definition(f"{name}_rtt_min_at", f"{zh}最小时延发生时间", f"{en} RTT, smallest, in the second", "", _AT),
        Definition(f"{name}_peak", f"{zh}峰值", f"{en}, busiest second", "1/s", _PEAK),
        Definition(f"{name}_peak_at", f"{zh}峰值发生时间", f"{en}, busiest second, when", "", _AT),
        Definition(f"{name}_answers", f"{zh}应答数", f"{en}, answers", "", _COUNT),
    )


_SHARE: Final = (
    "可用秒数除以应运行秒数。应运行：节点首个监测小时以来当月全部小时，减计划停机；可用：该轮自探测判为可用的时段，"
    "缺记录的小时计为不可用；每小时可用不超过应运行。舍去第五位小数",
    "seconds available, divided by seconds owed. Owed: all hours of the month since the first that was measured, less "
    "planned downtime; available: periods that the self-probes found so, no hour more than is owed of it; an hour "
    "without an entry was not. Cut behind the fourth decimal",
)

DEFINITIONS: Final = (
    Definition("operator", "运营单位全称", "Operator", "", ("配置 about.operator", "setting about.operator")),
    Definition(
        "running_hours", "当月运行时间", "Running hours", "h",
        ("已进行的自探测轮次所代表的时间，不论结果", "time that rounds of self-probes stand for, whatever they found"),
    ),
    Definition("availability", "系统可用率", "Availability", "%", (
        f"解析与注册同时可用。{_SHARE[0]}", f"resolution and registration at once: {_SHARE[1]}"
    )),
    Definition("availability_resolution", "解析可用率", "Availability of resolution", "%", (
        "同上，仅看解析：UDP、TCP、HTTP 自探测失败少于 51 %",
        "as above, resolution alone: less than 51 % of the ways asked (UDP, TCP, HTTP) failed",
    )),
    Definition("availability_registration", "注册可用率", "Availability of registration", "%", (
        "同上，仅看注册：一次落盘的空写入成功", "as above, registration alone: a durable write that changes nothing"
    )),
    *_latencies("registration", "注册", "Registration"),
    *_latencies("resolution", "解析", "Resolution"),
    Definition("effective_mean", "注册生效时间（平均）", "Registration effective time, mean", "h", (
        "前缀自最后一次审核通过（本节点，或国家节点批复）至可解析（写入其前缀标识）；只计当月生效且日志中有审核记录的前缀",
        "of a prefix, from its last approval (here, or the national verdict) until it resolves (its prefix handle is "
        "written); of those that came to resolve in the month and whose approval is in a log",
    )),
    Definition("effective_median", "注册生效时间（中位数）", "Registration effective time, median", "h", (
        "平均值改为中位数，其余同上", "as above, the median instead of the mean"
    )),
    Definition("effective_prefixes", "当月生效前缀数", "Prefixes that came to resolve", "", (
        "计入上两项的前缀数", "number of prefixes in the two figures above"
    )),
    Definition("planned_downtimes", "计划停机次数", "Planned downtimes", "", (
        "涉及当月、未撤销的登记；时间重叠的合为一次",
        "entered, not taken back, touching the month; overlapping ones are one",
    )),
    Definition("planned_hours", "计划停机时间", "Planned downtime", "h", (
        "其中落在当月应计小时内的时间", "what of it lies in the hours of the month that count"
    )),
    Definition("emergencies", "突发事件数", "Emergencies", "", (
        "当月发生，或此前发生而当月仍未恢复的登记事件",
        "incidents on record that occurred in the month, or were not over before it",
    )),
    Definition("anomalies", "异常次数", "Anomalies", "", (
        "涉及当月的异常（本节点及下属企业节点）", "anomalies touching the month, of this node and those below it"
    )),
)  # fmt: skip

BY_NAME: Final = {each.name: each for each in DEFINITIONS}
