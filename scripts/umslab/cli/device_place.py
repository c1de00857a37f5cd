# SPDX-License-Identifier: Apache-2.0
"""Where on the link a device of the command line is: found by scans, asked by online checks, woken up."""

from __future__ import annotations

from ipaddress import IPv4Address

from umslab import exit_codes
from umslab.cli.output import UserError
from umslab_agent.nearby import Whereabouts
from umslab_agent.os11.device import Os11Settings


def place_on_the_link(
    address: str, interface: str, probe_port: int, wake_port: int, os11: Os11Settings | None
) -> Whereabouts | None:
    """Return the place the user named, or where an OS 11 device is called; None: nobody finds it on the link.

    Raises `UserError`.
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
    return None
