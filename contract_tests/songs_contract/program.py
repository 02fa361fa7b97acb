"""The shortest program that shows a defect: what the state machine did, as someone would write it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

from songs.model import Rating, Song, User
from songs_contract.checks import rating, song, user


class CounterexampleError(AssertionError):
    """A sequence of calls did not mean what it means on plain dictionaries.

    Attributes:
        clauses: The clauses of the call that showed it, and of the last write before.
    """

    def __init__(self, program: str, clauses: list[str]) -> None:
        super().__init__(program)
        self.clauses = clauses


class Program:
    """Keeps the calls of one example. Hypothesis ends with the shortest example that fails."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin anew, with an empty storage."""
        self._writes: list[str] = []
        self._last_write: list[str] = []
        self._read = ""
        self._read_clause: list[str] = []
        self._reads = False

    @contextmanager
    def step(self, clause_ids: str, name: str, *arguments: object, **options: object) -> Iterator[None]:
        """Note one call, which is made within the block, and the clauses that it is about, with spaces between."""
        if self._reads:
            # Reads are many, and only the one that fails is told: it is written down when it is known to.
            try:
                yield
            except Exception:
                self._read, self._read_clause = _call(name, arguments, options), clause_ids.split()
                raise
            return
        self._writes.append(_call(name, arguments, options))
        self._last_write = clause_ids.split()
        yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within the block calls are reads, in one unit of their own."""
        self._reads = True
        try:
            yield
        finally:
            self._reads = False

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell the program when the block, which runs the examples, fails.

        Raises:
            CounterexampleError: It failed.
        """
        try:
            yield
        except Exception as error:
            if not self._writes and not self._read:
                raise
            lines = [f"unit.{line}    # in a unit of its own" if "unit." not in line else line for line in self._writes]
            lines += [f"unit.{self._read}    # in a READ unit"] if self._read else []
            told = f"{error}" if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            clauses = list(dict.fromkeys(self._read_clause + self._last_write))
            raise CounterexampleError(
                "\n".join([*told.splitlines(), "", "the shortest program:", *lines]), clauses
            ) from error


def _call(name: str, arguments: tuple[object, ...], options: dict[str, object]) -> str:
    told = [_told(each) for each in arguments] + [f"{key}={_told(value)}" for key, value in options.items()]
    return f"{name}({', '.join(told)})"


def _told(value: object) -> str:
    """Return a value as a test of the kit would write it: what is as in the sample is left out."""
    sample: Any
    match value:
        case list():
            return f"[{', '.join(map(_told, value))}]"
        case Song():
            sample, name = song(value.id), "song"
        case Rating():
            sample, name = rating(value.id), "rating"
        case User():
            sample, name = user(value.id, name="name"), "user"
        case _ if is_dataclass(value):
            shown = [
                f"{each.name}={getattr(value, each.name)!r}"
                for each in fields(value)
                if getattr(value, each.name) is not None
            ]
            return f"{type(value).__name__}({', '.join(shown)})"
        case _:
            return repr(value)
    changed = [
        f"{each.name}={getattr(value, each.name)!r}"
        for each in fields(value)
        if getattr(value, each.name) != getattr(sample, each.name)
    ]
    return f"{name}({', '.join([repr(value.id), *changed])})"
