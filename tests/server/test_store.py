# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.store."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import trio
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from umslab_runtime.clock import VirtualClock
from umslab_runtime.executor import Executor, InlineExecutor, ThreadExecutor
from umslab_server import store as module
from umslab_server.schema import SCHEMA_VERSION
from umslab_server.store import Store, StoreError, copy_database, timestamp
from umslab_server.tables import tombstone

from .parts import EPOCH, fill_disk, free_disk, gather, new_store, open_store, rendered_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection
    from trio.testing import MockClock

    from umslab_server.store import Writer


T = TypeVar("T")


def note(number: int) -> Callable[[Writer], int]:
    """A change that writes one event and returns its number."""

    def work(writer: Writer) -> int:
        writer.event("noted", actor="test", number=number)
        return number

    return work


def bury(unit_id: str) -> Callable[[Writer], None]:
    """A change that can only succeed once."""

    def work(writer: Writer) -> None:
        writer.event("buried", actor="test", unit_id=unit_id)
        writer.connection.execute(tombstone.insert().values(unit_id=unit_id, deleted_at=writer.stamp))

    return work


def seen_from_outside(path: Path, query: str = "SELECT kind, data FROM event ORDER BY id") -> list[Any]:
    """What another program reads in the file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


async def numbers(store: Store) -> list[int]:
    """The numbers of the events of `note`, in order."""
    return [event.data["number"] for event in await store.events(0, limit=100_000) if event.kind == "noted"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the registry will be."""
    return tmp_path / "registry.sqlite"


class TestTimestamps:
    """Moments as text."""

    def test_form(self) -> None:
        """UTC, milliseconds, so that they sort as text."""
        moment = datetime(2026, 11, 21, 20, 40, 0, 123_999, tzinfo=UTC)

        assert timestamp(moment) == "2026-11-21T20:40:00.123Z"
        assert timestamp(moment) < timestamp(moment + timedelta(milliseconds=1))

    def test_years_have_four_digits(self) -> None:
        """Sorting as text holds from one end of the calendar to the other."""
        assert timestamp(datetime(9999, 12, 31, tzinfo=UTC)) == "9999-12-31T00:00:00.000Z"


class TestOpening:
    """New files, files from before, files that are none of ours."""

    def test_new_file_is_private_and_durable(self, path: Path) -> None:
        """0600, write-ahead log, full synchronisation, foreign keys."""
        store = new_store(path)
        store.open()
        pragmas = {
            name: store._write_connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
        store.close()

        assert path.stat().st_mode & 0o777 == 0o600
        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}

    async def test_feed_goes_on_after_a_restart(self, path: Path) -> None:
        """The number of the newest event is known at once, and the next one follows it."""
        async with open_store(path) as store:
            await store.change(note(1))
        async with open_store(path) as store:
            newest = store.feed.value
            await store.change(note(2))

            assert newest == 1
            assert [event.id for event in await store.events(0)] == [1, 2]

    def test_not_sqlite(self, path: Path) -> None:
        """A file of something else is refused by name and left as it was."""
        path.write_bytes(b"certainly no database" * 100)

        with pytest.raises(StoreError, match="cannot be opened as a registry: file is not a database"):
            new_store(path).open()
        assert path.read_bytes() == b"certainly no database" * 100

    def test_foreign_database(self, path: Path) -> None:
        """Another program's database is refused, and nothing is written into it."""
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE recipe (name)")

        with pytest.raises(StoreError, match="an SQLite database, but not a registry of umslab"):
            new_store(path).open()
        assert seen_from_outside(path, "SELECT name FROM sqlite_master") == [("recipe",)]

    def test_foreign_database_with_a_meta_table(self, path: Path) -> None:
        """A table that happens to have the same name deceives nobody."""
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE meta (something)")

        with pytest.raises(StoreError, match="cannot be opened as a registry"):
            new_store(path).open()

    def test_newer_schema(self, path: Path) -> None:
        """A registry of a newer umslab is refused with what to do."""
        store = new_store(path)
        store.open()
        store.close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE meta SET value = '999' WHERE name = 'schema_version'")
            connection.commit()

        with pytest.raises(StoreError, match=f"has schema 999, this umslab knows {SCHEMA_VERSION}: use a newer umslab"):
            new_store(path).open()

    def test_damaged_file(self, path: Path) -> None:
        """A header that promises what the file does not hold."""
        store = new_store(path)
        store.open()
        store.close()
        path.write_bytes(path.read_bytes()[:3000])

        with pytest.raises(StoreError, match="cannot be opened as a registry"):
            new_store(path).open()

    def test_folder_in_the_way(self, path: Path) -> None:
        """A path that cannot be a file."""
        path.mkdir()

        with pytest.raises(StoreError, match="cannot be opened as a registry"):
            new_store(path).open()

    def test_missing_folder(self, tmp_path: Path) -> None:
        """A folder that is not there."""
        with pytest.raises(StoreError, match="cannot be opened as a registry"):
            new_store(tmp_path / "missing" / "registry.sqlite").open()

    def test_close_after_a_failed_open(self, path: Path) -> None:
        """Closing what never opened does nothing."""
        path.mkdir()
        store = new_store(path)
        with pytest.raises(StoreError):
            store.open()
        store.close()

        assert store._connections == []


