# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.control, over real Unix sockets."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from umslab_runtime import control
from umslab_runtime.control import ControlClient, ControlError, ControlServer, connect_control, open_control_listener

from .carriers import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """What was logged."""
    with structlog.testing.capture_logs() as captured:
        yield captured


async def handle(name: str, args: dict[str, Any], emit: Callable[[Any], Awaitable[None]]) -> Any:
    """A few commands."""
    match name:
        case "echo":
            return args
        case "count":
            for number in range(args["to"]):
                await emit(number)
            return "done"
        case "refuse":
            raise ControlError("not today", "closed")
        case "break":
            raise LookupError("a bug")
        case "unspeakable":
            return object()
        case "unspeakable item":
            await emit(object())
        case "decode":
            return msgspec.json.decode(b"{")
        case "never":
            await trio.sleep_forever()
    return None


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[Path]:
    """A control server at `path`; yields where it really is."""
    with trio.fail_after(PATIENCE):
        async with open_control_listener(path) as (listener, where), trio.open_nursery() as nursery:
            nursery.start_soon(ControlServer(handle).serve, listener)
            yield where
            nursery.cancel_scope.cancel()


async def ask(path: Path, *lines: bytes) -> list[Any]:
    """Send raw lines, close our direction, and return what comes back."""
    async with await trio.open_unix_socket(os.fspath(path)) as stream:
        await stream.send_all(b"".join(lines))
        await stream.send_eof()
        answer = b"".join([bytes(data) async for data in stream])
    return [json.loads(line) for line in answer.splitlines()]


async def test_answers_requests_in_order(tmp_path: Path) -> None:
    """One connection carries any number of requests, each with arguments of any JSON kind."""
    async with serving(tmp_path / "control.sock") as path, connect_control(path) as client:
        first = await client.call("echo", text="grüß", number=1, deep={"list": [None, True]})
        second = await client.call("echo")

    assert {"text": "grüß", "number": 1, "deep": {"list": [None, True]}} == first
    assert {} == second


async def test_streams_items_before_the_answer(tmp_path: Path) -> None:
    """Items arrive one by one, in order; who does not want them gets the result alone."""
    seen: list[int] = []
    async with serving(tmp_path / "control.sock") as path, connect_control(path) as client:
        result = await client.call("count", seen.append, to=3)
        silent = await client.call("count", to=3)

    assert [0, 1, 2] == seen
    assert ["done", "done"] == [result, silent]


async def test_refusals_carry_message_and_code(tmp_path: Path) -> None:
    """What the server refuses is an error with its words, and the connection goes on."""
    async with serving(tmp_path / "control.sock") as path, connect_control(path) as client:
        with pytest.raises(ControlError, match="not today") as refused:
            await client.call("refuse")

        assert "closed" == refused.value.code
        assert {} == await client.call("echo")


@pytest.mark.parametrize("command", ["break", "unspeakable", "unspeakable item", "decode"])
async def test_defects_stay_inside(tmp_path: Path, logs: list[Any], command: str) -> None:
    """An error of ours is logged and told as such; it neither ends the connection nor the server."""
    async with serving(tmp_path / "control.sock") as path, connect_control(path) as client:
        with pytest.raises(ControlError, match="an error inside the server") as defect:
            await client.call(command)

        assert "defect" == defect.value.code
        assert {} == await client.call("echo")
        assert ["defect: a control command ended by an error of ours"] == [entry["event"] for entry in logs]


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"hello\n",
        b'{"v": 1}\n',
        b'{"v": 1, "do": 3}\n',
        b'{"v": 1, "do": "echo", "extra": 1}\n',
        b'{"v": "1", "do": "echo"}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
    ],
    ids=lambda line: repr(line[:20]),
)
async def test_bad_lines_are_answered(tmp_path: Path, logs: list[Any], line: bytes) -> None:
    """Whatever is no request is answered as such, is no defect, and the next line is read as usual."""
    async with serving(tmp_path / "control.sock") as path:
        bad, good = await ask(path, line, b'{"v": 1, "do": "echo"}\n')

    assert (False, "invalid") == (bad["ok"], bad["error"]["code"])
    assert "not a control request" in bad["error"]["message"]
    assert {"ok": True, "result": {}} == good
    assert [] == logs


