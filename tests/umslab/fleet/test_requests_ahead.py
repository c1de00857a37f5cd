# SPDX-License-Identifier: Apache-2.0
"""Keys are made ahead, each for its device, here or by workers when they take long."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from umslab.fleet import requests_ahead
from umslab.fleet.requests_ahead import Wanted, make_requests
from umslab_agent.folder import DeviceFolder
from umslab_agent.os11.keeping import kind_of
from umslab_agent.shelf import MemoryShelf, Scratch
from umslab_certs.csr import read_request
from umslab_certs.identity import identity_from_pem
from umslab_certs.keys import KeyType, key_type

if TYPE_CHECKING:
    import pytest

WANTED = [
    Wanted("02AABBCCDD01", "p-256"),
    Wanted("02AABBCCDD02", "p-521"),
    Wanted("02AABBCCDD03", "rsa-2048"),
]
MADE = {one.unit_id: (one.unit_id, KeyType(one.key_type)) for one in WANTED}


def _read(found: dict[str, bytes]) -> dict[str, tuple[str, KeyType]]:
    scratch = Scratch()
    requests = {}
    for unit_id, piece in found.items():
        folder = DeviceFolder(MemoryShelf(unit_id, scratch))
        folder.place_request(piece)
        loaded = folder.load_request()
        assert loaded is not None
        request = read_request(loaded[1])
        assert request.public_key == loaded[0].public_key()
        requests[unit_id] = (str(request.unit_id), key_type(request.public_key))
    scratch.close()
    return requests


def test_each_device_has_its_own() -> None:
    """Its unit ID in the request, and a key of its type."""
    told: list[int] = []
    found = make_requests(WANTED, processes=1, made=told.append)

    assert MADE == _read(found)
    assert 3 == told[-1]
    assert {} == make_requests([], processes=4)


def test_os11_devices_get_a_certificate_of_their_own() -> None:
    """As they keep it: key and certificate, of their key type (G10)."""
    wanted = [Wanted("02AABBCCDD01", "p-384", os11=True), Wanted("02AABBCCDD02", "p-384", os11=True)]
    found = make_requests(wanted, processes=1)
    certificates = [identity_from_pem(piece, "it")[1][0] for piece in found.values()]

    assert {KeyType.P384} == {kind_of(certificate) for certificate in certificates}
    assert 2 == len({certificate.serial_number for certificate in certificates})


def test_workers_make_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes of their own when it would take long."""
    monkeypatch.setattr(requests_ahead, "INLINE_SECONDS", 0.0)
    before = os.getpid()

    assert MADE == _read(make_requests(WANTED, processes=2))
    assert before == os.getpid()
