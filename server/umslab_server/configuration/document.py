# SPDX-License-Identifier: Apache-2.0
"""The settings document of a device: whole, versioned by its digest, and shared by all devices it is equal for.

Provenance: SIMULATED (NP21). The digest is the SHA-256 of the document's canonical JSON: members and parameters sorted,
apps and files by name.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import msgspec

from umslab_protocol.wire.messages import SettingsMessage, encode_message
from umslab_protocol.wire.orders import MAX_DOCUMENT_BYTES, MAX_PARAMETERS
from umslab_server.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from umslab_protocol.wire.orders import AppOrder, FileOrder

MAX_APPS = 200  # as many as the message carries
MAX_FILES = 200
MAX_CACHED_BYTES = 32 * 1024 * 1024

_encoder = msgspec.json.Encoder(order="deterministic")


class DocumentTooLargeError(RefusedError):
    """The document of some device would not fit into one message."""


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """What a device is to have. Make it with `make_document`."""

    settings: Mapping[str, str]
    apps: tuple[AppOrder, ...]
    files: tuple[FileOrder, ...]
    digest: str
    size: int
    """Bytes of the longest message that carries it."""
    _written: tuple[msgspec.Raw, msgspec.Raw, msgspec.Raw] = field(repr=False)

    def message(self, number: int, *, version: int, re: int | None = None, written: bool = True) -> SettingsMessage:
        """Return the message that carries it.

        With `written` its parts are JSON already, so that equal documents are serialised once; another codec than JSON
        needs them as they are.
        """
        parts = cast("Any", self._written) if written else (dict(self.settings), list(self.apps), list(self.files))
        settings, apps, files = parts
        return SettingsMessage(
            id=number, re=re, version=version, digest=self.digest, settings=settings, apps=apps, files=files
        )


def make_document(settings: Mapping[str, str], apps: Iterable[AppOrder], files: Iterable[FileOrder]) -> Document:
    """Make a document; raises `DocumentTooLargeError`."""
    sorted_apps = tuple(sorted(apps, key=lambda one: one.name))
    sorted_files = tuple(sorted(files, key=lambda one: one.name))
    _check_count(len(settings), MAX_PARAMETERS, "parameters")
    _check_count(len(sorted_apps), MAX_APPS, "apps")
    _check_count(len(sorted_files), MAX_FILES, "files")
    written = (_write(settings), _write(sorted_apps), _write(sorted_files))
    size = _ENVELOPE_BYTES + sum(len(bytes(part)) for part in written)
    if size > MAX_DOCUMENT_BYTES:
        raise DocumentTooLargeError(
            f"a device would get {size} bytes of settings, more than the {MAX_DOCUMENT_BYTES} of one message: "
            "unassign something or shorten values"
        )
    canonical = b'{"apps":%s,"files":%s,"settings":%s}' % (written[1], written[2], written[0])
    return Document(settings, sorted_apps, sorted_files, hashlib.sha256(canonical).hexdigest(), size, written)


def _write(part: object) -> msgspec.Raw:
    return msgspec.Raw(_encoder.encode(part))


_NOTHING: Any = msgspec.Raw(b"")
_ENVELOPE_BYTES = len(
    encode_message(
        SettingsMessage(
            id=2**53, re=2**53, version=2**53, digest="0" * 64, settings=_NOTHING, apps=_NOTHING, files=_NOTHING
        )
    )
)


def _check_count(count: int, most: int, what: str) -> None:
    if count > most:
        raise DocumentTooLargeError(f"a device would get {count} {what}, more than {most}: unassign something")


class DocumentCache:
    """The documents that were needed last, by digest; bounded in bytes."""

    def __init__(self, most_bytes: int = MAX_CACHED_BYTES) -> None:
        self._most_bytes = most_bytes
        self._documents: OrderedDict[str, Document] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._documents)

    def get(self, digest: str) -> Document | None:
        """The document with this digest, if it is still here."""
        document = self._documents.get(digest)
        if document is not None:
            self._documents.move_to_end(digest)
        return document

    def put(self, document: Document) -> None:
        """Keep a document; those not needed for longest go."""
        if document.digest in self._documents:
            return
        self._documents[document.digest] = document
        self._bytes += document.size
        while self._bytes > self._most_bytes and len(self._documents) > 1:
            _, oldest = self._documents.popitem(last=False)
            self._bytes -= oldest.size
