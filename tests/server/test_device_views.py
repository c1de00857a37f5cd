# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.device_views."""

from __future__ import annotations

from umslab_server.device_views import BRIEF, KEPT, SAID, DeviceLine, DeviceView
from umslab_server.tables import device

MADE = {"state", "icon", "overlays", "directory", "config_changes"}
"""What no column holds."""
ELSEWHERE = {"info", "logons", "assets", "certificates", *SAID}


def test_a_view_shows_columns_by_their_names() -> None:
    """All that is shown is a column, made for it, or kept elsewhere."""
    assert set(DeviceView.__struct_fields__) == {*KEPT, *MADE, *ELSEWHERE}
    assert set(KEPT) < set(device.c.keys())


def test_a_line_is_a_part_of_a_view() -> None:
    """Under the same names, from columns that are selected for it."""
    assert set(DeviceLine.__struct_fields__) < set(DeviceView.__struct_fields__)
    assert set(DeviceLine.__struct_fields__) - MADE <= set(BRIEF.selected_columns.keys())
