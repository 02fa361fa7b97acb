"""Splitting a file of songs into its songs, in constant memory for any file.

Arrays are split by a scanner of our own: streaming parsers build all of an element before they hand it over (64 MB of
brackets took ijson more memory than the machine had), know no line numbers, and end at the first wrong element.
"""

import functools
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any, Final, TypeAlias, cast

from songs.errors import SongsError

MAX_RECORD_BYTES: Final = 65_536
"""The longest song: over twice what artist and title take at most, with every character written as an escape."""
CHUNK_BYTES: Final = 65_536

_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = b" \t\r\n"
_FOREIGN: Final = {
    b"\xff\xfe\0\0": "is text in UTF-32; write it in UTF-8",
    b"\0\0\xfe\xff": "is text in UTF-32; write it in UTF-8",
    b"\xff\xfe": "is text in UTF-16; write it in UTF-8",
    b"\xfe\xff": "is text in UTF-16; write it in UTF-8",
    b"\x1f\x8b": "is compressed by gzip twice; unpack it once",
    b"PK\x03\x04": "is a ZIP archive; unpack it",
    b"BZh": "is compressed by bzip2; unpack it",
    b"\xfd7zXZ\0": "is compressed by xz; unpack it",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd; unpack it",
    b"SQLite format 3\0": "is an SQLite database; `songs export` makes a file of its songs",
}
"""First bytes of files that are not JSON Lines, each with its error message; the first match counts."""
_LONGEST_SIGN: Final = max(map(len, _FOREIGN))
_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+("|\\?)', re.DOTALL)
"""The rest of a string: its end is a quotation mark, or the end of the piece, maybe in the middle of an escape."""
_IN_ELEMENT: Final = re.compile(rb'"|[\[{]+|[\]}]')
_BETWEEN: Final = re.compile(rb'"|[\[{]+|[\]},]')


class FileUnusable(SongsError):
    """A file cannot be read, or is not a file of songs. The message continues after the file's name."""

    code = "file_unusable"


@dataclass(frozen=True, slots=True)
class Record:
    """The text of one song and the number of its first line; `text` is None if there is a `problem`."""

    line: int
    text: bytes | None
    problem: str | None = None
    final: bool = False
    """Nothing after it can be read."""


def records(file: IO[bytes]) -> Iterator[Record]:
    """Yield the songs of a file; unreadable ones, and an end that comes too soon, as records with a problem.

    Raises:
        FileUnusable: Its beginning cannot be read, or shows that it is of another kind.
    """
    contents = _Contents(file)
    reader: _Reader = io.BufferedReader(contents, CHUNK_BYTES)
    line, text = 1, reader.readline(MAX_RECORD_BYTES + 1)
    while text and not text.strip(_SPACE):
        line += text.endswith(b"\n")
        text = reader.readline(MAX_RECORD_BYTES + 1)
    split = _elements if text.lstrip(_SPACE).startswith(b"[") else _lines
    for record in split(text, line, reader, contents):
        line = record.line
        yield record
    if contents.problem is not None:
        yield Record(max(line, contents.line), None, contents.problem, final=True)


_Reader: TypeAlias = "io.BufferedReader[_Contents]"


class _Contents(io.RawIOBase):
    """The bytes of a file, uncompressed, without a byte order mark.

    At the end, `problem` is the reason why the file could not be read as a whole, if any; `line` is the number of the
    last line that was read.

    Args:
        file: The file, read from its current position.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.problem: str | None = None
        self.line = 1
        self._file = file
        self._begun = False
        self._ended = False
        packed = _Beginning(self._read_file)
        self._unpack = packed.read
        if packed.peek(len(_GZIP)) == _GZIP:
            # read1 returns what is readable before it raises an error. Of `packed` it asks for bytes alone.
            self._unpack = gzip.GzipFile(fileobj=cast("IO[bytes]", packed)).read1
        self._text = _Beginning(self._read_text)
        sign = self._text.peek(_LONGEST_SIGN)
        for foreign, why in _FOREIGN.items():
            if sign.startswith(foreign):
                raise FileUnusable(why)
        if b"\0" in sign[:4]:
            raise FileUnusable("is binary, or text in UTF-16 or UTF-32; write it in UTF-8")
        if sign.startswith(_BOM):
            self._text.read(len(_BOM))

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        """Fill `buffer` and return with how many bytes; 0 at the end, and where no more can be read."""
        chunk = self._text.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self.line += chunk.count(b"\n")
        return len(chunk)

    def _read_text(self, size: int) -> bytes:
        if self._ended:
            return b""
        text = b""
        try:
            text = self._unpack(size)
        except EOFError:
            self.problem = self.problem or "the file is cut off here: its gzip data has no end"
        except (zlib.error, gzip.BadGzipFile) as error:
            self.problem = f"the file is damaged here: its gzip data cannot be read ({error})"
        self._ended = not text
        return text

    def _read_file(self, size: int) -> bytes:
        """Return bytes as they are in the file. What fails later looks like the end: all until then is still read."""
        try:
            found = self._file.read(size)
        except (OSError, ValueError) as error:  # ValueError: it is closed
            why = f"cannot be read: {getattr(error, 'strerror', None) or error}"
            if not self._begun:
                raise FileUnusable(why) from error
            self.problem = f"from here on the file {why}"
            return b""
        self._begun = True
        return found


class _Beginning:
    """A file whose first bytes can be peeked at.

    Args:
        read: Returns at most as many bytes as it is asked for, and none at the end.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._first = b""

    def peek(self, size: int) -> bytes:
        """Return the first `size` bytes, fewer only where the file ends. Nothing may have been read before."""
        while len(self._first) < size and (more := self._read(size - len(self._first))):
            self._first += more
        return self._first[:size]

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, and none at the end."""
        if not self._first:
            return self._read(size)
        first, self._first = self._first[:size], self._first[size:]
        return first


def _lines(text: bytes, line: int, reader: _Reader, contents: _Contents) -> Iterator[Record]:
    while text:
        ended = text.endswith(b"\n")
        if not ended and len(text) > MAX_RECORD_BYTES:
            yield _too_long(line)
            while text and not text.endswith(b"\n"):
                text = reader.readline(MAX_RECORD_BYTES)
        # The last line of a file that was cut off is not whole; the cut is reported instead.
        elif (ended or contents.problem is None) and (stripped := text.strip(_SPACE)):
            yield Record(line, stripped)
        line += 1
        text = reader.readline(MAX_RECORD_BYTES + 1)


def _too_long(line: int) -> Record:
    return Record(line, None, f"is longer than {MAX_RECORD_BYTES} bytes")


def _elements(text: bytes, line: int, reader: _Reader, contents: _Contents) -> Iterator[Record]:
    separators, element = _Separators(), _Element(line)
    chunks = chain([text.lstrip(_SPACE)[1:]], iter(functools.partial(reader.read1, CHUNK_BYTES), b""))
    for chunk in chunks:
        at = 0
        for separator in separators.find(chunk):
            element.add(chunk[at : separator.start()])
            at = separator.end()
            if separator[0] == b"}":
                yield Record(element.line, None, "the array ends with a brace", final=True)
                return
            yield from element.finish(separated=separator[0] == b",")
            if separator[0] == b"]":
                yield from _after_the_end(element.line, chain([chunk[at:]], chunks))
                return
        element.add(chunk[at:])
    if contents.problem is None:
        yield Record(element.line, None, "the array has no end: the file is cut off", final=True)


def _after_the_end(line: int, chunks: Iterable[bytes]) -> Iterator[Record]:
    for chunk in chunks:
        rest = chunk.lstrip(_SPACE)
        line += chunk[: len(chunk) - len(rest)].count(b"\n")
        if rest:
            yield Record(line, None, "there is something after the end of the array", final=True)
            return


class _Separators:
    """Finds the separators and the end of an array whose first bracket was read.

    The content of elements is not examined, except for strings and brackets, in which nothing separates.
    """

    def __init__(self) -> None:
        self._depth = 1
        self._in_string = False
        self._escaped = False

    def find(self, chunk: bytes) -> Iterator[re.Match[bytes]]:
        """Yield the commas between elements in the next piece of the array, and its last bracket, or a brace there."""
        at, self._escaped = int(self._escaped), False
        while True:
            if self._in_string:
                rest = _STRING.match(chunk, at)
                at, end = (rest.end(), rest[1]) if rest else (at, b"")
                self._in_string, self._escaped = end != b'"', end == b"\\"
                if self._in_string:
                    return
            found = (_IN_ELEMENT if self._depth > 1 else _BETWEEN).search(chunk, at)
            if found is None:
                return
            at, mark = found.end(), found[0]
            if mark == b'"':
                self._in_string = True
            elif mark[0] in b"[{":
                self._depth += len(mark)
            elif self._depth > 1:
                self._depth -= 1
            else:
                yield found


class _Element:
    """Collects one element after another; of an element that is too long, only the position is kept."""

    def __init__(self, line: int) -> None:
        self.line = line
        self._text = bytearray()
        self._began = line
        self._too_long = False
        self._separated = False

    def add(self, text: bytes) -> None:
        """Take more of the element."""
        if not self._text and not self._too_long:
            kept = text.lstrip(_SPACE)
            self.line += text[: len(text) - len(kept)].count(b"\n")
            self._began = self.line
            text = kept
        self.line += text.count(b"\n")
        if self._too_long:
            return
        self._text += text
        if len(self._text) > MAX_RECORD_BYTES:
            # White space at the end does not count. One byte too many is kept, to show whether it is the end.
            self._too_long = len(self._text.rstrip(_SPACE)) > MAX_RECORD_BYTES
            del self._text[0 if self._too_long else MAX_RECORD_BYTES + 1 :]

    def finish(self, *, separated: bool) -> Iterator[Record]:
        """Yield the element that ends here; `separated` says whether a comma follows it."""
        text = bytes(self._text).strip(_SPACE)
        if self._too_long:
            yield _too_long(self._began)
        elif text:
            yield Record(self._began, text)
        elif separated or self._separated:
            yield Record(self.line, None, "there is nothing between two commas")
        self._text.clear()
        self._too_long, self._separated = False, separated
