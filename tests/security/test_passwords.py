"""Passwords: how much work is done, by counting it; damaged hashes, bounds, and hashes made by earlier releases."""

import threading
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from songs.errors import Overloaded
from songs.ports.passwords import PasswordCheck
from songs_security.bcrypt_plugin import BcryptSettings
from songs_security.passwords import KIND, MOST_ROUNDS, BcryptPasswords, _digest, _nfkc

ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
OLD = "bcrypt-sha256-1$$2b$04$To2Z.B58W2nOg/0.viNNheVqrvjCZajdGeVvApe4y3DAtsVPkJZtq"
PATIENCE_S = 30.0

Work = list[tuple[int, int]]


@pytest.fixture
def passwords() -> BcryptPasswords:
    """The cheapest hasher that there is."""
    return BcryptPasswords(rounds=4, concurrency=2)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """What bcrypt was asked to compute, and did: the cost and the number of bytes, of each call."""
    done: Work = []
    real = bcrypt.checkpw

    def counting(password: bytes, hashed: bytes) -> bool:
        cost = int(hashed[4:6])
        assert cost <= 6, "this would take long"
        ok = real(password, hashed)
        done.append((cost, len(password)))
        return ok

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    return done


def _damaged(good: str) -> Iterator[str]:
    yield from (
        "",
        "x",
        KIND,
        good[:-1],
        good + "x",
        good + "\n",
        good[1:],
        f" {good}",
        good.upper(),
        "é" * 76,
        "\ud800",
    )
    yield good.removeprefix(KIND)  # bcrypt of the password itself
    yield good.replace("sha256-1$", "sha256-2$")
    yield good.replace(KIND, "scrypt-1$")
    for other in ("$2a$04$", "$2x$04$", "$2b$4$$", "$2b$٠٤$", "$2b$ 4$", "$2b$-1$", "$2b$+4$"):
        yield good.replace("$2b$04$", other)
    for cost in (0, 3, MOST_ROUNDS + 1, 31, 32, 99):
        yield good.replace("$2b$04$", f"$2b${cost:02d}$")


def test_an_unknown_user_takes_the_work_of_a_wrong_password(passwords: BcryptPasswords, work: Work) -> None:
    """One computation of today's cost, for a wrong password, no user, and every kind of damaged hash."""
    good = passwords.hash("password", wait_s=PATIENCE_S)
    assert passwords.verify("wrong", good, wait_s=PATIENCE_S) == PasswordCheck(ok=False)
    assert len(work) == 1
    for hashed in (None, *_damaged(good)):
        assert not passwords.verify("password", hashed, wait_s=PATIENCE_S).ok, repr(hashed)
        assert work.pop() == work[0], repr(hashed)
        assert len(work) == 1, repr(hashed)


def test_no_single_character_of_a_hash_can_be_replaced(passwords: BcryptPasswords, work: Work) -> None:
    """With any other character a hash accepts nothing, raises nothing, and takes the same work."""
    good = passwords.hash("password", wait_s=PATIENCE_S)
    start = good.index("$04$") + 4
    salt_end = start + 21  # four bits of the last character of a salt are unused
    for n in range(start, len(good)):
        for character in ALPHABET if n in (salt_end, len(good) - 1) else ".O~$":
            if character == good[n]:
                continue
            damaged = good[:n] + character + good[n + 1 :]
            assert not passwords.verify("password", damaged, wait_s=PATIENCE_S).ok, damaged
            assert work.pop() == (4, 44), damaged
            assert not work


@pytest.mark.parametrize("password", ["", "\ud800", "\x00", "x" * 100_000, "\u0315\u0300" * 20_000, "ﷺ" * 1000])
def test_any_password_takes_the_same_work(passwords: BcryptPasswords, work: Work, password: str) -> None:
    """Whatever is sent as a password, bcrypt sees 44 bytes once, for a user and for none."""
    good = passwords.hash("password", wait_s=PATIENCE_S)
    for hashed in (good, None, "damaged"):
        assert not passwords.verify(password, hashed, wait_s=PATIENCE_S).ok
    assert work == [(4, 44)] * 3


def test_no_user_takes_the_work_of_todays_cost(work: Work) -> None:
    """The work for an unknown user follows the setting."""
    BcryptPasswords(rounds=6, concurrency=1).verify("password", None, wait_s=PATIENCE_S)
    assert work == [(6, 44)]


@pytest.mark.parametrize("password", ["password", "wrong"])
def test_an_older_hash_takes_the_work_of_todays_cost(work: Work, password: str) -> None:
    """After the cost was raised, users of before are no faster to refuse than names that nobody has."""
    hashed = BcryptPasswords(rounds=4, concurrency=1).hash("password", wait_s=PATIENCE_S)

    BcryptPasswords(rounds=6, concurrency=1).verify(password, hashed, wait_s=PATIENCE_S)

    assert sum(2**cost for cost, _ in work) == 2**6


