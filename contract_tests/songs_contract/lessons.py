"""What a failure teaches: the clause, what was expected, what happened instead and where, and what lies behind it."""

import re
import textwrap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from songs.errors import SongsError
from songs_contract.causes import LIKELY_CAUSES
from songs_contract.chapters import GUIDE
from songs_contract.clauses import clauses
from songs_contract.first_steps import FirstStepError
from songs_contract.patience import OutOfPatience

if TYPE_CHECKING:
    from _pytest._code.code import TracebackEntry  # pytest names it nowhere else

KIT: Final = Path(__file__).parent
MAX_LINES: Final = 24
MAX_CHARACTERS: Final = 280
"""Of each side of a comparison: where both are longer, pytest leaves out the second."""
SHOWN_CLAUSES: Final = 2
_NO_ERROR: Final = re.compile(r"DID NOT RAISE (?:any of )?(?P<kinds>.+)")
_ARGUMENT: Final = re.compile(r"^ {4}(?P<name>\w+)=")
_COMPARED: Final = re.compile(r"^\s*expected: (?P<expected>.*)\n\s*got: (?P<got>.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One failure, explained. Made of strings alone, since it may travel from one process to another.

    Attributes:
        key: Failures with one key have one cause.
    """

    test: str
    states: str
    clauses: list[str]
    expected: str
    got: str
    where: list[str]
    cause: str
    chapter: str
    key: str

    def as_dict(self) -> dict[str, Any]:
        """Return it for a program."""
        return asdict(self)

    def as_text(self) -> str:
        """Return it for a person."""
        shown = self.clauses[:SHOWN_CLAUSES]
        lines = [f"{each}: {clauses()[each].text}" for each in shown]
        if len(self.clauses) > len(shown):
            lines.append(f"and {', '.join(self.clauses[SHOWN_CLAUSES:])}")
        members = {
            "test": self.test if self.states == self.expected else f"{self.test}\n{self.states}",
            "expected": self.expected,
            "got": self.got,
            "where": "\n".join(self.where),
            "likely cause": self.cause,
            "guide": f"{GUIDE}, chapter {self.chapter!r}",
        }
        lines += [_member(name, text) for name, text in members.items() if text]
        return "\n".join(lines)


def lesson_of(
    item: pytest.Item, ids: Sequence[str], excinfo: pytest.ExceptionInfo[BaseException], chapter: str
) -> Lesson:
    """Return what the failure of a test teaches, which belongs to a chapter."""
    error, entries = excinfo.value, _until_interrupted(excinfo.traceback)
    states = " ".join((getattr(getattr(item, "function", None), "__doc__", None) or "").split())
    expected, got = _expected_and_got(excinfo)
    known_cause = None
    if isinstance(error, FirstStepError) and error.__cause__ is not None:
        states, known_cause = f"{error.step}; nothing else of this port was tested", error.cause
        expected, cause = error.expected, pytest.ExceptionInfo.from_exception(error.__cause__)
        got, entries, error = cause.exconly(), _until_interrupted(cause.traceback), cause.value
    theirs = [entry for entry in entries if not _is_ours(entry)]
    return Lesson(
        test=f"{item.path.name}::{item.name}",
        states=states,
        clauses=list(ids),
        expected=expected or states,
        got=_cut(_without(getattr(item, "fixturenames", ()), got)),
        where=[_place(entry) for entry in _telling(entries, theirs)],
        cause=known_cause or _cause(error, entries, ids),
        chapter=chapter,
        key=_key(error, entries, getattr(item, "originalname", None) or item.name),
    )


def compared(left: object, right: object) -> list[str]:
    """Return how a comparison that failed is told: tests of the kit have what they got on the left."""
    start = 0
    if isinstance(left, list | tuple) and isinstance(right, list | tuple) and len(repr(left)) > MAX_CHARACTERS:
        # Where they begin to differ; the beginning would be all that there is room for.
        start = next((n for n, (one, other) in enumerate(zip(left, right, strict=False)) if one != other), 0)
    skipped = f"(from item {start} on) " if start else ""
    shown = [value[start:] if start else value for value in (right, left)]  # type: ignore[index]
    return ["got == expected", f"expected: {skipped}{_short(shown[0])}", f"got: {skipped}{_short(shown[1])}"]


def by_cause(lessons: Iterable[Lesson]) -> list[tuple[Lesson, list[Lesson]]]:
    """Return the first lesson of each cause, with the others of that cause."""
    groups: dict[str, list[Lesson]] = {}
    for lesson in lessons:
        groups.setdefault(lesson.key, []).append(lesson)
    return [(first, others) for first, *others in groups.values()]


def _expected_and_got(excinfo: pytest.ExceptionInfo[BaseException]) -> tuple[str, str]:
    told = excinfo.exconly(tryshort=True)
    no_error = _NO_ERROR.search(told)
    if no_error is not None:
        return re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", no_error["kinds"]), "no error"
    told = re.sub(
        r"^(AssertionError|Failed|songs_contract\.(program\.CounterexampleError|patience\.OutOfPatience)): ", "", told
    )
    message, compares, members = told.partition("assert got == expected")
    pair = _COMPARED.search(members)
    if compares and pair is not None:
        notes = getattr(excinfo.value, "__notes__", [])
        after = members.partition("the shortest program:")
        return pair["expected"], "\n".join(
            [pair["got"], *message.splitlines(), *notes, *"".join(after[1:]).splitlines()]
        )
    if not told.startswith("assert"):
        # The test says what is wrong; what its condition was made of says no more.
        told = told.partition("\nassert ")[0]
    return "", told


def _without(fixtures: Collection[str], text: str) -> str:
    """Return what hypothesis tells of an example without the objects of the kit, which take many lines."""
    kept, skipping = [], False
    for line in text.splitlines():
        argument = _ARGUMENT.match(line)
        if argument or not line.startswith(" "):
            skipping = argument is not None and argument["name"] in fixtures
        kept += [] if skipping else [line]
    return "\n".join(kept)


def _cause(error: BaseException, entries: "Sequence[TracebackEntry]", ids: Sequence[str]) -> str:
    if isinstance(error, NotImplementedError):
        return f"{_method(entries[-1])} is not written yet: write it."
    if isinstance(error, OutOfPatience):
        return "a call waits for ever, or the backend is slow: give it longer with `--patience SECONDS`."
    if not entries or _is_ours(entries[-1]) or isinstance(error, SongsError | AssertionError | pytest.fail.Exception):
        if isinstance(error, AttributeError | TypeError):
            return "a method is missing or misspelt, or its arguments are not those of the port."
        causes = [LIKELY_CAUSES[each] for each in ids[:SHOWN_CLAUSES] if each in LIKELY_CAUSES]
        return "\nor ".join(causes) + "." if causes else ""
    return (
        "the adapter raised what is no error of songs.errors: a mistake in it, or an error of the driver that is not "
        "translated at the adapter's edge (`raise ... from error`)."
    )


def _key(error: BaseException, entries: "Sequence[TracebackEntry]", test: str) -> str:
    if not entries or _is_ours(entries[-1]):
        return f"{type(error).__name__} in {test}"
    return f"{type(error).__name__} at {entries[-1].path}:{entries[-1].lineno}"


def _telling(entries: "Sequence[TracebackEntry]", theirs: "Sequence[TracebackEntry]") -> "list[TracebackEntry]":
    """Return the line of the test that failed and, where the error came from the adapter, the line in it."""
    suites = [entry for entry in entries if Path(entry.path).parent == KIT / "suites"]
    inside = (
        theirs[-1:] if entries and not _is_ours(entries[-1]) and "_pytest" not in Path(entries[-1].path).parts else []
    )
    return [*suites[-1:], *inside]


def _until_interrupted(traceback: "Sequence[TracebackEntry]") -> "list[TracebackEntry]":
    """Return the entries up to the call that was waited for, without the alarm that ended the waiting."""
    entries = list(traceback)
    while entries and Path(entries[-1].path) == KIT / "patience.py":
        entries.pop()
    return entries


def _is_ours(entry: "TracebackEntry") -> bool:
    return Path(entry.path).is_relative_to(KIT)


def _method(entry: "TracebackEntry") -> str:
    owner = entry.frame.f_locals.get("self")
    return entry.name if owner is None else f"{type(owner).__qualname__}.{entry.name}"


def _place(entry: "TracebackEntry") -> str:
    path = Path(entry.path)
    statement = " ".join(str(entry.statement).split())
    return f"{path.parent.name}/{path.name}:{entry.lineno + 1} in {_method(entry)}: {statement}"


def _short(value: object) -> str:
    return textwrap.shorten(repr(value), MAX_CHARACTERS, placeholder=" ...")


def _cut(text: str) -> str:
    lines = text.splitlines()
    return "\n".join(lines if len(lines) <= MAX_LINES else [*lines[:MAX_LINES], "..."])


def _member(name: str, text: str) -> str:
    first, *others = text.splitlines()
    return "\n".join([f"  {name:13} {first}", *(f"  {'':13} {line}" for line in others)])
