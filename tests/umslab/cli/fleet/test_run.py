# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet run` as a user meets it, against a real server on loopback."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.support import prometheus
from tests.support.process import UMSLAB, ServerProcess, clean_environment, run_umslab
from umslab.cli.fleet.run import Words, refuse_what_cannot_be
from umslab.cli.main import main
from umslab.cli.output import UserError
from umslab_agent.fleet.measured import Condition
from umslab_agent.fleet.plan import make_plan
from umslab_agent.fleet.scenario import Kind, Scenario

if TYPE_CHECKING:
    from pathlib import Path

KEY = "fleet-key"


@pytest.fixture(scope="module", autouse=True)
def key(server: ServerProcess) -> str:
    """A mass-deployment key."""
    return str(server.ask("keys.create", kind="mass", chosen=KEY)[0]["secret"])


def _run(server: ServerProcess, *arguments: str, environment: dict[str, str] | None = None) -> Any:
    return run_umslab("fleet", "run", f"localhost:{server.port}", *arguments, environment=environment)


def _report(done: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)["report"]
    return found


def test_fifty_devices_need_no_file(server: ServerProcess) -> None:
    """The shortest way: every device managed, and in the registry under its own serial number; exit code 0."""
    done = _run(server, "--devices", "50", "--ramp", "2s", "--auth-key", KEY, "--seed", "50")
    planned = make_plan(Scenario(devices=50, seed=50)).devices
    known = {device["unit_id"]: device["info"] for device in server.ask("devices.list")}

    assert 0 == done.returncode, done.stderr
    assert "50 of 50 devices were managed (100 %)" in done.stdout
    assert "no statement about a real UMS" in done.stdout
    assert "phase 1: onboard" in done.stderr
    assert "nobody vouches for the server" in done.stderr
    assert {one.persona.unit_id: one.persona.serial_number for one in planned} == {
        one.persona.unit_id: known[one.persona.unit_id]["deviceSerialNumber"] for one in planned
    }


def test_a_second_run_needs_no_key(server: ServerProcess, tmp_path: Path) -> None:
    """What `--state` kept is enough; without it the same devices would have to enrol again."""
    state = ("--state", str(tmp_path / "fleet"), "--seed", "2", "-n", "4", "--at-once", "--json")
    first, second = _run(server, *state, "--auth-key", KEY), _run(server, *state)
    without = _run(server, "--seed", "2", "-n", "4", "--at-once", "--json")
    steps = [{step["step"] for step in _report(done)["steps"]} for done in (first, second)]

    assert (0, 0, 3) == (first.returncode, second.returncode, without.returncode)
    assert "enrol" in steps[0]
    assert "enrol" not in steps[1]
    assert [("enrol", "bad-arguments", 4)] == [
        (one["phase"], one["reason"], one["count"]) for one in _report(without)["causes"]
    ]


@pytest.mark.parametrize("how", ["file", "environment"])
def test_other_ways_to_give_the_key(server: ServerProcess, tmp_path: Path, how: str) -> None:
    """A file, or the environment."""
    (tmp_path / "key.txt").write_text(KEY + "\n")
    arguments = ("--auth-key-file", str(tmp_path / "key.txt")) if how == "file" else ()
    environment = {"UMSLAB_AUTH_KEY": KEY} if how == "environment" else None

    done = _run(server, "-n", "2", "--at-once", "--seed", f"3{len(how)}", *arguments, environment=environment)

    assert 0 == done.returncode, done.stdout


def test_trust_is_checked(server: ServerProcess) -> None:
    """With the right token or hash all is well; with another one nobody enrols."""
    hashed = ":".join(server.ask("certs.show")["root"]["sha256_parts"])
    few = ("-n", "2", "--at-once", "--auth-key", KEY, "--json")
    by_token = _run(server, *few, "--seed", "41", "--token", server.about["token"])
    by_hash = _run(server, *few, "--seed", "42", "--ca-hash", hashed)
    wrong = _run(server, *few, "--seed", "43", "--ca-hash", "00" * 32)

    assert (0, 0, 3) == (by_token.returncode, by_hash.returncode, wrong.returncode)
    assert "vouches" not in by_token.stderr + by_hash.stderr
    assert {"pin-mismatch"} == {one["reason"] for one in _report(wrong)["causes"]}


