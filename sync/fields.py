"""The fields of the tables but those of subject data (``sync/subject_fields.py``).

The order of the fields is the order of the values of a row: never change it, add at the end.
Source: the national node's tables T2 to T11, and its §2 (T12, T13). Where these give no Chinese label it is ours.
"""

from __future__ import annotations

from typing import Final

from core import limits
from core.store.prefix_rows import HOSTINGS
from core.store.template_rows import TemplateState
from core.wire.metadata import DATA_TYPES
from sync.table import Field

_PORT_MAX: Final = 65_535
_PREFIX: Final = limits.PREFIX_CHARS_MAX
_HANDLE: Final = limits.HANDLE_CHARS_MAX
_LEVEL: Final = limits.METADATA_LEVEL_CHARS_MAX
_VALUE: Final = limits.METADATA_LENGTH_MAX

IDENTIFIER_KINDS: Final = ("Handle", "OID", "DID:BID", "VAA", "Ecode", "GS1")
IP_TYPES: Final = ("IPv4", "IPv6")
STATES: Final = {
    0: "已停用 stopped",
    1: "已启用 enabled",
    2: "待删除 to be deleted",
    3: "已驳回 rejected",
    4: "待审核 waiting for review",
    5: "审核中 in review",
}
"""What the state of a prefix means (national node §5)."""

APPLICATION_TYPES: Final = {
    1: "APP",
    2: "小程序 mini-program",
    3: "网页 web page",
    4: "PC客户端 PC client",
    5: "其他 other",
}
"""What the type of an application means."""

_SITES: Final = "the ports of this node and node.public_addresses; of a delegated prefix, its service sites"
_ADDRESS: Final = (
    Field("ip_type", (3,), "IP类型", "text", _SITES, 4, required=True, choices=IP_TYPES),
    Field("address", (4,), "IP地址", "address", _SITES, required=True),
    Field("tcp_port", (5,), "TCP端口", "integer", _SITES, low=1, high=_PORT_MAX),
    Field("udp_port", (5,), "UDP端口", "integer", _SITES, low=1, high=_PORT_MAX),
    Field("http_port", (5,), "HTTP端口", "integer", _SITES, low=1, high=_PORT_MAX),
)

ROUTES: Final = (
    Field("kind", (1,), "标识类型", "text", "Handle: every prefix of this node", 8, True, choices=IDENTIFIER_KINDS),
    Field("prefix", (2,), "前缀或号段", "text", "the homed prefix", _PREFIX, required=True),
    Field(
        "addresses", (3, 4, 5), "解析地址", "list", _SITES,
        required=True, items_max=limits.UPSTREAM_ADDRESSES_MAX, members=_ADDRESS,
    ),
    Field("hosting", (), "托管方式", "text", "the homed prefix", 9, required=True, choices=HOSTINGS),
    Field("state", (), "前缀状态", "integer", "the homed prefix: 1, or 0 where it is suspended", required=True, high=5),
)  # fmt: skip
"""T2 and T7."""

_LOGS: Final = "the resolution log of the day"
_SOURCE: Final = (
    Field("address", (6,), "来源IP", "address", "the side tables of the resolution log", required=True),
    Field("queries", (6,), "查询次数", "integer", "the side tables of the resolution log", required=True, low=1),
)


def _statistics(added_zh: str, what: str) -> tuple[Field, ...]:
    return (
        Field("prefix", (1,), "前缀", "text", "the homed prefix", _PREFIX, required=True),
        Field("day", (), "统计日期", "date", "a day of Asia/Shanghai that is over", required=True),
        Field("added", (2,), f"当日新增{added_zh}数", "integer", f"the change feed of the day: {what}", required=True),
        Field("total", (3,), f"{added_zh}总数", "integer", f"the store: {what}", required=True),
        Field("received", (4,), "解析请求数", "integer", _LOGS, required=True),
        Field("answered", (5,), "解析成功数", "integer", _LOGS, required=True),
        Field(
            "sources", (6,), "来源IP及次数", "list", "the side tables of the resolution log",
            required=True, items_max=limits.UPSTREAM_SOURCES_MAX, members=_SOURCE,
        ),
        Field(
            "others", (), "其余来源的查询次数", "integer",
            f"queries of the sources beyond the first {limits.UPSTREAM_SOURCES_MAX}", required=True,
        ),
    )  # fmt: skip


