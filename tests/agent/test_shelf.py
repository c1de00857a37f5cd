# SPDX-License-Identifier: Apache-2.0
"""Both shelves keep pieces alike: what one test asks of a folder is true of memory."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from tests.certs.pki import NOW, refused
from umslab_agent.folder import DeviceFolder, new_request
from umslab_agent.kept import Boots
from umslab_agent.shelf import MOST_SHARED, FolderShelf, MemoryShelf, Scratch, Shelf
from umslab_certs.authority import create_root
from umslab_certs.csr import read_request
from umslab_certs.errors import Fault
from umslab_certs.keys import KeyType
from umslab_certs.tls import pinned_context, use_identity
from umslab_protocol.values.unit_id import UnitId

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CA = create_root("client CA", KeyType.P256, now=NOW, path_length=0)
UNIT_ID = UnitId("02AABBCCDDEE")


@pytest.fixture
def scratch() -> Iterator[Scratch]:
    """A scratch file."""
    made = Scratch()
    yield made
    made.close()


@pytest.fixture(params=["folder", "memory"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path, scratch: Scratch) -> Shelf:
    """A fresh shelf of either kind."""
    return FolderShelf(tmp_path) if request.param == "folder" else MemoryShelf("02AA", scratch)


def test_a_piece_comes_and_goes(shelf: Shelf) -> None:
    """Absent, there, replaced, removed; removing nothing is fine."""
    assert (None, None, False) == (shelf.mark("a.json"), shelf.size("a.json"), shelf.exists("a.json"))
    shelf.remove("a.json")
    shelf.write("a.json", b"one")
    first = shelf.mark("a.json")
    assert (b"one", 3, True) == (shelf.read("a.json"), shelf.size("a.json"), shelf.exists("a.json"))
    assert first == shelf.mark("a.json")
    shelf.write("a.json", b"two2")
    assert b"two2" == shelf.read("a.json")
    assert first != shelf.mark("a.json")
    shelf.remove("a.json")
    assert not shelf.exists("a.json")


def test_what_is_not_there_or_too_large(shelf: Shelf) -> None:
    """The error names the piece."""
    with refused(Fault.UNREADABLE, "a.json"):
        shelf.read("a.json")
    shelf.write("a.json", b"12345")
    with refused(Fault.TOO_LARGE, "a.json"):
        shelf.read("a.json", 4)
    assert b"12345" == shelf.read("a.json", 5)


def test_a_room_is_cleared(shelf: Shelf) -> None:
    """What is in it goes, what is beside it stays."""
    for name in ("files/a", "files/b/c", "filesystem", "other"):
        shelf.write(name, b"x")
    shelf.clear("files")
    shelf.clear("never")

    assert [False, False, True, True] == [
        shelf.exists(name) for name in ("files/a", "files/b/c", "filesystem", "other")
    ]


def test_openssl_reads_a_piece(shelf: Shelf) -> None:
    """A device folder on either shelf enrols, and its identity can be loaded."""
    folder = DeviceFolder(shelf)
    folder.place_request(new_request(UNIT_ID, KeyType.P256)[0])
    request = folder.load_request()
    assert request is not None
    folder.take_certificate(CA.issue_device(read_request(request[1]), now=NOW))
    folder.boots.save(Boots(count=3))
    context = pinned_context([CA.certificate])

    use_identity(context, folder.identity_file)

    assert Boots(count=3) == folder.boots.load()
    assert folder.identity_dates() is not None
    assert str(folder.path / "boots.json") == str(folder.boots.path) == shelf.where("boots.json")


def test_memory_shows_one_piece_at_a_time(scratch: Scratch) -> None:
    """The shared file has what was shown last, whole, also when it is shorter; nothing that is not there."""
    one, other = MemoryShelf("1", scratch, {"identity.pem": b"x" * 100}), MemoryShelf("2", scratch)
    other.write("identity.pem", b"short")

    assert b"x" * 100 == one.as_file("identity.pem").read_bytes()
    assert b"short" == other.as_file("identity.pem").read_bytes()
    with pytest.raises(FileNotFoundError, match="2/cacerts"):
        other.as_file("cacerts")
    with pytest.raises(ssl.SSLError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(scratch.path)


def test_memory_tells_what_changes(scratch: Scratch) -> None:
    """Owner, name, new content; None for what was removed; nothing for what was not there."""
    told: list[tuple[str, str, bytes | None]] = []
    shelf = MemoryShelf("02AA", scratch, {"old": b"1"}, changed=lambda *change: told.append(change))
    shelf.write("new", b"2")
    shelf.remove("old")
    shelf.remove("old")

    assert [("02AA", "new", b"2"), ("02AA", "old", None)] == told
    assert {"new": b"2"} == shelf.pieces


def test_what_is_alike_is_kept_once(scratch: Scratch) -> None:
    """Pinned roots of thousands are one object; keys are not looked at."""
    shelves = [MemoryShelf(str(number), scratch) for number in range(3)]
    for number, shelf in enumerate(shelves):
        shelf.write("trust-store/cacerts.pem", bytes(bytearray(b"root")))
        shelf.write("boots.json", str(number).encode() * 9)

    assert 1 == len({id(shelf.read("trust-store/cacerts.pem")) for shelf in shelves})
    assert [b"0" * 9, b"1" * 9, b"2" * 9] == [shelf.read("boots.json") for shelf in shelves]


def test_what_is_remembered_is_bounded(scratch: Scratch) -> None:
    """However many contents there are."""
    for number in range(2 * MOST_SHARED):
        scratch.shared(str(number).encode())

    assert len(scratch._shared) <= MOST_SHARED
