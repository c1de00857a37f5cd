# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.namespaces, with files in the place of namespaces; real ones are in tests/safety."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab_runtime.namespaces import Whereabouts, whereabouts

if TYPE_CHECKING:
    from pathlib import Path


def _here(proc: Path, *, first: bool | None) -> Path:
    """A /proc with our namespace; the first process in the same one, another one, or not to be seen."""
    ours, others = proc / "self" / "ns" / "net", proc / "1" / "ns" / "net"
    for path in (ours, others):
        path.parent.mkdir(parents=True)
    ours.write_text("")
    if first is not None:
        others.hardlink_to(ours) if first else others.write_text("")
    return ours


@pytest.mark.parametrize(
    ("first", "name", "expected"),
    [
        (True, None, Whereabouts.MACHINE),
        (True, "umslab-lab", Whereabouts.MACHINE),
        (None, None, Whereabouts.MACHINE),
        (None, "lab", Whereabouts.APART),
        (None, "umslab-lab", Whereabouts.MADE),
        (False, None, Whereabouts.APART),
        (False, "umslab-lab", Whereabouts.MADE),
    ],
)
def test_whereabouts(tmp_path: Path, *, first: bool | None, name: str | None, expected: Whereabouts) -> None:
    """The machine's network is never taken for another; a name counts only for the namespace one is in."""
    named = tmp_path / "netns"
    named.mkdir()
    (named / "umslab-other").write_text("")
    ours = _here(tmp_path / "proc", first=first)
    if name is not None:
        (named / name).hardlink_to(ours)

    assert expected is whereabouts(named=named, proc=tmp_path / "proc")


def test_nothing_is_known(tmp_path: Path) -> None:
    """Where there is no /proc and no named namespace, it is the machine's network."""
    assert Whereabouts.MACHINE is whereabouts(named=tmp_path / "none", proc=tmp_path)
    _here(tmp_path / "proc", first=None)
    assert Whereabouts.MACHINE is whereabouts(named=tmp_path / "none", proc=tmp_path / "proc")
