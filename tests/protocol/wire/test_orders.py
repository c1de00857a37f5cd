# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.orders: names and texts that a device may act on; limits: test_messages.py."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from umslab_protocol.wire.messages import MAX_MESSAGE_BYTES
from umslab_protocol.wire.orders import (
    MAX_DOCUMENT_BYTES,
    MAX_PARAMETERS,
    MAX_VALUE_CHARACTERS,
    CommandName,
    Connector,
    ConnectorType,
    FileName,
    ResultState,
    SettingName,
    Sha256,
)


def accepts(kind: Any, text: str) -> bool:
    """Whether a text may stand there."""
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", ["a", "system.remotemanager.ait.enable", "sessions.rdp%.name", "x" * 255, "A-1_2"])
def test_names_of_parameters(name: str) -> None:
    """Dotted names, and the `%` that numbers instances."""
    assert accepts(SettingName, name)


@pytest.mark.parametrize("name", ["", " ", "a b", "a\n", "\na", "a\tb", "ü", "a/b", "a=b", "x" * 256, "a\x00"])
def test_what_no_parameter_is_called(name: str) -> None:
    """Blanks, line breaks also at the end, other scripts, separators."""
    assert not accepts(SettingName, name)


@pytest.mark.parametrize("name", ["a", "logo.png", "_x", "1.2+3", "x" * 255])
def test_names_of_files(name: str) -> None:
    """Plain names."""
    assert accepts(FileName, name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "-rf", "a/b", "../a", "/etc/passwd", "a\\b", "a b", "a\n", "a\x00", "ü", "x" * 256],
)
def test_names_of_files_stay_in_their_folder(name: str) -> None:
    """No way up, no other folder, nothing hidden, no option, no control characters."""
    assert not accepts(FileName, name)


def test_digests() -> None:
    """Sixty-four digits in small letters and nothing after them."""
    good = "0123456789abcdef" * 4

    assert accepts(Sha256, good)
    assert not any(accepts(Sha256, bad) for bad in (good[1:], good + "0", good.upper(), good + "\n", "", "g" * 64))


def test_published_commands() -> None:
    """J1 as they are called; of waking up only a device hears that does it for another (WL4)."""
    assert {"reboot", "shutdown", "wakeup", "settings2tc", "tcreset2facdefs"} <= {str(one) for one in CommandName}


def test_published_results_and_connectors() -> None:
    """Section 15.4 and W5."""
    assert ["SUCCESS", "FAILED"] == [str(one) for one in ResultState]
    assert ConnectorType.UNDEFINED == Connector(host="h", port=1).type


def test_numbers_of_the_format() -> None:
    """A whole document is below one message, and one value below a whole document."""
    assert (2_000, 4_096, 200 * 1024) == (MAX_PARAMETERS, MAX_VALUE_CHARACTERS, MAX_DOCUMENT_BYTES)
    assert 4 * MAX_VALUE_CHARACTERS < MAX_DOCUMENT_BYTES < MAX_MESSAGE_BYTES
