# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl why`: one device explained in sentences."""

from __future__ import annotations

from umslab.cli.ctl.asking import call
from umslab.cli.ctl.devices import UnitId
from umslab.cli.output import JsonOption, StateOption, print_json
from umslab.printable import printable


def why(unit_id: UnitId, *, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Tell in sentences why a device is in its state, also one that is not in the registry."""
    sentences = call(state, "why", unit_id=unit_id)
    if as_json:
        print_json("why", sentences)
    else:
        print("\n".join(printable(sentence) for sentence in sentences))
