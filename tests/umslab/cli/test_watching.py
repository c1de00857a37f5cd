# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.cli.watching."""

from __future__ import annotations

import json

import pytest

from umslab.cli.watching import Watcher, describe_failure, explain_failure
from umslab_agent.happenings import Happening, Kind
from umslab_agent.living import Change
from umslab_protocol.machines.device_life import State
from umslab_protocol.values.failure import Failure, Phase, Reason
from umslab_protocol.values.host_port import HostPort


def test_failures_for_people_and_machines() -> None:
    """A failure without code and hint prints neither; what a server said cannot paint the terminal."""
    failure = Failure(Phase.SESSION, Reason.LOST, "\x1b[2Jgone")

    assert "\x1b" not in explain_failure(failure)
    assert "hint" not in explain_failure(failure)
    assert "IGEL" not in explain_failure(failure)
    assert describe_failure(failure)["vendor_code"] is None


def test_what_happens_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """People get a sentence without control characters, machines an object; states have words too."""
    for as_json in (False, True):
        watcher = Watcher(HostPort("localhost", 1), "02AABBCCDDEE", as_json=as_json, once=False)
        watcher.happened(Happening(Kind.BOOTED, "boot 1", {"boot": 1}))
        watcher.happened(Happening(Kind.MESSAGE, 'message "a\x1b[2Jb"', {"message": "a\x1b[2Jb"}))
        for state, wait in ((State.REBOOTING, 30.0), (State.SUSPENDED, None), (State.OFF, 60.0), (State.FACTORY, None)):
            watcher.changed(Change(state, managed=False, failure=None, wait=wait))
    text, machine = capsys.readouterr().out.split('{"version"', 1)
    lines = [json.loads(line) for line in ('{"version"' + machine).splitlines()]

    assert "\x1b" not in text
    assert [line.partition("  ")[2] for line in text.splitlines()][1:] == [
        "rebooting; back in 30 s", "suspended", "shut down; back in 60 s", "reset to factory defaults",
    ]  # fmt: skip
    assert ["booted", "message"] == [line["event"] for line in lines[:2]]
    assert ["rebooting", "suspended", "off", "factory"] == [line["state"] for line in lines[2:]]


def test_waiting_for_approval_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """People are told that the UMS has not decided, without an error code."""
    failure = Failure(Phase.ENROL, Reason.AWAITING_APPROVAL, "HTTP 202", retry_after=60.0)
    watcher = Watcher(HostPort("localhost", 1), "02AABBCCDDEE", as_json=False, once=True)
    watcher.changed(Change(State.WAITING, managed=False, failure=failure, wait=60.0))

    assert ("02AABBCCDDEE  not approved yet; asking again in 60.0 s\n", "") == tuple(capsys.readouterr())


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (State.REGISTERING, "registering at ums.lab:30001"),
        (State.CONTACTING, "contacting ums.lab:30001"),
        (State.READY, "managed; listening for the UMS"),
    ],
)
def test_the_states_of_os_11(capsys: pytest.CaptureFixture[str], state: State, said: str) -> None:
    """In words."""
    watcher = Watcher(HostPort("ums.lab", 30_001), "02AA", as_json=False, once=False)
    watcher.changed(Change(state, managed=False, failure=None, wait=None))

    assert f"02AA  {said}\n" == capsys.readouterr().out
