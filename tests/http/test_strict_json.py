"""The JSON parser for what strangers send."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songs_api.http.kernel.validation import MAX_DEPTH, MAX_NUMBER, Malformed, parse

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)

REFUSED = {
    "nothing": b"",
    "blanks": b" \n",
    "cut off": b'{"a":',
    "two values": b"1 2",
    "a comma too many": b"[1,]",
    "a comment": b"[1] // one",
    "single quotes": b"{'a':1}",
    "not a number": b"[NaN]",
    "infinity": b'{"a":Infinity}',
    "minus infinity": b'{"a":-Infinity}',
    "a name twice": b'{"a":1,"a":2}',
    "a name twice, once escaped": b'{"a":1,"\\u0061":2}',
    "a name twice, deeper": b'[{"b":{"a":1,"a":1}}]',
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "UTF-32": '{"a":1}'.encode("utf-32-le"),
    "Latin-1": b'"\xe9"',
    "an overlong form": b'"\xc0\xaf"',
    "an encoded surrogate": b'"\xed\xa0\x80"',
    "half a surrogate pair": b'"\\ud800"',
    "the other half": b'["\\uDFFF"]',
    "half a pair as a name": b'{"\\ud83d":1}',
    "halves in the wrong order": b'"\\udc00\\ud800"',
    "a raw NUL": b'"\0"',
    "a raw line break": b'"\n"',
    "a leading zero": b"01",
    "a plus sign": b"+1",
    "hexadecimal": b"0x10",
    "no digits after the point": b"1.",
    "an exponent beyond all bounds": b"1e9999999999999999999",
    "a long integer": b"1" * (MAX_NUMBER + 1),
    "a huge integer": b"9" * 60_000,
    "a long fraction": b"0." + b"1" * MAX_NUMBER,
    "an open string of quotes": b'"' + b'\\"' * 30_000,
    "quotes without end": b'\\"' * 32_000,
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_one_json_text_is_refused(body: bytes) -> None:
    """Each of these is Malformed: another parser would read it in another way, or not at all."""
    with pytest.raises(Malformed):
        parse(body)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
@pytest.mark.parametrize("times", [MAX_DEPTH + 1, 1_000, 10_000])
def test_deep_nesting_is_refused_without_recursion(opening: bytes, times: int) -> None:
    """Depth is bounded before the parser recurses, whether the brackets are ever closed or not."""
    closing = {b"[": b"]", b'{"a":': b"}", b'[{"a":': b"}]"}[opening]

    for body in (opening * times, opening * times + b"1" + closing * times):
        with pytest.raises(Malformed, match="deep"):
            parse(body)


def test_the_accepted_depth_is_accepted() -> None:
    """As many brackets as are accepted can be open at once, and more than these can follow each other."""
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH

    assert json.dumps(parse(deepest)).encode() == deepest
    assert parse(b"[" + b"[]," * 99 + b"[]]") == [[]] * 100


@pytest.mark.parametrize("text", ["[" * 100, '"' + "]" * 100, "\\" + '"' + "{" * 100 + "\\"])
def test_brackets_in_text_are_text(text: str) -> None:
    """Nesting is counted outside strings, escaped quotes notwithstanding."""
    assert parse(json.dumps([text]).encode()) == [text]


@pytest.mark.parametrize("text", ["13.22", "1e3", "0.001", "-0.0", "1e999999", "1E-999999", "100.000"])
def test_numbers_with_a_fraction_are_exact(text: str) -> None:
    """They come as Decimal, never by way of a float."""
    value = parse(text.encode())

    assert (type(value), value) == (Decimal, Decimal(text))


@pytest.mark.parametrize("body", [b'"\\ud83d\\ude00"', '"😀"'.encode()])
def test_a_whole_surrogate_pair_is_a_character(body: bytes) -> None:
    """Escaped and direct forms of a character beyond the first 65,536 are the same."""
    assert parse(body) == "😀"


@given(VALUES)
def test_every_other_value_comes_back(value: object) -> None:
    """What JSON can say is read as it was said, escaped or not."""
    assert parse(json.dumps(value).encode()) == value
    assert parse(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_malformed(body: bytes) -> None:
    """No bytes raise anything else, and what is read can be written in UTF-8."""
    try:
        value = parse(body)
    except Malformed:
        return
    json.dumps(value, ensure_ascii=False, default=str).encode("utf-8")
