# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.succession; what a switch makes of it: test_store.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab_certs.errors import Fault
from umslab_certs.keys import KeyType
from umslab_certs.succession import Successor, new_root

from .pki import NOW, refused

if TYPE_CHECKING:
    from pathlib import Path


def new_successor(folder: Path) -> Successor:
    """One of the quick kind."""
    return Successor.create(folder, ["ums.lab"], root_key_type=KeyType.P256, web_key_type=KeyType.P256, now=NOW)


def test_saved_and_opened(tmp_path: Path) -> None:
    """What was saved is found again, its key too; before that there is nothing."""
    made = new_successor(tmp_path)
    before = Successor.open(tmp_path)
    made.save()
    opened = Successor.open(tmp_path)

    assert before is None
    assert opened is not None
    assert opened.path == made.path
    assert opened.key.public_key() == made.path.leaf.public_key()


def test_removed(tmp_path: Path) -> None:
    """Nothing stays; removing what is half gone works too."""
    made = new_successor(tmp_path)
    made.save()
    (tmp_path / "next-root.key").unlink()
    made.remove()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_damaged(tmp_path: Path, content: bytes) -> None:
    """The file is named."""
    (tmp_path / "next.pem").write_bytes(content)

    with refused(Fault.UNREADABLE, str(tmp_path / "next.pem")):
        Successor.open(tmp_path)


def test_bad_name(tmp_path: Path) -> None:
    """A name that cannot be is refused before anything is written."""
    with refused(Fault.BAD_NAME):
        Successor.create(tmp_path, ["not a name"], root_key_type=KeyType.P256, web_key_type=KeyType.P256, now=NOW)


def test_roots_differ() -> None:
    """Each has a name of its own."""
    assert new_root(KeyType.P256, NOW).certificate.subject != new_root(KeyType.P256, NOW).certificate.subject
