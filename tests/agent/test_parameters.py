# SPDX-License-Identifier: Apache-2.0
"""The registry's parameters: documented defaults, bounds, and the firmware that knows them."""

from __future__ import annotations

import pytest

from umslab_agent import parameters
from umslab_agent.parameters import Parameters, Ranking, read_parameters
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, FirmwareVersion


def test_the_documented_defaults() -> None:
    """W7, W9, W10, L5, L6, AI3."""
    assert Parameters() == read_parameters({}, DEFAULT_FIRMWARE)
    assert (45.0, 86_400.0, Ranking.NONE, False, True, 6.0, "", False, False) == (
        Parameters().connect_timeout, Parameters().release_delay, Parameters().ranking,
        Parameters().log_authentication, Parameters().assets, Parameters().asset_delay,
        Parameters().structure_tag, Parameters().igelrmserver, Parameters().notify_user,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "member", "expected"),
    [
        (parameters.CONNECT_TIMEOUT, "10", "connect_timeout", 10.0),
        (parameters.CONNECT_TIMEOUT, "0", "connect_timeout", 1.0),
        (parameters.CONNECT_TIMEOUT, "-5", "connect_timeout", 45.0),
        (parameters.CONNECT_TIMEOUT, "nonsense", "connect_timeout", 45.0),
        (parameters.RELEASE, "60", "release_delay", 60.0),
        (parameters.RELEASE, "99999999", "release_delay", 30 * 86_400.0),
        (parameters.RELEASE, "9" * 400, "release_delay", 86_400.0),
        (parameters.RANKING, "ICG", "ranking", Ranking.ICG),
        (parameters.RANKING, "prefer ums", "ranking", Ranking.UMS),
        (parameters.RANKING, "best", "ranking", Ranking.NONE),
        (parameters.LOG_AUTHENTICATION, "true", "log_authentication", True),
        (parameters.LOG_AUTHENTICATION, "maybe", "log_authentication", False),
        (parameters.ASSETS, "false", "assets", False),
        (parameters.ASSETS, "maybe", "assets", True),
        (parameters.ASSET_DELAY, "0", "asset_delay", 0.0),
        (parameters.STRUCTURE_TAG, "HQ", "structure_tag", "HQ"),
        (parameters.STRUCTURE_TAG, "\x00", "structure_tag", ""),
        (parameters.IGELRMSERVER, "on", "igelrmserver", True),
        (parameters.NOTIFY_USER, "true", "notify_user", True),
    ],
)
def test_values(name: str, value: str, member: str, expected: object) -> None:
    """What can be read counts within its bounds; what cannot is the default."""
    assert expected == getattr(read_parameters({name: value}, DEFAULT_FIRMWARE), member)


@pytest.mark.parametrize(
    ("name", "value", "member", "before"),
    [
        (parameters.CONNECT_TIMEOUT, "10", "connect_timeout", "12.5.0"),
        (parameters.RANKING, "icg", "ranking", "12.4.0"),
        (parameters.LOG_AUTHENTICATION, "true", "log_authentication", "12.3.9"),
        (parameters.STRUCTURE_TAG, "HQ", "structure_tag", "12.4.9"),
        (parameters.IGELRMSERVER, "true", "igelrmserver", "12.6.0"),
        (parameters.NOTIFY_USER, "true", "notify_user", "12.8.3"),
    ],
)
def test_older_firmware_does_not_know_them(name: str, value: str, member: str, before: str) -> None:
    """A parameter does nothing before the version that brought it."""
    old = read_parameters({name: value}, FirmwareVersion.parse(before))

    assert getattr(Parameters(), member) == getattr(old, member)


def test_older_firmware_has_no_delay_and_no_assets() -> None:
    """L5 since 12.8.4, AI3 since 12.6.1."""
    old = read_parameters({parameters.RELEASE: "60"}, FirmwareVersion(12, 6, 0))

    assert (0.0, False) == (old.release_delay, old.assets)


def test_the_table_for_people() -> None:
    """Every parameter is in it once, and its default there is what an unset one means."""
    names = {
        parameters.CONNECT_TIMEOUT, parameters.RELEASE, parameters.RANKING, parameters.LOG_AUTHENTICATION,
        parameters.ASSETS, parameters.ASSET_DELAY, parameters.STRUCTURE_TAG, parameters.IGELRMSERVER,
        parameters.NOTIFY_USER,
    }  # fmt: skip
    defaults = {one.name: one.default for one in parameters.KNOWN}

    assert names == set(defaults)
    assert len(names) == len(parameters.KNOWN)
    assert Parameters() == read_parameters(defaults, DEFAULT_FIRMWARE)
