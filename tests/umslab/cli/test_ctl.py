# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl`: tables for people, versioned JSON for machines, the same truth in both."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.process import UMSLAB, ServerProcess, clean_environment, run_umslab

if TYPE_CHECKING:
    from pathlib import Path

IDS = ("02AAAAAAAA01", "02AAAAAAAA02", "02AAAAAAAA03")


@pytest.fixture(scope="module", autouse=True)
def imported(server: ServerProcess) -> None:
    """Three devices that nobody has seen yet."""
    server.ask("devices.import", csv="".join(f"{unit_id};device {unit_id[-1]};;\n" for unit_id in IDS))


def _ctl(server: ServerProcess, *arguments: str, stdin: str = "") -> str:
    done = run_umslab("ctl", *arguments, "--state", str(server.state), stdin=stdin)
    assert (0, "") == (done.returncode, done.stderr)
    return str(done.stdout)


def _json(server: ServerProcess, kind: str, *arguments: str) -> Any:
    document = json.loads(_ctl(server, *arguments, "--json"))
    assert 1 == document["version"]
    return document[kind]


def _refused(server: ServerProcess, *arguments: str) -> str:
    done = run_umslab("ctl", *arguments, "--state", str(server.state))
    assert 0 != done.returncode
    assert "Traceback" not in done.stderr
    assert 1 == len(done.stderr.strip().splitlines())
    return str(done.stderr)


def test_status(server: ServerProcess) -> None:
    """State, devices, sessions, and the same as JSON."""
    status = _json(server, "status", "status")

    assert "ok" == status["state"]
    assert 3 <= status["devices"]["never-registered"] + status["devices"]["in-bin"]
    assert "never-registered" in _ctl(server, "status")


def test_keys_from_birth_to_death(server: ServerProcess) -> None:
    """Create, list, show, disable, enable, delete, export."""
    made = _json(server, "keys", "keys", "create", "--kind", "mass", "--key", "chosen-one", "--label", "pilot")
    number = str(made[0]["id"])

    assert "chosen-one" == made[0]["secret"]
    assert "chosen-one" not in _ctl(server, "keys", "list")
    assert "chosen-one" in _ctl(server, "keys", "list", "--secrets")
    assert "chosen-one" == _json(server, "key", "keys", "show", number)["secret"]
    assert f"{number};mass;chosen-one;;unused" in _ctl(server, "keys", "export").splitlines()
    _ctl(server, "keys", "disable", number)
    assert "disabled" == _json(server, "key", "keys", "show", number)["state"]
    _ctl(server, "keys", "enable", number)
    assert "exists already" in _refused(server, "keys", "create", "--kind", "mass", "--key", "chosen-one")
    _ctl(server, "keys", "delete", number)
    assert f"no key number {number}" in _refused(server, "keys", "show", number)


def test_many_keys_as_csv(server: ServerProcess) -> None:
    """--count N --csv gives N lines for a spreadsheet, all different."""
    lines = _ctl(server, "keys", "create", "--count", "20", "--csv").splitlines()

    assert 20 == len({line.split(";")[2] for line in lines})


def test_bound_keys_need_owners(server: ServerProcess) -> None:
    """One key for each unit ID; without one it is an error."""
    made = _json(server, "keys", "keys", "create", "--kind", "bound", "--unit-id", IDS[0], "--unit-id", IDS[1])

    assert [IDS[0], IDS[1]] == [key["bound_to"] for key in made]
    assert "unit ID" in _refused(server, "keys", "create", "--kind", "bound")
    assert "unit ID" in _refused(server, "keys", "create", "--kind", "bound", "--unit-id", "nonsense")


def test_the_recycle_bin(server: ServerProcess) -> None:
    """Delete, list the bin, restore, purge."""
    _ctl(server, "devices", "delete", IDS[0])

    assert "in-bin" == _json(server, "device", "devices", "show", IDS[0])["state"]
    assert [IDS[0]] == [one["unit_id"] for one in _json(server, "devices", "devices", "list", "--bin")]
    assert IDS[0] not in _ctl(server, "devices", "list", "--no-bin")
    assert "already" in _refused(server, "devices", "delete", IDS[0])
    _ctl(server, "devices", "restore", IDS[0])
    assert "not in the recycle bin" in _refused(server, "devices", "restore", IDS[0])
    _ctl(server, "devices", "purge", IDS[0])
    assert "no device" in _refused(server, "devices", "show", IDS[0])


