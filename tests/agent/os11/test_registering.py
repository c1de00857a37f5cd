# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.os11.registering."""

from __future__ import annotations

from tests.support.greeting import hello
from tests.support.lab import EPOCH
from umslab_agent.os11.registering import Wish, make_register
from umslab_agent.persona import derive_persona
from umslab_certs.device_communication import make_self_signed, read_pin
from umslab_certs.keys import KeyType
from umslab_protocol.values.device_key import DeviceKey
from umslab_protocol.values.firmware import DEFAULT_OS11_FIRMWARE
from umslab_protocol.wire.os11 import decode_greeting, encode_greeting


def test_what_is_said() -> None:
    """Everything the user gave, and what the server needs; it can be read again; secrets do not show."""
    persona = derive_persona(1, 2, firmware=DEFAULT_OS11_FIRMWARE, structure_tag="HQ")
    certificate, _ = make_self_signed(KeyType.P256, now=EPOCH)
    wish = Wish(user="ann", password="secret", name="K1", directory="/hall")
    register = make_register(persona, hello(persona.unit_id), DeviceKey(bytes(32)), certificate, wish, push_port=31_005)

    assert register == decode_greeting(encode_greeting(register))
    assert certificate == read_pin(register.certificate)
    assert (persona.mac, "HQ", 31_005) == (register.mac, register.structureTag, register.pushPort)
    assert ("ann", "secret", "K1", "/hall") == (register.user, register.password, register.name, register.directory)
    assert "secret" not in repr(wish) + repr(register)
