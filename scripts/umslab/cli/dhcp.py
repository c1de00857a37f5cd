# SPDX-License-Identifier: Apache-2.0
"""What DHCP tells IGEL OS: write it for a server, read what a device got, or ask a server as a device would.

Only `lease` needs a network: inside a network namespace, or through a relay on loopback or to a server you own.

Examples:
    umslab dhcp encode --server ums.lab.example --tag HQ --for dnsmasq
    umslab dhcp encode --server 192.0.2.10 --exclusive --for kea
    umslab dhcp decode 01:01:01:e0:0a:31:39:32:2e:30:2e:32:2e:31:30
    umslab dhcp decode /var/lib/dhcp/dhclient.leases --firmware 11.x
    umslab dhcp decode capture.pcapng --json
    umslab dhcp leases
    ip netns exec umslab-lab umslab dhcp lease --interface eth0
    ip netns exec umslab-lab umslab dhcp lease --interface eth0 --static 10.77.0.9
    umslab dhcp lease --relay 127.0.0.1 --giaddr 127.0.0.2 --clients 100
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from umslab import exit_codes
from umslab.cli.output import SETTINGS, JsonOption, UserError, help_text, print_json, run_async
from umslab.dhcp.configurations import Scope, ServerKind, Wanted, configuration
from umslab.dhcp.found_leases import find_leases
from umslab.dhcp.lease_report import all_well, event_line, lease_document, progress_line, report
from umslab.dhcp.leasing import Leased, LeasePlan, Leasing
from umslab.dhcp.samples import MAX_INPUT_BYTES, Form, Samples, UnreadableError, is_path, read_file, read_samples
from umslab.dhcp.telling import document, parse_firmware, sentences
from umslab.dhcp.ways import parse_address, parse_own_address, parse_way
from umslab.printable import printable
from umslab_protocol.values.unit_id import parse_mac
from umslab_protocol.wire.igel_dhcp import ExtraCodes, interpret
from umslab_runtime.dhcp_runner import AT_ONCE, PATIENCE_SECONDS
from umslab_runtime.network import ListenError
from umslab_runtime.policy import TargetRefusedError
from umslab_runtime.udp import DatagramError

app = typer.Typer(no_args_is_help=True, help=help_text(__doc__), **SETTINGS)

Firmware = Annotated[str, typer.Option(metavar="VERSION", help="IGEL OS: 12.x, 11.x, or such as 11.03.500.")]
Code = Annotated[int | None, typer.Option(metavar="CODE", help="Code of this option of OS 12.7.2 (unpublished, D11).")]


def _examples(*lines: str) -> str:
    """The end of a verb's help."""
    return "\b\nExamples:\n" + "\n".join(f"    {line}" for line in lines)


@app.command(
    epilog=_examples(
        "umslab dhcp encode --server ums.lab.example --tag HQ --for dnsmasq",
        "umslab dhcp encode --server 192.0.2.10 --exclusive --for kea --json",
        "umslab dhcp encode --server 192.0.2.10 --scope vendor --for hex",
    )
)
def encode(
    *,
    server: Annotated[str, typer.Option(metavar="HOST", help="The UMS: a host name or an address.")],
    kind: Annotated[ServerKind, typer.Option("--for", help="Which DHCP server.")],
    tag: Annotated[str, typer.Option(metavar="TAG", help="Structure tag.")] = "",
    exclusive: Annotated[
        bool, typer.Option("--exclusive", help="Global options 224 and 226 do not count (D5).")
    ] = False,
    scope: Annotated[Scope, typer.Option(help="Options 224 and 226, option 43, or both.")] = Scope.BOTH,
    as_json: JsonOption = False,
) -> None:
    """Print the configuration of a DHCP server, or bytes, that let IGEL OS find its UMS."""
    text = configuration(Wanted(server, tag, exclusive=exclusive, scope=scope), kind)
    if as_json:
        print_json("encoded", {"for": kind, "configuration": text})
    else:
        print(text, end="")


@app.command(
    epilog=_examples(
        "umslab dhcp decode 01:01:01:e0:0a:31:39:32:2e:30:2e:32:2e:31:30",
        "umslab dhcp decode '224=\"ums.example\"' 43=e0:03:75:6d:73 --firmware 11.x",
        "umslab dhcp decode /var/lib/dhcp/dhclient.leases --json",
        "umslab dhcp decode capture.pcapng",
    )
)
def decode(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="WHAT...",
            help="A lease file, a capture (pcap, pcapng), hexadecimal digits, or CODE=DIGITS; - is standard input.",
        ),
    ],
    *,
    firmware: Firmware = "12.x",
    form: Annotated[Form, typer.Option("--as", help="What hexadecimal digits are.")] = Form.AUTO,
    port_code: Code = None,
    auth_code: Code = None,
    ca_hash_code: Code = None,
    as_json: JsonOption = False,
) -> None:
    """Say what IGEL OS of a firmware makes of DHCP options."""
    version = parse_firmware(firmware)
    extra = ExtraCodes(port=port_code, auth_key=auth_code, ca_hash=ca_hash_code)
    try:
        samples = read_samples(_given(what), form)
    except UnreadableError as error:
        from_file = what == ["-"] or is_path(what[0])
        raise UserError(str(error), exit_codes.ERROR if from_file else exit_codes.USAGE) from None
    views = [(sample, interpret(sample.options, version, extra)) for sample in samples.found]
    if as_json:
        found = [document(sample, view) for sample, view in views]
        malformed = {str(problem): count for problem, count in samples.malformed.items()}
        print_json("dhcp", {"found": found, "notes": samples.notes, "malformed": malformed})
        return
    for sample, view in views:
        first, *rest = sentences(sample, view)
        print(printable(first), *(f"  {printable(text)}" for text in rest), sep="\n")
    _print_notes(samples)


