"""The file of keys of transfers: read as it is written, refused with a reason that shows no secret."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import dns.name
import dns.tsig
import pytest

from core import limits
from core.errors import ConfigError
from node.tsig_file import read_tsig

SECRET = base64.b64encode(b"a secret of more than 16 octets!").decode()


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "tsig.keys"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_keys_are_read_in_their_order(tmp_path: Path) -> None:
    text = f"# two keys\n\nKnot.Example.cn hmac-sha256 {SECRET}\n  second HMAC-SHA512. {SECRET}\n"
    keys = read_tsig(written(tmp_path, text))
    assert [name.to_text() for name in keys] == ["knot.example.cn.", "second."]
    key = keys[dns.name.from_text("KNOT.example.CN")]
    assert key.algorithm == dns.tsig.HMAC_SHA256 and key.secret == base64.b64decode(SECRET)


def test_every_form_in_which_tools_print_a_key_is_read(tmp_path: Path) -> None:
    """Beside one another, in the order of the file; a comment that looks like a key is none."""
    text = (
        f'key "clause.example" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n'
        f"# hmac-sha256:comment:{SECRET}\nkey:\n"
        f"  - id: item.example.\n    algorithm: hmac-sha384\n    secret: {SECRET}\n"
        f"hmac-sha512:colons:{SECRET}\r\nplain hmac-sha256 {SECRET}\n"
        f"key other {{ secret {SECRET}; algorithm HMAC-SHA512; }}\n"
    )
    keys = read_tsig(written(tmp_path, text))
    assert [(name.to_text(), key.algorithm.to_text()) for name, key in keys.items()] == [
        ("clause.example.", "hmac-sha256."), ("item.example.", "hmac-sha384."), ("colons.", "hmac-sha512."),
        ("plain.", "hmac-sha256."), ("other.", "hmac-sha512."),
    ]  # fmt: skip
    assert {key.secret for key in keys.values()} == {base64.b64decode(SECRET)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds 0 keys"),
        ("# nothing\n", "holds 0 keys"),
        (f"knot {SECRET}\n", "line 1: it should be NAME ALGORITHM BASE64"),
        (f'\nkey "knot" {{ secret "{SECRET}"; }};\n', "line 2: it should be NAME ALGORITHM BASE64"),
        (f'key "knot" {{ algorithm hmac-sha256; secret "{SECRET}";\n', "line 1: it should be NAME"),
        (f'key "knot" {{\n\talgorithm hmac-md5;\n\tsecret "{SECRET}";\n}};\n', "line 1: the algorithm is one of"),
        ("key:\n  - id: knot\n    algorithm: hmac-sha256\n    secret: c2hvcnQ=\n", "line 2: its secret should be"),
        (f"hmac-sha256:knot:{SECRET}\nhmac-sha256:knot:{SECRET}\n", "line 2: there are two keys"),
        ("hmac-sha256:knot:\n", "line 1: it should be NAME"),
        (f"# x\nknot hmac-md5 {SECRET}\n", "line 2: the algorithm is one of"),
        (f"knot hmac-sha1 {SECRET}\n", "the algorithm is one of"),
        (f"knot..cn hmac-sha256 {SECRET}\n", "no domain name"),
        (f"{'k' * 64} hmac-sha256 {SECRET}\n", "no domain name"),
        (f"knot hmac-sha256 {SECRET[:-1]}\n", "BASE64 of at least"),
        ("knot hmac-sha256 c2hvcnQ=\n", "BASE64 of at least"),
        (f"knot hmac-sha256 {SECRET}\nKNOT. hmac-sha512 {SECRET}\n", "line 2: there are two keys"),
        ("".join(f"k{n} hmac-sha256 {SECRET}\n" for n in range(limits.TSIG_KEYS_MAX + 1)), "holds 17 keys"),
        ("#" * (limits.TSIG_FILE_BYTES_MAX + 1), "more than"),
    ],
)
def test_what_is_wrong_is_told_in_both_languages_without_the_secret(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_tsig(path)
    message = caught.value.message
    assert said in message and str(path) in message and "dns.tsig_file" in message
    assert SECRET not in message and "c2hvcnQ" not in message
    assert any("\u4e00" <= each <= "\u9fff" for each in message)


def test_others_may_not_read_it(tmp_path: Path) -> None:
    for mode in (0o640, 0o604):
        with pytest.raises(ConfigError, match="make it 0600"):
            read_tsig(written(tmp_path, f"knot hmac-sha256 {SECRET}\n", mode))
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match=r"Cannot read|make it 0600"):
            read_tsig(path)
    path = written(tmp_path, "")
    path.write_bytes(b"\xff\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_tsig(path)


@pytest.mark.parametrize("command", [["keymgr", "-t", "knot", "hmac-sha256"], ["tsig-keygen", "knot"]])
def test_what_the_tools_print_is_read_as_it_is(tmp_path: Path, command: list[str]) -> None:
    """Knot's and BIND's."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (key,) = read_tsig(written(tmp_path, printed)).values()
    assert (key.name.to_text(), key.algorithm.to_text()) == ("knot.", "hmac-sha256.")
    assert base64.b64encode(key.secret).decode() in printed
