# SPDX-License-Identifier: Apache-2.0
"""A workflow machine whose transition table is the law: what is not in it raises, and so does a reaction against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from umslab_protocol.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from umslab_protocol.machines.device_life import Command, State

E = TypeVar("E")


class TableMachine(Generic[E]):
    """Subclasses give the table, from a state by an event to one of some states, and say how they react."""

    transitions: ClassVar[Mapping[State, Mapping[type, tuple[State, ...]]]]
    state: State

    def handle(self, event: E, now: float) -> list[Command]:
        """Take an event; return what to do. Raises `LocalProtocolError` for an event that the state does not know."""
        legal = self.transitions[self.state]
        if type(event) not in legal:
            names = ", ".join(sorted(kind.__name__ for kind in legal)) or "nothing"
            raise LocalProtocolError(f"{type(event).__name__} in state {self.state}; legal here: {names}")
        before = self.state
        commands = self._react(event, now)
        if self.state not in legal[type(event)]:
            raise LocalProtocolError(f"{type(event).__name__} led from {before} to {self.state}")
        return commands

    def takes(self, kind: type[E]) -> bool:
        """Tell whether an event of this kind is legal in the present state."""
        return kind in self.transitions[self.state]

    def _react(self, event: E, now: float) -> list[Command]:
        raise NotImplementedError