def test_making_a_hasher_computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service starts at once, whatever the cost of a hash."""

    def never(*_: object) -> bytes:
        raise AssertionError

    for name in ("hashpw", "checkpw", "gensalt", "kdf"):
        monkeypatch.setattr(bcrypt, name, never)
    BcryptPasswords(rounds=16, concurrency=1)


@pytest.mark.parametrize(("stored", "today", "outdated"), [(4, 5, True), (5, 5, False), (5, 4, False)])
def test_only_weaker_hashes_are_outdated(stored: int, today: int, outdated: bool) -> None:
    """A hash of fewer rounds than today's should be made anew, one of more should not."""
    hashed = BcryptPasswords(rounds=stored, concurrency=1).hash("password", wait_s=PATIENCE_S)
    check = BcryptPasswords(rounds=today, concurrency=1).verify("password", hashed, wait_s=PATIENCE_S)
    assert check == PasswordCheck(ok=True, outdated=outdated)
    wrong = BcryptPasswords(rounds=today, concurrency=1).verify("wrong", hashed, wait_s=PATIENCE_S)
    assert wrong == PasswordCheck(ok=False, outdated=False)


def test_hashes_of_earlier_releases_are_accepted(passwords: BcryptPasswords) -> None:
    """The stored form never changes under its name: this hash was made by the first release."""
    assert passwords.verify("Zu\u0308rich \x00 密码", OLD, wait_s=PATIENCE_S) == PasswordCheck(ok=True)


def test_at_most_so_many_at_once(monkeypatch: pytest.MonkeyPatch, passwords: BcryptPasswords) -> None:
    """With two under way, a third that may not wait is refused without being started, then served."""
    inside = threading.Semaphore(0)
    go_on = threading.Event()
    started: list[bytes] = []

    def slow(password: bytes, hashed: bytes) -> bool:
        started.append(password)
        inside.release()
        assert go_on.wait(PATIENCE_S)
        return False

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    monkeypatch.setattr(bcrypt, "hashpw", slow)
    with ThreadPoolExecutor(3) as pool:
        try:
            busy = [pool.submit(passwords.verify, "password", None, wait_s=PATIENCE_S) for _ in range(2)]
            assert inside.acquire(timeout=PATIENCE_S)
            assert inside.acquire(timeout=PATIENCE_S)
            for wait_s in (0.0, -1.0, 0.01):
                with pytest.raises(Overloaded):
                    passwords.verify("password", None, wait_s=wait_s)
                with pytest.raises(Overloaded):
                    passwords.hash("password", wait_s=wait_s)
            assert len(started) == 2
            waiting = pool.submit(passwords.verify, "password", None, wait_s=float("inf"))
        finally:
            go_on.set()
        assert [each.result(PATIENCE_S).ok for each in (*busy, waiting)] == [False] * 3


def test_a_failure_frees_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """When bcrypt raises, the next call is not kept waiting."""
    passwords = BcryptPasswords(rounds=4, concurrency=1)

    def broken(password: bytes, hashed: bytes) -> bool:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(bcrypt, "checkpw", broken)
        with pytest.raises(MemoryError):
            passwords.verify("password", None, wait_s=0.0)
    assert not passwords.verify("password", None, wait_s=0.0).ok


@given(st.text(st.sampled_from("aZ é\u0315\u0300\u0316\u0327\u0344\u1100\u1161\u11a8ﬁﷺ\ud800\U0001d15e"), max_size=900))
def test_long_texts_have_the_same_normal_form(text: str) -> None:
    """Taking a long text apart before normalising it changes nothing."""
    assert _nfkc(text) == unicodedata.normalize("NFKC", text)


@pytest.mark.parametrize("marks", ["\u0315\u0300", "\u0300\uff9e", "\u0300\u0316\u0344"])
def test_long_runs_of_marks_are_sorted_before_they_are_normalised(monkeypatch: pytest.MonkeyPatch, marks: str) -> None:
    """`unicodedata` takes quadratic time to sort marks: it is given short texts, or sorted ones."""
    real = unicodedata.normalize
    given: list[str] = []

    def recording(form: str, text: str) -> str:
        given.append(text)
        return real(form, text)  # type: ignore[arg-type]

    monkeypatch.setattr(unicodedata, "normalize", recording)
    _nfkc("a" + marks * 1_000)
    for text in given:
        decomposed = "".join(real("NFKD", character) for character in text)
        classes = [unicodedata.combining(character) for character in decomposed]
        assert len(text) <= 256 or all(not 0 < after < before for before, after in pairwise(classes))
    assert len(given) > 1


def test_different_passwords_have_different_digests() -> None:
    """Length, case, the last character, NUL and surrogates all count."""
    texts = ["", "\x00", "a", "A", "a\x00", "\ud800", "\udfff", "\ufffd", "x" * 999, "x" * 1000, "x" * 999 + "y"]
    assert len({_digest(text) for text in texts}) == len(texts)


@pytest.mark.parametrize(
    "wrong", [{"rounds": 3}, {"rounds": 17}, {"rounds": 31}, {"concurrency": 0}, {"rounds": "x"}, {"cost": 5}]
)
def test_settings_that_are_refused(wrong: dict[str, object]) -> None:
    """Costs that protect nothing or never end are refused, and so is no concurrency at all."""
    with pytest.raises(ValidationError):
        BcryptSettings.model_validate(wrong)


def test_settings_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many hashes at once as the process may use cores, whatever the machine has, at a cost of 12."""
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {5})
    assert BcryptSettings() == BcryptSettings(rounds=12, concurrency=1)
