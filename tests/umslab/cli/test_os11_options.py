# SPDX-License-Identifier: Apache-2.0
"""`umslab device` for OS 11: what is taken, what is refused, what is told."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.here import run_here
from tests.support.process import UMSLAB, clean_environment
from umslab.cli.os11_options import choose_firmware
from umslab.cli.output import UserError
from umslab_protocol.values.firmware import DEFAULT_OS11_FIRMWARE, FirmwareVersion

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("os", "firmware", "known", "chosen"),
    [
        (None, "", None, None),
        (None, "11.9.100", None, FirmwareVersion(11, 9, 100)),
        (11, "", None, DEFAULT_OS11_FIRMWARE),
        (11, "11.8", None, FirmwareVersion(11, 8)),
        (11, "", "11.7.1", None),
        (11, "", "12.8.4", DEFAULT_OS11_FIRMWARE),
        (12, "", "12.6.1", None),
        (12, "", "11.7.1", FirmwareVersion(12, 8, 4)),
    ],
)
def test_the_firmware(os: int | None, firmware: str, known: str | None, chosen: FirmwareVersion | None) -> None:
    """Flags first, then the folder, then the default of the generation (O6: the same folder, the other generation)."""
    assert chosen == choose_firmware(os, firmware, known)


@pytest.mark.parametrize(("os", "firmware"), [(10, ""), (11, "12.1"), (12, "11.1"), (None, "10.6")])
def test_what_is_no_generation(os: int | None, firmware: str) -> None:
    """It is said."""
    with pytest.raises(UserError):
        choose_firmware(os, firmware, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--os", "11", "--token", "0" * 16), "--token is for IGEL OS 12; this device runs 11"),
        (("--firmware", "11.9", "--auth-key", "k"), "--auth-key is for IGEL OS 12; this device runs 11"),
        (("--os", "11", "--mdns"), "--mdns is for IGEL OS 12; this device runs 11"),
        (("--push-port", "1"), "--push-port is for IGEL OS 11; this device runs 12"),
        (("--listen", "127.0.0.2"), "--listen is for IGEL OS 11; this device runs 12"),
        (("--os", "11", "--register-user", "ann"), "belong together"),
        (("--os", "11", "--register-name", "K1"), "only with --register-user"),
        (("--os", "11", "--listen", "localhost"), "no literal IP address"),
    ],
)
def test_refused(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """One clear sentence, exit code 2, and no folder is made."""
    done = run_here("device", NOWHERE, "--state", str(tmp_path / "s"), "--once", *arguments)

    assert 2 == done.returncode
    assert said in done.stderr


@pytest.mark.parametrize("content", [b"", b"\xff", b"x" * 2_000])
def test_a_password_file_that_is_none(tmp_path: Path, content: bytes) -> None:
    """Empty, no text, too long; what is in it is not shown."""
    file = tmp_path / "pw"
    file.write_bytes(content)
    arguments = ("--os", "11", "--register-user", "ann", "--register-password-file", str(file))
    done = run_here("device", NOWHERE, "--state", str(tmp_path / "s"), "--once", *arguments)

    assert 2 == done.returncode
    assert "one password is expected" in done.stderr
    assert "xxx" not in done.stderr


def test_a_failure_for_machines(tmp_path: Path) -> None:
    """Phase, reason and hint, no code of OS 12; a first-authentication key of the environment is left alone."""
    arguments = ("--os", "11", "--push-port", "0", "--once", "--json")
    done = run_here(
        "device", NOWHERE, "--state", str(tmp_path), *arguments, environment={"UMSLAB_AUTH_KEY": "key-of-os-12"}
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]

    assert 3 == done.returncode
    assert ["registering", "failed"] == [line["state"] for line in told if "state" in line]
    failure = told[-1]["failure"]
    assert ("register", "unreachable", None) == (failure["phase"], failure["reason"], failure["vendor_code"])


def test_ctrl_c_while_it_waits(tmp_path: Path) -> None:
    """It stops at once, in order."""
    command = [*UMSLAB, "device", NOWHERE, "--os", "11", "--push-port", "0", "--retry", "--state", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment()
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "trying again" in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)

    assert 0 == process.returncode
    assert "stopping" in out
    assert "Traceback" not in err
