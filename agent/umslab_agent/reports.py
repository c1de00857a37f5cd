# SPDX-License-Identifier: Apache-2.0
"""What a device tells by itself while it is connected, and tells again after a reconnect until it is acknowledged.

Log-ons (section 5.3 of the facts) and asset events (11.4) are told when they happen, those of a time without a session
at the next one; states of apps and files whenever they changed.
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING

from umslab_agent import inventory
from umslab_protocol.wire.messages import PushAppStatus, PushAssetEvents, PushFileStatus, PushLogonEvents

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from umslab_agent.kept import Installed
    from umslab_agent.unit import Unit
    from umslab_protocol.wire.messages import Message

MOST_EVENTS = 200
"""In one message; of more, the last ones."""
_HORIZON = timedelta(days=1)
"""How far ahead the next event is looked for."""

Report = tuple["Callable[[int], Message]", "Callable[[], None]"]
"""A message to be made with an id, and what to do when it was acknowledged."""


class Topic(Enum):
    """What there is to tell."""

    APPS = auto()
    FILES = auto()
    LOG_ONS = auto()
    ASSETS = auto()


class Reports:
    """The reports of one device."""

    __slots__ = ("_changes", "_log_ons_wanted", "_on_way", "_told", "_told_until", "_unit")

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._changes: dict[Topic, int] = {}
        """How often apps and files have changed."""
        self._told: dict[Topic, int] = {}
        """Up to which change that was acknowledged."""
        self._on_way: dict[Topic, int] = {}
        """Up to which change it is told in this session."""
        self._told_until: dict[Topic, datetime] = {}
        self._log_ons_wanted = False

    def begin_boot(self, installed: Installed) -> None:
        """The device has booted: what happened before is not told any more, the states of apps and files are."""
        self._changes = {Topic.APPS: bool(installed.apps), Topic.FILES: bool(installed.files)}
        self._told.clear()
        self._on_way.clear()
        self._told_until.clear()
        self._log_ons_wanted = self._unit.parameters.log_authentication

    def begin_session(self) -> None:
        """A new session: what an old one did not acknowledge is told again."""
        self._on_way.clear()

    def changed(self, topic: Topic) -> None:
        """Apps or files have another state than the server knows."""
        self._changes[topic] = self._changes.get(topic, 0) + 1

    def due(self) -> list[Report]:
        """Return what is to be said now and is not on its way. Raises `DeviceFolderError` for damaged files."""
        found = [self._states(Topic.FILES), self._states(Topic.APPS), self._log_ons(), self._assets()]
        return [report for report in found if report is not None]

    def next_at(self) -> datetime | None:
        """When to look again; None while nothing can happen by itself."""
        unit, now = self._unit, self._unit.utc()
        parameters, behaviour = unit.parameters, unit.behaviour
        moments: list[datetime] = []
        if parameters.log_authentication and behaviour.log_ons_per_day:
            ahead = inventory.log_ons(unit.seed, behaviour.log_ons_per_day, now, now + _HORIZON)
            moments.append(ahead[0][0] if ahead else now + _HORIZON)
        if parameters.assets and behaviour.assets_per_day:
            delay = timedelta(seconds=parameters.asset_delay)
            if Topic.ASSETS not in self._told_until and Topic.ASSETS not in self._on_way:
                moments.append(max(unit.booted_at + delay, now))
            assets = inventory.asset_events(unit.seed, behaviour.assets_per_day, now - delay, now + _HORIZON)
            moments.append((assets[0][0] if assets else now + _HORIZON) + delay)
        return min(moments, default=None)

    def _states(self, topic: Topic) -> Report | None:
        change = self._changes.get(topic, 0)
        if change <= max(self._told.get(topic, 0), self._on_way.get(topic, 0)):
            return None
        installed = self._unit.folder.installed.load()
        self._on_way[topic] = change

        def acknowledged() -> None:
            self._told[topic] = change

        if topic is Topic.APPS:
            return (lambda message_id: PushAppStatus(id=message_id, apps=installed.apps)), acknowledged
        return (lambda message_id: PushFileStatus(id=message_id, files=installed.files)), acknowledged

    def _log_ons(self) -> Report | None:
        unit, until = self._unit, self._unit.utc()
        was_wanted, self._log_ons_wanted = self._log_ons_wanted, unit.parameters.log_authentication
        if not was_wanted:
            self._told_until[Topic.LOG_ONS] = until  # what nobody wanted to know is not told later either
        if not self._log_ons_wanted:
            return None
        since = self._told_until.get(Topic.LOG_ONS, unit.booted_at)
        found = inventory.log_ons(unit.seed, unit.behaviour.log_ons_per_day, since, until)
        events = [event for _, event in found[-MOST_EVENTS:]]
        if not events or Topic.LOG_ONS in self._on_way:
            return None
        return (lambda message_id: PushLogonEvents(id=message_id, events=events)), self._until(Topic.LOG_ONS, until)

    def _assets(self) -> Report | None:
        unit = self._unit
        if not (unit.parameters.assets and unit.behaviour.assets_per_day):
            return None
        until = unit.utc() - timedelta(seconds=unit.parameters.asset_delay)
        since = self._told_until.get(Topic.ASSETS)
        per_day = unit.behaviour.assets_per_day
        found = inventory.asset_events(unit.seed, per_day, since or unit.booted_at, until)
        if since is None and until >= unit.booted_at:
            found = [*inventory.assets_at_boot(per_day, unit.booted_at), *found]
        events = [event for _, event in found[-MOST_EVENTS:]]
        if not events or Topic.ASSETS in self._on_way:
            return None
        return (lambda message_id: PushAssetEvents(id=message_id, events=events)), self._until(Topic.ASSETS, until)

    def _until(self, topic: Topic, until: datetime) -> Callable[[], None]:
        self._on_way[topic] = 1

        def acknowledged() -> None:
            self._told_until[topic] = until
            self._on_way.pop(topic, None)

        return acknowledged
