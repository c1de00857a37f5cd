# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.attributes."""

from __future__ import annotations

import json

import pytest

from umslab_protocol.wire.inventory import DeviceAttribute
from umslab_protocol.wire.messages import Ack, Error, PushDeviceAttributes
from umslab_server.attribute_rules import MAX_ATTRIBUTES, AttributeKind, AttributeView, WrittenBy
from umslab_server.attributes import Attributes
from umslab_server.errors import RefusedError

from .parts import Office, unit_id
from .test_attribute_rules import made
from .test_reports import Line, row


async def define(office: Office, *definitions: AttributeView) -> Attributes:
    """The service with these definitions."""
    attributes = Attributes(office.store)
    for one in definitions:
        await attributes.create(one, actor="anna")
    return attributes


def told(**values: str) -> list[DeviceAttribute]:
    """What a device pushes."""
    return [DeviceAttribute(identifier=identifier, value=value) for identifier, value in values.items()]


async def kept(office: Office) -> dict[str, str]:
    """What the registry has of the first device."""
    return {one["identifier"]: one["value"] for one in json.loads((await row(office))["attributes"])}


async def test_the_order(office: Office) -> None:
    """By position, equal ones as they were made; values are shown in the same order."""
    attributes = await define(office, made("c", position=2), made("a"), made("b"))
    await office.device(1)
    values = await attributes.write(unit_id(1), {"c": "1", "b": "2", "a": "3"}, actor="anna")

    assert ["a", "b", "c"] == [one.identifier for one in await attributes.list_attributes()] == list(values)
    assert {"a": "3", "b": "2", "c": "1"} == await kept(office)


async def test_who_may_write(office: Office) -> None:
    """The overwrite rule, from both sides; where both may, the last one counts; an empty value removes."""
    attributes = await define(
        office, made("ours", by=WrittenBy.UMS), made("its", by=WrittenBy.DEVICE), made("either", by=WrittenBy.BOTH)
    )
    await office.device(1)
    line = Line(office)
    await attributes.write(unit_id(1), {"ours": "1", "either": "1"}, actor="anna")
    assert isinstance(await line.say(PushDeviceAttributes, attributes=told(its="2", either="2")), Ack)
    assert {"ours": "1", "its": "2", "either": "2"} == await kept(office)
    with pytest.raises(RefusedError, match="'its' is written by: device"):
        await attributes.write(unit_id(1), {"its": "3"}, actor="anna")
    await attributes.write(unit_id(1), {"either": ""}, actor="anna")

    assert {"ours": "1", "its": "2"} == await kept(office)
    assert ["anna", "device", "anna"] == [one.actor for one in await office.events("device-attributes")]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"its": "1", "ours": "2"}, "the device attribute 'ours' is written by: ums"),
        ({"its": "1", "other": "2"}, "there is no device attribute 'other'"),
        ({"its": "one"}, "the device attribute 'its' is a number, such as -2.5, not 'one'"),
    ],
)
async def test_what_a_device_may_not_write(office: Office, values: dict[str, str], reason: str) -> None:
    """An error that says why, an event, and nothing of the message is kept."""
    await define(office, made("ours", by=WrittenBy.UMS), made("its", AttributeKind.NUMBER, by=WrittenBy.DEVICE))
    await office.device(1)
    answer = await Line(office).say(PushDeviceAttributes, attributes=told(**values))

    assert isinstance(answer, Error)
    assert ("refused", 1) == (answer.code, answer.re)
    assert reason in answer.message
    assert {} == await kept(office)
    (event,) = await office.events("device-attributes-refused")
    assert (unit_id(1), "device", answer.message) == (event.unit_id, event.actor, event.cause)


async def test_purged_meanwhile(office: Office) -> None:
    """What a device writes that was deleted a moment ago is forgotten."""
    await define(office, made("its"))
    await office.device(1)
    line = Line(office)
    await office.registry.purge(unit_id(1), actor="anna")

    assert isinstance(await line.say(PushDeviceAttributes, attributes=told(its="1")), Ack)
    assert [] == await office.events("device-attributes")


async def test_what_is_said_again_changes_nothing(office: Office) -> None:
    """One event, however often the device connects."""
    await define(office, made("its"))
    await office.device(1)
    for line in (Line(office), Line(office)):
        assert isinstance(await line.say(PushDeviceAttributes, attributes=told(its="1")), Ack)

    assert 1 == len(await office.events("device-attributes"))


async def test_delete(office: Office) -> None:
    """The definition goes with its values."""
    attributes = await define(office, made("one"), made("two"))
    await office.device(1)
    await office.device(2)
    await attributes.write(unit_id(1), {"one": "1", "two": "2"}, actor="anna")

    assert 1 == await attributes.delete("one", actor="anna")
    assert {"two": "2"} == await kept(office)
    with pytest.raises(RefusedError, match="no device attribute 'one'"):
        await attributes.delete("one", actor="anna")


async def test_only_once(office: Office) -> None:
    """An identifier names one attribute; a definition that makes no sense is none."""
    attributes = await define(office, made("one"))
    for bad in (made("one"), made("two", AttributeKind.RANGE)):
        with pytest.raises(RefusedError, match=r"already|a range needs"):
            await attributes.create(bad, actor="anna")


async def test_not_without_end(office: Office) -> None:
    """As many as one message can carry."""
    attributes = await define(office, *(made(f"a{number}") for number in range(MAX_ATTRIBUTES)))
    with pytest.raises(RefusedError, match="200 device attributes, which is the most"):
        await attributes.create(made("more"), actor="anna")
