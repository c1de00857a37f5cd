# SPDX-License-Identifier: Apache-2.0
"""What a device keeps survives power cuts, and damage is named."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from tests.certs.pki import NOW, make, refused
from umslab_agent.errors import DeviceFolderError
from umslab_agent.folder import DeviceFolder
from umslab_agent.persona import derive_persona
from umslab_certs.authority import create_root
from umslab_certs.csr import read_request
from umslab_certs.errors import Fault
from umslab_certs.keys import KeyType
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE
from umslab_protocol.values.unit_id import UnitId

if TYPE_CHECKING:
    from pathlib import Path

UNIT_ID = UnitId("02AABBCCDDEE")
CA = create_root("client CA", KeyType.P256, now=NOW, path_length=0)


@pytest.fixture
def folder(tmp_path: Path) -> DeviceFolder:
    """A fresh device folder."""
    path = tmp_path / "device"
    path.mkdir(mode=0o700)
    return DeviceFolder(path)


def _enrol(folder: DeviceFolder) -> None:
    request = read_request(folder.make_request(UNIT_ID, KeyType.P256))
    folder.take_certificate(CA.issue_device(request, now=NOW))


def test_a_fresh_folder_knows_nothing(folder: DeviceFolder) -> None:
    """No persona, no request, no identity, no trust."""
    assert folder.load_persona() is None
    assert folder.load_request() is None
    assert folder.load_identity() is None
    assert folder.load_trust() == ([], [])


def test_the_persona_comes_back(folder: DeviceFolder) -> None:
    """Who the device is survives a restart."""
    persona = derive_persona(1, 2, firmware=DEFAULT_FIRMWARE, structure_tag="HQ")
    folder.save_persona(persona)

    assert persona == folder.load_persona()


def test_the_request_comes_back_byte_for_byte(folder: DeviceFolder) -> None:
    """The CSR that was kept is the one that was made."""
    der = folder.make_request(UNIT_ID, KeyType.P256)
    loaded = folder.load_request()

    assert loaded is not None
    assert der == loaded[1]
    assert read_request(der).public_key == loaded[0].public_key()


def test_a_certificate_replaces_the_request(folder: DeviceFolder) -> None:
    """Taking the certificate puts key and certificate in use and ends the request."""
    _enrol(folder)

    assert folder.load_identity() is not None
    assert folder.load_request() is None


def test_the_dates_are_those_of_the_certificate_in_use(folder: DeviceFolder) -> None:
    """Also after another certificate has come, and parsed once for each; a damaged file is told."""
    assert folder.identity_dates() is None
    for _ in range(2):
        _enrol(folder)
        certificate = folder.load_identity()
        assert certificate is not None
        assert (certificate.not_valid_before_utc, certificate.not_valid_after_utc) == folder.identity_dates()
        assert folder._identity_facts() is folder._identity_facts()
    folder.identity_file.write_bytes(b"nonsense")
    with refused(Fault.UNREADABLE):
        folder.identity_dates()


def test_a_foreign_certificate_changes_nothing(folder: DeviceFolder) -> None:
    """A certificate for another key is refused, and the request stays."""
    folder.make_request(UNIT_ID, KeyType.P256)
    stranger = make("stranger").certificate

    with refused(Fault.MISMATCHED):
        folder.take_certificate(stranger)

    assert folder.load_request() is not None
    assert folder.load_identity() is None


def test_a_certificate_without_a_request_is_refused(folder: DeviceFolder) -> None:
    """There must be a key to put in use."""
    with refused(Fault.MISMATCHED):
        folder.take_certificate(make("stranger").certificate)


def test_a_power_cut_between_identity_and_request_is_mended(folder: DeviceFolder) -> None:
    """A request whose key is in use already is finished; another one, a renewal, stays."""
    folder.make_request(UNIT_ID, KeyType.P256)
    request_file = folder.path / "request.pem"
    kept = request_file.read_bytes()
    folder.take_certificate(CA.issue_device(read_request(folder.load_request()[1]), now=NOW))  # type: ignore[index]
    request_file.write_bytes(kept)

    folder.drop_finished_request()
    finished = folder.load_request()
    folder.make_request(UNIT_ID, KeyType.P256)
    folder.drop_finished_request()

    assert finished is None
    assert folder.load_request() is not None


def test_several_pins_come_back(folder: DeviceFolder) -> None:
    """V2: a rotation has more than one root."""
    roots = [make("old root", ca=True).certificate, make("new root", ca=True).certificate]
    middle = make("middle", ca=True).certificate
    folder.save_trust(roots, [middle], [CA.certificate])

    assert (roots, [middle]) == folder.load_trust()


def test_trust_without_intermediates_forgets_older_ones(folder: DeviceFolder) -> None:
    """A later, shorter chain leaves no helper of the earlier one behind."""
    root = make("root", ca=True).certificate
    folder.save_trust([root], [make("middle", ca=True).certificate], [CA.certificate])

    folder.save_trust([root], [], [])

    assert ([root], []) == folder.load_trust()
    assert not (folder.path / "trust-store" / "est" / "est-ca.pem").exists()


def test_everything_is_private(folder: DeviceFolder) -> None:
    """Files are 0600 and folders 0700."""
    folder.save_persona(derive_persona(1, 2, firmware=DEFAULT_FIRMWARE))
    folder.save_trust([CA.certificate], [], [CA.certificate])
    _enrol(folder)
    folder.make_request(UNIT_ID, KeyType.P256)

    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in folder.path.rglob("*")}

    assert {(True, 0o700), (False, 0o600)} == modes


def test_forgetting_keeps_only_who_it_is(folder: DeviceFolder) -> None:
    """A released device has no identity, no request and no pins, but the same unit ID."""
    folder.save_persona(derive_persona(1, 2, firmware=DEFAULT_FIRMWARE))
    folder.save_trust([CA.certificate], [], [])
    _enrol(folder)
    folder.make_request(UNIT_ID, KeyType.P256)

    folder.forget()
    folder.forget()

    assert [path.name for path in folder.path.rglob("*")] == ["device.json"]


def test_two_devices_do_not_share_a_folder(folder: DeviceFolder) -> None:
    """The second one is told what to do."""
    with folder.locked(), pytest.raises(DeviceFolderError, match="--state"), folder.locked():
        pass


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"unit_id": 5}', b"\xff\xfe"], ids=["empty", "cut", "list", "type", "bytes"]
)
def test_a_damaged_persona_is_named(folder: DeviceFolder, content: bytes) -> None:
    """The message names the file."""
    (folder.path / "device.json").write_bytes(content)

    with pytest.raises(DeviceFolderError, match=r"device\.json"):
        folder.load_persona()


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE REQUEST-----\n%%%\n-----END CERTIFICATE REQUEST-----"]
)
def test_a_damaged_request_is_named(folder: DeviceFolder, content: bytes) -> None:
    """The message names the file."""
    (folder.path / "request.pem").write_bytes(content)

    with refused(Fault.UNREADABLE, "request.pem"):
        folder.load_request()
