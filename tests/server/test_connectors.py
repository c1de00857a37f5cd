# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.connectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.messages import Connectors as ConnectorsMessage
from umslab_protocol.wire.orders import ConnectorType
from umslab_server import connectors as module
from umslab_server.config import ConnectorsConfig
from umslab_server.connectors import ConnectorError, Connectors

from .parts import Office, open_office, rendered_logs, unit_id
from .visits import Lead, Visit, lead_office, visit

if TYPE_CHECKING:
    from pathlib import Path

ICG = HostPort("icg.lab", 8443)


def told(one: Visit) -> list[list[tuple[str, str, int]]]:
    """The lists a device was sent."""
    return [
        [(str(entry.type), entry.host, entry.port) for entry in message.connectors]
        for message in one.heard(ConnectorsMessage)
    ]


@pytest.fixture
async def lead(office: Office, tmp_path: Path) -> Lead:
    """The services that lead the devices of the office."""
    return await lead_office(office, tmp_path)


class TestTheList:
    """Where devices are to go."""

    async def test_fresh_installation(self, office: Office, lead: Lead) -> None:
        """W4: its own name and real port, but nobody is told."""
        one = await visit(office)
        view = await lead.connectors.view()

        assert told(one) == []
        assert [(entry.host, entry.port, entry.origin) for entry in view.connectors] == [("ums.lab", 8443, "own name")]
        assert (view.sent, view.active, view.acknowledged) == (False, 1, 0)

    @pytest.mark.parametrize(
        ("addresses", "first"),
        [
            ({"cluster_address": "ums.corp:443", "public_address": "public.corp"}, ("ums.corp", 443)),
            ({"public_address": "public.corp"}, ("public.corp", 8443)),
            ({"cluster_address": "[2001:db8::1]:443"}, ("2001:db8::1", 443)),
        ],
    )
    async def test_configured(
        self, office: Office, tmp_path: Path, addresses: dict[str, str], first: tuple[str, int]
    ) -> None:
        """S4, S5: the cluster address before the public address before its own; devices are told at their hello."""
        await lead_office(office, tmp_path, **addresses)
        one = await visit(office)
        await one.acknowledge()
        before = told(one)
        await one.connect()

        assert before == [[("ums", *first)]]
        assert told(one) == []
        assert len(await office.events("connectors-acknowledged")) == 1

    async def test_enrolment_address(self, office: Office, tmp_path: Path) -> None:
        """S7: named beside the list, which is sent for it."""
        lead = await lead_office(office, tmp_path, enrolment_address="enrol.corp/est/")
        one = await visit(office)
        (message,) = one.heard(ConnectorsMessage)

        assert "enrol.corp:8443/est" == message.enrolment == (await lead.connectors.view()).enrolment
        assert told(one) == [[("ums", "ums.lab", 8443)]]

    async def test_no_names(self, office: Office) -> None:
        """Without a configured name it is localhost."""
        connectors = Connectors(office.store, office.presence, config=ConnectorsConfig(), names=[], clock=office.clock)
        await connectors.start(8443, chosen=True)

        assert [entry.host for entry in (await connectors.view()).connectors] == ["localhost"]

    @pytest.mark.parametrize("address", ["no address", "ums.corp:0", "ums.corp:x"])
    def test_bad_configuration(self, address: str) -> None:
        """What is no address is refused with the configuration."""
        with pytest.raises(InvalidValueError):
            ConnectorsConfig(cluster_address=address)


