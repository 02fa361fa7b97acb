"""Locks of other processes and threads, and how long they are waited for."""

import subprocess
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.own_time import Stopwatch

from songs.errors import StorageUnavailable
from songs.model import Song
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs_sqlite import SqliteStorage

Child = subprocess.Popen[str]
Start = Callable[..., Child]
Released = Callable[[Child], AbstractContextManager[None]]
At = Callable[[float], Deadline]
Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
OpenStorage = Callable[..., SqliteStorage]


def test_a_lock_that_is_held_too_long_is_unavailable(
    storage: SqliteStorage, start: Start, released: Released, song: Callable[..., Song], deadline: At, unit: Units
) -> None:
    """While another process has the write lock, writes give up by their deadline and reads go on; then all is well."""
    with released(start("hold", "BEGIN EXCLUSIVE")):
        stopwatch = Stopwatch()
        with (
            pytest.raises(StorageUnavailable, match="Another writer"),
            storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(0.3)),
        ):
            pytest.fail("entered")
        assert stopwatch.passed_s >= 0.3
        assert stopwatch.took_s < 0.8
        storage.ping(deadline=deadline(1))
    with unit(Scope.WRITE_ONE) as after:
        after.songs.add(song("S1"))


def test_a_process_may_start_while_another_one_writes(
    storage: SqliteStorage, open_storage: OpenStorage, start: Start, released: Released
) -> None:
    """Opening and preparing a file that is up to date needs no lock that a writer has."""
    with released(start("hold", "BEGIN EXCLUSIVE")):
        open_storage().close()


def test_a_lock_that_is_let_go_in_time_is_waited_for(
    storage: SqliteStorage, start: Start, song: Callable[..., Song], unit: Units
) -> None:
    """A write that finds the lock held goes on as soon as it is free."""
    child = start("hold", "BEGIN IMMEDIATE")
    assert child.stdout is not None
    child.stdout.readline()
    threading.Timer(0.2, child.kill).start()
    with unit(Scope.WRITE_ONE) as waited:
        waited.songs.add(song("S1"))


def test_a_file_that_another_process_keeps_for_itself_is_unavailable(
    open_storage: OpenStorage, start: Start, released: Released, deadline: At, path: Path, clock: Clock
) -> None:
    """Where even reads are locked out, they give up by their deadline, and so does `ping`."""
    open_storage().close()
    storage = SqliteStorage(path, clock, connections=2)
    storage.open()
    storage._opened().drop_idle()  # an open connection would keep the other process from its lock
    with released(start("hold", "PRAGMA locking_mode = EXCLUSIVE", "BEGIN IMMEDIATE")):
        stopwatch = Stopwatch()
        with pytest.raises(StorageUnavailable, match="Another writer"):
            storage.ping(deadline=deadline(0.3))
        assert stopwatch.passed_s >= 0.3
        assert stopwatch.took_s < 0.8
    storage.ping(deadline=deadline(1))
    storage.close()


def test_threads_queue_for_the_write_lock_until_their_deadline(
    storage: SqliteStorage, deadline: At, unit: Units
) -> None:
    """A second writer in one process waits its turn, and no longer than its deadline."""
    stopwatch = Stopwatch()
    with (
        unit(Scope.WRITE_ONE),
        pytest.raises(StorageUnavailable, match="Another writer"),
        storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(0.1)),
    ):
        pytest.fail("entered")
    assert stopwatch.passed_s >= 0.1
    assert stopwatch.took_s < 0.6
    with unit(Scope.WRITE_ONE):
        pass


def test_units_queue_for_a_connection_until_their_deadline(open_storage: OpenStorage, deadline: At) -> None:
    """No more connections are opened than allowed; a unit that gets none in time says so."""
    storage = open_storage(connections=1)
    with (
        storage.unit_of_work(Scope.READ, deadline=deadline(5)),
        pytest.raises(StorageUnavailable, match="All 1 connections"),
        storage.unit_of_work(Scope.READ, deadline=deadline(0.1)),
    ):
        pytest.fail("entered")
    storage.ping(deadline=deadline(1))
