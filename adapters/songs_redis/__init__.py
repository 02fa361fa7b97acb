"""Cache and rate limiter on one Redis server, or one primary with replicas that nobody reads.

Every operation is one script and one round trip. A server that does not answer costs a call `CALL_S` once, and then
nothing for a while.
"""

from songs_redis.cache import RedisCache, RedisCountingCache
from songs_redis.client import RedisSettings
from songs_redis.limiter import RedisLimiter

__all__ = ["RedisCache", "RedisCountingCache", "RedisLimiter", "RedisSettings"]
