"""Storage in one SQLite file: embedded, durable, and shared by the processes of one machine.

Every write is acknowledged after a synced commit of a write-ahead log, which units that wait for each other share.
Readers never wait for writers.
"""

from songs_sqlite.storage import SqliteSettings, SqliteStorage

__all__ = ["SqliteSettings", "SqliteStorage"]
