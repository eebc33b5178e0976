"""``saltern doctor``: is this node well, and if not, what helps."""

from __future__ import annotations

import http.client
import importlib.metadata
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
from cryptography import x509

from audit.waiting import look
from core import clock
from core.config import Config
from core.disk import free_bytes
from core.errors import NodeError, Outcome, StoreError
from core.lotkeys import codes_of_lot
from core.outcomes import STATUSES
from core.signature import key_id
from core.store.engine import Snapshot, Table
from core.store.fsck import check_store
from core.store.incident_rows import unpack_incident
from core.store.lot_rows import unpack_lot
from node import wiring
from node.cli.common import Failure, config_option, json_option, load_config, print_json
from node.cli.doctor_backup import look_at_backups
from node.cli.doctor_dns import look_at_dns
from node.cli.doctor_escrow import look_at_deposits
from node.cli.doctor_month import look_at_month
from node.cli.doctor_upstream import look_at_upstreams
from node.duties import load_duties, validity
from node.key_file import LOT_KEYS, PARTY_KEYS, KeyKind, load_keys
from node.signing import load_signer
from node.site import configured_site
from node.sync_sources import make_sources
from registry.client import BlockingClient

_PACKAGES = ("core", "audit", "registry", "resolver", "sync", "node")
_FREE_BYTES_MIN = 1 << 30
_FULL_BYTES = 1 << 20  # less than one transaction and one segment may take
_DAY_S = 86_400
_WARN_DAYS = 30
_READY_S = 5
_LOGS_BEHIND_S = 5
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on, and where it is asked


class Finding(NamedTuple):
    """One check. ``level``: ok, warning or error."""

    level: str
    check: str
    message: str


