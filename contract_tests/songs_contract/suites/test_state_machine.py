"""Any sequence of calls means what it means on plain dictionaries."""

from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from songs.errors import SongsError
from songs.model import Rating, Role, Song, User
from songs.ports.storage import UnitOfWork
from songs.query import SongFilter
from songs_contract.harness.driver import StorageUser
from songs_contract.harness.subject import Subject
from songs_contract.law import clause
from songs_contract.models.samples import EVERYTHING, rating, song, user
from songs_contract.models.state_model import Program, Reference
from songs_plugins import Port

PORT = Port.STORAGE

SONG_IDS = ["s1", "s2", "s3"]
TITLES = ["Alpha", "ALPHA", "Ålpha", "beta"]
LEVELS = [0, 1]
FILTERS = [
    SongFilter(text="alp"),
    SongFilter(text="a", level=0),
    SongFilter(artist="trad."),
    SongFilter(level=1),
]

songs = st.builds(
    lambda song_id, title, level, milli, version: song(
        song_id, title=title, level=level, difficulty_milli=milli, version=version
    ),
    st.sampled_from(SONG_IDS),
    st.sampled_from(TITLES),
    st.sampled_from(LEVELS),
    st.sampled_from([0, 1, 100_000]),
    st.integers(1, 3),
)
ratings = st.builds(
    lambda number, song_id, user_id, value, key: rating(
        f"r{number}", song_id=song_id, user_id=user_id, value=value, key=key
    ),
    st.integers(0, 200),
    st.sampled_from(SONG_IDS),
    st.sampled_from(["u1", "u2"]),
    st.integers(1, 5),
    st.sampled_from([None, None, "k1", "k2"]),
)
users = st.builds(
    lambda user_id, name, role, version: user(user_id, name=name, role=role, version=version),
    st.sampled_from(["u1", "u2"]),
    st.sampled_from(["Ada", "ADA", "Bob"]),
    st.sampled_from(Role),
    st.integers(1, 3),
)


class PlantedError(Exception):
    """What makes a transaction roll back here."""


def outcome_of(call: Callable[[], object]) -> object:
    """Return what a call returns, or the class of the error that refuses it."""
    try:
        return call()
    except SongsError as error:
        return type(error)


