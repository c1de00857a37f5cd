# SPDX-License-Identifier: Apache-2.0
"""From what is assigned to what a device is to have (section 11.6): pure computation.

The order of application: the global profile; for each directory from the root to the device's own its profiles by
position; the device's own profiles by position; then, over all of these, the priority profiles of the same receivers in
the same order. What is applied later wins. Apps and files are the union in this order; of one app the last version
wins. A parameter that nothing sets is not in the result: the device has its default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from umslab_protocol.wire.orders import AppOrder, FileOrder
from umslab_server.configuration.document import make_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from umslab_server.configuration.document import Document

GLOBAL = "global"


@dataclass(frozen=True, slots=True)
class Profile:
    """Parameters that are assigned together."""

    name: str
    settings: Mapping[str, str]
    priority: bool = False


Holding: TypeAlias = "Profile | AppOrder | FileOrder"


@dataclass(frozen=True, slots=True)
class Layer:
    """What one receiver has, in the order of its positions."""

    receiver: str
    """The path of a directory, or a unit ID."""
    holdings: Sequence[Holding]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an effective value comes from."""

    name: str
    value: str
    profile: str
    receiver: str
    """The path of a directory, a unit ID, or `global`."""
    overrides: tuple[str, ...]
    """The profiles whose values it hides, as `PROFILE at RECEIVER`, first applied first."""


def effective_document(global_settings: Mapping[str, str], layers: Sequence[Layer]) -> Document:
    """Compute a document; raises `DocumentTooLargeError`."""
    settings: dict[str, str] = {}
    for _, profile in _in_order(global_settings, layers):
        settings.update(profile.settings)
    apps = {one.name: one for layer in layers for one in layer.holdings if isinstance(one, AppOrder)}
    files = {one.name: one for layer in layers for one in layer.holdings if isinstance(one, FileOrder)}
    return make_document(settings, apps.values(), files.values())


def explain(global_settings: Mapping[str, str], layers: Sequence[Layer]) -> list[Origin]:
    """Tell for each effective parameter which profile it comes from, by name of the parameter."""
    applied: dict[str, list[tuple[str, Profile]]] = {}
    for receiver, profile in _in_order(global_settings, layers):
        for name in profile.settings:
            applied.setdefault(name, []).append((receiver, profile))
    origins = []
    for name, steps in sorted(applied.items()):
        receiver, winner = steps[-1]
        hidden = tuple(f"{profile.name} at {where}" for where, profile in steps[:-1])
        origins.append(Origin(name, winner.settings[name], winner.name, receiver, hidden))
    return origins


def count_assignments(layers: Sequence[Layer]) -> int:
    """How many assignments reach the device (section 12.1)."""
    return sum(len(layer.holdings) for layer in layers)


def _in_order(global_settings: Mapping[str, str], layers: Sequence[Layer]) -> Iterator[tuple[str, Profile]]:
    yield GLOBAL, Profile(GLOBAL, global_settings)
    for priority in (False, True):
        for layer in layers:
            for one in layer.holdings:
                if isinstance(one, Profile) and one.priority is priority:
                    yield layer.receiver, one