T3: Final = _statistics("企业前缀", "prefixes of enterprises")
T8: Final = _statistics("标识", "identifiers; of a lot each unit")

_TEMPLATE: Final = "the metadata template, as it was filed"
_ITEM: Final = (
    Field("name", (5,), "属性英文名称", "text", _TEMPLATE, limits.METADATA_ITEM_CHARS_MAX, required=True),
    Field("alias", (5,), "属性中文名称", "text", _TEMPLATE, limits.METADATA_ALIAS_CHARS_MAX),
    Field("type", (5,), "数据类型", "text", _TEMPLATE, 8, required=True, choices=tuple(DATA_TYPES)),
    Field("length", (5,), "数据长度", "integer", _TEMPLATE, required=True, low=1, high=limits.METADATA_LENGTH_MAX),
    Field("required", (), "是否必填", "flag", _TEMPLATE, required=True),
    Field("unit", (), "计量单位", "text", _TEMPLATE, limits.METADATA_UNIT_CHARS_MAX),
)
_PUBLISHED: Final = (TemplateState.PUBLISHED.value, TemplateState.WITHDRAWN.value)

T4: Final = (
    Field("code", (1,), "模板编码", "text", _TEMPLATE, limits.METADATA_CODE_CHARS_MAX, required=True),
    Field("version", (3,), "模板版本", "text", _TEMPLATE, limits.METADATA_VERSION_CHARS_MAX, required=True),
    Field("name", (), "模板名称", "text", _TEMPLATE, limits.METADATA_NAME_CHARS_MAX),
    Field("industry_section", (2,), "行业门类", "text", _TEMPLATE, _LEVEL),
    Field("industry_division", (2,), "行业大类", "text", _TEMPLATE, _LEVEL),
    Field("industry_group", (2,), "行业中类", "text", _TEMPLATE, _LEVEL),
    Field("industry_class", (2,), "行业小类", "text", _TEMPLATE, _LEVEL),
    Field("active", (4,), "是否主动标识载体", "flag", _TEMPLATE, required=True),
    Field(
        "items", (5,), "属性", "list", _TEMPLATE,
        required=True, items_max=limits.METADATA_ITEMS_MAX, members=_ITEM,
    ),
    Field("state", (), "模板状态", "text", "the state of the version", 9, required=True, choices=_PUBLISHED),
)  # fmt: skip
T11: Final = (
    *T4,
    Field("party", (), "企业主体编号", "text", "whose template it is", limits.PARTY_CODE_CHARS_MAX, required=True),
)

_FILE: Final = "the file sync.applications"

T5: Final = (
    Field("name", (1,), "应用名称", "text", _FILE, limits.APPLICATION_NAME_CHARS_MAX, required=True),
    Field("type", (2,), "应用类型", "integer", _FILE, required=True, low=1, high=5),
    Field("introduction", (3,), "应用介绍", "text", _FILE, limits.APPLICATION_TEXT_CHARS_MAX),
    Field("users", (4,), "用户数", "integer", _FILE),
    Field(
        "resolvers", (5,), "使用的递归解析地址", "texts", _FILE,
        limits.PARTY_TEXT_CHARS_MAX, items_max=limits.APPLICATION_RESOLVERS_MAX,
    ),
    Field("developer", (6,), "开发者", "text", _FILE, limits.PARTY_NAME_CHARS_MAX),
)  # fmt: skip
T10: Final = (*T5, Field("prefix", (), "企业前缀", "text", _FILE, _PREFIX, required=True))

_PRODUCT: Final = "the value of the record, or of the lot, as it was registered"

