"""The verifier looks at every file: flipped octets, files cut short, strange names, what is left over; and a server."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoint import cosign
from audit.merkle import inclusion_proof, leaf_hash
from audit.note import NoteKey, open_note, parse_vkey, sign_note, witness_key
from audit.proof import dump_proof
from audit.tile import Edge, bundle_path, pack_bundle, subtree_of, tile_path
from audit.verify import Report, read_keys, verify
from audit.verify.place import LISTING_BYTES_MAX
from core.streams import Stream
from tests.kit.log_folders import SEED, LogFolder, document, row

MONTH = "2026-11"
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))


def witness() -> NoteKey:
    return witness_key("witness.example/w1", WITNESS.public_key().public_bytes_raw())


class Small(LogFolder):
    """A log of three publications, 270 leaves: a full bundle and a part, two levels, partial tiles left over."""

    def __init__(self, log: Path, stream: Stream = Stream.CHANGE) -> None:
        super().__init__(log, stream, MONTH)
        if stream is Stream.RESOLUTION:
            for count in (400, 700):
                self.resolutions([1_000 + at for at in range(count)], [row(f"88.118.7/S{at}") for at in range(count)])
            return
        for count in (2, 260, 7):
            self.entries(*[document(stream, at, "record.change", f"88.118.7/S{at}") for at in range(count)])

    @property
    def keys_text(self) -> str:
        return f"{self.key.vkey}\n{witness().vkey}\n"

    def cosign(self) -> None:
        note = self.checkpoint
        line = cosign(open_note(note, ()).text, witness(), 1_800_000_000, WITNESS.sign)
        (self.folder / "checkpoint.cosigned").write_bytes(note + line.encode())

    def verify(self) -> Report:
        return verify(self.folder, read_keys(self.keys_text))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """One for all examples of a property, which put back what they change."""
    made = Small(tmp_path_factory.mktemp("small"))
    made.cosign()
    assert made.verify().problems == []
    return made


@pytest.fixture
def own(tmp_path: Path) -> Small:
    """One that may be spoilt."""
    made = Small(tmp_path)
    assert made.verify().problems == []
    return made


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def wheres(report: Report) -> list[str]:
    return [problem.where for problem in report.problems]


# --- every octet ---


@given(st.data())
def test_every_octet_of_every_file_matters(small: Small, data: st.DataObject) -> None:
    """None is redundant: not in leftovers, nor in the key beside, nor in the checkpoint of the witness."""
    path = data.draw(st.sampled_from(files_of(small.folder)))
    octets = path.read_bytes()
    at = data.draw(st.integers(0, len(octets) - 1))
    path.write_bytes(octets[:at] + bytes([octets[at] ^ data.draw(st.integers(1, 255))]) + octets[at + 1 :])
    try:
        report = small.verify()
    finally:
        path.write_bytes(octets)
    relative = path.relative_to(small.folder)
    if str(relative) == "vkey" and at == len(octets) - 1 and report.ok:
        pytest.fail("the line feed behind the key is redundant")
    assert not report.ok
    assert any(f"{relative}" in where or "checkpoint" in where or "tile/" in where for where in wheres(report))


@given(st.data())
def test_a_file_that_is_cut_short_or_lengthened_is_named(small: Small, data: st.DataObject) -> None:
    """Whichever, wherever; the line feed behind the key is the one octet that may be missing."""
    path = data.draw(st.sampled_from(files_of(small.folder)))
    octets = path.read_bytes()
    kept = data.draw(st.integers(0, len(octets) - 1) | st.just(-1))
    changed = octets[:kept] if kept >= 0 else octets + data.draw(st.binary(min_size=1, max_size=40))
    path.write_bytes(changed)
    try:
        report = small.verify()
    finally:
        path.write_bytes(octets)
    relative = str(path.relative_to(small.folder))
    if relative == "vkey" and changed == octets[:-1]:
        assert report.ok
    else:
        assert any(relative in where for where in wheres(report))


def test_every_file_that_is_missing_is_named(own: Small) -> None:
    """But the key beside the log (noted), and partial tiles that fuller ones stand for."""
    for path in files_of(own.folder):
        octets = path.read_bytes()
        path.unlink()
        report = own.verify()
        path.write_bytes(octets)
        relative = str(path.relative_to(own.folder))
        last = relative.endswith(".p/14") or (".p/" not in relative) or relative == "tile/1/000.p/1"
        if relative == "vkey":
            assert report.ok
            assert any("vkey: the file is missing" in note for note in report.notes)
        else:
            assert (f"change/{MONTH}/{relative}" in wheres(report)) is last, relative


def test_files_that_are_swapped_are_named(own: Small) -> None:
    """Each is checked in its place."""
    entries, tiles = own.folder / "tile/entries", own.folder / "tile/0"
    for one, other in (
        (entries / "000", entries / "001.p/14"), (tiles / "000", tiles / "001.p/14"), (tiles / "000", entries / "000"),
        (own.folder / "vkey", own.folder / "checkpoint"), (entries / "000.p/3", tiles / "000.p/3"),
    ):  # fmt: skip
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)
        found = " ".join(wheres(own.verify()))
        one.write_bytes(first)
        other.write_bytes(second)
        assert str(one.relative_to(own.folder)) in found
        assert str(other.relative_to(own.folder)) in found


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt", "tile/0/1000", "tile/0/000.p/256", "tile/0/000.p/07", "tile/entries/x000/000", "tile/00/000",
        "tile/64/000", "checkpoint.old", "timestamps/x.tsr", "a/b/c/d/e/f/g/h/i/j/k", "tile/entries/000.gz", ".hidden",
    ],
)  # fmt: skip
def test_a_file_of_a_strange_name_is_named(own: Small, name: str) -> None:
    """It could be taken for a part of the log."""
    (own.folder / name).parent.mkdir(parents=True, exist_ok=True)
    (own.folder / name).write_bytes(b"x")
    found = own.verify().problems
    assert len(found) == 1
    assert "no part of a log" in found[0].what
    assert f"change/{MONTH}/{name}".startswith(found[0].where)


def test_what_an_honest_node_leaves_is_no_problem(own: Small, tmp_path: Path) -> None:
    """Timestamps, a file that was being written, partial tiles left or removed, private files beside the streams."""
    (own.folder / "timestamps").mkdir()
    (own.folder / "timestamps/270.tsr").write_bytes(b"x")
    (own.folder / "tile/entries/001.p/.15.new").write_bytes(b"half")
    (tmp_path / "pending").write_bytes(b"private")
    (tmp_path / ".dropped-change-2026-01/tile").mkdir(parents=True)
    own.remove_partials()
    report = own.verify()
    assert report.ok
    assert any("being written" in note for note in report.notes)
    assert verify(tmp_path, read_keys(own.keys_text)).problems == []


def test_a_log_that_is_copied_while_it_grows_is_no_problem(own: Small) -> None:
    """What is behind the checkpoint is noted, how much; what the checkpoint covers is checked in the fuller files."""
    early = own.checkpoint
    own.entries(*[document(Stream.CHANGE, at, "record.change", "88.118.7/X") for at in range(300)])
    own.remove_partials()
    (own.folder / "checkpoint").write_bytes(early)
    report = own.verify()
    assert report.problems == []
    assert any("covers 270 entries" in note and "up to 570" in note for note in report.notes)
    full = own.folder / "tile/entries/001"
    full.write_bytes(full.read_bytes().replace(b"S6", b"S7", 1))
    assert f"change/{MONTH}/tile/0/001 index 269" in wheres(own.verify())


def test_a_huge_size_does_not_keep_the_verifier_busy(own: Small) -> None:
    """It gives a month up when too much of it is missing."""
    text = (own.folder / "checkpoint").read_text().replace("\n270\n", "\n9223372036854775807\n")
    (own.folder / "checkpoint").write_text(text)
    report = own.verify()
    assert any("too many files are missing" in problem.what for problem in report.problems)
    assert len(report.problems) <= 1_000


def test_what_is_no_regular_file_is_named(own: Small) -> None:
    """A pipe would be waited for, a device never ends."""
    path = own.folder / "tile/entries/001.p/14"
    path.unlink()
    os.mkfifo(path)
    assert any("no regular file" in problem.what for problem in own.verify().problems)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert not own.verify().ok


def test_blocks_are_counted_and_a_head_that_is_none_is_named(tmp_path: Path) -> None:
    """Of a block of resolutions the head alone is read."""
    made = Small(tmp_path, Stream.RESOLUTION)
    report = made.verify()
    assert report.problems == []
    assert report.streams["resolution"][MONTH]["entries"] == 1_100
    assert report.streams["resolution"][MONTH]["size"] == 4
    good = made.leaves[-1]
    made.publish(b"\x01", good[:1] + b"\x01\xf5" + good[3:], good[:1] + b"\0\0" + good[3:])
    found = wheres(made.verify())
    assert found == [f"resolution/{MONTH}/tile/entries/000.p/7 index {index}" for index in (4, 5, 6)]


def test_the_witness_is_believed_by_its_key_alone(own: Small) -> None:
    """A line of a witness that nobody knows proves nothing, and is no problem."""
    own.cosign()
    assert any("cosigned by witness.example/w1" in note for note in own.verify().notes)
    assert any("no key of a witness" in note for note in verify(own.folder, read_keys(own.key.vkey)).notes)
    (own.folder / "checkpoint.cosigned").write_bytes(own.checkpoint)
    assert any("no signature of a witness" in problem.what for problem in own.verify().problems)
    (own.folder / "checkpoint.cosigned").unlink()
    assert any("the node alone vouches" in note for note in own.verify().notes)


def test_keys_are_trusted_whatever_their_name(own: Small) -> None:
    """One key signs for all months; another key does not, nor does a file without keys."""
    renamed = own.key.vkey.replace("change", "maintenance").split("+")
    with pytest.raises(ValueError, match="id of the key"):
        read_keys("+".join(renamed))
    other = LogFolder(own.folder.parent.parent / "x", Stream.MAINTENANCE, "2026-01")
    assert verify(own.folder, read_keys(f"{witness().vkey}\n\n{other.key.vkey}\n")).ok
    found = wheres(verify(own.folder, read_keys(witness().vkey)))
    assert found == [f"change/{MONTH}/vkey", f"change/{MONTH}/checkpoint"]
    (own.folder / "vkey").unlink()
    assert wheres(verify(own.folder, read_keys(witness().vkey))) == [f"change/{MONTH}/checkpoint"]
    for text in ("", "\n", "key", "\n".join([own.key.vkey] * 65)):
        with pytest.raises(ValueError, match=r"."):
            read_keys(text)


def test_a_log_of_another_kind_is_checked_as_far_as_it_goes(tmp_path: Path) -> None:
    """Any C2SP log, here the own fixed one of the facts (transparency-log §2.5): what its leaves say is its affair."""
    entries = [f"entry-{number}".encode() for number in range(257)]
    _, tiles = Edge().grow(map(leaf_hash, entries))
    octets = {tile_path(*place): data for place, data in tiles}
    octets |= {bundle_path(0): pack_bundle(entries[:256]), bundle_path(1, 1): pack_bundle(entries[256:])}
    vkey = "node.example/log/2026-11+58ca995a+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
    text = "node.example/log/2026-11\n257\nkYsc7GTzF8duPPVcBTaEHAOe/wZ3LruIKM58F2Aotaw=\n"
    octets["checkpoint"] = sign_note(text, parse_vkey(vkey), Ed25519PrivateKey.from_private_bytes(SEED).sign)
    for path, data in octets.items():
        (tmp_path / "fixed" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fixed" / path).write_bytes(data)
    for path in (tmp_path / "fixed", tmp_path):
        report = verify(path, read_keys(vkey))
        assert report.problems == []
        assert any("no statutory log" in note for note in report.notes)
        assert [month for months in report.streams.values() for month in months.values() if month["trusted"]]
    (tmp_path / "fixed" / bundle_path(1, 1)).write_bytes(pack_bundle([b"entry-x"]))
    assert not verify(tmp_path / "fixed").ok
    (tmp_path / "change").mkdir()
    shutil.move(tmp_path / "fixed", tmp_path / "change/2026-11")
    assert any("of another log" in problem.what for problem in verify(tmp_path).problems)


# --- proofs ---


def a_proof(made: LogFolder, index: int) -> bytes:
    subtree = subtree_of(lambda path: (made.folder / path).read_bytes(), len(made.leaves))
    return dump_proof(index, inclusion_proof(index, len(made.leaves), subtree), made.checkpoint, made.leaves[index])


@given(st.data())
def test_a_proof_of_any_entry_holds_and_every_octet_of_it_matters(small: Small, data: st.DataObject) -> None:
    """By itself, without the log."""
    index = data.draw(st.integers(0, len(small.leaves) - 1))
    proof = a_proof(small, index)
    path = small.folder.parent / "one.tlog-proof"
    path.write_bytes(proof)
    report = verify(path, read_keys(small.keys_text))
    assert report.problems == []
    assert report.proofs["one.tlog-proof"]["index"] == index
    assert report.proofs["one.tlog-proof"]["trusted"]
    assert "consistent with itself only" in verify(path).trust
    at = data.draw(st.integers(0, len(proof) - 1))
    path.write_bytes(proof[:at] + bytes([proof[at] ^ data.draw(st.integers(1, 255))]) + proof[at + 1 :])
    assert not verify(path, read_keys(small.keys_text)).ok


def test_a_proof_is_held_against_a_checkpoint(small: Small, tmp_path: Path) -> None:
    """Of the same size with another root: the node signed both. Without its entry it proves nothing."""
    fork = LogFolder(tmp_path, Stream.CHANGE, MONTH)
    fork.publish(*[b"{}"] * (len(small.leaves) - 1))
    path = tmp_path / "one.tlog-proof"
    path.write_bytes(a_proof(small, 5))
    keys = read_keys(small.keys_text)
    assert "contradict each other" in verify(path, keys, [("kept", fork.checkpoint)]).problems[0].what
    assert verify(path, keys, [("kept", small.checkpoint)]).ok
    subtree = subtree_of(lambda path: (small.folder / path).read_bytes(), len(small.leaves))
    path.write_bytes(dump_proof(5, inclusion_proof(5, len(small.leaves), subtree), small.checkpoint))
    assert "the entry is not in the file" in verify(path, keys).problems[0].what
    assert leaf_hash(small.leaves[5]) != leaf_hash(small.leaves[6])


# --- a web server ---


class Web(http.server.SimpleHTTPRequestHandler):
    """Publishes a folder below /log/, with the list of its months; to who has the token. May pack bundles."""

    root: Path
    packed = False

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != "Bearer secret":
            self.send_error(401)
            return
        if self.path == "/log/moved/":
            self.send_response(302)
            self.send_header("Location", "/log/")
            self.end_headers()
            return
        if self.path == "/log/":
            streams = {path.name: sorted(os.listdir(path)) for path in self.root.iterdir()}
            octets = json.dumps({"streams": streams}).encode()
        else:
            path = self.root / self.path.removeprefix("/log/")
            if not path.is_file():
                self.send_error(404)
                return
            octets = path.read_bytes()
        self.send_response(200)
        if self.packed and "/entries/" in self.path:
            octets = gzip.compress(octets)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, *_: object) -> None:
        pass


def test_a_proof_beside_the_log_is_held_against_it(own: Small, tmp_path: Path) -> None:
    """One of the log as it is, or as it was; one of another history that the node signed is a fork."""
    (tmp_path / "one.tlog-proof").write_bytes(a_proof(own, 7))
    assert verify(tmp_path, read_keys(own.keys_text)).problems == []
    other = LogFolder(tmp_path / "other", Stream.CHANGE, MONTH)
    other.entries(*[document(Stream.CHANGE, at, "record.change", f"88.118.7/X{at}") for at in range(9)])
    (tmp_path / "two.tlog-proof").write_bytes(a_proof(other, 7))
    shutil.rmtree(tmp_path / "other")
    assert wheres(verify(tmp_path, read_keys(own.keys_text))) == ["two.tlog-proof"]


@pytest.fixture
def web(own: Small) -> Iterator[str]:
    Web.root, Web.packed = own.folder.parent.parent, False
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/log"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_log_on_a_server_is_verified(own: Small, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All streams, or one month; bundles packed or not; a tampering and a missing file as in a folder."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    keys = read_keys(own.keys_text)
    for address in (web, f"{web}/", f"{web}/change/{MONTH}", f"{web}/change/{MONTH}/"):
        report = verify(address, keys, token="secret")
        assert report.problems == [], address
        assert report.streams["change"][MONTH]["size"] == 270
    Web.packed = True
    assert verify(web, keys, token="secret").ok
    full = own.folder / "tile/entries/000"
    full.write_bytes(full.read_bytes().replace(b"S6", b"S7", 1))
    assert f"change/{MONTH}/tile/0/000 index 9" in wheres(verify(web, keys, token="secret"))
    full.unlink()
    assert f"change/{MONTH}/tile/entries/000" in wheres(verify(web, keys, token="secret"))


def test_a_server_that_does_not_answer_as_it_should_is_told(
    own: Small, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No token, nobody there, an answer that leads elsewhere (a token goes nowhere else), one that never ends."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert "401" in verify(web).problems[0].what
    assert not verify("http://127.0.0.1:9/log/").ok
    assert "302" in verify(f"{web}/moved", token="secret").problems[0].what
    (own.folder / "vkey").write_bytes(bytes(100_000))
    assert any("too long" in note for note in verify(web, token="secret").notes)
    (own.folder.parent.parent / ("x" * 200)).mkdir()
    assert "names that are none" in verify(web, token="secret").problems[0].what
    assert LISTING_BYTES_MAX


# --- by itself ---


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=cwd,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip


def test_it_runs_by_itself_and_imports_nothing_of_the_node(own: Small, tmp_path: Path) -> None:
    """`python -m audit.verify`; after a whole verification no module of the node is loaded, nor of its libraries."""
    (tmp_path / "keys").write_text(own.keys_text)
    (tmp_path / "one.tlog-proof").write_bytes(a_proof(own, 3))
    ended = run("-m", "audit.verify", tmp_path, "--vkey", tmp_path / "keys", "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["ok"], told["problems"]) == (True, [])
    assert list(told["proofs"]) == ["one.tlog-proof"]
    program = (
        "import sys; from audit.verify.__main__ import main; "
        f"code = main([{str(tmp_path)!r}, '--vkey', {str(tmp_path / 'keys')!r}, '--json']); "
        "print(code, sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr); "
        "print([name for name in sys.modules if name.startswith('audit.')], file=sys.stderr)"
    )
    packages, modules = run("-c", program, cwd=tmp_path).stderr.splitlines()
    assert packages.startswith("0 ")
    for name in ("core", "node", "registry", "resolver", "msgpack", "zstandard", "duckdb", "click", "lmdb"):
        assert f"'{name}'" not in packages
    loaded = {name.split(".")[1] for name in json.loads(modules.replace("'", '"'))}
    assert loaded == {"verify", "merkle", "tile", "note", "checkpoint", "proof"}
    (own.folder / "checkpoint").unlink()
    assert run("-m", "audit.verify", own.folder).returncode == 1
    assert run("-m", "audit.verify", own.folder, "--vkey", tmp_path / "none").returncode == 2


def test_its_memory_is_flat(tmp_path: Path) -> None:
    """Two bundles of large blocks, or ten: the most that was ever resident is the same."""
    peaks = []
    body = random.Random(1).randbytes(40_000)
    block = b"\x01\x01\xf4" + bytes(16) + body
    for bundles in (2, 10):
        made = LogFolder(tmp_path / str(bundles), Stream.RESOLUTION, MONTH)
        for _ in range(bundles):
            made.publish(*[block] * 256)
        made.remove_partials()
        program = (
            "import resource; from audit.verify import verify; "
            f"report = verify({str(made.folder)!r}); assert report.ok, report; "
            f"assert report.streams['resolution']['{MONTH}']['entries'] == {bundles * 256 * 500}; "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        ended = run("-c", program)
        assert ended.returncode == 0, ended.stderr
        peaks.append(int(ended.stdout))
        shutil.rmtree(made.folder)
    assert peaks[1] - peaks[0] < 4_096  # KiB; eight bundles more are 80 MB


# --- nothing raises ---


@given(st.data())
def test_no_content_of_any_file_raises(small: Small, data: st.DataObject) -> None:
    """Whatever stands in the checkpoint, the key, a leaf, the first leaf; names as strange as a disk takes them."""
    leaf = st.binary(max_size=60) | st.sampled_from(
        [
            b'{"act":"log.drop","obj":1,"res":{"reason":"a 1 b"}}', b'{"act":"log.drop","res":[]}', b'{"t":"\\ud800"}',
            b"[" * 5_000, b"9" * 5_000, b'{"act":"log.begin","stream":[]}', b"\x01" + bytes(40), b"",
        ]
    )  # fmt: skip
    place = small.folder.parent.parent / "any"
    stream = data.draw(st.sampled_from(Stream))
    made = LogFolder(place, stream, MONTH, before=data.draw(leaf) or b"x")
    try:
        made.publish(*data.draw(st.lists(leaf, max_size=4)))
        (place / "one.tlog-proof").write_bytes(a_proof(made, 0))
        path = made.folder / data.draw(st.sampled_from(("checkpoint", "vkey", "checkpoint.cosigned", "none")))
        if path.name != "none":
            path.write_bytes(data.draw(st.binary(max_size=300)))
        (made.folder / "tile/\x1b[2J\udcff").write_bytes(b"x")
        keys = data.draw(st.sampled_from((None, read_keys(small.keys_text))))
        report = verify(place, keys)
    finally:
        shutil.rmtree(place)
    assert not report.ok
    text = report.text() + json.dumps(report.document(), ensure_ascii=False)
    assert text.encode()
    assert "\x1b" not in text


def test_a_proof_of_resolutions_tells_what_was_answered(tmp_path: Path) -> None:
    """A block is no text: each of its entries is told as the log has it, also to a person."""
    log = LogFolder(tmp_path / "log", Stream.RESOLUTION, "2026-11")
    log.resolutions([1_795_000_000_000] * 12, [row(f"88.118.7/SKU{number:02}") for number in range(12)])
    subtree = subtree_of(lambda path: (log.folder / path).read_bytes(), 2)
    file = tmp_path / "one.tlog-proof"
    file.write_bytes(dump_proof(1, inclusion_proof(1, 2, subtree), log.checkpoint, log.leaves[1]))
    report = verify(file)
    (proven,) = report.proofs.values()
    assert report.ok
    assert [each["obj"] for each in proven["entry"]] == [f"88.118.7/SKU{number:02}" for number in range(12)]
    text = report.text()
    assert ("node.example/log/resolution/2026-11 index 1" in text, "88.118.7/SKU09" in text, "2 more" in text) == (
        True,
    ) * 3
    assert "88.118.7/SKU10" not in text