class TestChanges:
    """One transaction each, many a commit."""

    async def test_durable_before_acknowledged(self, path: Path) -> None:
        """Another program sees the change when its caller goes on."""
        async with open_store(path) as store:
            returned = await store.change(note(7))
            outside = seen_from_outside(path)

        assert returned == 7
        assert outside == [("noted", '{"number": 7}')]

    async def test_reads_see_what_was_acknowledged(self, path: Path) -> None:
        """The reading connection is never behind."""
        async with open_store(path) as store:
            for number in range(20):
                await store.change(note(number))

                assert number == (await numbers(store))[-1]

    async def test_many_changes_share_commits(self, path: Path) -> None:
        """Five hundred changes at once take five commits."""
        async with open_store(path) as store:
            store._writer = counting = _Counting()
            await gather(*(store.change(note(number)) for number in range(500)))

            assert list(range(500)) == sorted(await numbers(store))
            assert store.feed.value == 500
            assert counting.runs <= 5

    async def test_one_failing_change_takes_nothing_with_it(self, path: Path) -> None:
        """Of a batch, the change that raises is undone whole, the others are on disk."""

        async def attempt(work: Callable[[Writer], object]) -> str:
            try:
                await store.change(work)
            except (LookupError, IntegrityError, OverflowError) as error:
                return type(error).__name__
            return "done"

        def lose(writer: Writer) -> None:
            note(99)(writer)
            raise LookupError

        def overflow(writer: Writer) -> None:
            writer.connection.execute(text("SELECT :n"), {"n": 2**70})

        async with open_store(path) as store:
            works = [note(1), lose, bury("A"), bury("A"), overflow, note(2)]
            outcomes = await gather(*(attempt(work) for work in works))

            assert {word: list(outcomes).count(word) for word in set(outcomes)} == {
                "LookupError": 1,
                "IntegrityError": 1,
                "OverflowError": 1,
                "done": 3,
            }
            assert {1, 2} == set(await numbers(store))
            assert seen_from_outside(path, "SELECT unit_id FROM tombstone") == [("A",)]
            assert [event.kind for event in await store.events(0)].count("buried") == 1

    async def test_bad_value_fails_alone(self, path: Path) -> None:
        """A value SQLite cannot hold is the change's own fault."""

        def bad(writer: Writer) -> None:
            writer.connection.execute(text("SELECT :value"), {"value": object()})

        async with open_store(path) as store, trio.open_nursery() as nursery:
            nursery.start_soon(store.change, note(1))
            with pytest.raises(Exception, match="type 'object' is not supported"):
                await store.change(bad)
            await store.change(note(2))

            assert await numbers(store) == [1, 2]

    async def test_change_that_writes_nothing(self, path: Path) -> None:
        """It is answered, and the feed stays where it is."""
        async with open_store(path) as store:
            assert await store.change(lambda _: "value") == "value"
            assert store.feed.value == 0

    async def test_posted_change(self, path: Path) -> None:
        """Nobody waits for it, and it is done; of one that fails, the log tells."""

        def lose(writer: Writer) -> None:
            raise LookupError("lost")

        with rendered_logs() as logs:
            async with open_store(path) as store:
                store.post(note(1))
                store.post(lose)
                await store.change(note(2))
                done = await numbers(store)

        assert done == [1, 2]
        assert len(logs) == 1
        assert "'problem': 'lost'" in logs[0]

    async def test_mailbox_full(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Too many waiting changes are refused at once; those that wait are done."""
        monkeypatch.setattr(module, "MAX_WAITING", 3)
        store = new_store(path)
        store.open()
        for number in range(3):
            store.post(note(number))
        with pytest.raises(StoreError, match="too many changes waiting"):
            store.post(note(3))
        with pytest.raises(StoreError, match="too many changes waiting"):
            await store.change(note(3))
        await store.drain()
        done = await numbers(store)
        store.close()

        assert done == [0, 1, 2]

    @pytest.mark.parametrize("executor", [InlineExecutor, ThreadExecutor])
    async def test_nothing_is_lost_at_the_end(self, path: Path, executor: type[Executor]) -> None:
        """Changes that waited when `run` was cancelled are committed by `drain`, each once."""
        threads = executor()
        store = Store(path, clock=_Frozen(EPOCH), writer=threads, reader=threads, keep_events=1000)
        store.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.run)
            await store.change(note(0))
            for number in range(1, 300):
                store.post(note(number))
            nursery.cancel_scope.cancel()
        await store.drain()
        done = await numbers(store)
        store.close()

        assert list(range(300)) == done

    async def test_cancelled_caller(self, path: Path) -> None:
        """Cancelling the wait does not undo the change."""
        async with open_store(path) as store:
            with trio.CancelScope() as scope:
                scope.cancel()
                await store.change(note(1))
            await store.change(note(2))

            assert scope.cancelled_caught
            assert await numbers(store) == [1, 2]


class _Counting(InlineExecutor):
    """Counts what it runs."""

    runs = 0

    async def run(self, call: Callable[[], T]) -> T:
        """Count and run."""
        self.runs += 1
        return await super().run(call)


class _Frozen(VirtualClock):
    """A clock that a worker thread may read."""

    def utc(self) -> datetime:
        """Always the same moment."""
        return self._start


class TestReads:
    """Queries, which have a connection of their own."""

    async def test_many_reads_share_a_visit(self, path: Path) -> None:
        """Five hundred at once need a handful of visits to the reading thread, and each gets its own answer."""
        async with open_store(path) as store:
            store._reader = counting = _Counting()
            answers: list[int] = []

            async def ask(number: int) -> None:
                value = await store.read(
                    lambda connection: connection.execute(text("SELECT :n"), {"n": number}).scalar()
                )
                assert value == number
                answers.append(number)

            await gather(*(ask(number) for number in range(500)))

            assert list(range(500)) == sorted(answers)
            assert counting.runs <= 6

    async def test_a_failing_read_is_its_own(self, path: Path) -> None:
        """The others of the same visit have their answers; what the query raises reaches who asked."""
        async with open_store(path) as store:

            async def ask(query: str) -> int | str:
                try:
                    return int(await store.read(lambda connection: connection.execute(text(query)).scalar_one()))
                except StoreError as error:
                    return str(error)

            async def fail() -> None:
                with pytest.raises(LookupError, match="nothing"):
                    await store.read(_find_nothing)

            answers: list[int | str] = []

            async def keep(query: str) -> None:
                answers.append(await ask(query))

            await gather(keep("SELECT 1"), keep("SELECT nonsense"), fail(), keep("SELECT 2"))

            assert {1, 2} < set(answers)
            assert any("cannot be read" in str(answer) for answer in answers)

    @pytest.mark.parametrize("executor", [InlineExecutor, ThreadExecutor])
    async def test_cancelled_askers(self, path: Path, executor: type[Executor]) -> None:
        """Whoever is cancelled, the one that asks for all or one that waits: all others get their answers."""
        async with open_store(path) as store:
            store._reader = executor()
            scopes = [trio.CancelScope() for _ in range(6)]
            answers: list[int] = []

            async def ask(number: int) -> None:
                with scopes[number]:
                    answers.append(
                        await store.read(lambda connection: connection.execute(text(f"SELECT {number}")).scalar_one())
                    )

            async with trio.open_nursery() as nursery:
                for number in range(6):
                    nursery.start_soon(ask, number)
                for number in (0, 1, 5):
                    scopes[number].cancel()

            assert {2, 3, 4} <= set(answers)
            assert not store._questions or all(one.outcome is None for one in store._questions)
            assert 7 == await store.read(lambda connection: connection.execute(text("SELECT 7")).scalar_one())


def _find_nothing(connection: Connection) -> None:
    raise LookupError("nothing")


class TestEvents:
    """The feed."""

    async def test_what_an_event_says(self, path: Path, mock_clock: MockClock) -> None:
        """Number, moment, kind, device, actor, cause and data."""
        mock_clock.jump(90.5)
        async with open_store(path) as store:
            await store.change(
                lambda writer: writer.event("k", actor="a", unit_id="U", cause="c", one=1, two=["x", None])
            )
            (event,) = await store.events(0)

        assert (
            event.id,
            event.at,
            event.kind,
            event.unit_id,
            event.actor,
            event.cause,
            event.data,
        ) == (1, "2026-01-01T00:01:30.500Z", "k", "U", "a", "c", {"one": 1, "two": ["x", None]})

    async def test_order_paging_and_filter(self, path: Path) -> None:
        """Oldest first, after a number, so many at a time, of one device."""
        async with open_store(path) as store:
            for number in range(6):
                await store.change(
                    lambda writer, number=number: writer.event("k", actor="t", unit_id="EO"[number % 2])  # type: ignore[misc]
                )

            assert [event.id for event in await store.events(0)] == [1, 2, 3, 4, 5, 6]
            assert [event.id for event in await store.events(2, limit=2)] == [3, 4]
            assert [event.id for event in await store.events(2, unit_id="O")] == [4, 6]

    async def test_followers_are_woken(self, path: Path) -> None:
        """Whoever waits for the feed sees every number once it is durable."""
        async with open_store(path) as store, trio.open_nursery() as nursery:
            nursery.start_soon(store.change, note(1))
            newest = await store.feed.beyond(0)

            assert 1 == newest == len(seen_from_outside(path))

    async def test_oldest_are_forgotten(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The feed keeps its length, counts on, and looks at it only now and then."""
        monkeypatch.setattr(module, "PRUNE_EVERY", 10)
        async with open_store(path, keep_events=5) as store:
            for number in range(1, 20):
                await store.change(note(number))
            before = await numbers(store)
            await store.change(note(20))

            assert list(range(6, 20)) == before
            assert await numbers(store) == [16, 17, 18, 19, 20]
            assert store.feed.value == 20

    async def test_large_batch_is_pruned_too(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One change that writes more events than are kept."""
        monkeypatch.setattr(module, "PRUNE_EVERY", 10)
        async with open_store(path, keep_events=5) as store:
            await store.change(lambda writer: [note(number)(writer) for number in range(25)])

            assert await numbers(store) == [20, 21, 22, 23, 24]


class TestTrouble:
    """What a disk can do, and how the server goes on."""

    async def test_full_disk(self, path: Path) -> None:
        """Changes fail with a sentence, reads go on, and so does writing once there is room."""
        async with open_store(path) as store:
            await store.change(note(1))
            fill_disk(store)
            with rendered_logs() as logs, pytest.raises(StoreError, match="could not be written: database or disk"):
                await store.change(lambda writer: [note(number)(writer) for number in range(5000)])
            during = await numbers(store)
            free_disk(store)
            await store.change(note(2))

            assert during == [1]
            assert await numbers(store) == [1, 2]
            assert "database or disk is full" in logs[0]

    async def test_full_disk_fails_the_whole_batch(self, path: Path) -> None:
        """What shares a commit with a change that found the disk full is told so, and happened not at all."""

        async def attempt(work: Callable[[Writer], object]) -> bool:
            try:
                await store.change(work)
            except StoreError:
                return False
            return True

        async with open_store(path) as store:
            fill_disk(store)
            with rendered_logs():
                outcomes = await gather(
                    attempt(note(1)), attempt(lambda writer: [note(number)(writer) for number in range(5000)])
                )

            assert outcomes == [False, False]
            assert await numbers(store) == []

    async def test_check_finds_a_read_only_registry(self, path: Path) -> None:
        """Looking at the health writes, because only a write can find out; the feed says nothing of it."""
        async with open_store(path) as store:
            await store.check()
            await store.check()
            store._write_connection.exec_driver_sql("PRAGMA query_only = ON")
            with rendered_logs(), pytest.raises(StoreError, match="could not be written"):
                await store.check()
            store._write_connection.exec_driver_sql("PRAGMA query_only = OFF")
            await store.check()

            assert store.feed.value == 0

    async def test_locked_by_another_program(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A tool that holds the file makes changes fail, not the server."""
        monkeypatch.setattr(module, "BUSY_MILLISECONDS", 1)
        async with open_store(path) as store:
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with rendered_logs(), pytest.raises(StoreError, match="could not be written: database is locked"):
                    await store.change(note(1))
                other.execute("ROLLBACK")
            await store.change(note(2))

            assert await numbers(store) == [2]

    async def test_unreadable(self, path: Path) -> None:
        """A read that SQLite refuses is a StoreError with its reason."""
        async with open_store(path) as store:
            with pytest.raises(StoreError, match="cannot be read: no such table: missing"):
                await store.read(lambda connection: connection.execute(text("SELECT * FROM missing")).all())

    async def test_tiny_file_system(self, tmp_path: Path) -> None:
        """A disk that is really full: nothing acknowledged is lost, and the server goes on when there is room."""
        with _mounted(tmp_path / "disk", "size=512k") as disk:
            acknowledged: list[int] = []
            with rendered_logs():
                async with open_store(disk / "registry.sqlite") as store:
                    with pytest.raises(StoreError, match="could not be written"):  # noqa: PT012
                        while True:
                            number = len(acknowledged)
                            await store.change(lambda writer, number=number: _note_much(writer, number))  # type: ignore[misc]
                            acknowledged.append(number)
                    with pytest.raises(StoreError):  # noqa: PT012
                        for _ in range(20):
                            await store.check()
                    kept = await numbers(store)
                    await trio.run_process(["mount", "-o", "remount,size=2m", disk])
                    await store.change(note(1000))

                    assert [*acknowledged, 1000] == await numbers(store)
                    assert acknowledged == kept
                    assert len(acknowledged) > 3

    async def test_read_only_file_system(self, tmp_path: Path) -> None:
        """Neither a registry that is there nor a new one can be opened."""
        with _mounted(tmp_path / "disk", "size=2m") as disk, rendered_logs():
            path = disk / "registry.sqlite"
            async with open_store(path) as store:
                await store.change(note(1))
            await trio.run_process(["mount", "-o", "remount,ro", disk])

            with pytest.raises(StoreError, match="cannot be opened as a registry"):
                new_store(path).open()
            with pytest.raises(StoreError, match="cannot be opened as a registry"):
                new_store(disk / "new.sqlite").open()


def _note_much(writer: Writer, number: int) -> None:
    writer.event("noted", actor="test", number=number, ballast="x" * 2000)


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small file system in memory; the test is skipped where it cannot be had."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("mounting needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


class TestKilled:
    """`kill -9` at any moment loses nothing acknowledged."""

    def test_kill_9(self, path: Path) -> None:
        """Three lives on one file: every number that was printed is there, in a sound file."""
        printed: list[int] = []
        for life in range(3):
            printed += self._run_and_kill(path, start=life * 1_000_000, lines=200 + 150 * life)
            found = {
                number for (number,) in seen_from_outside(path, "SELECT json_extract(data, '$.number') FROM event")
            }

            assert set(printed) <= found
            assert seen_from_outside(path, "PRAGMA integrity_check") == [("ok",)]
        assert len(printed) >= 1000

    def _run_and_kill(self, path: Path, *, start: int, lines: int) -> list[int]:
        program = Path(__file__).with_name("writer_process.py")
        with subprocess.Popen([sys.executable, program, path, str(start)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            read = [int(process.stdout.readline()) for _ in range(lines)]
            os.kill(process.pid, signal.SIGKILL)
            rest = process.stdout.read().split(b"\n")[:-1]  # what was printed before the kill came
        return read + [int(line) for line in rest]


class TestCopy:
    """A consistent copy while in use."""

    async def test_copy(self, path: Path, tmp_path: Path) -> None:
        """The copy is private, sound, and complete up to the moment it was asked for."""
        async with open_store(path) as store:
            await store.change(note(1))
            copy_database(path, tmp_path / "copy.sqlite")
            await store.change(note(2))

        assert (tmp_path / "copy.sqlite").stat().st_mode & 0o777 == 0o600
        assert seen_from_outside(tmp_path / "copy.sqlite") == [("noted", '{"number": 1}')]

    def test_copy_that_cannot_be_made(self, path: Path, tmp_path: Path) -> None:
        """A target that is there, a source that is no database."""
        store = new_store(path)
        store.open()
        store.close()
        (tmp_path / "copy.sqlite").write_text("in the way")

        with pytest.raises(StoreError, match="could not be copied"):
            copy_database(path, tmp_path / "copy.sqlite")
        path.write_bytes(b"no database at all" * 100)
        with pytest.raises(StoreError, match="could not be copied: file is not a database"):
            copy_database(path, tmp_path / "other.sqlite")