def test_editing_a_device(server: ServerProcess) -> None:
    """Attributes that people keep."""
    _ctl(server, "devices", "edit", IDS[1], "site=Bremen", "cost-center=42")
    shown = _json(server, "device", "devices", "show", IDS[1])

    assert ("Bremen", "42") == (shown["site"], shown["cost_center"])
    assert "cannot be edited" in _refused(server, "devices", "edit", IDS[1], "unit_id=x")


def test_importing_devices(server: ServerProcess, tmp_path: Path) -> None:
    """A file or standard input; known ones are told, a bad line refuses the whole file with its number."""
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(f"02BBBBBBBB01;new one;;\n{IDS[1]};known;;\n")
    bad.write_text("02BBBBBBBB02;fine;;\nnonsense;x;;\n")

    assert "1 devices added; known already: 02AAAAAAAA02" in _ctl(server, "devices", "import", str(good))
    assert "line 2" in _refused(server, "devices", "import", str(bad))
    assert "02BBBBBBBB02" not in _ctl(server, "devices", "list")
    assert "1 devices added" in _ctl(server, "devices", "import", "-", stdin="02BBBBBBBB03;by pipe;;\n")
    assert "none.csv" in _refused(server, "devices", "import", str(tmp_path / "none.csv"))


def test_renewing_the_web_certificate(server: ServerProcess) -> None:
    """A new leaf under the same root and token."""
    before = _json(server, "certificates", "certs", "show")
    after = _json(server, "certificates", "certs", "renew")

    assert before["web"]["serial"] != after["web"]["serial"]
    assert before["root"] == after["root"]
    assert before["token"] in _ctl(server, "certs", "show")


def test_events_without_secrets(server: ServerProcess) -> None:
    """What happened is told with kind and actor; no key is ever in it."""
    (key,) = _json(server, "keys", "keys", "create")
    lines = [json.loads(line) for line in _ctl(server, "events", "--json", "--limit", "1000").splitlines()]
    of_one = _ctl(server, "events", "--device", IDS[2])

    assert {"key-created", "device-imported"} <= {line["kind"] for line in lines}
    assert key["secret"] not in json.dumps(lines)
    assert [line["id"] for line in lines] == sorted(line["id"] for line in lines)
    assert all(IDS[2] in line for line in of_one.splitlines())


def test_following_events(server: ServerProcess) -> None:
    """--follow shows what happens next, as it happens."""
    command = [*UMSLAB, "ctl", "events", "--follow", "--limit", "0", "--json", "--state", str(server.state)]
    follower = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment())
    assert follower.stdout is not None
    with follower.stdout:
        seen = ""
        while "key-created" not in seen:  # the follower needs a moment to connect: give it events until it sees one
            server.ask("keys.create", kind="one-time")
            if _readable(follower.stdout):
                seen = follower.stdout.readline()
    follower.terminate()
    follower.wait(20)

    assert "key-created" == json.loads(seen)["kind"]


def _readable(stream: Any) -> bool:
    import select  # noqa: PLC0415

    return bool(select.select([stream], [], [], 0.2)[0])


def test_backup_and_restore(server: ServerProcess, tmp_path: Path) -> None:
    """A private file that never overwrites, and a restored state that serves under the same root."""
    file = tmp_path / "backup.tar"
    token = server.about["token"]

    assert "files" in _ctl(server, "backup", str(file))
    assert 0o600 == file.stat().st_mode & 0o777
    assert "exists already" in _refused(server, "backup", str(file))
    assert "in use" in _refused(server, "restore", str(file))
    elsewhere = tmp_path / "elsewhere"
    done = run_umslab("ctl", "restore", str(file), "--state", str(elsewhere))
    assert 0 == done.returncode
    restored = ServerProcess(elsewhere)
    try:
        restored.start()
        assert token == restored.about["token"]
        assert IDS[2] in {one["unit_id"] for one in restored.ask("devices.list")}
    finally:
        restored.close()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\0" * 10_240])
def test_what_is_no_backup(tmp_path: Path, content: bytes) -> None:
    """A damaged file changes nothing."""
    (tmp_path / "x.tar").write_bytes(content)
    done = run_umslab("ctl", "restore", str(tmp_path / "x.tar"), "--state", str(tmp_path / "state"))

    assert 1 == done.returncode
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "state" / "server").exists()


def test_no_server(tmp_path: Path) -> None:
    """The message says how to start one."""
    done = run_umslab("ctl", "status", "--state", str(tmp_path))

    assert 1 == done.returncode
    assert "umslab serve" in done.stderr
