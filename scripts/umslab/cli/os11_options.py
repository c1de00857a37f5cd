# SPDX-License-Identifier: Apache-2.0
"""What `umslab device` takes for OS 11 only, and what for OS 12 only."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from umslab import exit_codes
from umslab.cli.output import UserError
from umslab_agent.os11.device import Os11Settings
from umslab_agent.os11.registering import Wish
from umslab_certs.files import read_limited
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, DEFAULT_OS11_FIRMWARE, FirmwareVersion
from umslab_protocol.values.host_port import PUSH_PORT
from umslab_runtime.policy import effective_address

if TYPE_CHECKING:
    from umslab_certs.keys import KeyType

PROMPT = "prompt"
_MAX_PASSWORD_BYTES = 1_024
GENERATIONS = (11, 12)
_ONLY = {
    11: ("register_user", "register_password_file", "register_name", "register_directory", "push_port", "listen"),
    12: ("auth_key", "auth_key_file", "token", "ca_hash", "trust_first_use", "public_roots", "mdns", "mdns_on"),
}
"""Names of parameters that only this generation has."""


def choose_firmware(os: int | None, firmware: str, known: str | None) -> FirmwareVersion | None:
    """Return the firmware of the device, None for what the folder says or, in a new folder, the default of OS 12.

    `known` is the firmware of the folder. Raises `UserError`, and `InvalidValueError` for what is no version.
    """
    if os not in {None, *GENERATIONS}:
        raise UserError("--os is 11 or 12", exit_codes.USAGE)
    version = FirmwareVersion.parse(firmware) if firmware else None
    if version is not None and version.major not in GENERATIONS:
        raise UserError(f"--firmware {version}: umslab simulates IGEL OS 11 and 12", exit_codes.USAGE)
    if version is not None and os not in {None, version.major}:
        raise UserError(f"--os {os} and --firmware {version} contradict each other", exit_codes.USAGE)
    if version is not None or os is None or (known is not None and FirmwareVersion.parse(known).major == os):
        return version
    if os == 11:
        return DEFAULT_OS11_FIRMWARE
    return None if known is None else DEFAULT_FIRMWARE


def refuse_the_other_generations(context: typer.Context, generation: int) -> None:
    """Refuse what the user gave on the command line and this generation does not know. Raises `UserError`.

    What comes from the environment is left alone: it was not said for this device.
    """
    for name in _ONLY[23 - generation]:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{flag} is for IGEL OS {23 - generation}; this device runs {generation}", exit_codes.USAGE)


def os11_settings(
    key_type: KeyType,
    *,
    user: str,
    password_file: str,
    name: str,
    directory: str,
    push_port: int | None,
    listen: str,
) -> Os11Settings:
    """Read the options. Raises `UserError`, and `CertificateError` or `OSError` for a password file."""
    password = read_user_password(user, password_file)
    if (name or directory) and not user:
        raise UserError("a name or directory can be asked for only with --register-user (A9)", exit_codes.USAGE)
    try:
        if listen:
            effective_address(listen)
    except ValueError:
        raise UserError(f"--listen {listen[:60]!r} is no literal IP address", exit_codes.USAGE) from None
    return Os11Settings(
        key_type=key_type,
        wish=Wish(user=user, password=password, name=name, directory=directory),
        listen=listen or "127.0.0.1",
        push_port=PUSH_PORT if push_port is None else push_port,
    )


def read_user_password(user: str, password_file: str) -> str:
    """Read the password of this user; without a user there is none. Raises as `os11_settings` does."""
    if bool(user) != bool(password_file):
        raise UserError("--register-user and --register-password-file belong together (A9)", exit_codes.USAGE)
    return _read_password(password_file) if password_file else ""


def _read_password(source: str) -> str:
    if source == PROMPT:
        return str(typer.prompt("Password of the UMS user", hide_input=True, err=True))
    data = sys.stdin.buffer.read(_MAX_PASSWORD_BYTES + 1) if source == "-" else read_limited(Path(source))
    try:
        password = data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        password = ""
    if not password or len(data) > _MAX_PASSWORD_BYTES:
        most = _MAX_PASSWORD_BYTES
        raise InvalidValueError(f"--register-password-file: one password is expected, UTF-8, 1 to {most} bytes")
    return password
