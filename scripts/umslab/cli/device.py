# SPDX-License-Identifier: Apache-2.0
"""Run one simulated IGEL OS 12 device against a UMS.

It fetches the CA certificates, checks them with the communication token, enrols with the first-authentication key and
holds its management session until Ctrl-C, doing what the UMS tells it: settings, apps, files, commands. A second start
on the same state folder reconnects without enrolling. Without HOST it finds its UMS as IGEL OS does: by what it has
stored, by DHCP or by DNS (and, simulated, by mDNS with --mdns); without a key it then registers automatically where
the UMS lets it. --behaviour says how long things take and what happens by itself.

Examples:
    umslab device localhost --auth-key KEY --token TOKEN
    umslab device localhost:8443 --auth-key-file - --token TOKEN --structure-tag HQ < key.txt
    umslab device localhost --once --json
    umslab device localhost --behaviour laptop.toml
    umslab device --nameserver 127.0.0.1:5353 --search-domain lab.example
    umslab device --mdns
    umslab device --dhcp-lease /var/lib/dhcp/dhclient.leases --sources stored,dhcp43,dhcp224
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import trio
import typer

from umslab import exit_codes, logs, settings
from umslab.cli.output import (
    DEFAULT_STATE,
    SETTINGS,
    JsonOption,
    StateOption,
    UserError,
    help_text,
    print_json_line,
    run_async,
)
from umslab.dhcp.samples import UnreadableError, is_path, read_file, read_samples
from umslab.one_device import DeviceOptions, Finding, load_persona, make_device, open_world
from umslab.printable import printable
from umslab.protocol_dump import ProtocolDump
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.device import Change, Device
from umslab_agent.discovery import DEFAULT_SOURCES, Source, parse_sources
from umslab_agent.errors import DeviceFolderError
from umslab_agent.folder import DeviceFolder
from umslab_agent.happenings import Happening, Kind
from umslab_agent.onboarding import World
from umslab_agent.trust import TrustMode
from umslab_certs.chain import load_pem_certificates
from umslab_certs.errors import CertificateError
from umslab_certs.files import read_limited
from umslab_certs.keys import KeyType
from umslab_protocol.machines.device_life import RetryPolicy, State
from umslab_protocol.values.auth_key import parse_auth_key
from umslab_protocol.values.failure import Failure, Reason
from umslab_protocol.values.fingerprint import CommunicationToken, Fingerprint
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, FirmwareVersion
from umslab_protocol.values.host_port import HostPort, parse_host_port
from umslab_protocol.values.structure_tag import parse_structure_tag
from umslab_protocol.values.unit_id import parse_unit_id
from umslab_protocol.wire.dhcp_options import Option
from umslab_protocol.wire.mdns import parse_own_address
from umslab_runtime.dns import parse_nameserver, parse_search_domain

_MAX_KEY_FILE_BYTES = 4096
GOOD_ENDS = {None, State.OFF, State.FACTORY}
"""Stopped by the user, or by a command of the UMS: shut down, reset to factory defaults."""


app = typer.Typer(**SETTINGS)


@app.command(help=help_text(__doc__))
def device(
    target: Annotated[str, typer.Argument(metavar="[HOST[:PORT]]", help="The UMS, as devices see it.")] = "",
    *,
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
        str, typer.Option(metavar="FILE|HEX", help="What DHCP told the device: as umslab dhcp decode reads it.")
    ] = "",
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
    firmware: Annotated[
        str,
        typer.Option(metavar="12.x.y", help=f"Firmware, decides behaviour (default {DEFAULT_FIRMWARE})."),
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
        named = _target(target, server)
        finding = _finding(named, sources, dhcp_lease, nameserver or [], search_domain or [], mdns=_mdns(mdns, mdns_on))
        options = DeviceOptions(
            target=named,
            finding=finding,
            trust_mode=_trust_mode(token, ca_hash, public_roots, first_use=trust_first_use),
            auth_key=_auth_key(auth_key, auth_key_file),
            firmware=FirmwareVersion.parse(firmware) if firmware else None,
            unit_id=parse_unit_id(unit_id) if unit_id else None,
            structure_tag=parse_structure_tag(structure_tag),
            key_type=key_type,
            policy=RetryPolicy(onboarding=retry, connection=not once),
            behaviour=settings.load(DeviceBehaviour, file=behaviour, environment={}, flags=[]),
        )
        with folder.locked(), ExitStack() as stack:
            tap = stack.enter_context(ProtocolDump(protocol_dump)) if protocol_dump else None
            surroundings = partial(open_world, owned_hosts=i_own or [], session_codec=session_codec, tap=tap)
            surroundings = partial(surroundings, finding=finding)
            if finding is None:
                _refuse_trusting_nobody(folder, options.trust_mode)
            persona = load_persona(folder, options)
            watcher = Watcher(options.target, persona.unit_id, as_json=as_json, once=once)
            ended = run_async(
                _run, surroundings, partial(make_device, folder=folder, persona=persona, options=options), watcher
            )
    except (DeviceFolderError, CertificateError) as error:
        raise UserError(str(error)) from None
    except (ValueError, settings.SettingsError) as error:
        raise UserError(str(error), exit_codes.USAGE) from None
    except OSError as error:
        raise UserError(f"{error.filename or folder.path}: {error.strerror or error}") from None
    raise SystemExit(exit_codes.OK if ended in GOOD_ENDS else exit_codes.FAILED)


async def _run(
    surroundings: Callable[[], AbstractAsyncContextManager[World]], make: Callable[..., Device], watcher: Watcher
) -> State | None:
    """Run until the end of the device's life (returned), or until it is to stop (None)."""
    ended: State | None = None
    async with surroundings() as world, trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, watcher, nursery.cancel_scope)
        watcher.stop = nursery.cancel_scope.cancel
        ended = await make(world, on_change=watcher.changed, on_happening=watcher.happened).run()
        nursery.cancel_scope.cancel()
    return ended


