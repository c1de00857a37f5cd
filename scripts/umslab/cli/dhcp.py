# SPDX-License-Identifier: Apache-2.0
"""What DHCP tells IGEL OS: write it for a server, or read what a device got. Needs neither root nor Linux.

Examples:
    umslab dhcp encode --server ums.lab.example --tag HQ --for dnsmasq
    umslab dhcp encode --server 192.0.2.10 --exclusive --for kea
    umslab dhcp decode 01:01:01:e0:0a:31:39:32:2e:30:2e:32:2e:31:30
    umslab dhcp decode /var/lib/dhcp/dhclient.leases --firmware 11.x
    umslab dhcp decode capture.pcapng --json
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from umslab import exit_codes
from umslab.cli.output import SETTINGS, JsonOption, UserError, help_text, print_json
from umslab.dhcp.configurations import Scope, ServerKind, Wanted, configuration
from umslab.dhcp.samples import MAX_INPUT_BYTES, Form, Samples, UnreadableError, read_file, read_samples
from umslab.dhcp.telling import document, parse_firmware, sentences
from umslab.printable import printable
from umslab_protocol.wire.igel_dhcp import ExtraCodes, interpret

app = typer.Typer(no_args_is_help=True, help=help_text(__doc__), **SETTINGS)

Code = Annotated[int | None, typer.Option(metavar="CODE", help="Code of this option of OS 12.7.2 (unpublished, D11).")]


@app.command()
def encode(
    *,
    server: Annotated[str, typer.Option(metavar="HOST", help="The UMS: a host name or an address.")],
    kind: Annotated[ServerKind, typer.Option("--for", help="Which DHCP server.")],
    tag: Annotated[str, typer.Option(metavar="TAG", help="Structure tag.")] = "",
    exclusive: Annotated[
        bool, typer.Option("--exclusive", help="Global options 224 and 226 do not count (D5).")
    ] = False,
    scope: Annotated[Scope, typer.Option(help="Options 224 and 226, option 43, or both.")] = Scope.BOTH,
) -> None:
    """Print the configuration of a DHCP server, or bytes, that let IGEL OS find its UMS."""
    print(configuration(Wanted(server, tag, exclusive=exclusive, scope=scope), kind), end="")


@app.command()
def decode(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="WHAT...",
            help="A lease file, a capture (pcap, pcapng), hexadecimal digits, or CODE=DIGITS; - is standard input.",
        ),
    ],
    *,
    firmware: Annotated[
        str, typer.Option(metavar="VERSION", help="IGEL OS: 12.x, 11.x, or such as 11.03.500.")
    ] = "12.x",
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
        from_file = what == ["-"] or _is_path(what[0])
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
    if len(what) == 1 and _is_path(what[0]):
        return read_file(Path(what[0]))
    return "\n".join(what).encode("utf-8", "surrogateescape")


def _is_path(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long for a name, or a NUL in it
        return False
