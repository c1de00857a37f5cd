# SPDX-License-Identifier: Apache-2.0
"""What each command does on a device: one function a command (facts J1, J2, X10; section 10).

Provenance: the commands are documented; their parameters and texts are ours (`message`: text; `update`: version;
`filetransfer`: name, sha256, size; `devicecommand`: name; `wakeup`: mac, port;
`checkreenroll`: force).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from umslab_agent import inventory
from umslab_agent.fetching import FileProblemError, fetch
from umslab_agent.happenings import Kind
from umslab_agent.kept import InboxMessage
from umslab_agent.unit import stamp
from umslab_certs.errors import CertificateError
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.machines.device_life import FallingAsleep, Rebooting, Resetting, ShuttingDown
from umslab_protocol.values.firmware import Behaviour, FirmwareVersion, behaves
from umslab_protocol.values.unit_id import UnitId, is_locally_administered, parse_mac
from umslab_protocol.wire.magic_packet import WAKE_PORT
from umslab_protocol.wire.messages import Error, PushLicenseInfo, PushSettings
from umslab_protocol.wire.orders import TRUE, CommandName, FileOrder, ResultState
from umslab_runtime.magic import everybody, send_magic_packets
from umslab_runtime.network import ListenError
from umslab_runtime.policy import TargetRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from umslab_agent.commands import Commands
    from umslab_agent.conversation import Answer
    from umslab_protocol.machines.device_life import Departure
    from umslab_protocol.wire.messages import Command, Message

DEVICE_COMMANDS = {
    "identify": "the device blinked (simulated)",
    "collect-logs": "the logs were collected (simulated)",
    "clear-cache": "the cache was cleared (simulated)",
}
"""Device-specific commands this device offers; ours."""


class SessionOverError(Exception):
    """The session ended before the command could; the server sends it again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended, and what follows from it."""

    state: ResultState
    message: str = ""
    departure: Departure | None = None
    """Go away like this, after the result was sent."""
    goodbye: str = ""
    """The reason with which the session is closed then."""
    renew: bool = False
    """Renew the certificate, after the result was sent."""
    pending: dict[str, bool | str] = field(default_factory=dict)
    """Members of the journal that change together with the result."""

    @classmethod
    def failed(cls, message: str) -> Outcome:
        """A command that could not be carried out."""
        return cls(ResultState.FAILED, message)

    @classmethod
    def succeeded(cls, message: str = "") -> Outcome:
        """A command that was."""
        return cls(ResultState.SUCCESS, message)


async def _ask(commands: Commands, make: Callable[[int], Message]) -> Answer:
    """Say something on the session and wait for its answer."""
    if commands.conversation is None:
        raise SessionOverError
    answer = await commands.conversation.request(make).get()
    if answer is None:
        raise SessionOverError
    return answer


async def _push(commands: Commands, make: Callable[[int], Message], done: str) -> Outcome:
    answer = await _ask(commands, make)
    return Outcome.failed(answer.message) if isinstance(answer, Error) else Outcome.succeeded(done)


async def reboot(commands: Commands, _: Command) -> Outcome:
    """Leave, and come back after the boot time."""
    return _going_down(commands, Rebooting(commands.unit.behaviour.boot_seconds), "rebooting")


async def shutdown(commands: Commands, _: Command) -> Outcome:
    """Leave, until somebody switches it on."""
    return _going_down(commands, ShuttingDown(commands.unit.behaviour.power_on_after_seconds), "shutting down")


async def suspend(commands: Commands, _: Command) -> Outcome:
    """Leave until it is woken up; this is no boot."""
    departure = FallingAsleep(commands.unit.behaviour.resume_after_seconds)
    return Outcome(ResultState.SUCCESS, departure=departure, goodbye="suspending")


def _going_down(commands: Commands, departure: Departure, goodbye: str) -> Outcome:
    """Go down; an update that waited for it is installed on the way."""
    waiting = commands.unit.folder.journal.load().firmware_at_shutdown
    pending: dict[str, bool | str] = {"firmware_pending": waiting, "firmware_at_shutdown": ""} if waiting else {}
    return Outcome(ResultState.SUCCESS, departure=departure, goodbye=goodbye, pending=pending)


async def factory_reset(commands: Commands, _: Command) -> Outcome:
    """Forget everything but who it is (A2); then stay as it is, or come on board again."""
    behaviour = commands.unit.behaviour
    departure = Resetting(behaviour.boot_seconds if behaviour.after_reset == "onboard" else None)
    return Outcome(
        ResultState.SUCCESS, departure=departure, goodbye="reset to factory defaults", pending={"reset_pending": True}
    )


async def settings_to_device(commands: Commands, _: Command) -> Outcome:
    """Ask what the device is to have, and put it in effect."""
    if commands.conversation is None:
        raise SessionOverError
    answer = await _ask(commands, commands.conversation.pull)
    if isinstance(answer, Error):
        return Outcome.failed(answer.message)
    version = await commands.installer.until_in_effect()
    if version is None:
        return Outcome.failed("the settings could not be put in effect")
    return Outcome.succeeded(f"settings version {version} are in effect")


async def settings_from_device(commands: Commands, _: Command) -> Outcome:
    """Send the settings that were made on the device itself."""
    settings = commands.unit.own_settings
    done = f"{len(settings)} local settings sent"
    return await _push(commands, lambda message_id: PushSettings(id=message_id, settings=settings), done)


async def update(commands: Commands, command: Command) -> Outcome:
    """Install another firmware, which takes time, and reboot into it."""
    version = _version(command)
    if isinstance(version, Outcome):
        return version
    unit = commands.unit
    await unit.world.clock.sleep(unit.behaviour.update_seconds)
    return Outcome(
        ResultState.SUCCESS,
        f"updated to {version or unit.persona.firmware}",
        departure=Rebooting(unit.behaviour.boot_seconds),
        goodbye="rebooting after an update",
        pending={"firmware_pending": version, "firmware_at_shutdown": ""},
    )


async def update_on_shutdown(commands: Commands, command: Command) -> Outcome:
    """Keep the update for the next time the device goes down on purpose."""
    version = _version(command)
    if isinstance(version, Outcome):
        return version
    waiting = version or commands.unit.persona.firmware
    text = f"the update to {waiting} waits for the next shutdown"
    return Outcome(ResultState.SUCCESS, text, pending={"firmware_at_shutdown": waiting})


def _version(command: Command) -> str | Outcome:
    text = command.parameters.get("version", "")
    try:
        return str(FirmwareVersion.parse(text)) if text else ""
    except InvalidValueError as error:
        return Outcome.failed(str(error))


async def refresh_system_information(commands: Commands, _: Command) -> Outcome:
    """Tell all about the device."""
    if commands.conversation is None:
        raise SessionOverError
    return await _push(commands, commands.conversation.system_information, "system information sent")


async def refresh_licence(commands: Commands, _: Command) -> Outcome:
    """Tell which licences it has."""
    unit = commands.unit
    licences = inventory.licences(unit.seed, unit.utc(), unit.behaviour.licence)
    done = f"{len(licences)} licence(s) reported"
    return await _push(commands, lambda message_id: PushLicenseInfo(id=message_id, licences=licences), done)


async def message(commands: Commands, command: Command) -> Outcome:
    """Show a message to the user, and keep it for inspection."""
    unit, text = commands.unit, command.parameters.get("text", "")
    if not text:
        return Outcome.failed("the message is empty: give the parameter text")
    entry = InboxMessage(execID=command.execID, at=stamp(unit.utc()), text=text)
    await unit.world.executor.run(lambda: unit.folder.inbox.save(unit.folder.inbox.load().and_message(entry)))
    unit.tell(Kind.MESSAGE, f'message "{text}"', message=text)
    return Outcome.succeeded()


async def file_transfer(commands: Commands, command: Command) -> Outcome:
    """Fetch one file."""
    wanted = {name: command.parameters.get(name, "") for name in ("name", "sha256", "size")}
    try:
        order = msgspec.convert(wanted, FileOrder, strict=False)
    except msgspec.ValidationError as error:
        return Outcome.failed(f"parameters name, sha256 and size are needed: {error}")
    try:
        await fetch(commands.unit, order)
    except FileProblemError as problem:
        return Outcome.failed(str(problem))
    commands.unit.tell(Kind.FILE, f"file {order.name} installed", name=order.name, state="installed")
    return Outcome.succeeded(f"{order.name} stored")


async def device_command(commands: Commands, command: Command) -> Outcome:
    """Carry out a device-specific command."""
    name = command.parameters.get("name", "")
    if name not in DEVICE_COMMANDS or not behaves(commands.unit.firmware, Behaviour.DEVICE_COMMANDS):
        return Outcome.failed(f"unknown device command {name[:100]!r}")
    return Outcome.succeeded(DEVICE_COMMANDS[name])


async def wake_up(commands: Commands, command: Command) -> Outcome:
    """Send a magic packet for another device on this link: be a Wake-on-LAN proxy (WL4)."""
    unit, port = commands.unit, command.parameters.get("port", str(WAKE_PORT))
    try:
        mac = parse_mac(command.parameters.get("mac", ""))
    except InvalidValueError as error:
        return Outcome.failed(f"whom to wake? {error}")
    if not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or not 1 <= int(port) <= 65_535:
        return Outcome.failed(f"{port[:20]!r} is not a port")
    if not behaves(unit.firmware, Behaviour.WAKES_OTHERS) or not is_locally_administered(UnitId(mac)):
        return Outcome.failed(f"this device wakes nobody with the MAC address {mac}")
    why = ""
    for host in ("0.0.0.0", "127.0.0.1"):  # everybody on the link where that is allowed, else on this machine
        try:
            sent = await send_magic_packets(unit.world.network, mac, [everybody(host)], host=host, port=int(port))
        except (ListenError, TargetRefusedError) as error:
            return Outcome.failed(str(error))
        if sent.to:
            return Outcome.succeeded(f"magic packet sent to {sent.to[0]}")
        why = why or "; ".join(sent.failed.values())
    return Outcome.failed(why)


async def check_reenrolment(commands: Commands, command: Command) -> Outcome:
    """Look at the certificate, and renew it when that is due (X10); with force (simulated) in any case."""
    force = command.parameters.get("force", "")
    if force not in {"", TRUE}:
        return Outcome.failed(f"force is {TRUE}, or is left out")
    if not force and not commands.renewal_due():
        return Outcome.succeeded("the renewal is not due")
    try:
        pending: dict[str, bool | str] = {"replacing": commands.unit.folder.identity_serial()} if force else {}
    except CertificateError as error:
        return Outcome.failed(str(error))
    return Outcome(ResultState.SUCCESS, "the certificate is being renewed", renew=True, pending=pending)


ACTIONS: dict[CommandName, Callable[[Commands, Command], Awaitable[Outcome]]] = {
    CommandName.REBOOT: reboot,
    CommandName.SHUTDOWN: shutdown,
    CommandName.SUSPEND: suspend,
    CommandName.SETTINGS_TO_DEVICE: settings_to_device,
    CommandName.SETTINGS_FROM_DEVICE: settings_from_device,
    CommandName.FACTORY_RESET: factory_reset,
    CommandName.UPDATE: update,
    CommandName.UPDATE_ON_SHUTDOWN: update_on_shutdown,
    CommandName.REFRESH_SYSTEM_INFORMATION: refresh_system_information,
    CommandName.REFRESH_LICENCE: refresh_licence,
    CommandName.MESSAGE: message,
    CommandName.FILE_TRANSFER: file_transfer,
    CommandName.DEVICE_COMMAND: device_command,
    CommandName.WAKE_UP: wake_up,
    CommandName.CHECK_REENROLMENT: check_reenrolment,
}
