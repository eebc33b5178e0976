"""One month, from its checkpoint to its last file; what is given is held against it."""

from __future__ import annotations

import base64
from typing import Any, Final, NamedTuple

from audit.checkpoint import Checkpoint
from audit.note import ED25519, NoteError, parse_vkey
from audit.verify.chain import Month
from audit.verify.find import Found
from audit.verify.findings import Findings
from audit.verify.inventory import Beyond, look_over
from audit.verify.month import Tree, read_tree
from audit.verify.place import MissingError, Place, UnreadError
from audit.verify.trust import CHECKPOINT_BYTES_MAX, KEYS_MAX, Keys, Opened, open_checkpoint, stream_and_month

_VKEY_BYTES_MAX: Final = 8_192


class Given(NamedTuple):
    """A checkpoint that is known from elsewhere. ``name``: of its file; ``data``: the signed note."""

    name: str
    data: bytes
    checkpoint: Checkpoint


class Checked(NamedTuple):
    """A month that could be read, what is told of it, and what lies behind its checkpoint."""

    place: Place
    month: Month
    document: dict[str, Any]
    beyond: Beyond


def check_month(found: Found, keys: Keys | None, given: list[Given], findings: Findings) -> Checked | None:
    """Check one month. ``keys``: those that are trusted, none for the one beside it; ``given``: of any log."""
    place = found.place
    where = f"{place.label}/checkpoint"
    used = _keys_beside(place, keys, findings)
    opened = _open(place, "checkpoint", used, findings)
    if opened is None:
        return None
    checkpoint = opened.checkpoint
    stream, month = _place_in_time(found, checkpoint, findings)
    if checkpoint.size == 0:
        findings.problem(
            where, "检查点的大小为 0：每月首条随月份开始即发布", "the size is 0: a month begins with its first entry"
        )
        return None
    known = [each for each in given if each.checkpoint.origin == checkpoint.origin]
    known += _cosigned(place, checkpoint, used, findings)
    tree = read_tree(place, checkpoint.size, stream, [each.checkpoint.size for each in known], findings)
    if tree.whole and tree.root != checkpoint.root:
        findings.problem(
            where, "由全部条目算出的根与检查点的根不同：签发之后有条目被改动、增删或换序",
            "the root of all entries is not the one of the checkpoint: after it was signed, entries were altered, "
            "added, removed or put in another order",
        )  # fmt: skip
    for each in known:
        _hold_against(each, checkpoint, tree, used, findings)
    beyond = look_over(place, checkpoint.size, findings)
    document = {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "entries": tree.entries,
        "root": base64.b64encode(checkpoint.root).decode(),
        "recomputed": tree.whole and tree.root == checkpoint.root,
        "signed": opened.signed,
        "trusted": keys is not None and opened.signed,
    }
    if known:
        document["checkpoints"] = [each.checkpoint.size for each in known]
    return Checked(place, Month(place.label, stream, month, checkpoint, used, tree), document, beyond)


def _keys_beside(place: Place, keys: Keys | None, findings: Findings) -> Keys:
    """Look at the keys beside a month; return those to check it by."""
    where = f"{place.label}/vkey"
    try:
        lines = _lines(place.read("vkey", _VKEY_BYTES_MAX).decode())
        beside = [parse_vkey(line) for line in lines]
    except MissingError:
        findings.note(f"{where}：文件缺失", f"{where}: the file is missing")
        return keys or Keys()
    except UnreadError as error:
        findings.note(f"{where}：{error.zh}", f"{where}: {error.en}")
        return keys or Keys()
    except ValueError as error:
        findings.problem(where, f"公钥无法读取（{error}）", f"the key cannot be read ({error})")
        return keys or Keys()
    if len(beside) > 1:
        findings.note(
            f"{where}：{len(beside)} 个公钥，节点在此月更换过密钥",
            f"{where}: {len(beside)} keys, the node got another one in this month",
        )
    publics = tuple(key.public for key in beside if key.kind == ED25519)
    if keys is None:
        return Keys(publics)
    if not set(publics) & set(keys.publics) or len(publics) < len(beside):
        findings.problem(
            where, "日志旁的公钥不是给定的公钥：日志可能被另一密钥整体重签",
            "the key beside the log is not one of those given: all of it may have been signed anew by another key",
        )  # fmt: skip
    return keys


def _lines(text: str) -> list[str]:
    """Return the keys of the file beside a month: a line each, the newest last. Errors: NoteError."""
    lines = text.removesuffix("\n").split("\n")
    if not all(lines) or len(lines) > KEYS_MAX or len(set(lines)) < len(lines):
        raise NoteError("须为每行一个公钥 it must be a key a line")
    return lines


