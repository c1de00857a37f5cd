# SPDX-License-Identifier: Apache-2.0
"""Files with secrets: readable by their owner only, replaced as a whole or not at all.

Provenance: standard (POSIX: `rename` replaces atomically; a file and its name are durable only after an `fsync` of the
file and one of the folder).
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from umslab_certs.errors import CertificateError, Fault

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_LIMIT = 1024 * 1024  # bytes


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
