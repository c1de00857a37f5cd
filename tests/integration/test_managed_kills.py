# SPDX-License-Identifier: Apache-2.0
"""Managed devices while server and devices are killed at moments that nobody chose: in the end all agree.

The server is a process, two devices are processes, the others run here and are cut off in the middle of whatever they
do. Every operation is begun once; who began it does not know how far it came and asks, as a person would.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.trouble import TroubledLab
from umslab.one_device import open_world
from umslab_certs.chain import fingerprint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from tests.support.trouble import Member


FIRST, LATER = 30, 4
"""Devices that run here: from the start, and coming while everything else happens."""
PROCESSES = 2
DEVICES = FIRST + LATER + PROCESSES
EVERYONE = {"everyone": True}


_Operation: TypeAlias = "Callable[[TroubledLab, int, list[str]], Awaitable[None]]"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3])
async def test_all_agree_after_kills_in_every_operation(tmp_path: Path, seed: int) -> None:
    """Settings, places, commands, jobs, apps, files, roots, client CAs, approvals: nothing half, twice, or lost.

    The same for revocation, a wave of forced renewals, and the forced retirement of a client CA.
    """
    lab = TroubledLab(tmp_path, seed)
    operations = [_edit, _order_app, _order_file, _message, _reboot, _client_ca] * 2
    operations += [_edit_for_reboot, _place, _job]
    lab.chance.shuffle(operations)
    await lab.start()
    try:
        with trio.fail_after(480):
            async with open_world() as world, trio.open_nursery() as nursery:
                (key,) = await lab.ask("keys.create", kind="mass")
                for index in range(FIRST):
                    nursery.start_soon(lab.live, world, index, key["secret"])
                for index in range(PROCESSES):
                    nursery.start_soon(lab.live_as_process, index, key["secret"])
                await _approve(lab, FIRST + PROCESSES)
                await _revoke(lab)
                await _renew_and_retire(lab)
                texts = await _operate(lab, [*operations[:6], _rotate])
                for index in range(FIRST, FIRST + LATER):
                    nursery.start_soon(lab.live, world, index, key["secret"])
                await _approve(lab, DEVICES)
                texts += await _operate(lab, [*operations[6:9], _rotate, *operations[9:]])
                for member in lab.members:
                    member.cut()  # a boot for all: what waits for one is due
                await lab.until(partial(_is_over, lab))
                found = await _ask_for_all(lab)
                nursery.cancel_scope.cancel()
        await trio.to_thread.run_sync(lab.server.stop)
    finally:
        lab.server.close()

    given = [one["parameters"].get("text") for one in found["executions"] if one["command"] == "message"]
    assert sorted(texts) == sorted(given)
    _check_registry(tmp_path / "ums" / "server" / "registry.sqlite", lab.members)
    for member in lab.members:
        _check_device(member, found, texts)


async def _approve(lab: TroubledLab, devices: int) -> None:
    """Approve whoever asks until so many are registered, with trouble."""

    async def all_there() -> bool:
        await lab.ask("approval.approve-all")
        return devices == len(await lab.ask("devices.list"))

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(lab.until, all_there)
            await lab.disturb()
    await lab.until(all_there)


async def _revoke(lab: TroubledLab) -> None:
    """A device whose certificates are revoked stays out until somebody resets it; then it comes on board anew."""
    lost = _unit_ids(lab)[0]

    async def revoked() -> bool:
        shown = await lab.ask("devices.show", unit_id=lost)
        return {"revoked"} == {one["state"] for one in shown["certificates"]} and shown["state"] == "offline"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(lab.insist, "devices.revoke", revoked, unit_id=lost))
        await lab.disturb()
    await _reset(lab, {lost})


async def _renew_and_retire(lab: TroubledLab) -> None:
    """A forced wave brings half of the devices to a new client CA; the old one is retired, and locks out the others."""
    await _client_ca(lab, 0, [])
    issuing, *_, old = await lab.when_up(partial(lab.ask, "certs.client-cas"))
    fingerprint_of_old = old["ca"]["sha256_parts"][0]
    renewing = _unit_ids(lab)[::2]
    parameters = {"force": "true"}

    async def ordered() -> bool:
        return await _count(lab, "checkreenroll", parameters) > 0

    async def renewed() -> bool:
        first, *_ = await lab.ask("certs.client-cas")
        return bool(first["ca"] == issuing["ca"] and first["devices"] >= len(renewing))

    async def retired() -> bool:
        return 1 == len(await lab.ask("certs.client-cas"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            partial(
                lab.insist, "command.start", ordered, command="checkreenroll", parameters=parameters,
                selector={"unit_ids": renewing}, wait=False, retry_at_boot=True, timeout_seconds=600,
            )
        )  # fmt: skip
        await lab.disturb()
    for member in lab.members:
        member.cut()  # a boot for all: what waits for one is due
    await lab.until(renewed)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            partial(lab.insist, "certs.retire-client-ca", retired, fingerprint=fingerprint_of_old, force=True)
        )
        await lab.disturb()
    await _reset(lab, _not_of(lab, issuing["ca"]["subject"]))


def _not_of(lab: TroubledLab, issuing: str) -> set[str]:
    """Devices with a certificate of another client CA: they were not to renew, or a kill took the answer from them."""
    found = set()
    for member in lab.members:
        persona, identity = member.folder.load_persona(), member.folder.load_identity()
        if persona is not None and identity is not None and issuing != repr(identity.issuer.rfc4514_string()):
            found.add(persona.unit_id)
    return found


async def _reset(lab: TroubledLab, unit_ids: set[str]) -> None:
    """Reset these devices to factory defaults, and approve them again."""
    for member in lab.members:
        persona = member.folder.load_persona()
        if persona is not None and persona.unit_id in unit_ids:
            member.to_reset = True
            member.cut()

    async def all_back() -> bool:
        await lab.ask("approval.approve-all")
        return {"online"} == {one["state"] for one in await lab.ask("devices.list")}

    await lab.until(all_back)


def _unit_ids(lab: TroubledLab) -> list[str]:
    """The devices there are, in the order in which they came."""
    personas = [member.folder.load_persona() for member in lab.members]
    return [persona.unit_id for persona in personas if persona is not None]


async def _operate(lab: TroubledLab, operations: Sequence[_Operation]) -> list[str]:
    """One operation after the other, each with trouble; returns the texts of the messages that were sent."""
    texts: list[str] = []
    for operation in operations:
        lab.number += 1
        if operation is _rotate:
            await _rotate(lab, lab.number, texts)
            continue
        async with trio.open_nursery() as nursery:
            nursery.start_soon(operation, lab, lab.number, texts)
            await lab.disturb()
    return texts


async def _edit(lab: TroubledLab, number: int, _: list[str], *, when: str = "now") -> None:
    async def done() -> bool:
        shown = [one for one in await lab.ask("profiles.list") if one["name"] == "global"]
        if not shown:
            return False
        settings = (await lab.ask("profiles.show", which="global"))["settings"]
        return bool(settings.get("x.edit") == str(number))

    values = {"x.edit": str(number), f"x.e{number}": "1"}
    await lab.insist("profiles.edit", done, which="global", values=values, when=when)


async def _edit_for_reboot(lab: TroubledLab, number: int, texts: list[str]) -> None:
    await _edit(lab, number, texts, when="reboot")


async def _place(lab: TroubledLab, number: int, _: list[str]) -> None:
    """Move some devices into a directory that has a priority profile of its own."""
    path, name = f"/place {number}", f"for place {number}"
    some = [one["unit_id"] for one in await lab.when_up(partial(lab.ask, "devices.list"))][:10]

    async def made() -> bool:
        return path in {one["path"] for one in await lab.ask("dirs.list")}

    async def known() -> bool:
        return name in {one["name"] for one in await lab.ask("profiles.list")}

    async def assigned() -> bool:
        return bool(await lab.ask("assignments.of-object", type="profile", which=name))

    async def moved() -> bool:
        return len(some) == len(await lab.ask("devices.list", directory=path))

    await lab.insist("dirs.create", made, path=path)
    await lab.insist("profiles.create", known, name=name, kind="priority", settings={"x.edit": f"place {number}"})
    await lab.insist("assignments.assign", assigned, type="profile", which=name, receivers=[path])
    await lab.insist("dirs.move-devices", moved, target=path, unit_ids=some)


async def _job(lab: TroubledLab, number: int, texts: list[str]) -> None:
    """A job that is due at once gives its command once."""
    texts.append(f"job {number}")

    async def known() -> bool:
        return bool(await lab.ask("jobs.list"))

    await lab.insist(
        "jobs.create", known, job=texts[-1], command="message", parameters={"text": texts[-1]}, selector=EVERYONE,
        in_seconds=0, parallel=8, retry_at_boot=True, timeout_seconds=600,
    )  # fmt: skip


async def _order_app(lab: TroubledLab, number: int, _: list[str]) -> None:
    await _order(lab, "app", f"app{number}", partial(lab.insist, "apps.create", name=f"app{number}", version="1.0"))


async def _order_file(lab: TroubledLab, number: int, _: list[str]) -> None:
    source = lab.path / f"file{number}"
    source.write_bytes(bytes([number]) * 20_000)
    await _order(lab, "file", source.name, partial(lab.insist, "files.add", path=str(source)))


async def _order(lab: TroubledLab, kind: str, name: str, create: Callable[..., Awaitable[None]]) -> None:
    async def known() -> bool:
        return name in {one["name"] for one in await lab.ask(f"{kind}s.list")}

    async def assigned() -> bool:
        return bool(await lab.ask("assignments.of-object", type=kind, which=name))

    await create(done=known)
    await lab.insist("assignments.assign", assigned, type=kind, which=name, receivers=["/"])


async def _message(lab: TroubledLab, number: int, texts: list[str]) -> None:
    texts.append(f"message {number}")
    await _wave(lab, "message", {"text": f"message {number}"}, before=0)


async def _reboot(lab: TroubledLab, number: int, _: list[str]) -> None:
    del number
    await _wave(lab, "reboot", {}, before=await lab.when_up(partial(_count, lab, "reboot", {})))


async def _wave(lab: TroubledLab, command: str, parameters: dict[str, str], *, before: int) -> None:

    async def done() -> bool:
        return await _count(lab, command, parameters) > before

    await lab.insist(
        "command.start", done, command=command, parameters=parameters, selector=EVERYONE, wait=False,
        retry_at_boot=True, timeout_seconds=600,
    )  # fmt: skip


async def _count(lab: TroubledLab, command: str, parameters: dict[str, str]) -> int:
    wanted = (command, parameters)
    return sum((one["command"], one["parameters"]) == wanted for one in await lab.ask("command.list"))


async def _client_ca(lab: TroubledLab, number: int, _: list[str]) -> None:
    del number
    before = len(await lab.when_up(partial(lab.ask, "certs.client-cas")))

    async def done() -> bool:
        return len(await lab.ask("certs.client-cas")) > before

    await lab.insist("certs.new-client-ca", done)


async def _rotate(lab: TroubledLab, number: int, _: list[str]) -> None:
    """Announce, wait until all have it, switch: each with trouble."""
    del number
    root = (await lab.when_up(partial(lab.ask, "certs.rotation")))["root"]

    async def announced() -> bool:
        return (await lab.ask("certs.rotation"))["next_root"] is not None

    async def acknowledged() -> bool:
        return not (await lab.ask("certs.rotation"))["behind"]

    async def switched() -> bool:
        return bool((await lab.ask("certs.rotation"))["root"] != root)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(lab.insist, "certs.announce-root", announced))
        await lab.disturb()
    await lab.until(acknowledged)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(lab.insist, "certs.switch-root", switched))
        await lab.disturb()


async def _is_over(lab: TroubledLab) -> bool:
    """Whether all are there and have everything, and every command is over."""
    devices = await lab.ask("devices.list")
    if {("online", "APPLIED")} != {(one["state"], one["config_changes"]) for one in devices} or len(devices) != DEVICES:
        return False
    if any(one["finished_at"] is None for one in await lab.ask("command.list")):
        return False
    if any(one["last_run_at"] is None for one in await lab.ask("jobs.list")):
        return False
    if (await lab.ask("certs.rotation"))["behind"]:
        return False
    for one in devices:
        shown = await lab.ask("devices.show", unit_id=one["unit_id"])
        if {"installed"} != {each["state"] for each in [*shown["apps"], *shown["files"]]}:
            return False
        if (2, 2) != (len(shown["apps"]), len(shown["files"])):
            return False
    return True


async def _ask_for_all(lab: TroubledLab) -> dict[str, Any]:
    """What the server says at the end: devices, what each is to have, commands, roots."""
    devices = {one["unit_id"]: one for one in await lab.ask("devices.list")}
    executions = await lab.ask("command.list")
    return {
        "devices": devices,
        "wanted": {unit_id: await lab.ask("settings.show", unit_id=unit_id) for unit_id in devices},
        "executions": executions,
        "tasks": [
            task for one in executions for task in (await lab.ask("command.results", exec_id=one["exec_id"]))["tasks"]
        ],
        "root": (await lab.ask("certs.rotation"))["root"]["sha256_parts"],
    }


def _check_device(member: Member, found: dict[str, Any], texts: list[str]) -> None:
    folder = member.folder
    persona = folder.load_persona()
    assert persona is not None
    held, installed, journal = folder.settings.load(), folder.installed.load(), folder.journal.load()
    wanted = found["wanted"][persona.unit_id]
    assert (wanted["version"], wanted["digest"]) == (held.version, held.digest) == (installed.version, installed.digest)
    assert {one["name"]: one["value"] for one in wanted["settings"]} == held.settings
    for order in held.files:
        assert order.sha256 == hashlib.sha256((folder.files / order.name).read_bytes()).hexdigest()
    assert [found["root"]] == [list(fingerprint(root).parts) for root in folder.load_trust()[0]]

    commands = {one["exec_id"]: one for one in found["executions"]}
    tasks = [task for task in found["tasks"] if task["unit_id"] == persona.unit_id]
    assert len(tasks) == len({task["exec_id"] for task in tasks})
    assert {"SUCCESS"} == {task["state"] for task in tasks}, [task for task in tasks if task["state"] != "SUCCESS"]
    done = [entry.execID for entry in journal.done]
    assert sorted(done) == sorted(task["exec_id"] for task in tasks)
    said = [commands[task["exec_id"]]["parameters"].get("text") for task in tasks]
    assert sorted(text for text in texts if text in said) == sorted(one.text for one in folder.inbox.load().messages)
    reboots = sum(commands[task["exec_id"]]["command"] == "reboot" for task in tasks)
    assert folder.boots.load().count <= member.starts + reboots


def _check_registry(path: Path, members: list[Member]) -> None:
    with closing(sqlite3.connect(path)) as database:

        def column(query: str) -> list[Any]:
            return [row[0] for row in database.execute(query)]

        assert [] == column("SELECT unit_id FROM certificate WHERE unit_id NOT IN (SELECT unit_id FROM device)")
        assert [] == column("SELECT unit_id FROM device WHERE settings_digest != applied_digest")
        assert [] == column("SELECT unit_id FROM device WHERE settings_version != applied_version")
        assert [] == column("SELECT unit_id FROM approval")
        assert [] == column("SELECT id FROM task WHERE finished_at IS NULL")
        live = column("SELECT sha256 FROM certificate WHERE superseded_at IS NULL AND revoked_at IS NULL")
        certificates = [member.folder.load_identity() for member in members]
        held = [hashlib.sha256(one.public_bytes(Encoding.DER)).hexdigest() for one in certificates if one is not None]
        assert sorted(live) == sorted(held)
        assert len(held) == DEVICES
