"""Passwords that are nearly the same, what is no hash of a password, and salts."""

import base64
import hashlib
import multiprocessing
import os
import unicodedata
from collections.abc import Iterator
from functools import partial

import pytest

from songs.ports.passwords import PasswordHasher
from songs_contract.harness.driver import race, returned
from songs_contract.harness.near_misses import FORMS, NUMBERS, alike_at_first, near_misses
from songs_contract.harness.subject import Subject
from songs_contract.harness.timing import CHILD_S
from songs_contract.law import clause
from songs_plugins import Port

PORT = Port.PASSWORDS
PATIENCE_S = 30.0

LONGEST = 4_200
PASSWORD = "Correct horse-1"
OTHERS = [
    "Correct  horse-1",
    "Correcthorse-1",
    "Correct\u200bhorse-1",
    "Correct\u00a0 horse-1",
    "Correct\thorse-1",
    "Corr\u00e9ct horse-1",
    "Correct \x07horse-1",
    "C\u043errect horse-1",
]
THREADS = 4


@pytest.fixture
def passwords(subject: Subject) -> PasswordHasher:
    """The hasher under test."""
    hasher: PasswordHasher = subject.build()
    return hasher


def hashed(passwords: PasswordHasher, password: str) -> str:
    """Return a hash."""
    return passwords.hash(password, wait_s=PATIENCE_S)


def accepted(passwords: PasswordHasher, password: str, stored: str) -> bool:
    """Return whether a password is right."""
    return passwords.verify(password, stored, wait_s=PATIENCE_S).ok


def nearly_the_same(password: str, *others: str) -> Iterator[str]:
    """Yield texts that are nearly this password, and not the same after NFKC."""
    same = unicodedata.normalize("NFKC", password)
    for text in (*near_misses(password).values(), *others):
        if unicodedata.normalize("NFKC", text) != same:
            yield text


@clause("PWD-1")
@pytest.mark.parametrize(
    ("password", "others"), [(PASSWORD, OTHERS), ("007", NUMBERS), ("\u00e9", FORMS), ("stra\u00dfe", ["strasse"])]
)
def test_near_misses(passwords: PasswordHasher, password: str, others: list[str]) -> None:
    """Whatever the difference is, a password that is nearly right is wrong, and one that is the same is right."""
    stored = hashed(passwords, password)
    assert accepted(passwords, password, stored)
    assert [text for text in nearly_the_same(password, *others) if accepted(passwords, text, stored)] == []


@clause("PWD-1")
@pytest.mark.parametrize("text", ["\ud800", "\ud801 \udfff", " ", "\n", "\0", "\u200b", "a\x07", "x" * LONGEST])
def test_strange_passwords(passwords: PasswordHasher, text: str) -> None:
    """Any text is a password: it is accepted, and nothing that is nearly the same is."""
    stored = hashed(passwords, text)
    assert accepted(passwords, text, stored)
    others = nearly_the_same(text, "", "?", "\ud802", "\ufffd", "\ufffd \ufffd", "? ?", text[1:])
    assert [other for other in others if accepted(passwords, other, stored)] == []


@clause("PWD-1")
@pytest.mark.parametrize("letter", ["x", "\u8a9e"])
def test_alike_at_first(passwords: PasswordHasher, letter: str) -> None:
    """The last character of a password counts, however many characters, or bytes, come before it."""
    texts = alike_at_first(LONGEST, letter)
    for one, other in zip(texts[::2], texts[1::2], strict=True):
        stored = hashed(passwords, one)
        assert accepted(passwords, one, stored)
        assert not accepted(passwords, other, stored), f"two of {len(one)} characters are one password"


@clause("PWD-3")
def test_what_is_no_hash(passwords: PasswordHasher) -> None:
    """The password itself, its plain digest, the hash for a password, and a hash with more to it, let nobody in."""
    good = hashed(passwords, PASSWORD)
    clear = PASSWORD.encode()
    unknown = [PASSWORD, clear.hex(), base64.b64encode(clear).decode(), f"{{PLAIN}}{PASSWORD}", f"$plain${PASSWORD}"]
    for name in ("md5", "sha1", "sha256", "sha512"):
        digest = hashlib.new(name, clear)
        unknown += [digest.hexdigest(), digest.hexdigest().upper(), base64.b64encode(digest.digest()).decode()]
    changed = ["\n", " ", "\0", "\r\n", "\0more", "$"]
    unknown += [good + each for each in changed] + [each + good for each in changed] + [f"'{good}'", good + good]
    assert [stored for stored in unknown if accepted(passwords, PASSWORD, stored)] == []
    assert not accepted(passwords, good, good)


@clause("PWD-2")
def test_hashes_show_nothing(passwords: PasswordHasher) -> None:
    """No hash contains the password, whichever way it is written."""
    text = "hunter2hunter2"
    ways = [text, text[::-1], text.encode().hex(), base64.b64encode(text.encode()).decode()[:16]]
    ways += [hashlib.new(name, text.encode()).hexdigest() for name in ("md5", "sha1", "sha256")]
    stored = hashed(passwords, text)
    assert type(stored) is str
    assert [way for way in ways if way.lower() in stored.lower()] == []


@clause("PWD-2")
def test_salts_of_many(subject: Subject, passwords: PasswordHasher) -> None:
    """Hashes of one password differ between objects, and between threads."""
    found = [hashed(subject.build(), PASSWORD) for _ in range(3)]
    for each in returned(race([lambda: [hashed(passwords, PASSWORD) for _ in range(5)]] * THREADS)):
        found += each
    assert len(set(found)) == len(found)


@clause("PWD-2")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="declared unsupported: fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_salts_after_a_fork(passwords: PasswordHasher) -> None:
    """A child does not go on with the random numbers of its parent."""
    hashed(passwords, PASSWORD)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    children = [context.Process(target=lambda: queue.put(hashed(passwords, PASSWORD))) for _ in range(2)]
    for child in children:
        child.start()
    found = [hashed(passwords, PASSWORD)]
    for child in children:
        child.join(CHILD_S)
    stuck = [child for child in children if child.exitcode is None]
    for child in stuck:
        child.kill()
    assert [child.exitcode for child in children] == [0, 0], f"a child made no hash within {CHILD_S:g} s"
    found += [queue.get() for _ in children]
    assert len(set(found)) == len(found), "parent and child have one salt"


@clause("PWD-3", "PWD-5")
def test_types(passwords: PasswordHasher) -> None:
    """A check says yes or no, whatever it is about."""
    good = hashed(passwords, PASSWORD)
    for password, stored in ((PASSWORD, good), ("wrong", good), (PASSWORD, None), (PASSWORD, "damaged")):
        check = passwords.verify(password, stored, wait_s=PATIENCE_S)
        assert (type(check.ok), type(check.outdated)) == (bool, bool)


@clause("PWD-1")
def test_threads_get_their_own_answers(passwords: PasswordHasher, rounds: int) -> None:
    """No thread is told whether another one's password is right."""
    stored = {name: hashed(passwords, name) for name in ("ada", "bob", "eve", "joe")}

    def check(name: str) -> None:
        for n in range(10 * rounds):
            given = name if n % 2 else "wrong"
            assert accepted(passwords, given, stored[name]) is bool(n % 2)

    returned(race([partial(check, name) for name in stored]))