def test_processes_share_a_fleet(server: ServerProcess, tmp_path: Path) -> None:
    """Each calls from an address of its own; one report, all managed, one state for both."""
    few = ("-n", "10", "--rate", "10", "--seed", "5", "--state", str(tmp_path / "s"), "--auth-key", KEY)
    done = _run(server, *few, "--processes", "2", "--report", str(tmp_path / "run.json"), "--json")
    again = _run(server, *few, "--json")
    written = json.loads((tmp_path / "run.json").read_bytes())
    addresses = {
        device["last_ip"]
        for device in server.ask("devices.list")
        if device["unit_id"] in {one.persona.unit_id for one in make_plan(Scenario(devices=10, seed=5)).devices}
    }

    assert 0 == done.returncode, done.stderr
    assert (10, 2) == (_report(done)["managed"], len(_report(done)["generators"]))
    assert 2 == written["shards"][0]["processes"]
    assert "enrol" not in {step["step"] for step in _report(again)["steps"]}
    assert {"127.0.1.1", "127.0.1.2"} >= addresses or {"127.0.0.1"} == addresses


def test_metrics_while_it_runs(server: ServerProcess) -> None:
    """Of both processes together, on a free port of loopback that standard error names; gone with the run."""
    with subprocess.Popen(
        [
            *(*UMSLAB, "fleet", "run", f"localhost:{server.port}", "--auth-key", KEY, "--seed", "91"),
            *("-n", "300", "--rate", "4", "--processes", "2", "--metrics", "0"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
        start_new_session=True,
    ) as running:
        assert running.stderr is not None
        url = ""
        for line in running.stderr:
            url = url or line.partition("metrics are at ")[2].strip()
            if " managed" in line:
                break
        with urlopen(url, timeout=60) as answer:  # noqa: S310 - what the run itself has printed
            families = prometheus.read(answer.read().decode())
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    levels = [prometheus.value(families, "umslab_fleet_devices", condition=one) or 0 for one in Condition]

    assert url.startswith("http://127.0.0.1:")
    assert [] == prometheus.problems(families)
    assert 300 == sum(levels)
    assert 0 < (prometheus.value(families, "umslab_fleet_sessions") or 0)
    assert 2 == len(families["umslab_fleet_cpu_seconds"].samples)
    assert 0 < (prometheus.value(families, "umslab_event_loop_lag_seconds_count") or 0)
    with pytest.raises(URLError):
        urlopen(url, timeout=60)  # noqa: S310 - likewise


def test_a_port_for_metrics_that_is_taken(server: ServerProcess) -> None:
    """Is told before a device starts."""
    done = _run(server, "-n", "2", "--at-once", "--auth-key", KEY, "--metrics", str(server.port))

    assert 1 == done.returncode
    assert f"127.0.0.1:{server.port} is in use" in done.stderr
    assert "phase" not in done.stderr


def test_shards_make_a_whole(server: ServerProcess, tmp_path: Path) -> None:
    """Two halves of one plan, merged."""
    for number in (1, 2):
        done = _run(
            server,
            *("-n", "9", "--at-once", "--seed", "6", "--auth-key", KEY, "--shard", f"{number}/2"),
            *("--report", str(tmp_path / f"{number}.json"), "--json"),
        )
        assert (0, 5 if number == 1 else 4) == (done.returncode, _report(done)["managed"])
    merged = run_umslab("merge", str(tmp_path / "1.json"), str(tmp_path / "2.json"), "-o", str(tmp_path / "w.json"))

    assert 0 == merged.returncode, merged.stderr
    assert "9 of 9 devices were managed" in merged.stdout


def test_a_scenario_with_all_phases(server: ServerProcess, tmp_path: Path) -> None:
    """A file of one's own: sites, addresses, storms, renewal, a command that the server gives, thresholds."""
    (tmp_path / "mine.toml").write_text(
        """
name = "mine"
devices = 6
addresses = ["127.7.7.0/30"]
thresholds = ["managed >= 100%", "failures <= 0"]
[arrivals]
kind = "at-once"
[[sites]]
name = "A"
circuits = 2
[[phases]]
kind = "onboard"
[[phases]]
kind = "storm"
who = "A/1"
away_seconds = 0.5
[[phases]]
kind = "storm"
cause = "power"
[[phases]]
kind = "renewal"
[[phases]]
kind = "command"
command = "message"
parameters = { text = "hello" }
[[phases]]
kind = "drain"
[retry]
kind = "flat"
seconds = 0.3
[behaviour.device]
boot_seconds = 0.2
"""
    )
    done = _run(
        server,
        *("--scenario", str(tmp_path / "mine.toml"), "--seed", "7", "--auth-key", KEY),
        *("--server-state", str(server.state), "--json"),
    )
    report = _report(done)
    gained = {phase["phase"]: phase for phase in report["phases"]}

    assert 0 == done.returncode, done.stderr
    assert "command message: 6 SUCCESS" in done.stderr
    assert ["onboard", "storm", "storm", "renewal", "command", "drain"] == [one["phase"] for one in report["phases"]]
    assert gained["renewal"]["moved"]
    assert {6, 12} == {step["latency"]["count"] for step in report["steps"] if step["step"] in {"command", "enrol"}}
    assert [True, True] == [one["met"] for one in report["thresholds"]]
    assert {"127.7.7.1", "127.7.7.2"} == {
        device["last_ip"] for device in server.ask("devices.list") if device["last_ip"].startswith("127.7")
    }


def test_a_missed_threshold_is_99(server: ServerProcess) -> None:
    """All managed, and not as wanted."""
    done = _run(server, "-n", "2", "--seed", "8", "--auth-key", KEY, "--at-once", "--threshold", "managed.p50 < 1us")

    assert 99 == done.returncode
    assert "managed.p50 < 1us" in done.stdout


def test_what_failed_is_grouped(server: ServerProcess) -> None:
    """One line a cause, exit code 3, no traceback; a proxy in front is told by the user and changes the blame."""
    few = ("-n", "5", "--at-once", "--auth-key", "wrong", "--seed", "9")
    done = _run(server, *few)
    gone = run_umslab(
        *("fleet", "run", "localhost:1", "-n", "5", "--at-once", "--proxied", "--json", "--auth-key", "k"),
        *("--set", 'retry={kind="flat",before_enrolment=false}'),
    )

    assert 3 == done.returncode
    assert done.stdout.count("key-refused") == 1
    assert "Traceback" not in done.stdout + done.stderr + gone.stderr
    assert 3 == gone.returncode
    assert [("proxy", "unreachable", 5)] == [
        (one["side"], one["reason"], one["count"]) for one in _report(gone)["causes"]
    ]


def test_a_kind_asks_its_name_server(server: ServerProcess) -> None:
    """Those that are told where the server is are managed; the others ask, below the search domain, in vain here."""
    asked: list[bytes] = []

    def no_such_name(names: socket.socket) -> None:
        while not (asked and not asked[-1]):
            question, sender = names.recvfrom(4096)
            asked.append(question)
            names.sendto(question[:2] + b"\x81\x83" + question[4:], sender)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as names:
        names.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=no_such_name, args=(names,))
        thread.start()
        done = _run(
            server,
            *("-n", "4", "--at-once", "--seed", "10", "--auth-key", KEY, "--json"),
            *("--nameserver", f"127.0.0.1:{names.getsockname()[1]}", "--search-domain", "lab.example"),
            *("--set", 'mix=[{source="host"},{source="dns"}]'),
            *("--set", 'retry={kind="flat",before_enrolment=false}'),
        )
        names.sendto(b"", names.getsockname())  # no question: the end
        thread.join()
    (cause,) = _report(done)["causes"]

    assert (2, "resolve", 2) == (_report(done)["managed"], cause["phase"], cause["count"])
    assert any(b"igelrmserver\x03lab\x07example" in question for question in asked)


def test_devices_that_need_a_lab_are_skipped_on_loopback(server: ServerProcess) -> None:
    """The run says so on the way and in its report; the others run, and the exit code is theirs."""
    done = _run(
        server,
        *("-n", "4", "--at-once", "--seed", "13", "--auth-key", KEY, "--json"),
        *("--set", 'mix=[{source="host"},{source="dhcp"}]'),
    )

    assert 0 == done.returncode, done.stdout
    assert "source dhcp: skipped for 2 devices" in done.stderr
    assert ["lab network" in note for note in _report(done)["notes"]] == [True]
    assert (2, 2) == (_report(done)["managed"], _report(done)["devices"])


@pytest.mark.parametrize("processes", [1, 2])
def test_a_mixed_fleet(server: ServerProcess, tmp_path: Path, processes: int) -> None:
    """OS 11 devices register as a user of the UMS on the port that was named, and are called for the command."""
    user = f"ann{processes}"
    (tmp_path / "password").write_text("correct horse battery\n")
    server.ask("accounts.create", name=user, password="correct horse battery")
    done = _run(
        server,
        *("-s", "mixed-11-12", "-n", "10", "--at-once", "--seed", f"14{processes}", "--auth-key", KEY, "--json"),
        *("--os11-port", str(server.os11_port), "--processes", str(processes)),
        *("--register-user", user, "--register-password-file", str(tmp_path / "password")),
        *("--server-state", str(server.state), "--time-scale", "20"),
    )
    steps = {step["step"]: step["latency"]["count"] for step in _report(done)["steps"]}

    assert 0 == done.returncode, done.stdout + done.stderr
    assert (10, 4, 6) == (_report(done)["managed"], steps["register"], steps["enrol"])
    assert "10 SUCCESS" in done.stderr or 2 == processes
    assert 10 == steps["command"]


@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_drains_and_reports(server: ServerProcess, processes: int) -> None:
    """Whoever is on board says goodbye; the rest never started; exit code 3."""
    with subprocess.Popen(
        [
            *UMSLAB,
            *("fleet", "run", f"localhost:{server.port}", "-n", "500", "--rate", "5", "--auth-key", KEY),
            *("--seed", f"11{processes}", "--processes", str(processes), "--json"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
        start_new_session=True,
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if " managed" in line:
                break
        running.send_signal(signal.SIGINT)
        out, error = running.communicate(timeout=60)
    report = json.loads(out)["report"]

    assert 3 == running.returncode, error
    assert report["interrupted"]
    assert 0 < report["managed"] < 500
    assert 0 < report["missed"] < 500
    assert 0 == report["failures"]
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("localhost:1", "--ramp", "soon"), 2, "--ramp"),
        (("localhost:1", "--ramp", "1s", "--at-once"), 2, "one way"),
        (("localhost:1", "-s", "nope"), 2, "there is no scenario"),
        (("localhost:1", "--token", "x"), 2, "token"),
        (("localhost:1", "--ca-hash", "x"), 2, "fingerprint"),
        (("localhost:1", "--nameserver", "x"), 2, "IP address"),
        (("localhost:1", "--threshold", "good"), 2, "threshold"),
        (("localhost:99999",), 2, "99999"),
        (("localhost:1", "--set", 'mix=[{trust="token"}]'), 2, "--token"),
        (("localhost:1", "--set", 'mix=[{source="dns"}]'), 2, "--nameserver"),
        (("localhost:1", "--shard", "3/2"), 2, "1/2 to 2/2"),
        (("localhost:1", "--register-user", "ann"), 2, "--register-password-file"),
        (("localhost:1", "--dhcp-interface", "lo", "-n", "1"), 2, "namespace"),
        (("localhost:1", "-n", "9", "--set", "mix=[{os=11}]", "--set", 'addresses=["127.9.9.9/32"]'), 2, "too few"),
        (("192.168.77.9", "--i-own", "192.168.77.9", "-n", "9", "--set", "mix=[{os=11}]"), 2, "addresses ="),
        (("192.168.77.9",), 2, "--i-own"),
        (("8.8.8.8", "--i-own", "8.8.8.8"), 2, "public address"),
        (("192.168.77.9", "--i-own", "192.168.77.9", "-n", "101"), 2, "at most 100"),
        (("192.168.77.9", "--i-own", "192.168.77.9", "--at-once"), 2, "arrive in a second"),
        (("localhost:1", "-n", "60000", "--ramp", "1h"), 1, "--processes"),
        (("localhost:1", "--auth-key-file", "/nonexistent"), 1, "cannot be read"),
        (("localhost:1", "--state", "/dev/null"), 1, "cannot be used"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    """And an exit code; nothing was sent."""
    monkeypatch.setattr(sys, "argv", ["umslab", "fleet", "run", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, error = capsys.readouterr()

    assert (code, "") == (ended.value.code, out)
    assert words in error


def test_a_state_is_used_by_one_fleet(server: ServerProcess, tmp_path: Path) -> None:
    """Two would be the same devices."""
    from umslab_runtime.folder_lock import hold_folder  # noqa: PLC0415

    with hold_folder(tmp_path):
        done = _run(server, "-n", "1", "--state", str(tmp_path))

    assert 1 == done.returncode
    assert "another fleet" in done.stderr


def test_what_the_machine_cannot_carry_is_refused() -> None:
    """Before anything begins, with what to change; what is only slow is not."""
    with pytest.raises(UserError, match="descriptors"):
        refuse_what_cannot_be(make_plan(Scenario(devices=30_000)), Words("", "", (), ()), 1)
    refuse_what_cannot_be(make_plan(Scenario(devices=3_000)), Words("", "", (), ()), 1)
    with pytest.raises(UserError, match="ca-hash"):
        refuse_what_cannot_be(make_plan(Scenario(mix=(Kind(trust="ca-hash"),))), Words("", "", (), ()), 1)
