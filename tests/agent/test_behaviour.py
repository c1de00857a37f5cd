# SPDX-License-Identifier: Apache-2.0
"""A behaviour file is read whole or refused with the key that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from umslab.settings import SettingsError, load
from umslab_agent.behaviour import DeviceBehaviour

if TYPE_CHECKING:
    from pathlib import Path


def _load(path: Path, text: str) -> DeviceBehaviour:
    file = path / "behaviour.toml"
    file.write_text(text)
    return load(DeviceBehaviour, file=file, environment={}, flags=[])


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    """Every key has one."""
    assert DeviceBehaviour() == _load(tmp_path, "")


def test_every_key_can_be_said(tmp_path: Path) -> None:
    """Each key with another value than its default."""
    text = """
seed = 9
boot_seconds = 1.5
resume_after_seconds = 2
power_on_after_seconds = 3
after_reset = "onboard"
update_seconds = 4
app_install_seconds = 5
app_failure = 0.5
file_retry_seconds = 6
log_ons_per_day = 7
assets_per_day = 8
sysinfo_changes_per_day = 9
licence = "missing"
battery = true
clock_skew_seconds = -10
network_changes_per_day = 2
[apps]
chromium = "126.0"
[attributes]
room = "B 2.17"
[local_settings]
"sound.volume" = "11"
"""
    told, default = _load(tmp_path, text), DeviceBehaviour()

    assert all(getattr(told, name) != getattr(default, name) for name in msgspec.structs.asdict(default))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bot_seconds = 1", "line 1: unknown key bot_seconds"),
        ("boot_seconds = -1", "line 1: boot_seconds: "),
        ('boot_seconds = "1"', "line 1: boot_seconds: "),
        ("app_failure = 1.5", "line 1: app_failure: "),
        ("seed = 0.5", "line 1: seed: "),
        ('after_reset = "explode"', "line 1: after_reset: "),
        ("[local_settings]\na = 1", "local_settings"),
        ("boot_seconds", "not TOML"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """File, line and key are named."""
    with pytest.raises(SettingsError) as caught:
        _load(tmp_path, text)

    assert words in str(caught.value)
