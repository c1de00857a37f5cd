# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.backup."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

from umslab_certs.client_authority import ClientAuthority
from umslab_certs.device_communication import DeviceCommunication
from umslab_certs.files import sync_folder
from umslab_certs.keys import KeyType
from umslab_certs.store import WebCertificates
from umslab_server import backup as module
from umslab_server.backup import BackupError, make, restore
from umslab_server.certificates import open_or_create_os11
from umslab_server.state_folder import StateFolder, StateFolderError
from umslab_server.store import StoreError

from .parts import EPOCH, Endpoint, unit_id
from .world import open_world

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Files = dict[str, bytes]


def write_tar(path: Path, files: Files) -> Path:
    """A tar file of these files, written as `make` writes."""
    with tarfile.open(path, "w:", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def read_tar(path: Path) -> Files:
    """The files in a tar file."""
    with tarfile.open(path, "r:") as tar:
        return {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]


def contents(folder: Path) -> Files:
    """Every file below a folder, but the lock and what SQLite keeps beside the registry."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in {"lock", "registry.sqlite-wal", "registry.sqlite-shm"}
    }


def edit_manifest(files: Files, **changes: Any) -> None:
    """Change members of the manifest."""
    files["manifest.json"] = json.dumps({**json.loads(files["manifest.json"]), **changes}).encode()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server that has run and knows one device; made once."""
    folder = tmp_path_factory.mktemp("ran")

    async def run() -> None:
        async with open_world(folder) as world:
            await world.certificate(Endpoint(1))
            await world.stop()

    trio.run(run, clock=MockClock(autojump_threshold=0))
    return folder / "server"


@pytest.fixture
def state(ran: Path, tmp_path: Path) -> StateFolder:
    """A copy of it, for one test."""
    shutil.copytree(ran, tmp_path / "server")
    return StateFolder(tmp_path / "server")


@pytest.fixture
def good(state: StateFolder, tmp_path: Path) -> Path:
    """A backup of it."""
    make(state, tmp_path / "good.tar", version="test", now=EPOCH)
    return tmp_path / "good.tar"


class TestMaking:
    """One private file."""

    def test_what_is_in_it(self, state: StateFolder, good: Path) -> None:
        """Registry, certificates, keys, and a manifest with their digests; nothing about who made it where."""
        files = read_tar(good)
        manifest = json.loads(files.pop("manifest.json"))

        assert set(files) == {
            "registry.sqlite", "web/chain.pem", "web/root.key", "web/root.pem", "web/web.pem", "est/authority.pem",
            "os11/tckey.pem",
        }  # fmt: skip
        assert manifest["sha256"] == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        assert (manifest["format"], manifest["umslab"], manifest["made_at"]) == (1, "test", "2026-01-01T00:00:00.000Z")
        assert files["web/root.key"] == (state.web / "root.key").read_bytes()
        assert good.stat().st_mode & 0o777 == 0o600
        with tarfile.open(good) as tar:
            assert {(member.uid, member.gid, member.uname, member.mode) for member in tar} == {(0, 0, "", 0o600)}

    def test_what_is_told(self, state: StateFolder, tmp_path: Path) -> None:
        """Where it is and what it holds."""
        told = make(state, tmp_path / "b.tar", version="test", now=EPOCH)

        assert told == {"path": str(tmp_path / "b.tar"), "files": 7, "made_at": "2026-01-01T00:00:00.000Z"}

    def test_the_certificate_for_os11(self, state: StateFolder, tmp_path: Path) -> None:
        """It is in once it is there (G6), and nothing that is told names a key."""
        made = open_or_create_os11(state, KeyType.P256, EPOCH)
        told = make(state, tmp_path / "b.tar", version="test", now=EPOCH)
        restore(tmp_path / "b.tar", StateFolder(tmp_path / "again"))

        assert told["files"] == 7
        assert DeviceCommunication.open(tmp_path / "again" / "os11").certificate == made.certificate

    def test_half_written_files_stay_out(self, state: StateFolder, tmp_path: Path) -> None:
        """What a killed writer left is no part of the state."""
        (state.web / ".web.pem.0123.tmp").write_bytes(b"half")
        make(state, tmp_path / "b.tar", version="test", now=EPOCH)

        assert not [name for name in read_tar(tmp_path / "b.tar") if "tmp" in name]

    def test_never_overwrites(self, state: StateFolder, good: Path) -> None:
        """A file that is there stays as it is."""
        before = good.read_bytes()
        with pytest.raises(BackupError, match="exists already; a backup never overwrites"):
            make(state, good, version="test", now=EPOCH)

        assert good.read_bytes() == before

    @pytest.mark.parametrize("name", ["missing/b.tar", "x" * 300, "nul\x00.tar", "good.tar/b.tar"])
    def test_bad_targets(self, state: StateFolder, good: Path, name: str) -> None:
        """A target that cannot be written is refused."""
        with pytest.raises(BackupError, match="cannot be written"):
            make(state, good.parent / name, version="test", now=EPOCH)

    def test_failure_leaves_nothing(self, state: StateFolder, tmp_path: Path) -> None:
        """A registry that cannot be read, a certificate folder that is gone: no half backup stays."""
        shutil.rmtree(state.est)
        with pytest.raises(BackupError, match="cannot be written: No such file"):
            make(state, tmp_path / "b.tar", version="test", now=EPOCH)
        state.registry.write_bytes(b"no database" * 100)
        with pytest.raises(StoreError, match="could not be copied"):
            make(state, tmp_path / "b.tar", version="test", now=EPOCH)

        assert not (tmp_path / "b.tar").exists()

    def test_nothing_to_back_up(self, tmp_path: Path) -> None:
        """A folder where no server has run, which stays empty."""
        (tmp_path / "server").mkdir()
        with pytest.raises(BackupError, match="not the state folder of a server that has run"):
            make(StateFolder(tmp_path / "server"), tmp_path / "b.tar", version="test", now=EPOCH)

        assert list((tmp_path / "server").iterdir()) == []
        assert not (tmp_path / "b.tar").exists()


class TestRestoring:
    """Checked whole before anything is touched."""

    async def test_round_trip(self, tmp_path: Path) -> None:
        """Made while the server runs; what came after it is gone, what was before is back, and the rest is kept."""
        file = tmp_path / "b.tar"
        async with open_world(tmp_path) as world:
            endpoint, certificate, line = await world.device(1)
            await line.hang_up()
            token = world.ready.token
            make(StateFolder(tmp_path / "server"), file, version="test", now=EPOCH)
            await world.certificate(Endpoint(2))
            await world.services.certificates.renew(actor="ann")
            with pytest.raises(StateFolderError, match="in use by a running server"):
                restore(file, StateFolder(tmp_path / "server"))
            await world.stop()
        manifest = restore(file, StateFolder(tmp_path / "server"))
        async with open_world(tmp_path) as world:
            devices = await world.services.registry.list_devices()
            await world.session(endpoint, certificate)

            assert [device.unit_id for device in devices] == [unit_id(1)]
            assert world.ready.token == token
        assert manifest.made_at == "2026-01-01T00:00:00.000Z"
        assert (tmp_path / "server.before-restore-1" / "registry.sqlite").exists()

    def test_into_nothing(self, good: Path, tmp_path: Path) -> None:
        """A new machine: the folder is made, private, and is a server's folder."""
        folder = StateFolder(tmp_path / "new" / "place" / "server")
        restore(good, folder)

        assert folder.path.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder.path.rglob("*.*")} == {0o600}
        assert ClientAuthority.open(folder.est).certificates
        assert WebCertificates.open(folder.web).chain
        assert [path.name for path in folder.path.parent.iterdir()] == ["server"]

    def test_twice(self, good: Path, state: StateFolder, tmp_path: Path) -> None:
        """Each restore keeps what it replaced, and leaves nothing else behind."""
        restore(good, state)
        restore(good, state)

        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "good.tar", "server", "server.before-restore-1", "server.before-restore-2",
        ]  # fmt: skip
        assert not state.restored.exists()

    def test_leftover_of_a_killed_restore(self, good: Path, state: StateFolder) -> None:
        """A leftover of a restore that was killed before it took effect is replaced."""
        state.restored.mkdir()
        (state.restored / "old").write_text("old")
        restore(good, state)

        assert not (state.path / "old").exists()
        assert state.registry.exists()


