# SPDX-License-Identifier: Apache-2.0
"""How `umslab ctl` reaches a server: where it looks, and what it says when nobody answers."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.here import run_here
from umslab import exit_codes
from umslab.cli.ctl.asking import call, server_folder
from umslab.cli.output import DEFAULT_STATE, UserError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.process import ServerProcess


def test_where_it_looks(tmp_path: Path) -> None:
    """The server's part of the named state folder, or of the usual one here."""
    assert tmp_path / "server" == server_folder(tmp_path).path
    assert DEFAULT_STATE.absolute() / "server" == server_folder(None).path


def test_answers_and_items(server: ServerProcess) -> None:
    """The result comes back; streamed items go where they are wanted."""
    call(server.state, "keys.create", kind="one-time")
    items: list[Any] = []
    last = call(server.state, "events", items.append, after=0)

    assert "ok" == call(server.state, "status")["state"]
    assert items[-1]["id"] == last["last"]


@pytest.mark.parametrize(
    ("name", "args", "message", "code"),
    [
        ("keys.show", {"id": 4711}, "there is no key number 4711", exit_codes.ERROR),
        ("keys.show", {"id": "x"}, "keys.show: Expected `int`", exit_codes.USAGE),
        ("keys.burn", {}, "there is no command 'keys.burn'", exit_codes.ERROR),
        ("keys.\x1b[31m", {}, r"\\x1b", exit_codes.ERROR),
    ],
)
def test_refusals(server: ServerProcess, name: str, args: dict[str, Any], message: str, code: int) -> None:
    """A sentence that a terminal can bear; arguments that make no sense are a matter of usage."""
    with pytest.raises(UserError, match=message) as caught:
        call(server.state, name, **args)

    assert code == caught.value.exit_code
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("about", [None, b"", b"\xff", b"[]", b"{}", b'{"control":7}', b'{"control":null}'])
def test_about_that_says_nothing(server: ServerProcess, tmp_path: Path, about: bytes | None) -> None:
    """Without a readable ready-file the socket is looked for in the usual place."""
    folder = tmp_path / "server"
    folder.mkdir()
    if about is not None:
        (folder / "server.json").write_bytes(about)
    with pytest.raises(UserError, match=r"no server runs on .*umslab serve"):
        call(tmp_path, "status")
    (folder / "control.sock").symlink_to(server.about["control"])

    assert "ok" == call(tmp_path, "status")["state"]


def test_about_that_names_the_socket(server: ServerProcess, tmp_path: Path) -> None:
    """The ready-file says where the socket is, when that is not the usual place."""
    (tmp_path / "server").mkdir()
    shutil.copy(server.state / "server" / "server.json", tmp_path / "server")

    assert json.loads((tmp_path / "server" / "server.json").read_text())["control"] == server.about["control"]
    assert "ok" == call(tmp_path, "status")["state"]


def test_no_server(tmp_path: Path) -> None:
    """The message says how to start one."""
    done = run_here("ctl", "status", "--state", str(tmp_path))

    assert 1 == done.returncode
    assert "umslab serve" in done.stderr
