# SPDX-License-Identifier: Apache-2.0
"""Backup and restore: one private tar file with the registry, the certificates and a manifest of digests.

The registry is copied with `VACUUM INTO`, which is consistent while the server runs; certificate files are each
replaced in one step, so they are whole too. A restore checks every digest before it touches anything, and swaps the
state folder in one rename, so that a crash leaves the old state or the new.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from umslab_certs.files import make_private_folder, write_private
from umslab_server.schema import SCHEMA_VERSION
from umslab_server.store import copy_database, timestamp

if TYPE_CHECKING:
    from datetime import datetime

    from umslab_server.state_folder import StateFolder

FORMAT = 1
MANIFEST = "manifest.json"
MAX_BYTES = 8 * 1024 * 1024 * 1024
_KEPT = ("web", "est")


class BackupError(Exception):
    """The backup cannot be made or used; nothing was changed. The message says why."""


class Manifest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a backup holds."""

    format: int
    umslab: str
    schema: int
    made_at: str
    sha256: dict[str, str]


def make(folder: StateFolder, target: Path, *, version: str, now: datetime) -> dict[str, Any]:
    """Write a backup to a new file; returns its manifest's essentials. Raises `BackupError`, `StoreError`."""
    if target.exists():
        raise BackupError(f"{target} exists already; a backup never overwrites")
    with tempfile.TemporaryDirectory(prefix="umslab-backup-") as name:
        copy = Path(name) / "registry.sqlite"
        copy_database(folder.registry, copy)
        files = {"registry.sqlite": copy}
        for kept in _KEPT:
            files |= {f"{kept}/{path.name}": path for path in sorted((folder.path / kept).iterdir()) if path.is_file()}
        manifest = Manifest(
            format=FORMAT,
            umslab=version,
            schema=SCHEMA_VERSION,
            made_at=timestamp(now),
            sha256={entry: _digest(path) for entry, path in files.items()},
        )
        try:
            _write_tar(target, manifest, files)
        except OSError as error:
            raise BackupError(f"{target} cannot be written: {error.strerror}") from error
    return {"path": str(target), "files": len(files), "made_at": manifest.made_at}


def restore(source: Path, folder: StateFolder) -> Manifest:
    """Replace a state folder by a backup; the old one is kept beside it as `NAME.before-restore-N`.

    Raises `BackupError` for a file that is no sound backup, `StateFolderError` when a server uses the folder.
    """
    if not folder.path.exists():
        make_private_folder(folder.path.parent)
        return _swap(source, folder)
    with folder.locked():
        return _swap(source, folder)


def _swap(source: Path, folder: StateFolder) -> Manifest:
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.path.name}-restore-", dir=folder.path.parent))
    try:
        manifest = _unpack(source, fresh)
        if folder.path.exists():
            folder.path.rename(_free_name(folder.path))
        fresh.rename(folder.path)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return manifest


def _unpack(source: Path, into: Path) -> Manifest:
    try:
        with tarfile.open(source, "r:") as tar:
            members = {member.name: member for member in tar.getmembers() if member.isreg()}
            manifest = _read_manifest(tar, members)
            for entry, digest in manifest.sha256.items():
                _unpack_one(tar, members, entry, digest, into)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BackupError(f"{source} is not a readable backup: {error}") from error
    return manifest


def _read_manifest(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> Manifest:
    member = members.get(MANIFEST)
    content = tar.extractfile(member) if member is not None and member.size <= 1024 * 1024 else None
    if content is None:
        raise BackupError("the file has no manifest: it is not a backup of umslab")
    try:
        manifest = msgspec.json.decode(content.read(), type=Manifest)
    except msgspec.DecodeError as error:
        raise BackupError(f"the manifest of the backup is damaged: {error}") from None
    if manifest.format != FORMAT or manifest.schema > SCHEMA_VERSION:
        raise BackupError(f"the backup was made by a newer umslab ({manifest.umslab}); restore it with that one")
    return manifest


def _unpack_one(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], entry: str, digest: str, into: Path) -> None:
    room, _, name = entry.rpartition("/")
    if (room and room not in _KEPT) or name in {"", ".", ".."} or (not room and name != "registry.sqlite"):
        raise BackupError(f"the backup holds {entry[:80]!r}, which has no place in a state folder")
    member = members.get(entry)
    content = tar.extractfile(member) if member is not None and member.size <= MAX_BYTES else None
    if content is None:
        raise BackupError(f"the backup lacks {entry}")
    make_private_folder(into / room)
    data = content.read()
    if hashlib.sha256(data).hexdigest() != digest:
        raise BackupError(f"{entry} in the backup is damaged: its digest is wrong")
    write_private(into / room / name, data)


def _write_tar(target: Path, manifest: Manifest, files: dict[str, Path]) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w:") as tar:
                text = msgspec.json.format(msgspec.json.encode(manifest))
                info = tarfile.TarInfo(MANIFEST)
                info.size, info.mode = len(text), 0o600
                tar.addfile(info, io.BytesIO(text))
                for entry, path in files.items():
                    tar.add(path, entry, recursive=False, filter=_anonymous)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o600
    return info


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _free_name(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}.before-restore-{number}")).exists():
        number += 1
    return candidate
