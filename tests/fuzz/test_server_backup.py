# SPDX-License-Identifier: Apache-2.0
"""Whatever a backup file holds: it is restored whole, or refused with `BackupError` and nothing is touched."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from umslab_server.backup import BackupError, restore
from umslab_server.state_folder import StateFolder

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"registry.sqlite": b"the registry", "web/web.pem": b"the web", "est/authority.pem": b"the authority"}
_BLOCK = 512


def _tar(files: dict[str, bytes]) -> bytes:
    """A tar file of these files, as short as can be."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue().rstrip(b"\x00") + bytes(2 * _BLOCK)  # without the padding to whole records


def _manifest(files: dict[str, bytes], **changes: Any) -> bytes:
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return msgspec.json.encode(
        {"format": 1, "umslab": "x", "schema": 1, "made_at": "then", "sha256": digests, **changes}
    )


GOOD = _tar({"manifest.json": _manifest(FILES), **FILES})
_HEADERS = [at for at in range(0, len(GOOD), _BLOCK) if GOOD[at + 257 : at + 262] == b"ustar"]


@st.composite
def _edited(draw: st.DrawFn) -> bytes:
    """A good file with bytes changed anywhere, and perhaps cut off."""
    data = bytearray(GOOD)
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))])


@st.composite
def _forged(draw: st.DrawFn) -> bytes:
    """A good file with a header field changed and its checksum put right, as a forger would."""
    data = bytearray(GOOD)
    at = draw(st.sampled_from(_HEADERS))
    begin, end = draw(st.sampled_from([(0, 100), (124, 136), (156, 157), (157, 257), (257, 265), (345, 500)]))
    new = draw(
        st.one_of(
            st.binary(min_size=1, max_size=end - begin),
            st.sampled_from([b"\xff" * 12, b"\x80" + b"\x00" * 10 + b"\xff", b"x", b"g", b"S", b"L", b"K", b"5", b"0"]),
        )
    )[: end - begin]
    data[at + begin : at + begin + len(new)] = new
    data[at + 148 : at + 156] = b" " * 8
    data[at + 148 : at + 156] = b"%06o\x00 " % sum(data[at : at + _BLOCK])
    return bytes(data)


_names = st.one_of(st.sampled_from([*FILES, "../evil", "/evil", "web/../../evil", "est/x"]), st.text(max_size=20))
_lists = st.dictionaries(_names, st.one_of(st.text(max_size=8), st.sampled_from(["0" * 64])), max_size=3)


@st.composite
def _listed(draw: st.DrawFn) -> bytes:
    """A file whose manifest is anything, and fits its files or does not."""
    name = draw(st.text(st.characters(codec="ascii"), min_size=1, max_size=20))
    files = {**FILES, draw(st.one_of(_names.filter(lambda text: "\x00" not in text), st.just(name))): b"more"}
    changes: dict[str, Any] = draw(
        st.sampled_from([{}, {"format": 2}, {"schema": 99}, {"made_at": 7}, {"new": 1}, {"sha256": draw(_lists)}])
    )
    return _tar({"manifest.json": _manifest(files, **changes), **files})


def test_backup_files(tmp_path: Path) -> None:
    """Old state or new, nothing outside the state folder, and no other exception."""
    place = tmp_path / "place"
    file = tmp_path / "backup.tar"
    folder = StateFolder(place / "server")

    @given(st.one_of(st.binary(max_size=2_000), _edited(), _forged(), _listed(), st.just(GOOD)))
    @settings(deadline=None)
    def check(data: bytes) -> None:
        shutil.rmtree(place, ignore_errors=True)
        folder.path.mkdir(parents=True)
        (folder.path / "old").touch()
        file.write_bytes(data)
        refusal = ""
        try:
            restore(file, folder)
        except BackupError as error:
            refusal = str(error)
        if refusal:
            assert [path.name for path in place.iterdir()] == ["server"]
            assert (folder.path / "old").exists()
        else:
            assert sorted(path.name for path in place.iterdir()) == ["server", "server.before-restore-1"]
            assert {path.name for path in folder.path.iterdir()} == {"registry.sqlite", "web", "est"}
        assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "place"]

    check()
