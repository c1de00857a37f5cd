# SPDX-License-Identifier: Apache-2.0
"""Where the pieces that a device keeps are: files in a folder, or memory for the thousands of a fleet.

A piece has a name such as `trust-store/cacerts.pem` and is replaced as a whole or not at all.
"""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from umslab_certs.errors import CertificateError, Fault
from umslab_certs.files import DEFAULT_LIMIT, make_private_folder, read_limited, remove_durably, write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


MOST_SHARED = 1_000
"""Contents that are remembered as shared; more are not alike."""
_OF_ONE_DEVICE = ("identity", "request", "device", "tckey")
"""Pieces that no two devices have alike."""


class Shelf(ABC):
    """The pieces of one device."""

    __slots__ = ()

    @abstractmethod
    def where(self, name: str) -> str:
        """Name a piece in messages."""

    @abstractmethod
    def mark(self, name: str) -> object | None:
        """Return something that is equal as long as the piece is the same; None when there is none."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Return how many bytes a piece has; None when there is none."""

    @abstractmethod
    def read(self, name: str, limit: int = DEFAULT_LIMIT) -> bytes:
        """Return a piece. Raises `CertificateError`: UNREADABLE, TOO_LARGE."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Keep a piece; as durable as this shelf is when it returns. Raises `OSError` with the old one untouched."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a piece, if it is there. Raises `OSError`."""

    @abstractmethod
    def clear(self, room: str) -> None:
        """Remove every piece whose name begins with `room/`, as far as that is possible."""

    @abstractmethod
    def as_file(self, name: str) -> Path:
        """Return a file with this piece, for OpenSSL, which reads nothing else; good until the next call of any shelf.

        Raises `OSError`.
        """

    def exists(self, name: str) -> bool:
        """Whether there is such a piece."""
        return self.mark(name) is not None


class FolderShelf(Shelf):
    """Files below a folder, private to their owner."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def where(self, name: str) -> str:
        """The path."""
        return str(self.path / name)

    def mark(self, name: str) -> object | None:
        """Inode, time and size."""
        try:
            found = (self.path / name).stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def size(self, name: str) -> int | None:
        """The size of the file."""
        try:
            return (self.path / name).stat().st_size
        except OSError:
            return None

    def read(self, name: str, limit: int = DEFAULT_LIMIT) -> bytes:
        """Read the file."""
        return read_limited(self.path / name, limit)

    def write(self, name: str, data: bytes) -> None:
        """Replace the file; durable when it returns."""
        file = self.path / name
        if "/" in name:
            make_private_folder(file.parent)
        write_private(file, data)

    def remove(self, name: str) -> None:
        """Remove the file durably."""
        file = self.path / name
        if file.exists():
            remove_durably(file)

    def clear(self, room: str) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path / room, ignore_errors=True)

    def as_file(self, name: str) -> Path:
        """The file itself."""
        return self.path / name


class Scratch:
    """One file in memory that the shelves of a process share to show OpenSSL a piece; `close` it."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("umslab identity", os.MFD_CLOEXEC)
        self.path = Path(f"/proc/self/fd/{self._descriptor}")
        self._shared: dict[bytes, bytes] = {}

    def shared(self, data: bytes) -> bytes:
        """Return the same object for the same bytes: what thousands of devices keep alike is kept once."""
        if len(self._shared) >= MOST_SHARED:
            self._shared.clear()
        return self._shared.setdefault(data, data)

    def show(self, data: bytes) -> Path:
        """Put this into the file, in place of what was there."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, data, 0)
        return self.path

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


class MemoryShelf(Shelf):
    """Pieces in memory; what changes is told, so that somebody can keep it somewhere."""

    __slots__ = ("_changed", "_owner", "_pieces", "_scratch")

    def __init__(
        self,
        owner: str,
        scratch: Scratch,
        pieces: Mapping[str, bytes] | None = None,
        *,
        changed: Callable[[str, str, bytes | None], None] | None = None,
    ) -> None:
        """`changed` gets the owner, the name and the new content, None for a piece that was removed."""
        self._owner = owner
        self._scratch = scratch
        self._pieces = dict(pieces or {})
        self._changed = changed

    def where(self, name: str) -> str:
        """The owner and the name."""
        return f"{self._owner}/{name}"

    def mark(self, name: str) -> object | None:
        """The bytes themselves."""
        return self._pieces.get(name)

    def size(self, name: str) -> int | None:
        """Their number."""
        found = self._pieces.get(name)
        return None if found is None else len(found)

    def read(self, name: str, limit: int = DEFAULT_LIMIT) -> bytes:
        """Return the bytes."""
        found = self._pieces.get(name)
        if found is None:
            raise CertificateError(Fault.UNREADABLE, f"{self.where(name)} is not there")
        if len(found) > limit:
            raise CertificateError(Fault.TOO_LARGE, f"{self.where(name)} is larger than {limit} bytes")
        return found

    def write(self, name: str, data: bytes) -> None:
        """Keep the bytes."""
        self._pieces[name] = data = data if name.startswith(_OF_ONE_DEVICE) else self._scratch.shared(data)
        if self._changed is not None:
            self._changed(self._owner, name, data)

    def remove(self, name: str) -> None:
        """Forget them."""
        if self._pieces.pop(name, None) is not None and self._changed is not None:
            self._changed(self._owner, name, None)

    def clear(self, room: str) -> None:
        """Forget those of a room."""
        for name in [name for name in self._pieces if name.startswith(f"{room}/")]:
            self.remove(name)

    def as_file(self, name: str) -> Path:
        """Show the bytes in the scratch file."""
        if name not in self._pieces:
            raise FileNotFoundError(2, "there is no such piece", self.where(name))
        return self._scratch.show(self._pieces[name])

    @property
    def pieces(self) -> dict[str, bytes]:
        """All of them, by name."""
        return self._pieces
