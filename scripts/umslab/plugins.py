# SPDX-License-Identifier: Apache-2.0
"""Named parts that other packages may bring: message codecs and enrolment authentication."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from umslab.settings import SettingsError


def load(group: str, name: str) -> Any:
    """Make the part registered under this name. Raises `SettingsError` naming those there are."""
    found = {entry.name: entry for entry in entry_points(group=group)}
    if name not in found:
        raise SettingsError(f"there is no {group} called {name!r}; installed: {', '.join(sorted(found)) or 'none'}")
    return found[name].load()()
