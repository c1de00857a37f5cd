# SPDX-License-Identifier: Apache-2.0
"""Where on the link a device of the command line is: found by scans, asked by online checks, woken up."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from umslab import exit_codes
from umslab.cli.output import UserError
from umslab_agent.discovery import Source
from umslab_agent.nearby import Whereabouts
from umslab_agent.os11.device import Os11Settings


def place_on_the_link(
    address: str,
    interface: str,
    probe_port: int,
    wake_port: int,
    os11: Os11Settings | None,
    *,
    sources: Sequence[Source] = (),
) -> Whereabouts | None:
    """Return the place the user named, or where an OS 11 device is called; None: nobody finds it on the link.

    Raises `UserError`, also when the device is to wait until it is found (O4) and nobody could find it.
    """
    if address:
        try:
            IPv4Address(address)
        except ValueError:
            raise UserError(f"--address: {address[:40]!r} is not an IPv4 address", exit_codes.USAGE) from None
        return Whereabouts(address=address, interface=interface, probe_port=probe_port, wake_port=wake_port)
    if interface:
        raise UserError("--interface belongs to --address", exit_codes.USAGE)
    if os11 is not None and os11.push_port:
        # Where it is called it is asked, too (N4); no magic packet wakes it, whose port needs root.
        return Whereabouts(address=os11.listen, probe_port=os11.push_port, wake_port=None)
    if Source.SCAN in sources:
        text = "the source scan waits until a UMS finds the device: say where, as in --address 127.3.0.7"
        raise UserError(text, exit_codes.USAGE)
    return None
