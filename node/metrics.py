"""All metrics of a node: one table, from which ``/metrics`` and the page ``docs/reference/metrics.md`` are made.

A collector makes a series by ``family``; a name that is not in the table is an error, so that none is undocumented.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

Family = CounterMetricFamily | GaugeMetricFamily


class MetricKind(NamedTuple):
    """One metric. ``counts``: it only rises while the node runs, and is shown as ``<name>_total``."""

    name: str
    counts: bool
    labels: tuple[str, ...]
    zh: str
    en: str


def _counter(name: str, zh: str, en: str, *labels: str) -> MetricKind:
    return MetricKind(name, counts=True, labels=labels, zh=zh, en=en)


def _gauge(name: str, zh: str, en: str, *labels: str) -> MetricKind:
    return MetricKind(name, counts=False, labels=labels, zh=zh, en=en)


_OF_TABLE: Final = ("upstream", "table")

METRICS: Final[tuple[MetricKind, ...]] = (
    _counter("saltern_http_requests", "HTTP 应答数", "HTTP answers", "method", "status"),
    _counter("saltern_resolutions", "按结果统计的解析数", "Resolutions by how they ended", "outcome"),
    _counter(
        "saltern_handle_messages", "Handle 协议消息数",
        "Messages of the Handle protocol; transport: udp, tcp, http", "transport",
    ),
    _counter(
        "saltern_dns_answers", "按应答码统计的 DNS 应答数",
        "Answers of DNS; transport: udp, tcp; rcode: noerror, nxdomain, …", "transport", "rcode",
    ),
    _counter(
        "saltern_dns_transfers", "区传送请求数",
        "Questions for a transfer of a zone; ending: whole, current (nothing newer), refused, cut", "ending",
    ),
    _gauge("saltern_dns_zone_serial", "区的序号", "Serial of the zones; absent without secondaries"),
    _gauge(
        "saltern_dns_notified_serial", "从服务器已确认的序号",
        "Serial of a zone that a secondary has acknowledged to have heard of", "secondary", "zone",
    ),
    _gauge("saltern_dns_notify_waiting", "从服务器尚未确认时为 1", "1 until it has heard of it", "secondary", "zone"),
    _counter(
        "saltern_rate_limited", "因来源超速被拒绝的请求数",
        "Requests of sources that made too many; front: http, handle, dns", "front",
    ),
    _counter(
        "saltern_log_failures", "解析日志写入失败的次数，相应请求被拒绝",
        "Turns whose resolution log could not be written; their questions were refused",
    ),
    _counter("saltern_log_round_failures", "公布失败的次数", "Rounds of publication that failed"),
    _gauge(
        "saltern_log_round_age_seconds", "距上次成功公布日志的秒数",
        "Since the logs were published last, or there was nothing to publish; above 60: auditors see nothing new",
    ),
    _gauge(
        "saltern_log_witnessed_size", "见证方已副署的条数",
        "Leaves of the newest month that the witness cosigned; absent without a witness", "stream",
    ),
    _gauge("saltern_log_witnessed_age_seconds", "距上次副署的秒数", "Since it cosigned last", "stream"),
    _counter(
        "saltern_log_witness_failures", "未获副署的次数",
        "Checkpoints that were not cosigned; kind: unreachable, refused, garbage, fork", "kind",
    ),
    _gauge(
        "saltern_log_disk_free_bytes", "数据、存储与日志所在磁盘的最小剩余空间",
        "Free space of the fullest disk of data, store and logs",
    ),
    _gauge(
        "saltern_log_disk_stopped", "因空间不足停止时为 1",
        "1 while it stops for want of space; what: registration, resolution", "what",
    ),
    _counter("saltern_registrar_groups", "注册进程的事务数", "Transactions of the registrar"),
    _counter("saltern_registrar_requests", "变更请求数（一个批量计一）", "Changes run; a batch is one"),
    _counter("saltern_registrar_refusals", "其中被拒绝数", "Of these, refused"),
    _counter("saltern_process_restarts", "进程重启数", "Processes started again"),
    _gauge(
        "saltern_licence_days_left", "许可剩余天数，到期日为 0，之后为负",
        "Days until the licence ends: 0 on its last day, below 0 when it is over; absent without a licence",
    ),
    _counter("saltern_login_failures", "登录失败次数", "Log-ins that were refused"),
    _gauge("saltern_probe_up", "最近一次探测得到应答为 1", "1 where the last probe was answered", "subject", "way"),
    _gauge("saltern_probe_seconds", "该应答的用时", "How long that answer took", "subject", "way"),
    _gauge("saltern_probe_age_seconds", "距上一轮自探测的秒数", "Since the last round of self-probes"),
    _gauge("saltern_monitor_age_seconds", "距已统计到的时刻的秒数", "Since the second up to which answers are counted"),
    _gauge(
        "saltern_monitor_periods", "本小时自探测的轮数：全部，及各项可用的轮数",
        "Rounds of self-probes in this hour: all, and those in which it was available", "available",
    ),
    _gauge("saltern_monitor_answers", "本小时应答数", "Answers in this hour", "service"),
    _gauge(
        "saltern_monitor_latency_seconds", "本小时时延：平均、最大、最小；无应答时不出现",
        "Latency in this hour; figure: mean, max, min; absent without an answer", "service", "figure",
    ),
    _gauge("saltern_monitor_peak", "本小时最繁忙一秒的应答数", "Answers in the busiest second of this hour", "service"),
    _gauge("saltern_monitor_anomalies", "未恢复的异常数", "Anomalies that are not over", "kind"),
    _gauge("saltern_backup_age_seconds", "距最近一次完整备份开始的秒数", "Since the newest whole backup was begun"),
    _gauge("saltern_backup_failed", "最近一次备份失败为 1", "1 while the last backup that was begun has failed"),
    _counter("saltern_backup_failures", "失败的备份次数", "Backups that failed"),
    _gauge("saltern_escrow_age_seconds", "距最近一次托管数据开始制作的秒数", "Since the newest deposit was begun"),
    _gauge(
        "saltern_escrow_deposits", "本机所存托管数据份数，按上级处理结果",
        "Deposits that lie here, by what became of them", "upstream", "stage",
    ),
    _gauge(
        "saltern_escrow_rejected", "上级节点最近一次结论为拒收时为 1",
        "1 while the newest verdict of a top node is a rejection; absent before its first", "upstream",
    ),
    _gauge(
        "saltern_escrow_failed", "最近一次托管数据制作失败为 1", "1 while the last deposit that was begun has failed"
    ),
    _counter("saltern_escrow_failures", "失败的托管数据制作次数", "Deposits that failed"),
    _gauge("saltern_store_rows", "行数", "Rows", "table"),
    _gauge("saltern_store_file_bytes", "数据文件占用", "Size of the data file on the disk"),
    _gauge("saltern_store_readers", "读者槽位", "Reader slots in use, of 1 024"),
    _gauge("saltern_change_serial", "最后变更的序号", "Serial of the last change"),
    _gauge(
        "saltern_parties_to_confirm", "联系信息待重新确认的主体数",
        "Parties whose contact is to be confirmed again",
    ),
    _gauge("saltern_holds", "依令停止解析的对象数", "Targets on hold by order of the regulator", "kind"),
    _gauge("saltern_incidents_open", "未结束的突发事件数", "Incidents that are not closed", "severity"),
    _gauge("saltern_incident_reports_overdue", "逾期未报告的事件数", "Incidents that were not reported in time"),
    _gauge(
        "saltern_incident_report_due_seconds", "距报告时限的秒数，负数为逾期；无待报告事件时不出现",
        "Until the next report is due, below 0: overdue; absent where none is awaited",
    ),
    _gauge("saltern_complaints", "投诉数", "Complaints", "state"),
    _gauge("saltern_complaints_overdue", "逾期未答复的投诉数", "Complaints not answered in time"),
    _gauge(
        "saltern_sync_waiting", "待报数",
        "Changes or rows that wait to be sent; absent without a top node, and for T1, T5, T10", *_OF_TABLE,
    ),
    _gauge(
        "saltern_sync_oldest_seconds", "最久待报秒数",
        "Since the oldest of them was made; 0 where nothing waits", *_OF_TABLE,
    ),
    _gauge("saltern_sync_refused_rows", "被拒收的行数", "Rows that the top node refuses", *_OF_TABLE),
    _counter(
        "saltern_sync_rows", "已报送行数",
        "Rows sent since the node was connected; result: accepted, refused", *_OF_TABLE, "result",
    ),
    _gauge(
        "saltern_sync_answered_age_seconds", "距上次应答的秒数",
        "Since the top node answered last; each 10 minutes at least", "upstream",
    ),
    _gauge(
        "saltern_sync_differences", "上次对账的差异行数",
        "Rows that differed when both sides were compared last", "upstream",
    ),
    _gauge("saltern_sync_clock_ahead_seconds", "上级时钟超前秒数", "Clock of the top node before ours", "upstream"),
    _gauge(
        "saltern_sync_log_faults", "未能上送的日志数",
        "Logs that do not go up: rolled back, forked, damaged", "upstream",
    ),
)  # fmt: skip

_BY_NAME: Final = {metric.name: metric for metric in METRICS}


def family(name: str, value: float | None = None) -> Family:
    """Return the metric of this name, with its value, or to be given one by labels. Errors: KeyError."""
    metric = _BY_NAME[name]
    made = CounterMetricFamily if metric.counts else GaugeMetricFamily
    return made(name, metric.en, value=value, labels=metric.labels or None)
