# SPDX-License-Identifier: Apache-2.0
"""Backup and restore: one private tar file with the registry, the certificates and a manifest of digests.

The registry is copied with `VACUUM INTO`, which is consistent while the server runs; certificate files are each
replaced in one step, so they are whole too. A restore checks every digest before it touches anything, and has the new
state folder complete beside the old one before it puts it in the other's place. That takes two renames; whoever uses
the folder next finishes them after a crash (`StateFolder.locked`), so it finds the old state or the new.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from umslab_certs.files import make_private_folder, sync_folder, write_private
from umslab_server.errors import RefusedError
from umslab_server.schema import SCHEMA_VERSION
from umslab_server.store import copy_database, timestamp

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Self

    from umslab_server.state_folder import StateFolder

FORMAT = 1
MANIFEST = "manifest.json"
MAX_BYTES = 8 * 1024 * 1024 * 1024
_KEPT = ("web", "est", "os11", "files")
_LATER = ("os11", "files")  # not there before OS 11 is spoken, or there is a first file for devices
_NEEDED = ("registry.sqlite", "web/web.pem", "est/authority.pem")
_PLACE = re.compile(rf"registry\.sqlite|({'|'.join(_KEPT)})/[A-Za-z0-9_][A-Za-z0-9._-]{{0,99}}", re.ASCII)


class BackupError(RefusedError):
    """The backup cannot be made or used; nothing was changed. The message says why."""


class Manifest(msgspec.Struct, kw_only=True):
    """What a backup holds."""

    format: int
    umslab: str
    schema: int
    made_at: str
    sha256: dict[str, str]


class _PlainFile(tarfile.TarInfo):
    """What `make` writes: plain files without extended headers, which tarfile reads with trust we do not have."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        info = super().frombuf(buf, encoding, errors)
        if info.type != tarfile.REGTYPE or not 0 <= info.size <= MAX_BYTES:
            raise tarfile.ReadError("it holds something else than plain files")
        return info


def make(folder: StateFolder, target: Path, *, version: str, now: datetime) -> dict[str, Any]:
    """Write a backup to a new file; returns its manifest's essentials. Raises `BackupError`, `StoreError`."""
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise BackupError(f"{target} exists already; a backup never overwrites") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise BackupError(f"{target} cannot be written: {_why(error)}") from error
    try:
        with os.fdopen(descriptor, "wb") as stream, tempfile.TemporaryDirectory(prefix="umslab-backup-") as name:
            files = _collect(folder, Path(name) / "registry.sqlite")
            manifest = Manifest(
                format=FORMAT,
                umslab=version,
                schema=SCHEMA_VERSION,
                made_at=timestamp(now),
                sha256={entry: _digest(path) for entry, path in files.items()},
            )
            _write_tar(stream, manifest, files)
        sync_folder(target.parent)
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError | ValueError):  # ValueError: a file too large for the format
            raise BackupError(f"{target} cannot be written: {_why(error)}") from error
        raise
    return {"path": str(target), "files": len(files), "made_at": manifest.made_at}


def _collect(folder: StateFolder, copy: Path) -> dict[str, Path]:
    """What goes in, by its name there; the registry by way of a copy."""
    if not folder.registry.exists():
        raise BackupError(f"{folder.path} is not the state folder of a server that has run")
    copy_database(folder.registry, copy)
    files = {"registry.sqlite": copy}
    for kept in _KEPT:
        if kept in _LATER and not (folder.path / kept).exists():
            continue
        files |= {f"{kept}/{path.name}": path for path in sorted((folder.path / kept).iterdir()) if path.is_file()}
    return {entry: path for entry, path in files.items() if _PLACE.fullmatch(entry)}


def restore(source: Path, folder: StateFolder) -> Manifest:
    """Replace a state folder by a backup; the old one is kept beside it as `NAME.before-restore-N`.

    Raises `BackupError` for a file that is no sound backup or a folder that cannot be replaced, `StateFolderError` when
    a server uses the folder.
    """
    try:
        if not folder.path.exists():
            make_private_folder(folder.path.parent)
            return _swap(source, folder)
        with folder.locked():
            return _swap(source, folder)
    except OSError as error:
        raise BackupError(f"{folder.path} cannot be replaced: {_why(error)}") from error


def _swap(source: Path, folder: StateFolder) -> Manifest:
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.path.name}-restore-", dir=folder.path.parent))
    try:
        manifest = _unpack(source, fresh)
        sync_folder(fresh)
        shutil.rmtree(folder.restored, ignore_errors=True)
        fresh.rename(folder.restored)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    if folder.path.exists():
        folder.path.rename(_free_name(folder.path))
    folder.restored.rename(folder.path)
    sync_folder(folder.path.parent)
    return manifest


def _unpack(source: Path, into: Path) -> Manifest:
    try:
        with tarfile.open(source, "r:", tarinfo=_PlainFile) as tar:
            members = {member.name: member for member in tar.getmembers()}
            manifest = _read_manifest(tar, members)
            for entry, digest in manifest.sha256.items():
                _unpack_one(tar, members, entry, digest, into)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BackupError(f"{source} is not a readable backup: {error}") from error
    if missing := [entry for entry in _NEEDED if entry not in manifest.sha256]:
        raise BackupError(f"the backup lacks {', '.join(missing)}")
    return manifest


def _read_manifest(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> Manifest:
    member = members.get(MANIFEST)
    content = tar.extractfile(member) if member is not None and member.size <= 1024 * 1024 else None
    if content is None:
        raise BackupError("the file has no manifest: it is not a backup of umslab")
    try:
        manifest = msgspec.json.decode(content.read(), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BackupError(f"the manifest of the backup is damaged: {error}") from None
    if manifest.format != FORMAT or manifest.schema > SCHEMA_VERSION:
        raise BackupError(f"the backup was made by a newer umslab ({manifest.umslab}); restore it with that one")
    return manifest


def _unpack_one(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], entry: str, digest: str, into: Path) -> None:
    if not _PLACE.fullmatch(entry):
        raise BackupError(f"the backup holds {entry[:80]!r}, which has no place in a state folder")
    member = members.get(entry)
    content = tar.extractfile(member) if member is not None else None
    if content is None:
        raise BackupError(f"the backup lacks {entry}")
    data = content.read()
    if hashlib.sha256(data).hexdigest() != digest:
        raise BackupError(f"{entry} in the backup is damaged: its digest is wrong")
    make_private_folder((into / entry).parent)
    write_private(into / entry, data)


def _write_tar(stream: BinaryIO, manifest: Manifest, files: dict[str, Path]) -> None:
    with tarfile.open(fileobj=stream, mode="w:", format=tarfile.USTAR_FORMAT) as tar:
        text = msgspec.json.format(msgspec.json.encode(manifest))
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mode = len(text), 0o600
        tar.addfile(info, io.BytesIO(text))
        for entry, path in files.items():
            tar.add(path, entry, recursive=False, filter=_anonymous)
    stream.flush()
    os.fsync(stream.fileno())


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o600
    return info


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _free_name(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}.before-restore-{number}")).exists():
        number += 1
    return candidate
