# SPDX-License-Identifier: Apache-2.0
"""Run one simulated IGEL OS 12 or OS 11 device against a UMS.

It fetches the CA certificates, checks them with the communication token, enrols with the first-authentication key and
holds its management session until Ctrl-C, doing what the UMS tells it: settings, apps, files, commands. A second start
on the same state folder reconnects without enrolling. Without HOST it finds its UMS as IGEL OS does: by what it has
stored, by DHCP or by DNS (and, simulated, by mDNS with --mdns); without a key it then registers automatically where
the UMS lets it. --behaviour says how long things take and what happens by itself.

With --os 11 it registers at TCP 30001 instead, with a user of the UMS or without, keeps the certificate it sees there
as its pin, contacts the UMS at boot and listens on TCP 30005 for its calls (docs/os11.md).

Examples:
    umslab device localhost --auth-key KEY --token TOKEN
    umslab device localhost:8443 --auth-key-file - --token TOKEN --structure-tag HQ < key.txt
    umslab device localhost --once --json
    umslab device localhost --enrol-at localhost:9443/.well-known/est --auth-key KEY --token TOKEN
    umslab device localhost --behaviour laptop.toml
    umslab device localhost --address 127.3.0.7 --wake-port 4009
    umslab device --address 127.3.0.7 --wake-port 4009 --sources stored,scan
    umslab device --nameserver 127.0.0.1:5353 --search-domain lab.example
    umslab device --mdns
    umslab device --dhcp-lease /var/lib/dhcp/dhclient.leases --sources stored,dhcp43,dhcp224
    ip netns exec umslab-lab umslab device --dhcp-interface eth0 --i-own 10.77.0.1
    umslab device localhost --os 11 --register-user admin --register-password-file prompt
    umslab device localhost:30001 --os 11 --listen 127.3.0.7 --once --json
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import trio
import typer

from umslab import exit_codes, logs, settings
from umslab.cli.device_finding import finding_of, own_mdns
from umslab.cli.device_place import place_on_the_link
from umslab.cli.os11_options import choose_firmware, os11_settings, refuse_the_other_generations
from umslab.cli.output import (
    DEFAULT_STATE,
    SETTINGS,
    JsonOption,
    StateOption,
    UserError,
    help_text,
    run_async,
)
from umslab.cli.watching import Watcher
from umslab.dhcp.own_lease import parse_own_lease
from umslab.one_device import DeviceOptions, load_persona, make_device, open_world
from umslab.protocol_dump import ProtocolDump
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.discovery import DEFAULT_SOURCES
from umslab_agent.errors import DeviceFolderError
from umslab_agent.folder import DeviceFolder
from umslab_agent.living import LivingDevice
from umslab_agent.nearby import Whereabouts, open_nearby
from umslab_agent.onboarding import World
from umslab_agent.trust import TrustMode
from umslab_certs.chain import load_pem_certificates
from umslab_certs.errors import CertificateError
from umslab_certs.files import read_limited
from umslab_certs.keys import KeyType
from umslab_protocol.machines.device_life import State
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.auth_key import parse_auth_key
from umslab_protocol.values.est_address import EstAddress, parse_est_address
from umslab_protocol.values.fingerprint import CommunicationToken, Fingerprint
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, DEFAULT_OS11_FIRMWARE, FirmwareVersion
from umslab_protocol.values.host_port import DEFAULT_WEB_PORT, DEVICE_COMMUNICATION_PORT, HostPort, parse_host_port
from umslab_protocol.values.structure_tag import parse_structure_tag
from umslab_protocol.values.unit_id import parse_unit_id
from umslab_protocol.wire.igel_dhcp import ExtraCodes
from umslab_protocol.wire.magic_packet import WAKE_PORT
from umslab_protocol.wire.probes import PROBE_PORT
from umslab_runtime.dhcp_runner import PATIENCE_SECONDS
from umslab_runtime.network import ListenError
from umslab_runtime.policy import TargetRefusedError

_MAX_KEY_FILE_BYTES = 4096
GOOD_ENDS = {None, State.OFF, State.FACTORY}
"""Stopped by the user, or by a command of the UMS: shut down, reset to factory defaults."""


app = typer.Typer(**SETTINGS)
Code = Annotated[int | None, typer.Option(metavar="CODE", help="DHCP option code of OS 12.7.2 (unpublished, D11).")]


@app.command(help=help_text(__doc__))
def device(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="[HOST[:PORT]]", help="The UMS, as devices see it.")] = "",
    *,
    enrol_at: Annotated[
        str, typer.Option(metavar="HOST[:PORT][/PREFIX]", help="Enrol here; HOST is for the session then.")
    ] = "",
    server: Annotated[str, typer.Option(metavar="HOST[:PORT]", help="The same as HOST.")] = "",
    auth_key: Annotated[
        str,
        typer.Option("--auth-key", "--key", metavar="KEY", envvar="UMSLAB_AUTH_KEY", help="First-authentication key."),
    ] = "",
    auth_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read the key from a file; - is standard input.")
    ] = None,
    token: Annotated[str, typer.Option(metavar="TOKEN", help="Communication token of the UMS.")] = "",
    ca_hash: Annotated[str, typer.Option(metavar="SHA256", help="Whole fingerprint of the web root instead.")] = "",
    trust_first_use: Annotated[bool, typer.Option(help="Pin whatever root answers first: for tests only.")] = False,
    public_roots: Annotated[
        Path | None, typer.Option(metavar="PEM", help="The firmware's built-in public CAs; none without it.")
    ] = None,
    structure_tag: Annotated[str, typer.Option(metavar="TAG", help="Structure tag.")] = "",
    sources: Annotated[
        str, typer.Option(metavar="LIST", help=f"How to find the UMS, in order (default {','.join(DEFAULT_SOURCES)}).")
    ] = "",
    dhcp_lease: Annotated[
        str,
        typer.Option(
            metavar="FILE|HEX|auto",
            help="What DHCP told somebody before, as umslab dhcp decode reads it; auto: a client of this machine.",
        ),
    ] = "",
    dhcp_interface: Annotated[
        str, typer.Option(metavar="IF", help="Lease by itself, on this interface of a network namespace.")
    ] = "",
    dhcp_relay: Annotated[
        str, typer.Option(metavar="SERVER", help="Lease by itself from this server, as a relay would.")
    ] = "",
    dhcp_giaddr: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address of this machine, for --dhcp-relay.")
    ] = "",
    dhcp_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long to wait for DHCP at each boot.")
    ] = PATIENCE_SECONDS,
    static: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Static addressing: ask DHCP for options only (INFORM).")
    ] = "",
    static_fallback: Annotated[str, typer.Option(metavar="ADDRESS", help="The same when DHCP gives no address.")] = "",
    port_code: Code = None,
    auth_code: Code = None,
    ca_hash_code: Code = None,
    nameserver: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDR[:PORT]", help="Ask this name server, which is mine; may be repeated."),
    ] = None,
    search_domain: Annotated[
        list[str] | None, typer.Option(metavar="D", help="Look for igelrmserver below this domain; may be repeated.")
    ] = None,
    mdns: Annotated[bool, typer.Option("--mdns", help="Search by mDNS too (umslab serve --mdns announces).")] = False,
    mdns_on: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDR", help="Search from this address of the machine, whose network is mine."),
    ] = None,
    os: Annotated[int | None, typer.Option("--os", metavar="11|12", help="Generation (default 12).")] = None,
    firmware: Annotated[
        str,
        typer.Option(
            metavar="VERSION",
            help=f"Firmware, decides behaviour (default {DEFAULT_FIRMWARE}, OS 11: {DEFAULT_OS11_FIRMWARE}).",
        ),
    ] = "",
    register_user: Annotated[
        str, typer.Option(metavar="USER", help="OS 11: register with this user of the UMS (A9).")
    ] = "",
    register_password_file: Annotated[
        str, typer.Option(metavar="FILE|prompt", help="OS 11: the user's password; - is standard input.")
    ] = "",
    register_name: Annotated[str, typer.Option(metavar="NAME", help="OS 11: the name to ask for (A9).")] = "",
    register_directory: Annotated[str, typer.Option(metavar="PATH", help="OS 11: the directory to ask for (A9).")] = "",
    push_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, metavar="PORT", help="OS 11: listen here (default 30005; 0 any free one)."),
    ] = None,
    listen: Annotated[
        str, typer.Option(metavar="ADDRESS", help="OS 11: listen on this address of mine (default 127.0.0.1).")
    ] = "",
    unit_id: Annotated[str, typer.Option(metavar="ID", help="Unit ID; default: a locally administered one.")] = "",
    key_type: Annotated[KeyType, typer.Option(help="Device key; real devices use rsa-4096.")] = KeyType.P256,
    state: StateOption = None,
    behaviour: Annotated[
        Path | None, typer.Option(metavar="FILE", help="How the device behaves, as TOML (docs/device.md).")
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Stop when the device is managed, or at the first failure (202 is none)."),
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Before enrolment too, try again when the reason may pass by itself.")
    ] = False,
    address: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Come from here, be found here by scans, and woken up (UDP 30005 and 9)."),
    ] = "",
    interface: Annotated[
        str, typer.Option(metavar="IF", help="Hear broadcasts on this interface too; with --address.")
    ] = "",
    probe_port: Annotated[int, typer.Option(min=0, max=65_535, help="Instead of UDP 30005.")] = PROBE_PORT,
    wake_port: Annotated[int, typer.Option(min=0, max=65_535, help="Instead of UDP 9, which needs root.")] = WAKE_PORT,
    i_own: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="This host outside the machine is mine to test; may be repeated."),
    ] = None,
    protocol_dump: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what was sent and received, secrets masked.")
    ] = None,
    session_codec: Annotated[str, typer.Option(metavar="NAME", help="Message format: json, or a plug-in.")] = "json",
    as_json: JsonOption = False,
) -> None:
    """Run one simulated device."""
    logs.configure(as_json=as_json, level="warning")
    folder = DeviceFolder((state or DEFAULT_STATE).absolute() / "device")
    try:
        known = folder.load_persona()
        version = choose_firmware(os, firmware, None if known is None else known.firmware)
        generation = (version or FirmwareVersion.parse(known.firmware if known else str(DEFAULT_FIRMWARE))).major
        refuse_the_other_generations(context, generation)
        named = _target(target, server, DEVICE_COMMUNICATION_PORT if generation == 11 else DEFAULT_WEB_PORT)
        extra = ExtraCodes(port=port_code, auth_key=auth_code, ca_hash=ca_hash_code)
        own_lease = parse_own_lease(
            dhcp_interface, dhcp_relay, dhcp_giaddr,
            static=static, fallback=static_fallback, patience=dhcp_timeout, extra=extra,
        )  # fmt: skip
        finding = finding_of(
            named, sources, dhcp_lease, nameserver or [], search_domain or [],
            own_lease=own_lease, extra=extra, mdns=own_mdns(asked=mdns, named=mdns_on),
        )  # fmt: skip
        options = DeviceOptions(
            target=named,
            enrol_at=_enrol_at(enrol_at, named),
            finding=finding,
            trust_mode=_trust_mode(token, ca_hash, public_roots, first_use=trust_first_use),
            auth_key=_auth_key(auth_key, auth_key_file) if generation == 12 else None,
            firmware=version,
            unit_id=parse_unit_id(unit_id) if unit_id else None,
            structure_tag=parse_structure_tag(structure_tag),
            key_type=key_type,
            policy=RetryPolicy(onboarding=retry, connection=not once),
            behaviour=settings.load(DeviceBehaviour, file=behaviour, environment={}, flags=[]),
            os11=os11_settings(
                key_type,
                user=register_user,
                password_file=register_password_file,
                name=register_name,
                directory=register_directory,
                push_port=push_port,
                listen=listen or address,
            )
            if generation == 11
            else None,
        )
        order = () if finding is None else finding.sources
        where = place_on_the_link(address, interface, probe_port, wake_port, options.os11, sources=order)
        with folder.locked(), ExitStack() as stack:
            tap = stack.enter_context(ProtocolDump(protocol_dump)) if protocol_dump else None
            surroundings = partial(open_world, owned_hosts=i_own or [], session_codec=session_codec, tap=tap)
            surroundings = partial(surroundings, finding=finding, source=address)
            if finding is None and options.os11 is None:
                _refuse_trusting_nobody(folder, options.trust_mode)
            persona = load_persona(folder, options)
            watcher = Watcher(options.target, persona.unit_id, as_json=as_json, once=once)
            make = partial(make_device, folder=folder, persona=persona, options=options)
            ended = run_async(partial(_run, checked=generation == 11), surroundings, make, watcher, where)
    except (DeviceFolderError, CertificateError, ListenError, TargetRefusedError) as error:
        raise UserError(str(error)) from None
    except (ValueError, settings.SettingsError) as error:
        raise UserError(str(error), exit_codes.USAGE) from None
    except OSError as error:
        raise UserError(f"{error.filename or folder.path}: {error.strerror or error}") from None
    raise SystemExit(exit_codes.OK if ended in GOOD_ENDS else exit_codes.FAILED)


async def _run(
    surroundings: Callable[[], AbstractAsyncContextManager[World]],
    make: Callable[..., LivingDevice],
    watcher: Watcher,
    where: Whereabouts | None,
    *,
    checked: bool,
) -> State | None:
    """Run until the end of the device's life (returned), or until it is to stop (None)."""
    ended: State | None = None
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(surroundings())
        nearby = (
            None
            if where is None
            else await stack.enter_async_context(open_nearby(world.network, where, checked=checked))
        )
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(_stop_on_signal, watcher, nursery.cancel_scope)
        watcher.stop = nursery.cancel_scope.cancel
        device = make(world, on_change=watcher.changed, on_happening=watcher.happened, nearby=nearby)
        ended = await device.run()
        nursery.cancel_scope.cancel()
    return ended