async def test_unknown_version_is_told_ours(tmp_path: Path) -> None:
    """A client from another time learns which version is spoken here."""
    async with serving(tmp_path / "control.sock") as path:
        (answer,) = await ask(path, b'{"v": 2, "do": "echo"}\n')

    assert {"code": "version", "message": "this server speaks version 1 of the control protocol"} == answer["error"]


async def test_unfinished_line_is_no_request(tmp_path: Path) -> None:
    """A line without its end is not carried out: it may have been cut off."""
    async with serving(tmp_path / "control.sock") as path:
        answers = await ask(path, b'{"v": 1, "do": "echo"}\n{"v": 1, "do": "echo"}')

    assert 1 == len(answers)


async def test_line_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line over the limit ends its connection, so that memory stays bounded; others go on."""
    monkeypatch.setattr(control, "MAX_REQUEST_BYTES", 100_000)
    async with serving(tmp_path / "control.sock") as path, connect_control(path) as other:
        async with await trio.open_unix_socket(os.fspath(path)) as stream:
            with pytest.raises(trio.BrokenResourceError):
                await stream.send_all(b" " * 10_000_000)

        assert {"text": "x" * 50_000} == await other.call("echo", text="x" * 50_000)


async def test_too_much_to_ask_is_told_before_it_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that the server would cut off is refused in a sentence, and the connection goes on."""
    monkeypatch.setattr(control, "MAX_REQUEST_BYTES", 2**20)
    async with serving(tmp_path / "control.sock") as path, connect_control(path) as client:
        with pytest.raises(ControlError, match="more than the 1 MiB") as refused:
            await client.call("echo", text="x" * 2**20)

        assert "invalid" == refused.value.code
        assert {} == await client.call("echo")


