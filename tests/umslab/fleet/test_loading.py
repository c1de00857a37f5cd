# SPDX-License-Identifier: Apache-2.0
"""Scenarios by name or path, flags on top, recorded arrivals; what is wrong is told with file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from umslab.fleet.loading import load_scenario, read_recording, scenario_file, shipped_names, shipped_text
from umslab.settings import SettingsError
from umslab_agent.fleet.plan import make_plan
from umslab_agent.fleet.scenario import AtOnce, Replay, Scenario

if TYPE_CHECKING:
    from pathlib import Path


def test_the_shipped_ones_are_there() -> None:
    """Those that the documents name."""
    assert [
        "boot-storm",
        "mixed-11-12",
        "monday-morning",
        "renewal-wave",
        "rollout",
        "server-restart",
        "smoke",
        "soak",
    ] == shipped_names()


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_scenario_can_be_planned(name: str) -> None:
    """Each says what it is, and is named like its file."""
    scenario = load_scenario(name, [("devices", 20)])
    plan = make_plan(scenario)

    assert name == scenario.name
    assert scenario.about
    assert 20 == len(plan.devices)
    assert shipped_text(name).startswith("# ")


def test_nothing_said_is_the_default() -> None:
    """No file, no flags."""
    assert Scenario() == load_scenario("", [])
    assert scenario_file("") is None


def test_flags_win(tmp_path: Path) -> None:
    """Over the file, key by key; a table given as a flag is the whole table."""
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\ndevices = 5\n[arrivals]\nkind = "ramp"\nseconds = 3\n')

    found = load_scenario(str(file), [("devices", 7), ("arrivals", {"kind": "at-once"})])

    assert ("mine", 7, AtOnce()) == (found.name, found.devices, found.arrivals)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("devices = 3\ndevces = 4\n", "line 2: unknown key devces"),
        ('[arrivals]\nkind = "ramp"\nsecs = 4\n', "line 3: unknown key arrivals.secs"),
        ("[[mix]]\nos = 12\n\n[[mix]]\nos = 12\nkeytype = 3\n", "line 6: unknown key mix[1].keytype"),
        ('[[mix]]\nos = 12\n[[mix]]\nos = 11\nfirmware = "12.1.1"\n', "line 5: mix[1].firmware: 12.1.1 is not"),
        ('[[phases]]\nkind = "onboard"\n[[phases]]\nkind = "steady"\nseconds = "x"\n', "line 5: phases[1].seconds:"),
        ("[behaviour.device]\nboot = 3\n", "line 2: unknown key behaviour.device.boot"),
        ('thresholds = ["managed"]\n', "line 1: thresholds: "),
        ("devices = \n", "is not TOML"),
    ],
)
def test_what_is_wrong_has_its_line(tmp_path: Path, content: str, words: str) -> None:
    """The file and the line of the key, also in the second table of an array."""
    file = tmp_path / "mine.toml"
    file.write_text(content)

    with pytest.raises(SettingsError) as caught:
        load_scenario(str(file), [])

    assert words in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", ["nope", "smoke2", "..", "x" * 200])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    """Nothing outside the folder can be named."""
    with pytest.raises(SettingsError, match=r"boot-storm, .*soak"):
        load_scenario(name, [])
    with pytest.raises(SettingsError, match="boot-storm"):
        shipped_text(name)


def test_a_recording_beside_the_scenario(tmp_path: Path) -> None:
    """Its first column, whatever its order, with a heading or without; the path is the scenario's."""
    (tmp_path / "mine.toml").write_text('devices = 3\n[arrivals]\nkind = "replay"\nfile = "log.csv"\n')
    (tmp_path / "log.csv").write_text("seconds,who\n4.5,b\n\n0,a\n1e1,c\n")

    assert Replay(seconds=(0.0, 4.5, 10.0)) == load_scenario(str(tmp_path / "mine.toml"), []).arrivals


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no arrivals"),
        (b"seconds\n", "no arrivals"),
        (b"1\nsoon\n", "line 2: 'soon'"),
        (b"-1\n", "line 1: '-1'"),
        (b"1\nnan\n", "line 2"),
        (b"1\ninf\n", "line 2"),
        (b"\xff\xfe", "UTF-8"),
        (b"1\n2\n", "2 are recorded for 10"),
        (b"1\n" * 9_000_000, "larger than"),
    ],
    ids=["empty", "heading", "word", "negative", "nan", "inf", "bytes", "too few", "too large"],
)
def test_a_bad_recording_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    """With file and line."""
    file = tmp_path / "log.csv"
    file.write_bytes(content)

    with pytest.raises(SettingsError, match=words):
        load_scenario("", [("arrivals", {"kind": "replay", "file": str(file)})])


def test_a_missing_recording_is_told(tmp_path: Path) -> None:
    """Named, with what the system says."""
    with pytest.raises(SettingsError, match="No such file"):
        read_recording(tmp_path / "log.csv")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.from_regex(r'([0-9.e"-]{0,5},?[\n\r"]?){0,20}').map(str.encode))
def test_any_recording_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever bytes: numbers in order, or the one declared error."""
    file = tmp_path / "log.csv"
    file.write_bytes(content)
    try:
        found = read_recording(file)
    except SettingsError:
        return
    assert list(found) == sorted(found)
    assert all(0 <= seconds < float("inf") for seconds in found)