async def _stop_on_signal(watcher: Watcher, scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            watcher.say("stopping")
            scope.cancel()


def _target(positional: str, option: str, port: int) -> HostPort | None:
    if positional and option:
        raise UserError("name the UMS once: umslab device HOST[:PORT]", exit_codes.USAGE)
    return parse_host_port(positional or option, port) if positional or option else None


def _enrol_at(text: str, target: HostPort | None) -> EstAddress | None:
    if text and target is None:
        raise UserError("--enrol-at says where to enrol: name the UMS for the session too, as HOST", exit_codes.USAGE)
    return parse_est_address(text) if text else None


def _trust_mode(token: str, ca_hash: str, public_roots: Path | None, *, first_use: bool) -> TrustMode:
    roots = load_pem_certificates(read_limited(public_roots), str(public_roots)) if public_roots else []
    return TrustMode(
        token=CommunicationToken.parse(token) if token else None,
        ca_hash=Fingerprint.parse(ca_hash) if ca_hash else None,
        first_use=first_use,
        public_roots=roots,
    )


def _refuse_trusting_nobody(folder: DeviceFolder, mode: TrustMode) -> None:
    vouched = mode.token or mode.ca_hash or mode.first_use or mode.public_roots
    if not vouched and not folder.load_trust()[0]:
        raise UserError(
            "a new device must know whom to trust: give --token (the UMS shows it), --ca-hash or --trust-first-use",
            exit_codes.USAGE,
        )


def _auth_key(text: str, file: Path | None) -> str | None:
    if file is None:
        return parse_auth_key(text) if text else None
    if str(file) == "-":
        return parse_auth_key(sys.stdin.read(_MAX_KEY_FILE_BYTES).strip())
    return parse_auth_key(read_limited(file, _MAX_KEY_FILE_BYTES).decode("utf-8", "replace").strip())
