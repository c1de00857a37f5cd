# SPDX-License-Identifier: Apache-2.0
"""The small documents a device keeps, each in one JSON file that is replaced in one step.

Whatever moment the power fails at, a file has its old content or its new one. A file that somebody damaged is named
with what to do about it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec
from msgspec import Struct

from umslab_agent.errors import DeviceFolderError
from umslab_certs.errors import CertificateError
from umslab_protocol.wire.inventory import AppState, FileState
from umslab_protocol.wire.orders import AppOrder, Connector, EnrolmentAddress, FileOrder, ResultState, Settings

if TYPE_CHECKING:
    from umslab_agent.shelf import Shelf

MAX_KEPT_BYTES = 2 * 1024 * 1024
JOURNAL_ENTRIES = 64
INBOX_MESSAGES = 100
ADDRESSES = 8


class Boots(Struct, frozen=True, kw_only=True):
    """How often the device has booted."""

    count: int = 0


class SettingsDocument(Struct, frozen=True, kw_only=True):
    """What the server wants the device to have, whole."""

    version: int = 0
    digest: str = ""
    settings: Settings = {}
    apps: list[AppOrder] = []
    files: list[FileOrder] = []


class Installed(Struct, frozen=True, kw_only=True):
    """How far the device is with it: what is in effect, and the state of each file and app."""

    version: int = 0
    digest: str = ""
    settings: Settings = {}
    """Those in effect."""
    files: list[FileState] = []
    apps: list[AppState] = []


class KnownConnectors(Struct, frozen=True, kw_only=True):
    """The connectors as the server gave them (W5)."""

    digest: str = ""
    connectors: list[Connector] = []
    enrolment: EnrolmentAddress = ""
    """Where to enrol and renew, if not there (S7)."""


class AnnouncedRoots(Struct, frozen=True, kw_only=True):
    """The digest of the announced roots that are pinned."""

    digest: str = ""


class Reached(Struct, frozen=True, kw_only=True):
    """Where the device was let in, the last first (W8)."""

    addresses: list[str] = []


class Discovered(Struct, frozen=True, kw_only=True):
    """Where the device found the UMS it registers at, and by which source (W9)."""

    address: str = ""
    source: str = ""


class Unknown(Struct, frozen=True, kw_only=True):
    """Since when servers have called the device unknown, and none has let it in (L5)."""

    since: str


class Done(Struct, frozen=True, kw_only=True):
    """A command and how it ended."""

    execID: str  # noqa: N815 - the published name
    state: ResultState
    message: str = ""


class Journal(Struct, frozen=True, kw_only=True):
    """The last commands; and what is still to be done when the power failed after the result was kept."""

    done: list[Done] = []
    reset_pending: bool = False
    """A reset to factory defaults was promised."""
    firmware_pending: str = ""
    """This version was installed, and runs from the next boot on."""
    firmware_at_shutdown: str = ""
    """This version is to be installed when the device goes down."""
    replacing: str = ""
    """The serial number of a certificate that was ordered to be renewed before its time; of another one: it was."""

    def find(self, exec_id: str) -> Done | None:
        """Return the command with this execID, when it is remembered."""
        return next((entry for entry in reversed(self.done) if entry.execID == exec_id), None)

    def and_done(self, entry: Done) -> Journal:
        """Return the journal with one entry more, and no more than `JOURNAL_ENTRIES`."""
        return msgspec.structs.replace(self, done=[*self.done, entry][-JOURNAL_ENTRIES:])


class InboxMessage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message to the user: sent by a command, or a notification of the device itself."""

    at: str
    text: str
    execID: str = ""  # noqa: N815 - so that the same command leaves one message
    problem: str = ""
    """What a notification is about, so that the same problem leaves one (L6)."""


class Inbox(Struct, frozen=True, kw_only=True):
    """The last messages."""

    messages: list[InboxMessage] = []

    def and_message(self, message: InboxMessage) -> Inbox:
        """Return the inbox with this message, unless its command or its problem brought it already."""
        if any((known.execID, known.problem) == (message.execID, message.problem) for known in self.messages):
            return self
        return Inbox(messages=[*self.messages, message][-INBOX_MESSAGES:])


T = TypeVar("T", bound=Struct)


class KeptFile(Generic[T]):
    """One document in one piece; a fresh folder has none, which reads as `empty`."""

    __slots__ = ("_empty", "_name", "_shelf")

    def __init__(self, shelf: Shelf, name: str, empty: T) -> None:
        self._shelf = shelf
        self._name = name
        self._empty = empty

    @property
    def path(self) -> Path:
        """Where it is, for people."""
        return Path(self._shelf.where(self._name))

    def exists(self) -> bool:
        """Whether anything is kept."""
        return self._shelf.exists(self._name)

    def load(self) -> T:
        """Return what is kept. Raises `DeviceFolderError` when the file is damaged."""
        if not self.exists():
            return self._empty
        try:
            return msgspec.json.decode(self._shelf.read(self._name, MAX_KEPT_BYTES), type=type(self._empty))
        except (CertificateError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DeviceFolderError(f"{self.path} is damaged ({error}): remove it, or restore the folder") from None

    def save(self, document: T) -> None:
        """Keep this instead; durable when it returns. Raises `OSError` with the old content untouched."""
        self._shelf.write(self._name, msgspec.json.encode(document) + b"\n")

    def remove(self) -> None:
        """Keep nothing."""
        self._shelf.remove(self._name)


class Kept(Generic[T]):
    """Declares a document of a folder: `boots = Kept("boots.json", Boots())`; costs a folder nothing."""

    def __init__(self, name: str, empty: T) -> None:
        self._name = name
        self._empty = empty

    def __get__(self, folder: OnShelf, _: type) -> KeptFile[T]:
        """Return the document of this folder."""
        return KeptFile(folder.shelf, self._name, self._empty)


class OnShelf(Protocol):
    """What has its pieces on a shelf."""

    @property
    def shelf(self) -> Shelf:
        """The shelf."""
