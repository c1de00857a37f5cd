# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.certificates: C20-C22, C36 and V7 from the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.certs.pki import SERVER, make
from tests.server.parts import EPOCH, YEAR, Office, unit_id
from umslab_certs.chain import to_pem
from umslab_certs.keys import key_to_pem

from .desk import Desk, numbered
from .leading import open_lead_desk

if TYPE_CHECKING:
    from pathlib import Path

    from tests.certs.pki import Pair


@pytest.fixture
async def lead_desk(office: Office, tmp_path: Path) -> Desk:
    """Control of all that is about certificates."""
    return (await open_lead_desk(office, tmp_path))[0]


def pem(pair: Pair, *above: Pair) -> dict[str, str]:
    """A chain and its key as the terminal sends them."""
    chain = to_pem([one.certificate for one in (pair, *above)])
    return {"chain": chain.decode(), "key": key_to_pem(pair.key).decode()}


async def test_show_and_renew(desk: Desk) -> None:
    """The root stays, the web certificate changes."""
    before = await desk.ask("certs.show")
    after = await desk.ask("certs.renew")

    assert after["root"] == before["root"]
    assert after["web"]["serial"] != before["web"]["serial"]
    assert await desk.ask("certs.show") == after


async def test_refusals(desk: Desk, tmp_path: Path) -> None:
    """An imported chain, and a folder that is gone, are told in a sentence."""
    (tmp_path / "web" / "root.key").rename(tmp_path / "root.key")
    assert "the chain was imported" in (await desk.refused("certs.renew"))[1]
    (tmp_path / "root.key").rename(tmp_path / "web" / "root.key")
    (tmp_path / "web" / "web.pem").unlink()
    (tmp_path / "web" / "web.pem").mkdir()

    assert "web.pem" in (await desk.refused("certs.renew"))[1]


async def test_rotation(office: Office, lead_desk: Desk) -> None:
    """Announce, look, be refused, force."""
    await office.device(1)
    nothing = await lead_desk.ask("certs.rotation")
    announced = await lead_desk.ask("certs.announce-root", root_key="p-384")
    shown = await lead_desk.ask("certs.show")
    refused = await lead_desk.refused("certs.switch-root")
    switched = await lead_desk.ask("certs.switch-root", force=True)

    assert nothing["phase"] == "none"
    assert (announced["phase"], announced["active"], announced["acknowledged"]) == ("announced", 1, 0)
    assert shown["next_root"] == announced["next_root"]
    assert unit_id(1) in refused[1]
    assert [one["unit_id"] for one in switched["lost"]] == [unit_id(1)]
    assert switched["rotation"]["root"] == announced["next_root"]
    assert "PRIVATE" not in str([announced, switched])


async def test_company_chain(lead_desk: Desk) -> None:
    """It must cover the names of this server; announced, it can be called off."""
    root = make("company root", ca=True, begin=EPOCH, end=EPOCH + 3 * YEAR)
    dates = {"begin": EPOCH, "end": EPOCH + YEAR}
    good = make("ums", root, names=["ums.lab"], purposes=[SERVER], **dates)  # type: ignore[arg-type]
    other = make("ums", root, names=["other.lab"], purposes=[SERVER], **dates)  # type: ignore[arg-type]
    refused = await lead_desk.refused("certs.announce-chain", **pem(other, root))
    announced = await lead_desk.ask("certs.announce-chain", **pem(good, root))
    cancelled = await lead_desk.ask("certs.cancel-rotation")

    assert "does not cover ums.lab" in refused[1]
    assert "company root" in announced["next_root"]["subject"]
    assert (cancelled["phase"], cancelled["next_root"]) == ("cancelled", None)
    assert "no new web root is announced" in (await lead_desk.refused("certs.cancel-rotation"))[1]


async def test_client_cas(office: Office, lead_desk: Desk) -> None:
    """A new one, one from elsewhere, and the first one retired."""
    await office.device(1)
    (first,) = await lead_desk.ask("certs.client-cas")
    part = first["ca"]["sha256_parts"][2]
    await lead_desk.ask("certs.new-client-ca", key_type="p-384")
    company = make("company devices", ca=True, begin=EPOCH, end=EPOCH + YEAR)
    three = await lead_desk.ask("certs.import-client-ca", **pem(company))
    refused = await lead_desk.refused("certs.retire-client-ca", fingerprint=part)
    retired = await lead_desk.ask("certs.retire-client-ca", fingerprint=part, force=True)
    shown = await lead_desk.ask("certs.show")

    assert [one["issues"] for one in three] == [True, False, False]
    assert unit_id(1) in refused[1]
    assert retired["locked_out"] == [unit_id(1)]
    assert len(retired["client_cas"]) == 2
    assert "company devices" in shown["client_ca"]["subject"]
    assert len(shown["earlier_client_cas"]) == 1
    assert "names no SHA-256" in (await lead_desk.refused("certs.retire-client-ca", fingerprint="x"))[1]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("certs.show", {"x": 1}),
    ("certs.renew", {"x": 1}),
    ("certs.rotation", {"x": 1}),
    ("certs.announce-root", {"root_key": "rsa-512"}),
    ("certs.announce-chain", {"chain": "x"}),
    ("certs.switch-root", {"force": "yes"}),
    ("certs.cancel-rotation", {"x": 1}),
    ("certs.client-cas", {"x": 1}),
    ("certs.new-client-ca", {"key_type": 1}),
    ("certs.import-client-ca", {"chain": 1, "key": "x"}),
    ("certs.retire-client-ca", {}),
]


@pytest.mark.parametrize(("name", "args"), BAD, ids=numbered(BAD))
async def test_bad_arguments(lead_desk: Desk, name: str, args: dict[str, Any]) -> None:
    """Wrong types, unknown and missing names, numbers out of bounds: `invalid`, with the command in the sentence."""
    await lead_desk.invalid(name, args)


async def test_every_command_has_bad_arguments(lead_desk: Desk) -> None:
    """The table above is complete."""
    assert {name for name, _ in BAD} == lead_desk.names("certs.")
