# SPDX-License-Identifier: Apache-2.0
"""Every option that says what a fleet is has its effect on the scenario, and by it on the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from umslab.cli.fleet.options import duration, plan_of, scenario_of
from umslab.cli.output import UserError
from umslab.settings import SettingsError
from umslab_agent.fleet.scenario import (
    AtOnce,
    ConstantRate,
    Flat,
    Kind,
    Onboard,
    Poisson,
    Ramp,
    Replay,
    Scenario,
    Steady,
)
from umslab_certs.keys import KeyType

if TYPE_CHECKING:
    from pathlib import Path

NOTHING: dict[str, Any] = {
    "devices": None,
    "ramp": "",
    "rate": None,
    "poisson": None,
    "at_once": False,
    "replay": "",
    "seed": None,
    "first_index": None,
    "key_type": None,
    "time_scale": None,
    "outstanding": None,
    "steady": "",
    "assignments": None,
}


def _scenario(what: str = "", **said: Any) -> Scenario:
    return scenario_of(what, **(NOTHING | said))


@pytest.mark.parametrize(
    ("said", "key", "value"),
    [
        ({"devices": 7}, "devices", 7),
        ({"ramp": "2m"}, "arrivals", Ramp(seconds=120)),
        ({"rate": 5.0}, "arrivals", ConstantRate(per_second=5)),
        ({"poisson": 5.0}, "arrivals", Poisson(per_second=5)),
        ({"at_once": True}, "arrivals", AtOnce()),
        ({"seed": 4}, "seed", 4),
        ({"first_index": 100}, "first_index", 100),
        ({"key_type": KeyType.RSA2048}, "mix", (Kind(key_type=KeyType.RSA2048),)),
        ({"time_scale": 60.0}, "time_scale", 60),
        ({"outstanding": 8}, "outstanding", 8),
        ({"steady": "30s"}, "phases", (Onboard(), Steady(seconds=30))),
        ({"assignments": ["retry={kind='flat', seconds=3}"]}, "retry", Flat(seconds=3)),
        ({"assignments": ["name=mine"]}, "name", "mine"),
    ],
    ids=str,
)
def test_each_option_has_its_effect(said: dict[str, Any], key: str, value: object) -> None:
    """On its key, and on no other."""
    found = _scenario(**said)

    assert value == getattr(found, key)
    assert value != getattr(Scenario(), key)
    assert [] == [
        name for name in Scenario.__struct_fields__ if name != key and getattr(found, name) != getattr(Scenario(), name)
    ]


def test_a_recording_is_an_option(tmp_path: Path) -> None:
    """Read, in order."""
    (tmp_path / "log.csv").write_text("3\n1\n")

    assert Replay(seconds=(1.0, 3.0)) == _scenario(devices=2, replay=str(tmp_path / "log.csv")).arrivals


def test_options_go_on_top_of_a_scenario() -> None:
    """What is not said stays as it is written."""
    found = _scenario("smoke", devices=3)

    assert ("smoke", 3, Ramp(seconds=2)) == (found.name, found.devices, found.arrivals)


def test_there_is_one_way_to_arrive() -> None:
    """Two are refused."""
    with pytest.raises(UserError, match="one way"):
        _scenario(ramp="1s", rate=3.0)


@pytest.mark.parametrize("said", [{"devices": 0}, {"assignments": ["devices"]}, {"assignments": ["nope=3"]}])
def test_what_cannot_be_is_refused(said: dict[str, Any]) -> None:
    """By the same rules as in a file."""
    with pytest.raises(SettingsError):
        _scenario(**said)


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("90", 90), ("1.5s", 1.5), ("5m", 300), ("2h", 7200), ("1d", 86_400)]
)
def test_times(text: str, seconds: float) -> None:
    """A number and a unit; without one it is seconds."""
    assert seconds == duration(text, "--ramp")


@pytest.mark.parametrize("text", ["", "soon", "-3s", "1w", "1e3", "٣s", "9" * 40])
def test_what_is_no_time(text: str) -> None:
    """The flag is named."""
    with pytest.raises(UserError, match="--ramp"):
        duration(text, "--ramp")


def test_shards() -> None:
    """A part, the whole, or a refusal."""
    scenario = Scenario(devices=5)

    assert (5, (1, 1)) == (len(plan_of(scenario, "").devices), plan_of(scenario, "").shard)
    assert (2, (2, 2)) == (len(plan_of(scenario, "2/2").devices), plan_of(scenario, "2/2").shard)
    for text in ("2", "0/2", "3/2", "6/6", "a/b"):
        with pytest.raises(UserError, match="--shard"):
            plan_of(scenario, text)
