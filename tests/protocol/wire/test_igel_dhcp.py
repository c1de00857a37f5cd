# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.igel_dhcp: what counts, what is left, and why."""

from __future__ import annotations

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.wire.dhcp_options import Option
from umslab_protocol.wire.igel_dhcp import (
    ExtraCodes,
    IgelView,
    Item,
    Place,
    interpret,
    requested_codes,
    vendor_class,
    vendor_payload,
)

OS12 = FirmwareVersion(12, 8, 4)
SERVER, TAG = Option(224, b"global.example"), Option(226, b"GLOBAL")
EXTRA = ExtraCodes(port=240, auth_key=241, ca_hash=242)


def _view(*options: Option, firmware: str = "12.8.4", extra: ExtraCodes | None = None) -> IgelView:
    return interpret(options, FirmwareVersion.parse(firmware), extra)


def _vendor(payload: str | bytes) -> Option:
    return Option(43, payload if isinstance(payload, bytes) else bytes.fromhex(payload))


def _facts(view: IgelView) -> set[str]:
    return {fact for remark in (*view.reasons, *view.warnings) for fact in remark.facts}


def test_payload_of_option_43() -> None:
    """D9a, byte for byte."""
    payload = vendor_payload(server="192.0.2.10", tag="HQ", exclusive=True)

    assert bytes.fromhex("010101E00A3139322E302E322E3130E2024851") == payload
    assert b"\xe0\x03ums" == vendor_payload(server="ums")
    with pytest.raises(InvalidValueError):
        vendor_payload(server="a b")


@pytest.mark.parametrize("firmware", ["11.03.500", "11.04.100", "12.8.4"])
def test_global_options(firmware: str) -> None:
    """D2: every firmware reads option 224."""
    view = _view(SERVER, firmware=firmware)

    assert "global.example" == view.value(Item.SERVER)
    assert (Place.GLOBAL, "option 224") == (view.settings[Item.SERVER].place, view.settings[Item.SERVER].source)
    assert "D2" in view.settings[Item.SERVER].facts
    assert () == view.reasons == view.warnings


def test_old_firmware_reads_224_only() -> None:
    """D3: before 11.04.100 option 43 means nothing, and so does 226."""
    vendor = _vendor(vendor_payload(server="vendor.example", tag="V", exclusive=True))
    view = _view(SERVER, TAG, vendor, firmware="11.04.99")

    assert ("global.example", None, False) == (view.value(Item.SERVER), view.value(Item.TAG), view.exclusive)
    assert 2 == len(view.reasons)
    assert {"D2", "D3"} == _facts(view)


def test_inside_43_beats_global() -> None:
    """D6, for each option by itself: the tag is still the global one."""
    view = _view(SERVER, TAG, _vendor(vendor_payload(server="vendor.example")))

    assert ("vendor.example", "GLOBAL") == (view.value(Item.SERVER), view.value(Item.TAG))
    assert "sub-option 224 of option 43" == view.settings[Item.SERVER].source
    assert ["option 224 is ignored because the value inside option 43 beats it"] == [one.text for one in view.reasons]
    assert {"D6"} == _facts(view)


def test_exclusive_switches_global_off() -> None:
    """D5: also for what option 43 does not carry."""
    view = _view(SERVER, TAG, _vendor(vendor_payload(server="vendor.example", exclusive=True)))

    assert ("vendor.example", None, True) == (view.value(Item.SERVER), view.value(Item.TAG), view.exclusive)
    assert {"D5"} == _facts(view)
    assert 2 == len(view.reasons)


@pytest.mark.parametrize(("payload", "shown"), [("010100", "00"), ("0100", "nothing"), ("01020001", "0001")])
def test_exclusive_with_another_value(payload: str, shown: str) -> None:
    """D5: its presence counts; the odd value is remarked."""
    view = _view(SERVER, _vendor(payload))

    assert view.exclusive
    assert view.value(Item.SERVER) is None
    assert shown in view.warnings[0].text


def test_dnsmasq_adds_an_end_byte_and_reorders() -> None:
    """What dnsmasq 2.90 sent for exclusive, server and tag."""
    view = _view(_vendor("e2024851e00a3139322e302e322e3130010101ff"))

    assert ("192.0.2.10", "HQ", True) == (view.value(Item.SERVER), view.value(Item.TAG), view.exclusive)
    assert () == view.warnings


