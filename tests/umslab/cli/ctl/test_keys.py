# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl keys`: first-authentication keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .terminal import IDS, ctl, ctl_json, ctl_refused

if TYPE_CHECKING:
    from tests.support.process import ServerProcess


def test_keys_from_birth_to_death(server: ServerProcess) -> None:
    """Create, list, show, disable, enable, delete, export."""
    made = ctl_json(server, "keys", "keys", "create", "--kind", "mass", "--key", "chosen-one", "--label", "pilot")
    number = str(made[0]["id"])

    assert "chosen-one" == made[0]["secret"]
    assert "chosen-one" not in ctl(server, "keys", "list")
    assert "chosen-one" in ctl(server, "keys", "list", "--secrets")
    assert "chosen-one" == ctl_json(server, "key", "keys", "show", number)["secret"]
    assert f"{number};mass;chosen-one;;unused" in ctl(server, "keys", "export").splitlines()
    ctl(server, "keys", "disable", number)
    assert "disabled" == ctl_json(server, "key", "keys", "show", number)["state"]
    ctl(server, "keys", "enable", number)
    assert "exists already" in ctl_refused(server, "keys", "create", "--kind", "mass", "--key", "chosen-one")
    ctl(server, "keys", "delete", number)
    assert f"no key number {number}" in ctl_refused(server, "keys", "show", number)


def test_many_keys_as_csv(server: ServerProcess) -> None:
    """--count N --csv gives N lines for a spreadsheet, all different."""
    lines = ctl(server, "keys", "create", "--count", "20", "--csv").splitlines()

    assert 20 == len({line.split(";")[2] for line in lines})


def test_bound_keys_need_owners(server: ServerProcess) -> None:
    """One key for each unit ID; without one it is an error."""
    made = ctl_json(server, "keys", "keys", "create", "--kind", "bound", "--unit-id", IDS[0], "--unit-id", IDS[1])

    assert [IDS[0], IDS[1]] == [key["bound_to"] for key in made]
    assert "unit ID" in ctl_refused(server, "keys", "create", "--kind", "bound")
    assert "unit ID" in ctl_refused(server, "keys", "create", "--kind", "bound", "--unit-id", "nonsense")
