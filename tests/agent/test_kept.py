# SPDX-License-Identifier: Apache-2.0
"""Kept documents come back, stay bounded, and name their damage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from umslab_agent.errors import DeviceFolderError
from umslab_agent.folder import DeviceFolder
from umslab_agent.kept import (
    INBOX_MESSAGES,
    JOURNAL_ENTRIES,
    Done,
    Inbox,
    InboxMessage,
    Journal,
    SettingsDocument,
)
from umslab_protocol.wire.orders import AppOrder, ResultState

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["boots", "settings", "installed", "connectors", "announced_roots", "reached", "unknown", "journal", "inbox"]


@pytest.mark.parametrize("name", NAMES)
def test_a_fresh_folder_reads_as_empty(tmp_path: Path, name: str) -> None:
    """Nothing is there, which is no damage; removing nothing is fine."""
    kept = getattr(DeviceFolder(tmp_path), name)
    empty = kept.load()
    kept.remove()
    kept.save(empty)

    assert kept.exists()
    assert empty == kept.load()
    assert 0o600 == kept.path.stat().st_mode & 0o777


def test_a_document_comes_back(tmp_path: Path) -> None:
    """Whole, and the next one replaces it whole."""
    kept = DeviceFolder(tmp_path).settings
    first = SettingsDocument(version=1, digest="d", settings={"a": "ä"}, apps=[AppOrder(name="x", version="1")])
    kept.save(first)
    assert first == kept.load()
    kept.save(SettingsDocument(version=2, digest="e"))
    assert SettingsDocument(version=2, digest="e") == kept.load()


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(NAMES), data=st.binary(max_size=60) | st.from_regex(rb'\{"[a-z]{1,9}": ?[0-9\[{"]{1,5}'))
@example(name="settings", data=b"[" * 100_000)
@example(name="settings", data=b'{"settings": {"": "x"}}')
@example(name="journal", data=b'{"done": [{"execID": 5, "state": "SUCCESS"}]}')
@example(name="inbox", data=b"\xff\xfe")
@example(name="boots", data=b" " * (3 * 1024 * 1024))
def test_damage_is_a_sentence(tmp_path: Path, name: str, data: bytes) -> None:
    """Whatever bytes stand in a file: a document, or the one declared error that names the file and what to do."""
    kept = getattr(DeviceFolder(tmp_path), name)
    kept.path.write_bytes(data)
    try:
        document = kept.load()
    except DeviceFolderError as error:
        assert str(kept.path) in str(error)  # noqa: PT017
        assert "remove it" in str(error)  # noqa: PT017
    else:
        assert isinstance(document, msgspec.Struct)


def test_the_journal_keeps_the_last() -> None:
    """64 commands; the newest of equal execIDs counts."""
    journal = Journal(reset_pending=True)
    for number in range(JOURNAL_ENTRIES + 1):
        journal = journal.and_done(Done(execID=str(number), state=ResultState.SUCCESS))

    assert None is journal.find("0")
    assert journal.find("64") == Done(execID="64", state=ResultState.SUCCESS)
    assert (64, True) == (len(journal.done), journal.reset_pending)


def test_the_inbox_keeps_the_last_and_each_once() -> None:
    """100 messages; the same command leaves one, and so does the same problem."""
    inbox = Inbox()
    for number in range(INBOX_MESSAGES + 1):
        inbox = inbox.and_message(InboxMessage(execID=str(number), at="now", text="x"))

    assert 100 == len(inbox.messages)
    assert inbox == inbox.and_message(InboxMessage(execID="100", at="later", text="y"))
    noticed = inbox.and_message(InboxMessage(problem="p", at="now", text="x"))
    assert noticed is noticed.and_message(InboxMessage(problem="p", at="later", text="x"))
    assert "q" == noticed.and_message(InboxMessage(problem="q", at="later", text="x")).messages[-1].problem
