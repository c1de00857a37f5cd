# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.mdns_browse."""

from __future__ import annotations

from umslab_protocol.machines.mdns_browse import MdnsBrowse
from umslab_protocol.wire.mdns import MAX_NAMES, MAX_SERVICES, MdnsProblem, UmsService

ONE = UmsService(name="one", port=8443, addresses=("10.0.0.1",))
TWO = UmsService(name="two", port=8443, addresses=("10.0.0.2",))


def test_how_long_it_lasts() -> None:
    """Its whole patience when nobody answers; a moment longer than the first answer otherwise."""
    browse = MdnsBrowse(100.0, patience=5, settle=1)

    assert 105.0 == browse.deadline()
    browse.found(TWO, 102.0)
    browse.found(ONE, 102.5)
    assert 103.0 == browse.deadline()
    assert (ONE, TWO) == browse.result().services

    late = MdnsBrowse(100.0, patience=5, settle=1)
    late.found(ONE, 104.9)
    assert 105.0 == late.deadline()


def test_withdrawn() -> None:
    """Who said goodbye is not found."""
    browse = MdnsBrowse(0.0)
    browse.found(ONE, 1.0)
    browse.found(TWO, 1.0)
    browse.gone("one")
    browse.gone("three")

    assert (TWO,) == browse.result().services


def test_bounded() -> None:
    """So many names of a flood are asked for, and so many services kept; the rest is counted, as what is no use."""
    browse = MdnsBrowse(0.0)
    asked = [browse.appeared(f"name {number}") for number in range(MAX_NAMES + 3)]
    for number in range(MAX_SERVICES + 2):
        browse.found(UmsService(name=f"name {number:02}", port=1, addresses=("10.0.0.1",)), 1.0)
    browse.ignore(MdnsProblem.MALFORMED)

    assert [True] * MAX_NAMES + [False] * 3 == asked
    assert browse.appeared("name 0")
    assert MAX_SERVICES == len(browse.result().services)
    assert {MdnsProblem.TOO_MANY: 5, MdnsProblem.MALFORMED: 1} == browse.result().ignored
