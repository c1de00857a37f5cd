# SPDX-License-Identifier: Apache-2.0
"""What a device brings from its key, its row in an import file and the naming convention (A10, B5, U9)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.server.parts import Endpoint, Office, unit_id
from umslab_protocol.values.auth_key import KeyKind
from umslab_server.configuration.naming import Naming
from umslab_server.configuration.profiles import ProfileKind
from umslab_server.configuration.reconcile import When
from umslab_server.enrolment import Enrolment, KnownDevice
from umslab_server.errors import RefusedError
from umslab_server.importing import read_csv
from umslab_server.tables import assignment
from umslab_server.throttle import Throttle, ThrottleRules

if TYPE_CHECKING:
    from .plant import Plant

LONG = "{directory};{unit_id};;;{name};;;;;;;{profiles};\n"


def line(number: int, directory: str = "/", *, name: str = "", profiles: str = "") -> str:
    """A row of an import file."""
    return LONG.format(directory=directory, unit_id=unit_id(number), name=name, profiles=profiles)


async def bring(plant: Plant, text: str) -> tuple[int, list[str]]:
    """Import a file."""
    return await plant.registry.import_devices(read_csv(text.encode()), actor="ann")


async def test_imported_into_directories(plant: Plant) -> None:
    """A10: directories are made where they are missing, and profiles assigned in their order."""
    for name in ("p", "q"):
        await plant.profiles.create(name, ProfileKind.PROFILE, {"x": name}, actor="ann")
    text = line(1, "/Bremen/Hall 1", profiles="2,1,!2,2") + line(2, "/Bremen") + line(3) + f"{unit_id(4)};n;FW;1\n"
    added = await bring(plant, text)
    again = await bring(plant, line(1, "/Elsewhere") + line(5))

    assert ((4, []), (1, [unit_id(1)])) == (added, again)
    assert ["/Bremen/Hall 1", "/Bremen", "/", "/"] == [await plant.where(number) for number in (1, 2, 3, 4)]
    assert ["/", "/Bremen", "/Bremen/Hall 1"] == [one.path for one in await plant.directories.list_directories()]
    assert [("q", 1), ("p", 2)] == [
        (one.object, one.position) for one in await plant.assignments.of_receiver(unit_id(1))
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (line(1, profiles="7"), "profile 7"),
        (line(1, profiles="x"), "line 1.*'x' is not the number of a profile"),
        (line(1, "/" + "x" * 101), "directory's name"),
        (line(1, "/x" * 40), "32 deep"),
    ],
)
async def test_refused_whole(plant: Plant, text: str, why: str) -> None:
    """A row that cannot be leaves nothing of the file behind."""
    with pytest.raises(RefusedError, match=why):
        await bring(plant, line(2, "/new") + text if "line" not in why else text)

    assert [] == await plant.registry.list_devices()
    assert ["/"] == [one.path for one in await plant.directories.list_directories()]


async def test_lists(plant: Plant) -> None:
    """By directory with all below it, and by what is pending."""
    await plant.managed(1)
    await plant.register(2)
    await bring(plant, line(3, "/a/b"))
    await plant.profiles.edit("global", {"x": "1"}, actor="ann", when=When.REBOOT)
    pending = await plant.registry.list_devices(pending=True)

    assert [unit_id(1)] == [one.unit_id for one in pending]
    assert ("PENDING", "reboot", 2, 1) == (
        pending[0].config_changes, pending[0].settings_when, pending[0].settings_version, pending[0].applied_version,
    )  # fmt: skip
    assert [unit_id(3)] == [one.unit_id for one in await plant.registry.list_devices(directory="/a")]
    assert [unit_id(2), unit_id(3)] == [one.unit_id for one in await plant.registry.list_devices(pending=False)]


async def test_purged_with_its_assignments(plant: Plant) -> None:
    """Nothing of a device stays that another one could inherit."""
    await plant.register(1)
    await plant.fill(1, "own", x="1")
    await plant.registry.purge(unit_id(1), actor="ann")
    rows = await plant.store.read(lambda connection: connection.execute(assignment.select()).all())

    assert [] == list(rows)


async def test_who_onboarded_it(office: Office) -> None:
    """B5: the key says who onboards with it; the device keeps it, and people can put it right."""
    (key,) = await office.keys.create(KeyKind.ONE_TIME, onboards="ann@example.com", role="admin", actor="bob")
    await office.enrol(Endpoint(1), key.secret or "")
    shown = await office.registry.show(unit_id(1))
    await office.registry.edit(unit_id(1), {"onboarding_role": "user"}, actor="bob")
    await office.enrol(Endpoint(1), await office.mass_key())
    kept = await office.registry.show(unit_id(1))

    assert ("ann@example.com", "admin") == (key.onboards, key.role)
    assert ("ann@example.com", "admin") == (shown.onboarded_by, shown.onboarding_role)
    assert ("ann@example.com", "user") == (kept.onboarded_by, kept.onboarding_role)
    for onboards, role, label in (("x\n", "", ""), ("", "x" * 256, ""), ("", "", "\0")):
        with pytest.raises(RefusedError, match="printable text"):
            await office.keys.create(KeyKind.ONE_TIME, onboards=onboards, role=role, label=label, actor="bob")


async def test_names_by_convention(office: Office) -> None:
    """Section 9: at registration, once; a name that a person gave before stays."""
    office.enrolment = Enrolment(
        office.store,
        office.reach,
        Throttle(ThrottleRules()),
        authority=lambda: office.authority,
        clock=office.clock,
        lifetime=timedelta(days=1),
        known_device=KnownDevice.ACCEPT,
        accept_expired=False,
        naming=Naming("TC-", 3),
    )
    rows = read_csv((line(2, name="Reception") + line(3)).encode())
    await office.registry.import_devices(rows, actor="ann")
    secret = await office.mass_key()
    for number in (1, 2, 3, 1):
        endpoint = Endpoint(number)
        await office.enrol(endpoint, secret)

    assert ["TC-001", "Reception", "TC-002"] == [one.name for one in await office.registry.list_devices()]
