# SPDX-License-Identifier: Apache-2.0
"""How `umslab ctl` reaches the running server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from umslab import exit_codes
from umslab.cli.output import DEFAULT_STATE, UserError, run_async
from umslab.printable import printable
from umslab_runtime.control import ControlError, connect_control
from umslab_server.state_folder import StateFolder


def server_folder(state: Path | None) -> StateFolder:
    """The server's part of a state folder."""
    return StateFolder((state or DEFAULT_STATE).absolute() / "server")


def call(state: Path | None, name: str, on_item: Callable[[Any], None] | None = None, /, **args: Any) -> Any:
    """Ask the server that runs on this state folder. Raises `UserError`."""
    folder = server_folder(state)
    path = folder.control
    try:
        about = msgspec.json.decode(folder.about.read_bytes())
        path = Path(about["control"] or path)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        pass  # then the usual place

    hint = "start one with `umslab serve`, or name its state folder with --state"
    return ask(path, f"no server runs on {folder.path}: {hint}", name, on_item, **args)


def ask(path: Path, nobody: str, name: str, on_item: Callable[[Any], None] | None = None, /, **args: Any) -> Any:
    """Ask whoever listens at this control socket. Raises `UserError`, with the sentence `nobody` when nobody does."""

    async def asking() -> Any:
        async with connect_control(path) as client:
            return await client.call(name, on_item, **args)

    try:
        return run_async(asking)
    except ControlError as error:
        if error.code == "unreachable":
            raise UserError(nobody) from None
        raise UserError(
            printable(str(error)), exit_codes.USAGE if error.code == "invalid" else exit_codes.ERROR
        ) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
