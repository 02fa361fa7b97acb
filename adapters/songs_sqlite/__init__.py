"""Storage in one SQLite file: embedded, durable, and shared by the processes of one machine.

Every write unit is one transaction and one synced commit of a write-ahead log; readers never wait for writers.
"""

from songs_sqlite.storage import SqliteSettings, SqliteStorage

__all__ = ["SqliteSettings", "SqliteStorage"]