@pytest.mark.parametrize(
    ("payload", "word", "server"),
    [
        ("e003756d73e204", "damaged", "ums"),
        ("e003756d73e2", "has no length", "ums"),
        ("e003756d73ff0102", "after its End byte", "ums"),
        ("e003756d73e00162", "more than once", "ums"),
        ("0903616263", "another vendor", "global.example"),
    ],
)
def test_odd_option_43(payload: str, word: str, server: str) -> None:
    """What can be read counts, and what is odd is said."""
    view = _view(SERVER, _vendor(payload))

    assert server == view.value(Item.SERVER)
    assert word in view.warnings[0].text


@pytest.mark.parametrize(("firmware", "warned"), [("11.11.150", False), ("12.7.5", True), ("12.7.6", False)])
def test_the_bug_of_os_12(firmware: str, *, warned: bool) -> None:
    """D12: a warning only where the bug can be met."""
    view = _view(_vendor(vendor_payload(server="ums")), firmware=firmware)

    assert warned == ("D12" in _facts(view))
    assert "D12" not in _facts(_view(SERVER, firmware=firmware))


def test_a_broken_value_inside_43_still_hides_the_global_one() -> None:
    """D6 to the letter; the warning says what is wrong."""
    view = _view(SERVER, _vendor("e004c000020a"))

    assert view.value(Item.SERVER) is None
    assert "DWORD" in view.warnings[0].text
    assert "D6" in _facts(view)


def test_extra_options_are_off_by_default() -> None:
    """D11: their codes are not published, so nothing is looked for."""
    assert set() == set(_view(Option(240, b"8443")).settings)


def test_extra_options_with_codes() -> None:
    """SIMULATED: port, key and hash, global or inside 43 with the same precedence."""
    inside = _vendor(b"\xf0\x049443" + b"\xf2\x20" + bytes(32))
    view = _view(Option(240, b"\x20\xfb"), Option(241, b"secret-1"), inside, extra=EXTRA)

    assert ("9443", "secret-1", "0" * 64) == tuple(
        view.value(item) for item in (Item.PORT, Item.AUTH_KEY, Item.CA_HASH)
    )
    assert ("D11", "NP15") == view.settings[Item.AUTH_KEY].facts
    assert "8443" == _view(Option(240, b"\x20\xfb"), extra=EXTRA).value(Item.PORT)


def test_extra_options_need_firmware() -> None:
    """D11: before 12.7.2 the device does not know them."""
    view = _view(Option(240, b"8443"), firmware="12.7.1", extra=EXTRA)

    assert view.value(Item.PORT) is None
    assert {"D11"} == _facts(view)


@pytest.mark.parametrize(
    "codes", [{"port": 224}, {"port": 43}, {"port": 1}, {"port": 240, "auth_key": 240}, {"port": 0}]
)
def test_extra_codes_that_cannot_be(codes: dict[str, int]) -> None:
    """They must be free, and differ."""
    with pytest.raises(InvalidValueError, match="must differ"):
        ExtraCodes(**codes)


def test_port_in_the_server() -> None:
    """NP16: taken, with a warning."""
    view = _view(Option(224, b"ums.example:9443"))

    assert ("ums.example", "9443") == (view.value(Item.SERVER), view.value(Item.PORT))
    assert {"NP16"} == _facts(view)


def test_lists() -> None:
    """D15: the first counts, the others are kept."""
    view = _view(Option(224, b"192.0.2.1, 192.0.2.2"))

    assert ("192.0.2.1", ("192.0.2.2",)) == (view.value(Item.SERVER), view.other_servers)
    assert {"D15"} == _facts(view)


def test_what_is_sent_and_asked_for() -> None:
    """D2, D3, D7: by firmware."""
    old = FirmwareVersion(11, 4, 99)

    assert (None, (224,)) == (vendor_class(old), requested_codes(old))
    assert (b"igel-dhcp-1", (43, 224, 226)) == (vendor_class(OS12), requested_codes(OS12))
