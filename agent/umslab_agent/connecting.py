# SPDX-License-Identifier: Apache-2.0
"""Which connectors a device asks, in which order, and what a whole round of refusals means (facts W4-W10, L5, L6).

Provenance: the list, its ranking, the fallback to the last addresses and `igelrmserver` are documented; that a round
ends with the first connector that answers 101, and which refusal of several is told, is ours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from umslab_agent.explain import ERRORS, MAX_DETAIL, explain, explain_session_refusal
from umslab_agent.happenings import Kind
from umslab_agent.kept import ADDRESSES, InboxMessage, Reached, Unknown
from umslab_agent.link import Link, SessionRefused, open_link
from umslab_agent.parameters import Ranking
from umslab_agent.unit import stamp
from umslab_certs.chain import check_time, parse_certificate
from umslab_certs.errors import CertificateError
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.failure import Failure, Phase, Reason
from umslab_protocol.values.firmware import Behaviour, behaves
from umslab_protocol.values.host_port import DEFAULT_WEB_PORT, HostPort, parse_host_port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umslab_agent.unit import Unit
    from umslab_protocol.wire.messages import Hello
    from umslab_protocol.wire.orders import Connector

IGELRMSERVER = HostPort("igelrmserver", DEFAULT_WEB_PORT)  # W9

Asked = tuple[HostPort, Failure]


class NobodyAcceptedError(Exception):
    """A whole round failed: what each connector said, and what that comes to."""

    def __init__(self, asked: Sequence[Asked]) -> None:
        super().__init__("no connector let the device in")
        self.asked = list(asked)
        self.failure = sum_up(self.asked)


def candidates(unit: Unit, given: Sequence[HostPort]) -> list[HostPort]:
    """Return whom to ask, in order; `given` is the address of the user, or all of one source of discovery.

    Raises `DeviceFolderError` for damaged files.
    """
    known = unit.folder.connectors.load().connectors
    ordered = [HostPort(one.host, one.port) for one in _rank(unit, known)]
    ordered = ordered or list(given)
    if behaves(unit.firmware, Behaviour.REMEMBERS_CONNECTORS):
        ordered += _reached(unit.folder.reached.load())
    if unit.parameters.igelrmserver:
        ordered.append(IGELRMSERVER)
    return list(dict.fromkeys(ordered))


def _rank(unit: Unit, known: Sequence[Connector]) -> list[Connector]:
    shuffled = list(known)
    unit.chance.shuffle(shuffled)
    preferred = unit.parameters.ranking
    if preferred is not Ranking.NONE:
        shuffled.sort(key=lambda connector: connector.type != preferred.value)
    return shuffled


def _reached(reached: Reached) -> list[HostPort]:
    found = []
    for text in reached.addresses:
        try:
            found.append(parse_host_port(text))
        except InvalidValueError:
            continue  # somebody edited the file
    return found


def remember(unit: Unit, target: HostPort) -> None:
    """Keep where the device was let in (W8). Raises `OSError`, and `DeviceFolderError` for a damaged file."""
    if not behaves(unit.firmware, Behaviour.REMEMBERS_CONNECTORS):
        return
    before = unit.folder.reached.load().addresses
    after = [str(target), *(text for text in before if text != str(target))][:ADDRESSES]
    if after != before:
        unit.folder.reached.save(Reached(addresses=after))


async def connect(unit: Unit, given: Sequence[HostPort], hello: Hello) -> tuple[HostPort, Link]:
    """Ask one connector after the other; raises `NobodyAcceptedError` when all said no (W6)."""
    asked: list[Asked] = []
    for target in candidates(unit, given):
        link = await _try(unit, target, hello)
        if isinstance(link, Link):
            return target, link
        asked.append((target, link))
    raise NobodyAcceptedError(asked)


async def _try(unit: Unit, target: HostPort, hello: Hello) -> Link | Failure:
    world = unit.world
    try:
        link = await open_link(
            world.network,
            target,
            unit.identity(),
            hello=hello,
            key=world.entropy(16),
            codec=world.codec,
            host=world.host,
            tap=world.tap,
            trace=world.trace,
            within=unit.parameters.connect_timeout,
        )
    except SessionRefused as refused:
        return explain_session_refusal(refused.response)
    except (trio.BrokenResourceError, *ERRORS) as error:
        return explain(Phase.CONNECT, error)
    if unit.behaviour.clock_skew_seconds and (failure := _judge_time(unit, link)):
        link.stream.abort()
        return failure
    return link


def _judge_time(unit: Unit, link: Link) -> Failure | None:
    """Look at the server's certificate by the device's own wrong calendar; OpenSSL looked at the machine's (SE7)."""
    presented = link.stream.peer_certificate
    if presented is None:
        return None
    try:
        check_time(parse_certificate(presented), unit.utc())
    except CertificateError as error:
        return Failure(Phase.CONNECT, Reason.CERTIFICATE_TIME, error.message, "set this device's clock (SE7)")
    return None