def truncate(files: Files) -> None:
    """Shorten the registry, not its digest."""
    files["registry.sqlite"] = files["registry.sqlite"][:-1]


def put(name: str, content: bytes = b"x", *, listed: bool = True) -> Callable[[Files], None]:
    """Add a file; with its digest, as a forger would."""

    def change(files: Files) -> None:
        files[name] = content
        if listed:
            digests = json.loads(files["manifest.json"])["sha256"]
            edit_manifest(files, sha256={**digests, name: hashlib.sha256(content).hexdigest()})

    return change


def lose(name: str) -> Callable[[Files], None]:
    """Remove a file, not its line in the manifest."""
    return lambda files: files.__delitem__(name)


def unlist(name: str) -> Callable[[Files], None]:
    """Remove a file and its line."""

    def change(files: Files) -> None:
        digests = json.loads(files["manifest.json"])["sha256"]
        del files[name], digests[name]
        edit_manifest(files, sha256=digests)

    return change


class TestDamaged:
    """Whatever is wrong with the file: `BackupError`, and the folder is as it was."""

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (truncate, "registry.sqlite in the backup is damaged: its digest is wrong"),
            (put("web/web.pem", listed=False), "web/web.pem in the backup is damaged"),
            (lose("web/root.pem"), "the backup lacks web/root.pem"),
            (lose("manifest.json"), "it is not a backup of umslab"),
            (unlist("registry.sqlite"), "the backup lacks registry.sqlite"),
            (unlist("est/authority.pem"), "the backup lacks est/authority.pem"),
            (lambda files: files.update({"manifest.json": b"{}"}), "the manifest of the backup is damaged"),
            (lambda files: files.update({"manifest.json": b"x" * 1_100_000}), "not a backup of umslab"),
            (lambda files: files.update({"manifest.json": b'{"\xff": 1}'}), "the manifest of the backup is damaged"),
            (lambda files: files.update({"manifest.json": b'{"x":' + b"[" * 500_000}), "the manifest of the backup"),
            (lambda files: edit_manifest(files, sha256=7), "the manifest of the backup is damaged"),
            (
                lambda files: edit_manifest(files, format=2, new="member"),
                "by a newer umslab \\(test\\); restore it with",
            ),
            (lambda files: edit_manifest(files, schema=999), "by a newer umslab"),
            (put("../evil"), "'../evil', which has no place in a state folder"),
            (put("/etc/evil"), "no place"),
            (put("web/../../evil"), "no place"),
            (put("web/.."), "no place"),
            (put("web/"), "no place"),
            (put("evil"), "no place"),
            (put("web/.hidden"), "no place"),
            (put("other/evil"), "no place"),
            (put("web/sub/evil"), "no place"),
            (put("server.json"), "no place"),
        ],
    )
    def test_changed(
        self, good: Path, state: StateFolder, tmp_path: Path, change: Callable[[Files], None], reason: str
    ) -> None:
        """Digests, missing and foreign files, manifests of others, names that lead outside."""
        files = read_tar(good)
        change(files)
        before = contents(state.path)
        with pytest.raises(BackupError, match=reason):
            restore(write_tar(tmp_path / "bad.tar", files), state)

        assert contents(state.path) == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar", "good.tar", "server"]

    def test_files_that_are_not_listed_stay_out(self, good: Path, state: StateFolder, tmp_path: Path) -> None:
        """What the manifest does not know is not restored."""
        files = read_tar(good)
        put("web/extra.pem", listed=False)(files)
        restore(write_tar(tmp_path / "more.tar", files), state)

        assert not (state.web / "extra.pem").exists()

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
    def test_links_and_devices(self, good: Path, state: StateFolder, kind: bytes) -> None:
        """Only plain files are taken."""
        with tarfile.open(good, "a:") as tar:
            info = tarfile.TarInfo("web/link")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)

        with pytest.raises(BackupError, match="not a readable backup"):
            restore(good, state)

    @pytest.mark.parametrize("cut", [0, 1, 511, 512, 1500, 5000])
    def test_cut_off(self, good: Path, state: StateFolder, cut: int) -> None:
        """A copy that broke off."""
        good.write_bytes(good.read_bytes()[:cut])

        with pytest.raises(BackupError):
            restore(good, state)

    def test_other_files(self, state: StateFolder, tmp_path: Path) -> None:
        """No tar, a folder, nothing at all."""
        (tmp_path / "text").write_text("hello" * 1000)
        for name in ("text", "server", "missing"):
            with pytest.raises(BackupError, match="not a readable backup"):
                restore(tmp_path / name, state)

    def test_folder_that_cannot_be_made(self, good: Path, tmp_path: Path) -> None:
        """A file in the way."""
        with pytest.raises(BackupError, match="cannot be replaced"):
            restore(good, StateFolder(good / "server"))
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(BackupError, match="cannot be replaced"):
            restore(good, StateFolder(tmp_path / "file"))


