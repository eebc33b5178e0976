"""The settings of the reference top node: ``topnode.toml``. One table, read by the loader of ``core/config.py``.

What it has in common with a node stands in the table of the node.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from core import limits
from core.config import Config, read_settings
from core.settings import BY_NAME as NODE
from core.settings import Setting

SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "data", "path", "data",
        "Data folder: store, witness, sealed months.",
        "数据目录：存储、见证状态、封存的月份日志。",
    ),
    Setting(
        "enrol", "text", "open",
        "Who may be a node below this one: open takes each key that signs its first connect, review lists it until "
        "`saltern topnode enrol`.",
        "如何接纳下级节点：open 在其首次签名连接时接纳；review 先列出，待 `saltern topnode enrol` 批准。",
        choices=("open", "review"),
    ),
    Setting(
        "review", "text", "automatic",
        "The national review of prefixes: automatic approves each, manual waits for `saltern topnode approve`.",
        "前缀的国家级审核：automatic 自动通过；manual 等待 `saltern topnode approve`。",
        choices=("automatic", "manual"),
    ),
    Setting(
        "top.name", "text", "top.example",
        "Name of this top node, as nodes below it are told; its witness signs under it.",
        "本顶级节点的名称，告知下级节点；其见证方以此名副署。",
    ),
    Setting(
        "top.key", "path", "keys/top.pem",
        "PEM private key (Ed25519) that answers and cosignatures are signed with, mode 0600.",
        "签署应答与副署的私钥（Ed25519，PEM），权限 0600。",
    ),
    Setting(
        "top.store_key", "path", "keys/store.key",
        "Keys that rows with personal data are sealed with, mode 0600. Keep a copy apart from the store.",
        "加密含个人信息数据行的密钥文件，权限 0600。请与存储分开另存副本。",
    ),
    Setting(
        "escrow.key", "path", "keys/escrow.pem",
        "PEM private key (X25519) that deposits of the nodes are opened with, mode 0600; nodes encrypt to the public "
        "one, keys/escrow.pub. Where there is no such file, no deposits are taken.",
        "打开各节点托管数据的私钥（X25519，PEM），权限 0600；节点以公钥 keys/escrow.pub 加密。"
        "无此文件则不接收托管数据。",
    ),
    NODE["http.address"],
    NODE["http.port"]._replace(default=8100),
    NODE["https.port"]._replace(default=8543),
    NODE["https.certificate"],
    NODE["https.key"],
    Setting(
        "https.client_ca", "path", "",
        "PEM certificates of the authorities of clients: HTTPS takes none without such a certificate (mutual TLS). "
        "Empty: none is asked for.",
        "客户端证书的签发机构（PEM）：设置后 HTTPS 只接受持有此类证书的客户端（双向 TLS）；为空则不要求。",
    ),
    NODE["handle.address"],
    Setting(
        "handle.site_address", "text", "",
        "Address that clients are sent to while this node answers for another one, where it is not handle.address: an "
        "IPv4 or IPv6 address.",
        "代为解析期间告知客户端的地址（IPv4 或 IPv6）；为空则为 handle.address。",
    ),
    NODE["handle.port"]._replace(default=3641),
    # Probes of the nodes below, and takeover (docking agreement of the national node, §4).
    Setting(
        "probe.period", "integer", limits.TOPNODE_PROBE_PERIOD_S,
        "Seconds between two rounds of probes of the nodes below; 0: nothing is probed, and nobody but a person takes "
        "over.",
        "探测下级节点的周期；0 表示不探测，只能由人工接管。", "s", 0, limits.TOPNODE_PROBE_PERIOD_S_MAX,
    ),
    Setting(
        "probe.limit", "integer", limits.PROBE_LIMIT_MS,
        "Limit of an answer; one that takes longer than five times as long counts as none. Five times as long is half "
        "of probe.period at most.",
        "应答时限；超过其五倍视为没有应答。五倍时限不得超过 probe.period 的一半。", "ms", 1, limits.PROBE_LIMIT_MS_MAX,
    ),
    Setting(
        "probe.probes", "integer", limits.TOPNODE_PROBES,
        "Probes of this top node: so many ask each node by UDP, TCP and HTTP in each period.",
        "本顶级节点的探测点数：每周期各以 UDP、TCP、HTTP 探测每个节点。", "probes", 1, limits.TOPNODE_PROBES_MAX,
    ),
    Setting(
        "probe.keys", "path", "",
        "File with the keys of probes elsewhere, a vkey (name+id+key) a line, as `saltern topnode probe` prints it. "
        "Empty: there are none.",
        "外部探测点公钥文件，每行一个 vkey（名称+编号+公钥），由 `saltern topnode probe` 输出；为空则没有外部探测点。",
    ),
)  # fmt: skip

BY_NAME: Final[dict[str, Setting]] = {setting.name: setting for setting in SETTINGS}

MADE_BY: Final = "saltern topnode init DIR"


def load_topnode(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read ``topnode.toml``. Errors: ConfigError, as for ``node.toml``."""
    return read_settings(path, overrides, BY_NAME, MADE_BY)


def topnode_data(config: Config) -> Path:
    """Return the data folder."""
    folder = config.file("data")
    assert folder is not None  # the loader takes no empty one
    return folder
