# SPDX-License-Identifier: Apache-2.0
"""In a fleet of mixed key types every connection shows the certificate of the device that speaks on it.

Devices share TLS contexts, one a key type, whose certificate is another one before each connection: the place where
they could be mixed up.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.lab import open_lab
from umslab.fleet.job import Job
from umslab.fleet.shard import Shard
from umslab_agent.fleet.scenario import AtOnce, Flat, Kind, Onboard, Scenario, Storm
from umslab_certs.chain import load_pem_certificates
from umslab_certs.keys import KeyType, key_type

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_protocol.wire.messages import Hello
    from umslab_server.sessions import LiveSession

DEVICES = 120
MIX = (Kind(weight=5), Kind(weight=4, key_type=KeyType.P384), Kind(weight=1, key_type=KeyType.RSA2048))
SCENARIO = Scenario(
    devices=DEVICES, mix=MIX, arrivals=AtOnce(), phases=(Onboard(), Storm(cause="network")), retry=Flat(seconds=0.1)
)


async def test_nobody_is_taken_for_another(tmp_path: Path) -> None:
    """All at once, and all at once again after a storm: what the server saw on each connection is the device's own."""
    seen: list[tuple[str, str]] = []

    async def note(session: LiveSession, hello: Hello, _booted: bool) -> None:  # noqa: FBT001 - see OnGreeted
        assert session.admitted.certificate is not None
        seen.append((hello.unitID, session.admitted.certificate))

    async with open_lab(tmp_path, real=True) as lab:
        await lab.mass_key()
        sessions = lab.services.sessions
        sessions._on_greeted = (*sessions._on_greeted, note)
        job = Job(scenario=SCENARIO, target=str(lab.target), auth_key="mass-key", state=str(tmp_path / "fleet"))
        shard = Shard(job, lambda _: None)
        shard.prepare()
        result = await shard.run()
    again = Shard(job, lambda _: None)
    again.prepare()
    own = {
        unit_id: load_pem_certificates(pieces["identity.pem"], unit_id)[0] for unit_id, pieces in again._pieces.items()
    }
    digests = {unit_id: hashlib.sha256(one.public_bytes(Encoding.DER)).hexdigest() for unit_id, one in own.items()}
    kinds = {key_type(one.public_key()) for one in own.values()}  # type: ignore[arg-type]

    assert (DEVICES, []) == (result.measured.managed_once, result.measured.failures)
    assert {KeyType.P256, KeyType.P384, KeyType.RSA2048} == kinds
    assert 2 * DEVICES <= len(seen)
    assert [] == [(unit_id, digest) for unit_id, digest in seen if digests[unit_id] != digest]
    assert 0 == sessions.mismatches
