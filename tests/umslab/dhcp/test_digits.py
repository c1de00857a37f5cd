# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.dhcp.digits."""

from __future__ import annotations

import pytest

from umslab.dhcp.digits import NotDigitsError, read_digits

DATA = b"\x01\x01\x01\xe0\x0c192.0.2.10ab\xe2\x03abc"
ROWS = (
    "01 01 01 e0 0c 31 39 32 2e 30 2e 32 2e 31 30 61",
    "62 e2 03 61 62 63",
)


@pytest.mark.parametrize(
    "text",
    [
        DATA.hex(),
        DATA.hex(":"),
        DATA.hex("."),
        DATA.hex("-").upper(),
        "\n".join(ROWS),
        ",".join(f"0x{byte:x}" for byte in DATA),
        "{ " + ", ".join(f"0x{byte:02X}" for byte in DATA) + " };",
        "".join(f"\\x{byte:02x}" for byte in DATA),
        f"'{DATA.hex()}'",
        f"hex:{DATA[:9].hex(',')},\\\r\n  {DATA[9:].hex(',')}",
        f'"Vendor Info"=hex(3):{DATA.hex(",")}',
        f"00000000: 0101 01e0 0c31 3932 2e30 2e32 2e31 3061  .....192.0.2.10a\n00000010: 62e2 0361 6263{'':30}b..abc",
        f"00000000  {ROWS[0][:24]} {ROWS[0][24:]}  |.....192.0.2.10a|\n00000010  {ROWS[1]}{'':33}|b..abc|\n00000016\n",
        f"0000   {ROWS[0]}   .....192.0.2.10a\n0010   {ROWS[1]}                                  b..abc\n",
        f"\t0x0000:  {DATA[:16].hex(' ', -2)}  .....192.0.2.10a\n\t0x0010:  {DATA[16:].hex(' ', -2)}",
        f"0000000 {ROWS[0]}\n0000020 {ROWS[1]}\n0000026\n",
    ],
)
def test_notations(text: str) -> None:
    """Lists, C, Kea, the Windows registry, xxd, hexdump, Wireshark, tcpdump, od."""
    assert DATA == read_digits(text)


@pytest.mark.parametrize("text", ["0000 01\n0010 02", "0010 0101", f"0000 {'01 ' * 17}", "0000:0101"])
def test_what_only_looks_like_a_dump(text: str) -> None:
    """Numbers that do not count the bytes are bytes themselves, and nothing is left out of a long row."""
    assert bytes.fromhex(text.replace(":", "")) == read_digits(text)


@pytest.mark.parametrize("text", ["ums", "192.0.2.10", "e00", "01 01 0g"])
def test_no_digits(text: str) -> None:
    """Nor is an address four bytes."""
    with pytest.raises(NotDigitsError):
        read_digits(text)
