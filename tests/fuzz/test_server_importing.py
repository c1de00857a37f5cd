# SPDX-License-Identifier: Apache-2.0
"""Whatever a CSV file holds: devices that are sound, or `ImportRefusedError` with a line number."""

from __future__ import annotations

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from umslab_protocol.values.unit_id import parse_mac, parse_unit_id
from umslab_server.importing import ImportRefusedError, read_csv
from umslab_server.texts import MAX_CHARACTERS

_fields = st.one_of(
    st.sampled_from(
        ["", "/", "/Dir", "00E0C5000001", "00:e0:c5:00:00:02", "85641000F615234423", "SN-1", '"', '""', " "]
    ),
    st.from_regex(r"[0-9A-F]{12}", fullmatch=True),
    st.text(max_size=12),
)
_lines = st.lists(_fields, max_size=14).map(";".join)
_files = st.one_of(
    st.binary(max_size=200),
    st.lists(_lines, max_size=3).map(lambda lines: "\n".join(lines).encode()),
    st.lists(_lines, max_size=3).map(lambda lines: "\r\n".join(lines).encode("utf-8-sig")),
)


@given(_files)
@settings(deadline=None)
@example(b"00E0C5000001;\x85")
@example(b'";')
def test_csv(data: bytes) -> None:
    """Unit IDs are unit IDs, each once; texts are short and printable; refusals say where."""
    devices, refusal = [], "line 1: "
    try:
        devices = read_csv(data)
    except ImportRefusedError as error:
        refusal = str(error)

    assert re.match(r"line \d+: |the file is not UTF-8 text", refusal)
    assert len({device.unit_id for device in devices}) == len(devices)
    for device in devices:
        assert parse_unit_id(device.unit_id) == device.unit_id
        assert not device.mac or parse_mac(device.mac) == device.mac
        for text in (device.name, *device.attributes.values()):
            assert text.isprintable()
            assert len(text) <= MAX_CHARACTERS
