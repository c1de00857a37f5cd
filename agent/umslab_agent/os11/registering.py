# SPDX-License-Identifier: Apache-2.0
"""What an OS 11 device says to be registered (facts A1, A9, K8, G8-G10).

It names a UMS user, or comes without one because it was imported, or because the UMS takes in whoever comes.
Provenance: user, password, structure tag, name and directory are what the documented registration tool asks for; the
message is SIMULATED (wire/os11.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from umslab_certs.chain import to_pem
from umslab_protocol.wire.os11 import Register

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from umslab_agent.persona import Persona
    from umslab_protocol.values.device_key import DeviceKey
    from umslab_protocol.wire.messages import Hello


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user gave for the registration; empty texts are not sent."""

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    """Instead of a user: what came with the order to register (A6)."""
    name: str = ""
    """The name it would like to have; counts only with a user, as the next one."""
    directory: str = ""


def make_register(
    persona: Persona, hello: Hello, key: DeviceKey, certificate: Certificate, wish: Wish, *, push_port: int
) -> Register:
    """Write the message."""
    return Register(
        hello=hello,
        mac=persona.mac,
        key=key.text,
        certificate=to_pem([certificate]).decode("ascii"),
        pushPort=push_port,
        user=wish.user,
        password=wish.password,
        token=wish.token,
        name=wish.name,
        structureTag=persona.structure_tag,
        directory=wish.directory,
    )
