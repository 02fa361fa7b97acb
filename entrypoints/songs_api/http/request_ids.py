"""Names for requests, in answers and logs."""

import random
import secrets
from typing import Final

_SEED_BITS: Final = 256
_BITS: Final = 64


class RequestIds:
    """Makes ids of 32 hexadecimal digits: 16 of this process, and 16 of the request. Thread-safe.

    They need to be told apart and nothing more, and cost a tenth of ids in the order of time. They are random, not
    counted, so that they do not tell how many requests there are. Made after the fork.
    """

    def __init__(self) -> None:
        self._process = secrets.token_hex(8)
        self._bits = random.Random(secrets.randbits(_SEED_BITS)).getrandbits  # noqa: S311 - names, not secrets

    def new(self) -> str:
        """Return the next id."""
        return f"{self._process}{self._bits(_BITS):016x}"
