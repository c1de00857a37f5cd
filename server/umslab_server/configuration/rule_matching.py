# SPDX-License-Identifier: Apache-2.0
"""Which default directory rule places a device (section 11.5, B5): pure computation.

All criteria of a rule must hold; a rule without any fits every device. Rules are looked at from top to bottom and the
first that fits decides; below it, its child rules refine: the deepest one that fits decides. A rule without a target
fits and places nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Annotated, TypeAlias

from msgspec import Meta, Struct

from umslab_server.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Pattern = Annotated[str, Meta(min_length=1, max_length=255)]
IpAddress: TypeAlias = IPv4Address | IPv6Address


class Criteria(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What must hold; in texts `*` and `?` stand for anything, and case does not count."""

    structure_tag: Pattern | None = None
    ip_range: Pattern | None = None
    """`10.1.0.0/16`, one address, or `10.1.0.1-10.1.0.99`."""
    user: Pattern | None = None
    """Who onboarded it: the whole mail address, or what stands before the @."""
    role: Pattern | None = None
    mail_domain: Pattern | None = None
    app: Pattern | None = None
    """The name of an installed app."""
    firmware: Pattern | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is known about a device."""

    structure_tag: str = ""
    address: str = ""
    onboarded_by: str = ""
    role: str = ""
    apps: tuple[str, ...] = ()
    """Those that are installed."""
    firmware: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule with those that refine it."""

    id: int
    name: str
    criteria: Criteria
    directory_id: int | None
    override: bool = False
    """Also move a device that is not in the root."""
    leave_in_subdirectory: bool = False
    """A device that is somewhere below the target stays."""
    at_boot: bool = False
    children: Sequence[Rule] = field(default=())


@dataclass(frozen=True, slots=True)
class Look:
    """What came of looking at one rule."""

    rule: Rule
    depth: int
    fails: tuple[str, ...]
    """Why it does not fit; empty when it does."""


def check_criteria(criteria: Criteria) -> None:
    """Raise `RefusedError` for an IP range that is none."""
    if criteria.ip_range is not None:
        _parse_range(criteria.ip_range)


def decide(rules: Iterable[Rule], subject: Subject) -> tuple[Rule | None, list[Look]]:
    """Return the rule that decides, and all that were looked at on the way."""
    looks = list(_look(rules, subject, 0))
    fitting = [look.rule for look in looks if not look.fails]
    return (fitting[-1] if fitting else None), looks


def _look(rules: Iterable[Rule], subject: Subject, depth: int) -> Iterator[Look]:
    """Look at rules until one fits, then at those that refine it."""
    for rule in rules:
        look = Look(rule, depth, tuple(why_not(rule.criteria, subject)))
        yield look
        if not look.fails:
            yield from _look(rule.children, subject, depth + 1)
            return


def at_boot_only(rules: Iterable[Rule]) -> list[Rule]:
    """Return the rules that also count at a boot; what refines a rule that does not, does not either."""
    return [
        Rule(
            id=rule.id,
            name=rule.name,
            criteria=rule.criteria,
            directory_id=rule.directory_id,
            override=rule.override,
            leave_in_subdirectory=rule.leave_in_subdirectory,
            at_boot=True,
            children=at_boot_only(rule.children),
        )
        for rule in rules
        if rule.at_boot
    ]


def target_of(rule: Rule | None, here: int, root: int, above_here: Sequence[int]) -> tuple[int | None, str]:
    """Return where a device in directory `here` goes, None for nowhere, and why.

    `above_here` are the directories above it, from the root on.
    """
    if rule is None:
        return None, "no rule fits"
    if rule.directory_id is None:
        return None, f"rule {rule.name} fits and has no target"
    if rule.directory_id == here:
        return None, f"rule {rule.name} fits, and the device is in its target already"
    if rule.leave_in_subdirectory and rule.directory_id in above_here:
        return None, f"rule {rule.name} fits and leaves devices that are below its target where they are"
    if here != root and not rule.override:
        return None, f"rule {rule.name} fits, but the device is in a directory already and the rule does not override"
    return rule.directory_id, f"rule {rule.name} fits"


def why_not(criteria: Criteria, subject: Subject) -> Iterator[str]:
    """Tell which criteria do not hold, a sentence each."""
    name, _, domain = subject.onboarded_by.rpartition("@")
    texts: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
        ("structure tag", criteria.structure_tag, (subject.structure_tag,)),
        ("onboarding user", criteria.user, (subject.onboarded_by, name)),
        ("role", criteria.role, (subject.role,)),
        ("mail domain", criteria.mail_domain, (domain if name else "",)),
        ("installed app", criteria.app, subject.apps),
        ("firmware", criteria.firmware, (subject.firmware,)),
    )
    for what, pattern, values in texts:
        if pattern is not None and not any(_fits(value, pattern) for value in values if value):
            said = ", ".join(value for value in values if value) or "none"
            yield f"{what} is {said}, not {pattern}"
    if criteria.ip_range is not None and not _in_range(subject.address, criteria.ip_range):
        yield f"IP address is {subject.address or 'unknown'}, not in {criteria.ip_range}"


def _fits(value: str, pattern: str) -> bool:
    return fnmatchcase(value.casefold(), pattern.casefold())


def _in_range(text: str, wanted: str) -> bool:
    address = _parse_address(text)
    if address is None:
        return False
    first, last = _parse_range(wanted)
    return address.version == first.version and int(first) <= int(address) <= int(last)


def _parse_range(text: str) -> tuple[IpAddress, IpAddress]:
    if "-" in text:
        first, last = (_parse_address(part.strip()) for part in text.split("-", 1))
        if first is not None and last is not None and first.version == last.version and int(first) <= int(last):
            return first, last
    else:
        try:
            network = ip_network(text.strip(), strict=False)
        except ValueError:
            pass
        else:
            return network[0], network[-1]
    raise RefusedError(f"{text!r} is not a range of IP addresses: write 10.1.0.0/16 or 10.1.0.1-10.1.0.99")


def _parse_address(text: str) -> IpAddress | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
