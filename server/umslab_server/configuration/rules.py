# SPDX-License-Identifier: Apache-2.0
"""Default directory rules: kept, explained, and applied at registration and, where chosen, at boot (section 11.5).

At registration means: when the first system information after it is stored, in the same transaction, because only then
structure tag and firmware are known. Devices that a scan has ordered to register are placed only where that was wished
for (A8). At boot means: when a device has told about itself after a boot.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from sqlalchemy import select

from umslab_protocol.wire.inventory import AppState, InstallState
from umslab_server import registry, scan_orders
from umslab_server.configuration.directories import place
from umslab_server.configuration.document import DocumentTooLargeError
from umslab_server.configuration.library import Library
from umslab_server.configuration.reconcile import Settled, When
from umslab_server.configuration.rule_matching import (
    Criteria,
    Rule,
    Subject,
    at_boot_only,
    check_criteria,
    decide,
    target_of,
)
from umslab_server.configuration.tree import chain, path_of, resolve
from umslab_server.errors import RefusedError
from umslab_server.store import StoreError
from umslab_server.tables import ROOT_DIRECTORY, directory_rule

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from umslab_protocol.values.unit_id import UnitId
    from umslab_protocol.wire.messages import Hello
    from umslab_server.configuration.synchronise import Configuration
    from umslab_server.sessions import LiveSession
    from umslab_server.store import Store, Writer

MAX_RULES = 1_000
MAX_DEPTH = 8
MAX_NAME_CHARACTERS = 100
_RULES = select(directory_rule).order_by(directory_rule.c.position)
_APPS = msgspec.json.Decoder(list[AppState])


class RuleView(Struct, frozen=True, kw_only=True):
    """One rule as the terminal shows it."""

    id: int
    name: str
    depth: int
    """0 for a rule that refines none."""
    parent_id: int | None
    position: int
    """From 1, among its neighbours."""
    criteria: Criteria
    directory: str | None
    """None: it fits and places nowhere."""
    override: bool
    leave_in_subdirectory: bool
    at_boot: bool


class RuleLook(Struct, frozen=True, kw_only=True):
    """What came of looking at one rule for one device."""

    id: int
    name: str
    depth: int
    fits: bool
    why_not: list[str]


class RuleTest(Struct, frozen=True, kw_only=True):
    """What the rules would do with a device that registered now."""

    unit_id: str
    directory: str
    looks: list[RuleLook]
    target: str | None
    """Where it would go; None: it stays."""
    because: str


class Rules:
    """The rules, for people and for devices that come."""

    def __init__(self, store: Store, configuration: Configuration) -> None:
        self._store = store
        self._configuration = configuration
        self._booted: set[str] = set()  # devices that have said hello after a boot, and nothing since
        self._placed: set[str] = set()  # devices that were placed when they registered, and may have asked before

    # For people.

    async def list_rules(self) -> list[RuleView]:
        """Return all rules from top to bottom, each before those that refine it."""
        return await self._store.read(_list)

    async def create(
        self,
        name: str,
        criteria: Criteria,
        *,
        directory: str | None,
        parent: int | None = None,
        position: int | None = None,
        override: bool = False,
        leave_in_subdirectory: bool = False,
        at_boot: bool = False,
        actor: str,
    ) -> int:
        """Make a rule, last or at a position from 1; return its number. Raises `RefusedError`."""
        name = _check_name(name)
        check_criteria(criteria)

        def work(writer: Writer) -> int:
            connection = writer.connection
            if len(connection.execute(select(directory_rule.c.id)).all()) >= MAX_RULES:
                raise RefusedError(f"there are {MAX_RULES} rules already")
            if parent is not None and _depth(connection, parent) >= MAX_DEPTH:
                raise RefusedError(f"rules refine each other at most {MAX_DEPTH} deep")
            values = {
                "name": name,
                "parent_id": parent,
                "position": 0,
                "criteria": _encode(criteria),
                "directory_id": None if directory is None else resolve(connection, directory),
                "override": int(override),
                "leave_in_subdirectory": int(leave_in_subdirectory),
                "at_boot": int(at_boot),
            }
            made = connection.execute(directory_rule.insert().values(**values).returning(directory_rule.c.id))
            rule_id = int(made.scalar_one())
            _reorder(writer, parent, rule_id, position)
            writer.event("rule-created", actor=actor, rule=rule_id, name=name)
            return rule_id

        return await self._store.change(work)

    async def edit(self, rule_id: int, changes: dict[str, Any], *, actor: str) -> None:
        """Change `name`, `criteria`, `directory` (None: no target) or an option of a rule. Raises `RefusedError`."""
        if not changes:
            raise RefusedError("nothing to change was named")
        if "criteria" in changes:
            check_criteria(changes["criteria"])

        def work(writer: Writer) -> None:
            _row(writer.connection, rule_id)
            values: dict[str, Any] = {}
            for name, value in changes.items():
                if name == "name":
                    values["name"] = _check_name(value)
                elif name == "criteria":
                    values["criteria"] = _encode(value)
                elif name == "directory":
                    values["directory_id"] = None if value is None else resolve(writer.connection, value)
                else:
                    values[name] = int(value)
            writer.connection.execute(directory_rule.update().where(directory_rule.c.id == rule_id).values(**values))
            writer.event("rule-edited", actor=actor, rule=rule_id, changed=sorted(changes))

        await self._store.change(work)

    async def move(self, rule_id: int, position: int, *, actor: str) -> None:
        """Put a rule at a position from 1 among its neighbours. Raises `RefusedError`."""

        def work(writer: Writer) -> None:
            _reorder(writer, _row(writer.connection, rule_id)["parent_id"], rule_id, position)
            writer.event("rule-moved", actor=actor, rule=rule_id, position=position)

        await self._store.change(work)

    async def delete(self, rule_id: int, *, actor: str) -> None:
        """Delete a rule and those that refine it; devices stay where they are. Raises `RefusedError`."""

        def work(writer: Writer) -> None:
            row = _row(writer.connection, rule_id)
            writer.connection.execute(directory_rule.delete().where(directory_rule.c.id == rule_id))
            _reorder(writer, row["parent_id"], None, None)
            writer.event("rule-deleted", actor=actor, rule=rule_id, name=row["name"])

        await self._store.change(work)

    async def test(self, unit_id: UnitId) -> RuleTest:
        """Tell what the rules would do with a device if it registered now, and why. Raises `RefusedError`."""

        def query(connection: Connection) -> RuleTest:
            row = registry.find(connection, unit_id)
            rule, looks = decide(_read_rules(connection), _subject(row))
            target, because = _target(connection, rule, row)
            return RuleTest(
                unit_id=unit_id,
                directory=path_of(connection, row["directory_id"]),
                looks=[
                    RuleLook(
                        id=look.rule.id, name=look.rule.name, depth=look.depth, fits=not look.fails,
                        why_not=list(look.fails),
                    )
                    for look in looks
                ],
                target=None if target is None else path_of(connection, target),
                because=because,
            )  # fmt: skip

        return await self._store.read(query)

    # For devices.

    def first_info(self, writer: Writer, unit_id: UnitId) -> None:
        """Place a device that has registered; in the change that stores its first system information."""
        rules = _read_rules(writer.connection)
        alone = bool(rules) and scan_orders.is_left_alone(writer.connection, unit_id)
        if not alone and _apply(writer, unit_id, rules).changed:
            self._placed.add(unit_id)
        self._booted.discard(unit_id)

    async def greeted(self, session: LiveSession, hello: Hello, booted: bool) -> None:  # noqa: FBT001 - a hook
        """Remember that a device has booted, until it has told about itself."""
        del hello
        if booted:
            self._booted.add(session.unit_id)

    async def informed(self, session: LiveSession) -> None:
        """A device has told about itself, and that is stored: apply the rules of the boot, if it was one."""
        unit_id = session.unit_id
        if unit_id in self._placed:
            self._placed.discard(unit_id)
            await self._configuration.send_if_due(session)
        if unit_id not in self._booted:
            return
        self._booted.discard(unit_id)
        with suppress(StoreError):  # then it stays where it is until its next boot
            rules = at_boot_only(await self._store.read(_read_rules))
            if rules and await self._would_move(unit_id, rules):
                await self._configuration.change(lambda writer: _apply(writer, unit_id, rules))

    async def _would_move(self, unit_id: UnitId, rules: list[Rule]) -> bool:
        return await self._store.read(lambda connection: _would_move(connection, unit_id, rules))


def _apply(writer: Writer, unit_id: UnitId, rules: list[Rule]) -> Settled:
    """Place a device as the rules say; it stays where its document would grow too large."""
    connection = writer.connection
    row = registry.get(connection, unit_id) if rules else None
    if row is None:
        return Settled()
    rule, _ = decide(rules, _subject(row))
    target, because = _target(connection, rule, row)
    if target is None:
        return Settled()
    library = Library(connection)
    try:
        library.document(target, library.own([row["id"]]).get(row["id"], ()))
    except DocumentTooLargeError as error:
        writer.event("rule-not-applied", actor="rules", unit_id=unit_id, cause=f"{because}, but {error}")
        return Settled()
    return place(writer, [row["id"]], target, actor="rules", cause=because, when=When.NOW)


def _would_move(connection: Connection, unit_id: UnitId, rules: list[Rule]) -> bool:
    row = registry.get(connection, unit_id)
    return row is not None and _target(connection, decide(rules, _subject(row))[0], row)[0] is not None


def _target(connection: Connection, rule: Rule | None, row: RowMapping) -> tuple[int | None, str]:
    here = row["directory_id"]
    return target_of(rule, here, ROOT_DIRECTORY, [one for one, _ in chain(connection, here)[:-1]])


def _subject(row: RowMapping) -> Subject:
    return Subject(
        structure_tag=row["structure_tag"],
        address=row["last_ip"],
        onboarded_by=row["onboarded_by"],
        role=row["onboarding_role"],
        apps=tuple(one.name for one in _APPS.decode(row["apps"]) if one.state is InstallState.INSTALLED),
        firmware=row["firmware"],
    )


def _read_rules(connection: Connection) -> list[Rule]:
    rows = connection.execute(_RULES).mappings().all()

    def below(parent: int | None) -> list[Rule]:
        return [
            Rule(
                id=row["id"],
                name=row["name"],
                criteria=msgspec.json.decode(row["criteria"], type=Criteria),
                directory_id=row["directory_id"],
                override=bool(row["override"]),
                leave_in_subdirectory=bool(row["leave_in_subdirectory"]),
                at_boot=bool(row["at_boot"]),
                children=below(row["id"]),
            )
            for row in rows
            if row["parent_id"] == parent
        ]

    return below(None)


def _list(connection: Connection) -> list[RuleView]:
    views: list[RuleView] = []

    def visit(rules: list[Rule], parent: int | None, depth: int) -> None:
        for position, rule in enumerate(rules, 1):
            views.append(
                RuleView(
                    id=rule.id,
                    name=rule.name,
                    depth=depth,
                    parent_id=parent,
                    position=position,
                    criteria=rule.criteria,
                    directory=None if rule.directory_id is None else path_of(connection, rule.directory_id),
                    override=rule.override,
                    leave_in_subdirectory=rule.leave_in_subdirectory,
                    at_boot=rule.at_boot,
                )
            )
            visit(list(rule.children), rule.id, depth + 1)

    visit(_read_rules(connection), None, 0)
    return views


def _reorder(writer: Writer, parent: int | None, rule_id: int | None, position: int | None) -> None:
    """Number neighbours from 1, with one of them at a position or last."""
    query = select(directory_rule.c.id).where(directory_rule.c.parent_id.is_(parent))
    ids = list(writer.connection.execute(query.order_by(directory_rule.c.position)).scalars())
    if rule_id is not None:
        ids.remove(rule_id)
        ids.insert(len(ids) if position is None else max(position, 1) - 1, rule_id)
    for number, one in enumerate(ids, 1):
        writer.connection.execute(directory_rule.update().where(directory_rule.c.id == one).values(position=number))


def _row(connection: Connection, rule_id: int) -> RowMapping:
    row = connection.execute(select(directory_rule).where(directory_rule.c.id == rule_id)).mappings().first()
    if row is None:
        raise RefusedError(f"there is no rule number {rule_id}")
    return row


def _depth(connection: Connection, rule_id: int) -> int:
    depth = 0
    here: int | None = rule_id
    while here is not None:
        depth, here = depth + 1, _row(connection, here)["parent_id"]
    return depth


def _check_name(name: str) -> str:
    stripped = name.strip()
    if not 1 <= len(stripped) <= MAX_NAME_CHARACTERS or not stripped.isprintable():
        raise RefusedError(f"a rule's name has 1 to {MAX_NAME_CHARACTERS} printable characters")
    return stripped


def _encode(criteria: Criteria) -> str:
    return msgspec.json.encode(criteria).decode()
