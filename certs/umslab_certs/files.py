# SPDX-License-Identifier: Apache-2.0
"""Files with secrets: readable by their owner only, replaced as a whole or not at all.

Provenance: standard (POSIX: `rename` replaces atomically; a file and its name are durable only after an `fsync` of the
file and one of the folder).
"""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from umslab_certs.errors import CertificateError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEFAULT_LIMIT = 1024 * 1024  # bytes
_DAMAGED = "restore the folder from a backup; without one, remove it: a new root needs every device onboarded again"


def write_private(path: Path, data: bytes) -> None:
    """Write a file with mode 0600; a reader sees the old content or the new, also after a power cut.

    When this returns, the new content is durable. Raises `OSError` (with the old content untouched) when it cannot.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove_durably(path: Path) -> None:
    """Remove a file, if it is there, so that it stays removed after a power cut. Raises `OSError` when it cannot."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def rename_durably(source: Path, target: Path) -> None:
    """Give a file another name in its folder, in place of the file that has it, so that it stays after a power cut.

    Raises `OSError` when it cannot.
    """
    source.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make renamed and removed names of a folder durable. Raises `OSError` when it cannot."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private_folder(path: Path) -> None:
    """Make a folder, and the parents that are missing, each with mode 0700.

    A folder that is there already keeps its mode: it may be shared, and is not ours to close (think of `/tmp`). Raises
    `OSError` when it cannot, also when `path` is a file.
    """
    if path.is_dir():
        return
    make_private_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def read_limited(path: Path, limit: int = DEFAULT_LIMIT) -> bytes:
    """Read a whole file of at most `limit` bytes.

    Raises `CertificateError` with the path in the message: TOO_LARGE, or UNREADABLE for everything the system says.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as problem:
        raise CertificateError(Fault.UNREADABLE, f"{path} cannot be read: {problem.strerror}") from None
    if len(data) > limit:
        raise CertificateError(Fault.TOO_LARGE, f"{path} is larger than {limit} bytes")
    return data


def refuse_overwriting(file: Path) -> None:
    """Raise `CertificateError` (EXISTS) when a file that must not be replaced is there."""
    if file.exists():
        raise CertificateError(Fault.EXISTS, f"{file} is already there", "open it, or remove the folder to start anew")


@contextmanager
def telling_damage(folder: Path) -> Iterator[None]:
    """Add the folder and what to do about it to whatever is wrong with its files."""
    try:
        yield
    except CertificateError as problem:
        message = problem.message if str(folder) in problem.message else f"{folder}: {problem.message}"
        raise CertificateError(problem.fault, message, _DAMAGED) from None