@click.command()
@click.option("--deep", is_flag=True, help="检查存储中的每一行 Check every row of the store (fsck).")
@config_option
@json_option
def doctor(deep: bool, config_file: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """检查安装、配置、密钥、磁盘、存储与日志。Check installation, configuration, keys, disk, store and logs.

    Example: saltern doctor --deep --config my-node/node.toml
    """
    findings = list(_installation())
    try:
        config = load_config(config_file, overrides)
    except NodeError as error:
        findings.append(Finding("error", "config", error.message))
    else:
        findings.append(Finding("ok", "config", str(config.path)))
        for check in (
            _handles,
            _files,
            _identity_keys,
            _lot_keys,
            _signing_key,
            _certificate,
            _duties,
            _disk,
            _node,
            _logs,
            _month,
            _backups,
            _dns,
        ):
            findings += check(config)
        findings += _store(config, deep)
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            mark = {"ok": "✓", "warning": "!", "error": "✗"}[finding.level]
            click.echo(f"{mark} {finding.check}: {finding.message}")
    if any(finding.level == "error" for finding in findings):
        raise Failure("有问题需要处理 something needs attention")


def _installation() -> Iterator[Finding]:
    """The import names are generic: say so when one belongs to another distribution."""
    owners = importlib.metadata.packages_distributions()
    for name in _PACKAGES:
        others = sorted(set(owners.get(name, ())) - {"saltern"})
        if others:
            yield Finding(
                "error", "installation",
                f"包名 {name} 也属于 {', '.join(others)}，请装在独立的虚拟环境。The import name {name} also belongs to "
                f"{', '.join(others)}; install Saltern in a virtual environment of its own",
            )  # fmt: skip
            return
    yield Finding("ok", "installation", "import names are Saltern's own")


def _handles(config: Config) -> Iterator[Finding]:
    """What ``serve`` would refuse to start with."""
    try:
        wiring.server_admins(config)
        wiring.rate_limit_exempt(config)
        site = configured_site(config)
    except NodeError as error:
        yield Finding("error", "handle", error.message)
        return
    if site is not None:
        server = config.integer("handle.server_id")
        yield Finding("ok", "handle", f"站点共 {len(site.servers)} 台服务器 servers in the site; this is {server}")


def _files(config: Config) -> Iterator[Finding]:
    secret_files = [path for path in (config.file("https.key"), config.file("handle.server_key")) if path is not None]
    secret_files += [path for path in (config.path.parent / "keys").glob("admin.*") if path.is_file()]
    for path in secret_files:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as error:
            yield Finding("error", "keys", f"{path}: {error.strerror}")
            continue
        if mode & 0o077:
            yield Finding("error", "keys", f"{path} 权限为 {mode:04o} can be read by others: chmod 600 {path}")
        else:
            yield Finding("ok", "keys", str(path))


def _identity_keys(config: Config) -> Iterator[Finding]:
    """What identity data of parties is encrypted with; a node of an earlier version has none yet."""
    yield from _key_file(config, PARTY_KEYS)


def _lot_keys(config: Config) -> Iterator[Finding]:
    """What unit codes are made with; a node of an earlier version has none yet."""
    yield from _key_file(config, LOT_KEYS)


def _key_file(config: Config, kind: KeyKind) -> Iterator[Finding]:
    path = wiring.key_file(config, kind)
    try:
        keys = load_keys(path, kind)
    except NodeError as error:
        yield Finding("error" if path.exists() else "warning", "keys", error.message)
    else:
        yield Finding("ok", "keys", f"{path}: {len(keys.keys)} 个密钥 keys, {keys.current} 在用 in use")


def _signing_key(config: Config) -> Iterator[Finding]:
    """What reports and exports are signed with; a node of an earlier version has none yet."""
    try:
        signer = load_signer(config)
    except NodeError as error:
        yield Finding("warning", "keys", error.message)
    else:
        yield Finding("ok", "keys", f"{config.file('node.signing_key')}: {key_id(signer.public_key)}")


def _certificate(config: Config) -> Iterator[Finding]:
    path = config.file("https.certificate")
    if path is None:
        yield Finding("warning", "https", "未启用 HTTPS。HTTPS is off: others cannot send credentials")
        return
    try:
        wiring.tls_context(config)
        ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (NodeError, OSError, ValueError) as error:
        yield Finding("error", "https", str(error))
        return
    days = int(ends.timestamp() - clock.now_s()) // _DAY_S
    level = "ok" if days > _WARN_DAYS else "warning" if days >= 0 else "error"
    yield Finding(level, "https", f"证书有效期至 certificate valid until {ends:%Y-%m-%d} ({days} 天 days)")


def _duties(config: Config) -> Iterator[Finding]:
    """What is published, and the licence (Measures art. 6); ``serve`` refuses to start without in production."""
    try:
        duties = load_duties(config)
    except NodeError as error:
        yield Finding("error", "duties", error.message)
        return
    now_ms = clock.now_ms()
    if duties.licence is None:
        yield Finding("ok", "licence", "未配置（开发配置不需要）not configured, as development allows")
        return
    warning = duties.warning(now_ms)
    level = "ok" if warning is None else "warning" if duties.registration.is_open(now_ms) else "error"
    state = validity(duties.licence, duties.licence.state(now_ms))
    yield Finding(level, "licence", warning or f"{state}, {duties.licence.days_left(now_ms)} 天 days")


def _disk(config: Config) -> Iterator[Finding]:
    """How much room there is, and what stops for want of it (``core/disk.py``)."""
    try:
        mode = stat.S_IMODE(config.data.stat().st_mode)
    except OSError as error:
        yield Finding("error", "disk", f"{config.data}: {error.strerror}")
        return
    free = free_bytes(wiring.disks(config))
    stop, reserve = config.integer("log.disk_stop"), config.integer("log.disk_reserve")
    told = f"剩余 {free >> 20} MiB free on {config.data}"
    if free < reserve:
        why = f"，低于 log.disk_reserve：解析已停止。below log.disk_reserve ({reserve >> 20} MiB): nothing is resolved"
        yield Finding("error", "disk", told + why)
    elif free < stop:
        why = f"，低于 log.disk_stop：注册已停止。below log.disk_stop ({stop >> 20} MiB): nothing is registered"
        yield Finding("error", "disk", told + why)
    else:
        level = "ok" if free >= max(2 * stop, _FREE_BYTES_MIN) else "warning" if free >= _FULL_BYTES else "error"
        yield Finding(level, "disk", told)
    if mode & 0o077:
        yield Finding("error", "disk", f"chmod 700 {config.data}: 数据目录可被他人读取 others can read the data folder")


def _node(config: Config) -> Iterator[Finding]:
    try:
        BlockingClient(wiring.run_folder(config)).close()
    except OSError:
        yield Finding("ok", "node", "未运行 not running")
    else:
        yield Finding("ok", "node", "正在运行 running")
        yield from _readiness(config)


def _logs(config: Config) -> Iterator[Finding]:
    """Whether what was answered is published; without the keeper, or where it is behind, no auditor sees it."""
    try:
        waits = look(config.data)
    except OSError as error:
        yield Finding("error", "logs", f"{error.filename}: {error.strerror}")
        return
    if waits.fault is not None:
        yield Finding(
            "error", "logs",
            f"{waits.fault}；日志不再发布，请从备份恢复，见 docs/explanation/log-publication.md。"
            "Nothing is published any more: restore it from a backup",
        )  # fmt: skip
        return
    age_s = 0 if waits.since_ms is None else (clock.now_ms() - waits.since_ms) // 1_000
    if age_s <= _LOGS_BEHIND_S:
        yield Finding("ok", "logs", "已应答的解析均已发布 what was answered is published")
        return
    yield Finding(
        "warning", "logs",
        f"{waits.octets} 字节已应答的解析等待发布已 {age_s} 秒：请启动节点；若在运行，请看其日志。{waits.octets} "
        f"octets of resolutions wait to be published, for {age_s} s: start the node; if it runs, see what it logs",
    )  # fmt: skip


def _backups(config: Config) -> Iterator[Finding]:
    """Whether there is a backup, and how old it is."""
    yield Finding(*look_at_backups(config, clock.now_ms()))


def _dns(config: Config) -> Iterator[Finding]:
    """Zones, keys of transfers, and whether secondaries have heard."""
    try:
        yield from (Finding(*each) for each in look_at_dns(config, clock.now_ms()))
    except NodeError as error:
        yield Finding("error", "dns", error.message)


def _readiness(config: Config) -> Iterator[Finding]:
    """What load balancers are told; 503 where the resolution log or the store cannot be used."""
    address, port = config.text("http.address"), config.integer("http.port")
    host = _LOOPBACK.get(address, address)
    if not port:
        return  # any free one: it is not known here
    connection = http.client.HTTPConnection(host, port, timeout=_READY_S)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return  # it may have been started with another port
    finally:
        connection.close()
    if status == STATUSES[Outcome.OVERLOADED].http:
        yield Finding(
            "error", "node",
            f"不能服务：/readyz 为 {status}，多因磁盘写满，请查看运行日志。/readyz is {status}: nothing is resolved, "
            "mostly because the disk is full; see the log of the node",
        )  # fmt: skip


def _incidents(snapshot: Snapshot) -> Iterator[Finding]:
    """Reports that are overdue (Measures art. 14)."""
    now_ms = clock.now_ms()
    for key, row in snapshot.scan(Table.INCIDENTS, b""):
        try:
            incident = unpack_incident(row)
        except StoreError:
            continue  # which --deep says
        if incident.is_overdue(now_ms):
            name, due = key.decode(), clock.format_shanghai(incident.due_ms)
            yield Finding(
                "warning", "incidents",
                f"{name} 应于 {due} 前报告。{name} was to be reported by {due}: saltern incident report {name}",
            )  # fmt: skip


def _lots(config: Config, snapshot: Snapshot) -> Iterator[Finding]:
    """Whether the master keys are those that lots were made with: one lot of each key is looked at."""
    keys, number, seen = wiring.lot_keys(config), 0, set()
    for key, packed in snapshot.scan(Table.LOTS, b""):
        number += 1
        try:
            row = unpack_lot(packed)
            if row.key_id not in seen:
                seen.add(row.key_id)
                codes_of_lot(keys, key, row)
        except StoreError as error:
            yield Finding("error", "lots", error.message)
    if number:
        yield Finding("ok", "lots", f"{number} 个批次 lots, {len(seen)} 个密钥 keys")


def _month(config: Config) -> Iterator[Finding]:
    """Whether the report of the last month was made."""
    try:
        yield from (Finding(*each) for each in look_at_month(config, clock.now_ms()))
    except NodeError as error:
        yield Finding("error", "report", error.message)


def _upstreams(config: Config, snapshot: Snapshot) -> Iterator[Finding]:
    """What top nodes are owed, and whether they take it; nothing where none is connected."""
    try:
        yield from (Finding(*each) for each in look_at_upstreams(snapshot, make_sources(config), clock.now_ms()))
    except NodeError as error:
        yield Finding("error", "upstream", error.message)


def _deposits(config: Config, snapshot: Snapshot) -> Iterator[Finding]:
    """Whether there is a deposit, how old it is, and what became of it."""
    try:
        yield Finding(*look_at_deposits(config, snapshot, clock.now_ms()))
    except StoreError as error:
        yield Finding("error", "escrow", error.message)


def _store(config: Config, deep: bool) -> Iterator[Finding]:
    try:
        store = wiring.open_store(config, read_only=True)
    except NodeError as error:
        yield Finding("error", "store", error.message)
        return
    try:
        rows = store.statistics().rows
        yield Finding("ok", "store", f"{rows['records']} 条记录 records, {rows['prefixes']} 个前缀 prefixes")
        with store.snapshot() as snapshot:
            yield from _incidents(snapshot)
            yield from _lots(config, snapshot)
            yield from _upstreams(config, snapshot)
            yield from _deposits(config, snapshot)
        if deep:
            with store.snapshot() as snapshot:
                faults = list(check_store(snapshot))
            for fault in faults:
                yield Finding("error", "fsck", fault)
            if not faults:
                yield Finding("ok", "fsck", "每一行都正确 every row is right")
    finally:
        store.close()
