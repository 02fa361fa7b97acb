"""Where the server is."""

from typing import Final

from psycopg import Error
from psycopg.conninfo import conninfo_to_dict
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

_FORM: Final = "postgresql://[user[:password]@]host[:port][,...]/database[?options]"


class PostgresSettings(BaseModel):
    """The settings: ``SONGS_POSTGRES_URL``, ``SONGS_POSTGRES_SCHEMA_NAME``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr = Field(
        description=f"The database: {_FORM}, or whatever else libpq understands. TLS is an option of it "
        "(sslmode=verify-full); time limits are not: the storage sets its own.",
    )
    schema_name: str = Field(
        default="songs",
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="The schema that holds the tables; two services in one database need two.",
    )

    @field_validator("url")
    @classmethod
    def _is_understood(cls, value: SecretStr) -> SecretStr:
        # The URL may hold a password: neither it, nor libpq's message about it, is repeated.
        url = value.get_secret_value()
        try:
            understood = bool(conninfo_to_dict(url))
        except (Error, UnicodeError):
            understood = False
        if not understood or "\0" in url:
            raise ValueError(f"must have the form {_FORM}; write characters such as / : ? @ in a password as %2F %3A")
        return value
