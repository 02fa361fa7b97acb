"""`songs doctor` finds what does not hang together, and nothing where everything does."""

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from songs.errors import StorageUnavailable
from songs.model import RatingStats
from songs.query import SongFilter
from songs.text import FOLD_VERSION
from songs.tools.checking import AT_ONCE, LOOKS, RATINGS_PAGE, Examiner
from songs.tools.comparing import Tally
from songs_api.cli import run
from songs_sqlite import SqliteStorage
from songs_sqlite.migrations import NEWEST
from songs_system.system import SystemClock


def _examined(place: Any) -> Any:
    return Examiner("acme", place.storage, place.runner(), place.clock).run()


def test_a_sound_storage_is_sound(pair: Any, make: Any, bend: Any) -> None:
    """Nothing is wrong with pages of songs, users and ratings, nor with texts that fold to nothing or to others."""
    make.fill(pair.source, songs=AT_ONCE + 3, ratings=RATINGS_PAGE + 7, users=AT_ONCE + 1)
    texts = ["\u0301", "ǅ", "Straße", "君が代", '"%_*', "ﷺ"]
    pair.source.do(
        lambda unit: unit.songs.add_many([make.song(900 + n, artist=text, title=text) for n, text in enumerate(texts)])
    )

    asked: list[SongFilter] = []

    def noting(songs: Any) -> dict[str, Any]:
        def find(song_filter: SongFilter, **page: Any) -> Any:
            asked.append(song_filter)
            return songs.find(song_filter, **page)

        return {"find": find}

    pair.source.cheat = bend("songs", noting)
    found = _examined(pair.source)

    assert (found.wrong, found.totals) == ([], True)
    assert [each for each in asked if "" in (each.text, each.artist)] == []
    assert found.seen == Tally(AT_ONCE + 3 + len(texts), RATINGS_PAGE + 10, AT_ONCE + 1)


def test_an_empty_storage_is_sound(pair: Any) -> None:
    """There is nothing to be wrong."""
    assert _examined(pair.source).wrong == []


def _hides(of: SongFilter) -> Callable[[Any], Callable[..., Any]]:
    def find(songs: Any) -> Callable[..., Any]:
        def found(song_filter: SongFilter, **page: Any) -> Any:
            return () if song_filter == of else songs.find(song_filter, **page)

        return found

    return find


