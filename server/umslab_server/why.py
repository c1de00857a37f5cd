# SPDX-License-Identifier: Apache-2.0
"""Tells in sentences why a device is in its state: what a person would otherwise piece together from five lists."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select

from umslab_protocol.values.host_port import PUSH_PORT
from umslab_protocol.wire.inventory import InstallState
from umslab_server import registry
from umslab_server.configuration import tree
from umslab_server.tables import OS11, approval, certificate, event, execution, task, tombstone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, RowMapping

    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.clock import Clock
    from umslab_server.presence import Presence
    from umslab_server.store import Store

LOST_AFTER = timedelta(days=30)
NAMED_AT_MOST = 5
_REFUSALS = ("connect-refused", "enrolment-refused", "renewal-refused", "contact-refused", "registration-refused")
_WELCOMES = ("device-connected", "device-contact", "os11-registered")
_REACHED = ("device-called", "device-contact")


class Why:
    """Reads everything about one device and explains it."""

    def __init__(self, store: Store, presence: Presence, *, clock: Clock) -> None:
        self._store = store
        self._presence = presence
        self._clock = clock

    async def explain(self, unit_id: UnitId) -> list[str]:
        """Return the sentences, most important first; also for a device that is not in the registry."""
        online, now = self._presence.is_online(unit_id), self._clock.utc()
        session = self._presence.get(unit_id) is not None
        checked = None if session else self._checked(unit_id)
        return await self._store.read(
            lambda connection: list(_explain(connection, unit_id, now, online=online, checked=checked))
        )

    def _checked(self, unit_id: UnitId) -> str:
        """Say what the online check knows of a device, if it is an OS 11 device."""
        seconds = self._presence.answered_in(unit_id)
        if seconds is not None:
            return f"It is online: it answered the last online check within {seconds * 1000:.1f} ms"
        if self._presence.is_known(unit_id):
            return "It is offline: it did not answer the last online check (N4)"
        why = self._presence.why_unchecked(unit_id) or "the online check is off, or has not come to it yet"
        return f"Whether it is online is unknown: {why}"


def _explain(
    connection: Connection, unit_id: UnitId, now: datetime, *, online: bool, checked: str | None
) -> Iterator[str]:
    row = registry.get(connection, unit_id)
    if row is None:
        yield from _explain_stranger(connection, unit_id)
    else:
        place = tree.path_of(connection, row["directory_id"])
        firmware = f"has firmware {row['firmware']}" if row["firmware"] else "has not told its firmware"
        yield f"{unit_id} is called {row['name']}, {firmware} and is in the directory {place}."
        yield from _explain_registration(connection, row)
        if checked is not None and row["generation"] == OS11 and row["registered_at"] is not None:
            since = "" if row["checked_at"] is None else f"; so it has been since {row['checked_at']}"
            yield f"{checked}{since}."
        else:
            yield from _explain_presence(connection, row, now, online=online)
        yield from _explain_generation(connection, row)
        if row["generation"] != OS11:
            yield from _explain_certificates(connection, row, now)
        yield from _explain_trust(connection, unit_id)
        yield from _explain_settings(connection, row, online=online)
        yield from _explain_failures(row)
        yield from _explain_tasks(connection, unit_id)
    yield from _explain_refusal(connection, unit_id)


def _explain_stranger(connection: Connection, unit_id: UnitId) -> Iterator[str]:
    yield f"No device with the unit ID {unit_id} is in the registry."
    buried = connection.execute(select(tombstone).where(tombstone.c.unit_id == unit_id)).mappings().first()
    if buried is not None:
        yield f"It was deleted at {buried['deleted_at']} and will be told so at its next connection (L4)."
    asked = connection.execute(select(approval).where(approval.c.unit_id == unit_id)).mappings().first()
    if asked is not None and asked["state"] == "waiting":
        yield f"It asked to enrol at {asked['asked_at']} and waits for `umslab ctl approve {unit_id}`."
    elif asked is not None and asked["state"] == "rejected":
        yield f"Its enrolment was rejected at {asked['decided_at']}."


def _explain_registration(connection: Connection, row: RowMapping) -> Iterator[str]:
    if row["binned_at"] is not None:
        yield (
            f"It has been in the recycle bin since {row['binned_at']}: it gets no settings, and a new enrolment is "
            "refused, which the device shows as error 38 (RB1, RB4)."
        )
    if row["registered_at"] is None:
        yield f"It was imported at {row['created_at']} and has never registered (K8)."
        return
    brought = _last(connection, row["unit_id"], ("device-enrolled",))
    key = json.loads(brought["data"]).get("key") if brought is not None else None
    yield f"It registered at {row['registered_at']}" + (f" with key number {key}." if key is not None else ".")
    if row["onboarded_by"]:
        yield f"It was onboarded by {row['onboarded_by']}."


def _explain_presence(connection: Connection, row: RowMapping, now: datetime, *, online: bool) -> Iterator[str]:
    if row["registered_at"] is None:
        return
    came = _last(connection, row["unit_id"], ("device-connected",))
    left = _last(connection, row["unit_id"], ("device-disconnected",))
    if online:
        since = f" since {came['at']}" if came is not None else ""
        yield f"It is online{since}, connected from {row['last_ip']}."
    elif left is not None and (came is None or left["id"] > came["id"]):
        side = "the device" if left["actor"] == "device" else "the server"
        code = json.loads(left["data"]).get("code")
        reason = f": {left['cause']}" if left["cause"] else ""
        yield f"It is offline since {left['at']}, when {side} ended the session with code {code}{reason}."
    elif row["last_contact"] is None:
        yield "It is offline and has never been connected."
    else:
        yield f"It is offline; its last contact was at {row['last_contact']}."
    if not online and row["last_contact"] is not None:
        quiet = now - datetime.fromisoformat(row["last_contact"])
        if quiet > LOST_AFTER:
            yield f"Nothing was heard of it for {quiet.days} days: it may be lost (H1)."


def _explain_generation(connection: Connection, row: RowMapping) -> Iterator[str]:
    moved = _last(connection, row["unit_id"], ("generation-changed",))
    if moved is not None:
        data = json.loads(moved["data"])
        yield f"At {moved['at']} it moved from OS {data['before']} to OS {data['now']}: {moved['cause']}."
    if row["generation"] != OS11:
        return
    port = row["push_port"] or PUSH_PORT
    yield f"It is an OS 11 device: it calls TCP 30001, and is called on TCP {port} of {row['last_ip']} (G1)."
    failed, reached = _last(connection, row["unit_id"], ("call-failed",)), _last(connection, row["unit_id"], _REACHED)
    if failed is not None and (reached is None or failed["id"] > reached["id"]):
        yield f"The last call to it failed at {failed['at']}: {failed['cause']}."


def _explain_certificates(connection: Connection, row: RowMapping, now: datetime) -> Iterator[str]:
    if row["registered_at"] is None:
        return
    query = select(certificate).where(certificate.c.unit_id == row["unit_id"]).order_by(certificate.c.id.desc())
    rows = connection.execute(query).mappings().all()
    usable = [one for one in rows if registry.certificate_state(one) in {"active", "issued"}]
    if not usable:
        yield "It has no certificate that counts, so it cannot connect until it enrols again."
        revoked = next((one for one in rows if one["revoked_at"] is not None), None)
        if revoked is not None:
            yield f"Its certificate was revoked at {revoked['revoked_at']}: {revoked['revoked_why']}."
        return
    newest = usable[0]
    ends = datetime.fromisoformat(newest["not_after"])
    if ends <= now:
        yield (
            f"Its certificate expired at {newest['not_after']}: the handshake ends with alert 45. It must enrol again, "
            "or `enrolment.accept_expired` lets it in to renew (X9)."
        )
    else:
        word = "has been used" if newest["first_used_at"] is not None else "has never been used"
        yield f"Its certificate {word} and is valid until {newest['not_after']}."


def _explain_trust(connection: Connection, unit_id: UnitId) -> Iterator[str]:
    missed = _last(connection, unit_id, ("web-root-missed",))
    since = _last(connection, unit_id, ("roots-acknowledged", "device-connected"))
    if missed is not None and (since is None or missed["id"] > since["id"]):
        yield (
            f"It has not learnt of the web root that is used since {missed['at']}: it refuses this server with error "
            "46 until it comes on board again."
        )


def _explain_settings(connection: Connection, row: RowMapping, *, online: bool) -> Iterator[str]:
    wanted, has = row["settings_version"], row["applied_version"]
    if row["registered_at"] is None:
        return
    if not registry.is_pending(row):
        if has:
            yield f"It has the settings it is to have, version {has}, since {row['applied_at']}: APPLIED."
        else:
            yield "It was never given settings."
        return
    changed = _last(connection, row["unit_id"], ("settings-changed",), with_others=True)
    because = f"; the last change was {changed['cause']}, at {changed['at']}" if changed and changed["cause"] else ""
    yield f"It is to have settings version {wanted} but has confirmed {has or 'none'}: PENDING{because}."
    if row["settings_when"] == "reboot":
        yield "The new settings are kept for its next boot, as the administrator chose."
    elif online and (refused := _refused_version(connection, row["unit_id"], wanted)):
        yield f"They were sent, and it could not keep them: {refused}."
    elif row["generation"] == OS11:
        yield "It gets them when it next calls, or can be called."
    elif online:
        yield "They are sent, and it has not confirmed them yet."
    else:
        yield "It gets them at its next connection."


def _refused_version(connection: Connection, unit_id: UnitId, version: int) -> str | None:
    """Why the device did not take this version; None when it has not said so."""
    refused = _last(connection, unit_id, ("settings-refused",))
    return refused["cause"] if refused is not None and json.loads(refused["data"]).get("version") == version else None


def _explain_failures(row: RowMapping) -> Iterator[str]:
    for what in ("file", "app"):
        failed = [one for one in json.loads(row[f"{what}s"]) if one["state"] == InstallState.FAILED]
        for one in failed[:NAMED_AT_MOST]:
            yield f"The {what} {one['name']} could not be installed: {one.get('message') or 'it does not say why'}."
        if len(failed) > NAMED_AT_MOST:
            yield f"Nor could {len(failed) - NAMED_AT_MOST} more {what}s; `umslab ctl devices show` has all."


def _explain_tasks(connection: Connection, unit_id: UnitId) -> Iterator[str]:
    query = (
        select(task, execution.c.command, execution.c.exec_id)
        .join(execution, execution.c.id == task.c.execution_id)
        .where(task.c.unit_id == unit_id, task.c.finished_at.is_(None))
        .order_by(task.c.id)
    )
    words = {
        "waiting": "waits for its turn",
        "at-next-boot": "is kept for its next boot",
        "sent": "was sent and has no result yet",
    }
    for row in connection.execute(query).mappings():
        yield f"The command {row['command']} ({row['exec_id']}) {words.get(row['state'], row['state'])}."


def _explain_refusal(connection: Connection, unit_id: UnitId) -> Iterator[str]:
    refused = _last(connection, unit_id, _REFUSALS)
    connected = _last(connection, unit_id, _WELCOMES)
    if refused is not None and (connected is None or refused["id"] > connected["id"]):
        what = refused["kind"].partition("-")[0]
        yield f"Its last {what} from {refused['actor']} was refused at {refused['at']}: {refused['cause']}."


def _last(
    connection: Connection, unit_id: str, kinds: tuple[str, ...], *, with_others: bool = False
) -> RowMapping | Any | None:
    """Return the device's last event of these kinds; `with_others` also one that several devices share."""
    mine = event.c.unit_id == unit_id
    whose = or_(mine, event.c.unit_id.is_(None)) if with_others else mine
    query = select(event).where(event.c.kind.in_(kinds), whose).order_by(event.c.id.desc()).limit(1)
    return connection.execute(query).mappings().first()
