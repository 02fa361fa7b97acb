"""The rate limiter."""

import hashlib
import os

from songs.errors import LimiterUnavailable
from songs.ports.limiter import RateLimit, Verdict
from songs_redis.client import Client, NotAnsweredError
from songs_redis.scripts import LIMITER_GIVE_BACK, LIMITER_HIT
from songs_redis.wire import Command


class RedisLimiter:
    """Counts hits on a Redis server, for all processes together.

    A window is a key that expires when it ends, by the server's clock. A server that loses its data loses counts; a
    caller that remembers a window notices by its name and serial.

    Args:
        client: Asks the server; opened and closed by this.
        prefix: What all keys begin with.
    """

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def open(self) -> None:
        self._client.open()

    def close(self) -> None:
        self._client.close()

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        try:
            answer = self._client.call(self._hit_command(bucket, limit))
        except NotAnsweredError as error:
            raise unavailable(error) from error
        return verdict_of(answer)

    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        name = window.encode("utf-8", "surrogatepass")
        try:
            self._client.call(("EVAL", LIMITER_GIVE_BACK, 1, self._key(bucket, limit), name))
        except NotAnsweredError as error:
            raise unavailable(error) from error

    def _hit_command(self, bucket: str, limit: RateLimit) -> Command:
        window_ms, new_name = limit.window_s * 1000, os.urandom(8).hex()
        return ("EVAL", LIMITER_HIT, 1, self._key(bucket, limit), limit.amount, window_ms, new_name)

    def _key(self, bucket: str, limit: RateLimit) -> str:
        name = f"{limit.amount}:{limit.window_s}:{bucket}".encode("utf-8", "surrogatepass")
        return f"{self._prefix}:w:{hashlib.blake2b(name, digest_size=20).hexdigest()}"


def verdict_of(answer: object) -> Verdict:
    """Return the verdict that a server's answer is.

    Raises:
        LimiterUnavailable: It has another form.
    """
    match answer:
        case [int(allowed), int(remaining), int(left_ms), bytes(name), int(serial)]:
            return Verdict(allowed == 1, remaining, left_ms / 1000, name.decode("ascii", "replace"), serial)
        case NotAnsweredError():
            raise unavailable(answer) from answer
    raise LimiterUnavailable("The rate limiter gave an answer that makes no sense.")


def unavailable(error: NotAnsweredError) -> LimiterUnavailable:
    """Return the port's error for the client's."""
    return LimiterUnavailable(f"The rate limiter does not answer. {error}")