class TestChanges:
    """By hand."""

    async def test_added(self, office: Office, lead: Lead) -> None:
        """W5: connected devices are told at once, in order, with the type; others at their hello."""
        here, away = await visit(office, 1), await visit(office, 2)
        await away.leave()
        await lead.connectors.add(ConnectorType.ICG, ICG, actor="ann")
        view = await lead.connectors.add(ConnectorType.UNDEFINED, HostPort("other.lab", 9443), actor="ann")
        await here.acknowledge()
        await away.connect()
        complete = [("ums", "ums.lab", 8443), ("icg", "icg.lab", 8443), ("undefined", "other.lab", 9443)]

        assert told(here) == [complete[:2], complete]
        assert told(away) == [complete]
        assert [entry.origin for entry in view.connectors] == ["own name", "added", "added"]
        assert ((await lead.connectors.view()).acknowledged, view.acknowledged, view.sent) == (1, 0, True)
        assert [event.data["address"] for event in await office.events("connector-added")] == [
            "icg.lab:8443",
            "other.lab:9443",
        ]

    async def test_removed(self, office: Office, lead: Lead) -> None:
        """The last one removed: who holds a list gets the one without it, others still get nothing."""
        here, away = await visit(office, 1), await visit(office, 2)
        await lead.connectors.add(ConnectorType.ICG, ICG, actor="ann")
        await here.acknowledge()
        await away.acknowledge()
        await away.leave()
        await lead.connectors.remove(ICG, actor="ann")
        await away.connect()
        new = await visit(office, 3)

        assert told(here)[-1] == [("ums", "ums.lab", 8443)]
        assert told(away) == [[("ums", "ums.lab", 8443)]]
        assert told(new) == []
        assert len(await office.events("connector-removed")) == 1

    async def test_kept(self, tmp_path: Path) -> None:
        """They are there after a restart, and devices that hold the list are not told again."""
        async with open_office(tmp_path) as office:
            lead = await lead_office(office, tmp_path)
            await lead.connectors.add(ConnectorType.ICG, ICG, actor="ann")
            one = await visit(office)
            await one.acknowledge()
        async with open_office(tmp_path) as office:
            await lead_office(office, tmp_path)
            again = Visit(office, one.unit_id, one.certificate, connectors=one.connectors)
            await again.connect()

            assert told(again) == []

    async def test_cluster_address_that_was_added_by_hand(self, office: Office, tmp_path: Path) -> None:
        """It is in the list once."""
        lead = await lead_office(office, tmp_path)
        await lead.connectors.add(ConnectorType.UMS, HostPort("ums.corp", 8443), actor="ann")
        later = await lead_office(office, tmp_path, cluster_address="ums.corp")

        assert [entry.origin for entry in (await later.connectors.view()).connectors] == ["cluster address"]

    async def test_refusals(self, office: Office, lead: Lead, monkeypatch: pytest.MonkeyPatch) -> None:
        """Twice the same, the server's own, more than fit; what is not there cannot go."""
        own = HostPort("ums.lab", 8443)
        await lead.connectors.add(ConnectorType.ICG, ICG, actor="ann")
        for address, words in ((ICG, "already"), (own, "already: it is the own name")):
            with pytest.raises(ConnectorError, match=words):
                await lead.connectors.add(ConnectorType.UMS, address, actor="ann")
        for address, words in ((own, "change it in the configuration"), (HostPort("x.lab", 1), "is not in the list")):
            with pytest.raises(ConnectorError, match=words):
                await lead.connectors.remove(address, actor="ann")
        monkeypatch.setattr(module, "MAX_ADDED", 1)
        with pytest.raises(ConnectorError, match="at most 1"):
            await lead.connectors.add(ConnectorType.UMS, HostPort("x.lab", 1), actor="ann")

        assert len(await office.events("connector-added")) == 1


class TestWebPort:
    """T4: devices on board do not find a server that has another port."""

    async def start(
        self, tmp_path: Path, port: int, *, chosen: bool = True, **addresses: str
    ) -> tuple[str | None, int]:
        """Start on this port; return the warning and the number of events."""
        async with open_office(tmp_path) as office:
            with rendered_logs() as logs:
                lead = await lead_office(office, tmp_path, port=port, chosen=chosen, **addresses)
            warning = lead.connectors.warning()
            assert bool(logs) == (warning is not None)
            return warning, len(await office.events("web-port-changed"))

    async def register(self, tmp_path: Path, *numbers: int) -> None:
        """Bring devices on board; the last one is put into the bin."""
        async with open_office(tmp_path) as office:
            secret = await office.mass_key()
            for number in numbers:
                await office.device(number, secret=secret)
            await office.registry.delete(unit_id(numbers[-1]), actor="ann")

    async def test_changed(self, tmp_path: Path) -> None:
        """A warning with the number of devices that are lost; not again at the next start on the same port."""
        await self.start(tmp_path, 8443)
        await self.register(tmp_path, 1, 2, 3)
        warning, events = await self.start(tmp_path, 9443)
        again = await self.start(tmp_path, 9443)
        async with open_office(tmp_path) as office:
            (event,) = await office.events("web-port-changed")

        assert warning is not None
        assert "from 8443 to 9443" in warning
        assert "2 devices" in warning
        assert events == 1
        assert again == (None, 1)
        assert event.data == {"before": 8443, "now": 9443, "lost": 2}

    async def test_nobody_on_board(self, tmp_path: Path) -> None:
        """Then nobody is lost."""
        await self.start(tmp_path, 8443)

        assert await self.start(tmp_path, 9443) == (None, 0)

    async def test_cluster_address(self, tmp_path: Path) -> None:
        """Devices know that address instead."""
        await self.start(tmp_path, 8443)
        await self.register(tmp_path, 1, 2)

        assert await self.start(tmp_path, 9443, cluster_address="ums.corp") == (None, 0)

    async def test_any_port(self, tmp_path: Path) -> None:
        """A port that differs at every start is not compared."""
        await self.start(tmp_path, 8443)
        await self.register(tmp_path, 1, 2)

        assert await self.start(tmp_path, 40_001, chosen=False) == (None, 0)
        assert await self.start(tmp_path, 8443) == (None, 0)
