"""Splitting a file of songs into its songs, in constant memory, whatever the file holds."""

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final, Protocol

MAX_RECORD_BYTES: Final = 1_000_000
CHUNK_BYTES: Final = 65_536

_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = b" \t\r\n"
# Within a string nothing counts but its end; outside, what opens, closes and separates.
_MARKS: Final = {True: re.compile(rb'[\\"]'), False: re.compile(rb'["\[\]{},]')}


@dataclass(frozen=True, slots=True)
class Record:
    """The text of one song and the number of the line where it begins; `text` is None where `problem` says why."""

    line: int
    text: bytes | None
    problem: str | None = None
    final: bool = False
    """Nothing after it can be read."""


class Source(Protocol):
    """What is read from: bytes, as many as there are at once."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end."""
        ...


def records(file: IO[bytes]) -> Iterator[Record]:
    """Yield the songs of a file; unreadable ones, and an end that comes too soon, as records with a problem.

    Raises:
        OSError: The file cannot be read.
    """
    chunks = _Chunks(file)
    first = chunks.begin()
    split = _elements if first == b"[" else _lines
    line = 1
    for record in split(chunks):
        line = record.line
        yield record
    if chunks.problem is not None:
        yield Record(max(line, chunks.line), None, chunks.problem, final=True)


class _Chunks:
    """The bytes of a file, uncompressed. `problem` says at the end why it is not the whole file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._source: Source = file
        self._ahead = b""
        self.problem: str | None = None
        self.line = 1

    def begin(self) -> bytes:
        """Look at the first bytes; return the first one that is not white space."""
        magic = self._file.read(len(_GZIP))
        if magic == _GZIP:
            self._source = _Gunzip(_Prefixed(magic, self._file))
        else:
            self._source = _Prefixed(magic, self._file)
        self._ahead = self._read().removeprefix(_BOM)
        while self._ahead and not self._ahead.strip(_SPACE):
            more = self._read()
            if not more:
                break
            # Only the lines of leading white space matter.
            self._ahead = b"\n" * self._ahead.count(b"\n") + more
        return self._ahead.lstrip(_SPACE)[:1]

    def __iter__(self) -> Iterator[bytes]:
        chunk, self._ahead = self._ahead, b""
        while chunk:
            yield chunk
            self.line += chunk.count(b"\n")
            chunk = self._read()

    def _read(self) -> bytes:
        try:
            return self._source.read(CHUNK_BYTES)
        except EOFError:
            self.problem = "the file is cut off here: its gzip data has no end"
        except (zlib.error, gzip.BadGzipFile) as error:
            self.problem = f"the file is damaged here: its gzip data cannot be read ({error})"
        return b""


class _Prefixed:
    """A file of which the first bytes were read already."""

    def __init__(self, prefix: bytes, file: IO[bytes]) -> None:
        self._prefix = prefix
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        if self._prefix:
            prefix, self._prefix = self._prefix, b""
            return prefix + self._file.read(max(size - len(prefix), 0))
        return self._file.read(size)


class _Gunzip:
    """Uncompresses as it goes, member by member; what was readable is returned before the error is raised."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._compressed = b""
        self._member = zlib.decompressobj(wbits=31)
        self._begun = False

    def read(self, size: int, /) -> bytes:
        while True:
            if not self._compressed:
                self._compressed = self._source.read(CHUNK_BYTES)
            if not self._compressed:
                if self._begun and not self._member.eof:
                    raise EOFError
                return b""
            if self._member.eof:
                self._compressed = self._compressed.lstrip(b"\0")  # padding after the last member
                if not self._compressed:
                    continue
                self._member = zlib.decompressobj(wbits=31)
            self._begun = True
            text = self._member.decompress(self._compressed, size)
            self._compressed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if text:
                return text