async def _stop_on_signal(watcher: Watcher, scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            watcher.say("stopping")
            scope.cancel()


class Watcher:
    """Tells the user what happens to the device: a line a change, for people or machines."""

    def __init__(self, target: HostPort | None, unit_id: str, *, as_json: bool, once: bool) -> None:
        self._given = target is not None
        self._target = "the UMS" if target is None else str(target)
        self._unit_id = unit_id
        self._as_json = as_json
        self._once = once
        self._last: Change | None = None
        self.stop: Callable[[], None] = lambda: None

    def changed(self, change: Change) -> None:
        """Tell a change once; with `--once`, stop when the device is managed."""
        if change != self._last:
            self._last = change
            if self._as_json:
                print_json_line(self._as_object(change))
            else:
                self.say(self._sentence(change))
                failed = change.state in {State.WAITING, State.FAILED, State.RELEASED}
                if change.failure is not None and failed and not _is_asked_to_wait(change):
                    print(explain_failure(change.failure), file=sys.stderr, flush=True)
        if self._once and change.managed:
            self.stop()

    def happened(self, happening: Happening) -> None:
        """Tell what happened on the device; with `--once`, nothing after it was managed."""
        if self._once and self._last is not None and self._last.managed:
            return
        if self._as_json:
            about = {"version": 1, "unit_id": self._unit_id, "event": str(happening.kind), "text": happening.text}
            print_json_line({**about, "data": happening.data})
        elif happening.kind is not Kind.BOOTED:
            self.say(printable(happening.text))

    def say(self, text: str) -> None:
        """Print one line for people."""
        if not self._as_json:
            print(f"{self._unit_id}  {text}", flush=True)

    def _sentence(self, change: Change) -> str:
        match change.state:
            case State.TRUSTING:
                return f"fetching the CA certificates of {self._target}"
            case State.PREPARING:
                return "root pinned; making a key and a certificate request"
            case State.ENROLLING:
                return "enrolling with the first-authentication key" if self._given else "enrolling"
            case State.CONNECTING:
                return f"connecting to {self._target}"
            case State.ONLINE:
                return "managed" if change.managed else "online"
            case State.WAITING:
                wait = f"in {change.wait or 0:.1f} s"
                return f"not approved yet; asking again {wait}" if _is_asked_to_wait(change) else f"trying again {wait}"
            case State.REBOOTING:
                return f"rebooting; back in {change.wait or 0:.0f} s"
            case State.SUSPENDED | State.OFF | State.FACTORY:
                after = "" if change.wait is None else f"; back in {change.wait:.0f} s"
                return f"{_AWAY[change.state]}{after}"
            case _:
                return str(change.state)

    def _as_object(self, change: Change) -> dict[str, Any]:
        failed = change.state in {State.WAITING, State.FAILED, State.RELEASED}
        return {
            "version": 1,
            "unit_id": self._unit_id,
            "state": str(change.state),
            "managed": change.managed,
            "wait": change.wait,
            "failure": describe_failure(change.failure) if failed and change.failure else None,
        }


def _is_asked_to_wait(change: Change) -> bool:
    """Whether the UMS has not said yes or no to the enrolment: no failure."""
    reason = None if change.failure is None else change.failure.reason
    return change.state is State.WAITING and reason is Reason.AWAITING_APPROVAL


_AWAY = {State.SUSPENDED: "suspended", State.OFF: "shut down", State.FACTORY: "reset to factory defaults"}


def describe_failure(failure: Failure) -> dict[str, Any]:
    """A failure for machines."""
    return {
        "phase": str(failure.phase),
        "reason": str(failure.reason),
        "detail": failure.detail,
        "hint": failure.hint,
        "vendor_code": failure.vendor_code,
        "vendor_code_confidence": None if failure.confidence is None else str(failure.confidence),
    }


def explain_failure(failure: Failure) -> str:
    """A failure for people: phase, reason, hint and the vendor's code."""
    lines = [f"  phase    {failure.phase}", f"  reason   {failure.reason}: {printable(failure.detail)}"]
    if failure.hint:
        lines.append(f"  hint     {failure.hint}")
    if failure.vendor_code is not None:
        lines.append(f"  IGEL     error code {failure.vendor_code} ({failure.confidence})")
    return "\n".join(lines)


def _target(positional: str, option: str) -> HostPort | None:
    if positional and option:
        raise UserError("name the UMS once: umslab device HOST[:PORT]", exit_codes.USAGE)
    return parse_host_port(positional or option) if positional or option else None


def _finding(
    target: HostPort | None,
    sources: str,
    lease: str,
    nameservers: list[str],
    search: list[str],
    *,
    mdns: tuple[str, ...] | None,
) -> Finding | None:
    """With HOST nothing is looked for, unless the user says by which sources."""
    if target is not None and not sources:
        if lease or nameservers or search or mdns is not None:
            raise UserError("HOST says where the UMS is: with --sources it is one of several ways", exit_codes.USAGE)
        return None
    order = parse_sources(sources) if sources else DEFAULT_SOURCES
    if mdns is not None and Source.MDNS not in order:
        raise UserError("--mdns is asked for, and --sources leaves it out", exit_codes.USAGE)
    return Finding(
        sources=order,
        lease=_lease(lease) if lease else None,
        nameservers=tuple(map(parse_nameserver, nameservers)),
        search=tuple(map(parse_search_domain, search)),
        mdns=mdns is not None or (bool(sources) and Source.MDNS in order),
        mdns_on=mdns or (),
    )


def _mdns(asked: bool, named: list[str] | None) -> tuple[str, ...] | None:  # noqa: FBT001 - a flag of the user
    """None: not asked for; else the addresses that the user named."""
    return tuple(map(parse_own_address, named or [])) if asked or named else None


def _lease(what: str) -> tuple[Option, ...]:
    try:
        data = read_file(Path(what)) if is_path(what) else what.encode("utf-8", "surrogateescape")
        found = read_samples(data).found
    except UnreadableError as error:
        raise UserError(str(error), exit_codes.USAGE) from None
    if not found:
        raise UserError("--dhcp-lease holds no options of a lease", exit_codes.USAGE)
    return found[0].options


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
