# SPDX-License-Identifier: Apache-2.0
"""What `umslab device` tells of its device: a line a change, for people or machines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from umslab.cli.output import print_json_line
from umslab.printable import printable
from umslab_agent.happenings import Kind
from umslab_protocol.machines.device_life import State
from umslab_protocol.values.failure import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_agent.happenings import Happening
    from umslab_agent.living import Change
    from umslab_protocol.values.failure import Failure
    from umslab_protocol.values.host_port import HostPort


class Watcher:
    """Tells the user what happens to the device: a line a change, for people or machines."""

    def __init__(self, target: HostPort | None, unit_id: str, *, as_json: bool, once: bool) -> None:
        self._given = target is not None
        self._target = "the UMS" if target is None else str(target)
        self._unit_id = unit_id
        self._as_json = as_json
        self._once = once
        self._last: Change | None = None
        self.stop: Callable[[], None] = lambda: None

    def changed(self, change: Change) -> None:
        """Tell a change once; with `--once`, stop when the device is managed."""
        if change != self._last:
            self._last = change
            if self._as_json:
                print_json_line(self._as_object(change))
            else:
                self.say(self._sentence(change))
                failed = change.state in {State.WAITING, State.FAILED, State.RELEASED}
                if change.failure is not None and failed and not _is_asked_to_wait(change):
                    print(explain_failure(change.failure), file=sys.stderr, flush=True)
        if self._once and change.managed:
            self.stop()

    def happened(self, happening: Happening) -> None:
        """Tell what happened on the device; with `--once`, nothing after it was managed."""
        if self._once and self._last is not None and self._last.managed:
            return
        if self._as_json:
            about = {"version": 1, "unit_id": self._unit_id, "event": str(happening.kind), "text": happening.text}
            print_json_line({**about, "data": happening.data})
        elif happening.kind is not Kind.BOOTED:
            self.say(printable(happening.text))

    def say(self, text: str) -> None:
        """Print one line for people."""
        if not self._as_json:
            print(f"{self._unit_id}  {text}", flush=True)

    def _sentence(self, change: Change) -> str:
        match change.state:
            case State.ENROLLING:
                return "enrolling with the first-authentication key" if self._given else "enrolling"
            case State.ONLINE:
                return "managed" if change.managed else "online"
            case State.WAITING:
                wait = f"in {change.wait or 0:.1f} s"
                return f"not approved yet; asking again {wait}" if _is_asked_to_wait(change) else f"trying again {wait}"
            case State.REBOOTING:
                return f"rebooting; back in {change.wait or 0:.0f} s"
            case State.SUSPENDED | State.OFF | State.FACTORY:
                after = "" if change.wait is None else f"; back in {change.wait:.0f} s"
                return f"{_AWAY[change.state]}{after}"
            case _:
                return _STEPS.get(change.state, str(change.state)).format(target=self._target)

    def _as_object(self, change: Change) -> dict[str, Any]:
        failed = change.state in {State.WAITING, State.FAILED, State.RELEASED}
        return {
            "version": 1,
            "unit_id": self._unit_id,
            "state": str(change.state),
            "managed": change.managed,
            "wait": change.wait,
            "failure": describe_failure(change.failure) if failed and change.failure else None,
        }


def _is_asked_to_wait(change: Change) -> bool:
    """Whether the UMS has not said yes or no to the enrolment: no failure."""
    reason = None if change.failure is None else change.failure.reason
    return change.state is State.WAITING and reason is Reason.AWAITING_APPROVAL


_STEPS = {
    State.TRUSTING: "fetching the CA certificates of {target}",
    State.PREPARING: "root pinned; making a key and a certificate request",
    State.CONNECTING: "connecting to {target}",
    State.REGISTERING: "registering at {target}",
    State.CONTACTING: "contacting {target}",
    State.READY: "managed; listening for the UMS",
}
_AWAY = {State.SUSPENDED: "suspended", State.OFF: "shut down", State.FACTORY: "reset to factory defaults"}


def describe_failure(failure: Failure) -> dict[str, Any]:
    """A failure for machines."""
    return {
        "phase": str(failure.phase),
        "reason": str(failure.reason),
        "detail": failure.detail,
        "hint": failure.hint,
        "vendor_code": failure.vendor_code,
        "vendor_code_confidence": None if failure.confidence is None else str(failure.confidence),
    }


def explain_failure(failure: Failure) -> str:
    """A failure for people: phase, reason, hint and the vendor's code."""
    lines = [f"  phase    {failure.phase}", f"  reason   {failure.reason}: {printable(failure.detail)}"]
    if failure.hint:
        lines.append(f"  hint     {failure.hint}")
    if failure.vendor_code is not None:
        lines.append(f"  IGEL     error code {failure.vendor_code} ({failure.confidence})")
    return "\n".join(lines)
