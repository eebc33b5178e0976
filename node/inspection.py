"""The pack for an inspector: one signed archive of logs, configuration, statistics and duties (Measures art. 14, 15).

    README.txt                       what is what, and how it is checked; Chinese and English
    manifest.json                    what the pack is, and each file of it; signed; see below
    log/<stream>/<YYYY-MM>/…         the published logs of all months that touch the days, of maintenance all later ones
    checkpoints/<stream>-<YYYY-MM>   the checkpoints of all months that the node keeps
    statistics.json                  parties, prefixes, records, lots, units now; resolutions and entries of the days
    configuration.json               the settings in force; they name files of keys, and hold none
    about.json, licence.json         what the operator publishes
    holds.json, complaints.json, incidents.json, templates.json, sync.json
    SHA256SUMS, SM3SUMS              digests of all of these but README.txt and manifest.json

``manifest.json`` has the shape of that of an export, and is signed in the same way, with the purpose ``inspection``:

| member | what |
|---|---|
| format, version | ``saltern-inspection``, 1 |
| from, to | first and last day, Asia/Shanghai |
| months | array: ``stream``, ``month``, ``origin``, ``size``, ``included``, ``checkpoint`` (the note), |
|  | ``checkpoint_file``; every month that the node keeps, by stream, rising |
| files | array: ``name``, ``bytes``, ``sha256``, ``sm3``; of tiles and bundles the lists above have the digests, and |
|  | the checkpoints prove them |
| node, software, created, actor | prefix of the node, its version, UTC, on whose behalf |
| signature | ``core/signature.py`` |

Nothing is made from what is sealed or secret, and all that is written is searched for secrets (``node/leaks.py``).
Memory: one bundle of a log, and half a KiB a file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import IO, Any, Final, NamedTuple

from audit.archive import Archive, Member
from audit.counting import Counting
from audit.export import Days
from audit.inspection import Month, Part, needed, read_parts, take_months
from audit.places import FOLDER
from core.clock import DAY_MS, Millis, format_instant, shanghai_midnight
from core.config import Config
from core.signature import Signer
from core.store.complaint_rows import unpack_complaint
from core.store.engine import Snapshot, Table
from core.store.incident_rows import report_key, unpack_incident, unpack_report
from core.store.template_rows import unpack_template
from core.store.upstream_rows import upstreams
from core.streams import Stream
from node import VERSION
from node.duties import load_duties
from node.inspection_readme import README
from node.leaks import Watch, watch
from node.public_pages import PublicPages
from node.statistics import count_store
from node.sync_sources import make_sources
from registry.complaints import complaint_document
from registry.documents import template_summary
from registry.holds import list_held
from registry.incidents import incident_document
from sync.standing import dump_standing

FORMAT: Final = "saltern-inspection"
FORMAT_VERSION: Final = 1
PURPOSE: Final = "inspection"
MANIFEST: Final = "manifest.json"
_TILES: Final = "tile/"
_PLAIN: Final = ("tile/entries/",)

Reading = Callable[[], AbstractContextManager[Snapshot]]
"""Opens the state of the store."""


class Made(NamedTuple):
    """What was made. ``files``: in the archive."""

    manifest: dict[str, Any]
    files: int


def make_pack(
    file: IO[bytes], config: Config, reading: Reading, days: Days, *,
    signer: Signer, actor: str, now_ms: Millis, begin: Callable[[int], Callable[[int], None]],
) -> Made:  # fmt: skip
    """Write the pack.

    ``begin``: is told how many leaves of logs will be read, and returns what is told of each step.
    Errors: LogReadError, LeakError, ConfigError, StoreError, OSError.
    """
    with reading() as snapshot:
        watching = watch(config, snapshot)
    archive = Archive(file, watching.look)
    try:
        return _Pack(archive, watching, config, days, now_ms).make(reading, signer, actor, begin)
    finally:
        archive.close()


class _Pack:
    """One pack while it is made."""

    def __init__(self, archive: Archive, watching: Watch, config: Config, days: Days, now_ms: Millis) -> None:
        self._archive = archive
        self._config = config
        self._days = days
        self._now_ms = now_ms
        self._files: list[Member] = []
        self._counting = Counting(
            shanghai_midnight(days.first), shanghai_midnight(days.last) + DAY_MS, watching.look
        )  # fmt: skip

    def make(
        self, reading: Reading, signer: Signer, actor: str, begin: Callable[[int], Callable[[int], None]]
    ) -> Made:  # fmt: skip
        taken = take_months(self._config.data / FOLDER)
        included = needed(taken, self._days.first.isoformat()[:7], self._days.last.isoformat()[:7])
        progress = begin(sum(month.checkpoint.size for month in included))
        for month in included:
            self._add_month(month, progress)
        for month in taken:
            self._add(_checkpoint_file(month), month.note)
        self._add_settings(signer)
        with reading() as snapshot:
            self._add_store(snapshot)
            self._add_json("sync.json", {"upstreams": [
                dump_standing(snapshot, upstream, row, make_sources(self._config), self._now_ms)
                for upstream, row in upstreams(snapshot)
            ]})  # fmt: skip
        self._files += self._archive.add_sums()
        self._add("README.txt", README.encode("utf-8-sig"))
        document = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "from": self._days.first.isoformat(),
            "to": self._days.last.isoformat(),
            "months": [_month_document(month, included=month in included) for month in taken],
            "files": [
                {"name": each.name, "bytes": each.octets, "sha256": each.sha256, "sm3": each.sm3}
                for each in self._files
            ],
            "node": self._config.text("node.prefix"),
            "software": VERSION,
            "created": format_instant(self._now_ms),
            "actor": actor,
        }
        signed = signer.sign_document(PURPOSE, document)
        self._add_json(MANIFEST, signed)
        return Made(signed, self._archive.files)

    def _add_month(self, month: Month, progress: Callable[[int], None]) -> None:
        for part in read_parts(self._config.data / FOLDER, month):
            self._counting.take(month, part)
            self._add(f"{FOLDER}/{month.path}/{part.path}", part.octets, packed=_shrinks(month, part))
            progress(len(part.leaves))

    def _add_settings(self, signer: Signer) -> None:
        values = self._config.values
        self._add_json("configuration.json", {name: values[name] for name in sorted(values)})
        duties = load_duties(self._config)
        about = PublicPages(duties, signer.public_key, VERSION, lambda: self._now_ms).document()
        self._add_json("about.json", about)
        self._add_json("licence.json", about["licence"])

    def _add_store(self, snapshot: Snapshot) -> None:
        """Add what one state of the store says."""
        counted = count_store(snapshot) | self._counting.document()
        from_to = {"from": self._days.first.isoformat(), "to": self._days.last.isoformat()}
        self._add_json("statistics.json", from_to | {"at": format_instant(self._now_ms)} | counted)
        self._add_rows("holds.json", list_held(snapshot))
        self._add_rows("complaints.json", (
            complaint_document(key.decode(), unpack_complaint(row), self._now_ms)
            for key, row in snapshot.scan(Table.COMPLAINTS, b"")
        ))  # fmt: skip
        self._add_rows("incidents.json", _incidents(snapshot))
        self._add_rows("templates.json", (
            template_summary(unpack_template(row)) for _, row in snapshot.scan(Table.TEMPLATES, b"")
        ))  # fmt: skip

    def _add(self, name: str, *parts: bytes, packed: bool = True) -> None:
        self._list(self._archive.add(name, parts, packed=packed))

    def _add_json(self, name: str, document: Any) -> None:
        self._add(name, json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n")

    def _add_rows(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        """Add a JSON array, one row of it in memory at a time."""
        self._list(self._archive.add(name, _array(rows)))

    def _list(self, member: Member) -> None:
        """Remember a file for the manifest. Tiles are too many: checkpoints and lists prove them."""
        if f"/{_TILES}" not in member.name:
            self._files.append(member)


def _array(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    before = b"[\n"
    for row in rows:
        yield before + json.dumps(row, ensure_ascii=False).encode()
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def _incidents(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """Yield incidents with their reports, as they were signed."""
    for key, row in snapshot.scan(Table.INCIDENTS, b""):
        name, incident = key.decode(), unpack_incident(row)
        rows = [
            snapshot.get(Table.INCIDENT_REPORTS, report_key(name, revision))
            for revision in range(1, len(incident.reports) + 1)
        ]
        signed = [unpack_report(report) for report in rows if report is not None]
        yield incident_document(name, incident) | {"signed_reports": signed}


def _shrinks(month: Month, part: Part) -> bool:
    """Whether a file gets smaller: hashes do not, nor blocks, which are compressed."""
    return part.path.startswith(_PLAIN) and month.stream is not Stream.RESOLUTION


def _checkpoint_file(month: Month) -> str:
    return f"checkpoints/{month.stream.value}-{month.month}"


def _month_document(month: Month, *, included: bool) -> dict[str, Any]:
    return {
        "stream": month.stream.value,
        "month": month.month,
        "origin": month.checkpoint.origin,
        "size": month.checkpoint.size,
        "included": included,
        "checkpoint": month.note.decode(),
        "checkpoint_file": _checkpoint_file(month),
    }
