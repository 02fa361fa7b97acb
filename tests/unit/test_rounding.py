"""The one rounding."""

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songs.rounding import thousandths


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(17, 16, 1062), (19, 16, 1188), (1, 3, 333), (2, 3, 667), (0, 7, 0), (5, 1, 5000), (1, 2000, 0), (3, 2000, 2)],
)
def test_examples(numerator: int, denominator: int, expected: int) -> None:
    """Halves go to the even neighbour, everything else to the nearest."""
    assert thousandths(numerator, denominator) == expected


@given(st.integers(0, 10**12), st.integers(1, 10**9))
def test_equals_the_exact_definition(numerator: int, denominator: int) -> None:
    """It is the exact fraction, rounded once: the same as Python's own rounding of fractions."""
    assert thousandths(numerator, denominator) == round(Fraction(numerator, denominator) * 1000)


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 4, 8, 16, 1000, 2000]))
def test_equals_decimal_rounding(numerator: int, denominator: int) -> None:
    """Where the quotient is a finite decimal, it is what decimal's ROUND_HALF_EVEN says."""
    exact = Decimal(numerator) / Decimal(denominator)
    assert Decimal(thousandths(numerator, denominator)) / 1000 == exact.quantize(Decimal("0.001"), ROUND_HALF_EVEN)
