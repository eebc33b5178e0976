"""``python -m audit.verify``: the verifier by itself, without the node's command line."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from audit.verify import Report, verify
from audit.verify.place import UnreadError, read_file
from audit.verify.trust import CHECKPOINT_BYTES_MAX, VKEYS_BYTES_MAX, Keys, read_keys

_TOKEN_BYTES_MAX = 4_096


def main(arguments: list[str]) -> int:
    """Verify; return 0, or 1 where something is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m audit.verify",
        description="校验留存日志、导出与证明。Verify statutory logs, exports and proofs.",
    )
    parser.add_argument("path", help="目录、证明文件或网址 a folder, a .tlog-proof file, or http(s)://…/log/")
    parser.add_argument("--vkey", type=Path, help="可信公钥文件，每行一个 trusted keys, one a line")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="先前得到的检查点 known earlier")
    parser.add_argument("--token-file", type=Path, help="令牌文件，用于网址 a bearer token, for an address")
    parser.add_argument("--json", action="store_true", help="以 JSON 输出 print JSON")
    given = parser.parse_args(arguments)
    try:
        report = run(given.path, given.vkey, given.checkpoint, given.token_file)
    except ValueError as error:
        parser.error(str(error))
    told = json.dumps(report.document(), ensure_ascii=False, indent=2) if given.json else report.text()
    sys.stdout.write(f"{told}\n")
    return 0 if report.ok else 1


def run(path: str, vkey: Path | None, checkpoints: list[Path], token_file: Path | None) -> Report:
    """Verify by files of keys, checkpoints and a token. Errors: ValueError for one that cannot be read."""
    keys = read_vkeys(vkey) if vkey is not None else None
    given = [(str(file), _content(file, CHECKPOINT_BYTES_MAX)) for file in checkpoints]
    token = _read_token(token_file) if token_file is not None else ""
    return verify(path, keys, given, token)


def _read_token(file: Path) -> str:
    """Errors: ValueError."""
    token = _text(file, _TOKEN_BYTES_MAX).strip()
    if not token or not token.isascii() or len(token.split()) != 1:
        raise ValueError(f"{file}：须只有令牌本身，一行。It must hold the token alone, one line: saltern_…")
    return token


def read_vkeys(file: Path) -> Keys:
    """Read a file of keys. Errors: ValueError."""
    try:
        return read_keys(_text(file, VKEYS_BYTES_MAX))
    except ValueError as error:
        raise ValueError(f"{file}：公钥无法读取。The keys cannot be read: {error}") from None


def _text(file: Path, most: int) -> str:
    try:
        return _content(file, most).decode()
    except UnicodeDecodeError:
        raise ValueError(f"{file}：不是文本。This is no text") from None


def _content(file: Path, most: int) -> bytes:
    try:
        return read_file(file, most)
    except UnreadError as error:
        raise ValueError(f"{file}：{error}") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
