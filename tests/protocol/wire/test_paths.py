# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.paths."""

from __future__ import annotations

from umslab_protocol.wire import paths


def test_documented_paths() -> None:
    """Letter by letter as the vendor and the community write them (E1, E2, E4, E10, E11)."""
    assert "/device-connector/device" == paths.DEVICE_CONNECTOR
    assert "/device-connector/device/ws-connect" == paths.WS_CONNECT
    assert "/device-connector/device/.well-known/est" == paths.EST
    assert "/ums/check-status" == paths.CHECK_STATUS
    assert "/info" == paths.INFO


def test_the_alias_is_the_standards_own_place() -> None:
    """RFC 7030 section 3.2.2."""
    assert "/.well-known/est" == paths.EST_ALIAS
