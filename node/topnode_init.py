"""``saltern topnode init``: keys, configuration and data folder of a reference top node. Nothing is overwritten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from core.config import Config
from core.errors import ConfigError
from node.key_file import TOP_KEYS, add_key
from node.topnode_keys import make_signing_key, require_witness_name
from node.topnode_settings import load_topnode
from sync.escrow.sealing import make_escrow_key

_TOML: Final = """\
# 参考顶级节点配置 · configuration of a reference top node.
# 这不是国家顶级节点：协议为本项目自有，不声称符合其非公开格式。
# It is not the national one: the protocol is our own, and no conformance to its private format is claimed.
# 说明 Guide: docs/how-to/top-node.md

# 数据目录 data folder
data = "data"
# 接纳下级节点：open 首次签名连接即接纳；review 待 `saltern topnode enrol` 批准
# open takes each key at its first signed connect; review waits for `saltern topnode enrol`
enrol = "open"
# 前缀的国家级审核：automatic 自动通过；manual 待 `saltern topnode approve`
# automatic approves each prefix; manual waits for `saltern topnode approve`
review = "automatic"

[top]
# 告知下级节点的名称；见证方以此名副署，见 keys/witness.vkey
# the name that nodes are told; the witness signs under it, as keys/witness.vkey says
name = {name}
key = "keys/top.pem"
store_key = "keys/store.key"

[escrow]
# 打开托管数据的私钥；节点以 keys/escrow.pub 加密 opens deposits; nodes encrypt to keys/escrow.pub
key = "keys/escrow.pem"

[http]
# 明文 HTTP 仅供本机；对外请配置 [https] plain HTTP is for this machine; configure [https] for others
address = "127.0.0.1"
port = 8100

# [https]
# port = 8543
# certificate = "keys/tls.crt"
# key = "keys/tls.key"
# 双向 TLS：只接受持有这些机构所签证书的客户端 mutual TLS: only clients with a certificate of these authorities
# client_ca = "keys/clients.crt"

[handle]
# UDP 与 TCP 同一端口 one number for UDP and TCP
address = "127.0.0.1"
port = 3641
"""


def initialise_topnode(folder: Path, name: str) -> Config:
    """Make a top node in a folder; return its configuration.

    Errors: ConfigError if there is one already, or the name is none.
    """
    require_witness_name(name)
    file, keys, data = folder / "topnode.toml", folder / "keys", folder / "data"
    if file.exists() or keys.exists() or data.exists():
        raise ConfigError(f"{folder} 中已有节点，未作改动。There is a node in {folder} already; nothing was changed")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        keys.mkdir(mode=0o700)
        make_signing_key(keys / "top.pem", keys / "top.pub", keys / "witness.vkey", name)
        add_key(keys / "store.key", TOP_KEYS)
        make_escrow_key(keys / "escrow.pem", keys / "escrow.pub")
        data.mkdir(mode=0o700)
        file.write_text(_TOML.format(name=json.dumps(name)), "utf-8")  # a JSON string is a basic string of TOML
    except OSError as error:
        raise ConfigError(f"无法写入 {folder}。Cannot write to {folder}: {error.strerror}") from None
    return load_topnode(file)
