# SPDX-License-Identifier: Apache-2.0
"""The parameters of the device's registry that change what this device does, with their documented defaults.

Provenance: names, defaults and first versions are documented (W7, W9, W10, L5, L6, AI3; sections 5.3 and 6.2 of the
facts), but for the words before `notify_user_on_rm_problem`, which are those of its neighbours.
A parameter that the settings do not name has its default; one whose value cannot be read has it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.machines.device_life import MAX_RELEASE_DELAY, RELEASE_DELAY
from umslab_protocol.values.firmware import Behaviour, FirmwareVersion, behaves
from umslab_protocol.values.structure_tag import parse_structure_tag

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_TIMEOUT = "system.remotemanager.connect_timeout"
RELEASE = "system.remotemanager.release_delay"
RANKING = "system.remotemanager.connectorranking"
LOG_AUTHENTICATION = "system.remotemanager.log_authentication"
ASSETS = "system.remotemanager.ait.enable"
ASSET_DELAY = "system.remotemanager.ait.delay"
STRUCTURE_TAG = "system.remotemanager.ums_structure_tag"
IGELRMSERVER = "system.remotemanager.igelrmserver.as_fallback"
NOTIFY_USER = "system.remotemanager.notify_user_on_rm_problem"

VERIFY_PEER = "system.security.remote_management.tls_verify_peer"
VERIFY_NAME = "system.security.remote_management.tls_hostname_validation"
"""OS 11 keeps and tells these two (G13); what it accepts is decided by its pin, whatever they say."""

DEFAULT_CONNECT_TIMEOUT = 45.0  # W10
MAX_CONNECT_TIMEOUT = 3_600.0
DEFAULT_ASSET_DELAY = 6.0  # AI3
MAX_ASSET_DELAY = 3_600.0


def _since(behaviour: Behaviour) -> str:
    return str(behaviour.since)


@dataclass(frozen=True, slots=True)
class Known:
    """A parameter that this device obeys, for people; `docs/device.md` prints this table."""

    name: str
    default: str
    since: str
    """The first firmware that reads it."""
    meaning: str
    fact: str


class Ranking(StrEnum):
    """Which connectors are asked first (W7); the words for the two preferences are ours."""

    NONE = "no preference"
    UMS = "ums"
    ICG = "icg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The values in effect; seconds where a time is meant."""

    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT
    release_delay: float = RELEASE_DELAY
    """0 for firmware that knows no delay."""
    ranking: Ranking = Ranking.NONE
    log_authentication: bool = False
    assets: bool = True
    asset_delay: float = DEFAULT_ASSET_DELAY
    structure_tag: str = ""
    """Empty: the tag that the device came with."""
    igelrmserver: bool = False
    notify_user: bool = False


KNOWN = (
    Known(CONNECT_TIMEOUT, f"{DEFAULT_CONNECT_TIMEOUT:.0f}", _since(Behaviour.REGISTRY_CONNECT_TIMEOUT),
          "seconds for one connector, 1 to 3,600", "W10"),
    Known(RELEASE, f"{RELEASE_DELAY:.0f}", _since(Behaviour.RELEASE_RULE),
          'seconds that "unknown" must last before the registration is dropped, at most 30 days', "L5"),
    Known(NOTIFY_USER, "false", _since(Behaviour.RELEASE_RULE),
          "leave the user a message when the registration is dropped; the beginning of this name is ours", "L6"),
    Known(RANKING, str(Ranking.NONE), _since(Behaviour.RANKS_CONNECTORS),
          "which connectors come first: `no preference` (random order), `ums` or `icg`", "W7"),
    Known(IGELRMSERVER, "false", _since(Behaviour.IGELRMSERVER_FALLBACK),
          "ask the name igelrmserver when no other address answers", "W9"),
    Known(STRUCTURE_TAG, "", _since(Behaviour.REGISTRY_STRUCTURE_TAG),
          "structure tag instead of the one it came with", "6.2"),
    Known(LOG_AUTHENTICATION, "false", _since(Behaviour.REPORTS_LOG_ONS), "tell users that log on and off", "5.3"),
    Known(ASSETS, "true", _since(Behaviour.REPORTS_ASSETS), "tell assets that come and go", "AI3"),
    Known(ASSET_DELAY, f"{DEFAULT_ASSET_DELAY:.0f}", _since(Behaviour.REPORTS_ASSETS),
          "seconds before an asset event is told, at most 3,600", "AI3"),
)  # fmt: skip


def read_parameters(settings: Mapping[str, str], firmware: FirmwareVersion) -> Parameters:
    """Return what these settings mean to a device with this firmware."""

    def known(behaviour: Behaviour, name: str) -> str:
        return settings.get(name, "") if behaves(firmware, behaviour) else ""

    has_release_rule = behaves(firmware, Behaviour.RELEASE_RULE)
    return Parameters(
        connect_timeout=_seconds(
            known(Behaviour.REGISTRY_CONNECT_TIMEOUT, CONNECT_TIMEOUT),
            DEFAULT_CONNECT_TIMEOUT,
            1.0,
            MAX_CONNECT_TIMEOUT,
        ),
        release_delay=_seconds(settings.get(RELEASE, ""), RELEASE_DELAY, 0.0, MAX_RELEASE_DELAY)
        if has_release_rule
        else 0.0,
        ranking=_ranking(known(Behaviour.RANKS_CONNECTORS, RANKING)),
        log_authentication=_switch(known(Behaviour.REPORTS_LOG_ONS, LOG_AUTHENTICATION), default=False),
        assets=behaves(firmware, Behaviour.REPORTS_ASSETS) and _switch(settings.get(ASSETS, ""), default=True),
        asset_delay=_seconds(settings.get(ASSET_DELAY, ""), DEFAULT_ASSET_DELAY, 0.0, MAX_ASSET_DELAY),
        structure_tag=_tag(known(Behaviour.REGISTRY_STRUCTURE_TAG, STRUCTURE_TAG)),
        notify_user=_switch(known(Behaviour.RELEASE_RULE, NOTIFY_USER), default=False),
        igelrmserver=_switch(known(Behaviour.IGELRMSERVER_FALLBACK, IGELRMSERVER), default=False),
    )


def verification(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the two keys of G13 as an OS 11 device with these settings tells them; the defaults are documented."""
    verify_peer = _switch(settings.get(VERIFY_PEER, ""), default=False)
    verify_name = _switch(settings.get(VERIFY_NAME, ""), default=True)
    return {VERIFY_PEER: str(verify_peer).lower(), VERIFY_NAME: str(verify_name).lower()}


def _seconds(text: str, default: float, least: float, most: float) -> float:
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        return default
    return min(max(float(text), least), most)


def _switch(text: str, *, default: bool) -> bool:
    word = text.strip().lower()
    if word in {"true", "1", "on", "yes"}:
        return True
    return False if word in {"false", "0", "off", "no"} else default


def _ranking(text: str) -> Ranking:
    word = text.strip().lower().removeprefix("prefer").strip()
    return Ranking(word) if word in set(Ranking) else Ranking.NONE


def _tag(text: str) -> str:
    try:
        return parse_structure_tag(text)
    except InvalidValueError:
        return ""