@app.command(
    epilog=_examples(
        "ip netns exec umslab-lab umslab dhcp lease --interface eth0",
        "ip netns exec umslab-lab umslab dhcp lease --interface eth0 --hold",
        "umslab dhcp lease --relay 127.0.0.1 --giaddr 127.0.0.2 --clients 100 --json",
    )
)
def lease(
    *,
    interface: Annotated[str, typer.Option(metavar="IF", help="Ask on this interface of a network namespace.")] = "",
    relay: Annotated[str, typer.Option(metavar="SERVER", help="Ask this server as a relay would.")] = "",
    giaddr: Annotated[str, typer.Option(metavar="ADDRESS", help="Address of this machine, for --relay.")] = "",
    clients: Annotated[int, typer.Option(metavar="N", help="How many clients.")] = 1,
    mac: Annotated[str, typer.Option(metavar="MAC", help="Of the first client, 02...; default: chance.")] = "",
    firmware: Firmware = "12.x",
    previous: Annotated[str, typer.Option(metavar="ADDRESS", help="First ask for this address, as after a boot.")] = "",
    static: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The first client has this address and asks for options only.")
    ] = "",
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="Patience of each client.")] = PATIENCE_SECONDS,
    at_once: Annotated[int, typer.Option(metavar="N", help="Clients that ask at the same time.")] = AT_ONCE,
    hold: Annotated[bool, typer.Option("--hold", help="Keep and renew the leases until Ctrl-C.")] = False,
    i_own: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="This server outside the machine is mine to test; may be repeated."),
    ] = None,
    port_code: Code = None,
    auth_code: Code = None,
    ca_hash_code: Code = None,
    as_json: JsonOption = False,
) -> None:
    """Lease as simulated devices, say what IGEL OS makes of it, and give the addresses back (at Ctrl-C too)."""
    if timeout <= 0 or at_once < 1:
        raise UserError("--timeout and --at-once must be greater than 0", exit_codes.USAGE)
    if static and (previous or hold):
        raise UserError("--static leases nothing: there is nothing to --hold and no --previous", exit_codes.USAGE)
    plan = LeasePlan(
        firmware=parse_firmware(firmware),
        mac=parse_mac(mac) if mac else None,
        clients=clients,
        way=parse_way(interface, relay, giaddr),
        extra=ExtraCodes(port=port_code, auth_key=auth_code, ca_hash=ca_hash_code),
        previous=parse_address("--previous", previous) if previous else None,
        static=parse_own_address("--static", static) if static else None,
        patience=timeout,
        at_once=at_once,
        hold=hold,
        owned=frozenset(parse_address("--i-own", one) for one in i_own or []),
    )
    leased = _lease(plan, as_json=as_json)
    if as_json:
        print_json("lease", lease_document(plan, leased))
    else:
        print(*map(printable, report(plan, leased)), sep="\n")
    raise SystemExit(exit_codes.OK if all_well(leased) else exit_codes.FAILED)


def _lease(plan: LeasePlan, *, as_json: bool) -> Leased:
    quiet = as_json or not plan.hold
    leasing = Leasing(
        plan,
        on_event=lambda seat, event: None if quiet else print(printable(event_line(seat, event)), flush=True),
        on_progress=lambda runner: None if as_json else print(progress_line(runner), file=sys.stderr, flush=True),
    )
    try:
        return run_async(leasing.run)
    except (ListenError, TargetRefusedError, DatagramError) as error:
        raise UserError(str(error)) from None


@app.command(epilog=_examples("umslab dhcp leases", "umslab dhcp leases --under /mnt --firmware 11.03.500 --json"))
def leases(
    *,
    under: Annotated[Path, typer.Option(metavar="DIR", help="Look below this folder, such as a mounted disk.")] = Path(
        "/"
    ),
    firmware: Firmware = "12.x",
    as_json: JsonOption = False,
) -> None:
    """Show the leases that dhclient, systemd-networkd and NetworkManager left here, and what IGEL OS makes of them."""
    version = parse_firmware(firmware)
    if not under.is_dir():
        raise UserError(f"{under} is no folder")
    result = find_leases(under)
    views = [(path, sample, interpret(sample.options, version)) for path, sample in result.found]
    if as_json:
        found = [{"path": str(path), **document(sample, view)} for path, sample, view in views]
        print_json("leases", {"found": found, "problems": result.problems})
        return
    for path, sample, view in views:
        first, *rest = sentences(sample, view)
        print(printable(f"{path}: {first}"), *(f"  {printable(text)}" for text in rest), sep="\n")
    for problem in result.problems:
        print(printable(f"Not read: {problem}."))
    if not views:
        print("No client of this machine left a lease where umslab looks for it.")


def _print_notes(samples: Samples) -> None:
    for note in samples.notes:
        print(printable(note))


def _given(what: list[str]) -> bytes:
    """The bytes of a file or of standard input, or the arguments themselves."""
    if what == ["-"]:
        data = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
        if len(data) > MAX_INPUT_BYTES:
            raise UserError(f"more than {MAX_INPUT_BYTES >> 20} MiB on standard input", exit_codes.USAGE)
        return data
    if len(what) == 1 and is_path(what[0]):
        return read_file(Path(what[0]))
    return "\n".join(what).encode("utf-8", "surrogateescape")