T9: Final = (
    Field("identifier", (1,), "标识", "text", "the record, or the lot", _HANDLE, required=True),
    Field("created", (2,), "注册日期", "date", "the record, or the lot: day of Asia/Shanghai"),
    Field("template_code", (3,), "元数据模板编码", "text", "the binding of the record", limits.METADATA_CODE_CHARS_MAX),
    Field("product_category", (5,), "产品类别", "text", _PRODUCT, _VALUE),
    Field("brand", (6,), "品牌", "text", _PRODUCT, _VALUE),
    Field("product_name", (7,), "产品名称", "text", _PRODUCT, _VALUE),
    Field("manufacturer", (8,), "生产企业", "text", _PRODUCT, _VALUE),
    Field("produced", (9,), "生产日期", "text", _PRODUCT, _VALUE),
    Field("valid_until", (10,), "有效期至", "text", _PRODUCT, _VALUE),
    Field("terminal_type", (11,), "终端类型", "text", _PRODUCT, _VALUE),
    Field("terminal_owner", (12,), "终端所有者", "text", _PRODUCT, _VALUE),
    Field("purpose", (13,), "用途", "text", _PRODUCT, _VALUE),
    Field("serial_or_imei", (14,), "序列号或IMEI", "text", _PRODUCT, _VALUE),
    Field("access_licence", (15,), "进网许可证号", "text", _PRODUCT, _VALUE),
    Field("mark_code", (16,), "进网许可标志扰码", "text", _PRODUCT, _VALUE),
    Field("mark_serial", (17,), "进网许可标志序列号", "text", _PRODUCT, _VALUE),
    Field("product", (), "批次的产品标识", "text", "the lot; none of a record", _HANDLE),
    Field("serial_length", (), "批次内单元码位数", "integer", "the lot: characters after its code", low=1, high=32),
    Field("count", (), "批次单元数", "integer", "the lot", low=1, high=2**20),
)
"""The operation (4) stands in the item that carries the row: one row says what is, each item what happened."""

EVENT_STATUSES: Final = {1: "异常 anomaly", 2: "恢复正常 recovered"}
"""What the status of an event means."""

EVENT_KINDS: Final = {1: "网络 network", 2: "系统 system", 3: "攻击 attack", 4: "其他 other"}
"""What the kind of an event means."""

_SUBJECT: Final = Field(
    "subject", (), "对象", "text", "node for this node, else the prefix of an enterprise node", _PREFIX, required=True
)


def _latencies(name: str, zh: str, first: int, source: str) -> tuple[Field, ...]:
    """Return the fields of one service. ``first``: number of its mean; of registration the agreement has no peak."""
    mean, most, least = ((first + place,) for place in range(3))
    peak = (first + 3,) if name == "resolution" else ()
    return (
        Field(f"{name}_answers", (), f"{zh}应答数", "integer", source, required=True),
        Field(f"{name}_mean_us", mean, f"{zh}时延均值（微秒）", "integer", source),
        Field(f"{name}_max_us", most, f"{zh}时延最大值（微秒）", "integer", source),
        Field(f"{name}_max_s", most, f"{zh}时延最大值的时刻（Unix 秒）", "integer", source),
        Field(f"{name}_min_us", least, f"{zh}时延最小值（微秒）", "integer", source),
        Field(f"{name}_min_s", least, f"{zh}时延最小值的时刻（Unix 秒）", "integer", source),
        Field(f"{name}_peak", peak, f"{zh}每秒应答数最大值", "integer", source),
        Field(f"{name}_peak_s", peak, f"{zh}每秒应答数最大值的时刻（Unix 秒）", "integer", source),
    )


_MEASURED: Final = "the hours of the day: of this node what was really answered, of an enterprise node probes of it"

T12: Final = (
    _SUBJECT,
    Field("day", (), "日期", "date", "a day of Asia/Shanghai that is over", required=True),
    *_latencies("resolution", "解析", 1, _MEASURED),
    *_latencies("registration", "注册", 5, "the hours of the day: what the registrar wrote, each time with its fsync"),
)
"""The figures are numbered 1 to 7 in the order in which the agreement lists them; what nobody measured is None."""

_EVENT: Final = "the anomaly or recovery, as it was found"

T13: Final = (
    Field("status", (1,), "状态", "integer", _EVENT, required=True, low=1, high=2),
    Field("number", (2,), "事件编号", "text", _EVENT, limits.MONITOR_NUMBER_CHARS_MAX, required=True),
    Field("ends", (3,), "所恢复的异常编号", "text", _EVENT, limits.MONITOR_NUMBER_CHARS_MAX),
    Field("changed_s", (4,), "变化时刻（Unix 秒）", "integer", _EVENT, required=True),
    Field("cause", (5,), "原因", "text", _EVENT, limits.MONITOR_TEXT_CHARS_MAX),
    Field("kind", (6,), "类型", "integer", _EVENT, required=True, low=1, high=4),
    _SUBJECT,
    Field("condition", (), "监测项", "text", _EVENT, limits.MONITOR_TEXT_CHARS_MAX, required=True),
)
