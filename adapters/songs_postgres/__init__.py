"""Storage in a PostgreSQL database, for any number of processes and machines.

A unit of work is one transaction, and a write locks the rows that it decides on. A rating is one statement
(`songs_postgres.ratings`).
"""

from songs_postgres.storage import PostgresSettings, PostgresStorage

__all__ = ["PostgresSettings", "PostgresStorage"]