def sum_up(asked: Sequence[Asked]) -> Failure:
    """Make one failure of a round: "unknown" if anybody said so (L5), else what the first reachable one said."""
    failures = [failure for _, failure in asked]
    if not failures:
        return Failure(Phase.CONNECT, Reason.NAME_UNKNOWN, "no UMS is known", "name it: umslab device HOST[:PORT]")
    if len(failures) == 1:
        return failures[0]
    unreachable = {Reason.UNREACHABLE, Reason.TIMEOUT, Reason.NAME_UNKNOWN}
    chosen = next(
        (failure for failure in failures if failure.reason is Reason.UNKNOWN_DEVICE),
        next((failure for failure in failures if failure.reason not in unreachable), failures[0]),
    )
    detail = "; ".join(f"{target}: {failure.detail}" for target, failure in asked)
    waits = [failure.retry_after for failure in failures if failure.retry_after is not None]
    return replace(chosen, detail=detail[:MAX_DETAIL], retry_after=min(waits, default=None))


def note_unknown(unit: Unit, failure: Failure) -> None:
    """Keep since when servers call the device unknown, over restarts (L5)."""
    if failure.reason is Reason.UNKNOWN_DEVICE and not unit.folder.unknown.exists():
        try:
            unit.folder.unknown.save(Unknown(since=stamp(unit.utc())))
        except OSError as error:
            unit.tell(Kind.RELEASE, f"not kept that a server calls this device unknown: {error}")


def give_up(unit: Unit, asked: Sequence[Asked]) -> None:
    """Forget the server; `asked` are those whose answers made the device do so by itself, which it writes down (L6).

    If the settings say so, its user is told, once however often the power fails meanwhile. Raises `OSError`, and
    `DeviceFolderError` for a damaged file.
    """
    if asked:
        now = unit.utc()
        since = unit.folder.unknown.load().since or stamp(now)
        text = release_report(unit.persona.unit_id, since, stamp(now), asked)
        file = unit.folder.note_release(now.strftime("%Y%m%dT%H%M%SZ"), text)
        unit.tell(Kind.RELEASE, f"registration given up: see {file}", log=str(file))
        if unit.parameters.notify_user:
            _notify_user(unit, since)
    unit.folder.forget()


def _notify_user(unit: Unit, since: str) -> None:
    text = f"This device ({unit.persona.unit_id}) is not managed any more: no server has known it since {since}."
    notice = InboxMessage(at=stamp(unit.utc()), text=text, problem=f"unknown since {since}")
    before = unit.folder.inbox.load()
    after = before.and_message(notice)
    if after is not before:
        unit.folder.inbox.save(after)
        unit.tell(Kind.MESSAGE, f'notification "{text}"', message=text)


def release_report(unit_id: str, since: str, now: str, asked: Sequence[Asked]) -> str:
    """Return the text of the self-release log: who was asked, and what they said (L6)."""
    lines = [
        f"{now} device {unit_id} gives up its registration (simulated; umslab is not affiliated with IGEL)",
        f"servers have called it unknown since {since}, and none has let it in since then",
        "asked last:",
        *(f"  {target}  {failure.reason}: {failure.detail}" for target, failure in asked),
    ]
    return "\n".join(lines) + "\n"
