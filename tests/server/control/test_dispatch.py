# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.dispatch: a request becomes a command with typed arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from msgspec import Struct

from tests.server.parts import rendered_logs
from umslab_certs.errors import CertificateError, Fault
from umslab_protocol.errors import InvalidValueError
from umslab_runtime.control import ControlError
from umslab_server.control.dispatch import Command, Control, NoArgs, Number
from umslab_server.errors import RefusedError
from umslab_server.store import StoreError

from .desk import Desk

if TYPE_CHECKING:
    from tests.server.parts import Office
    from umslab_server.control.dispatch import Emit


class _Sum(Struct, forbid_unknown_fields=True):
    one: Number
    two: Number = 1


async def _add(args: _Sum) -> int:
    await trio.lowlevel.checkpoint()
    return args.one + args.two


async def _count(args: _Sum, emit: Emit) -> str:
    for number in range(args.one):
        await emit(number)
    return "done"


def adder() -> Desk:
    """A desk with two tables of one command each."""
    return Desk(Control({"sum.add": Command.plain(_Sum, _add)}, {"sum.count": Command(_Sum, _count)}))


async def test_commands_of_all_tables() -> None:
    """Arguments have their defaults, answers and items come back."""
    desk = adder()

    assert await desk.ask("sum.add", one=2) == 3
    assert await desk.ask("sum.count", one=3) == "done"
    assert desk.items == [0, 1, 2]


@pytest.mark.parametrize(
    "args", [{}, {"one": "1"}, {"one": -1}, {"one": 2**53 + 1}, {"one": 1, "three": 3}, {"one": 1, "two": None}]
)
async def test_arguments_that_make_no_sense(args: dict[str, Any]) -> None:
    """Missing, of another type, out of bounds, unknown: `invalid`, with the command in the sentence."""
    await adder().invalid("sum.add", args)


@pytest.mark.parametrize(
    "error",
    [
        RefusedError("not today"),
        InvalidValueError("not today"),
        StoreError("not today"),
        CertificateError(Fault.EXPIRED, "not today"),
        OSError("not today"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_refusals(error: Exception) -> None:
    """What services raise for people is told in their own words."""

    async def refuse(args: NoArgs) -> None:
        await trio.lowlevel.checkpoint()
        raise error

    assert await Desk(Control({"x": Command.plain(NoArgs, refuse)})).refused("x") == ("refused", str(error))


async def test_a_file_that_cannot_be_used() -> None:
    """Which, and why: without the number that only programmers know."""

    async def refuse(args: NoArgs) -> None:
        await trio.lowlevel.checkpoint()
        raise PermissionError(13, "Permission denied", "/root/secret")

    told = await Desk(Control({"x": Command.plain(NoArgs, refuse)})).refused("x")

    assert told == ("refused", "/root/secret: Permission denied")


async def test_defects_are_not_refusals() -> None:
    """An error of ours goes on to where it is logged."""

    async def stumble(args: NoArgs) -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Desk(Control({"x": Command.plain(NoArgs, stumble)})).ask("x")


async def test_validation_inside_a_command_is_a_sentence_too() -> None:
    """A command may convert more of its arguments itself; what it refuses is told like the rest."""

    async def nested(args: NoArgs) -> None:
        await trio.lowlevel.checkpoint()
        raise ControlError("no such filter", "invalid")

    assert await Desk(Control({"x": Command.plain(NoArgs, nested)})).refused("x") == ("invalid", "no such filter")


async def test_unknown_command(desk: Desk) -> None:
    """Named, as far as it is short."""
    assert await desk.refused("keys.burn") == ("unknown-command", "there is no command 'keys.burn'")
    assert len((await desk.refused("x" * 10_000))[1]) < 100


async def test_busy(desk: Desk, office: Office) -> None:
    """A registry that cannot be written is a sentence, not a defect."""
    office.store._write_connection.exec_driver_sql("PRAGMA query_only = ON")
    with rendered_logs():
        code, message = await desk.refused("keys.create", kind="mass")

    assert (code, "could not be written" in message) == ("refused", True)
