"""The tables of the docking agreement, by name.

Source: the national node's tables T1 to T11 and their cadences; T12 and T13 are our numbers for the two reports of
annex 2 (national node §2): the figures of a day, and anomalies as they happen. A table is never sent less often than by
the agreement. T7 goes in real time where the agreement says hourly: a route that the top node learns late leads clients
to where the prefix is not answered any more.
"""

from __future__ import annotations

from typing import Any, Final

from core.party.rules import Fault
from sync import fields, subject_fields
from sync.row_checks import faults_of
from sync.table import Basis, Cadence, TableKind

_C = Cadence
_B = Basis

TABLES: Final = {
    table.name: table
    for table in (
        TableKind(
            "T1", "二级节点主体资料", "node operator's subject data", _C.REAL_TIME, _C.REAL_TIME, _B.WHOLE,
            "operator", subject_fields.T1, personal=True,
        ),
        TableKind(
            "T2", "二级节点解析配置", "resolution configuration of the node", _C.REAL_TIME, _C.REAL_TIME, _B.FEED,
            "kind/PREFIX", fields.ROUTES,
        ),
        TableKind(
            "T3", "二级节点统计数据", "statistics of the node", _C.DAILY, _C.DAILY, _B.DAYS,
            "day/PREFIX", fields.T3, personal=True,
        ),
        TableKind(
            "T4", "二级节点元数据模板", "metadata templates of the node", _C.DAILY, _C.DAILY, _B.FEED,
            "CODE@version", fields.T4,
        ),
        TableKind(
            "T5", "二级节点应用概况", "application overview of the node", _C.MONTHLY, _C.MONTHLY, _B.WHOLE,
            "node/name", fields.T5,
        ),
        TableKind(
            "T6", "企业主体资料", "enterprise subject data", _C.HOURLY, _C.HOURLY, _B.FEED,
            "party", subject_fields.T6, personal=True,
        ),
        TableKind(
            "T7", "企业解析路由", "resolution routes of enterprises", _C.HOURLY, _C.REAL_TIME, _B.FEED,
            "kind/PREFIX", fields.ROUTES,
        ),
        TableKind(
            "T8", "企业统计数据", "statistics of enterprises", _C.DAILY, _C.DAILY, _B.DAYS,
            "day/PREFIX", fields.T8, personal=True,
        ),
        TableKind(
            "T9", "企业标识主数据", "main data of identifiers", _C.DAILY, _C.DAILY, _B.FEED,
            "IDENTIFIER", fields.T9,
        ),
        TableKind(
            "T10", "企业应用概况", "application overview of enterprises", _C.MONTHLY, _C.MONTHLY, _B.WHOLE,
            "PREFIX/name", fields.T10,
        ),
        TableKind(
            "T11", "企业元数据模板", "metadata templates of enterprises", _C.REAL_TIME, _C.REAL_TIME, _B.FEED,
            "CODE@version", fields.T11,
        ),
        TableKind(
            "T12", "监测数据日报", "figures of a day", _C.DAILY, _C.DAILY, _B.DAYS,
            "day/subject", fields.T12,
        ),
        TableKind(
            "T13", "异常与恢复事件", "anomalies and recoveries", _C.REAL_TIME, _C.REAL_TIME, _B.FEED,
            "number", fields.T13,
        ),
    )
}  # fmt: skip

_PLACES: Final = {
    table.name: {field.name: place for place, field in enumerate(table.fields)} for table in TABLES.values()
}


def values(table: TableKind, /, **given: Any) -> list[Any]:
    """Return the values of a row in the order of its fields, None where none is given. Errors: KeyError."""
    places = _PLACES[table.name]
    row: list[Any] = [None] * len(places)
    for name, value in given.items():
        row[places[name]] = value
    return row


def check_row(table: TableKind, key: bytes, row: bytes) -> list[Fault]:
    """Return what is wrong with a row under this key, empty if it is right.

    Total on any octets; at most UPSTREAM_FAULTS_TOLD faults, which name fields and no values. Cost: of T9 some µs.
    """
    return faults_of(table, key, row)
