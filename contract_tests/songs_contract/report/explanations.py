"""What a failure teaches: the clause, what was expected and happened, where, and what most often lies behind it."""

import re
import textwrap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from songs.errors import SongsError
from songs_contract.law import GUIDE, clauses

if TYPE_CHECKING:
    from _pytest._code.code import TracebackEntry  # pytest names it nowhere else


class FirstStepError(Exception):
    """The adapter does not get as far as a first call; nothing else can be tested."""

    def __init__(self, step: str, clause_id: str, expected: str, cause: str | None = None) -> None:
        super().__init__(f"{step} failed; no other clause of this port was tested")
        self.step = step
        self.clauses = [clause_id]
        self.expected = expected
        self.cause = cause


class OutOfPatience(BaseException):
    """A test took longer than one may: nothing is known of its clauses.

    It is no `Exception`: Hypothesis would take one for a property of the example that was running, run that example
    again, and report it as a counterexample of a clause.
    """


LIKELY_CAUSES: Final[dict[str, str]] = {
    "STO-1": "the constructor or the import connects already, or `open` a second time throws away what is open",
    "STO-2": "`prepare` creates without IF NOT EXISTS, or two processes that prepare at once trip over each other",
    "STO-3": "units share one connection, cursor or attribute of the storage object",
    "STO-4": "the end of the block does not look at the exception, or frees what the unit took in one case only",
    "STO-5": "the writing methods do not ask for the unit's scope",
    "STO-6": "the write consists of several steps that are not in one transaction",
    "STO-7": "the driver commits each statement by itself (autocommit), or the rollback is not sent",
    "STO-8": "readers look at rows that are not committed, or read one thing in several steps",
    "STO-9": "each read of the unit takes a snapshot of its own; begin the transaction when the unit begins",
    "STO-10": "reads come from a copy, a replica or a snapshot that is older than the unit",
    "STO-11": "the write is acknowledged before it is synced, or a torn end of the file is not dealt with when opening",
    "STO-12": "nothing locks the place, the lock waits instead of refusing, or it outlives a process that was killed",
    "STO-13": "a call into the driver is not wrapped; translate its errors at one place, with `raise ... from error`",
    "STO-14": "a wait has no timeout: give each the deadline's `remaining_s()`, at a lock of your own as well",
    "STO-15": "a conflict or a busy lock is reported as an outage, or not translated at all",
    "STO-16": "`ping` answers from memory, without asking what a read would ask",
    "STO-17": "`close` fails when called again, or leaves something behind that keeps `open` from working",
    "STO-18": "the descriptor has no capabilities, or declares less than the open storage; give both the same object",
    "STO-19": "`open` creates what is missing, or the identity is made when opening instead of being stored",
    "STO-20": "`open_existing` prepares what it does not find, does not compare, or stays open when it raises",
    "STO-21": "files are open under names that lead elsewhere by now: look before each unit and after each sync",
    "STO-22": "the driver, or a loop of yours, repeats what failed without a pause for as long as the deadline allows",
    "STO-23": "a collation, a trimmed or short column, a conversion to a number, or parts joined without their lengths",
    "STO-24": "the backend takes 0 for no limit, a page of its driver ends the result, or an integer is too narrow",
    "STO-25": "a unit is kept by thread, or uses the connection of the unit that the thread is in already",
    "MNT-1": "it compares what a writer is just changing: look at both sides in one state of the storage",
    "MNT-2": "the finding is yielded before it is mended, or its repair is not one write",
    "MNT-3": "the repair rebuilds records instead of changing what was wrong in them",
    "MNT-4": "what is written back was read before the lock or the condition of the write",
    "MNT-5": "the version of the folds is not stored beside them, or `prepare` folds anew or refuses",
    "MNT-6": "`versions` answers without asking the storage, or from one that is closed",
    "SNG-1": "a column changes what it holds: a float for thousandths, a time zone for a date, a collation for a text",
    "SNG-2": "ids are converted, or put into a query as text instead of as a parameter",
    "SNG-3": "there is no unique index over artist, title and release date, or it compares without case or accents",
    "SNG-4": "an id that is stored already is refused, instead of being compared with what is stored",
    "SNG-5": "the batch ends with the first refusal, or a song of it is not compared with the others of the batch",
    "SNG-6": "the version is read and compared before the write; put it into the condition of the write itself",
    "SNG-7": "the version is compared before it is seen that the stored song equals the new one already",
    "SNG-8": "ratings, statistics or keys lie elsewhere and are not removed in the same write",
    "SNG-9": "the order is the database's (a collation, or that of insertion), or `after_id` itself comes once more",
    "SNG-10": "the walk goes by position instead of by the last id, or comes to the last id once more",
    "SNG-11": "the text is used as a pattern (LIKE, a regular expression, a word index), or is not folded",
    "SNG-12": "the count is kept beside the songs and lags behind, or is that of another filter, or adds up floats",
    "SNG-13": "identities are compared by a collation, or one part of the three is left out",
    "SNG-14": "ratings are removed one by one, or what is left of them is found by the song's id or by a key",
    "RAT-1": "event and statistics are two writes, or the receipt is read before the rating is counted",
    "RAT-2": "the write creates the song's record where it is missing (an upsert)",
    "RAT-3": "the id of the event is not unique in the storage, so a repeat counts twice",
    "RAT-4": "the key is looked up before the write instead of being unique, or its value or song is ignored",
    "RAT-5": "the key is unique alone instead of with its user, or compares without case, or outlives its song",
    "RAT-6": "the key is noted before it is known that the rating can be stored",
    "RAT-7": "a counter is read, increased and written back, while another writer does the same",
    "RAT-8": "the counters are read one after the other, or a missing song is taken for one without ratings",
    "RAT-9": "an event loses a member on the way: its key, its milliseconds, its time zone; or limit and order are off",
    "USR-1": "a member is converted on its way: the spelling of the name, the time of creation",
    "USR-2": "the unique index is over the name instead of over `User.name_key`",
    "USR-3": "an id that is stored already is refused, instead of comparing its name",
    "USR-4": "the look-up compares `name` instead of `name_key`",
    "USR-5": "the version is not part of the condition of the write, or other rows are replaced with the user's",
    "USR-6": "the sessions of a user who has few stay when it goes",
    "USR-7": "the order is by name, or a collation's, or `after_id` itself is returned again",
    "SES-1": "a member is missing in what is stored: often the previous hash",
    "SES-2": "the current hash is read and compared before the write; put it into the condition of the write itself",
    "SES-3": "the time of rotation is not stored, or compared the wrong way round",
    "SES-4": "reuse raises, so that the unit rolls the removal back; return it",
    "SES-5": "`expires_at` itself is taken for valid, or expiry is not looked at",
    "SES-6": "a repeat is taken for reuse: look whether `next_hash` is current already",
    "SES-7": "`keep_id` or `limit` is ignored, or removing what is not there is an error",
    "SES-8": "`limit` is ignored, or `expires_at` itself is taken for valid",
    "COH-1": "the record is made by `prepare` with other values, or its absence is an error",
    "COH-2": "the epoch is read and compared before the write; put it into the condition of the write itself",
    "COH-3": "the answer is what was asked for, not what is stored afterwards",
    "COH-4": "the column of the cache's name is too short or converts, or an advance leaves the name of before",
    "BAT-1": "the answer is in the order of the backend's rows, or a text that cannot be stored is an error",
    "BAT-2": "the filter is applied without the song's id, or an answer for one filter is taken for that of another",
    "BAT-3": "the limit is one for all songs together, or statistics and ratings are read one after the other",
    "BAT-4": "a batch is a loop over single reads: ask for all ids in one statement",
    "CACHE-1": "the value is decoded or encoded on its way; it is bytes",
    "CACHE-2": "the lease is not compared with the group's, or can come again (a counter after a flush)",
    "CACHE-3": "one group of several is forgotten, or entries stay while only leases are voided",
    "CACHE-4": "the group's generation comes back with the snapshot; compare it with the server's run",
    "CACHE-5": "the time to live is in another unit, is rounded, or begins anew with each read, or 0 means for ever",
    "CACHE-6": "group and key are joined with a character that they may hold, or are folded, trimmed or cut",
    "CACHE-7": "what is found under the key is unpacked without looking at its form first",
    "CACHE-8": "a timeout of the driver is longer than 0.2 s, its error is not translated, or `ping` asks nobody",
    "CACHE-9": "each group, or each step, is a command of its own; send them as one script or pipeline",
    "CACHE-10": "the identity is left out of a hit, a miss, an invalidation or a ping, or is made anew for each",
    "CACHE-11": "the identity is made of the settings alone: have the server say which it is, in the same round trip",
    "TOG-1": "the hit is counted in a place of its own, a second time, or under another bucket or limit",
    "TOG-2": "entries are looked up by other names than `get` does, kept beside the cache, or read without its checks",
    "TOG-3": "the answer's lease is dropped, or is another than the one that `get` hands out for the group",
    "TOG-4": "the entry is not asked for, or not taken from the answer, where the hit is refused",
    "TOG-5": "the cache's error is let through, or ends the call before the verdict is read",
    "TOG-6": "the error of the common round trip is taken for the cache's, or is not translated",
    "TOG-7": "limiter and cache are asked one after the other; send both commands as one script or pipeline",
    "TOG-8": "cache and limiter are offered with two functions, or a second `open` begins anew",
    "TOG-9": "counts are kept beside the place that the settings name, for all objects of the process",
    "TOG-10": "the hit or miss is made anew from the answer, without the identity that came with it",
    "LIM-1": "the count is read and then increased, so that two hits see the same count; or the limit is off by one",
    "LIM-2": "`remaining` is computed before the hit, or `reset_s` is a time of day or the whole window",
    "LIM-3": "a hit prolongs the window, or windows go by the wall clock instead of the monotonic one",
    "LIM-4": "the bucket's name is cut, trimmed or joined, or amount and window are not part of the key",
    "LIM-5": "nothing removes a bucket that nobody hits any more",
    "LIM-6": "the driver's error is not translated, or its timeout is longer than 0.5 s",
    "LIM-7": "the name is made of bucket and time, so it comes again after a loss, or `serial` is the count",
    "LIM-8": "what is given back is not bound to its window, or a window that is given back whole is forgotten",
    "TOK-1": "a claim is not put into the token, or is converted on its way back; a time is taken for local",
    "TOK-2": "expiry is compared by the machine's clock, with a leeway, or not at all",
    "TOK-3": "the library verifies only what it is told to: name algorithm, issuer, audience, type and required claims",
    "TOK-4": "the library raises an error of another kind for this input, or its message quotes the token",
    "TOK-5": "the token holds characters that no Authorization header takes",
    "PWD-1": "the password is trimmed or folded, or the function reads 72 bytes, or as far as a NUL: hash it first",
    "PWD-2": "the salt is constant or derived from the password",
    "PWD-3": "an unknown user or a damaged hash is answered before any hash was computed",
    "PWD-4": "nothing limits how many threads hash at once, or a refusal comes without waiting",
    "PWD-5": "the parameters in the hash are not compared with today's",
    "CLK-1": "the time is local or naive, or has microseconds",
    "CLK-2": "it is the wall clock, or one of each thread",
    "CLK-3": "the sleep ends early and is not continued",
    "IDS-1": "the id has another form, or its random part is not unique among threads and generators",
    "IDS-2": "the last id is not remembered, or not under a lock",
    "IDS-3": "the time does not come first in the id, or a counter of each process does",
    "IDS-4": "the child inherits the parent's random state and counter; begin anew when the process id has changed",
}


