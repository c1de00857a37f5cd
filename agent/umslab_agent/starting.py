# SPDX-License-Identifier: Apache-2.0
"""What a device does when it boots: finish what it promised, count the boot, look at what its folder holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from umslab_agent.happenings import Kind
from umslab_agent.kept import Installed
from umslab_certs.errors import CertificateError
from umslab_protocol.machines.device_life import Booted
from umslab_protocol.wire.inventory import AppState, InstallState
from umslab_protocol.wire.messages import VERSIONS, Hello

if TYPE_CHECKING:
    from umslab_agent.kept import SettingsDocument
    from umslab_agent.unit import Unit

RENEW_BEFORE = timedelta(days=30)  # X8


def start_up(unit: Unit) -> tuple[SettingsDocument, Installed]:
    """Boot; return what the device is to have, and how far it is with that.

    Raises `DeviceFolderError` or `CertificateError` when something in the folder is damaged, `OSError` when it cannot
    be used.
    """
    folder = unit.folder
    _finish_what_was_promised(unit)
    boots = folder.boots.load()
    unit.boot, unit.booted_at = boots.count + 1, unit.utc()
    unit.replacing = folder.journal.load().replacing
    folder.boots.save(msgspec.structs.replace(boots, count=unit.boot))
    folder.drop_finished_request()
    installed, document = _installed(unit), folder.settings.load()
    for kept in (folder.connectors, folder.announced_roots, folder.discovered, folder.reached, folder.inbox):
        kept.load()  # so that damage is told now
    unit.put_in_effect(installed.settings)
    unit.tell(Kind.BOOTED, f"boot {unit.boot}, firmware {unit.persona.firmware}", boot=unit.boot)
    return document, installed


def _installed(unit: Unit) -> Installed:
    """What is on the device; one that has never been given anything has the apps it came with."""
    kept, apps = unit.folder.installed, unit.behaviour.apps
    if apps and not kept.exists():
        states = [AppState(name=name, version=version, state=InstallState.INSTALLED) for name, version in apps.items()]
        kept.save(Installed(apps=states))
    return kept.load()


def make_hello(unit: Unit) -> Hello:
    """Say who it is, and what it holds. Raises `DeviceFolderError` for damaged files."""
    return Hello(
        versions=list(VERSIONS),
        unitID=unit.persona.unit_id,
        firmwareVersion=unit.persona.firmware,
        boot=str(unit.boot),
        connectors=unit.folder.connectors.load().digest,
        roots=unit.folder.announced_roots.load().digest,
    )


def _finish_what_was_promised(unit: Unit) -> None:
    """Do what a command promised: the power failed between its result and the deed, or it was for the next boot."""
    folder = unit.folder
    journal = folder.journal.load()
    if journal.reset_pending:
        folder.reset()
    elif journal.firmware_pending:
        unit.persona = msgspec.structs.replace(unit.persona, firmware=journal.firmware_pending)
        folder.save_persona(unit.persona)
        folder.journal.save(msgspec.structs.replace(journal, firmware_pending=""))
        unit.tell(Kind.FIRMWARE, f"firmware {unit.persona.firmware} installed", firmware=unit.persona.firmware)


def look_around(unit: Unit, *, discovers: bool = False) -> Booted:
    """Return where on its way the device stands. Raises `CertificateError` or `DeviceFolderError`.

    A device that `discovers` its UMS and has no certificate yet looks for it anew at each boot, and trusts anew.
    """
    folder = unit.folder
    enrolled = folder.identity_dates() is not None
    roots, _ = folder.load_trust()
    return Booted(
        enrolled=enrolled and bool(roots),
        trusted=bool(roots) and (enrolled or not discovers),
        request_pending=folder.load_request() is not None,
        renewal_due=enrolled and is_renewal_due(unit),
        unknown_for=_unknown_for(unit),
    )


def _unknown_for(unit: Unit) -> float | None:
    if not unit.folder.unknown.exists():
        return None
    try:
        since = datetime.fromisoformat(unit.folder.unknown.load().since)
    except ValueError:
        since = unit.utc()  # somebody edited the file: the delay begins anew
    since = since if since.tzinfo is not None else since.replace(tzinfo=UTC)
    return max(0.0, (unit.utc() - since).total_seconds())


def is_renewal_due(unit: Unit) -> bool:
    """Whether the certificate has so little time left that it is to be renewed (X8), or that was ordered."""
    try:
        dates = unit.folder.identity_dates()
        if unit.replacing and unit.replacing == unit.folder.identity_serial():
            return True
    except (CertificateError, OSError):
        return False
    if dates is None:
        return False
    begin, end = dates
    return end - unit.utc() < min(RENEW_BEFORE, (end - begin) / 3)
