"""Cursors: signed positions in a list, bound to the list's filter."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from songs.errors import BadCursor
from songs.limits import is_id
from songs.query import SongFilter

MAX_CURSOR: Final = 256
_MAC_BYTES: Final = 16


class Cursors:
    """Makes and reads cursors. All processes of a service need one secret.

    A cursor is base64url of a 16-byte MAC (keyed BLAKE2b, RFC 7693) followed by the last id that the walk returned.
    The filter is part of what is signed, not of the cursor.

    Args:
        secret: The key of new cursors, of at most 64 bytes.
        previous: Earlier values of `secret`, whose cursors are still accepted.
    """

    def __init__(self, secret: bytes, *, previous: Sequence[bytes] = ()) -> None:
        self._secret = secret
        self._accepted = (secret, *previous)

    def encode(self, after_id: str, song_filter: SongFilter) -> str:
        """Return the cursor of a walk whose last id was `after_id`."""
        return _encoded(after_id, song_filter, self._secret)

    def decode(self, cursor: str, song_filter: SongFilter) -> str:
        """Return the id after which the walk goes on.

        Raises:
            BadCursor: It was not made here, was changed, or belongs to another filter.
        """
        if len(cursor) > MAX_CURSOR or not cursor.isascii():
            raise BadCursor
        try:
            after_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[_MAC_BYTES:].decode("ascii")
        except (binascii.Error, ValueError) as error:
            raise BadCursor from error
        # Compared as a whole: the unused bits of the last character are part of what must be right.
        if not is_id(after_id) or not any(
            hmac.compare_digest(cursor, _encoded(after_id, song_filter, secret)) for secret in self._accepted
        ):
            raise BadCursor
        return after_id


def _encoded(after_id: str, song_filter: SongFilter, secret: bytes) -> str:
    signed = f"{after_id} {song_filter.canonical()}".encode("ascii")
    mac = blake2b(signed, key=secret, digest_size=_MAC_BYTES).digest()
    return base64.urlsafe_b64encode(mac + after_id.encode("ascii")).rstrip(b"=").decode("ascii")