KIT: Final = Path(__file__).parents[1]
MAX_LINES: Final = 24
MAX_CHARACTERS: Final = 280
"""Of each side of a comparison: where both are longer, pytest leaves out the second."""
CONTEXT_CHARACTERS: Final = 40
"""Of what is equal on both sides, before they differ."""
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
    """Return how a comparison that failed is told: tests of the kit have what they got on the left.

    Long ones are shown where they differ; the beginning would be all that there is room for.
    """
    skipped, shown = "", [right, left]
    if len(repr(left)) > MAX_CHARACTERS:
        if isinstance(left, list | tuple) and isinstance(right, list | tuple):
            start = next((n for n, (one, other) in enumerate(zip(left, right, strict=False)) if one != other), 0)
            skipped = f"(from item {start} on) " if start else ""
            shown = [right[start:], left[start:]]
        elif isinstance(left, dict) and isinstance(right, dict):
            equal = {key for key, value in left.items() if key in right and right[key] == value}
            skipped = f"(but for {len(equal)} that are equal) " if equal else ""
            shown = [{key: value for key, value in each.items() if key not in equal} for each in (right, left)]
    texts = [repr(each) for each in shown]
    alike = next((n for n, pair in enumerate(zip(*texts, strict=False)) if len(set(pair)) > 1), 0) - CONTEXT_CHARACTERS
    if alike > 0 and max(map(len, texts)) > MAX_CHARACTERS:
        texts = [f"... {text[alike:]}" for text in texts]
    expected, got = (textwrap.shorten(text, MAX_CHARACTERS, placeholder=" ...") for text in texts)
    return ["got == expected", f"expected: {skipped}{expected}", f"got: {skipped}{got}"]