CHEATS: dict[str, tuple[str, Callable[[Any], dict[str, Any]], str]] = {
    "no-song-by-id": ("songs", lambda _songs: {"get": lambda _id: None}, "song-0002 is listed and not found by its id"),
    "no-song-by-identity": ("songs", lambda _songs: {"identify": lambda _wanted: {}}, "by its artist, title and rel"),
    "no-song-by-title": (
        "songs",
        lambda songs: {"find": _hides(SongFilter(text="humoresque 2"))(songs)},
        "the song song-0002 is not found by its title",
    ),
    "no-song-by-artist": (
        "songs",
        lambda songs: {"find": _hides(SongFilter(artist="antonin dvorak"))(songs)},
        "the song song-0002 is not found by its artist",
    ),
    "no-song-by-level": (
        "songs",
        lambda songs: {"find": _hides(SongFilter(level=2))(songs)},
        "the song song-0002 is not found by its level",
    ),
    "songs-out-of-order": (
        "songs",
        lambda songs: {"find": lambda song_filter, **page: tuple(reversed(songs.find(song_filter, **page)))},
        "the song song-0003 is listed before song-0002",
    ),
    "a-total-of-a-level": (
        "songs",
        lambda songs: {
            "difficulty_totals": lambda level: (
                replace(songs.difficulty_totals(level), count=7) if level == 90 else songs.difficulty_totals(level)
            )
        },
        "the totals of level 90 are 7 songs and 0 thousandths of difficulty, where a walk finds 0 and 0",
    ),
    "statistics": (
        "ratings",
        lambda _ratings: {"stats": lambda _song_id: RatingStats()},
        "the statistics of the song song-0004 do not agree with its 3 ratings",
    ),
    "no-user-by-id": ("users", lambda _users: {"get": lambda _id: None}, "user-0002 is listed and not found by its id"),
    "no-user-by-name": (
        "users",
        lambda users: {"by_name": lambda _name: users.by_name("Anna0")},
        "the user user-0002 is not the one that is found by its name",
    ),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_what_does_not_hang_together_is_told(small: Any, bend: Any, cheat: str) -> None:
    """By the id of the record, or the level."""
    repository, bending, told = CHEATS[cheat]
    small.source.cheat = bend(repository, bending)

    assert told in "\n".join(_examined(small.source).wrong)


def test_what_only_looked_wrong_is_not_told(small: Any, bend: Any) -> None:
    """Others write between two reads: what is right at the third look was never wrong."""
    looks = iter(range(LOOKS - 1))

    def hasty(ratings: Any) -> dict[str, Any]:
        def stats(song_id: str) -> Any:
            wrong = song_id == "song-0000" and next(looks, None) is not None
            return RatingStats() if wrong else ratings.stats(song_id)

        return {"stats": stats}

    small.source.cheat = bend("ratings", hasty)

    assert _examined(small.source).wrong == []
    assert next(looks, None) is None


def test_another_record_that_looks_wrong_is_looked_at_anew(small: Any, bend: Any) -> None:
    """Where a busy service changes one song and then another, neither was wrong three times."""
    changing = (f"song-{n:04d}" for n in range(LOOKS))
    seen: list[str] = []

    def hasty(ratings: Any) -> dict[str, Any]:
        def stats(song_id: str) -> Any:
            if song_id == "song-0000":
                seen.append(next(changing, "none"))
            return RatingStats((9, 0, 0, 0, 0)) if song_id == seen[-1] else ratings.stats(song_id)

        return {"stats": stats}

    small.source.cheat = bend("ratings", hasty)

    assert _examined(small.source).wrong == []


def test_a_song_that_is_rated_all_the_time(pair: Any, make: Any, bend: Any) -> None:
    """Ratings that come between two pages of a song's are no fault; statistics that count too much are one."""
    make.fill(pair.source, songs=2, ratings=RATINGS_PAGE + 7, users=0)
    numbers = iter(range(1_000, 2_000))
    too_much = [0]

    def fresh(method: str) -> Callable[..., Any]:
        def call(*arguments: Any, **page: Any) -> Any:
            if "after_id" in page:
                pair.source.do(lambda unit: unit.ratings.add(make.rating(next(numbers))))
            found: list[Any] = []
            pair.source.do(lambda unit: found.append(getattr(unit.ratings, method)(*arguments, **page)))
            return RatingStats.of([5] * too_much[0] + [1] * 300) if too_much[0] and method == "stats" else found[0]

        return call

    pair.source.cheat = bend("ratings", lambda _ratings: {each: fresh(each) for each in ("of_song", "stats")})

    assert _examined(pair.source).wrong == []
    too_much[0] = 900
    assert any("song-0000" in line for line in _examined(pair.source).wrong)


def test_totals_that_change_meanwhile_are_left_out(small: Any, make: Any) -> None:
    """They cannot be recounted while others add songs, and that is no fault."""
    examiner = Examiner("acme", small.source.storage, small.source.runner(), small.source.clock)

    found = examiner.run(
        lambda _tally: small.source.do(lambda unit: unit.songs.add(make.song(0, song_id="a", title="b")))
    )

    assert (found.wrong, found.totals) == ([], False)


def test_a_storage_that_is_gone_is_told(small: Any) -> None:
    """It cannot be examined."""
    small.source.fail = iter([StorageUnavailable("It is gone.")])

    with pytest.raises(StorageUnavailable, match="The storage 'acme' gave up: It is gone"):
        _examined(small.source)


def test_a_storage_that_does_not_answer_is_told(small: Any) -> None:
    """Its own word for it counts, before anything is read."""
    small.source.storage.close()
    unread = Examiner("acme", small.source.storage, small.target.runner(), small.source.clock)

    with pytest.raises(StorageUnavailable, match="The storage 'acme' gave up"):
        unread.run()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any, new_place: Callable[..., Any]) -> Path:
    """A SQLite file with 5 songs, 6 ratings and 3 users, which is the selected storage."""
    path = tmp_path / "songs.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SONGS_STORAGE", "sqlite")
    monkeypatch.setenv("SONGS_SQLITE_PATH", str(path))
    monkeypatch.setenv("SONGS_LOG_FORMAT", "json")
    storage = SqliteStorage(path, SystemClock(), connections=2)
    storage.open()
    storage.prepare()
    make.fill(new_place(storage), songs=5, ratings=3, users=3)
    storage.close()
    return path


