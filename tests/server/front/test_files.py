# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.front.files."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.server.parts import Endpoint, Office, peer, unit_id
from umslab_protocol.wire import paths
from umslab_protocol.wire.close_codes import REFUSAL_HEADER
from umslab_runtime.executor import InlineExecutor
from umslab_runtime.http import Request, Response
from umslab_server.configuration.assignments import Assignments, ObjectType
from umslab_server.configuration.files import Files
from umslab_server.configuration.reconcile import When
from umslab_server.configuration.synchronise import Configuration
from umslab_server.front.files import FileFront, by_certificate
from umslab_server.front.routes import Router

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CONTENT = b"background" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Shop:
    """The router with the files, and a file that is assigned to the first device."""

    def __init__(self, office: Office, folder: Path) -> None:
        configuration = Configuration(office.store, office.reach)
        self.files = Files(office.store, configuration, folder / "files", InlineExecutor())
        self.assignments = Assignments(office.store, configuration)
        self.router = Router({f"{paths.FILES}/": {"GET": FileFront(self.files, by_certificate(office.sessions)).get}})

    async def ask(self, certificate: bytes | None, name: str = DIGEST, *, method: str = "GET") -> Response:
        """Ask for a content."""
        request = Request(method, f"{paths.FILES}/{name}", "", [], b"", peer(certificate))
        answer = await self.router(request)

        assert isinstance(answer, Response)
        return answer


@asynccontextmanager
async def open_shop(office: Office, folder: Path) -> AsyncIterator[tuple[Shop, bytes]]:
    """A shop, and the certificate of the first device."""
    shop = Shop(office, folder)
    certificate = await office.device(1)
    source = folder / "b.png"
    source.write_bytes(CONTENT)
    await shop.files.add(source, actor="ann")
    await shop.assignments.assign(ObjectType.FILE, "b.png", [unit_id(1)], actor="ann", when=When.NOW)
    yield shop, certificate


async def test_handed_out(office: Office, tmp_path: Path) -> None:
    """FU2: the content whole, as bytes; HEAD is answered alike."""
    async with open_shop(office, tmp_path) as (shop, certificate):
        answers = [await shop.ask(certificate, method=method) for method in ("GET", "HEAD")]

        assert [(200, CONTENT, "application/octet-stream")] * 2 == [
            (one.status, one.body, one.header("content-type")) for one in answers
        ]


async def test_not_assigned(office: Office, tmp_path: Path) -> None:
    """404 for another device, for what is no digest, and below the path; nothing tells what there is for others."""
    async with open_shop(office, tmp_path) as (shop, certificate):
        other = await office.device(2)
        answers = [
            await shop.ask(other),
            await shop.ask(certificate, "0" * 64),
            await shop.ask(certificate, "..%2f..%2fregistry.sqlite"),
            await shop.ask(certificate, DIGEST.upper()),
            await shop.ask(certificate, ""),
            await shop.ask(certificate, f"x/{DIGEST}"),
        ]

        assert [404] * 6 == [one.status for one in answers]


async def test_other_methods(office: Office, tmp_path: Path) -> None:
    """Nothing can be written here."""
    async with open_shop(office, tmp_path) as (shop, certificate):
        assert (await shop.ask(certificate, method="PUT")).status == 405


async def test_judged_like_a_session(office: Office, tmp_path: Path) -> None:
    """Without certificate, revoked, deleted, or while the server stops: as at ws-connect."""
    async with open_shop(office, tmp_path) as (shop, certificate):
        answers = [await shop.ask(None)]
        await office.registry.revoke(unit_id(1), actor="ann", reason="stolen")
        answers.append(await shop.ask(certificate))
        await office.registry.purge(unit_id(1), actor="ann")
        answers.append(await shop.ask(certificate))
        answers.append(await shop.ask(b"rubbish"))
        office.sessions.stop()
        answers.append(await shop.ask(certificate))

        assert [
            (403, "no-certificate"), (403, "revoked"), (410, "unknown-device"), (403, "refused"), (503, "busy"),
        ] == [(one.status, one.header(REFUSAL_HEADER)) for one in answers]  # fmt: skip


async def test_certificate_is_not_used_up(office: Office, tmp_path: Path) -> None:
    """Fetching a file is not the first use of a certificate."""
    async with open_shop(office, tmp_path) as (shop, _):
        unused = await office.enrol(Endpoint(1), await office.mass_key("another"))
        answer = await shop.ask(unused)

        assert answer.status == 200
        assert ["active", "issued"] == await office.certificate_states(1)


async def test_unreadable(office: Office, tmp_path: Path) -> None:
    """503 when the disk or the registry refuses."""
    async with open_shop(office, tmp_path) as (shop, certificate):
        (tmp_path / "files" / DIGEST).unlink()
        (tmp_path / "files" / DIGEST).mkdir()

        assert (await shop.ask(certificate)).status == 503