class StorageMachine(RuleBasedStateMachine):
    """Runs the same calls on the storage and on the reference."""

    use: StorageUser
    transactions: bool
    program: Program

    @initialize()
    def begin_empty(self) -> None:
        """Empty the place, which is the same for all examples."""
        for song_id in SONG_IDS:
            self.use.delete_song(song_id)
        for user_id in ("u1", "u2"):
            self.use.delete_user(user_id)
        self.reference = Reference()
        self.used_ratings: dict[str, Rating] = {}
        self.program.begin()

    @rule(new=songs)
    def add_song(self, new: Song) -> None:
        """Add a song, perhaps a second time or in conflict."""
        with self.program.step("SNG-3 SNG-4", "songs.add", new):
            self.both(lambda unit: unit.songs.add(new), lambda reference: reference.add_song(new))

    @rule(new=st.lists(songs, max_size=4))
    def add_songs(self, new: list[Song]) -> None:
        """Add several."""

        def one_by_one(reference: Reference) -> frozenset[str]:
            refused = set()
            for each in new:
                try:
                    reference.add_song(each)
                except SongsError:
                    refused.add(each.id)
            return frozenset(refused)

        with self.program.step("SNG-5", "songs.add_many", new):
            self.both(lambda unit: unit.songs.add_many(new), one_by_one)

    @rule(changed=songs.filter(lambda each: each.version > 1))
    def replace_song(self, changed: Song) -> None:
        """Change a song, perhaps from a version that is not stored."""
        version = changed.version - 1
        with self.program.step("SNG-6", "songs.replace", changed, if_version=version):
            self.both(
                lambda unit: unit.songs.replace(changed, if_version=version),
                lambda reference: reference.replace_song(changed, version),
            )

    @rule(song_id=st.sampled_from(SONG_IDS))
    def delete_song(self, song_id: str) -> None:
        """Remove a song, perhaps one that is not there."""
        with self.program.step("SNG-8", "songs.delete", song_id):
            self.both(lambda unit: unit.songs.delete(song_id), lambda reference: reference.delete_song(song_id))

    @rule(new=ratings)
    def add_rating(self, new: Rating) -> None:
        """Rate; an id is never used for two different events."""
        event = self.used_ratings.setdefault(new.id, new)
        with self.program.step("RAT-2 RAT-3 RAT-4 RAT-6" if event.key else "RAT-2 RAT-3", "ratings.add", event):
            self.both(lambda unit: unit.ratings.add(event).rating_id, lambda reference: reference.add_rating(event))

    @rule(new=users)
    def add_user(self, new: User) -> None:
        """Add a user, perhaps a second time or in conflict."""
        with self.program.step("USR-2 USR-3", "users.add", new):
            self.both(lambda unit: unit.users.add(new), lambda reference: reference.add_user(new))

    @rule(user_id=st.sampled_from(["u1", "u2"]))
    def delete_user(self, user_id: str) -> None:
        """Remove a user, perhaps one that is not there."""
        with self.program.step("USR-6", "users.delete", user_id):
            self.both(lambda unit: unit.users.delete(user_id), lambda reference: reference.delete_user(user_id))

    @precondition(lambda self: self.transactions)
    @rule(new=st.lists(songs, min_size=1, max_size=3), commit=st.booleans(), gone=st.sampled_from(SONG_IDS))
    def transaction(self, new: list[Song], commit: bool, gone: str) -> None:  # noqa: FBT001 - drawn
        """Make several writes, and keep them all or none."""
        after = self.reference.copy()

        def work(unit: UnitOfWork) -> None:
            unit.songs.delete(gone)
            after.delete_song(gone)
            for each in new:
                if unit.songs.add_many([each]):
                    continue
                after.add_song(each)
            if not commit:
                raise PlantedError

        with self.program.step("STO-7", "a transaction, then a " + ("commit" if commit else "rollback"), gone, new):
            try:
                self.use.many(work)
            except PlantedError:
                assert not commit
            else:
                self.reference = after

    @invariant()
    def a_fresh_reader_sees_the_same(self) -> None:
        """Everything that can be read, in one fresh unit, is what the reference holds."""
        if not hasattr(self, "reference"):
            return
        reference, step = self.reference, self.program.step

        def look(unit: UnitOfWork) -> None:
            with step("STO-10", "songs.find", EVERYTHING):
                assert unit.songs.find(EVERYTHING, limit=100) == reference.find(EVERYTHING)
            for song_id in SONG_IDS:
                with step("SNG-2", "songs.get", song_id):
                    assert unit.songs.get(song_id) == reference.songs.get(song_id)
                with step("RAT-8", "ratings.stats", song_id):
                    assert unit.ratings.stats(song_id) == reference.stats(song_id)
                with step("RAT-9", "ratings.of_song", song_id):
                    assert unit.ratings.of_song(song_id, limit=1000) == reference.events(song_id)
            for each in FILTERS:
                with step("SNG-11", "songs.find", each):
                    assert unit.songs.find(each, limit=100) == reference.find(each)
                with step("SNG-12", "songs.count", each):
                    assert unit.songs.count(each) == len(reference.find(each))
            for level in (None, *LEVELS):
                with step("SNG-12", "songs.difficulty_totals", level):
                    assert unit.songs.difficulty_totals(level) == reference.totals(level)
            with step("USR-7", "users.find"):
                assert unit.users.find(limit=100) == tuple(each for _, each in sorted(reference.users.items()))

        with self.program.reading():
            self.use.read(look)

    def both(self, real: Callable[[UnitOfWork], object], model: Callable[[Reference], object]) -> None:
        """Do the same on both sides; results and refusals must be equal."""
        assert outcome_of(lambda: self.use.write(real)) == outcome_of(lambda: model(self.reference))


@clause("SNG-2", "SNG-3", "SNG-4", "SNG-5", "SNG-6", "SNG-8", "SNG-11", "SNG-12", "RAT-2", "RAT-3", "RAT-4", "RAT-6")
@clause("RAT-8", "RAT-9", "USR-2", "USR-3", "USR-6", "USR-7", "STO-7", "STO-10")
def test_any_sequence_of_calls(use: StorageUser, subject: Subject) -> None:
    """After any sequence of calls a fresh reader sees what plain dictionaries would hold."""

    class Machine(StorageMachine):
        pass

    Machine.use = use
    Machine.transactions = subject.declares("transactions")
    Machine.program = Program()
    with Machine.program.told():
        run_state_machine_as_test(Machine)
