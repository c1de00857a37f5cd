# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.transitions; the lives that are built on it have the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.device_life import State
from umslab_protocol.machines.transitions import TableMachine

if TYPE_CHECKING:
    from umslab_protocol.machines.device_life import Command


TABLE: dict[State, dict[type, tuple[State, ...]]] = {
    State.OFF: {str: (State.ONLINE,), int: (State.OFF,)},
    State.ONLINE: {str: (State.OFF,)},
}


class Lamp(TableMachine[str | int]):
    """On and off by a word; a number breaks it, against the table."""

    transitions = TABLE

    def __init__(self) -> None:
        self.state = State.OFF

    def _react(self, event: str | int, now: float) -> list[Command]:
        del now
        self.state = State.FAILED if isinstance(event, int) else State(event)
        return []


def test_what_the_table_has() -> None:
    """It is done, and known beforehand."""
    lamp = Lamp()
    lamp.handle("online", 0.0)

    assert State.ONLINE is lamp.state
    assert (True, False) == (lamp.takes(str), lamp.takes(int))


def test_what_the_table_does_not_have() -> None:
    """It raises, whoever is to blame: who sent the event, or the reaction."""
    lamp = Lamp()
    with pytest.raises(LocalProtocolError, match="int led from off to failed"):
        lamp.handle(1, 0.0)
    lamp = Lamp()
    lamp.handle("online", 0.0)
    with pytest.raises(LocalProtocolError, match="int in state online; legal here: str"):
        lamp.handle(1, 0.0)