class TestCrashes:
    """Killed at any step, the folder holds the old state or the new."""

    @pytest.mark.parametrize("step", range(8))
    def test_swap(
        self, good: Path, state: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
    ) -> None:
        """After the n-th rename or sync everything stops; the next user finds one state, whole."""
        (state.path / "mark").write_text("old")

        class Crash(BaseException):
            """The power fails; nothing is tidied up any more."""

        counted = [0]

        def count(call: Callable[..., Any]) -> Callable[..., Any]:
            def counting(*args: Any, **kwargs: Any) -> Any:
                if counted[0] == step:
                    raise Crash
                counted[0] += 1
                return call(*args, **kwargs)

            return counting

        rename = type(tmp_path).rename
        monkeypatch.setattr(type(tmp_path), "rename", count(rename))
        monkeypatch.setattr(module, "sync_folder", count(sync_folder))
        monkeypatch.setattr(shutil, "rmtree", count(shutil.rmtree))
        try:
            restore(good, state)
        except Crash:
            crashed = True
        else:
            crashed = False
        monkeypatch.undo()
        with state.locked():
            old = (state.path / "mark").exists()
            whole = WebCertificates.open(state.web), ClientAuthority.open(state.est), state.registry.exists()

        assert all(whole)
        assert old or counted[0] >= 3
        assert crashed or not old
        assert not state.restored.exists()
