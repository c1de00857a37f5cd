# SPDX-License-Identifier: Apache-2.0
"""Whatever OS 11 devices say: a verdict, a registry that holds only what was taken, and no file without a ticket."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.protocol.machines.os11_pair import REGISTER
from tests.server.parts import EPOCH, HERE, Office, open_office, peer, unit_id
from umslab_certs.chain import to_pem
from umslab_certs.device_communication import make_self_signed
from umslab_certs.keys import KeyType
from umslab_protocol.machines.os11_server import RegistrationAsked
from umslab_protocol.values.device_key import DeviceKey
from umslab_protocol.values.unit_id import MacAddress
from umslab_protocol.wire.basic_auth import format_basic
from umslab_protocol.wire.os11_proof import make_file_ticket
from umslab_runtime.executor import InlineExecutor
from umslab_runtime.http import Request
from umslab_server.accounts import Accounts
from umslab_server.automatic import Automatic
from umslab_server.configuration.naming import Naming
from umslab_server.enrolment import KnownDevice
from umslab_server.os11.contacts import ContactRefused
from umslab_server.os11.registration import Registration, Taken
from umslab_server.os11.tickets import Tickets
from umslab_server.sessions import NotAdmitted
from umslab_server.throttle import Throttle, ThrottleRules

if TYPE_CHECKING:
    from pathlib import Path

PEM = to_pem([make_self_signed(KeyType.P256, now=EPOCH)[0]]).decode()
DIGEST = "0" * 64

_texts = st.one_of(st.text(max_size=40), st.sampled_from(["", "/", "/a/b", "é\0", "x" * 255, "ann", "\ud800"]))
_wishes = st.fixed_dictionaries(
    {"certificate": st.one_of(st.just(PEM), st.just(PEM * 2), st.just(PEM[:200]), _texts)},
    optional=dict.fromkeys(("name", "structureTag", "directory", "token"), _texts),
)
_requests = st.tuples(st.integers(1, 3), st.binary(min_size=32, max_size=32), _wishes)


def asked(number: int, key: bytes, wishes: dict[str, Any]) -> RegistrationAsked:
    """What the machine tells of a registration."""
    device_key = DeviceKey(key)
    hello = msgspec.structs.replace(REGISTER.hello, unitID=unit_id(number))
    values = {"user": "", "password": "", **wishes}
    register = msgspec.structs.replace(REGISTER, hello=hello, key=device_key.text, **values)
    return RegistrationAsked(hello, unit_id(number), MacAddress(unit_id(number)), device_key, register)


def registration(office: Office, *, enabled: bool) -> Registration:
    """The service on an office."""
    throttle = Throttle(ThrottleRules())
    return Registration(
        office.store,
        office.reach,
        throttle,
        accounts=Accounts(office.store, InlineExecutor()),
        automatic=Automatic(office.store, throttle, enabled=enabled, clock=office.clock),
        naming=Naming(),
        known_device=KnownDevice.ACCEPT,
        clock=office.clock,
    )


@pytest.mark.parametrize("enabled", [True, False])
@given(requests=st.lists(_requests, max_size=12))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_registrations(
    tmp_path_factory: pytest.TempPathFactory, *, enabled: bool, requests: list[tuple[int, bytes, dict[str, Any]]]
) -> None:
    """Each gets a verdict; who was taken is there with a key that works, and nobody else is there."""
    trio.run(_register, tmp_path_factory.mktemp("office"), enabled, requests)


async def _register(path: Path, enabled: bool, requests: list[tuple[int, bytes, dict[str, Any]]]) -> None:  # noqa: FBT001 - by trio.run
    taken: set[str] = set()
    async with open_office(path) as office:
        service = registration(office, enabled=enabled)
        for number, key, wishes in requests:
            verdict = await service.register(asked(number, key, wishes), HERE)
            assert isinstance(verdict, Taken | ContactRefused)
            if isinstance(verdict, Taken):
                taken.add(unit_id(number))
        assert enabled or not taken
        assert taken == {one.unit_id for one in await office.registry.list_devices()}


_passwords = st.one_of(
    st.text(max_size=90),
    st.tuples(st.integers(-1, 2**40), st.text("0123456789abcdef", min_size=60, max_size=68)).map(
        lambda pair: f"{pair[0]}:{pair[1]}"
    ),
)
_headers = st.one_of(
    st.text(max_size=60),
    st.binary(max_size=60).map(lambda data: "Basic " + base64.b64encode(data).decode()),
    st.tuples(st.sampled_from([unit_id(1), unit_id(2), "x"]), _passwords).map(
        lambda pair: format_basic(*pair) if pair[1].isprintable() else ""
    ),
)


@given(given_headers=st.lists(_headers, max_size=20))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tickets(tmp_path_factory: pytest.TempPathFactory, given_headers: list[str]) -> None:
    """No header opens anything but the ticket of a registered device."""
    trio.run(_fetch, tmp_path_factory.mktemp("office"), given_headers)


async def _fetch(path: Path, given_headers: list[str]) -> None:
    async with open_office(path) as office:
        tickets = Tickets(office.store, clock=office.clock)
        await registration(office, enabled=True).register(asked(1, bytes(32), {"certificate": PEM}), HERE)
        for value in given_headers:
            request = Request("GET", "/x", "", [("authorization", value)], b"", peer(None))
            assert isinstance(await tickets.judge(request, DIGEST), NotAdmitted)
        expires = int(office.clock.utc().timestamp()) + 60
        good = format_basic(
            unit_id(1), f"{expires}:{make_file_ticket(DeviceKey(bytes(32)), unit_id(1), DIGEST, expires)}"
        )
        request = Request("GET", "/x", "", [("authorization", good)], b"", peer(None))
        assert await tickets.judge(request, DIGEST) == unit_id(1)
