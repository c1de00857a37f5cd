# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.os11.errands (test_device.py has the fetch itself)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.agent.os11.ums import SERVER, open_os11_lab
from umslab_agent.os11.errands import TICKET_SECONDS, file_errand
from umslab_agent.os11.keeping import load_or_make_key
from umslab_protocol.machines.device_life import State
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.basic_auth import parse_basic
from umslab_protocol.wire.os11_proof import make_file_ticket

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

DIGEST = "0" * 64


async def test_a_ticket_for_one_file(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Unit ID and `EXPIRES:TICKET` as Basic credentials, at the usual port when the server named none."""
    async with open_os11_lab(tmp_path) as lab:
        device = lab.device()
        await device.until_state(State.READY)
        unit = device.device._unit
        errand = file_errand(unit, 0, DIGEST)
        user, password = parse_basic(dict(errand.headers)["Authorization"])
        expires, _, ticket = password.partition(":")
        key = load_or_make_key(device.folder, bytes)

        assert (HostPort(SERVER, 30_003), f"/ums_filetransfer/{DIGEST}") == (errand.target, errand.path)
        assert device.unit_id == user
        assert int(unit.utc().timestamp()) + TICKET_SECONDS == int(expires)
        assert make_file_ticket(key, UnitId(user), DIGEST, int(expires)) == ticket
        device.folder.path.joinpath("server.crt").unlink()
        with pytest.raises(OSError, match="no server"):
            file_errand(unit, 0, DIGEST)
