# SPDX-License-Identifier: Apache-2.0
"""What a server keeps on disk, and that only one server uses it.

lock            held while a server (or something that changes the folder) runs
registry.sqlite devices, certificates, keys, events
web/            web root and web certificate (umslab_certs.store)
est/            EST client CA
os11/           device-communication certificate for OS 11
files/          contents of files for devices, by SHA-256
server.json     where the running server is: addresses, control socket
control.sock    the control socket, unless the path is too long
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from umslab_runtime.folder_lock import FolderInUseError, hold_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class StateFolderError(Exception):
    """The folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The paths."""

    path: Path

    @property
    def registry(self) -> Path:
        """The SQLite file."""
        return self.path / "registry.sqlite"

    @property
    def web(self) -> Path:
        """The folder of the web certificates."""
        return self.path / "web"

    @property
    def est(self) -> Path:
        """The folder of the EST client CA."""
        return self.path / "est"

    @property
    def os11(self) -> Path:
        """The folder of the device-communication certificate."""
        return self.path / "os11"

    @property
    def files(self) -> Path:
        """The folder of what devices fetch."""
        return self.path / "files"

    @property
    def about(self) -> Path:
        """Where the running server is."""
        return self.path / "server.json"

    @property
    def control(self) -> Path:
        """The control socket, where its path is short enough."""
        return self.path / "control.sock"

    @property
    def restored(self) -> Path:
        """A restored folder that is complete and about to take this one's place (see backup.py)."""
        return self.path.with_name(f".{self.path.name}.restored")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; raises `StateFolderError` when somebody else does, `OSError` when it cannot be made.

        A restore that was killed at its last step is finished here; one that was killed before is forgotten.
        """
        from umslab_certs.files import make_private_folder  # noqa: PLC0415 - who only asks a server needs no certificates

        try:
            if not self.path.exists() and self.restored.exists():
                self.restored.rename(self.path)
            make_private_folder(self.path)
            with hold_folder(self.path):
                shutil.rmtree(self.restored, ignore_errors=True)
                yield
        except FolderInUseError:
            raise StateFolderError(
                f"{self.path} is in use by a running server: stop it, or choose another folder with --state"
            ) from None
