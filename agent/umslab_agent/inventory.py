# SPDX-License-Identifier: Apache-2.0
"""What a simulated device has and what happens on it: pure functions of seed, boot number and time.

Provenance: the kinds of things are documented (11.3 network adapters, 11.4 asset events, 15.4 details and log-ons);
the things themselves are made up.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from umslab_protocol.wire.inventory import (
    Asset,
    AssetChange,
    AssetEvent,
    DeviceInfo,
    Licence,
    LogonEvent,
    NetworkAdapter,
    Runtime,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from umslab_agent.persona import Persona

DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_USERS = ("a.weber", "b.rossi", "c.novak", "d.jensen", "e.moreau")
_THINGS = (
    Asset(assetName="umslab keyboard", assetVendor="umslab", deviceId="1209:0001"),
    Asset(assetName="umslab mouse", assetVendor="umslab", deviceId="1209:0002"),
    Asset(assetName="umslab memory stick", assetVendor="umslab", deviceId="1209:0003"),
    Asset(assetName="umslab headset", assetVendor="umslab", deviceId="1209:0004"),
    Asset(assetName="umslab camera", assetVendor="umslab", deviceId="1209:0005"),
)
_MONITORS = ("M22 (simulated)", "M24 (simulated)", "M27 (simulated)", "M32 (simulated)")
_LICENCE = "Workspace Edition (simulated)"
_LONGEST_USE = timedelta(hours=10)


def device_info(
    persona: Persona, seed: str, *, structure_tag: str, booted_at: datetime, now: datetime, changes_per_day: float
) -> DeviceInfo:
    """Return all the device says about itself (L1)."""
    chance = _chance(seed, "hardware")
    adapters = [NetworkAdapter(type="lan", mac=persona.mac, name="enp1s0", state="up")]
    if chance.getrandbits(1):
        mac = f"06{chance.getrandbits(40):010X}"
        adapters.append(NetworkAdapter(type="wlan", mac=mac, name="wlp2s0", state="down"))
    info = persona.device_info()
    monitor = _chance(seed, "monitor", _changes_until(seed, now, changes_per_day)).choice(_MONITORS)
    return msgspec.structs.replace(
        info,
        umsStructuralTag=structure_tag or info.umsStructuralTag,
        networkAdapters=adapters,
        monitorVendor1="umslab",
        monitorModel1=monitor,
        lastBoottime=booted_at.strftime("%Y-%m-%d %H:%M"),
    )


def next_info_change(seed: str, now: datetime, changes_per_day: float) -> datetime | None:
    """When something about the device changes next."""
    if changes_per_day <= 0:
        return None
    number = _changes_until(seed, now, changes_per_day) + 1
    days = (number - _chance(seed, "phase").random()) / changes_per_day
    return _EPOCH + timedelta(days=days, seconds=1)


def runtime(seed: str, *, boot: int, booted_at: datetime, now: datetime, battery: bool) -> Runtime:
    """Return what changes all the time; the totals are those since the boot."""
    up = max(timedelta(), now - booted_at)
    used = up * _chance(seed, "use", boot).uniform(0.3, 0.9)
    level = -1
    if battery:  # five hours down to 20 per cent, one hour up again
        hours = ((now - _EPOCH) / timedelta(hours=1) + _chance(seed, "battery").random() * 6) % 6
        level = round(100 - hours * 16) if hours < 5 else round(20 + (hours - 5) * 80)
    return Runtime(totalUptime=_milliseconds(up), totalUsagetime=_milliseconds(used), batteryLevel=level)


def licences(seed: str, now: datetime, state: str) -> list[Licence]:
    """Return the licences on the device: one, which is `valid`, has `expired` before this year, or is `missing`."""
    if state == "missing":
        return [Licence(name=_LICENCE, state=state)]
    year = now.year + 1 if state == "valid" else now.year - 1
    until = datetime(year, 1, 1, tzinfo=UTC) + DAY * _chance(seed, "licence").randrange(360)
    return [Licence(name=_LICENCE, state=state, validUntil=until.strftime("%Y-%m-%d"))]


def log_ons(seed: str, per_day: float, after: datetime, until: datetime) -> list[tuple[datetime, LogonEvent]]:
    """Return who logged on or off in (after, until], in order."""
    found: list[tuple[datetime, LogonEvent]] = []
    for at, length, chance in _visits(seed, "log-ons", per_day, after, until):
        user, over = chance.choice(_USERS), at + length
        if after < at <= until:
            found.append((at, LogonEvent(username=user, logintime=_stamp(at), logontype="swp")))
        if after < over <= until:
            event = LogonEvent(username=user, logintime=_stamp(at), logofftime=_stamp(over), logontype="swp")
            found.append((over, event))
    return sorted(found, key=lambda entry: entry[0])


def assets_at_boot(per_day: float, booted_at: datetime) -> list[tuple[datetime, AssetEvent]]:
    """Return what is plugged in when the device boots."""
    if per_day <= 0:
        return []
    return [(booted_at, _asset_event(AssetChange.ADD_ON_BOOT, booted_at, thing)) for thing in _THINGS[:2]]


def asset_events(seed: str, per_day: float, after: datetime, until: datetime) -> list[tuple[datetime, AssetEvent]]:
    """Return what was plugged in or pulled out in (after, until], in order."""
    found: list[tuple[datetime, AssetEvent]] = []
    for at, length, chance in _visits(seed, "assets", per_day, after, until):
        thing, over = chance.choice(_THINGS[2:]), at + length
        if after < at <= until:
            found.append((at, _asset_event(AssetChange.ADD, at, thing)))
        if after < over <= until:
            found.append((over, _asset_event(AssetChange.REMOVE, over, thing)))
    return sorted(found, key=lambda entry: entry[0])


def _visits(
    seed: str, what: str, per_day: float, after: datetime, until: datetime
) -> Iterator[tuple[datetime, timedelta, random.Random]]:
    """All the things of one kind that begin or may end between two times: begin, length, their own chance."""
    if per_day <= 0:
        return
    first, last = ((moment - _EPOCH) // DAY for moment in (after - _LONGEST_USE, until))
    for day in range(first, last + 1):
        chance = _chance(seed, what, day)
        count = int(per_day) + (chance.random() < per_day % 1)
        for _ in range(count):
            at = _EPOCH + DAY * day + timedelta(milliseconds=chance.randrange(86_400_000))
            yield at, timedelta(seconds=chance.uniform(60, _LONGEST_USE.total_seconds())), chance


def _changes_until(seed: str, now: datetime, per_day: float) -> int:
    return int((now - _EPOCH) / DAY * per_day + _chance(seed, "phase").random())


def _asset_event(kind: AssetChange, at: datetime, asset: Asset) -> AssetEvent:
    return AssetEvent(event=kind, eventTimeStamp=(at - _EPOCH) // timedelta(milliseconds=1), asset=asset)


def _chance(seed: str, *what: object) -> random.Random:
    return random.Random(f"umslab {seed} {what}")  # noqa: S311 - repeatable, not secret


def _milliseconds(length: timedelta) -> str:
    return str(length // timedelta(milliseconds=1))


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03d}"
