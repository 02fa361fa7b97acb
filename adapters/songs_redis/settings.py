"""Where the server is."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from redis.connection import parse_url

# Time limits, retries and the protocol are not the user's to choose: the ports promise how long a call takes.
_IN_URL: Final = frozenset({"connection_class", "db", "host", "password", "path", "port", "username"})
_FORMS: Final = "redis://[[user]:password@]host[:port][/db], rediss://... for TLS, or unix:///path/to/socket[?db=1]"


class RedisSettings(BaseModel):
    """The settings of the Redis cache and limiter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description=f"The server: {_FORMS}. Options of TLS follow as in ?ssl_ca_certs=/path/ca.pem.",
    )
    prefix: str = Field(
        default="songs",
        pattern=r"^[!-~]{1,64}$",
        description="What all keys begin with; two services on one server need two.",
    )

    @field_validator("url")
    @classmethod
    def _is_understood(cls, value: SecretStr) -> SecretStr:
        _options(value.get_secret_value())
        return value

    def options(self) -> dict[str, Any]:
        """Return the server's address and credentials, as arguments of the driver's connections."""
        return _options(self.url.get_secret_value())


def _options(url: str) -> dict[str, Any]:
    parse: Any = parse_url  # not annotated by the driver
    # The URL may hold a password: neither it, nor the driver's message about it, is repeated.
    try:
        found: dict[str, Any] = parse(url)
    except ValueError:
        msg = f"must have the form {_FORMS}; write characters such as / # ? @ in a password as %2F %23 %3F %40"
        raise ValueError(msg) from None
    if any(name not in _IN_URL and not name.startswith("ssl_") for name in found):
        msg = "may only have the options db, password, username and those that begin with ssl_"
        raise ValueError(msg)
    if "path" not in found and url.startswith("unix:"):
        raise ValueError("must name a socket: unix:///path/to/socket")
    return found
