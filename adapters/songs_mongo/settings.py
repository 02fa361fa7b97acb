"""Where the server is."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

_SRV: Final = "mongodb+srv://"
_FORMS: Final = "mongodb://[user:password@]host[:port][,...]/[?options] or mongodb+srv://..."


class Transactions(StrEnum):
    """Whether units of several writes are offered."""

    AUTO = "auto"
    """Where the deployment has transactions."""
    REQUIRE = "require"
    """Yes; opening fails where the deployment has none."""
    OFF = "off"
    """No."""


class MongoSettings(BaseModel):
    """The settings of the MongoDB storage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr = Field(
        default=SecretStr("mongodb://127.0.0.1:27017/"),
        description=f"The deployment: {_FORMS}. TLS and authentication are options of the URL; time limits, write "
        "concern, read concern and read preference are not: the storage sets its own.",
    )
    database: str = Field(
        default="songs",
        pattern=r"^[0-9A-Za-z_-]{1,63}$",
        description="The database; two services on one deployment need two.",
    )
    transactions: Transactions = Field(
        default=Transactions.AUTO,
        description="auto uses transactions where the deployment has them, require fails at the start where it has "
        "none, off never uses them.",
    )

    @field_validator("url")
    @classmethod
    def _is_understood(cls, value: SecretStr) -> SecretStr:
        # The URL may hold a password: neither it, nor the driver's message about it, is repeated.
        # Taking an SRV URL apart would ask a name server; its form is that of the others.
        url = value.get_secret_value().replace("mongodb+srv://", "mongodb://", 1)
        try:
            with quiet_driver():
                parse_uri(url, warn=False)
        except OSError as error:
            msg = (
                f"names a file of certificates (tlsCAFile, tlsCertificateKeyFile) that cannot be read: {error.strerror}"
            )
            raise ValueError(msg) from None
        except (PyMongoError, ValueError) as error:
            if _SRV in str(error) and _SRV in value.get_secret_value():
                return value  # an option that only these URLs have
            msg = f"must have the form {_FORMS}; write characters such as / : ? @ in a password as %2F %3A %3F %40"
            raise ValueError(msg) from None
        return value


@contextmanager
def quiet_driver() -> Iterator[list[warnings.WarningMessage]]:
    """Keep the driver's warnings about a URL, which repeat parts of it, from being printed; yield them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield caught