async def test_many_clients_wait_their_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More clients than are served at a time wait; none is refused."""
    monkeypatch.setattr(control, "MAX_CLIENTS", 2)
    async with serving(tmp_path / "control.sock") as path, trio.open_nursery() as nursery:
        answers: list[Any] = []

        async def call() -> None:
            async with connect_control(path) as client:
                answers.append(await client.call("echo", n=1))

        async with connect_control(path), trio.open_nursery() as calling:
            for _ in range(3):
                calling.start_soon(call)
        nursery.cancel_scope.cancel()

    assert [{"n": 1}] * 3 == answers


async def test_vanished_client_is_no_defect(tmp_path: Path, logs: list[Any]) -> None:
    """A client that does not wait for its answer harms nobody."""
    async with serving(tmp_path / "control.sock") as path:
        async with await trio.open_unix_socket(os.fspath(path)) as stream:
            await stream.send_all(b'{"v": 1, "do": "count", "args": {"to": 1000000}}\n')
            await stream.receive_some()
        await wait_all_tasks_blocked()

        async with connect_control(path) as client:
            assert {} == await client.call("echo")
        assert [] == logs


# The socket.


async def test_only_the_owner_may_open_it(tmp_path: Path) -> None:
    """The socket is made with mode 0600, whatever the umask, which is left as it was."""
    before = os.umask(0)
    try:
        async with serving(tmp_path / "control.sock") as path:
            mode = stat.S_IMODE(path.stat().st_mode)
            after = os.umask(0)
    finally:
        os.umask(before)

    assert (0o600, 0) == (mode, after)


async def test_socket_goes_with_its_server(tmp_path: Path) -> None:
    """Nothing is left at the end, also when somebody has removed the socket before."""
    path = tmp_path / "control.sock"
    async with serving(path):
        listening = path.is_socket()
    left = path.exists()
    async with serving(path):
        path.unlink()

    assert (True, False) == (listening, left)


async def test_long_path_is_replaced_by_a_short_one(tmp_path: Path) -> None:
    """A path too long for a socket is replaced by one in a private folder, which goes at the end."""
    longest = tmp_path / ("x" * (107 - len(str(tmp_path)) - 1))
    too_long = tmp_path / ("x" * (108 - len(str(tmp_path)) - 1))
    async with serving(longest) as path:
        assert longest == path
    async with serving(too_long) as path, connect_control(path) as client:
        assert too_long != path
        assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)
        assert {} == await client.call("echo")

    assert not path.parent.exists()


async def test_folder_that_is_not_there(tmp_path: Path) -> None:
    """A socket that cannot be made is an error, and nothing is left open."""
    with pytest.raises(FileNotFoundError):
        async with open_control_listener(tmp_path / "nowhere" / "control.sock"):
            pass


async def test_stale_socket_of_a_killed_server_is_replaced(tmp_path: Path) -> None:
    """The socket file of a server that was killed does not keep the next one from its place."""
    path = tmp_path / "control.sock"
    script = f"import os, signal, socket; s = socket.socket(socket.AF_UNIX); s.bind({str(path)!r}); s.listen(); "
    await trio.run_process([sys.executable, "-c", script + "os.kill(os.getpid(), signal.SIGKILL)"], check=False)
    stale = path.is_socket()

    async with serving(path), connect_control(path) as client:
        assert stale
        assert {} == await client.call("echo")


# The client.


@pytest.mark.parametrize("name", ["control.sock", "x" * 200])
async def test_nobody_listens(tmp_path: Path, name: str) -> None:
    """Where no server is, the message names the path; so it does for one that no socket can have."""
    with pytest.raises(ControlError, match="no server answers at ") as unreachable:
        async with connect_control(tmp_path / name):
            pass

    assert "unreachable" == unreachable.value.code
    assert name in str(unreachable.value)


@pytest.mark.parametrize("answer", [b"", b'{"item": 1}\n', b"no JSON\n", b'{"ok": tr'])
async def test_server_that_goes_away(tmp_path: Path, answer: bytes) -> None:
    """A server that ends in the middle of its answer is an error for people, not a traceback."""
    path = tmp_path / "control.sock"

    async def answer_and_leave(listener: trio.SocketListener) -> None:
        async with await listener.accept() as stream:
            await stream.receive_some()
            await stream.send_all(answer)

    with trio.fail_after(PATIENCE):
        async with open_control_listener(path) as (listener, _), trio.open_nursery() as nursery:
            nursery.start_soon(answer_and_leave, listener)
            async with connect_control(path) as client:
                with pytest.raises(ControlError, match="the server went away") as gone:
                    await client.call("echo")

    assert "gone" == gone.value.code


async def test_server_that_is_gone_before_the_request(tmp_path: Path) -> None:
    """A connection that broke before anything was sent is the same to its user."""
    path = tmp_path / "control.sock"
    with trio.fail_after(PATIENCE):
        async with open_control_listener(path) as (listener, _):
            async with connect_control(path) as client:
                await (await listener.accept()).aclose()

                with pytest.raises(ControlError, match="the server went away"):
                    await client.call("echo")


async def test_client_is_one_connection() -> None:
    """A client talks on the stream it was given."""
    ours, theirs = trio.socket.socketpair()
    async with trio.SocketStream(ours) as stream, trio.SocketStream(theirs) as server:
        await server.send_all(b'{"ok":true,"result":7}\n{"ok":true,"result":8}\n')
        client = ControlClient(stream)

        assert [7, 8] == [await client.call("one"), await client.call("two")]
        assert b'{"v":1,"do":"one","args":{}}\n{"v":1,"do":"two","args":{}}\n' == await server.receive_some()


_STARVE = """
import os, pathlib, resource, socket, sys, trio, trio.testing
from umslab_runtime.control import ControlClient, ControlServer, open_control_listener

async def handle(name, args, emit):
    return name

async def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    async with open_control_listener(pathlib.Path(sys.argv[1])) as (listener, path), trio.open_nursery() as nursery:
        nursery.start_soon(ControlServer(handle).serve, listener)
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))  # not accepted yet: nothing was awaited
        taken = []
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        await trio.testing.wait_all_tasks_blocked()
        print("starved", flush=True)
        for descriptor in taken:
            os.close(descriptor)
        async with trio.SocketStream(trio.socket.from_stdlib_socket(sock)) as stream:
            print(await ControlClient(stream).call("alive"), flush=True)
        nursery.cancel_scope.cancel()

trio.run(main)
"""


def test_survives_running_out_of_descriptors(tmp_path: Path) -> None:
    """A server without a descriptor left accepts its clients later."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _STARVE, str(tmp_path / "control.sock")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (["starved", "alive"], "") == (done.stdout.splitlines(), done.stderr)
