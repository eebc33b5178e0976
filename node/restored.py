"""What every restore needs, from a deposit or from a backup: a folder that is empty, settings as TOML, another origin.

A node that is put back is built in a folder beside the one it is to have, and gets that name when it is whole.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from core import clock, limits
from core.clock import Millis
from core.config import Config
from core.durable import sync_path, write_new_file
from core.errors import ConfigError
from core.settings import BY_NAME, Value
from node.wiring import log_host

_RESTORED: Final = re.compile(r"-[0-9]{8}T[0-9]{6}Z\Z")
_PORT: Final = re.compile(r"(:[0-9]{1,5})?\Z")
_HEAD: Final = (
    "# Saltern 节点配置（由恢复写成）· configuration, written by a restore. All settings: saltern config explain\n"
)


def require_empty(folder: Path) -> None:
    """Errors: ConfigError if there is anything in the folder, or it is no folder."""
    try:
        empty = not folder.is_symlink() and (not folder.exists() or (folder.is_dir() and not any(folder.iterdir())))
    except OSError as error:
        raise ConfigError(f"无法读取 {folder}。Cannot read {folder}: {error.strerror}") from None
    if not empty:
        raise ConfigError(
            f"{folder} 不是空目录，未作改动；恢复须写入新目录。{folder} is not empty; nothing was changed. A node is "
            "put back into a folder of its own"
        )


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """Give a new folder beside the target, mode 0700; it gets the target's name at the end, or goes with all in it.

    Errors: ConfigError as above, also where another one was faster, or where nothing can be written.
    """
    require_empty(target)
    target = target.absolute()
    beside = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(mode=0o700)
    except OSError as error:
        raise ConfigError(f"无法写入 {target.parent}。Cannot write to {target.parent}: {error.strerror}") from None
    try:
        yield beside
        sync_tree(beside)
        beside.rename(target)  # which an empty folder does not hinder
        sync_path(target.parent)
    except OSError as error:
        raise ConfigError(f"未能恢复到 {target}。Cannot put a node back into {target}: {error.strerror}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def new_origin(former: str, now_ms: Millis) -> str:
    """Return the host in the names of logs that begin anew: ``88.118-20261122T053000Z``, a port behind it.

    A plus sign would be plainer, and no verifier takes one in the name of a key (C2SP signed-note).
    """
    moment = clock.format_utc(now_ms // 1_000).replace("-", "").replace(":", "")
    port = _PORT.search(former)
    assert port is not None, "it matches anything"
    host = _RESTORED.sub("", former[: port.start()])
    room = limits.ORIGIN_CHARS_MAX - len(moment) - len(port.group()) - 1
    return f"{host[:room].rstrip('.-') or 'node'}-{moment}{port.group()}"


def restored_values(config: Config, now_ms: Millis) -> dict[str, Value]:
    """Return the settings of a node that is put back: those of the former one, under another origin."""
    return config.values | {"log.origin": new_origin(log_host(config), now_ms)}


def dump_settings(values: Mapping[str, Value]) -> str:
    """Return settings as TOML: those that differ from their defaults, by sections."""
    sections: dict[str, list[str]] = {}
    for name, value in values.items():
        if value != BY_NAME[name].default:
            section, _, key = name.rpartition(".")
            sections.setdefault(section, []).append(f"{key} = {toml_value(value)}\n")
    return _HEAD + "".join(f"\n[{section}]\n{''.join(lines)}" for section, lines in sections.items())


def write_settings(path: Path, values: Mapping[str, Value]) -> None:
    """Write a new ``node.toml``, mode 0600. Errors: OSError."""
    write_new_file(path, dump_settings(values).encode())


def toml_value(value: Value) -> str:
    """Return a value in TOML: a JSON text without DEL is a basic string, a JSON array of them an array."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[{', '.join(map(toml_value, value))}]"


def sync_tree(folder: Path) -> None:
    """Have a folder and all in it on the disk. Errors: OSError."""
    for each, _, files in os.walk(folder):
        for name in files:
            sync_path(Path(each) / name)
        sync_path(Path(each))
