"""The one rounding: exact fractions, rounded once, half to even, to thousandths."""


def thousandths(numerator: int, denominator: int) -> int:
    """Return `numerator / denominator` in thousandths, rounded half to even.

    Args:
        numerator: Any non-negative integer.
        denominator: Any positive integer.

    Returns:
        An integer count of thousandths: 17/16 = 1.0625 is 1062, 1.0635 is 1064.
    """
    quotient, remainder = divmod(numerator * 1000, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient % 2 == 1):
        quotient += 1
    return quotient
