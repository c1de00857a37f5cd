# SPDX-License-Identifier: Apache-2.0
"""One user a state folder: an advisory lock that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class FolderInUseError(Exception):
    """Another process holds the folder."""


@contextmanager
def hold_folder(path: Path) -> Iterator[None]:
    """Hold an existing folder by its file `lock`. Raises `FolderInUseError`, or `OSError` for a folder without access.

    Files that a killed writer left half written (`.NAME.*.tmp`) are swept away: nobody else can be writing now.
    """
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUseError(f"{path} is in use") from None
        for leftover in path.rglob(".*.tmp"):
            leftover.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)
