"""Passwords."""

import itertools
import threading
import time

import pytest

from songs.errors import Overloaded
from songs.ports.passwords import PasswordHasher
from songs_contract.harness.driver import race
from songs_contract.harness.subject import CONCURRENCY, Subject
from songs_contract.law import clause
from songs_plugins import Port

PORT = Port.PASSWORDS
PATIENCE_S = 30.0
SHORT_WAITS = (0.0, -1.0, -0.5)
REFUSED_S = 5.0
"""How long it may take until a call that waits so shortly comes while all are busy."""

PASSWORDS = [
    "correct horse",
    "",
    " ",
    "a" * 72,
    "a" * 73,
    "a" * 128,
    "with\x00nul",
    "with",
    "pässwörd",
    "密码密码密码密码密码密码密码密码密码密码密码密码密码密码密码",
    "Correct horse",
]


@pytest.fixture
def passwords(subject: Subject) -> PasswordHasher:
    """The hasher under test."""
    hasher: PasswordHasher = subject.build()
    return hasher


@clause("PWD-1")
def test_only_the_password_itself(passwords: PasswordHasher) -> None:
    """Each hash accepts its own password and none of the others."""
    hashes = [passwords.hash(each, wait_s=PATIENCE_S) for each in PASSWORDS]
    for n, hashed in enumerate(hashes):
        accepted = [p for p in PASSWORDS if passwords.verify(p, hashed, wait_s=PATIENCE_S).ok]
        assert accepted == [PASSWORDS[n]]


@clause("PWD-1")
@pytest.mark.parametrize("length", [1, 55, 56, 71, 72, 73, 100, 128])
def test_the_last_character_counts(passwords: PasswordHasher, length: int) -> None:
    """However long a password is, its last character is part of it."""
    hashed = passwords.hash("x" * length, wait_s=PATIENCE_S)
    assert passwords.verify("x" * length, hashed, wait_s=PATIENCE_S).ok
    for other in ("x" * (length - 1) + "y", "x" * (length - 1), "x" * (length + 1)):
        assert not passwords.verify(other, hashed, wait_s=PATIENCE_S).ok


@clause("PWD-1")
def test_normal_forms(passwords: PasswordHasher) -> None:
    """However a keyboard composes a character, the password is the same."""
    hashed = passwords.hash("Zu\u0308rich ﬁ", wait_s=PATIENCE_S)
    assert passwords.verify("Z\u00fcrich fi", hashed, wait_s=PATIENCE_S).ok


@clause("PWD-2")
def test_salt(passwords: PasswordHasher) -> None:
    """Hashes of one password differ, are printable, and do not contain it."""
    hashes = {passwords.hash("hunter2hunter2", wait_s=PATIENCE_S) for _ in range(5)}
    assert len(hashes) == 5
    for hashed in hashes:
        assert hashed.isascii()
        assert hashed.isprintable()
        assert "hunter2" not in hashed


@clause("PWD-3")
@pytest.mark.parametrize("password", ["", "password", "with\x00nul", "\ud800", "x" * 100_000])
def test_nothing_to_check_against(passwords: PasswordHasher, password: str) -> None:
    """For no user and for damaged hashes the answer is no, and never an error."""
    good = passwords.hash("password", wait_s=PATIENCE_S)
    damaged = ["", "x", good[:-1], good[:-20], good + "x", "$2b$31$" + "a" * 53, "plain", "\x00", "é" * 60, good[1:]]
    for hashed in (None, *damaged):
        assert not passwords.verify(password, hashed, wait_s=PATIENCE_S).ok, hashed


@clause("PWD-3")
def test_the_same_work(passwords: PasswordHasher) -> None:
    """An unknown user costs as much processor time as a wrong password: at least half of it, over many tries."""
    good = passwords.hash("password", wait_s=PATIENCE_S)

    def cost_ns(hashed: str | None) -> int:
        started = time.thread_time_ns()
        for _ in range(20):
            passwords.verify("a wrong one", hashed, wait_s=PATIENCE_S)
        return time.thread_time_ns() - started

    known = cost_ns(good)
    for hashed in (None, "damaged", good[:-5]):
        assert cost_ns(hashed) * 2 > known


@clause("PWD-4")
def test_at_most_so_many_at_once(subject: Subject, passwords: PasswordHasher) -> None:
    """Beyond the bound a call that may not wait is refused; all that may wait are served."""
    hashed = passwords.hash("password", wait_s=PATIENCE_S)
    stop = threading.Event()
    served: list[bool] = []
    overloaded: list[Overloaded] = []

    def keep_busy() -> None:
        try:
            while not stop.is_set():
                served.append(passwords.verify("password", hashed, wait_s=PATIENCE_S).ok)
        except Overloaded as error:
            overloaded.append(error)

    busy = [threading.Thread(target=keep_busy, daemon=True) for _ in range(2 * CONCURRENCY)]
    for thread in busy:
        thread.start()
    refused: set[float] = set()
    try:
        give_up_at_s = time.monotonic() + REFUSED_S * len(SHORT_WAITS)
        waits = itertools.cycle(SHORT_WAITS)
        while not (len(refused) == len(SHORT_WAITS) and len(served) + len(overloaded) > 8 * CONCURRENCY):
            if time.monotonic() > give_up_at_s:
                break
            wait_s = next(waits)
            try:
                passwords.verify("password", hashed, wait_s=wait_s)
            except Overloaded:
                refused.add(wait_s)
    finally:
        stop.set()
        for thread in busy:
            thread.join(30)
    assert len(refused) == len(SHORT_WAITS), (
        f"beside {len(busy)} busy threads only these waits were refused: {refused} s"
    )
    assert overloaded == [], f"calls that may wait {PATIENCE_S:g} s were refused"
    assert all(served)
    assert passwords.verify("password", hashed, wait_s=PATIENCE_S).ok


@clause("PWD-4")
def test_waiting_for_a_turn(passwords: PasswordHasher) -> None:
    """Calls that may wait all get their turn."""
    hashed = passwords.hash("password", wait_s=PATIENCE_S)
    outcomes = race([lambda: passwords.verify("password", hashed, wait_s=PATIENCE_S).ok for _ in range(CONCURRENCY)])
    assert outcomes == [True] * CONCURRENCY


@clause("PWD-5")
def test_todays_hashes_are_not_outdated(passwords: PasswordHasher) -> None:
    """What was just hashed need not be hashed again; a wrong password says nothing of the hash."""
    hashed = passwords.hash("password", wait_s=PATIENCE_S)
    assert not passwords.verify("password", hashed, wait_s=PATIENCE_S).outdated
    assert not passwords.verify("another", hashed, wait_s=PATIENCE_S).outdated