def _open(place: Place, name: str, keys: Keys, findings: Findings) -> Opened | None:
    where = f"{place.label}/{name}"
    try:
        opened = open_checkpoint(place.read(name, CHECKPOINT_BYTES_MAX), keys)
    except MissingError:
        findings.problem(
            where, "检查点缺失：没有它，此月无法证明",
            "the checkpoint is missing: without it nothing of this month is proven",
        )  # fmt: skip
        return None
    except UnreadError as error:
        findings.problem(where, error.zh, error.en)
        return None
    except ValueError as error:
        findings.problem(where, f"检查点无法读取（{error}）", f"the checkpoint cannot be read ({error})")
        return None
    if opened.fault is not None:
        findings.problem(where, *opened.fault)
    elif not opened.signed:
        findings.note(f"{where}：没有公钥，签名未检查", f"{where}: there is no key, the signature was not checked")
    return opened


def _place_in_time(found: Found, checkpoint: Checkpoint, findings: Findings) -> tuple[str, str]:
    """Return stream and month; empty ones for a log that is not of this kind."""
    label = found.place.label
    named = stream_and_month(checkpoint.origin)
    if named is None:
        if found.stream:
            findings.problem(
                f"{label}/checkpoint", f"检查点属于另一个日志：{checkpoint.origin}",
                f"the checkpoint is of another log: {checkpoint.origin}",
            )  # fmt: skip
        else:
            findings.note(
                f"{label}：不是留存日志，条目内容与月份的链未检查",
                f"{label}: this is no statutory log; what its entries say and the chain of months were not checked",
            )
        return "", found.month
    stream, month = named
    if (found.stream or stream, found.month or month) != named:
        findings.problem(
            f"{label}/checkpoint", f"目录与检查点不符：检查点属于 {checkpoint.origin}，此月被替换或目录被改名",
            f"the folder does not fit its checkpoint, which is of {checkpoint.origin}: the month was replaced, or the "
            "folder renamed",
        )  # fmt: skip
    return named


def _cosigned(place: Place, checkpoint: Checkpoint, keys: Keys, findings: Findings) -> list[Given]:
    """Return the checkpoint that a witness cosigned, if it lies beside."""
    name = "checkpoint.cosigned"
    where = f"{place.label}/{name}"
    try:
        data = place.read(name, CHECKPOINT_BYTES_MAX)
        opened = open_checkpoint(data, keys)
    except UnreadError as error:
        if place.folder is not None and not isinstance(error, MissingError):
            findings.problem(where, error.zh, error.en)
        elif keys.witnesses:
            findings.note(
                f"{where}：没有见证者签名的检查点，只有节点自己的签名",
                f"{where}: no checkpoint that a witness cosigned, the node alone vouches for this month",
            )
        return []
    except ValueError as error:
        findings.problem(where, f"检查点无法读取（{error}）", f"the checkpoint cannot be read ({error})")
        return []
    if opened.checkpoint.origin != checkpoint.origin:
        findings.problem(
            where, f"检查点属于另一个日志：{opened.checkpoint.origin}",
            f"the checkpoint is of another log: {opened.checkpoint.origin}",
        )  # fmt: skip
        return []
    if opened.witnesses:
        told = ", ".join(opened.witnesses)
        findings.note(f"{where}：见证者已签名：{told}", f"{where}: cosigned by {told}")
    elif keys.witnesses:
        findings.problem(where, "没有给定见证者的签名", "there is no signature of a witness that was given")
    else:
        findings.note(
            f"{where}：未给定见证者公钥，其签名未检查",
            f"{where}: no key of a witness was given, its signature was not checked",
        )
    return [Given(where, data, opened.checkpoint)]


def _hold_against(known: Given, checkpoint: Checkpoint, tree: Tree, keys: Keys, findings: Findings) -> None:
    """Hold a checkpoint from elsewhere against the entries that are here."""
    opened = open_checkpoint(known.data, keys)
    if opened.fault is not None:
        findings.problem(known.name, *opened.fault)
        return
    size = known.checkpoint.size
    if size > checkpoint.size:
        findings.problem(
            known.name, f"此检查点有 {size} 条，日志只有 {checkpoint.size} 条：日志被回退，尾部的条目被删除",
            f"this checkpoint has {size} entries, the log has {checkpoint.size}: it was rolled back, entries at its "
            "end were removed",
        )  # fmt: skip
    elif size and tree.whole and tree.roots[size] != known.checkpoint.root:
        findings.problem(
            known.name, f"日志的前 {size} 条不是此检查点签发时的那些：历史被改写，或节点给不同的人看不同的日志",
            f"the first {size} entries are not those that this checkpoint was signed over: history was rewritten, or "
            "different people were shown different logs",
        )  # fmt: skip