def by_cause(lessons: Iterable[Lesson]) -> list[tuple[Lesson, list[Lesson]]]:
    """Return the first lesson of each cause, with the others of that cause."""
    groups: dict[str, list[Lesson]] = {}
    for lesson in lessons:
        groups.setdefault(lesson.key, []).append(lesson)
    return [(first, others) for first, *others in groups.values()]


_OURS: Final = re.compile(r"^(AssertionError|Failed|songs_contract\.[\w.]+\.(CounterexampleError|OutOfPatience)): ")
"""The name of an error that says no more than its message."""


def _expected_and_got(excinfo: pytest.ExceptionInfo[BaseException]) -> tuple[str, str]:
    told = excinfo.exconly(tryshort=True)
    no_error = _NO_ERROR.search(told)
    if no_error is not None:
        return re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", no_error["kinds"]), "no error"
    told = _OURS.sub("", told)
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
    while entries and Path(entries[-1].path) == KIT / "harness" / "timing.py":
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


def _cut(text: str) -> str:
    lines = text.splitlines()
    return "\n".join(lines if len(lines) <= MAX_LINES else [*lines[:MAX_LINES], "..."])


def _member(name: str, text: str) -> str:
    first, *others = text.splitlines()
    return "\n".join([f"  {name:13} {first}", *(f"  {'':13} {line}" for line in others)])
