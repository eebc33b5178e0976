"""The fields of the tables but T1 and T6, whose subject data is that of a form (``sync/subject_fields.py``).

The order of the fields is the order of the values of a row: never change it, add at the end.
"""

from __future__ import annotations

from typing import Final

from core import limits
from sync.table import Field

_VALUE: Final = limits.METADATA_LENGTH_MAX
_PRODUCT: Final = "the value of its record, or of its lot, as it was registered"

T9: Final = (
    Field("identifier", (1,), "标识", "text", "the record, or the lot", limits.HANDLE_CHARS_MAX, required=True),
    Field("created", (2,), "注册日期", "date", "the record, or the lot: day of Asia/Shanghai", required=True),
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
    Field("product", (), "批次的产品标识", "text", "the lot; none of a record", limits.HANDLE_CHARS_MAX),
    Field("serial_length", (), "批次内单元码位数", "integer", "the lot: characters after its code", low=1, high=32),
    Field("count", (), "批次单元数", "integer", "the lot", low=1, high=2**20),
)
"""The operation (4) stands in the item that carries the row: one row says what is, each item what happened."""
