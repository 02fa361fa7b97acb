"""Settings as lists show them: the values that count, without the secrets in them."""

import re
from pathlib import Path
from typing import Final

from pydantic import BaseModel, SecretBytes, SecretStr

from songs.ports.limiter import RateLimit
from songs_api.settings.service import rate_text

MASK: Final = "********"

_HOST: Final = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
# What is written otherwise, such as with a password that should have been quoted, is masked as a whole.
_URL: Final = re.compile(
    rf"(?P<scheme>[a-z][a-z0-9+.-]*://)(?:(?P<who>[^/?#@\s]*)@)?(?P<where>(?:{_HOST}(?:,{_HOST})*)?(?:/[^?#@\s]*)?)"
    r"(?:\?(?P<options>[^#@\s]*))?"
)
_NO_SECRETS: Final = frozenset(
    {
        *("authsource", "directconnection", "replicaset", "retryreads", "retrywrites"),
        *("connect_timeout", "db", "protocol", "ssl", "sslmode", "tls"),
    }
)
"""Options of URLs, in lower case, whose values are shown."""


def shown_text(settings: BaseModel | None, name: str, given: str | None) -> str:
    """Return what a setting comes to: as it was given, or its default; a path is made absolute.

    Args:
        settings: The model; None where it is wrong.
        name: The field.
        given: The text of its variable, if that is set.
    """
    value = getattr(settings, name, None)
    file = getattr(settings, "file", None)
    if name == "path" and callable(file):
        # A storage that is a file says where it is, by default as well.
        try:
            return str(file())
        except RuntimeError:  # there is no home folder to have it in
            return given or ""
    if isinstance(value, Path):
        return str(value.absolute())
    return _default(value) if given is None else given


def _default(value: object) -> str:
    """Return a default as it would be written in a variable."""
    if value is None:
        return ""
    if isinstance(value, RateLimit):
        return rate_text(value)
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, SecretBytes):
        return value.get_secret_value().decode(errors="replace")
    if isinstance(value, tuple | list | set | frozenset):
        return ",".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def masked(name: str, text: str) -> str:
    """Return the text of a secret as it may be shown: of a URL all but who signs in and other options, else none."""
    url = _URL.fullmatch(text) if name == "url" or name.endswith("_url") else None
    if url is None:
        return MASK
    who = "" if url["who"] is None else f"{MASK}@"
    options = "" if url["options"] is None else "?" + "&".join(map(_option, url["options"].split("&")))
    return f"{url['scheme']}{who}{url['where']}{options}"


def _option(option: str) -> str:
    name, equals, _ = option.partition("=")
    if name.lower() in _NO_SECRETS:
        return option
    return f"{name}={MASK}" if equals else MASK
