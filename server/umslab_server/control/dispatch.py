# SPDX-License-Identifier: Apache-2.0
"""Dispatches requests of the control socket to commands with typed arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeAlias

import msgspec
from msgspec import Meta, Struct

from umslab_certs.errors import CertificateError
from umslab_protocol.errors import InvalidValueError
from umslab_runtime.control import ControlError
from umslab_server.errors import RefusedError
from umslab_server.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

ACTOR = "ctl"
_REFUSALS = (RefusedError, InvalidValueError, StoreError, CertificateError)

Emit: TypeAlias = "Callable[[Any], Awaitable[None]]"
Number = Annotated[int, Meta(ge=0, le=2**53)]


class NoArgs(Struct, forbid_unknown_fields=True):
    """For commands without arguments."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command: the type of its arguments, and what runs it."""

    args: type[Struct]
    run: Callable[[Any, Emit], Awaitable[Any]]

    @classmethod
    def plain(cls, args: type[Struct], run: Callable[[Any], Awaitable[Any]]) -> Self:
        """Make a command that answers once and emits nothing."""

        async def ignoring_emit(arguments: Any, emit: Emit) -> Any:
            del emit
            return await run(arguments)

        return cls(args, ignoring_emit)


class Control:
    """All commands; see `umslab_runtime.control.ControlServer`."""

    def __init__(self, *tables: Mapping[str, Command]) -> None:
        self._commands = {name: command for table in tables for name, command in table.items()}

    async def handle(self, name: str, args: dict[str, Any], emit: Emit) -> Any:
        """Run one command. Raises `ControlError`."""
        command = self._commands.get(name)
        if command is None:
            raise ControlError(f"there is no command {name[:60]!r}", "unknown-command")
        try:
            return await command.run(msgspec.convert(args, command.args), emit)
        except msgspec.ValidationError as error:
            raise ControlError(f"{name}: {error}", "invalid") from None
        except OSError as error:
            raise ControlError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None
        except _REFUSALS as error:
            raise ControlError(str(error)) from None