def _lines(chunks: _Chunks) -> Iterator[Record]:
    line, rest, skipping = 1, b"", False
    for chunk in chunks:
        *whole, last = chunk.split(b"\n")
        for piece in whole:
            if not skipping:
                yield from _line(line, rest + piece)
            line, rest, skipping = line + 1, b"", False
        if skipping:
            continue
        rest += last
        if len(rest) > MAX_RECORD_BYTES:
            yield _too_long(line)
            rest, skipping = b"", True
    # The last line of a file that was cut off is not whole; the cut is reported instead.
    if rest and not skipping and chunks.problem is None:
        yield from _line(line, rest)


def _line(number: int, text: bytes) -> Iterator[Record]:
    stripped = text.strip(_SPACE)
    if len(stripped) > MAX_RECORD_BYTES:
        yield _too_long(number)
    elif stripped:
        yield Record(number, stripped)


def _too_long(line: int) -> Record:
    return Record(line, None, f"is longer than {MAX_RECORD_BYTES} bytes")


def _elements(chunks: _Chunks) -> Iterator[Record]:
    scanner = _ArrayScanner()
    for chunk in chunks:
        yield from scanner.feed(chunk)
        if scanner.broken:
            return
    if not scanner.ended and chunks.problem is None:
        yield Record(scanner.line, None, "the array has no end: the file is cut off", final=True)


class _ArrayScanner:
    """Finds the elements of a JSON array in bytes that come in pieces. What an element holds is not looked at."""

    def __init__(self) -> None:
        self.line = 1
        self.ended = False
        self.broken = False
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._element: list[bytes] = []
        self._size = 0
        self._began = 1
        self._too_long = False
        self._separated = False

    def feed(self, chunk: bytes) -> Iterator[Record]:
        """Yield the elements that end in this chunk."""
        at = 0
        while at < len(chunk) and not self.broken:
            if self._escaped:
                self._keep(chunk[at : at + 1])
                self._escaped, at = False, at + 1
                continue
            found = _MARKS[self._in_string].search(chunk, at)
            if found is None:
                yield from self._text(chunk[at:])
                return
            yield from self._text(chunk[at : found.start()])
            if not self.broken:
                yield from self._mark(found[0])
            at = found.end()

    def _text(self, text: bytes) -> Iterator[Record]:
        if self.ended and text.strip(_SPACE):
            yield self._break("there is something after the end of the array")
        elif self._depth:
            self._keep(text)
        else:
            self.line += text.count(b"\n")

    def _mark(self, mark: bytes) -> Iterator[Record]:
        if self.ended:
            yield self._break("there is something after the end of the array")
        elif self._in_string:
            self._keep(mark)
            self._in_string, self._escaped = mark != b'"', mark == b"\\"
        elif mark == b'"':
            self._keep(mark)
            self._in_string = True
        elif mark in b"[{":
            if self._depth:
                self._keep(mark)
            self._depth += 1
        elif mark in b"]}":
            yield from self._close(mark)
        elif self._depth == 1:
            yield from self._finish(separated=True)
        else:
            self._keep(mark)

    def _close(self, mark: bytes) -> Iterator[Record]:
        self._depth -= 1
        if self._depth:
            self._keep(mark)
        elif mark == b"]":
            yield from self._finish(separated=False)
            self.ended = True
        else:
            yield self._break("the array ends with a brace")

    def _finish(self, *, separated: bool) -> Iterator[Record]:
        text = b"".join(self._element).strip(_SPACE)
        if self._too_long:
            yield _too_long(self._began)
        elif text:
            yield Record(self._began, text)
        elif separated or self._separated:
            yield Record(self.line, None, "there is nothing between two commas")
        self._element, self._size, self._too_long, self._separated = [], 0, False, separated

    def _keep(self, text: bytes) -> None:
        if not self._size and not self._too_long:
            kept = text.lstrip(_SPACE)
            self.line += text[: len(text) - len(kept)].count(b"\n")
            self._began = self.line
            text = kept
        self.line += text.count(b"\n")
        if self._too_long:
            return
        self._element.append(text)
        self._size += len(text)
        if self._size > MAX_RECORD_BYTES:
            self._element, self._too_long = [], True

    def _break(self, problem: str) -> Record:
        self.broken = True
        return Record(self.line, None, problem, final=True)