def test_the_command_says_that_nothing_is_wrong(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It counts the checked records, and exits with status 0."""
    assert run(["doctor"]) == 0

    out, err = capfd.readouterr()
    assert err == ""
    assert out.startswith("storage sqlite (songs-api ")
    assert "durable, shared, transactions, snapshot reads, maintenance\n" in out
    assert f"\nschema {NEWEST}, folds {FOLD_VERSION}, SQLite " in out
    assert out.endswith("checked 5 songs, 6 ratings, 3 users, and the difficulty totals\nno findings\n")


def test_the_command_says_what_is_wrong(
    file: Path, damaged: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    """A counter that somebody changed by hand is told with the remedy, and as clients see it; exit status 1."""
    damaged("UPDATE stats SET n1 = n1 + 1 WHERE song_id = 'song-0000'")

    for _ in range(2):
        assert run(["doctor"]) == 1
        out, err = capfd.readouterr()
        assert err == (
            "songs: warning: the statistics of the song song-0000 are 2/1/1/0/0, where its ratings make 1/1/1/0/0; "
            "--repair would recount them\n"
            "songs: warning: the statistics of the song song-0000 do not agree with its 3 ratings\n"
        )
        assert out.endswith("findings: 2\n")


@pytest.mark.parametrize(
    ("damage", "found", "ended"),
    [
        (
            "UPDATE songs SET level = 999 WHERE id = 'song-0003'",
            "is not the one",
            "The stored song song-0003 is damaged",
        ),
        ("DROP TABLE ratings", "the table ratings is missing: stop the service and restore a backup", "lacks a table"),
    ],
)
def test_the_command_says_what_it_found_before_damage_ended_it(
    damage: str, found: str, ended: str, file: Path, damaged: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    """The findings come first, then what ended the check; exit status 2."""
    damaged("UPDATE users SET name_key = 'zz' WHERE id = 'user-0000'")
    damaged(damage)

    assert run(["doctor"]) == 2

    *warnings, last = capfd.readouterr().err.splitlines()
    assert any(found in line for line in warnings)
    assert all(line.startswith("songs: warning: ") for line in warnings)
    assert ended in last


def test_the_command_repairs(file: Path, damaged: Callable[[str], None], capfd: pytest.CaptureFixture[str]) -> None:
    """What was mended is told, and wrong no more: exit status 0, and then nothing is left to mend."""
    damaged("UPDATE stats SET n1 = n1 + 1 WHERE song_id = 'song-0000'")

    assert run(["doctor", "--repair"]) == 0
    out, err = capfd.readouterr()
    told = json.loads(err)
    assert (told["event"], told["action"], told["outcome"], told["mended"]) == ("audit", "repair", "done", 1)
    assert "\nrepaired: the statistics of the song song-0000 are 2/1/1/0/0, where its ratings make 1/1/1/0/0\n" in out
    assert out.endswith("repaired: 1\nno findings\n")
    with contextlib.closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT epoch, cache_on FROM coherence").fetchall() == [(2, 0)], (
            "caches show it still"
        )
    assert run(["doctor"]) == 0


def test_a_repair_after_one_that_was_killed(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Caches forget what they held also where nothing is left to mend. Nothing was changed: there is no audit line."""
    assert run(["doctor", "--repair"]) == 0
    assert capfd.readouterr().err == ""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT epoch, cache_on FROM coherence").fetchall() == [(2, 0)]


def test_other_folds_are_a_warning(file: Path, damaged: Callable[[str], None]) -> None:
    """Every command goes on with a line on standard error, until the storage was repaired."""
    damaged("UPDATE meta SET value = '1/1.1.0' WHERE name = 'fold_version'")
    program = [sys.executable, "-c", "from songs_api.cli import main; main()", "prepare"]

    warned = subprocess.run(program, capture_output=True, text=True, check=True)
    assert run(["doctor", "--repair"]) == 0
    satisfied = subprocess.run(program, capture_output=True, text=True, check=True)

    assert warned.stdout == satisfied.stdout == "the storage 'sqlite' is ready\n"
    assert f"were folded by version 1/1.1.0, and this program folds by {FOLD_VERSION}" in warned.stderr
    assert (warned.stderr.count("\n"), satisfied.stderr) == (1, "")


@pytest.fixture
def damaged(file: Path) -> Callable[[str], None]:
    """Run a statement on the file."""

    def damage(statement: str) -> None:
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute(statement)

    return damage
